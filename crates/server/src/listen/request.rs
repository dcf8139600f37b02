//! From what hyper parsed to the engine's request: checked, in one form, and without anything that only the gateway may say.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use hyper::body::Incoming;
use policy::exchange::path;
use policy::{Body, Request, Response};

use super::address::Address;
use super::client::Caller;
use super::{body, headers, host};
use crate::hop;
use crate::settings::ClientLimits;

/// Why a request is refused before any policy sees it. The words go to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) detail: &'static str,
}

impl Refused {
    const fn bad(detail: &'static str) -> Self {
        Refused { status: StatusCode::BAD_REQUEST, detail }
    }

    /// The answer: problem details (RFC 9457), and an end to the connection, since what follows on it is as doubtful.
    pub(crate) fn response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let text = format!(
            "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{},\"detail\":\"{}\"}}",
            self.status.as_u16(),
            self.detail
        );
        let mut response = Response::new(self.status);
        response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        response.body = text.into();
        response
    }
}

/// Where a request came in.
pub(super) struct Arrival<'a> {
    pub(super) caller: &'a Caller,
    /// The address that the listener has: the host of HTTP/1.0 requests that name none.
    pub(super) local: &'a Address,
    pub(super) listener: &'a Arc<str>,
    pub(super) id: Arc<str>,
    /// The listener's limits.
    pub(super) limits: &'a ClientLimits,
    /// Where the body tells that it was not read to its end.
    pub(super) unread: &'a body::Unread,
}

/// The request for the engine.
pub(super) fn receive(request: http::Request<Incoming>, arrival: Arrival<'_>) -> Result<Request, Refused> {
    let (parts, incoming) = request.into_parts();
    // Before the head is looked at: the body of a request that is refused is not read either.
    let body = body::receive_and_tell(incoming, arrival.limits.body_timeout, arrival.unread);
    let mut received = head(parts, arrival)?;
    received.body = policy::exchange::RequestBody::Stream(body);
    Ok(received)
}

fn head(parts: http::request::Parts, arrival: Arrival<'_>) -> Result<Request, Refused> {
    let http::request::Parts { method, uri, version, mut headers, .. } = parts;
    check_target(&method, &uri, scheme(arrival.caller.secure))?;
    check_framing(&headers)?;
    let host = host::authority(&uri, &headers, version).map_err(Refused::bad)?;
    if version == Version::HTTP_2 {
        join_cookies(&mut headers);
    }
    let path = normal(uri.path(), &mut headers)?;
    let mut request = Request::new(method, path, Body::Empty);
    request.query = uri.query().map(str::to_owned);
    request.version = version;
    request.headers = headers;
    request.host = host.unwrap_or_else(|| match arrival.local.tcp() {
        Some(address) => address.to_string(),
        None => String::from("localhost"),
    });
    request.scheme = scheme(arrival.caller.secure);
    request.peer = arrival.caller.peer;
    request.certificate = arrival.caller.certificate.clone();
    request.listener = arrival.listener.clone();
    request.id = arrival.id;
    Ok(request)
}

fn scheme(secure: bool) -> &'static str {
    if secure { "https" } else { "http" }
}

/// The path in its normal form; and the headers without what is the connection's, or the gateway's to say.
fn normal(path: &str, headers: &mut HeaderMap) -> Result<String, Refused> {
    let path = path::normalise(path).map_err(|why| Refused::bad(why.message()))?;
    hop::strip(headers);
    headers::strip_forged(headers);
    Ok(path)
}

/// The same for the request of a policy's test, which comes over no connection. The words are for the test's author.
pub(crate) fn as_received(request: &mut Request) -> Result<(), String> {
    let refused = |refused: Refused| format!("{} ({})", refused.status.as_u16(), refused.detail);
    check_target(&request.method, &http::Uri::default(), request.scheme).map_err(refused)?;
    request.path = normal(&request.path, &mut request.headers).map_err(refused)?;
    request.host.make_ascii_lowercase();
    Ok(())
}

