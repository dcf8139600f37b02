//! `json-edit`: takes members of a JSON body out, renames them, and sets them, by JSONPath (RFC 9535). In Oracle API Gateway: JSON Add Node,
//! JSON Remove Node.
//!
//! First everything under `remove` goes, then `rename`, then `set`; a path that finds nothing changes nothing, but for `set`, which makes
//! what is missing where its path is names alone (`$.meta.tenant`). The document is written anew: members in the order of their names, and
//! numbers beyond 64 bits as near as a double is. What was said of the old body goes with it: its digests, its validators. A body that is
//! no JSON is refused: 400, or, of a response, 502.
//!
//! ```toml
//! [[filter]]
//! use    = "json-edit"
//! remove = ["$.internal", "$.items[*].cost"]
//! rename = { "$.customer.no" = "id" }
//! set    = { "$.meta.tenant" = "${request.query.tenant ?? none}", "$.version" = 2 }
//! ```

use http::{HeaderName, StatusCode, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use policy::exchange::remove_alike;
use policy::outcome::{BAD_REQUEST, BAD_RESPONSE};
use policy::selector::{JsonPath as Path, Token};
use policy::settings::Spanned;
use policy::{
    Abort, Body, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, Value,
};

use crate::entries::Entries;
use crate::http::Side;

/// `use = "json-edit"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whose body: `request` (default) or `response`.
    #[serde(default)]
    of: Side,
    /// The paths of what goes. Default: none.
    #[serde(default)]
    remove: Vec<Spanned<String>>,
    /// Path of a member, and its new name; one that is there under that name already is replaced. Default: none.
    #[serde(default)]
    rename: Entries<Spanned<String>>,
    /// Path and value. A value that is absent on purpose (`${x ??}`) sets nothing. Default: none.
    #[serde(default)]
    set: Entries<Dynamic<Value>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "json-edit";
    type Filter = JsonEdit;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<JsonEdit, Diagnostics> {
        if self.remove.is_empty() && self.rename.0.is_empty() && self.set.0.is_empty() {
            let help = "write `set = { \"$.name\" = \"value\" }`, `remove` or `rename`";
            return Err(cx.error(cx.own_place().span, "`json-edit` edits nothing", help).into());
        }
        match self.of {
            Side::Request => cx.reads_request_body(),
            Side::Response => {
                cx.reads_response_body();
                cx.fails_rarely(&[BAD_RESPONSE]);
            }
        }
        let mut problems = Diagnostics::new();
        let mut edits = Vec::new();
        for written in &self.remove {
            match path(written, cx) {
                Ok(path) => edits.push(Edit::Remove(path)),
                Err(more) => problems.extend(more),
            }
        }
        for (written, name) in &self.rename.0 {
            match path(written, cx) {
                Ok(path) => edits.push(Edit::Rename(path, name.value.clone())),
                Err(more) => problems.extend(more),
            }
        }
        for (written, value) in &self.set.0 {
            match path(written, cx).and_then(|path| Ok(Edit::Set(path, cx.dynamic(value)?))) {
                Ok(edit) => edits.push(edit),
                Err(more) => problems.extend(more),
            }
        }
        if problems.has_errors() { Err(problems) } else { Ok(JsonEdit { of: self.of, edits }) }
    }
}

fn path(written: &Spanned<String>, cx: &BuildContext<'_>) -> Result<Path, Diagnostics> {
    Path::parse(&written.value).map_err(|why| {
        let help = "a path begins with `$`: `$.order.id`, `$.items[*].price` (RFC 9535)";
        cx.error(written.span, format!("`{}` is no JSONPath: {why}", written.value), help).into()
    })
}

enum Edit {
    Remove(Path),
    Rename(Path, String),
    Set(Path, Getter<Value>),
}

/// The compiled filter.
pub(crate) struct JsonEdit {
    of: Side,
    edits: Vec<Edit>,
}

