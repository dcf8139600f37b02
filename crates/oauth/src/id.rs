//! Identifiers that must not be confused.

use std::fmt;
use std::sync::Arc;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);
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
