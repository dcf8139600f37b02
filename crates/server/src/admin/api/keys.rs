//! The keys that sign tokens.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /keys` | | [`KeyList`] |
//! | `POST /keys/rotate` | [`RotateKey`] | [`KeyView`] |
//! | `POST /keys/reencrypt` | | [`KeysSealed`] |
//! | `POST /keys/KID/retire` | [`RetireKey`] | [`KeyView`] |

use serde::{Deserialize, Serialize};

/// A key, without its private half.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyView {
    /// Its identifier, which tokens name.
    pub kid: String,
    /// `ES256` ...
    pub alg: String,
    /// `upcoming`, `signing`, `replaced` (another one signs, and this one is about to be retired), `retired`, or `gone`.
    pub state: String,
    /// The store it is in.
    pub store: String,
    /// Unix seconds.
    pub created_at: u64,
    /// From when on it signs, Unix seconds.
    pub active_from: u64,
    /// Since when it signs no more, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<u64>,
    /// From when on it is published no more, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// The public key, as a JWK.
    pub public: serde_json::Value,
}

/// All keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyList {
    /// By store and identifier.
    pub keys: Vec<KeyView>,
}

/// Makes a key that takes over from the one that signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// For which algorithm.
    pub algorithm: String,
    /// In how many seconds it signs; at least ten, so that every node knows it.
    pub after_seconds: u64,
    /// In which store; none = `keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
}

/// Lets a key sign no more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetireKey {
    /// Nor is it published any more: what it signed is worth nothing.
    #[serde(default)]
    pub withdraw: bool,
}

/// What was sealed anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysSealed {
    /// Keys looked at.
    pub keys: u64,
    /// Of these, how many were changed.
    pub sealed: u64,
    /// Those that no key of this node opens, and why. They stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<KeyRefused>,
}

/// A key that stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRefused {
    /// Which.
    pub kid: String,
    /// Why.
    pub refused: String,
}
