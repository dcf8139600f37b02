//! A provider: another authorization server, of which the gateway itself is a client.
//!
//! What it sends ([`request`]), how it takes what comes back ([`answer`]), how it finds the endpoints ([`discovery`]), how a
//! person goes there and comes back ([`authorization`]), and who they are ([`id_token`]).

pub mod answer;
pub mod authorization;
pub mod discovery;
pub mod id_token;
pub mod request;

use crate::client_auth::Method;
use crate::id::ClientId;
use crate::metadata::Issuer;
use crate::scope::Scopes;
use crate::secret::Secret;

/// A provider as `[provider.NAME]` declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name here.
    pub name: String,
    /// Who it is; with it, endpoints that are not named are looked up.
    pub issuer: Option<Issuer>,
    /// The endpoints that are named.
    pub endpoints: Endpoints,
    /// Who the gateway is there.
    pub client_id: ClientId,
    /// What it proves that with; none for a public client.
    pub client_secret: Option<Secret>,
    /// How it proves it.
    pub auth_method: Method,
    /// The scopes that are asked for where a policy names none.
    pub scopes: Scopes,
    /// Whether it is called through an upstream that somebody chose, so that its endpoints may be at any host.
    pub elsewhere: bool,
    /// Seconds that an access token is good where the provider does not say (RFC 6749, section 5.1).
    pub token_lifetime: u64,
    /// Seconds that a refresh token is kept: the provider does not say.
    pub refresh_lifetime: u64,
    /// Seconds that a call takes at most.
    pub timeout: u64,
    /// Bytes of an answer at most.
    pub answer_limit: usize,
}

/// Where a provider's endpoints are: absolute URLs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Where a person's browser is sent.
    pub authorization: Option<String>,
    /// Where tokens are got.
    pub token: Option<String>,
    /// Where they are given back (RFC 7009).
    pub revocation: Option<String>,
    /// Its public keys.
    pub jwks: Option<String>,
    /// Whether every answer of the authorization endpoint says who gives it (RFC 9207, section 3).
    pub says_iss: bool,
}

impl Endpoints {
    /// These, and of `others` what is missing.
    pub fn or(self, others: &Endpoints) -> Endpoints {
        Endpoints {
            authorization: self.authorization.or_else(|| others.authorization.clone()),
            token: self.token.or_else(|| others.token.clone()),
            revocation: self.revocation.or_else(|| others.revocation.clone()),
            jwks: self.jwks.or_else(|| others.jwks.clone()),
            says_iss: self.says_iss || others.says_iss,
        }
    }
}

/// A provider for tests.
#[cfg(test)]
pub(crate) fn example(auth_method: Method, id: &str, secret: &str) -> Provider {
    Provider {
        name: "partner".into(),
        issuer: Issuer::parse("https://login.example.com/tenant"),
        endpoints: Endpoints { token: Some("https://login.example.com/token".into()), ..Endpoints::default() },
        client_id: ClientId::new(id),
        client_secret: Some(Secret::new(secret.into())),
        auth_method,
        scopes: Scopes::default(),
        elsewhere: false,
        token_lifetime: 3_600,
        refresh_lifetime: 86_400,
        timeout: 10,
        answer_limit: 65_536,
    }
}
