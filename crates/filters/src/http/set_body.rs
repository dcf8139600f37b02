//! `set-body`: puts another body in place of the request's, or of the answer's. In Oracle API Gateway: Set Message.
//!
//! The body is text or JSON, with selectors, and its content type follows from that, unless `content_type` says another. What was said of the
//! old body goes with it: its coding, its digests, its validators.
//!
//! ```toml
//! [[filter]]
//! use  = "set-body"
//! json = { order = "${request.json:$.id}", by = "${client.id ?? nobody}" }
//! ```
//!
//! ```toml
//! [[response]]
//! use  = "set-body"
//! of   = "response"
//! when = "response.status >= 500"
//! text = "Something went wrong. Please quote ${request.id}."
//! ```

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::remove_alike;
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, Value,
};

use super::fields::{FieldValue, Side};

/// `use = "set-body"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whose: `request` (default) or `response`.
    #[serde(default)]
    of: Side,
    /// The body as text (`text/plain; charset=utf-8`).
    text: Option<Dynamic<String>>,
    /// The body as JSON (`application/json`): a table, a list, or a single value.
    json: Option<Dynamic<Value>>,
    /// Its media type. Default: see `text` and `json`.
    content_type: Option<Dynamic<String>>,
}

/// What is said of a body, and is true of no other.
static OF_A_BODY: [HeaderName; 13] = [
    header::ACCEPT_RANGES,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::ETAG,
    header::LAST_MODIFIED,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

impl FilterConfig for Settings {
    const TYPE: &'static str = "set-body";
    type Filter = SetBody;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<SetBody, Diagnostics> {
        let (body, usual) = match (&self.text, &self.json) {
            (Some(text), None) => (Content::Text(cx.dynamic(text)?), "text/plain; charset=utf-8"),
            (None, Some(json)) => (Content::Json(cx.dynamic(json)?), "application/json"),
            _ => {
                let help = "keep one of `text` and `json`; `text = \"\"` is no body";
                return Err(cx.error(cx.own_place().span, "a message has one body", help).into());
            }
        };
        let content_type = match &self.content_type {
            Some(content_type) => FieldValue::compile(content_type, cx)?,
            None => FieldValue::Constant(HeaderValue::from_static(usual)),
        };
        if self.of == Side::Response {
            cx.reads_response();
        }
        Ok(SetBody { of: self.of, body, content_type })
    }
}

enum Content {
    Text(Getter<String>),
    Json(Getter<Value>),
}

/// The compiled filter.
pub(crate) struct SetBody {
    of: Side,
    body: Content,
    content_type: FieldValue,
}

impl Filter for SetBody {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let (body, content_type) = match self.made(exchange) {
            Ok(made) => made,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        let content_type = content_type.filter(|_| !body.is_empty());
        let headers = match (self.of, &mut exchange.response) {
            (Side::Request, _) => {
                exchange.request.set_body(body);
                &mut exchange.request.headers
            }
            (Side::Response, Some(response)) => {
                response.body = body.into();
                &mut response.headers
            }
            (Side::Response, None) => return Ok(Outcome::Failure(Reason::missing("response"))),
        };
        remove_alike(headers, &OF_A_BODY);
        if let Some(content_type) = content_type {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        Ok(Outcome::Success)
    }
}

impl SetBody {
    fn made(&self, exchange: &Exchange) -> Result<(Bytes, Option<HeaderValue>), Reason> {
        let body = match &self.body {
            Content::Text(getter) => getter.get(exchange)?,
            Content::Json(getter) => getter.get(exchange)?.to_json().to_string(),
        };
        Ok((body.into(), self.content_type.get(exchange)?))
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use crate::fixture::{get, policy, post_json, request, sent};

    const PROXY: &str = "\n\n[[filter]]\nuse = 'proxy'\nupstream = 'orders'";

    #[test]
    fn the_upstream_gets_another_body() {
        let tested = |settings: &str| {
            let tested = policy(&format!("[[filter]]\nuse = 'set-body'\n{settings}{PROXY}"));
            let seen = sent(&tested.run(post_json("/x?q=a", r#"{"id":7}"#)));
            (seen["body"].clone(), seen["headers"]["content-type"].clone())
        };
        for (settings, body, content_type) in [
            ("json = { order = '${request.json:$.id}' }", r#"{"order":7}"#, json!("application/json")),
            ("text = 'q=${request.query.q}'", "q=a", json!("text/plain; charset=utf-8")),
            (
                "text = 'a=b'\ncontent_type = 'application/x-www-form-urlencoded'",
                "a=b",
                json!("application/x-www-form-urlencoded"),
            ),
            ("text = ''", "", json!(null)),
        ] {
            assert_eq!(tested(settings), (json!(body), content_type), "{settings}");
        }
    }

    #[test]
    fn what_was_said_of_the_old_body_goes_with_it() {
        let headers =
            [("content-encoding", "gzip"), ("content_encoding", "gzip"), ("digest", "sha-256=x"), ("x-kept", "1")];
        let tested = policy(&format!("[[filter]]\nuse = 'set-body'\ntext = 'a'{PROXY}"));
        let seen = sent(&tested.run(request(Method::POST, "/x", &headers, "z")))["headers"].clone();
        let told = ["content-encoding", "content_encoding", "digest", "x-kept"].map(|name| seen[name].clone());
        assert_eq!(told, [json!(null), json!(null), json!(null), json!("1")]);
    }

    #[test]
    fn the_filters_after_it_read_the_new_body() {
        let text = "[[filter]]\nuse = 'set-body'\njson = { a = 1 }\n\n[[filter]]\nuse = 'respond'\ntext = '${request.json:$.a}'";
        assert_eq!(policy(text).run(post_json("/x", r#"{"a":2}"#)).text(), "1");
    }

    #[test]
    fn an_answer_gets_another_body_refusals_too() {
        let response = "\n\n[[response]]\nuse = 'set-body'\nof = 'response'\ntext = 'was ${response.status}'";
        let ran = policy(&format!("[[filter]]\nuse = 'fail'{response}")).run(get("/x", &[]));
        assert_eq!((ran.status, ran.text(), ran.header("content-type")), (403, "was 403", "text/plain; charset=utf-8"));
        let own = "[[filter]]\nuse = 'respond'\nheaders = { etag = '\"1\"', x-kept = '1' }\njson = {}";
        let ran = policy(&format!("{own}{response}")).run(get("/x", &[]));
        assert_eq!((ran.text(), ran.header("etag"), ran.header("x-kept")), ("was 200", "", "1"));
    }

    #[test]
    fn what_cannot_be_is_refused_at_load() {
        for (settings, said) in [
            ("", "a message has one body"),
            ("text = 'a'\njson = 1", "a message has one body"),
            ("text = 'a'\ncontent_type = \"a\\nb\"", "this cannot be a header's value"),
            ("of = 'response'\ntext = 'a'", "response"),
        ] {
            let problems = policy(&format!("[[filter]]\nuse = 'set-body'\n{settings}{PROXY}")).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
