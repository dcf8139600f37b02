//! The `access-token` store: access tokens, refresh tokens (`access_tokens/refresh.rs`) and the grants of both (`access_tokens/grants.rs`).
//!
//! A token's row has the expiry and the SHA-256 of the token as its key. Revoking marks the row; it stays until it expires.
//! Validation is one point read by that key: what one node revokes, no node accepts any more. Only where the operator asks for it
//! (`cache`) a row is remembered between, see [`crate::cached`].

use std::sync::Arc;

use oauth::ClientId;
use oauth::token::{Token, TokenKey, TokenKind};
use serde::Serialize;

use crate::codec::{SWAPS, decode, decode_kept, encode, seconds, too_busy};
use crate::epochs::{Epochs, Of};
use crate::record::{AccessToken, EpochsThen};
use crate::source::{DataSource, Row, StoreError};
use crate::successor::{Succeeded, Successor};
use crate::tables::ACCESS_TOKEN;

mod grants;
mod refresh;

pub use grants::Tokens;
pub use refresh::{Presented, Rotated};

/// Access tokens over a data source. Kept: SHA-256 only.
pub struct AccessTokens {
    source: Arc<dyn DataSource>,
    epochs: Epochs,
    successor: Successor<AccessTokens>,
}

impl Succeeded for AccessTokens {
    fn successor(&self) -> &Successor<Self> {
        &self.successor
    }
}

/// Whose tokens.
#[derive(Clone, Debug)]
pub enum Whose {
    /// A client's.
    Client(ClientId),
    /// A resource owner's.
    Subject(String),
}

/// What is written: the record and what is kept beside it, as one JSON object. It is read as either.
#[derive(Serialize)]
struct Written<'a, R> {
    #[serde(flatten)]
    record: &'a R,
    #[serde(flatten)]
    epochs: EpochsThen,
}

impl AccessTokens {
    /// The store over this source.
    pub fn new(source: Arc<dyn DataSource>) -> Self {
        AccessTokens { epochs: Epochs::new(source.clone()), source, successor: Successor::default() }
    }

    /// The source behind it.
    pub fn source(&self) -> &Arc<dyn DataSource> {
        &self.source
    }

    /// Keeps a token that was just minted; answered once it is durable.
    pub async fn insert(&self, token: &Token, record: &AccessToken) -> Result<(), StoreError> {
        if token.kind() != TokenKind::Access || token.expires_at() != record.expires_at {
            return Err(StoreError::Broken("a token and its record say different things of it".into()));
        }
        match self.latest().insert_here(token, record).await? {
            true => Ok(()),
            // 256 random bits twice: the randomness is broken, and the token is somebody else's.
            false => {
                Err(StoreError::Broken("a token that was just made exists already: is the randomness broken?".into()))
            }
        }
    }

    async fn insert_here(&self, token: &Token, record: &AccessToken) -> Result<bool, StoreError> {
        let epochs = self.epochs_here(&record.client_id, record.subject.as_deref()).await?;
        let row = Row {
            key: token.key().to_bytes().to_vec(),
            version: 1,
            expires_at: Some(seconds(record.expires_at)),
            indexes: indexes(record),
            record: encode(&ACCESS_TOKEN, &Written { record, epochs })?,
        };
        self.source.insert(&ACCESS_TOKEN, row).await
    }

    /// The epochs of a client and a subject, as they are or were within the last second.
    pub async fn epochs(&self, client: &ClientId, subject: Option<&str>) -> Result<EpochsThen, StoreError> {
        self.latest().epochs_here(client, subject).await
    }

    async fn epochs_here(&self, client: &ClientId, subject: Option<&str>) -> Result<EpochsThen, StoreError> {
        Ok(EpochsThen {
            client_epoch: self.epochs.current(Of::Client, client.as_str()).await?,
            subject_epoch: match subject {
                Some(subject) => self.epochs.current(Of::Subject, subject).await?,
                None => 0,
            },
        })
    }

    /// The record of a token that is good at `now` (Unix seconds): well-formed, not expired, present, not revoked, no epoch of
    /// its client or subject raised since it was issued, its grant not revoked. What is malformed or expired is refused without a read.
    pub async fn find(&self, token: &str, now: u64) -> Result<Option<Arc<AccessToken>>, StoreError> {
        let Some(key) = key(token, now) else { return Ok(None) };
        loop {
            let store = self.latest();
            let found = store.find_here(&key, now).await?;
            // What it said where another took its place meanwhile may be of neither.
            if std::ptr::eq(store, self.latest()) {
                return Ok(found);
            }
        }
    }

