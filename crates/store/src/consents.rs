//! The `consents` store: what users have agreed to, by client. So only what is new is asked, and users see whom they gave what.

use std::sync::Arc;

use oauth::{ClientId, Scopes};
use serde::{Deserialize, Serialize};

use crate::access_tokens::Whose;
use crate::codec::{SWAPS, decode, encode, too_busy};
use crate::source::{DataSource, Row, StoreError};
use crate::successor::{Succeeded, Successor, remove_all};
use crate::tables::CONSENT;

/// The places of the client and the subject among the table's index columns.
const CLIENT: usize = 0;
const SUBJECT: usize = 1;

/// What a user has agreed to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Consent {
    /// The client.
    pub client_id: ClientId,
    /// The user.
    pub subject: String,
    /// To what.
    pub scope: Scopes,
    /// Unix seconds.
    pub given_at: u64,
}

/// Consents over a data source.
pub struct Consents {
    source: Arc<dyn DataSource>,
    successor: Successor<Consents>,
}

impl Succeeded for Consents {
    fn successor(&self) -> &Successor<Self> {
        &self.successor
    }
}

impl Consents {
    /// The store over this source.
    pub fn new(source: Arc<dyn DataSource>) -> Self {
        Consents { source, successor: Successor::default() }
    }

    /// The source behind it.
    pub fn source(&self) -> &Arc<dyn DataSource> {
        &self.source
    }

    /// What this user has agreed to for this client.
    pub async fn get(&self, client: &ClientId, subject: &str) -> Result<Option<Consent>, StoreError> {
        loop {
            let store = self.latest();
            let row = store.source.get(&CONSENT, &key(client, subject)).await?;
            if std::ptr::eq(store, self.latest()) {
                return row.map(|row| decode(&CONSENT, &row)).transpose();
            }
        }
    }

    /// Adds to what this user has agreed to for this client.
    pub async fn add(&self, client: &ClientId, subject: &str, scope: &Scopes, now: u64) -> Result<(), StoreError> {
        let key = key(client, subject);
        for _ in 0..SWAPS {
            let store = self.latest();
            let found = store.source.get(&CONSENT, &key).await?;
            let before: Option<Consent> = found.as_ref().map(|row| decode(&CONSENT, row)).transpose()?;
            let before = before.map(|consent| consent.scope).unwrap_or_default();
            let all = before.iter().chain(scope.iter().filter(|scope| !before.contains(scope))).cloned();
            let consent = Consent {
                client_id: client.clone(),
                subject: subject.to_owned(),
                scope: Scopes::of(all).unwrap_or_default(),
                given_at: now,
            };
            let row = Row {
                key: key.clone(),
                version: 1,
                expires_at: None,
                indexes: vec![Some(client.to_string()), Some(subject.to_owned())],
                record: encode(&CONSENT, &consent)?,
            };
            let done = match found {
                Some(found) => store.source.replace(&CONSENT, row, found.version).await?,
                None => store.source.insert(&CONSENT, row).await?,
            };
            if done {
                return Ok(());
            }
        }
        Err(too_busy(&CONSENT))
    }

    /// Takes back what this user has agreed to for this client; `false` where it was nothing.
    pub async fn withdraw(&self, client: &ClientId, subject: &str) -> Result<bool, StoreError> {
        loop {
            let store = self.latest();
            let taken = store.source.take(&CONSENT, &key(client, subject)).await?.is_some();
            if taken || std::ptr::eq(store, self.latest()) {
                return Ok(taken);
            }
        }
    }

    /// Takes back all that this user has agreed to, or that was agreed to for this client; how many consents that was.
    pub async fn withdraw_all(&self, whose: &Whose) -> Result<u64, StoreError> {
        let (index, value) = match whose {
            Whose::Client(client) => (CLIENT, client.as_str()),
            Whose::Subject(subject) => (SUBJECT, subject.as_str()),
        };
        remove_all(self, |store| &store.source, &CONSENT, index, value).await
    }

    /// What this user has agreed to, `limit` clients at most.
    pub async fn of_subject(&self, subject: &str, limit: usize) -> Result<Vec<Consent>, StoreError> {
        let rows = self.latest().source.find(&CONSENT, SUBJECT, subject, None, limit).await?;
        rows.iter().map(|row| decode(&CONSENT, row)).collect()
    }
}

/// No identifier of a client has a zero byte.
fn key(client: &ClientId, subject: &str) -> Vec<u8> {
    [client.as_str().as_bytes(), b"\0", subject.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::memory::Memory;

    #[tokio::test]
    async fn consents_add_up_until_they_are_withdrawn() {
        let store = Consents::new(Arc::new(Memory::new()));
        let (app, other) = (ClientId::new("app"), ClientId::new("other"));
        let scopes = |text| Scopes::parse(text).unwrap();
        assert_eq!(store.get(&app, "ann").await, Ok(None));
        store.add(&app, "ann", &scopes("a b"), 1).await.unwrap();
        store.add(&app, "ann", &scopes("b c"), 2).await.unwrap();
        store.add(&other, "ann", &scopes("a"), 3).await.unwrap();
        store.add(&app, "bob", &scopes("a"), 4).await.unwrap();
        let consent = store.get(&app, "ann").await.unwrap().unwrap();
        assert_eq!((consent.scope, consent.given_at), (scopes("a b c"), 2));
        let of_ann = store.of_subject("ann", 9).await.unwrap();
        assert_eq!(of_ann.iter().map(|c| c.client_id.as_str()).collect::<Vec<_>>(), ["app", "other"]);
        assert_eq!((store.withdraw(&app, "ann").await, store.withdraw(&app, "ann").await), (Ok(true), Ok(false)));
        assert_eq!(store.get(&app, "ann").await, Ok(None));
        assert!(store.get(&app, "bob").await.unwrap().is_some());
        let ann = Whose::Subject("ann".into());
        assert_eq!((store.withdraw_all(&ann).await, store.withdraw_all(&ann).await), (Ok(1), Ok(0)));
        assert_eq!(store.of_subject("ann", 9).await, Ok(Vec::new()));
        assert!(store.get(&app, "bob").await.unwrap().is_some(), "that is another one's");
        assert_eq!(store.withdraw_all(&Whose::Client(app.clone())).await, Ok(1));
        assert_eq!(store.get(&app, "bob").await, Ok(None));
    }
}
