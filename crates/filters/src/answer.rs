//! The built-in answers of policies that are neither an OAuth endpoint nor a protected resource: problem details
//! (RFC 9457). They say what the status says and no internal name; who refused, and where, is in the decision record.

use std::fmt::Write as _;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value as Json, json};

use policy::filter::AnswerStyle;
use policy::{Abort, Exchange, Reason, Response};

/// Text that a policy's author wants the client to see: the `detail` of the problem. Kept in [`Reason::detail`].
#[derive(Clone, Debug)]
pub struct Detail(pub String);

/// What is wrong with a document, and where: the `errors` of the problem, as RFC 9457, section 3, shows them. Kept in
/// [`Reason::detail`].
#[derive(Clone, Debug)]
pub(crate) struct Violations(pub(crate) Vec<Violation>);

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    /// A JSON Pointer (RFC 6901) to the value.
    pub(crate) pointer: String,
    /// What was wanted; nothing of what was sent.
    pub(crate) wanted: String,
}

/// The plain style.
pub struct PlainAnswers;

impl AnswerStyle for PlainAnswers {
    fn failure(&self, exchange: &Exchange, reason: &Reason) -> Response {
        let mut response = problem(exchange, reason.status, more(reason), reason.retry_after);
        for challenge in &reason.challenges {
            response.headers.append(WWW_AUTHENTICATE, challenge.clone());
        }
        response
    }

    fn abort(&self, exchange: &Exchange, abort: &Abort) -> Response {
        problem(exchange, abort.status, None, abort.retry_after)
    }
}

/// What the client is told beside the status: a member of the problem.
fn more(reason: &Reason) -> Option<(&'static str, Json)> {
    if let Some(Detail(text)) = reason.detail() {
        return Some(("detail", json!(text)));
    }
    let Violations(violations) = reason.detail()?;
    let told = |v: &Violation| json!({ "pointer": format!("#{}", fragment(&v.pointer)), "detail": v.wanted });
    Some(("errors", violations.iter().map(told).collect()))
}

/// A pointer as the fragment of a URI (RFC 6901, section 6).
fn fragment(pointer: &str) -> String {
    let mut out = String::with_capacity(pointer.len());
    for byte in pointer.bytes() {
        // RFC 3986, section 3.5: what a fragment may hold as it is.
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte) {
            out.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn problem(exchange: &Exchange, status: StatusCode, more: Option<(&str, Json)>, retry_after: Option<u32>) -> Response {
    let mut members = Map::new();
    // `about:blank`: the problem has no more meaning than its status, whose phrase is then the title (section 4.2.1).
    members.insert("type".into(), json!("about:blank"));
    members.insert("title".into(), json!(status.canonical_reason().unwrap_or("Error")));
    members.insert("status".into(), json!(status.as_u16()));
    if let Some((name, value)) = more {
        members.insert(name.into(), value);
    }
    // An extension member and not `instance`, which is a URI reference and would be resolved against the request's own.
    if !exchange.request.id.is_empty() {
        members.insert("request_id".into(), json!(&*exchange.request.id));
    }
    let mut response = Response::json(status, &Json::Object(members))
        .with_header(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))
        .with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = retry_after {
        response.headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}
