//! What a gateway says about the request that it passes on (RFC 7239, and the older `X-Forwarded-*`; RFC 9110, section 7.6.3; W3C Trace
//! Context), and about the answer.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};

use policy::Request;
use policy::exchange::TRACEPARENT;
use policy::ports::Fields;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the gateway alone says. `Via` is a list that it adds to.
static OWN: [HeaderName; 7] =
    [X_REAL_IP, X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST, header::FORWARDED, X_REQUEST_ID, TRACEPARENT];

/// The request's headers as the upstream gets them, beside what the gateway says itself; without `Host`. The listener has taken off what a
/// client may not say (those names are among it), and the upstream's connection takes off what belongs to a connection.
pub(super) fn request_headers(request: &Request) -> (HeaderMap, Fields) {
    let mut headers = request.headers.clone();
    let gone = request.headers.keys().filter(|name| **name == header::HOST || OWN.contains(name));
    gone.for_each(|name| drop(headers.remove(name)));
    if let Some(left) = passages_left(request) {
        headers.insert(header::MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
    }
    (headers, own_fields(request))
}

/// How often an `OPTIONS` may still be passed on (RFC 9110, section 7.6.2); `None` where nobody says.
pub(super) fn passages_left(request: &Request) -> Option<u32> {
    if request.method != Method::OPTIONS {
        return None;
    }
    let digits = request.headers.get(header::MAX_FORWARDS)?.to_str().ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u32::MAX))
}

fn own_fields(request: &Request) -> Fields {
    let mut own = Fields::with_capacity(400 + 2 * request.host.len());
    let client = own.put(&X_REAL_IP, |to| write_address(to, request.client));
    own.put(&X_FORWARDED_FOR, |to| {
        to.extend_from_within(client);
        // The proxies that it came through.
        for proxy in &request.proxies {
            to.push_str(", ");
            write_address(to, *proxy);
        }
    });
    own.put(&X_FORWARDED_PROTO, |to| to.push_str(request.scheme));
    own.put(&X_FORWARDED_HOST, |to| to.push_str(&request.host));
    own.put(&header::FORWARDED, |to| write_forwarded(to, request));
    if !request.id.is_empty() {
        own.put(&X_REQUEST_ID, |to| to.push_str(&request.id));
    }
    if let Some(trace) = &request.trace {
        own.put(&TRACEPARENT, |to| trace.write_traceparent(to));
    }
    own.put(&header::VIA, |to| to.push_str(passage(request.version)));
    own
}

/// That an answer passed here (RFC 9110, section 7.6.3).
pub(super) fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(passage(version))
}

/// What `Via` says of a message that came in this version. The name is one that tells nobody's host.
fn passage(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0 portcullis",
        Version::HTTP_2 => "2 portcullis",
        _ => "1.1 portcullis",
    }
}

/// The value of `Forwarded` (RFC 7239, section 4).
fn write_forwarded(to: &mut String, request: &Request) {
    write_for(to, request.client);
    // The host is quoted for the sake of its port. One that cannot be as it is goes without.
    if !request.host.contains(['"', '\\']) {
        for piece in [";host=\"", &request.host, "\""] {
            to.push_str(piece);
        }
    }
    to.push_str(";proto=");
    to.push_str(request.scheme);
    // Each proxy is whom the next one, at last the gateway, got the request from.
    for proxy in &request.proxies {
        to.push_str(", ");
        write_for(to, *proxy);
    }
}

/// `for=`, with an IPv6 address in brackets, and quoted for the sake of its colons.
fn write_for(to: &mut String, ip: IpAddr) {
    let (before, after) = if ip.to_canonical().is_ipv6() { ("for=\"[", "]\"") } else { ("for=", "") };
    to.push_str(before);
    write_address(to, ip);
    to.push_str(after);
}

fn write_address(to: &mut String, ip: IpAddr) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => write_octets(to, ip.octets()),
        // Writing to a String cannot fail.
        IpAddr::V6(ip) => drop(write!(to, "{ip}")),
    }
}