impl Filter for JsonEdit {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let edited = match self.edited(exchange) {
            Ok(json) => json.to_string(),
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        match (self.of, &mut exchange.response) {
            (Side::Request, _) => {
                exchange.request.set_body(edited.into());
                remove_alike(&mut exchange.request.headers, &of_a_body());
            }
            (Side::Response, Some(response)) => {
                response.body = Body::from(edited);
                remove_alike(&mut response.headers, &of_a_body());
            }
            (Side::Response, None) => {}
        }
        Ok(Outcome::Success)
    }
}

impl JsonEdit {
    fn edited(&self, exchange: &Exchange) -> Result<Json, Reason> {
        let mut json = match (self.of, &exchange.response) {
            (Side::Request, _) => exchange.request.json()?.clone(),
            (Side::Response, Some(response)) => response.read_json()?,
            (Side::Response, None) => return Err(Reason::bad_response("there is no response yet")),
        };
        for edit in &self.edits {
            match edit {
                // From the last to the first: what goes moves nothing that is still to go.
                Edit::Remove(path) => path.places(&json).iter().rev().for_each(|place| {
                    take(&mut json, place);
                }),
                Edit::Rename(path, name) => {
                    for place in path.places(&json).iter().rev() {
                        if let Some((Token::Name(_), parent)) = place.split_last()
                            && let Some(value) = take(&mut json, place)
                            && let Some(Json::Object(members)) = at(&mut json, parent)
                        {
                            members.insert(name.clone(), value);
                        }
                    }
                }
                Edit::Set(path, value) => {
                    if let Some(value) = value.get_optional(exchange)? {
                        self.set(&mut json, path, &value.to_json())?;
                    }
                }
            }
        }
        Ok(json)
    }

    fn set(&self, json: &mut Json, path: &Path, value: &Json) -> Result<(), Reason> {
        let Some(names) = path.names() else {
            for place in path.places(json).iter().rev() {
                if let Some(found) = at(json, place) {
                    *found = value.clone();
                }
            }
            return Ok(());
        };
        let mut here = json;
        for name in names {
            if here.is_null() {
                *here = Json::Object(Map::new());
            }
            let Json::Object(members) = here else {
                let message = "a path that is to be set leads into something that is no object";
                return Err(match self.of {
                    Side::Request => Reason::new(BAD_REQUEST, message).with_status(StatusCode::BAD_REQUEST),
                    Side::Response => Reason::new(BAD_RESPONSE, message).with_status(StatusCode::BAD_GATEWAY),
                });
            };
            here = members.entry(name).or_insert(Json::Null);
        }
        *here = value.clone();
        Ok(())
    }
}

/// What stands at this place.
fn at<'j>(json: &'j mut Json, place: &[Token]) -> Option<&'j mut Json> {
    place.iter().try_fold(json, |at, token| match token {
        Token::Name(name) => at.get_mut(name),
        Token::Index(index) => at.get_mut(index),
    })
}

/// Takes out what stands at this place. The whole document is not taken out: something must be left to send.
fn take(json: &mut Json, place: &[Token]) -> Option<Json> {
    let (last, parent) = place.split_last()?;
    match (last, at(json, parent)?) {
        (Token::Name(name), Json::Object(members)) => members.remove(name),
        (Token::Index(index), Json::Array(items)) if *index < items.len() => Some(items.remove(*index)),
        _ => None,
    }
}

