//! Where a client's public keys are that it did not register but named (`jwks_uri`; RFC 7591, section 2; D92).
//!
//! Whoever registers a client writes this URL, so that fetching it lets them choose whom this server calls. Therefore only places count
//! that the operator named, by their whole origin, text for text: what is written in another way is another place, and no name that a
//! client wrote is ever resolved.

use crate::redirect_uri;

/// What it must be, for people.
pub const RULE: &str =
    "`https://HOST/PATH` (`http` on 127.0.0.1 and [::1] alone), in small letters, without a user name and a fragment";

/// A `jwks_uri`, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysUri<'a> {
    /// Scheme, host and port, as they are written.
    pub origin: &'a str,
    /// The path, and the query where there is one.
    pub path: &'a str,
}

impl<'a> KeysUri<'a> {
    /// Takes it apart; `None` where it can be no such place.
    pub fn parse(uri: &'a str) -> Option<KeysUri<'a>> {
        let after = ["https://", "http://127.0.0.1", "http://[::1]"].iter().find_map(|start| {
            let rest = uri.strip_prefix(start)?;
            // `http://127.0.0.1.example` begins so, too.
            (start.starts_with("https") || rest.starts_with([':', '/'])).then_some(uri.len() - rest.len())
        })?;
        redirect_uri::check(uri).ok()?;
        let end = after + uri[after..].find(['/', '?'])?;
        let (origin, path) = uri.split_at(end);
        let plain = path.starts_with('/') && !origin.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'%');
        plain.then_some(KeysUri { origin, path })
    }

    /// The host and its port, as a request to it names them.
    pub fn authority(&self) -> &'a str {
        self.origin.split_once("//").map_or("", |(_, authority)| authority)
    }

    /// Whether this is the origin of such a place: nothing before it, and nothing after it.
    pub fn is_origin(text: &str) -> bool {
        let whole = format!("{text}/");
        KeysUri::parse(&whole).is_some_and(|uri| uri.origin == text && uri.path == "/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7591_2_a_place_of_keys() {
        for (uri, origin, path) in [
            ("https://keys.example/jwks.json", "https://keys.example", "/jwks.json"),
            ("https://keys.example:8443/a/b?c=d", "https://keys.example:8443", "/a/b?c=d"),
            ("https://[2001:db8::1]/", "https://[2001:db8::1]", "/"),
            ("http://127.0.0.1:9001/jwks", "http://127.0.0.1:9001", "/jwks"),
            ("http://[::1]/jwks", "http://[::1]", "/jwks"),
        ] {
            let parsed = KeysUri::parse(uri);
            assert_eq!(parsed, Some(KeysUri { origin, path }), "{uri}");
            assert_eq!(parsed.map(|uri| uri.authority()), origin.split("//").nth(1), "{uri}");
            assert!(KeysUri::is_origin(origin), "{origin}");
        }
    }

    /// D92: what could lead elsewhere than it seems to is no such place.
    #[test]
    fn rfc7591_5_what_could_lead_elsewhere_is_none() {
        for uri in [
            "",
            "https://",
            "https:///jwks",
            "https://keys.example",
            "https://keys.example?x",
            "https://keys.example#x",
            "https://keys.example/jwks#x",
            "https://keys.example@evil.example/jwks",
            "https://user:password@keys.example/jwks",
            "https://keys.example\\@evil.example/jwks",
            "https://keys.example:99999/jwks",
            "https://keys.example:/jwks ",
            "https://KEYS.example/jwks",
            "HTTPS://keys.example/jwks",
            "https://keys%2eexample/jwks",
            "https://keys.example/a b",
            "https://keys.example/%zz",
            "http://keys.example/jwks",
            "http://localhost/jwks",
            "http://127.0.0.1.evil.example/jwks",
            "http://127.0.0.1@evil.example/jwks",
            "http://127.0.0.2/jwks",
            "http://[::1].evil.example/jwks",
            "http://169.254.169.254/latest",
            "//keys.example/jwks",
            "file:///etc/passwd",
            "data:application/json,{}",
            "com.example.app:/jwks",
            "urn:ietf:wg:oauth:2.0:oob",
        ] {
            assert_eq!(KeysUri::parse(uri), None, "{uri}");
        }
        for text in ["https://keys.example/", "https://keys.example/x", "keys.example", "https://", "*", ""] {
            assert!(!KeysUri::is_origin(text), "{text}");
        }
    }
}
