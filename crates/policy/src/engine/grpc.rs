//! Refusals that gRPC clients understand: an answer of trailers alone, which gRPC counts as headers with an end (gRPC over HTTP/2,
//! "Trailers-Only").

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{StatusCode, Version};

use crate::exchange::{Body, Request, Response};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether the request is a gRPC call.
pub(super) fn is_call(request: &Request) -> bool {
    // HTTP/2 only, and what is not asked for costs one comparison.
    request.version == Version::HTTP_2
        && request.headers.get(CONTENT_TYPE).is_some_and(|value| {
            let rest = value.as_bytes().strip_prefix(b"application/grpc");
            rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
        })
}

/// The refusal for such a call: what its client would make of the HTTP status, said in gRPC's words. Other fields stay.
pub(super) fn refusal(mut response: Response) -> Response {
    let status = response.status;
    response.status = StatusCode::OK;
    response.body = Body::Empty;
    response.headers.remove(CONTENT_LENGTH);
    response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response.headers.insert(GRPC_STATUS, HeaderValue::from_static(code(status)));
    // Registered phrases have nothing in them that would have to be encoded.
    let message = status.canonical_reason().unwrap_or("refused");
    response.headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
    response
}

/// gRPC, "HTTP to gRPC Status Code Mapping".
fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        429 | 502 | 503 | 504 => "14",
        _ => "2",
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn calls_are_told_by_their_type() {
        for (version, content_type, call) in [
            (Version::HTTP_2, "application/grpc", true),
            (Version::HTTP_2, "application/grpc+proto", true),
            (Version::HTTP_2, "application/grpc;x=1", true),
            (Version::HTTP_2, "application/grpc-web", false),
            (Version::HTTP_2, "application/json", false),
            (Version::HTTP_11, "application/grpc", false),
        ] {
            let mut request = Request::new(Method::POST, "/", Body::Empty);
            request.version = version;
            request.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            assert_eq!(is_call(&request), call, "{version:?} {content_type}");
        }
    }

    #[test]
    fn a_refusal_is_trailers_only() {
        for (status, code) in [(400, "13"), (401, "16"), (403, "7"), (404, "12"), (413, "2"), (429, "14"), (503, "14")]
        {
            let mut response = Response::new(StatusCode::from_u16(status).expect("a status"));
            response.headers.insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response.body = String::from("{}").into();
            let refusal = refusal(response);
            assert_eq!(
                (refusal.status.as_u16(), &refusal.headers[GRPC_STATUS]),
                (200, &HeaderValue::from_static(code)),
                "{status}"
            );
            assert_eq!(refusal.headers[CONTENT_TYPE], "application/grpc");
            assert!(refusal.headers.contains_key("www-authenticate") && matches!(refusal.body, Body::Empty));
        }
    }
}
