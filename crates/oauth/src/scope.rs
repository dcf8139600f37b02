//! Scopes (RFC 6749, section 3.3): a set of names, kept in the order they were written.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorCode};
use crate::text;

/// A set of scope names, each of `%x21 / %x23-5B / %x5D-7E`. Serialized as the RFC writes it: names with a space
/// between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Arc<str>>);

/// How many of the scopes asked must be among those allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Match {
    /// All of them.
    #[default]
    All,
    /// At least one; those that are not allowed are left out.
    Any,
}

impl Scopes {
    /// No scope.
    pub const NONE: Scopes = Scopes(Vec::new());

    /// Parses `a b c`; `None` where a character is not allowed. Repeated names count once, and so do repeated spaces.
    pub fn parse(text: &str) -> Option<Scopes> {
        Scopes::of(text.split(' ').filter(|name| !name.is_empty()).map(Arc::from))
    }

    /// The set of these names; `None` where one is empty or has a character that is not allowed. Repeated names count
    /// once.
    pub fn of(names: impl IntoIterator<Item = Arc<str>>) -> Option<Scopes> {
        let mut kept: Vec<Arc<str>> = Vec::new();
        for name in names {
            if !is_name(&name) {
                return None;
            }
            kept.push(name);
        }
        // A request may bring a hundred thousand names: a set, where looking at each pair would take for ever.
        if kept.len() > 16 {
            let mut seen = HashSet::with_capacity(kept.len());
            kept.retain(|name| seen.insert(name.clone()));
        } else {
            for at in (1..kept.len()).rev() {
                if kept[..at].contains(&kept[at]) {
                    kept.remove(at);
                }
            }
        }
        Some(Scopes(kept))
    }

    /// The names, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter()
    }

    /// Whether the name is among them.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|n| &**n == name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all of these are among `others`.
    pub fn within(&self, others: &Scopes) -> bool {
        self.iter().all(|name| others.contains(name))
    }

    /// Those of them that are among `others`, in their order.
    pub fn common(&self, others: &Scopes) -> Scopes {
        Scopes(self.iter().filter(|name| others.contains(name)).cloned().collect())
    }

    /// Whether both are the same set, in whatever order.
    pub fn same_as(&self, others: &Scopes) -> bool {
        self.len() == others.len() && self.within(others)
    }
}

/// What is granted of the scopes asked (RFC 6749, section 3.3). Where none is asked, `default` stands for the question,
/// and is itself cut down to what is allowed, so that a default can never grant more than the rest.
pub fn grant(asked: &Scopes, default: Option<&Scopes>, allowed: &Scopes, rule: Match) -> Result<Scopes, Error> {
    if asked.is_empty() {
        return Ok(default.map_or(Scopes::NONE, |default| default.common(allowed)));
    }
    match rule {
        Match::All if asked.within(allowed) => Ok(asked.clone()),
        Match::All => {
            Err(Error::new(ErrorCode::InvalidScope, "A requested scope is not allowed for this client or grant"))
        }
        Match::Any => {
            let granted = asked.common(allowed);
            if granted.is_empty() {
                return Err(Error::new(
                    ErrorCode::InvalidScope,
                    "None of the requested scopes is allowed for this client or grant",
                ));
            }
            Ok(granted)
        }
    }
}

/// Whether a token with the scopes `held` may do what needs `needed` (RFC 6750, section 3.1). The refusal names what is
/// needed.
pub fn suffices(held: &Scopes, needed: &Scopes, rule: Match) -> bool {
    match rule {
        Match::All => needed.within(held),
        Match::Any => needed.is_empty() || needed.iter().any(|name| held.contains(name)),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl serde::Serialize for Scopes {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Scopes {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        text::deserialize(d, |text| Scopes::parse(text).ok_or("a scope has a character that is not allowed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Scopes {
        Scopes::parse(text).expect(text)
    }

    #[test]
    fn rfc6749_3_3_only_its_characters() {
        for (text, names) in [
            ("", Some(vec![])),
            ("a", Some(vec!["a"])),
            ("read write", Some(vec!["read", "write"])),
            ("  read   write ", Some(vec!["read", "write"])),
            ("b a b", Some(vec!["b", "a"])),
            ("https://x.example/a.read,b!#[]~", Some(vec!["https://x.example/a.read,b!#[]~"])),
            ("a\"b", None),
            ("a\\b", None),
            ("a\tb", None),
            ("a\nb", None),
            ("a\u{7f}", None),
            ("é", None),
        ] {
            let read = Scopes::parse(text).map(|s| s.iter().map(|n| n.to_string()).collect::<Vec<_>>());
            assert_eq!(read, names.map(|n| n.into_iter().map(String::from).collect()), "{text:?}");
        }
    }

    #[test]
    fn many_names_are_a_set_too() {
        let text = (0..200_000).map(|i| format!("s{} ", i % 1000)).collect::<String>();
        let read = scopes(&text);
        assert_eq!(read.len(), 1000);
        assert_eq!(&*read.0[999], "s999");
    }

    #[test]
    fn rfc6749_3_3_what_is_granted() {
        let cases = [
            // asked, default, allowed, rule, granted
            ("a b", None, "a b c", Match::All, Some("a b")),
            ("a x", None, "a b c", Match::All, None),
            ("a x", None, "a b c", Match::Any, Some("a")),
            ("x y", None, "a b c", Match::Any, None),
            ("", Some("a b"), "a b c", Match::All, Some("a b")),
            ("", Some("a x"), "a b c", Match::All, Some("a")),
            ("", None, "a b", Match::All, Some("")),
            ("a", Some("b"), "a b", Match::All, Some("a")),
            ("a", None, "", Match::All, None),
        ];
        for (asked, default, allowed, rule, granted) in cases {
            let got = grant(&scopes(asked), default.map(scopes).as_ref(), &scopes(allowed), rule);
            match (got, granted) {
                (Ok(got), Some(want)) => assert_eq!(got.to_string(), want, "{asked}"),
                (Err(error), None) => assert_eq!(error.code, ErrorCode::InvalidScope, "{asked}"),
                (got, want) => panic!("{asked:?} of {allowed:?}: {got:?}, not {want:?}"),
            }
        }
    }

    #[test]
    fn rfc6750_3_1_whether_a_token_suffices() {
        for (held, needed, rule, enough) in [
            ("a b c", "a b", Match::All, true),
            ("a", "a b", Match::All, false),
            ("a", "a b", Match::Any, true),
            ("c", "a b", Match::Any, false),
            ("", "a", Match::All, false),
            ("", "a", Match::Any, false),
            ("ab", "a", Match::Any, false),
        ] {
            assert_eq!(suffices(&scopes(held), &scopes(needed), rule), enough, "{held} for {needed}");
        }
    }

    #[test]
    fn sets_are_compared_without_order() {
        assert!(scopes("a b").same_as(&scopes("b a")));
        assert!(!scopes("a b").same_as(&scopes("a")));
        assert!(!scopes("a").same_as(&scopes("a b")));
    }

    #[test]
    fn serialized_with_spaces() {
        assert_eq!(serde_json::to_string(&scopes("a b")).expect("json"), "\"a b\"");
        assert_eq!(serde_json::from_str::<Scopes>("\"a  b\"").expect("json"), scopes("a b"));
        assert!(serde_json::from_str::<Scopes>("\"a\\\"b\"").is_err());
    }
}
