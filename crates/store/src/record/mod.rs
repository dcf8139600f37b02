//! Records: what stands in a store, as JSON that people can query.

use std::collections::BTreeMap;

use oauth::client_auth::Method;
use oauth::registration::{Registration, signs_by_secret};
use oauth::{ClientId, GrantId, Scopes};
use serde::{Deserialize, Serialize};

mod grant;
mod signing_key;

pub use oauth::registration::ClientMetadata;

pub use self::grant::{Authentication, AuthzCode, EpochsThen, RefreshToken, TokenGrant, Used};
pub use signing_key::SigningKey;

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
    /// Scopes it may ask for, and gets where it asks for none and nothing else is said.
    pub scope: Scopes,
    /// Scopes it gets where it asks for none, if those are others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_scope: Option<Scopes>,
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
    /// The hash of the token by which it manages its own registration (RFC 7592), where it registered itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<String>,
    /// What is noted of it.
    #[serde(flatten)]
    pub notes: ClientNotes,
    /// What it tells of itself.
    #[serde(flatten)]
    pub metadata: ClientMetadata,
}

/// What is noted of a client, for people and for policies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientNotes {
    /// What it is, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whose it is: an organisation, a team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Names and values of the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl Client {
    /// A client of this id that may do nothing yet: for `Client { ..Client::new(id) }`.
    pub fn new(client_id: ClientId) -> Client {
        Client {
            client_id,
            client_name: None,
            enabled: true,
            grant_types: Vec::new(),
            scope: Scopes::default(),
            default_scope: None,
            token_endpoint_auth_method: None,
            secrets: Vec::new(),
            introspect: Introspects::Own,
            created_at: 0,
            registration: None,
            notes: ClientNotes::default(),
            metadata: ClientMetadata::default(),
        }
    }

    /// Whether it has nothing to prove itself by, and only says its name (RFC 6749, section 2.1).
    pub fn is_public(&self) -> bool {
        self.token_endpoint_auth_method.as_deref() == Some(Method::None.as_str())
    }

    /// The scopes that it gets where it asks for none.
    pub fn default_scopes(&self) -> &Scopes {
        self.default_scope.as_ref().unwrap_or(&self.scope)
    }

    /// Holds it to this method; none = as the policy lists. What could be read of its secrets goes where nothing signs with it.
    pub fn authenticate_by(&mut self, method: Option<String>) {
        self.token_endpoint_auth_method = method;
        if !self.signs_by_secret() {
            self.secrets.iter_mut().for_each(|secret| secret.sealed = None);
        }
    }

    /// Whether it signs by its secret (`client_secret_jwt`), of which then more than a hash is kept.
    pub fn signs_by_secret(&self) -> bool {
        signs_by_secret(self.token_endpoint_auth_method.as_deref())
    }

    /// As the rules of registration see it.
    pub fn as_registration(&self) -> Registration<'_> {
        Registration {
            grant_types: &self.grant_types,
            auth_method: self.token_endpoint_auth_method.as_deref(),
            has_secret: !self.secrets.is_empty(),
            only_hash: self.secrets.iter().any(|secret| secret.sealed.is_none()),
            name: self.client_name.as_deref(),
            scope: &self.scope,
            default_scope: self.default_scope.as_ref(),
            metadata: &self.metadata,
        }
    }
}

/// What is kept of a client secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientSecret {
    /// `sha256:BASE64URL` for generated ones, a PHC string (`$argon2id$...`) for chosen ones.
    pub hash: String,
    /// The secret itself, sealed, of a client that signs by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
    /// Unix seconds after which it is no longer valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

impl ClientSecret {
    /// A secret that is valid until it is taken off, of which this hash is kept.
    pub fn hashed(hash: String) -> ClientSecret {
        ClientSecret { hash, sealed: None, expires_at: None }
    }
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
