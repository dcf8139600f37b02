//! `json-path`: takes values out of a JSON body (RFC 9535) into variables. In Oracle API Gateway: JSON Path.
//!
//! A path that can name one place only (`$.order.id`, `$.items[0]`) gives that value with its type; any other gives the list
//! of what it finds. The body is read into memory.
//!
//! ```toml
//! [[filter]]
//! use = "json-path"
//!
//! [filter.into]
//! order  = "$.order.id"
//! prices = "$.items[?@.count > 1].price"
//! ```

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use policy::outcome::{BAD_RESPONSE, MISSING_VALUE};
use policy::selector::JsonPath as Path;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, Slot, Value};

use crate::entries::Entries;

/// `use = "json-path"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whose body: `request` (default) or `response`.
    #[serde(default)]
    of: Of,
    /// Variable and JSONPath: later steps read `${vars.NAME}`.
    into: Spanned<Entries<Spanned<String>>>,
    /// Whether a path that finds nothing makes the filter fail. Default: `true`. With `false` its variable stays absent.
    #[serde(default = "yes")]
    required: bool,
}

/// Whose body.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Of {
    /// The client's.
    #[default]
    Request,
    /// The upstream's.
    Response,
}

fn yes() -> bool {
    true
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "json-path";
    type Filter = JsonPath;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<JsonPath, Diagnostics> {
        cx.shapes_nothing();
        match self.of {
            Of::Request => cx.reads_request_body(),
            Of::Response => {
                cx.reads_response_body();
                cx.fails_rarely(&[BAD_RESPONSE]);
            }
        }
        if self.required {
            cx.fails(&[MISSING_VALUE]);
        }
        let mut problems = Diagnostics::new();
        if self.into.value.0.is_empty() {
            let help = "write `into = { name = \"$.path\" }`";
            problems.push(cx.error(self.into.span, "`json-path` takes nothing", help));
        }
        let mut takes = Vec::new();
        for (name, path) in &self.into.value.0 {
            match Path::parse(&path.value) {
                Ok(parsed) => {
                    let slot = if self.required { cx.writes_var(&name.value) } else { cx.may_write_var(&name.value) };
                    takes.push(Take { slot, written: path.value.clone(), path: parsed });
                }
                Err(why) => {
                    let help = "a path begins with `$`: `$.order.id`, `$.items[*].price` (RFC 9535)";
                    problems.push(cx.error(path.span, format!("`{}` is no JSONPath: {why}", path.value), help));
                }
            }
        }
        if problems.has_errors() { Err(problems) } else { Ok(JsonPath { of: self.of, takes, required: self.required }) }
    }
}

struct Take {
    slot: Slot<Value>,
    written: String,
    path: Path,
}

/// The compiled filter.
pub(crate) struct JsonPath {
    of: Of,
    takes: Vec<Take>,
    required: bool,
}

impl Filter for JsonPath {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let found = match self.of {
            Of::Request => exchange.request.json().and_then(|json| self.take_all(json, StatusCode::BAD_REQUEST)),
            Of::Response => match &exchange.response {
                Some(response) => response.read_json().and_then(|json| self.take_all(&json, StatusCode::BAD_GATEWAY)),
                None => Err(Reason::bad_response("there is no response yet")),
            },
        };
        match found {
            Err(reason) => Ok(Outcome::Failure(reason)),
            Ok(found) => {
                for (take, value) in self.takes.iter().zip(found) {
                    match value {
                        Some(value) => exchange.set(take.slot, value),
                        None => exchange.unset(take.slot),
                    }
                }
                Ok(Outcome::Success)
            }
        }
    }
}

impl JsonPath {
    /// What every path finds, in their order; `status` answers where a required one finds nothing.
    fn take_all(&self, json: &Json, status: StatusCode) -> Result<Vec<Option<Value>>, Reason> {
        let take = |take: &Take| match take.find(json) {
            None if self.required => {
                Err(Reason::new(MISSING_VALUE, format!("`{}` finds nothing", take.written)).with_status(status))
            }
            found => Ok(found),
        };
        self.takes.iter().map(take).collect()
    }
}

