//! From what hyper parsed to the engine's request: checked, in one form, and without anything that only the gateway may say.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use hyper::body::Incoming;
use policy::exchange::{Asked, TRACESTATE, TraceContext, has_good_tracestate, path};
use policy::settings::Network;
use policy::{Body, Request, Response};

use super::address::Address;
use super::client::Caller;
use super::id::RequestId;
use super::{body, forwarded, headers, host, loops, upgrade};
use crate::hop;
use crate::metrics::ListenerMetrics;
use crate::settings::ClientLimits;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

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

const TOO_MANY_FIELDS: Refused =
    Refused { status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail: "the request has too many header fields" };

/// RFC 9110, section 9.3.7.
const THE_SERVER: Refused =
    Refused::bad("the target `*` asks about the server as a whole, for which nothing answers here");

const LOOP: Refused = Refused {
    status: StatusCode::LOOP_DETECTED,
    detail: "the request has come round: an upstream leads back to the gateway",
};

/// Where a request came in.
pub(super) struct Arrival<'a> {
    pub(super) caller: &'a Caller,
    /// The address that the listener has: the host of HTTP/1.0 requests that name none.
    pub(super) local: &'a Address,
    pub(super) listener: &'a Arc<str>,
    pub(super) id: RequestId,
    /// `trusted_proxies`.
    pub(super) trusted: &'a [Network],
    /// The listener's limits.
    pub(super) limits: &'a ClientLimits,
    /// The listener's, of which the bytes of bodies are counted.
    pub(super) counters: &'a Arc<ListenerMetrics>,
    /// Where the body tells that it was not read to its end.
    pub(super) unread: &'a body::Unread,
}

/// The request for the engine.
pub(super) fn receive(request: http::Request<Incoming>, arrival: Arrival<'_>) -> Result<Box<Request>, Refused> {
    let (parts, incoming) = request.into_parts();
    // Before the head is looked at: the body of a request that is refused is not read either.
    let counters = Some(arrival.counters);
    // Who waits to be told to go on is not to be told so, and over HTTP/2 the other streams need nothing of it.
    let empties = parts.version != Version::HTTP_2 && !parts.headers.contains_key(header::EXPECT);
    let body = body::receive_and_tell(incoming, arrival.limits.body_timeout, empties, arrival.unread, counters);
    let mut received = head(parts, arrival)?;
    received.body = policy::exchange::RequestBody::Stream(body);
    Ok(received)
}

fn head(parts: http::request::Parts, arrival: Arrival<'_>) -> Result<Box<Request>, Refused> {
    let http::request::Parts { method, uri, version, mut headers, .. } = parts;
    let peer = arrival.caller.peer.ip().to_canonical();
    let trusted = forwarded::is_trusted(peer, arrival.trusted);
    // Over HTTP/2 in the clear, a proxy that ended TLS passes on the scheme that its client used.
    let own = [scheme(arrival.caller.secure)];
    check_target(&method, &uri, if trusted { &["http", "https"] } else { &own })?;
    check_framing(&headers)?;
    if loops::is_in_one(&headers) {
        return Err(LOOP);
    }
    let host = host::authority(&uri, &headers, version).map_err(Refused::bad)?;
    let believed = match trusted {
        true => Some(Believed::take(&mut headers, peer, &arrival)?),
        false => None,
    };
    let upgrade = match version == Version::HTTP_11 {
        true => upgrade::asked(&headers),
        false => None,
    };
    if version == Version::HTTP_2 {
        as_http1_has_it(&mut headers, host.as_deref());
        // Over HTTP/1.1 hyper counts them.
        if headers.len() > arrival.limits.header_count {
            return Err(TOO_MANY_FIELDS);
        }
    }
    let path = normal(uri.path(), &mut headers)?;
    let host = host.unwrap_or_else(|| match arrival.local.tcp() {
        Some(address) => address.to_string(),
        None => String::from("localhost"),
    });
    let (id, trace) = match &believed {
        Some(believed) => (believed.id.clone().unwrap_or_else(|| arrival.id.text()), believed.trace.clone()),
        None => (arrival.id.text(), None),
    };
    let asked = Asked { host, listener: arrival.listener.clone(), id };
    let mut request = Box::new(Request::asked(method, path, Body::Empty, asked));
    request.trace = Some(trace.unwrap_or_else(|| arrival.id.trace()));
    request.query = uri.query().map(str::to_owned);
    request.version = version;
    request.headers = headers;
    request.upgrade = upgrade;
    request.scheme = scheme(arrival.caller.secure);
    request.peer = arrival.caller.peer;
    request.client = peer;
    request.certificate = arrival.caller.certificate.clone();
    if let Some(believed) = believed {
        believed.tell(&mut request);
    }
    Ok(request)
}

