//! `Cache-Control` (RFC 9111, section 5.2). One that cannot be read may have said anything.

use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};

use super::lists::{self, is_token, unquoted};

/// Beyond this, section 1.2.2, seconds are not counted.
pub(super) const MOST_SECONDS: u64 = 1 << 31;

/// The members of the field: names in lower case, values without their quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Directives {
    members: Vec<(String, Option<String>)>,
    unreadable: bool,
}

impl Directives {
    /// Those of a message.
    pub(super) fn of(headers: &HeaderMap) -> Directives {
        let members = lists::members(headers, &CACHE_CONTROL).map(|members| members.into_iter().map(directive));
        let members: Option<Vec<_>> = members.ok().and_then(Iterator::collect);
        Directives { unreadable: members.is_none(), members: members.unwrap_or_default() }
    }

    /// The same of a request, where `Pragma: no-cache` stands for the directive that it is older than (section 5.4).
    pub(super) fn of_request(headers: &HeaderMap) -> Directives {
        let mut directives = Directives::of(headers);
        let pragma = || headers.get(PRAGMA).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"no-cache"));
        if !headers.contains_key(CACHE_CONTROL) && pragma() {
            directives.members.push((String::from("no-cache"), None));
        }
        directives
    }

    /// Whether a member is no directive, or the field no list. Then none of them counts: what is left might say the opposite of the whole.
    pub(super) fn are_unreadable(&self) -> bool {
        self.unreadable
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(known, _)| known == name)
    }

    /// A lifetime: where it is said several times, the shortest; what is malformed is none at all (section 4.2.1).
    pub(super) fn seconds(&self, name: &str) -> Option<u64> {
        let said = self.members.iter().filter(|(known, _)| known == name);
        said.map(|(_, value)| value.as_deref().and_then(seconds).unwrap_or(0)).min()
    }

    /// A time in which more is allowed; what is malformed allows nothing.
    pub(super) fn grace(&self, name: &str) -> Option<u64> {
        let said = self.members.iter().filter(|(known, _)| known == name);
        said.map(|(_, value)| value.as_deref().and_then(seconds)).min().flatten()
    }

    /// Whether a stale response must never be used without having asked (sections 5.2.2.2, 5.2.2.8 and 5.2.2.10, 4.2.4).
    pub(super) fn forbid_stale(&self) -> bool {
        ["must-revalidate", "proxy-revalidate", "s-maxage", "no-cache"].iter().any(|name| self.has(name))
    }
}

/// Digits, as section 1.2.2 wants them.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(MOST_SECONDS).min(MOST_SECONDS))
}

/// A token, and perhaps `=` and another one or a quoted string, without spaces between.
fn directive(member: &str) -> Option<(String, Option<String>)> {
    let (name, value) = match member.split_once('=') {
        None => (member, None),
        Some((name, value)) if is_token(value) => (name, Some(value.to_owned())),
        Some((name, value)) => (name, Some(unquoted(value)?)),
    };
    is_token(name).then(|| (name.to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn said(lines: &[&[u8]]) -> Directives {
        let line = |line: &&[u8]| (CACHE_CONTROL, HeaderValue::from_bytes(line).unwrap());
        Directives::of(&lines.iter().map(line).collect())
    }

    #[test]
    fn rfc9111_5_2_directives_have_no_case_and_values_may_be_quoted() {
        let directives = said(&[b"Max-Age=10, EXT=\"a, no-store=1\", ,", b"public"]);
        assert_eq!(directives.seconds("max-age"), Some(10));
        assert!(directives.has("public") && directives.has("ext") && !directives.has("no-store"));
        for (text, seconds) in [
            ("max-age=\"5\"", Some(5)),
            ("max-age=99999999999999999999", Some(MOST_SECONDS)),
            ("max-age", Some(0)),
            ("max-age=\"\"", Some(0)),
            ("max-age=-1", Some(0)),
            ("max-age=1.5", Some(0)),
            ("max-age=5, max-age=3", Some(3)),
            ("xmax-age=5", None),
        ] {
            let directives = said(&[text.as_bytes()]);
            assert_eq!((directives.seconds("max-age"), directives.are_unreadable()), (seconds, false), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_may_have_said_anything() {
        for lines in [
            &[&b"no-store ; max-age=60"[..]][..],
            &[b"private max-age=60"],
            &[b"private; ext=\xe9"],
            &[b"no-store, x=\"\xe9\""],
            &[b"ext=\"open, no-store"],
            &[b"max-age=60; private"],
            &[b"max-age =60"],
            &[b"max-age= 60"],
            &[b"max-age="],
            &[b"=60"],
            &[b"max-age=60", b"ext=\"a\"b"],
        ] {
            let directives = said(lines);
            assert!(directives.are_unreadable(), "{lines:?}");
            assert_eq!(directives.seconds("max-age"), None, "{lines:?}");
        }
        assert!(!said(&[]).are_unreadable() && !said(&[b""]).are_unreadable());
    }

    #[test]
    fn rfc9111_5_4_pragma_counts_where_there_is_no_cache_control() {
        for (fields, no_cache) in [
            (&[("pragma", "No-Cache")][..], true),
            (&[("pragma", "no-cache"), ("cache-control", "max-stale")], false),
            (&[("pragma", "x")], false),
        ] {
            let headers = fields.iter().map(|(n, v)| (n.parse().unwrap(), HeaderValue::from_static(v))).collect();
            assert_eq!(Directives::of_request(&headers).has("no-cache"), no_cache, "{fields:?}");
        }
    }
}
