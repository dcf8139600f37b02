//! The tables that the engine takes apart by hand, written down as types: for their schemas, and never read.

#![allow(dead_code, reason = "they are never made: what they say is what may stand in a file")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::lint::AllowTable;
use crate::settings::{HeaderName, Literal, Method};
use crate::testing::TestTable;

/// A policy: a chain of filters, perhaps a route, perhaps more chains, perhaps tests.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct PolicyFile {
    /// What the policy is for, in a sentence.
    description: Option<String>,
    /// The requests that it takes: `"POST /path"`, `"/orders/{id}"`, or `{ path, methods, host, headers, query }`. Without one, other
    /// policies call it, or a listener runs it.
    route: Option<Route>,
    /// Several routes.
    routes: Option<Vec<Route>>,
    /// The only listener that its routes are on. Default: all.
    listener: Option<String>,
    /// Policies that run before it, in place of its listener's.
    before: Option<Vec<String>>,
    /// What a `call` has to give, as `${input.NAME}`: names, each with its type.
    input: Option<BTreeMap<String, InputType>>,
    /// The main chain: filters, run in this order.
    filter: Vec<Filter>,
    /// Chains that filters of this policy lead to, by their names.
    chain: Option<BTreeMap<String, Vec<Filter>>>,
    /// Filters that run on every answer of this policy, refusals and built-in ones included.
    response: Option<Vec<Filter>>,
    /// Filters that take every failure that nothing else took.
    on_failure: Option<Vec<Filter>>,
    /// Filters that take every fault that nothing else took.
    on_abort: Option<Vec<Filter>>,
    /// Filters that take every failure and fault that nothing else took.
    on_error: Option<Vec<Filter>>,
    /// Tests of this policy, run by `portcullis test`, by `check`, and before a changed file takes effect.
    test: Option<Vec<TestTable>>,
    /// Mutants that no test can notice (`portcullis test --mutants`), each with the reason: `"NAME:removed" = "why"`.
    mutants: Option<BTreeMap<String, String>>,
    /// Lints that are silent in this file, each with the reason: `unused-store = "why"`.
    allow: Option<AllowTable>,
}

/// Tests of the policy that this file stands beside.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct TestsFile {
    /// Tests of the policy, run by `portcullis test`, by `check`, and before a changed file takes effect.
    test: Vec<TestTable>,
}

/// The requests that a policy takes.
pub(super) struct Route;

/// A route in its long form.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RouteTable {
    /// The path: `{name}` is one segment, `{*rest}` one character or more, `/a/**` is `/a` and all below it.
    path: String,
    /// Default: all.
    methods: Option<Vec<Method>>,
    /// The host that is asked for, without a port. Default: any.
    host: Option<String>,
    /// Headers that the request must have, each with its value.
    headers: Option<BTreeMap<HeaderName, String>>,
    /// Parameters that the query must have, each with its value.
    query: Option<BTreeMap<String, String>>,
}

/// The keys that every filter has.
#[derive(JsonSchema)]
pub(super) struct Common {
    /// Which filter it is.
    r#use: String,
    /// Its name in decision records, tests and graphs. Default: its `use`.
    name: Option<String>,
    /// A condition (CEL): where it does not hold, the filter is skipped.
    when: Option<String>,
    /// Where the run goes when it fails: a chain, to whose end it runs; `"continue"`, to the next filter; or
    /// `{ to = "chain", as = "success" }`. Default: the failure is the chain's.
    on_failure: Option<Move>,
    /// Where the run goes when it comes to a fault (a store is down, an upstream silent): as `on_failure`.
    on_abort: Option<Move>,
    /// The chain to go on with. On the last filter of a chain only.
    on_success: Option<String>,
}

/// The settings of `switch`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Switch {
    /// The value that chooses: `"${request.form.grant_type}"`.
    on: Literal,
    /// What runs for each value: a chain's name, or `{ call = "policy" }`.
    case: BTreeMap<String, Target>,
    /// What runs for every other value: a chain, `{ call = "policy" }`, `"continue"` or `"fail"`.
    r#else: Target,
    /// What runs where there is no value: as `else`. Default: it is a failure, `missing-value`.
    missing: Option<Target>,
    /// Whether upper and lower case are the same. Default: `false`.
    fold_case: Option<bool>,
}

/// The settings of `call`: `policy` or `chain`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Call {
    /// The policy to run.
    policy: Option<String>,
    /// The chain to run.
    chain: Option<String>,
    /// The inputs that the policy declares under `[input]`.
    with: Option<BTreeMap<String, Literal>>,
}

/// The settings of `any`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Any {
    /// The chains to try, in this order.
    of: Vec<String>,
    /// `"all"`: a bad credential does not end the search. Default: only an absent one lets the next chain try.
    r#try: Option<Try>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase", inline)]
enum Try {
    All,
}

macro_rules! schema {
    ($name:ident, $generator:ident, $schema:tt) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// A step of a chain: its schema depends on the filters there are, and is put in by who knows them.
pub(super) struct Filter;
schema!(Filter, _generator, { "type": "object" });

schema!(Route, generator, {
    "anyOf": [
        {
            "description": "A path, perhaps with a method before it: `POST /path`.",
            "type": "string",
            "pattern": "^([A-Z0-9_-]+ +)?/",
        },
        generator.subschema_for::<RouteTable>(),
    ],
});

/// Where a flow word leads.
pub(super) struct Target;
schema!(Target, _generator, {
    "anyOf": [
        { "type": "string", "description": "A chain of this policy, or a word." },
        {
            "type": "object",
            "properties": { "call": { "type": "string", "description": "The policy to run." } },
            "required": ["call"],
            "additionalProperties": false,
        },
    ],
});

/// Where a run goes.
pub(super) struct Move;
schema!(Move, _generator, {
    "anyOf": [
        { "type": "string", "description": "A chain of this policy, or `continue`." },
        {
            "type": "object",
            "properties": {
                "to": { "type": "string", "description": "The chain." },
                "as": { "const": "success", "description": "The end of that chain is a success." },
            },
            "required": ["to"],
            "additionalProperties": false,
        },
    ],
});

/// The type of an input.
pub(super) struct InputType;
schema!(InputType, _generator, { "enum": crate::compile::input_types() });
