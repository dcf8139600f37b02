//! Records: what stands in a store, as JSON that people can query.

use std::collections::BTreeMap;

use oauth::{ClientId, GrantId, Scopes};
use serde::{Deserialize, Serialize};

mod grant;

pub use grant::{Authentication, AuthzCode, EpochsThen, RefreshToken, TokenGrant, Used};

/// A client application (RFC 7591 names).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// Its identifier.
    pub client_id: ClientId,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// A disabled client gets no token, and its tokens are refused.
    pub enabled: bool,
    /// Grants it may use: `client_credentials`.
    pub grant_types: Vec<String>,
    /// Scopes it may ask for, and gets where it asks for none.
    pub scope: Scopes,
    /// How it must authenticate; none = as the policy lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<String>,
    /// Hashes of its secrets; an old one stays for a while after a rotation.
    pub secrets: Vec<ClientSecret>,
    /// Whose tokens it may introspect.
    #[serde(default)]
    pub introspect: Introspects,
    /// Unix seconds.
    pub created_at: u64,
    /// What it tells of itself.
    #[serde(flatten)]
    pub metadata: ClientMetadata,
}

/// What a client tells of itself (RFC 7591, section 2; OpenID Connect Dynamic Client Registration, section 2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientMetadata {
    /// Where answers of the authorization endpoint may go; each is compared as it stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// Where a browser may go after it was logged out (OpenID Connect RP-Initiated Logout, section 3.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<String>,
    /// Its home page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// Its logo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// Its terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// How it treats what it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// Whom to ask, mostly e-mail addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// Where its public keys are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Its public keys (RFC 7517); not together with `jwks_uri`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<serde_json::Value>,
    /// `web` or `native`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_type: Option<String>,
    /// Which software it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// Which version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
}

/// A hash of a client secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientSecret {
    /// `sha256:BASE64URL` for generated ones, a PHC string (`$argon2id$...`) for chosen ones.
    pub hash: String,
    /// Unix seconds after which it is no longer valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

/// Whose tokens a client may introspect (RFC 7662, section 4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Introspects {
    /// Its own.
    #[default]
    Own,
    /// All.
    Any,
    /// Those for these audiences, and its own.
    Audiences(Vec<String>),
}

/// An access token's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessToken {
    /// The client it was issued to.
    pub client_id: ClientId,
    /// The resource owner; none for client credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What it grants.
    pub scope: Scopes,
    /// The grant it belongs to.
    pub grant_id: GrantId,
    /// `client_credentials` ...
    pub grant_type: String,
    /// Unix seconds.
    pub issued_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
    /// Unix seconds; none = not revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<u64>,
    /// Whom it is for; empty = anybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// Extra properties kept with the token.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}