impl Take {
    fn find(&self, json: &Json) -> Option<Value> {
        if self.path.is_single() {
            return self.path.first(json).and_then(Value::from_json);
        }
        let list: Vec<_> = self.path.find(json).into_iter().filter_map(Value::from_json).collect();
        (!list.is_empty()).then(|| Value::List(list.into()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::{always, answer, policy, post_json, request, told, world};
    use http::Method;
    use policy::ports::UPSTREAM;

    const ORDER: &str = r#"{"order":{"id":7},"items":[{"price":1.5,"count":1},{"price":2,"count":3}],"note":null}"#;

    fn tested(settings: &str) -> policy::testing::Fixture {
        policy(&format!(
            "[[filter]]\nuse = 'json-path'\n{settings}\n\n[[filter]]\nuse = 'respond'\njson = {{ a = '${{vars.a ?? none}}' }}"
        ))
    }

    #[test]
    fn what_a_path_finds() {
        for (path, found) in [
            ("$.order.id", json!(7)),
            ("$['order']['id']", json!(7)),
            ("$.order", json!({ "id": 7 })),
            ("$.items[-1].price", json!(2)),
            ("$.items[*].price", json!([1.5, 2])),
            ("$.items[?@.count > 1].price", json!([2])),
        ] {
            let ran = tested(&format!("into = {{ a = '''{path}''' }}")).run(post_json("/x", ORDER));
            assert_eq!(ran.json(), json!({ "a": found }), "{path}");
        }
    }

    #[test]
    fn what_it_does_not_find() {
        for path in ["$.no", "$.note", "$.items[?@.count > 9]"] {
            let required = tested(&format!("into = {{ a = '''{path}''' }}")).run(post_json("/x", ORDER));
            assert_eq!(told(&required), "400 missing-value", "{path}");
            let optional =
                tested(&format!("into = {{ a = '''{path}''' }}\nrequired = false")).run(post_json("/x", ORDER));
            assert_eq!(optional.json(), json!({ "a": "none" }), "{path}");
        }
    }

    #[test]
    fn a_body_that_is_no_json_is_the_clients_fault() {
        for body in ["", "{", "a=b", "[1,", &"[".repeat(100_000)] {
            let ran = tested("into = { a = '$.a' }").run(request(Method::POST, "/x", &[], body));
            assert_eq!(told(&ran), "400 bad-request", "{:.20}", body);
        }
    }

    #[test]
    fn a_body_of_two_types_is_read_under_neither() {
        let of = |types: &[&str]| {
            let headers: Vec<_> = types.iter().map(|value| ("content-type", *value)).collect();
            told(&tested("into = { a = '$.order.id' }").run(request(Method::POST, "/x", &headers, ORDER)))
        };
        assert_eq!(of(&["application/json", "text/plain"]), "400 bad-request");
        assert_eq!(of(&["application/json, text/plain"]), "400 bad-request");
        assert_eq!(
            (of(&["application/json"]), of(&["text/plain"]), of(&[])),
            ("200".into(), "200".into(), "200".into())
        );
    }

    #[test]
    fn of_the_response() {
        for (headers, body, told_as) in [
            (&[][..], r#"{"a":"b"}"#, "200"),
            (&[], "no JSON", "502 bad-response"),
            (&[], "", "502 bad-response"),
            (&[], "{}", "502 missing-value"),
            (&[("content-encoding", "gzip")], r#"{"a":"b"}"#, "502 bad-response"),
        ] {
            let upstream = move || Ok(answer(200, headers, body.to_owned()));
            let text = "route = '/**'\n[[filter]]\nuse = 'proxy'\nupstream = 'odd'\n[[filter]]\nuse = 'json-path'\nof = 'response'\ninto = { a = '$.a' }\n[[filter]]\nuse = 'set-header'\nof = 'response'\nset = { x-a = '${vars.a}' }";
            let ran = world().resource(UPSTREAM, "odd", always(upstream)).policy("tested", text).get("/x");
            assert_eq!(told(&ran), told_as, "{body}");
            if told_as == "200" {
                assert_eq!((ran.header("x-a"), ran.text()), ("b", body));
            }
        }
    }

    #[test]
    fn what_is_no_path_is_refused_at_load() {
        for (settings, said) in
            [("into = { a = 'order.id' }", "is no JSONPath"), ("into = {}", "`json-path` takes nothing")]
        {
            let problems = tested(settings).problems();
            assert!(problems.iter().any(|p| p.contains(said)), "{settings}: {problems:#?}");
        }
    }
}