fn check_target(method: &Method, uri: &http::Uri, scheme: &str) -> Result<(), Refused> {
    // TRACE would send a caller's credentials back to whatever made the caller ask.
    let detail = match *method {
        Method::CONNECT => Some("CONNECT is not served here"),
        Method::TRACE => Some("TRACE is not served here"),
        _ => None,
    };
    if let Some(detail) = detail {
        return Err(Refused { status: StatusCode::NOT_IMPLEMENTED, detail });
    }
    // A target of another scheme is meant for somebody else.
    match uri.scheme_str() {
        None => Ok(()),
        Some(asked) if asked == scheme => Ok(()),
        Some(_) => Err(Refused {
            status: StatusCode::MISDIRECTED_REQUEST,
            detail: "the request target is not for this server",
        }),
    }
}

/// One `Cookie` of those that HTTP/2 lets a client send apart (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut apart = headers.get_all(header::COOKIE).iter();
    if let (Some(first), Some(second)) = (apart.next(), apart.next()) {
        let all: Vec<&[u8]> = [first, second].into_iter().chain(apart).map(HeaderValue::as_bytes).collect();
        if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
            headers.insert(header::COOKIE, joined);
        }
    }
}

/// hyper has taken `Content-Length` off where there is `Transfer-Encoding`, and will close the connection after the answer. What
/// is left to refuse is a coding beside `chunked`.
fn check_framing(headers: &HeaderMap) -> Result<(), Refused> {
    match hop::is_framed_plainly(headers) {
        true => Ok(()),
        false => {
            Err(Refused { status: StatusCode::NOT_IMPLEMENTED, detail: "no transfer coding but chunked is known here" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive_head(method: &str, target: &str, headers: &[(&'static str, &'static str)]) -> Result<Request, Refused> {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let arrival = Arrival {
            caller: &Caller { peer: ([127, 0, 0, 1], 5).into(), secure: false, certificate: None },
            local: &Address::Tcp(([127, 0, 0, 1], 8080).into()),
            listener: &Arc::from("public"),
            id: Arc::from("id"),
            limits: &ClientLimits::default(),
            unread: &body::Unread::default(),
        };
        head(parts, arrival)
    }

    #[test]
    fn a_request_comes_through() {
        let request = receive_head(
            "GET",
            "/a/%7eb?x=%7e&y",
            &[
                ("host", "Example.com"),
                ("x-forwarded-for", "1.2.3.4"),
                ("x-api-key", "k"),
                ("connection", "x-client"),
                ("x-client", "forged"),
            ],
        )
        .unwrap();
        assert_eq!((request.path.as_str(), request.query.as_deref()), ("/a/~b", Some("x=%7e&y")));
        assert_eq!(request.host, "example.com");
        assert_eq!((&*request.listener, &*request.id), ("public", "id"));
        let names: Vec<_> = request.headers.keys().map(|n| n.as_str()).collect();
        assert_eq!(names, ["host", "x-api-key"]);
    }

    #[test]
    fn what_is_refused() {
        let host = ("host", "a");
        for (method, target, headers, status) in [
            ("GET", "/a/../b", &[host][..], 400),
            ("GET", "/", &[], 400),
            ("GET", "/", &[host, host], 400),
            ("OPTIONS", "*", &[host], 400),
            ("CONNECT", "a:443", &[host], 501),
            ("TRACE", "/", &[host], 501),
            ("GET", "https://a/", &[host], 421),
            ("POST", "/", &[host, ("transfer-encoding", "gzip, chunked")], 501),
            ("POST", "/", &[host, ("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")], 501),
        ] {
            let refused = receive_head(method, target, headers).err().unwrap_or_else(|| panic!("{method} {target}"));
            assert_eq!(refused.status.as_u16(), status, "{method} {target}");
        }
        assert!(receive_head("POST", "/", &[host, ("transfer-encoding", "Chunked")]).is_ok());
        assert!(receive_head("GET", "http://a/x", &[host]).is_ok());
    }
}
