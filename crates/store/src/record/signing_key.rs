//! Keys that sign tokens.

use serde::{Deserialize, Serialize};

/// A key that signs tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SigningKey {
    /// Its identifier, which tokens name.
    pub kid: String,
    /// The algorithm that it is for: `ES256`.
    pub alg: String,
    /// The public key, as a JWK.
    pub public: serde_json::Value,
    /// The private key (PKCS #8), sealed.
    pub private: String,
    /// Unix seconds.
    pub created_at: u64,
    /// From when on it signs, Unix seconds. It is published before.
    pub active_from: u64,
    /// How long the longest-lived of what it signed lives, seconds.
    #[serde(default)]
    pub longest: u64,
    /// Since when it signs no more, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<u64>,
    /// From when on it is published no more, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}
