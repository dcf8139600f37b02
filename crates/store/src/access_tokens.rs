//! The `access-token` store: access tokens, and (later) refresh tokens and grants.

use std::sync::Arc;

use oauth::ClientId;
use oauth::token::Token;

use crate::record::AccessToken;
use crate::source::{DataSource, StoreError};

/// Access tokens over a data source. Kept: SHA-256 only.
pub struct AccessTokens {
    source: Arc<dyn DataSource>,
}

/// Whose tokens.
#[derive(Clone, Debug)]
pub enum Whose {
    /// A client's.
    Client(ClientId),
    /// A resource owner's.
    Subject(String),
}

impl AccessTokens {
    /// The store over this source.
    pub fn new(source: Arc<dyn DataSource>) -> Self {
        AccessTokens { source }
    }

    /// The source behind it.
    pub fn source(&self) -> &Arc<dyn DataSource> {
        &self.source
    }

    /// Keeps a token that was just minted; answered once it is durable.
    pub async fn insert(&self, token: &Token, record: &AccessToken) -> Result<(), StoreError> {
        let _ = (token, record);
        unimplemented!()
    }

    /// The record of a token that is good at `now` (Unix seconds): well-formed, not expired, present, not revoked, its client's
    /// and subject's epoch not after it. What is malformed or expired is refused without a read.
    pub async fn find(&self, token: &str, now: u64) -> Result<Option<AccessToken>, StoreError> {
        let _ = (token, now);
        unimplemented!()
    }

    /// The record whatever its state: for people, and for endpoints that must tell whose it is.
    pub async fn inspect(&self, token: &str) -> Result<Option<AccessToken>, StoreError> {
        let _ = token;
        unimplemented!()
    }

    /// Revokes a token, at once for every node; `false` where there is none or it was revoked before.
    pub async fn revoke(&self, token: &str, now: u64) -> Result<bool, StoreError> {
        let _ = (token, now);
        unimplemented!()
    }

    /// Revokes all tokens issued to these until now: one epoch, honoured by other nodes within 1 s.
    pub async fn revoke_all(&self, whose: &Whose, now: u64) -> Result<(), StoreError> {
        let _ = (whose, now);
        unimplemented!()
    }
}
