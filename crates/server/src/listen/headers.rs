//! Request headers that only the gateway may set: taken off whatever comes in.

use http::HeaderMap;
use http::header::HeaderName;
use smallvec::SmallVec;

/// Takes off what a client could forge to look like another one: `Forwarded`, `X-Forwarded-*`, `X-Real-IP`, and
/// `X-Request-Id` and the trace context (`traceparent`, `tracestate`), which the gateway makes. Also in the spelling with underscores, which many servers behind a gateway
/// cannot tell from the one with hyphens; and so spelled, fields of a message's frame and of a connection, `Content_Length`
/// and the like: with hyphens those are read and removed elsewhere, and written anew.
pub(crate) fn strip_forged(headers: &mut HeaderMap) {
    let mut forged: SmallVec<[HeaderName; 4]> = SmallVec::new();
    for name in headers.keys() {
        if is_forged(name.as_str()) {
            forged.push(name.clone());
        }
    }
    for name in forged {
        headers.remove(&name);
    }
}

/// Whether it is such a field. Names come in lower case: hyper parsed them.
pub(crate) fn is_forged(name: &str) -> bool {
    if name.contains('_') {
        let name = name.replace('_', "-");
        return is_forged_x(&name) || FRAMES.contains(&name.as_str());
    }
    match name.as_bytes().first() {
        Some(b'f') => name == "forwarded",
        Some(b't') => name == "traceparent" || name == "tracestate",
        Some(b'x') => is_forged_x(name),
        _ => false,
    }
}

fn is_forged_x(name: &str) -> bool {
    name == "x-real-ip" || name == "x-request-id" || name.starts_with("x-forwarded")
}

/// Fields of a frame or a connection that can be spelled with an underscore.
const FRAMES: &[&str] = &[
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_identities_go_and_the_rest_stays() {
        for (name, forged) in [
            ("forwarded", true),
            ("x-forwarded-for", true),
            ("x-forwarded-anything", true),
            ("x_forwarded_for", true),
            ("x-forwarded_proto", true),
            ("x-real-ip", true),
            ("x_real_ip", true),
            ("content_length", true),
            ("transfer_encoding", true),
            ("keep_alive", true),
            ("proxy_connection", true),
            ("proxy_authorization", true),
            ("proxy_authenticate", true),
            ("http2_settings", true),
            ("content_lengths", false),
            ("content-length", false),
            ("transfer-encoding", false),
            ("connection", false),
            ("host", false),
            ("content_type", false),
            ("_host", false),
            ("x-request-id", true),
            ("traceparent", true),
            ("tracestate", true),
            ("trace", false),
            ("x-api-key", false),
            ("from", false),
            ("forwarded-not", false),
            ("authorization", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(HeaderName::from_static(name), http::HeaderValue::from_static("1"));
            headers.append(HeaderName::from_static(name), http::HeaderValue::from_static("2"));
            strip_forged(&mut headers);
            assert_eq!(headers.is_empty(), forged, "{name}");
        }
    }
}