/// What a trusted proxy says of the request.
struct Believed {
    told: forwarded::Told,
    id: Option<Arc<str>>,
    trace: Option<TraceContext>,
    state: Vec<HeaderValue>,
}

impl Believed {
    /// Reads it before it is taken off the headers.
    fn take(headers: &mut HeaderMap, peer: IpAddr, arrival: &Arrival<'_>) -> Result<Believed, Refused> {
        let told = forwarded::told(headers, peer, arrival.trusted).map_err(Refused::bad)?;
        let mut ids = headers.get_all(X_REQUEST_ID).iter();
        let id = match (ids.next(), ids.next()) {
            (Some(id), None) => id.to_str().ok().filter(|id| is_id(id)).map(Arc::from),
            _ => None,
        };
        let trace = TraceContext::received(headers, arrival.id.span());
        let state = match trace.is_some() && has_good_tracestate(headers) {
            true => headers.get_all(TRACESTATE).iter().cloned().collect(),
            false => Vec::new(),
        };
        Ok(Believed { told, id, trace, state })
    }

    fn tell(self, request: &mut Request) {
        let forwarded::Told { client, proxies, scheme, host } = self.told;
        request.client = client.unwrap_or(request.client);
        request.proxies = proxies;
        request.scheme = scheme.unwrap_or(request.scheme);
        if let Some(host) = host {
            request.host = host;
        }
        for state in self.state {
            request.headers.append(TRACESTATE, state);
        }
    }
}

/// Whether an identifier can stand in a log and in a header as it is.
fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/+=@".contains(&b))
}

fn scheme(secure: bool) -> &'static str {
    if secure { "https" } else { "http" }
}

/// The path in its normal form; and the headers without what is the connection's, or the gateway's to say.
fn normal(path: &str, headers: &mut HeaderMap) -> Result<String, Refused> {
    if path == "*" {
        return Err(THE_SERVER);
    }
    let path = path::normalise(path).map_err(|why| Refused::bad(why.message()))?;
    hop::strip_request(headers);
    headers::strip_forged(headers);
    Ok(path)
}

/// The same for the request of a policy's test, which comes over no connection. The words are for the test's author.
pub(crate) fn as_received(request: &mut Request) -> Result<(), String> {
    let refused = |refused: Refused| format!("{} ({})", refused.status.as_u16(), refused.detail);
    request.upgrade = upgrade::asked(&request.headers);
    check_target(&request.method, &http::Uri::default(), &[request.scheme]).map_err(refused)?;
    request.path = normal(&request.path, &mut request.headers).map_err(refused)?;
    request.host.make_ascii_lowercase();
    Ok(())
}

fn check_target(method: &Method, uri: &http::Uri, schemes: &[&str]) -> Result<(), Refused> {
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
        Some(asked) if schemes.contains(&asked) => Ok(()),
        Some(_) => Err(Refused {
            status: StatusCode::MISDIRECTED_REQUEST,
            detail: "the request target is not for this server",
        }),
    }
}

