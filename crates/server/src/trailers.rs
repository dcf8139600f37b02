//! Trailers: fields that come after a body (RFC 9110, section 6.5). They go on as trailers and are never made headers of, without what may
//! not stand among them; and only those of a request that it announced.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::hop;
use crate::listen::is_forged;

/// Takes off what may not stand in trailers (section 6.5.1): what frames a message, addresses it, says who sends it, or how it is to be
/// treated. A recipient that merges trailers into headers would else believe it.
pub(crate) fn clean(trailers: &mut HeaderMap) {
    let gone: SmallVec<[HeaderName; 4]> = trailers.keys().filter(|name| !may_be_one(name)).cloned().collect();
    for name in gone {
        trailers.remove(&name);
    }
}

/// The names that `Trailer` announces and that may be there.
pub(crate) fn announced(headers: &HeaderMap) -> SmallVec<[HeaderName; 4]> {
    let values = headers.get_all(header::TRAILER).iter();
    let names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii));
    names.filter_map(|name| HeaderName::from_bytes(name).ok()).filter(may_be_one).collect()
}

/// Makes `Trailer` say no more than may come.
pub(crate) fn announce(headers: &mut HeaderMap) {
    if !headers.contains_key(header::TRAILER) {
        return;
    }
    let names = announced(headers);
    headers.remove(header::TRAILER);
    let names: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
    if let (false, Ok(value)) = (names.is_empty(), HeaderValue::from_str(&names.join(", "))) {
        headers.insert(header::TRAILER, value);
    }
}

fn may_be_one(name: &HeaderName) -> bool {
    let forbidden = matches!(
        *name,
        header::ACCEPT_RANGES
            | header::AGE
            | header::AUTHORIZATION
            | header::CACHE_CONTROL
            | header::CONTENT_ENCODING
            | header::CONTENT_LENGTH
            | header::CONTENT_RANGE
            | header::CONTENT_TYPE
            | header::COOKIE
            | header::DATE
            | header::EXPECT
            | header::EXPIRES
            | header::HOST
            | header::IF_MATCH
            | header::IF_MODIFIED_SINCE
            | header::IF_NONE_MATCH
            | header::IF_RANGE
            | header::IF_UNMODIFIED_SINCE
            | header::LOCATION
            | header::MAX_FORWARDS
            | header::PRAGMA
            | header::RANGE
            | header::RETRY_AFTER
            | header::SET_COOKIE
            | header::TRAILER
            | header::VARY
            | header::VIA
            | header::WARNING
            | header::WWW_AUTHENTICATE
    );
    !forbidden && !hop::is_hop_by_hop(name) && !is_forged(name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_6_5_1_what_a_recipient_might_merge_into_headers_goes() {
        for (name, kept) in [
            ("x-checksum", true),
            ("grpc-status", true),
            ("server-timing", true),
            ("etag", true),
            ("content-length", false),
            ("content_length", false),
            ("transfer-encoding", false),
            ("host", false),
            ("authorization", false),
            ("cookie", false),
            ("set-cookie", false),
            ("x-forwarded-for", false),
            ("x_real_ip", false),
            ("traceparent", false),
            ("connection", false),
            ("te", false),
            ("cache-control", false),
            ("if-match", false),
        ] {
            let mut trailers = HeaderMap::new();
            trailers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
            clean(&mut trailers);
            assert_eq!(!trailers.is_empty(), kept, "{name}");
        }
    }

    #[test]
    fn rfc9110_6_6_2_only_what_may_come_is_announced() {
        for (values, written) in [
            (&["X-A, x-b", "host, X-C"][..], Some("x-a, x-b, x-c")),
            (&["content-length"], None),
            (&["bad name, ,"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::TRAILER, HeaderValue::from_static(value));
            }
            announce(&mut headers);
            assert_eq!(headers.get(header::TRAILER).and_then(|value| value.to_str().ok()), written, "{values:?}");
        }
    }
}
