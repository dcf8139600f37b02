//! The words of the files, as JSON Schemas: filters, tests and `server.toml` have their own; the keys of a policy, those that
//! every filter has, the flow words, `node.toml` and `stores.toml` stand here.

mod tables;

use filters::oauth::ServerSettings;
use policy::testing::TestTable;
use schemars::schema_for;
use serde_json::{Value, json};

use super::folders::FileKind;

/// The words of `use` that are the engine's own, with what they do.
pub(super) const FLOW_WORDS: &[(&str, &str)] = &[
    ("switch", "Runs the chain or policy that a value chooses, and comes back with its outcome."),
    ("call", "Runs a chain or another policy, and comes back with its outcome."),
    ("any", "Runs the first of several chains that succeeds; the next one only where a credential is absent."),
];

/// The schema of a filter's table: its own settings, and the keys that every filter has.
pub(super) fn filter(uses: Option<&str>) -> Value {
    let own = match uses {
        Some("switch") => json!({
            "properties": {
                "on": described("The value that chooses: `\"${request.form.grant_type}\"`."),
                "case": { "description": "A chain for each value: `{ value = \"chain\" }`; or `{ call = \"policy\" }`.", "additionalProperties": target() },
                "else": with("What happens with every other value: a chain, `{ call = \"policy\" }`, \"continue\" or \"fail\".", target()),
                "missing": with("What happens where there is no value: as `else`.", target()),
                "fold_case": { "type": "boolean", "description": "Whether upper and lower case are the same." },
            },
            "required": ["on", "case", "else"],
        }),
        Some("call") => json!({
            "properties": {
                "policy": described("The policy to run."),
                "chain": described("The chain to run."),
                "with": described("The inputs that the policy declares under `[input]`."),
            },
        }),
        Some("any") => json!({
            "properties": {
                "of": described("The chains to try, in this order."),
                "try": { "enum": ["all"], "description": "`\"all\"`: a bad credential does not end the search." },
            },
            "required": ["of"],
        }),
        Some(name) => policy::schema::settings(filters::LIBRARY, name).unwrap_or_default(),
        None => Value::Null,
    };
    let mut own = if own.is_object() { own } else { json!({}) };
    let properties = &mut own["properties"];
    if !properties.is_object() {
        *properties = json!({});
    }
    properties["use"] = described("Which filter it is.");
    properties["name"] = described("Its name in decision records, tests and graphs. Default: its `use`.");
    properties["when"] = described("A condition (CEL): where it does not hold, the filter is skipped.");
    for (key, when) in [("on_failure", "it fails"), ("on_abort", "it comes to a fault (a store is down)")] {
        properties[key] = json!({
            "description": format!("The chain to go to where {when}; \"continue\" for the next filter; or `{{ to = \"chain\", as = \"success\" }}`."),
            "properties": { "to": described("The chain."), "as": { "enum": ["success"], "description": "Its end is a success." } },
        });
    }
    properties["on_success"] = described("The chain to go on with; on the last filter of a chain.");
    if let Some(Value::Array(required)) = own.get_mut("required") {
        required.push(Value::from("use"));
    } else {
        own["required"] = json!(["use"]);
    }
    own
}

/// The schema of a file but for its filters.
pub(super) fn file(kind: FileKind) -> Value {
    match kind {
        FileKind::Policy => with_tests(json!({
            "properties": {
                "description": described("What the policy is for, in a sentence."),
                "route": described("The requests that it takes: `\"POST /path\"`, `\"/orders/{id}\"`, or `{ path, methods, host, headers, query }`."),
                "routes": described("Several routes."),
                "listener": described("The only listener that the route is on. Default: all."),
                "before": described("Policies that run before it, in place of its listener's."),
                "input": described("What a `call` has to give: `message = \"string\"`."),
                "allow": described("Lints that are silent in this file, each with a reason."),
                "mutants": described("Mutants that no test can notice, each with the reason: `\"NAME:removed\" = \"why\"`."),
            },
        })),
        FileKind::Tests => with_tests(json!({ "properties": {} })),
        FileKind::Server => Value::from(schema_for!(ServerSettings)),
        FileKind::Node => tables::schema(tables::NODE),
        FileKind::Stores => tables::schema(tables::STORES),
    }
}

/// The headers that may stand in a file.
pub(super) fn headers(kind: FileKind) -> &'static [(&'static str, bool, &'static str)] {
    match kind {
        FileKind::Policy => &[
            ("filter", true, "A filter of the main chain."),
            ("response", true, "A filter that runs on every answer of this policy."),
            ("on_failure", true, "A filter of the chain that takes every failure that nothing else took."),
            ("on_abort", true, "A filter of the chain that takes every fault that nothing else took."),
            ("on_error", true, "A filter of the chain that takes failures and faults."),
            ("input", false, "What a `call` has to give."),
            ("allow", false, "Lints that are silent in this file, each with a reason."),
            ("mutants", false, "Mutants that no test can notice, each with the reason."),
            ("test", true, "A test of this policy."),
        ],
        FileKind::Tests => &[("test", true, "A test of the policy.")],
        FileKind::Node => &[
            ("listener", true, "An address that requests come in on."),
            ("admin", false, "The address for the commands."),
            ("values", false, "What differs between environments: `${values.NAME}`."),
            ("cluster", false, "How many nodes share the stores."),
            ("encryption", false, "The keys of what is kept in a form that can be recovered."),
            ("limits", false, "Sizes, connections, and how long clients may take."),
            ("log", false, "How log lines look."),
            ("debug", false, "Help for whoever looks for a mistake."),
            ("allow", false, "Lints that are silent in this file, each with a reason."),
        ],
        FileKind::Stores => &[("allow", false, "Lints that are silent in this file, each with a reason.")],
        FileKind::Server => &[],
    }
}

/// A file that has tests.
fn with_tests(mut file: Value) -> Value {
    let mut test = Value::from(schema_for!(TestTable));
    // References are from the root.
    file["$defs"] = test["$defs"].take();
    file["properties"]["test"] = json!({ "items": test });
    file
}

fn target() -> Value {
    json!({ "properties": { "call": described("The policy to run.") } })
}

fn described(doc: &str) -> Value {
    json!({ "description": doc })
}

fn with(doc: &str, mut schema: Value) -> Value {
    schema["description"] = Value::from(doc);
    schema
}
