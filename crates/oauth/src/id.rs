//! Identifiers that must not be confused.

use std::fmt;
use std::sync::Arc;

use crate::text;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                text::deserialize(d, |text| Ok($name::new(text)))
            }
        }
        impl $name {
            /// Wraps the text of an identifier.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                $name(text.into())
            }
            /// Its text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
            /// Its text, shared.
            pub fn shared(&self) -> Arc<str> {
                self.0.clone()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// A client's identifier (RFC 6749, section 2.2).
    ClientId
}
id! {
    /// What all tokens of one authorization share: revoking it revokes them all.
    GrantId
}

/// The bytes of a grant's identifier, which are its row's key: when it was granted (Unix milliseconds) and 16 random bytes.
const GRANT: usize = 8 + 16;

impl GrantId {
    /// The identifier of a grant that begins at this time (Unix milliseconds), from 16 random bytes: in hexadecimal digits. Grants stand in
    /// the order of their time, so that a store appends.
    pub fn mint(millis: u64, random: [u8; 16]) -> GrantId {
        GrantId::new(format!("{millis:016x}{:032x}", u128::from_be_bytes(random)))
    }

    /// Its row's key; none where it is the identifier of no grant that is kept.
    pub fn key(&self) -> Option<[u8; GRANT]> {
        let digits = self.as_str().as_bytes();
        if digits.len() != 2 * GRANT || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut key = [0; GRANT];
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_has_a_key_in_the_order_of_its_time() {
        let (early, late) = (GrantId::mint(255, [9; 16]), GrantId::mint(256, [1; 16]));
        let (first, second) = (early.key().expect("a key"), late.key().expect("a key"));
        assert!(first < second && first[..8] == 255_u64.to_be_bytes() && first[8..] == [9; 16]);
        for other in ["", "g1", &early.as_str()[1..], &early.as_str().replace('9', "x"), &"é".repeat(24)] {
            assert_eq!(GrantId::new(other).key(), None, "{other}");
        }
    }
}