    async fn find_here(&self, key: &[u8], now: u64) -> Result<Option<Arc<AccessToken>>, StoreError> {
        let Some(kept) = self.source.get_kept(&ACCESS_TOKEN, key).await? else { return Ok(None) };
        let record: Arc<AccessToken> = decode_kept(&ACCESS_TOKEN, &kept)?;
        if record.revoked_at.is_some() || record.expires_at <= now {
            return Ok(None);
        }
        let epochs = self.epochs_here(&record.client_id, record.subject.as_deref()).await?;
        // Hardly anybody has an epoch: only then is what is kept beside the record read.
        if epochs != EpochsThen::default() && decode::<EpochsThen>(&ACCESS_TOKEN, &kept.row)?.are_before(&epochs) {
            return Ok(None);
        }
        if has_grant(&record) && !self.grant_is_good(&record.grant_id, now).await? {
            return Ok(None);
        }
        Ok(Some(record))
    }

    /// The record whatever its state: for people, and for endpoints that must tell whose it is. Where an epoch revoked it,
    /// `revoked_at` says when.
    pub async fn inspect(&self, token: &str) -> Result<Option<AccessToken>, StoreError> {
        let Some(key) = key(token, 0) else { return Ok(None) };
        loop {
            let store = self.latest();
            let found = store.inspect_here(&key).await?;
            if std::ptr::eq(store, self.latest()) {
                return Ok(found);
            }
        }
    }

    async fn inspect_here(&self, key: &[u8]) -> Result<Option<AccessToken>, StoreError> {
        let Some(row) = self.source.get(&ACCESS_TOKEN, key).await? else { return Ok(None) };
        let mut record: AccessToken = decode(&ACCESS_TOKEN, &row)?;
        let then: EpochsThen = decode(&ACCESS_TOKEN, &row)?;
        let client = self.epochs.read(Of::Client, record.client_id.as_str()).await?;
        let subject = match &record.subject {
            Some(subject) => self.epochs.read(Of::Subject, subject).await?,
            None => (0, 0),
        };
        for (was, (is, since)) in [(then.client_epoch, client), (then.subject_epoch, subject)] {
            if was < is {
                record.revoked_at.get_or_insert(since);
            }
        }
        if has_grant(&record) && record.revoked_at.is_none() {
            record.revoked_at = self.grant_revoked_here(&record.grant_id).await?;
        }
        Ok(Some(record))
    }

    /// Revokes a token, at once for every node; `false` where there is none or it was revoked before.
    pub async fn revoke(&self, token: &str, now: u64) -> Result<bool, StoreError> {
        let Some(key) = key(token, 0) else { return Ok(false) };
        loop {
            let store = self.latest();
            let revoked = store.revoke_here(&key, now).await?;
            if revoked || std::ptr::eq(store, self.latest()) {
                return Ok(revoked);
            }
        }
    }

    async fn revoke_here(&self, key: &[u8], now: u64) -> Result<bool, StoreError> {
        for _ in 0..SWAPS {
            let Some(row) = self.source.get(&ACCESS_TOKEN, key).await? else { return Ok(false) };
            let mut record: AccessToken = decode(&ACCESS_TOKEN, &row)?;
            if record.revoked_at.is_some() {
                return Ok(false);
            }
            record.revoked_at = Some(now);
            let epochs: EpochsThen = decode(&ACCESS_TOKEN, &row)?;
            let text = encode(&ACCESS_TOKEN, &Written { record: &record, epochs })?;
            let version = row.version;
            if self.source.replace(&ACCESS_TOKEN, Row { record: text, ..row }, version).await? {
                return Ok(true);
            }
        }
        Err(too_busy(&ACCESS_TOKEN))
    }

    /// Revokes all tokens issued to these until now: one epoch, honoured by this node at once and by others within 1 s. On
    /// those, a token issued within that second is refused as well.
    pub async fn revoke_all(&self, whose: &Whose, now: u64) -> Result<(), StoreError> {
        let epochs = &self.latest().epochs;
        match whose {
            Whose::Client(id) => epochs.raise(Of::Client, id.as_str(), now).await,
            Whose::Subject(subject) => epochs.raise(Of::Subject, subject, now).await,
        }
    }
}

/// The key of a token that may be in the store: a well-formed access token that expires after `now`.
fn key(token: &str, now: u64) -> Option<[u8; 40]> {
    Token::key_of(token, TokenKind::Access, now).map(TokenKey::to_bytes)
}

/// Whether the token is of a grant that is kept: all are but those of client credentials, whose grant is the client itself.
fn has_grant(record: &AccessToken) -> bool {
    record.grant_type != "client_credentials"
}

/// In the order of the table's index columns. A grant of client credentials has one token, and nobody looks for it by its grant:
/// left out of the index, whose entries are random and would cost each token of a commit a page of its own.
fn indexes(record: &AccessToken) -> Vec<Option<String>> {
    vec![
        Some(record.client_id.as_str().to_owned()),
        record.subject.clone(),
        has_grant(record).then(|| record.grant_id.as_str().to_owned()),
    ]
}

#[cfg(test)]
mod tests;
