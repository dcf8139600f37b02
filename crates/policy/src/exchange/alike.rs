//! Names of header fields that upstreams take for one another.

use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

/// Removes these fields in every spelling with `_` for `-`, and the other way around: upstreams that make variables of
/// headers (CGI, RFC 3875, section 4.1.18, and what follows it) cannot tell them apart.
pub fn remove_alike(headers: &mut HeaderMap, names: &[HeaderName]) {
    let mut found: SmallVec<[HeaderName; 4]> = SmallVec::new();
    for key in headers.keys() {
        if names.iter().any(|name| alike(name.as_str(), key.as_str())) {
            found.push(key.clone());
        }
    }
    for key in found {
        headers.remove(key);
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
