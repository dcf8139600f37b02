//! `json-schema`: a JSON body is valid by a JSON Schema (drafts 4, 6, 7, 2019-09 and 2020-12), or the request is refused with 400. In Oracle API
//! Gateway: JSON Schema Validation.
//!
//! The schema stands in a file of the configuration, and a change of it is taken up as that of a policy is; or it stands in the policy
//! itself. It is compiled when the policy is loaded. Nothing is ever fetched: a `$ref` to another document is found among `more`, by that
//! document's `$id`. Patterns are matched in linear time: look-around and back-references, which no such matcher has, are refused at load.
//! Formats (`date-time`, `email`, `uuid`, ...) are checked; one that is not known is refused at load.
//!
//! The client is told where and what was wanted (`errors` of the problem details, at most ten, each with the JSON Pointer to the value),
//! never what it sent. A response that is not valid is the upstream's fault (502); its client is told nothing of it. An empty body is no
//! JSON, and not valid: give the filter a `when` where methods without a body share the policy. Put `json-limits` before it: of a name that
//! stands twice, the last counts here.
//!
//! ```toml
//! [[filter]]
//! use = "json-schema"
//!
//! [filter.schema]
//! type                 = "object"
//! required             = ["item", "count"]
//! properties           = { item = { type = "string", pattern = "^[A-Z]{2}[0-9]+$" }, count = { type = "integer", minimum = 1 } }
//! additionalProperties = false
//! ```

use std::collections::HashMap;

use http::StatusCode;
use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{Draft, PatternOptions, Retrieve, Uri, ValidationError, Validator};
use schemars::JsonSchema as Described;
use serde::Deserialize;
use serde_json::Value as Json;

use policy::outcome::BAD_RESPONSE;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode};

use crate::answer::{Violation, Violations};
use crate::http::Side;

/// The body is JSON, and not valid by the schema.
const INVALID_JSON: ReasonCode = ReasonCode::new("invalid-json");

/// So many violations are told: the first ones say what is wrong.
const TOLD: usize = 10;

/// A pointer is made of names that the client chose: so many characters of it are told.
const LONGEST_POINTER: usize = 200;

/// So large may a compiled pattern be: a larger one is a mistake.
const LARGEST_PATTERN: usize = 1024 * 1024;

/// `use = "json-schema"`
#[derive(Deserialize, Described)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whose body: `request` (default) or `response`.
    #[serde(default)]
    of: Side,
    /// The file of the schema, relative to the configuration folder; either this or `schema`.
    file: Option<Spanned<String>>,
    /// The schema itself, as a table; either this or `file`.
    schema: Option<Spanned<Json>>,
    /// Files of schemas that this one refers to, each with an `$id` of its own. Default: none.
    #[serde(default)]
    more: Vec<Spanned<String>>,
    /// The draft: `4`, `6`, `7`, `2019-09` or `2020-12`. Default: what `$schema` says, and `2020-12` where it says nothing.
    draft: Option<DraftName>,
}

/// A version of JSON Schema.
#[derive(Clone, Copy, Debug, Deserialize, Described)]
enum DraftName {
    #[serde(rename = "4")]
    Four,
    #[serde(rename = "6")]
    Six,
    #[serde(rename = "7")]
    Seven,
    #[serde(rename = "2019-09")]
    Of2019,
    #[serde(rename = "2020-12")]
    Of2020,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "json-schema";
    type Filter = JsonSchema;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<JsonSchema, Diagnostics> {
        let (schema, span) = match (&self.file, &self.schema) {
            (Some(file), None) => (read(file, cx)?, file.span),
            (None, Some(schema)) => (schema.value.clone(), schema.span),
            _ => {
                let help = "write `file = \"schemas/order.json\"`, or the schema itself under `[filter.schema]`";
                return Err(cx.error(cx.own_place().span, "`json-schema` needs one schema", help).into());
            }
        };
        match self.of {
            Side::Request => cx.reads_request_body(),
            Side::Response => {
                cx.reads_response_body();
                cx.fails_rarely(&[BAD_RESPONSE]);
            }
        }
        cx.fails(&[INVALID_JSON]);
        let mut known = Known::default();
        for file in &self.more {
            let document = read(file, cx)?;
            let Some(id) = document.get("$id").or_else(|| document.get("id")).and_then(Json::as_str) else {
                let help =
                    "a schema that others refer to says its own name: `\"$id\": \"https://example.com/address\"`";
                return Err(cx.error(file.span, format!("`{}` has no `$id`", file.value), help).into());
            };
            known.0.insert(id.trim_end_matches('#').to_owned(), document.clone());
        }
        let mut options = jsonschema::options()
            .with_retriever(known)
            .with_pattern_options(PatternOptions::regex().size_limit(LARGEST_PATTERN))
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false);
        if let Some(draft) = self.draft {
            options = options.with_draft(draft.into());
        }
        match options.build(&schema) {
            Ok(validator) => Ok(JsonSchema { of: self.of, validator }),
            Err(error) => {
                let help = "see https://json-schema.org; patterns have no look-around, and a `$ref` to another document needs that one in `more`";
                let at = error.instance_path().as_str();
                let at = if at.is_empty() { String::new() } else { format!(" at `{at}`") };
                Err(cx.error(span, format!("this is no JSON Schema that can be used{at}: {error}"), help).into())
            }
        }
    }
}