/// What is said of a body, and is true of no other.
fn of_a_body() -> [HeaderName; 9] {
    [
        header::ACCEPT_RANGES,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::ETAG,
        header::LAST_MODIFIED,
        HeaderName::from_static("content-digest"),
        HeaderName::from_static("content-md5"),
        HeaderName::from_static("digest"),
        HeaderName::from_static("repr-digest"),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::fixture::{always, answer, policy, post_json, request, sent, told, world};
    use http::Method;
    use policy::ports::UPSTREAM;

    fn tested(settings: &str) -> policy::testing::Fixture {
        policy(&format!("[[filter]]\nuse = 'json-edit'\n{settings}\n[[filter]]\nuse = 'proxy'\nupstream = 'orders'\n"))
    }

    #[test]
    fn what_is_edited() {
        let document = json!({ "a": { "b": 1, "c": [1, 2, 3] }, "items": [{ "x": 1, "y": 2 }, { "x": 3 }], "n": null });
        for (settings, change) in [
            (
                "remove = ['$.a.b', '$.n']",
                json!({ "a": { "c": [1, 2, 3] }, "items": [{ "x": 1, "y": 2 }, { "x": 3 }] }),
            ),
            ("remove = ['$.a', '$.n', '$.items[*].x']", json!({ "items": [{ "y": 2 }, {}] })),
            ("remove = ['$.items', '$.n', '$.a.c[0,2]']", json!({ "a": { "b": 1, "c": [2] } })),
            ("remove = ['$..*']", json!({})),
            ("remove = ['$', '$.none', '$.a.b.c']", document.clone()),
            (
                "rename = { '$.items[*].x' = 'z', '$.n' = 'm' }",
                json!({ "a": { "b": 1, "c": [1, 2, 3] }, "items": [{ "z": 1, "y": 2 }, { "z": 3 }], "m": null }),
            ),
            ("rename = { '$.items' = 'a', '$.n' = 'n' }", json!({ "a": [{ "x": 1, "y": 2 }, { "x": 3 }], "n": null })),
            ("rename = { '$.a.c[0]' = 'z' }", document.clone()),
            (
                "remove = ['$.a', '$.items']\nset = { '$.n.deep.er' = [true] }",
                json!({ "n": { "deep": { "er": [true] } } }),
            ),
            (
                "remove = ['$.a', '$.n']\nset = { '$.items[*].x' = '${request.method}' }",
                json!({ "items": [{ "x": "POST", "y": 2 }, { "x": "POST" }] }),
            ),
            ("set = { '$.n' = '${request.query.none ??}' }", document.clone()),
            ("set = { '$' = { a = 1 } }", json!({ "a": 1 })),
        ] {
            let seen = sent(&tested(settings).run(post_json("/x", &document.to_string())));
            let body: Json = serde_json::from_str(seen["body"].as_str().expect("text")).expect("JSON");
            assert_eq!(body, change, "{settings}");
        }
    }

    #[test]
    fn what_cannot_be_edited_is_the_senders_fault() {
        for (body, expected) in
            [("", "400 bad-request"), ("{", "400 bad-request"), ("{\"a\":1}", "400 bad-request"), ("{}", "200")]
        {
            assert_eq!(told(&tested("set = { '$.a.b' = 1 }").run(post_json("/x", body))), expected, "{body}");
        }
    }

    #[test]
    fn what_was_said_of_the_old_body_goes() {
        let headers =
            [("digest", "sha-256=x"), ("content-digest", "x"), ("x-kept", "1"), ("content-type", "application/json")];
        let seen = sent(&tested("set = { '$.a' = 1 }").run(request(Method::POST, "/x", &headers, "{}")));
        let headers = &seen["headers"];
        assert_eq!((&headers["digest"], &headers["content-digest"]), (&json!(null), &json!(null)));
        assert_eq!((&headers["x-kept"], &headers["content-type"]), (&json!("1"), &json!("application/json")));
    }

    #[test]
    fn of_the_response() {
        let text = "route = '/**'\n[[filter]]\nuse = 'proxy'\nupstream = 'odd'\n[[response]]\nuse = 'json-edit'\nof = 'response'\nremove = ['$.cost']\n";
        for (body, expected) in [(r#"{"cost":1,"id":2}"#, "200"), ("no", "502 bad-response")] {
            let upstream =
                always(move || Ok(answer(200, &[("etag", "\"a\""), ("content-length", "9")], body.to_owned())));
            let ran = world().resource(UPSTREAM, "odd", upstream).policy("tested", text).get("/x");
            assert_eq!(told(&ran), expected);
            if ran.status == 200 {
                assert_eq!(ran.json(), json!({ "id": 2 }));
                assert!(!ran.headers.contains_key("etag") && !ran.headers.contains_key("content-length"));
            }
        }
    }

    #[test]
    fn what_edits_nothing_is_refused_at_load() {
        for (settings, said) in [
            ("", "`json-edit` edits nothing"),
            ("remove = ['a']", "is no JSONPath"),
            ("rename = { 'a' = 'b' }", "is no JSONPath"),
            ("set = { 'a' = 'b' }", "is no JSONPath"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
