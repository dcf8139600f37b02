//! Names of header fields that upstreams take for one another.

use http::header::TRAILER;
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

/// Removes these fields in every spelling with `_` for `-`, and the other way around: upstreams that make variables of
/// headers (CGI, RFC 3875, section 4.1.18, and what follows it) cannot tell them apart. Trailers of these names are announced no more:
/// some upstreams take them for headers.
pub fn remove_alike(headers: &mut HeaderMap, names: &[HeaderName]) {
    if names.is_empty() {
        return;
    }
    let mut found: SmallVec<[HeaderName; 4]> = SmallVec::new();
    for key in headers.keys() {
        if names.iter().any(|name| alike(name.as_str(), key.as_str())) {
            found.push(key.clone());
        }
    }
    for key in found {
        headers.remove(key);
    }
    if headers.contains_key(TRAILER) {
        announce_others(headers, names);
    }
}

/// Leaves the other names in `Trailer`.
fn announce_others(headers: &mut HeaderMap, names: &[HeaderName]) {
    let mut announced: Vec<String> = Vec::new();
    for value in headers.get_all(TRAILER) {
        let members = value.to_str().unwrap_or_default().split(',').map(|member| member.trim().to_ascii_lowercase());
        announced.extend(members.filter(|member| !names.iter().any(|name| alike(name.as_str(), member))));
    }
    headers.remove(TRAILER);
    if let (false, Ok(value)) = (announced.is_empty(), HeaderValue::from_str(&announced.join(", "))) {
        headers.insert(TRAILER, value);
    }
}

/// Whether upstreams may take one name for the other. Names of fields are in lower case here.
pub fn alike(one: &str, other: &str) -> bool {
    let same = |(a, b): (u8, u8)| a == b || matches!((a, b), (b'-', b'_') | (b'_', b'-'));
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_of_such_names_are_announced_no_more() {
        let mut headers = HeaderMap::new();
        headers.append(TRAILER, HeaderValue::from_static("X_User, x-sum"));
        headers.append(TRAILER, HeaderValue::from_static("X-User"));
        remove_alike(&mut headers, &[HeaderName::from_static("x-user")]);
        assert_eq!(headers[TRAILER], "x-sum");
        remove_alike(&mut headers, &[HeaderName::from_static("x-sum")]);
        assert!(!headers.contains_key(TRAILER));
    }

    #[test]
    fn hyphens_and_underscores_are_one() {
        for (one, other, expected) in [
            ("x-api-key", "x_api_key", true),
            ("x_api-key", "x-api_key", true),
            ("x-api-key", "x-api-key", true),
            ("x-api-key", "x-api-keys", false),
            ("x-api-key", "xaapi-key", false),
            ("x-api-key", "x-api-kez", false),
        ] {
            assert_eq!(alike(one, other), expected, "{one} {other}");
        }
    }
}
