//! Request headers that only the gateway may set: taken off whatever comes in.

use http::HeaderMap;
use http::header::HeaderName;
use smallvec::SmallVec;

/// Takes off what a client could forge to look like another one: `Forwarded`, `X-Forwarded-*`, `X-Real-IP`, and
/// `X-Request-Id`, which the gateway makes. Also in the spelling with underscores, which many servers behind a gateway
/// cannot tell from the one with hyphens.
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

/// Names come in lower case: hyper parsed them.
fn is_forged(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'f') => name == "forwarded",
        Some(b'x') if name.contains('_') => is_forged_x(&name.replace('_', "-")),
        Some(b'x') => is_forged_x(name),
        _ => false,
    }
}

fn is_forged_x(name: &str) -> bool {
    name == "x-real-ip" || name == "x-request-id" || name.starts_with("x-forwarded")
}

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
            ("x-request-id", true),
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
