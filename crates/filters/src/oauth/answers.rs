//! The built-in answers of OAuth endpoints (RFC 6749, section 5.2) and of protected resources (RFC 6750, section 3).
//!
//! They are written from typed reasons. What no OAuth filter refused (a rate limit, a `require`) is put into the
//! nearest OAuth word on an endpoint, and is problem details (RFC 9457) on a protected resource, whose clients speak
//! the API's language.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use ::oauth::{Error, ErrorCode};
use policy::filter::AnswerStyle;
use policy::outcome::{BAD_REQUEST, BODY_TOO_LARGE, METHOD_NOT_ALLOWED, MISSING_VALUE, NO_CASE, NOT_FOUND, WRONG_TYPE};
use policy::{Abort, Exchange, Reason, Response};

use super::issue_code::see_other;
use super::pages;
use super::stop::Redirected;
use crate::{Detail, PlainAnswers, STORE_BROKEN, STORE_UNAVAILABLE};

/// Answers of OAuth endpoints.
pub static ENDPOINT: Endpoint = Endpoint;
/// Answers of protected resources.
pub static RESOURCE: Resource = Resource;

/// Answers of the authorization endpoint, which a browser shows.
pub static AUTHORIZATION: Authorization = Authorization;

/// See [`ENDPOINT`].
pub struct Endpoint;
/// See [`RESOURCE`].
pub struct Resource;
/// See [`AUTHORIZATION`].
pub struct Authorization;

impl AnswerStyle for Authorization {
    fn failure(&self, _exchange: &Exchange, reason: &Reason) -> Response {
        if let Some(Redirected { location, .. }) = reason.detail::<Redirected>() {
            return see_other(location);
        }
        let error = endpoint_error(reason);
        let told = error.description.as_ref().map_or("The request cannot be answered", |text| text.as_str());
        let page = pages::error(reason.status, told, error.code.as_str());
        finished(page, &reason.challenges, reason.retry_after)
    }

    fn abort(&self, _exchange: &Exchange, abort: &Abort) -> Response {
        let told = match abort.status {
            StatusCode::SERVICE_UNAVAILABLE => "This is not to be had for the moment: try again in a few seconds",
            _ => "Something is broken here, and those who run it will see it in their log",
        };
        finished(pages::error(abort.status, told, fault(abort).code.as_str()), &[], abort.retry_after)
    }
}

impl AnswerStyle for Endpoint {
    fn failure(&self, _exchange: &Exchange, reason: &Reason) -> Response {
        told(reason.status, &endpoint_error(reason), &reason.challenges, reason.retry_after)
    }

    fn abort(&self, _exchange: &Exchange, abort: &Abort) -> Response {
        told(abort.status, &fault(abort), &[], abort.retry_after)
    }

    fn refuses_repeated_parameters(&self) -> bool {
        true
    }
}

impl AnswerStyle for Resource {
    fn failure(&self, exchange: &Exchange, reason: &Reason) -> Response {
        // What `require` misses in a request is absent too, but without a challenge that is a request like any other.
        if reason.absent && !reason.challenges.is_empty() && reason.detail::<Detail>().is_none() {
            // Section 3: no credentials, no error code; there is nothing to tell but the challenges.
            return finished(no_store(Response::new(reason.status)), &reason.challenges, reason.retry_after);
        }
        match reason.detail::<Error>() {
            Some(error) => told(reason.status, error, &reason.challenges, reason.retry_after),
            None => PlainAnswers.failure(exchange, reason),
        }
    }

    fn abort(&self, exchange: &Exchange, abort: &Abort) -> Response {
        if [STORE_UNAVAILABLE, STORE_BROKEN].contains(&abort.code) {
            return told(abort.status, &fault(abort), &[], abort.retry_after);
        }
        PlainAnswers.abort(exchange, abort)
    }
}

/// A JSON answer (UTF-8, as RFC 8259 says), never to be kept by a cache.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_vec(body).expect("our answers are objects with text for names");
    let mut response = no_store(Response::new(status));
    response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.body = Bytes::from(text).into();
    response
}

/// The answer, never to be kept by a cache (RFC 6749, section 5.1).
pub(super) fn no_store(mut response: Response) -> Response {
    response.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

fn told(status: StatusCode, error: &Error, challenges: &[HeaderValue], retry_after: Option<u32>) -> Response {
    finished(json(status, error), challenges, retry_after)
}

fn finished(mut response: Response, challenges: &[HeaderValue], retry_after: Option<u32>) -> Response {
    for challenge in challenges {
        response.headers.append(WWW_AUTHENTICATE, challenge.clone());
    }
    if let Some(seconds) = retry_after {
        response.headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// A failure in OAuth's words. The message of a reason is for the log; only what is meant for the client becomes its
/// description.
fn endpoint_error(reason: &Reason) -> Error {
    if let Some(error) = reason.detail::<Error>() {
        return error.clone();
    }
    if let Some(Redirected { error, .. }) = reason.detail::<Redirected>() {
        return error.clone();
    }
    if let Some(detail) = reason.detail::<Detail>() {
        return Error::new(nearest(reason), detail.0.clone());
    }
    match reason.code {
        MISSING_VALUE => Error::invalid_request("A required parameter is missing"),
        BAD_REQUEST => Error::invalid_request("The request is malformed or a parameter is repeated"),
        BODY_TOO_LARGE => Error::invalid_request("The body is too large"),
        METHOD_NOT_ALLOWED => Error::invalid_request("The method is not allowed here"),
        NO_CASE | WRONG_TYPE => Error::invalid_request("A parameter has a value that is not allowed"),
        NOT_FOUND => Error::invalid_request("There is nothing here"),
        _ => nearest(reason).into(),
    }
}

/// The code that says most nearly what the status says.
fn nearest(reason: &Reason) -> ErrorCode {
    match reason.status {
        StatusCode::UNAUTHORIZED => ErrorCode::InvalidClient,
        StatusCode::FORBIDDEN => ErrorCode::AccessDenied,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => ErrorCode::TemporarilyUnavailable,
        status if status.is_server_error() => ErrorCode::ServerError,
        _ => ErrorCode::InvalidRequest,
    }
}

fn fault(abort: &Abort) -> Error {
    match abort.status {
        StatusCode::SERVICE_UNAVAILABLE => Error::new(ErrorCode::TemporarilyUnavailable, "Try again later"),
        _ => ErrorCode::ServerError.into(),
    }
}
