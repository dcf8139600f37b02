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

/// Removes the fields that upstreams take for one of these by another spelling. What a policy judged by one name must not go on by
/// the other, which it did not look at.
pub(crate) fn remove_other_spellings(headers: &mut HeaderMap, names: &[HeaderName]) {
    let is_other = |key: &HeaderName| {
        names.iter().any(|name| alike(name.as_str(), key.as_str())) && names.iter().all(|name| name != key)
    };
    let others: SmallVec<[HeaderName; 4]> = headers.keys().filter(|key| is_other(key)).cloned().collect();
    for key in others {
        headers.remove(key);
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
    fn of_two_spellings_the_one_that_is_looked_at_stays() {
        let mut headers = HeaderMap::new();
        for name in ["x-role", "x_role", "x-a_b", "x_a_b", "x-roles", "x_other"] {
            headers.append(name, HeaderValue::from_static("1"));
        }
        remove_other_spellings(&mut headers, &["x-role", "x-a_b", "x_a_b"].map(HeaderName::from_static));
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-a_b", "x-role", "x-roles", "x_a_b", "x_other"]);
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