/// `Host`, which HTTP/2 has in the target, and one `Cookie` of those that it lets a client send apart (RFC 9113, section 8.2.3): policies
/// see the same whichever HTTP a client speaks.
fn as_http1_has_it(headers: &mut HeaderMap, host: Option<&str>) {
    if let Some(Ok(host)) = host.map(HeaderValue::from_str) {
        headers.insert(header::HOST, host);
    }
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
    use crate::listen::RequestIds;

    fn receive_head(
        method: &str,
        target: &str,
        headers: &[(&'static str, &'static str)],
    ) -> Result<Box<Request>, Refused> {
        receive_from([127, 0, 0, 1], method, target, headers)
    }

    fn receive_from(
        peer: [u8; 4],
        method: &str,
        target: &str,
        headers: &[(&'static str, &'static str)],
    ) -> Result<Box<Request>, Refused> {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let trusted = ["10.0.0.0/8"].map(|network| Network::parse(network).unwrap());
        let arrival = Arrival {
            caller: &Caller { peer: (peer, 5).into(), secure: false, certificate: None },
            local: &Address::Tcp(([127, 0, 0, 1], 8080).into()),
            listener: &Arc::from("public"),
            id: RequestIds::new(&crate::clock::SystemRandom).next(),
            trusted: &trusted,
            limits: &ClientLimits::default(),
            counters: &Arc::default(),
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
        assert_eq!((&*request.listener, request.id.len()), ("public", 32));
        let names: Vec<_> = request.headers.keys().map(|n| n.as_str()).collect();
        assert_eq!(names, ["host", "x-api-key"]);
    }

    const FROM_A_PROXY: &[(&str, &str)] = &[
        ("host", "inside"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "api.example"),
        ("x-request-id", "edge-7"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "a=1"),
        ("x-plain", "kept"),
    ];

    #[test]
    fn a_trusted_proxy_is_believed() {
        let request = receive_from([10, 0, 0, 1], "GET", "/", FROM_A_PROXY).unwrap();
        assert_eq!((request.client.to_string(), request.proxies.len()), (String::from("1.2.3.4"), 1));
        assert_eq!((request.scheme, request.host.as_str(), &*request.id), ("https", "api.example", "edge-7"));
        let trace = request.trace.unwrap();
        assert_eq!((trace.trace_id[0], trace.parent_id.is_some(), trace.sampled), (0x4b, true, true));
        let names: Vec<_> = request.headers.keys().map(|n| n.as_str()).collect();
        assert_eq!(names, ["host", "x-plain", "tracestate"]);
    }

    #[test]
    fn a_trusted_proxy_may_pass_on_the_scheme_of_its_client() {
        let asked = |peer, target| receive_from(peer, "GET", target, &[("host", "a")]).map(|request| request.scheme);
        assert_eq!(asked([10, 0, 0, 1], "https://a/"), Ok("http"), "what it says of the client is in headers");
        assert_eq!(asked([10, 0, 0, 1], "ftp://a/").map_err(|refused| refused.status.as_u16()), Err(421));
        assert_eq!(asked([11, 0, 0, 1], "https://a/").map_err(|refused| refused.status.as_u16()), Err(421));
    }

    #[test]
    fn nobody_else_is() {
        let request = receive_head("GET", "/", FROM_A_PROXY).unwrap();
        assert_eq!((request.client.to_string(), request.proxies.len()), (String::from("127.0.0.1"), 0));
        assert_eq!((request.scheme, request.host.as_str(), request.id.len()), ("http", "inside", 32));
        let trace = request.trace.unwrap();
        assert!(trace.trace_id[0] != 0x4b || trace.parent_id.is_none());
        let names: Vec<_> = request.headers.keys().map(|n| n.as_str()).collect();
        assert_eq!(names, ["host", "x-plain"]);
    }

    #[test]
    fn what_a_proxy_says_that_cannot_be_used_is_made_anew_or_refused() {
        for (name, value) in [("x-request-id", "a b"), ("x-request-id", ""), ("x-request-id", "\u{e4}")] {
            let request = receive_from([10, 0, 0, 1], "GET", "/", &[("host", "a"), (name, value)]).unwrap();
            assert_eq!(request.id.len(), 32, "{value}");
        }
        let broken = [("host", "a"), ("traceparent", "00-x"), ("tracestate", "a=1")];
        let request = receive_from([10, 0, 0, 1], "GET", "/", &broken).unwrap();
        assert!(request.trace.unwrap().parent_id.is_none() && !request.headers.contains_key("tracestate"));
        let refused = receive_from([10, 0, 0, 1], "GET", "/", &[("host", "a"), ("forwarded", "for=\"")]);
        assert_eq!(refused.err().map(|refused| refused.status.as_u16()), Some(400));
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
        let passed = |times| std::iter::repeat_n(("via", "1.1 portcullis"), times).chain([host]).collect::<Vec<_>>();
        assert!(receive_head("GET", "/", &passed(7)).is_ok());
        assert_eq!(receive_head("GET", "/", &passed(8)).err().map(|refused| refused.status.as_u16()), Some(508));
        let whole = receive_head("OPTIONS", "*", &[host]).err();
        assert!(whole.is_some_and(|refused| refused.detail.contains("`*`")));
        assert!(receive_head("POST", "/", &[host, ("transfer-encoding", "Chunked")]).is_ok());
        assert!(receive_head("GET", "http://a/x", &[host]).is_ok());
    }
}
