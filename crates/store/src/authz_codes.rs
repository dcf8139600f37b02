//! The `authz-code` store: authorization codes.
//!
//! A code's row has the expiry and the SHA-256 of the code as its key. One that was redeemed is marked, not deleted: a second use must
//! find whose grant to revoke (RFC 6749, section 4.1.2).

use std::sync::Arc;

use oauth::token::{Token, TokenKind};

use crate::codec::{decode, encode, seconds};
use crate::record::AuthzCode;
use crate::source::{DataSource, Row, StoreError};
use crate::successor::{Succeeded, Successor};
use crate::tables::AUTHZ_CODE;

/// Authorization codes over a data source. Kept: SHA-256 only.
pub struct AuthzCodes {
    source: Arc<dyn DataSource>,
    successor: Successor<AuthzCodes>,
}

impl Succeeded for AuthzCodes {
    fn successor(&self) -> &Successor<Self> {
        &self.successor
    }
}

/// A code that is known, used or not, as it was read.
#[derive(Debug)]
pub struct FoundCode {
    row: Row,
    /// Its record.
    pub record: AuthzCode,
}

impl AuthzCodes {
    /// The store over this source.
    pub fn new(source: Arc<dyn DataSource>) -> Self {
        AuthzCodes { source, successor: Successor::default() }
    }

    /// The source behind it.
    pub fn source(&self) -> &Arc<dyn DataSource> {
        &self.source
    }

    /// Keeps a code that was just minted; answered once it is durable.
    pub async fn insert(&self, code: &Token, record: &AuthzCode) -> Result<(), StoreError> {
        if code.kind() != TokenKind::Code || code.expires_at() != record.expires_at {
            return Err(StoreError::Broken("a code and its record say different things of it".into()));
        }
        let row = Row {
            key: code.key().to_bytes().to_vec(),
            version: 1,
            expires_at: Some(seconds(record.expires_at)),
            indexes: Vec::new(),
            record: encode(&AUTHZ_CODE, record)?,
        };
        match self.latest().source.insert(&AUTHZ_CODE, row).await? {
            true => Ok(()),
            false => {
                Err(StoreError::Broken("a code that was just made exists already: is the randomness broken?".into()))
            }
        }
    }

    /// The code, used or not, where it is known and has not expired at `now` (Unix seconds). What is malformed or expired is refused
    /// without a read.
    pub async fn find(&self, code: &str, now: u64) -> Result<Option<FoundCode>, StoreError> {
        let good = |code: &Token| code.kind() == TokenKind::Code && code.expires_at() > now;
        let Some(code) = Token::parse(code).filter(good) else { return Ok(None) };
        loop {
            let store = self.latest();
            let row = store.source.get(&AUTHZ_CODE, &code.key().to_bytes()).await?;
            if std::ptr::eq(store, self.latest()) {
                let Some(row) = row else { return Ok(None) };
                let record: AuthzCode = decode(&AUTHZ_CODE, &row)?;
                return Ok(Some(FoundCode { row, record }).filter(|found| found.record.expires_at > now));
            }
        }
    }

    /// Uses a code, as it was found; of several callers one does, and the others are told that it is used.
    pub async fn redeem(&self, found: &FoundCode, now: u64) -> Result<bool, StoreError> {
        if found.record.used_at.is_some() {
            return Ok(false);
        }
        let record = AuthzCode { used_at: Some(now), ..found.record.clone() };
        let row = Row { record: encode(&AUTHZ_CODE, &record)?, ..found.row.clone() };
        self.latest().source.replace(&AUTHZ_CODE, row, found.row.version).await
    }
}

#[cfg(test)]
mod tests {
    use oauth::{ClientId, GrantId, Scopes};

    use super::*;
    use crate::record::EpochsThen;
    use crate::sources::memory::Memory;

    const NOW: u64 = 1_800_000_000;

    fn minted() -> (Token, AuthzCode) {
        let code = Token::mint(TokenKind::Code, NOW + 60, [1; 32]);
        let record = AuthzCode {
            client_id: ClientId::new("app"),
            subject: "ann".into(),
            scope: Scopes::parse("a b").unwrap(),
            grant_id: GrantId::mint(NOW * 1000, [2; 16]),
            redirect_uri: Some("https://app.example/cb".into()),
            challenge: None,
            authentication: None,
            nonce: None,
            claims: None,
            epochs: EpochsThen::default(),
            issued_at: NOW,
            expires_at: NOW + 60,
            used_at: None,
        };
        (code, record)
    }

    /// D8: one of several gets it, and the others find whose grant it is.
    #[tokio::test]
    async fn rfc6749_4_1_2_a_code_is_used_once() {
        let store = AuthzCodes::new(Arc::new(Memory::new()));
        let (code, record) = minted();
        store.insert(&code, &record).await.unwrap();
        let (one, two) = (
            store.find(code.expose(), NOW).await.unwrap().unwrap(),
            store.find(code.expose(), NOW).await.unwrap().unwrap(),
        );
        assert_eq!(one.record, record);
        assert_eq!((store.redeem(&one, NOW).await, store.redeem(&two, NOW).await), (Ok(true), Ok(false)));
        let used = store.find(code.expose(), NOW + 1).await.unwrap().unwrap();
        assert_eq!((used.record.used_at, &used.record.grant_id), (Some(NOW), &record.grant_id));
        assert_eq!(store.redeem(&used, NOW).await, Ok(false));
        let rows = store.source().list(&AUTHZ_CODE, None, 9).await.unwrap();
        assert!(rows[0].key == code.key().to_bytes() && !rows[0].record.contains(&code.expose()[8..20]));
    }

    #[tokio::test]
    async fn a_code_expires_and_no_other_token_is_one() {
        let store = AuthzCodes::new(Arc::new(Memory::new()));
        let (code, record) = minted();
        store.insert(&code, &record).await.unwrap();
        assert!(store.find(code.expose(), NOW + 60).await.unwrap().is_none());
        for other in
            [Token::mint(TokenKind::Access, NOW + 60, [1; 32]), Token::mint(TokenKind::Code, NOW + 60, [3; 32])]
        {
            assert!(store.find(other.expose(), NOW).await.unwrap().is_none());
        }
        assert!(store.find("pcc_", NOW).await.unwrap().is_none());
        let longer = AuthzCode { expires_at: NOW + 61, ..record };
        assert!(matches!(store.insert(&code, &longer).await, Err(StoreError::Broken(_))));
    }
}
