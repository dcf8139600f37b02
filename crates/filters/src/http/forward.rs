//! What a gateway says about the request that it passes on (RFC 7239, and the older `X-Forwarded-*`; RFC 9110, section 7.6.3; W3C Trace
//! Context), and about the answer.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::ops::Range;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};

use policy::Request;
use policy::exchange::{TRACEPARENT, TraceContext};
use policy::ports::Fields;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The request's headers as the upstream gets them, beside what the gateway says itself; without `Host`. The listener has taken off what a
/// client may not say (those names are among it), and the upstream's connection takes off what belongs to a connection.
pub(super) fn request_headers(request: &Request) -> (HeaderMap, Fields) {
    let fields = own_fields(request);
    let is_own = |name: &HeaderName| *name != header::VIA && fields.iter().any(|(own, _)| own == name);
    let mut headers = request.headers.clone();
    let gone = request.headers.keys().filter(|name| **name == header::HOST || is_own(name));
    gone.for_each(|name| drop(headers.remove(name)));
    if let Some(left) = passages_left(request) {
        headers.insert(header::MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
    }
    (headers, fields)
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
    let Forwarding { client, hops, host, all } = Forwarding::of(request);
    let mut out = Vec::with_capacity(8);
    let mut put = |name, value: Option<HeaderValue>| out.extend(value.map(|value| (name, value)));
    put(X_REAL_IP, value(client));
    put(X_FORWARDED_FOR, value(hops));
    put(X_FORWARDED_PROTO, Some(HeaderValue::from_static(request.scheme)));
    put(X_FORWARDED_HOST, value(host));
    put(header::FORWARDED, value(all));
    if !request.id.is_empty() {
        put(X_REQUEST_ID, HeaderValue::from_str(&request.id).ok());
    }
    put(TRACEPARENT, request.trace.as_ref().map(TraceContext::traceparent));
    put(header::VIA, Some(via(request.version)));
    out
}

/// That a message passed here (RFC 9110, section 7.6.3), in the version in which it came. The name is one that tells nobody's host.
pub(super) fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_10 => "1.0 portcullis",
        Version::HTTP_2 => "2 portcullis",
        _ => "1.1 portcullis",
    })
}

/// The value of `Forwarded`, and the parts of it that are values of their own: written once for every request that is proxied, they
/// share one allocation. Only behind proxies are the hops a text of their own.
struct Forwarding {
    client: Bytes,
    hops: Bytes,
    host: Bytes,
    all: Bytes,
}

impl Forwarding {
    /// RFC 7239, section 4: an IPv6 address in brackets, and quoted for the sake of its colons; a host likewise for its port.
    fn of(request: &Request) -> Forwarding {
        let mut text = String::with_capacity(80 + request.host.len());
        let client = write_for(&mut text, request.client);
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
        // Each proxy is whom the next one, at last the gateway, got the request from.
        for proxy in &request.proxies {
            text.push_str(", ");
            write_for(&mut text, *proxy);
        }
        let all = Bytes::from(text);
        let client = all.slice(client);
        let hops = if request.proxies.is_empty() { client.clone() } else { hops(request) };
        let host = host.map_or_else(|| Bytes::copy_from_slice(request.host.as_bytes()), |host| all.slice(host));
        Forwarding { client, hops, host, all }
    }
}

/// `for=`, and where the address stands in the text.
fn write_for(text: &mut String, ip: IpAddr) -> Range<usize> {
    let ip = ip.to_canonical();
    let (before, after) = if ip.is_ipv6() { ("for=\"[", "]\"") } else { ("for=", "") };
    text.push_str(before);
    let from = text.len();
    match ip {
        IpAddr::V4(ip) => write_octets(text, ip.octets()),
        // Writing to a String cannot fail.
        IpAddr::V6(ip) => drop(write!(text, "{ip}")),
    }
    let address = from..text.len();
    text.push_str(after);
    address
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

/// The client, and the proxies that it came through.
fn hops(request: &Request) -> Bytes {
    let mut text = request.client.to_canonical().to_string();
    for proxy in &request.proxies {
        // Writing to a String cannot fail.
        let _ = write!(text, ", {}", proxy.to_canonical());
    }
    text.into()
}

fn value(text: Bytes) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(text).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use policy::Body;

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
        headers.extend(fields);
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
