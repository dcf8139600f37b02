//! The built-in answers of policies that are neither an OAuth endpoint nor a protected resource: problem details
//! (RFC 9457). They say what the status says and no internal name; who refused, and where, is in the decision record.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value as Json, json};

use policy::filter::AnswerStyle;
use policy::{Abort, Exchange, Reason, Response};

/// Text that a policy's author wants the client to see: the `detail` of the problem. Kept in [`Reason::detail`].
#[derive(Clone, Debug)]
pub struct Detail(pub String);

/// The plain style.
pub struct PlainAnswers;

impl AnswerStyle for PlainAnswers {
    fn failure(&self, exchange: &Exchange, reason: &Reason) -> Response {
        let detail = reason.detail::<Detail>().map(|d| d.0.as_str());
        let mut response = problem(exchange, reason.status, detail, reason.retry_after);
        for challenge in &reason.challenges {
            response.headers.append(WWW_AUTHENTICATE, challenge.clone());
        }
        response
    }

    fn abort(&self, exchange: &Exchange, abort: &Abort) -> Response {
        problem(exchange, abort.status, None, abort.retry_after)
    }
}

fn problem(exchange: &Exchange, status: StatusCode, detail: Option<&str>, retry_after: Option<u32>) -> Response {
    let mut members = Map::new();
    // `about:blank`: the problem has no more meaning than its status, whose phrase is then the title (section 4.2.1).
    members.insert("type".into(), json!("about:blank"));
    members.insert("title".into(), json!(status.canonical_reason().unwrap_or("Error")));
    members.insert("status".into(), json!(status.as_u16()));
    if let Some(detail) = detail {
        members.insert("detail".into(), json!(detail));
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