/// An IPv4 address as its `Display` has it, in a tenth of the time: one is written for each request.
fn write_octets(text: &mut String, octets: [u8; 4]) {
    for (n, octet) in octets.into_iter().enumerate() {
        if n > 0 {
            text.push('.');
        }
        let digit = |of: u8| char::from(b'0' + of % 10);
        if octet >= 100 {
            text.push(digit(octet / 100));
        }
        if octet >= 10 {
            text.push(digit(octet / 10));
        }
        text.push(digit(octet));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use policy::Body;
    use policy::exchange::TraceContext;

    use super::*;

    fn request(headers: &[(&'static str, &'static str)]) -> Request {
        let mut request = Request::new(Method::GET, "/", Body::Empty);
        request.client = [203, 0, 113, 9].into();
        request.host = "api.example.com:8443".into();
        request.scheme = "https";
        request.id = Arc::from("r-1");
        for (name, value) in headers {
            request.headers.append(*name, HeaderValue::from_static(value));
        }
        request
    }

    fn all(request: &Request) -> HeaderMap {
        let (mut headers, fields) = request_headers(request);
        headers.extend(fields.iter());
        headers
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
        assert_eq!(written(&all(&other)), OWN);
    }

    #[test]
    fn everything_else_reaches_the_upstream_as_it_came() {
        let kept =
            [("accept", "a"), ("accept", "b"), ("authorization", "Bearer x"), ("via", "1.1 edge"), ("x-fo", "1")];
        let out = written(&all(&request(&kept)));
        for (name, value) in kept {
            assert!(out.contains(&format!("{name}: {value}")), "{name}: {value} in {out:#?}");
        }
        assert_eq!(out.len(), OWN.len() + kept.len());
    }

    #[test]
    fn what_is_believed_of_the_way_here_goes_on_and_the_last_hop_with_it() {
        let mut seen = request(&[("traceparent", "forged"), ("tracestate", "a=1")]);
        seen.proxies = vec![[10, 0, 0, 2].into(), [0xfd00, 0, 0, 0, 0, 0, 0, 1].into()];
        seen.version = http::Version::HTTP_2;
        let (trace_id, span_id) = ([0xab; 16], [0xcd; 8]);
        seen.trace = Some(TraceContext { trace_id, span_id, parent_id: None, sampled: true });
        let out = all(&seen);
        assert_eq!(out["x-forwarded-for"], "203.0.113.9, 10.0.0.2, fd00::1");
        assert_eq!(out["x-real-ip"], "203.0.113.9");
        let first = "for=203.0.113.9;host=\"api.example.com:8443\";proto=https";
        assert_eq!(out["forwarded"], format!("{first}, for=10.0.0.2, for=\"[fd00::1]\""));
        assert_eq!(out["traceparent"], "00-abababababababababababababababab-cdcdcdcdcdcdcdcd-01");
        assert_eq!((&out["tracestate"], &out["via"]), (&"a=1".parse().unwrap(), &"2 portcullis".parse().unwrap()));
    }

    #[test]
    fn an_ipv4_peer_is_written_as_it_reads() {
        for octets in [[0, 0, 0, 0], [1, 20, 103, 255], [100, 9, 10, 99], [255, 255, 255, 255]] {
            let mut seen = request(&[]);
            seen.client = octets.into();
            assert_eq!(all(&seen)["x-real-ip"], seen.client.to_string());
        }
    }

    #[test]
    fn an_ipv6_peer_is_written_as_rfc_7239_says() {
        let mut seen = request(&[]);
        seen.client = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into();
        seen.host = "[::1]:8080".into();
        let out = all(&seen);
        assert_eq!(out["forwarded"], "for=\"[2001:db8::1]\";host=\"[::1]:8080\";proto=https");
        assert_eq!(out["x-forwarded-for"], "2001:db8::1");
        assert_eq!(out["x-forwarded-host"], "[::1]:8080");
    }

    #[test]
    fn a_host_that_would_end_its_quotes_is_left_out() {
        let mut seen = request(&[]);
        seen.host = "a\";for=10.0.0.1".into();
        assert_eq!(all(&seen)["forwarded"], "for=203.0.113.9;proto=https");
    }
}
