//! Secrets: a type that nothing prints.

use std::fmt;

use serde::Deserialize;
use zeroize::Zeroizing;

/// A secret text. No `Display`, and `Debug` shows nothing; wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The name of the serde newtype: the configuration reader resolves `{ env = }` and `{ file = }` where it meets it, and
    /// refuses clear text.
    pub const NEWTYPE: &'static str = "Secret";

    /// Wraps a secret text.
    pub fn new(text: String) -> Self {
        Secret(text.into())
    }
    /// The secret itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret: { env = \"NAME\" } or { file = \"PATH\" }")
            }
            fn visit_newtype_struct<D: serde::Deserializer<'de>>(self, d: D) -> Result<Secret, D::Error> {
                String::deserialize(d).map(Secret::new)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::new(text.to_owned()))
            }
        }
        d.deserialize_newtype_struct(Secret::NEWTYPE, Visitor)
    }
}
