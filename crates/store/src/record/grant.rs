//! What resource owners granted, and the codes and refresh tokens that stand for it.

use oauth::pkce::Challenge;
use oauth::{ClientId, GrantId, Scopes};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a resource owner let a client do. All tokens of it are good only as long as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenGrant {
    /// The client.
    pub client_id: ClientId,
    /// The resource owner.
    pub subject: String,
    /// What was granted: an access token may have less, a later one all of it again.
    pub scope: Scopes,
    /// How it began: `authorization_code` ...
    pub grant_type: String,
    /// Unix seconds.
    pub granted_at: u64,
    /// How the resource owner was authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// The claims that were asked for by name (OpenID Connect Core, section 5.5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Value>,
    /// Unix seconds: no token of it lives longer.
    pub expires_at: u64,
    /// Unix seconds; none = not revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<u64>,
}

/// How and when a resource owner was authenticated (OpenID Connect Core, section 2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentication {
    /// Unix seconds: `auth_time`.
    pub at: u64,
    /// Methods (RFC 8176): `amr`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// The authentication context class: `acr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
}

/// An authorization code's record. What it will grant stands here, since the grant begins when it is redeemed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthzCode {
    /// The client it was issued to.
    pub client_id: ClientId,
    /// The resource owner.
    pub subject: String,
    /// What is granted.
    pub scope: Scopes,
    /// The grant that begins with it.
    pub grant_id: GrantId,
    /// The redirect URI as it stood in the request, where it did: it must be the same when the code is redeemed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
    /// What proves that it is redeemed by whom it was asked for (RFC 7636).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// How the resource owner was authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// For the ID token (OpenID Connect Core, section 3.1.2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The claims that were asked for by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Value>,
    /// The epochs of the client and the subject when it was issued.
    #[serde(flatten)]
    pub epochs: EpochsThen,
    /// Unix seconds.
    pub issued_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
    /// Unix seconds; none = not used. One that was stays until it expires: a second use must find whose grant to revoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<u64>,
}

/// The epochs of a client and a subject at some time: what was issued under earlier ones than those of now is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochsThen {
    /// The client's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub client_epoch: u64,
    /// The subject's.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub subject_epoch: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl EpochsThen {
    /// Whether one of them was raised since.
    pub fn are_before(&self, now: &EpochsThen) -> bool {
        self.client_epoch < now.client_epoch || self.subject_epoch < now.subject_epoch
    }
}

/// A refresh token's record. Its scopes are the grant's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefreshToken {
    /// The client it was issued to.
    pub client_id: ClientId,
    /// The grant.
    pub grant_id: GrantId,
    /// Unix seconds.
    pub issued_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
    /// Its use, once there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Used>,
}

/// The use of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Unix seconds.
    pub at: u64,
    /// The key of the refresh token that took its place, where one did, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What was issued, sealed under a key that is made from the token that was used: for whoever sends it again.
    pub answer: String,
}
