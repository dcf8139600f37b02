//! Scopes (RFC 6749, section 3.3): a set of names, kept in the order they were written.

use std::fmt;
use std::sync::Arc;

/// A set of scope names, each of `%x21 / %x23-5B / %x5D-7E`. Serialized as the RFC writes it: names with a space between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Arc<str>>);

impl Scopes {
    /// Parses `a b c`; `None` where a character is not allowed. Repeated names count once.
    pub fn parse(text: &str) -> Option<Scopes> {
        let _ = text;
        unimplemented!()
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
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl serde::Serialize for Scopes {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Scopes {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Scopes::parse(&text).ok_or_else(|| serde::de::Error::custom("a scope has a character that is not allowed"))
    }
}