/// A schema from a file of the configuration.
fn read(file: &Spanned<String>, cx: &BuildContext<'_>) -> Result<Json, Diagnostics> {
    let content = cx.content(file)?;
    serde_json::from_slice(&content).map_err(|why| {
        let help = "a schema is written in JSON";
        cx.error(file.span, format!("`{}` is no JSON: {why}", file.value), help).into()
    })
}

/// The other documents that a schema may refer to. There are no others: nothing is fetched.
#[derive(Default)]
struct Known(HashMap<String, Json>);

impl Retrieve for Known {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Json, Box<dyn std::error::Error + Send + Sync>> {
        let missing = || format!("`{uri}` is not among `more`, and nothing is fetched").into();
        self.0.get(uri.as_str().trim_end_matches('#')).cloned().ok_or_else(missing)
    }
}

impl From<DraftName> for Draft {
    fn from(name: DraftName) -> Draft {
        match name {
            DraftName::Four => Draft::Draft4,
            DraftName::Six => Draft::Draft6,
            DraftName::Seven => Draft::Draft7,
            DraftName::Of2019 => Draft::Draft201909,
            DraftName::Of2020 => Draft::Draft202012,
        }
    }
}

/// The compiled filter.
pub(crate) struct JsonSchema {
    of: Side,
    validator: Validator,
}

impl Filter for JsonSchema {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let found = match self.of {
            Side::Request => exchange.request.json().map(|json| self.violations(json)),
            Side::Response => match &exchange.response {
                Some(response) => response.read_json().map(|json| self.violations(&json)),
                None => Err(Reason::bad_response("there is no response yet")),
            },
        };
        Ok(match found {
            Ok(violations) if violations.is_empty() => Outcome::Success,
            Ok(violations) => Outcome::Failure(self.refused(violations)),
            Err(reason) => Outcome::Failure(reason),
        })
    }
}

impl JsonSchema {
    fn violations(&self, json: &Json) -> Vec<Violation> {
        // Nearly all are valid, and to say no more than that is quicker.
        if self.validator.is_valid(json) {
            return Vec::new();
        }
        let told = |error: ValidationError<'_>| Violation {
            pointer: error.instance_path().as_str().chars().take(LONGEST_POINTER).collect(),
            wanted: wanted(error.kind()),
        };
        let found: Vec<_> = self.validator.iter_errors(json).take(TOLD).map(told).collect();
        debug_assert!(!found.is_empty(), "what is not valid has an error");
        found
    }

    fn refused(&self, violations: Vec<Violation>) -> Reason {
        let first = violations.first().map_or_else(String::new, |first| format!("{}: {}", first.pointer, first.wanted));
        let reason = Reason::new(INVALID_JSON, format!("{} violations, the first at `#{first}`", violations.len()));
        match self.of {
            Side::Request => reason.with_status(StatusCode::BAD_REQUEST).with_detail(Violations(violations)),
            Side::Response => reason.with_status(StatusCode::BAD_GATEWAY),
        }
    }
}

/// What the schema wanted, in words; nothing of what was sent.
fn wanted(kind: &Kind) -> String {
    match kind {
        Kind::Required { property } => format!("the member {property} is missing"),
        Kind::AdditionalProperties { .. } | Kind::UnevaluatedProperties { .. } | Kind::FalseSchema => {
            String::from("there is a value that is not allowed")
        }
        Kind::Enum { .. } | Kind::Constant { .. } => String::from("it is none of the values that there may be"),
        Kind::Format { format } => format!("it is no {format}"),
        Kind::Pattern { .. } => String::from("it does not match the pattern"),
        Kind::Minimum { limit } => format!("it is less than {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("it is not greater than {limit}"),
        Kind::Maximum { limit } => format!("it is greater than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("it is not less than {limit}"),
        Kind::MinLength { limit } => format!("it is shorter than {limit} characters"),
        Kind::MaxLength { limit } => format!("it is longer than {limit} characters"),
        Kind::MinItems { limit } => format!("it has fewer than {limit} items"),
        Kind::MaxItems { limit } => format!("it has more than {limit} items"),
        Kind::MinProperties { limit } => format!("it has fewer than {limit} members"),
        Kind::MaxProperties { limit } => format!("it has more than {limit} members"),
        Kind::UniqueItems => String::from("an item stands there twice"),
        Kind::Type { kind } => {
            let types: Vec<String> = match kind {
                jsonschema::error::TypeKind::Single(of) => vec![of.to_string()],
                jsonschema::error::TypeKind::Multiple(of) => of.iter().map(|of| of.to_string()).collect(),
            };
            format!("it is to be of type {}", types.join(" or "))
        }
        other => format!("`{}` does not hold", other.keyword()),
    }
}
