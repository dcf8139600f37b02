//! What a gateway says about the request that it passes on (RFC 7239, and the older `X-Forwarded-*`).

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use policy::Request;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The request's headers as the upstream gets them; without `Host`. The listener has taken off what a client may not say
/// (the names below are among it), and the upstream's connection takes off what belongs to a connection.
pub(super) fn request_headers(request: &Request) -> HeaderMap {
    // The 7 fields written below.
    let mut out = HeaderMap::with_capacity(request.headers.len() + 7);
    for (name, value) in &request.headers {
        if *name != header::HOST {
            out.append(name, value.clone());
        }
    }
    write_forwarding(request, &mut out);
    out
}

fn write_forwarding(request: &Request, out: &mut HeaderMap) {
    let Forwarding { address, host, all } = Forwarding::of(request);
    if let Some(address) = value(address) {
        out.insert(X_FORWARDED_FOR, address.clone());
        out.insert(X_REAL_IP, address);
    }
    out.insert(X_FORWARDED_PROTO, HeaderValue::from_static(request.scheme));
    for (name, text) in [(X_FORWARDED_HOST, host), (header::FORWARDED, all)] {
        if let Some(value) = value(text) {
            out.insert(name, value);
        }
    }
    if let (false, Ok(id)) = (request.id.is_empty(), HeaderValue::from_str(&request.id)) {
        out.insert(X_REQUEST_ID, id);
    }
    // RFC 9110, section 7.6.3: a gateway must say in each request that it passed here.
    out.append(header::VIA, HeaderValue::from_static("1.1 portcullis"));
}

/// The value of `Forwarded`, and the two parts of it that are values of their own: written once for every request that is
/// proxied, they share one allocation.
struct Forwarding {
    address: Bytes,
    host: Bytes,
    all: Bytes,
}

impl Forwarding {
    /// RFC 7239, section 4: an IPv6 address in brackets, and quoted for the sake of its colons; a host likewise for its port.
    fn of(request: &Request) -> Forwarding {
        let ip = request.peer.ip().to_canonical();
        let (before, after) = if ip.is_ipv6() { ("for=\"[", "]\"") } else { ("for=", "") };
        let mut text = String::with_capacity(80 + request.host.len());
        text.push_str(before);
        // Writing to a String cannot fail.
        let _ = write!(text, "{ip}");
        let address = before.len()..text.len();
        text.push_str(after);
        // A host that cannot be quoted as it is goes without.
        let host = (!request.host.contains(['"', '\\'])).then(|| {
            text.push_str(";host=\"");
            let from = text.len();
            text.push_str(&request.host);
            let host = from..text.len();
            text.push('"');
            host
        });
        text.push_str(";proto=");
        text.push_str(request.scheme);
        let all = Bytes::from(text);
        let host = host.map_or_else(|| Bytes::copy_from_slice(request.host.as_bytes()), |host| all.slice(host));
        Forwarding { address: all.slice(address), host, all }
    }
}

fn value(text: Bytes) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(text).ok()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use http::Method;
    use policy::Body;

    use super::*;

    fn request(headers: &[(&'static str, &'static str)]) -> Request {
        let mut request = Request::new(Method::GET, "/", Body::Empty);
        request.peer = SocketAddr::from(([203, 0, 113, 9], 1234));
        request.host = "api.example.com:8443".into();
        request.scheme = "https";
        request.id = Arc::from("r-1");
        for (name, value) in headers {
            request.headers.append(*name, HeaderValue::from_static(value));
        }
        request
    }

    fn written(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<_> = headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().expect("ASCII"))).collect();
        lines.sort();
        lines
    }

    const OWN: &[&str] = &[
        "forwarded: for=203.0.113.9;host=\"api.example.com:8443\";proto=https",
        "via: 1.1 portcullis",
        "x-forwarded-for: 203.0.113.9",
        "x-forwarded-host: api.example.com:8443",
        "x-forwarded-proto: https",
        "x-real-ip: 203.0.113.9",
        "x-request-id: r-1",
    ];

    #[test]
    fn what_the_gateway_says_replaces_what_is_there() {
        let other = request(&[
            ("host", "evil.example"),
            ("forwarded", "for=10.0.0.1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-host", "evil.example"),
            ("x-real-ip", "10.0.0.1"),
            ("x-request-id", "forged"),
        ]);
        assert_eq!(written(&request_headers(&other)), OWN);
    }

    #[test]
    fn everything_else_reaches_the_upstream_as_it_came() {
        let kept =
            [("accept", "a"), ("accept", "b"), ("authorization", "Bearer x"), ("via", "1.1 edge"), ("x-fo", "1")];
        let out = written(&request_headers(&request(&kept)));
        for (name, value) in kept {
            assert!(out.contains(&format!("{name}: {value}")), "{name}: {value} in {out:#?}");
        }
        assert_eq!(out.len(), OWN.len() + kept.len());
    }

    #[test]
    fn an_ipv6_peer_is_written_as_rfc_7239_says() {
        let mut seen = request(&[]);
        seen.peer = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 1));
        seen.host = "[::1]:8080".into();
        let out = request_headers(&seen);
        assert_eq!(out["forwarded"], "for=\"[2001:db8::1]\";host=\"[::1]:8080\";proto=https");
        assert_eq!(out["x-forwarded-for"], "2001:db8::1");
        assert_eq!(out["x-forwarded-host"], "[::1]:8080");
    }

    #[test]
    fn a_host_that_would_end_its_quotes_is_left_out() {
        let mut seen = request(&[]);
        seen.host = "a\";for=10.0.0.1".into();
        assert_eq!(request_headers(&seen)["forwarded"], "for=203.0.113.9;proto=https");
    }
}
