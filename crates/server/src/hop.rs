//! Headers that belong to one connection and not to the message (RFC 9110, section 7.6.1).

use http::HeaderValue;
use http::header::{self, HeaderMap, HeaderName};
use smallvec::SmallVec;

use crate::trailers;

/// What never crosses the gateway, in either direction, named by `Connection` or not. `TE` is among them: what it says of trailers is
/// said anew.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONNECTION
            | header::PROXY_AUTHENTICATE
            | header::PROXY_AUTHORIZATION
            | header::TE
            | header::TRANSFER_ENCODING
            | header::UPGRADE
    ) || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}

/// Takes off everything that belongs to the connection, and what its `Connection` header names.
///
/// On requests this happens before any filter runs: a client that names `X-Client` in `Connection` must not make the gateway
/// drop what a filter put there.
pub(crate) fn strip(headers: &mut HeaderMap) {
    trailers::announce(headers);
    // Most messages have nothing of it, so they are looked through once and not searched for each name.
    let mut gone: SmallVec<[HeaderName; 4]> = headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    if gone.is_empty() {
        return;
    }
    for value in headers.get_all(header::CONNECTION) {
        let names = value.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii);
        let names = names.filter_map(|name| HeaderName::from_bytes(name).ok());
        // These frame and address the message; naming them does not make them the connection's.
        gone.extend(names.filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH));
    }
    for name in gone {
        headers.remove(&name);
    }
}

/// The same of a request, whose `TE: trailers` stays: whoever answers it learns that trailers are taken (RFC 9110, section 10.1.4).
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    let takes = takes_trailers(headers);
    strip(headers);
    if takes {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether whoever sent this takes trailers.
pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    lists(headers, header::TE, "trailers")
}

/// Whether a field that is a list has this member, in whatever case.
pub(crate) fn lists(headers: &HeaderMap, name: HeaderName, member: &str) -> bool {
    let values = headers.get_all(name).iter();
    let mut members = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    members.any(|listed| listed.trim_ascii().eq_ignore_ascii_case(member.as_bytes()))
}

/// Whether a message's transfer coding is `chunked` or none. hyper undoes `chunked` wherever it comes last: with another coding
/// beside it, its bytes would go on under a name that is not theirs.
pub(crate) fn is_framed_plainly(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(one), None) => one.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn stripped(headers: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        strip(&mut map);
        map.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn what_belongs_to_the_connection_goes() {
        let gone = stripped(&[
            ("connection", "keep-alive, X-One"),
            ("connection", "x-two ,, bad name"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("proxy-authorization", "Basic x"),
            ("te", "trailers"),
            ("trailer", "host"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("x-one", "1"),
            ("x-two", "2"),
        ]);
        assert_eq!(gone, []);
    }

    #[test]
    fn contract_te_stays_only_to_say_that_trailers_are_taken() {
        for (te, left) in [("trailers", Some("trailers")), ("gzip, Trailers", Some("trailers")), ("gzip", None)] {
            let mut headers = HeaderMap::new();
            headers.append(header::TE, HeaderValue::from_static(te));
            headers.append(header::CONNECTION, HeaderValue::from_static("TE"));
            strip_request(&mut headers);
            assert_eq!(headers.get(header::TE).and_then(|value| value.to_str().ok()), left, "{te}");
            assert!(!headers.contains_key(header::CONNECTION));
        }
    }

    #[test]
    fn what_belongs_to_the_message_stays() {
        let kept = [("host", "a"), ("content-length", "3"), ("x", "y"), ("trailer", "x-sum")];
        let left = stripped(&[&[("connection", "host, content-length")][..], &kept].concat());
        assert_eq!(left.len(), kept.len());
    }
}
