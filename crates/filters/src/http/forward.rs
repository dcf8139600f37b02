//! What of a message goes on to its other side: everything but the fields of one connection (RFC 9110, section 7.6.1), and
//! on the way to the upstream nothing that claims to come from a gateway.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use policy::Request;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The request's headers as the upstream gets them; without `Host`.
pub(super) fn request_headers(request: &Request) -> HeaderMap {
    let named = named_by_connection(&request.headers);
    // 8: the fields written below.
    let mut out = HeaderMap::with_capacity(request.headers.len() + 8);
    for (name, value) in &request.headers {
        if !is_hop_by_hop(name) && !is_ours(name) && !named.contains(name) {
            out.append(name.clone(), value.clone());
        }
    }
    write_forwarding(request, &mut out);
    out
}

/// The answer's headers as the client gets them. `Content-Length` is written by the listener from the body; only where there
/// is none to count (HEAD, 304) does the upstream's own word stay.
pub(super) fn response_headers(mut headers: HeaderMap, bodiless: bool) -> HeaderMap {
    for name in named_by_connection(&headers) {
        headers.remove(name);
    }
    let hop_by_hop: Vec<_> = headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    for name in hop_by_hop {
        if !(bodiless && name == header::CONTENT_LENGTH) {
            headers.remove(name);
        }
    }
    headers
}

/// Takes the names of these fields out of the request's `Connection`. Otherwise a client could have a field dropped that the
/// gateway has set, by naming it there.
pub(super) fn detach_from_connection(headers: &mut HeaderMap, set: &[HeaderName]) {
    if !headers.contains_key(header::CONNECTION) {
        return;
    }
    let kept: Vec<_> =
        options(headers).filter(|option| !set.iter().any(|name| option.eq_ignore_ascii_case(name.as_str()))).collect();
    let kept = kept.join(", ");
    match HeaderValue::from_str(&kept) {
        Ok(value) if !kept.is_empty() => headers.insert(header::CONNECTION, value),
        _ => headers.remove(header::CONNECTION),
    };
}

fn write_forwarding(request: &Request, out: &mut HeaderMap) {
    let ip = request.peer.ip().to_canonical();
    let mut write = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            out.insert(name, value);
        }
    };
    let address = ip.to_string();
    write(X_FORWARDED_FOR, &address);
    write(X_REAL_IP, &address);
    write(X_FORWARDED_PROTO, request.scheme);
    write(X_FORWARDED_HOST, &request.host);
    write(header::FORWARDED, &forwarded(ip, &request.host, request.scheme));
    if !request.id.is_empty() {
        write(X_REQUEST_ID, &request.id);
    }
    // RFC 9110, section 7.6.3: a gateway must say in each request that it passed here.
    out.append(header::VIA, HeaderValue::from_static("1.1 portcullis"));
}

/// RFC 7239, section 4: an IPv6 address in brackets, and quoted for the sake of its colons; a host likewise for its port.
fn forwarded(ip: IpAddr, host: &str, scheme: &str) -> String {
    let by = match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("\"[{v6}]\""),
    };
    if host.contains(['"', '\\']) {
        return format!("for={by};proto={scheme}");
    }
    format!("for={by};host=\"{host}\";proto={scheme}")
}

/// Fields of one connection, and those of a message's framing, which are written anew from the message.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONNECTION
            | header::CONTENT_LENGTH
            | header::EXPECT
            | header::PROXY_AUTHENTICATE
            | header::PROXY_AUTHORIZATION
            | header::TE
            | header::TRAILER
            | header::TRANSFER_ENCODING
            | header::UPGRADE
    ) || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}

/// Fields that only a gateway may send. An upstream that makes variables of headers takes `_` for `-`: so do we.
fn is_ours(name: &HeaderName) -> bool {
    if matches!(*name, header::HOST | header::FORWARDED) {
        return true;
    }
    let bytes = name.as_str().as_bytes();
    // No name that begins otherwise is looked at any longer.
    if !bytes.starts_with(b"x") {
        return false;
    }
    let same = |wanted: &[u8], found: &[u8]| {
        wanted.len() == found.len() && wanted.iter().zip(found).all(|(w, f)| w == f || (*w == b'-' && *f == b'_'))
    };
    const PREFIX: &[u8] = b"x-forwarded-";
    bytes.get(..PREFIX.len()).is_some_and(|start| same(PREFIX, start))
        || same(b"x-real-ip", bytes)
        || same(b"x-request-id", bytes)
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    options(headers).filter_map(|option| HeaderName::from_bytes(option.as_bytes()).ok()).collect()
}

fn options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|option| !option.is_empty())
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
    fn nothing_of_the_connection_and_nothing_forged_reaches_the_upstream() {
        let dropped = request(&[
            ("connection", "close, X-Private"),
            ("connection", "x-other"),
            ("x-private", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "Basic eDp5"),
            ("proxy-connection", "keep-alive"),
            ("expect", "100-continue"),
            ("host", "evil.example"),
            ("forwarded", "for=10.0.0.1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-client-cert", "Subject=admin"),
            ("x_forwarded_for", "10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
            ("x_real-ip", "10.0.0.1"),
            ("x-request-id", "forged"),
        ]);
        assert_eq!(written(&request_headers(&dropped)), OWN);
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
        let out = request_headers(&seen);
        assert_eq!(out["forwarded"], "for=\"[2001:db8::1]\";host=\"api.example.com:8443\";proto=https");
        assert_eq!(out["x-forwarded-for"], "2001:db8::1");
    }

    #[test]
    fn a_client_cannot_have_an_injected_field_dropped() {
        let mut headers = request(&[("connection", "close, X-User"), ("connection", "x-tenant")]).headers;
        detach_from_connection(&mut headers, &[HeaderName::from_static("x-user"), HeaderName::from_static("x-tenant")]);
        assert_eq!(written(&headers), ["connection: close"]);
        detach_from_connection(&mut headers, &[HeaderName::from_static("close")]);
        assert_eq!(written(&headers), Vec::<String>::new());
    }

    #[test]
    fn an_answers_length_is_the_upstreams_word_only_where_there_is_no_body() {
        let headers =
            request(&[("content-length", "5"), ("connection", "x-a"), ("x-a", "1"), ("etag", "\"1\"")]).headers;
        assert_eq!(written(&response_headers(headers.clone(), false)), ["etag: \"1\""]);
        assert_eq!(written(&response_headers(headers, true)), ["content-length: 5", "etag: \"1\""]);
    }
}
