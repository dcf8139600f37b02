//! The `client-access-token` store: tokens that the gateway holds as a client of others. OAG: OAuth2 Client Access Token Store.
//!
//! One row for each provider, application there, subject and set of scopes: whoever asks for another user or other scopes never gets
//! what is kept for these. The tokens are sealed, since they must be recoverable, and open in their own row alone.
//!
//! Of many nodes one gets or renews a token: it claims the row, with a lease that it writes into it, and finishes by comparing and
//! swapping that very row. So a refresh token is not used twice; the others wait until the row changes. A node that dies leaves a
//! lease that runs out.

use std::sync::Arc;
use std::time::Duration;

use oauth::provider::answer::Tokens;
use oauth::{ClientId, Scopes, Secret};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::codec::{SWAPS, decode, encode, seconds, too_busy};
use crate::hex::{hex, unhex};
use crate::reseal::{Resealed, Sealed, reseal};
use crate::seal::{Place, Sealer};
use crate::source::{DataSource, Row, StoreError};
use crate::successor::{Succeeded, Successor};
use crate::tables::CLIENT_ACCESS_TOKEN;

/// What sealed values are bound to, beside their row.
const STORE: &str = "client-access-token";
/// See [`STORE`].
const COLUMN: &str = "tokens";
/// Seconds that a row outlives what is in it: nodes whose clocks differ, and who is just using it.
const SLACK: u64 = 60;
/// Rows that are looked through at once.
const PAGE: usize = 200;
/// How long it is waited before a row is looked at again: at first, and at most.
const LOOKS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

/// When it is tried again to keep what was got: a refresh token that took the place of another is not got twice.
const AGAIN: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_secs(1), Duration::from_secs(3)];

/// Tokens held, over a data source.
pub struct ClientAccessTokens {
    source: Arc<dyn DataSource>,
    sealer: Arc<Sealer>,
    successor: Successor<ClientAccessTokens>,
}

impl Succeeded for ClientAccessTokens {
    fn successor(&self) -> &Successor<Self> {
        &self.successor
    }
}

/// Whose tokens, from where, for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The provider, by its name here.
    pub provider: String,
    /// Who the gateway is there.
    pub client_id: ClientId,
    /// The user whom they stand for; none = the gateway itself.
    pub subject: Option<String>,
    /// What was asked for.
    pub scopes: Scopes,
}

/// The key of a row, which is also what one node's requests are gathered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HoldingKey([u8; 32]);

impl Holding {
    /// Its key. Each part has its length before it, so that no two holdings have one; the order of the scopes does not matter.
    pub fn key(&self) -> HoldingKey {
        let mut scopes: Vec<&str> = self.scopes.iter().map(|name| &**name).collect();
        scopes.sort_unstable();
        let (has_subject, subject) = match &self.subject {
            Some(subject) => ("1", subject.as_str()),
            None => ("0", ""),
        };
        let mut hash = Sha256::new();
        for part in [&*self.provider, self.client_id.as_str(), has_subject, subject, &*scopes.join(" ")] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        HoldingKey(hash.finalize().into())
    }
}

/// What stands in the row.
#[derive(Serialize, Deserialize)]
struct Record {
    provider: String,
    client_id: ClientId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    scope: Scopes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<HeldRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<Lease>,
}

/// The tokens of a row.
#[derive(Serialize, Deserialize)]
struct HeldRecord {
    granted: Scopes,
    /// Unix seconds.
    obtained_at: u64,
    /// Unix seconds.
    expires_at: u64,
    /// Unix seconds; none = there is no refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_until: Option<u64>,
    /// The tokens themselves.
    sealed: String,
}

/// What is sealed, as it is written.
#[derive(Serialize)]
struct Texts<'a> {
    access: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<&'a str>,
}

/// What is sealed, as it is read.
#[derive(Deserialize)]
struct Secrets {
    access: Secret,
    refresh: Option<Secret>,
}

/// What is held, without the tokens themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The key of its row.
    pub key: HoldingKey,
    /// Whose it is, from where, for what.
    pub holding: Holding,
    /// What was granted.
    pub granted: Scopes,
    /// Unix seconds.
    pub obtained_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
    /// Until when it can be renewed, Unix seconds; none = it has no refresh token.
    pub refresh_until: Option<u64>,
}

/// Which of what is held: all that fits what is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// From this provider.
    pub provider: Option<String>,
    /// As this client there.
    pub client_id: Option<ClientId>,
    /// For this user; `Some(None)` for the gateway itself.
    pub subject: Option<Option<String>>,
}

impl Which {
    fn is(&self, holding: &Holding) -> bool {
        self.provider.as_ref().is_none_or(|provider| *provider == holding.provider)
            && self.client_id.as_ref().is_none_or(|client| *client == holding.client_id)
            && self.subject.as_ref().is_none_or(|subject| *subject == holding.subject)
    }
}

/// A part of what is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldPage {
    /// In the order of the keys.
    pub held: Vec<Held>,
    /// Where to go on; none at the end.
    pub next: Option<HoldingKey>,
}

impl HoldingKey {
    /// Its text: hexadecimal digits.
    pub fn to_text(self) -> String {
        hex(self.0)
    }

    /// The key of this text.
    pub fn parse(text: &str) -> Option<HoldingKey> {
        unhex(text).map(HoldingKey)
    }
}

/// Who is getting or renewing what a row is to hold, and until when the others let it. By the clock of whoever claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Tells this claim from every other: random.
    pub id: String,
    /// Unix milliseconds.
    pub until: u64,
}

/// What came of a claim.
#[derive(Debug)]
pub enum Claim {
    /// What is there need not be renewed.
    There(Tokens),
    /// It is for the caller to get a token, and to say what came of it.
    Mine(Claimed),
    /// Somebody else does it.
    Others(Waiting),
}

/// A row that was claimed.
#[derive(Debug)]
pub struct Claimed {
    key: HoldingKey,
    version: i64,
    record: Holding,
    /// What is in it so far.
    pub tokens: Option<Tokens>,
}

/// A row that somebody else claimed.
#[derive(Debug)]
pub struct Waiting {
    key: HoldingKey,
    version: i64,
}

impl ClientAccessTokens {
    /// The store over this source; tokens are sealed by this sealer.
    pub fn new(source: Arc<dyn DataSource>, sealer: Arc<Sealer>) -> Self {
        ClientAccessTokens { source, sealer, successor: Successor::default() }
    }

    /// The source behind it.
    pub fn source(&self) -> &Arc<dyn DataSource> {
        &self.source
    }

    /// Whether it seals with this one.
    pub(crate) fn is_for(&self, sealer: &Arc<Sealer>) -> bool {
        Arc::ptr_eq(&self.sealer, sealer)
    }

    /// What is held, expired or not; that is for the caller to judge.
    pub async fn find(&self, holding: &Holding) -> Result<Option<Tokens>, StoreError> {
        let key = holding.key();
        loop {
            let store = self.latest();
            let found = match store.source.get(&CLIENT_ACCESS_TOKEN, &key.0).await? {
                Some(row) => store.opened(&key, &decode(&CLIENT_ACCESS_TOKEN, &row)?)?,
                None => None,
            };
            if std::ptr::eq(store, self.latest()) {
                return Ok(found);
            }
        }
    }

    /// Claims a holding in order to get a token for it, unless what is there by now is `good`, or somebody else is at it. `now` is in Unix
    /// milliseconds.
    pub async fn claim(
        &self,
        holding: &Holding,
        lease: Lease,
        now: u64,
        good: impl Fn(&Tokens) -> bool + Send,
    ) -> Result<Claim, StoreError> {
        let key = holding.key();
        for _ in 0..SWAPS {
            let store = self.latest();
            let row = store.source.get(&CLIENT_ACCESS_TOKEN, &key.0).await?;
            let Some(row) = row else {
                let record = Record { lease: Some(lease.clone()), ..Record::of(holding) };
                if store.source.insert(&CLIENT_ACCESS_TOKEN, row_of(&key, &record, 1)?).await? {
                    return Ok(Claim::Mine(Claimed { key, version: 1, record: holding.clone(), tokens: None }));
                }
                continue;
            };
            let mut record: Record = decode(&CLIENT_ACCESS_TOKEN, &row)?;
            let tokens = store.opened(&key, &record)?;
            if let Some(tokens) = tokens.as_ref().filter(|tokens| good(tokens)) {
                return Ok(Claim::There(tokens.clone()));
            }
            if record.lease.as_ref().is_some_and(|lease| lease.until > now) {
                return Ok(Claim::Others(Waiting { key, version: row.version }));
            }
            record.lease = Some(lease.clone());
            if store.source.replace(&CLIENT_ACCESS_TOKEN, row_of(&key, &record, row.version)?, row.version).await? {
                return Ok(Claim::Mine(Claimed { key, version: row.version + 1, record: holding.clone(), tokens }));
            }
        }
        Err(too_busy(&CLIENT_ACCESS_TOKEN))
    }

    /// Keeps what was got for a claim, and ends it; `false` where the claim had run out and the row is another one by now.
    pub async fn finish(&self, claimed: &Claimed, tokens: &Tokens) -> Result<bool, StoreError> {
        let store = self.latest();
        let held = Some(store.sealed(&claimed.key, tokens)?);
        let record = Record { held, ..Record::of(&claimed.record) };
        let row = row_of(&claimed.key, &record, claimed.version)?;
        let mut pauses = AGAIN.iter();
        loop {
            let done = store.source.replace(&CLIENT_ACCESS_TOKEN, row.clone(), claimed.version).await;
            match (done, pauses.next()) {
                (Err(StoreError::Unavailable(_)), Some(pause)) => tokio::time::sleep(*pause).await,
                (done, _) => return done,
            }
        }
    }

    /// Ends a claim that came to nothing. Of what the row held, this is kept.
    pub async fn give_up(&self, claimed: &Claimed, keep: Option<&Tokens>) -> Result<(), StoreError> {
        let store = self.latest();
        let held = keep.map(|tokens| store.sealed(&claimed.key, tokens)).transpose()?;
        let record = Record { held, ..Record::of(&claimed.record) };
        let row = row_of(&claimed.key, &record, claimed.version)?;
        store.source.replace(&CLIENT_ACCESS_TOKEN, row, claimed.version).await.map(drop)
    }

    /// Waits until a row that others claimed is another one, at most so long; `false` where it is not.
    pub async fn changed(&self, waiting: &Waiting, at_most: Duration) -> Result<bool, StoreError> {
        let deadline = Instant::now() + at_most;
        let (mut pause, most) = LOOKS;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(most);
            let row = self.latest().source.get(&CLIENT_ACCESS_TOKEN, &waiting.key.0).await?;
            if row.is_none_or(|row| row.version != waiting.version) {
                return Ok(true);
            }
        }
    }

    /// Keeps tokens, whatever is there: those of a code, which a person has just agreed to. A claim of others comes to nothing by it.
    pub async fn save(&self, holding: &Holding, tokens: &Tokens) -> Result<(), StoreError> {
        let key = holding.key();
        for _ in 0..SWAPS {
            let store = self.latest();
            let record = Record { held: Some(store.sealed(&key, tokens)?), ..Record::of(holding) };
            let done = match store.source.get(&CLIENT_ACCESS_TOKEN, &key.0).await? {
                None => store.source.insert(&CLIENT_ACCESS_TOKEN, row_of(&key, &record, 1)?).await?,
                Some(row) => {
                    let version = row.version;
                    store.source.replace(&CLIENT_ACCESS_TOKEN, row_of(&key, &record, version)?, version).await?
                }
            };
            if done {
                return Ok(());
            }
        }
        Err(too_busy(&CLIENT_ACCESS_TOKEN))
    }

    /// Deletes what is held, and gives it: one caller gets it.
    pub async fn delete(&self, holding: &Holding) -> Result<Option<Tokens>, StoreError> {
        let key = holding.key();
        loop {
            let store = self.latest();
            if let Some(row) = store.source.take(&CLIENT_ACCESS_TOKEN, &key.0).await? {
                return store.opened(&key, &decode(&CLIENT_ACCESS_TOKEN, &row)?);
            }
            if std::ptr::eq(store, self.latest()) {
                return Ok(None);
            }
        }
    }

    /// What is held, after `after`, of at most `limit` rows: fewer where others do not fit, or nothing is in them yet. No token is opened.
    pub async fn list(&self, which: &Which, after: Option<HoldingKey>, limit: usize) -> Result<HeldPage, StoreError> {
        let rows = self.rows(which, after, limit).await?;
        let next = rows.last().filter(|_| rows.len() == limit).map(|(key, _)| *key);
        let held = rows.into_iter().filter_map(|(key, record)| {
            let (holding, held) = (record.holding(), record.held?);
            Some(Held {
                key,
                holding,
                granted: held.granted,
                obtained_at: held.obtained_at,
                expires_at: held.expires_at,
                refresh_until: held.refresh_until,
            })
        });
        Ok(HeldPage { held: held.filter(|held| which.is(&held.holding)).collect(), next })
    }

    /// Deletes what is held, claims that others have included: what they get then is kept by nobody. How many there were.
    pub async fn delete_all(&self, which: &Which) -> Result<u64, StoreError> {
        let (mut deleted, mut after) = (0, None);
        loop {
            let rows = self.rows(which, after, PAGE).await?;
            let last = rows.last().map(|(key, _)| *key);
            for (key, record) in &rows {
                if which.is(&record.holding())
                    && self.latest().source.take(&CLIENT_ACCESS_TOKEN, &key.0).await?.is_some()
                {
                    deleted += u64::from(record.held.is_some());
                }
            }
            match last {
                Some(last) if rows.len() == PAGE => after = Some(last),
                _ => return Ok(deleted),
            }
        }
    }

    /// Rows among which are all that fit.
    async fn rows(
        &self,
        which: &Which,
        after: Option<HoldingKey>,
        limit: usize,
    ) -> Result<Vec<(HoldingKey, Record)>, StoreError> {
        let store = self.latest();
        let after = after.as_ref().map(|key| &key.0[..]);
        let rows = match (&which.subject, &which.provider) {
            (Some(Some(subject)), _) => store.source.find(&CLIENT_ACCESS_TOKEN, 1, subject, after, limit).await?,
            (_, Some(provider)) => store.source.find(&CLIENT_ACCESS_TOKEN, 0, provider, after, limit).await?,
            _ => store.source.list(&CLIENT_ACCESS_TOKEN, after, limit).await?,
        };
        let record = |row: &Row| {
            let key = row.key.as_slice().try_into().map(HoldingKey);
            let key =
                key.map_err(|_| StoreError::Broken(format!("a key in `{}` is none", CLIENT_ACCESS_TOKEN.name)))?;
            Ok((key, decode(&CLIENT_ACCESS_TOKEN, row)?))
        };
        rows.iter().map(record).collect()
    }

    /// Seals what an older key sealed anew. What does not open stays as it is, and is told.
    pub async fn reencrypt(&self) -> Result<Resealed, StoreError> {
        let store = self.latest();
        reseal::<Record>(&*store.source, &CLIENT_ACCESS_TOKEN, &store.sealer, STORE, COLUMN).await
    }

    /// Seals what a browser carries from a redirection to the callback.
    pub fn seal_journey(&self, provider: &str, plain: &[u8]) -> Result<String, StoreError> {
        self.latest().sealer.seal(plain, &Place { store: STORE, key: provider.as_bytes(), column: "journey" })
    }

    /// Opens it; none where it is not what this cluster sealed.
    pub fn open_journey(&self, provider: &str, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.latest().sealer.open(sealed, &Place { store: STORE, key: provider.as_bytes(), column: "journey" }).ok()
    }

    fn sealed(&self, key: &HoldingKey, tokens: &Tokens) -> Result<HeldRecord, StoreError> {
        let texts = Texts { access: tokens.access.expose(), refresh: tokens.refresh.as_ref().map(Secret::expose) };
        let plain = Zeroizing::new(encode(&CLIENT_ACCESS_TOKEN, &texts)?);
        Ok(HeldRecord {
            granted: tokens.granted.clone(),
            obtained_at: tokens.obtained_at,
            expires_at: tokens.expires_at,
            refresh_until: tokens.refresh.as_ref().and(tokens.refresh_until),
            sealed: self.sealer.seal(plain.as_bytes(), &place(key))?,
        })
    }

    fn opened(&self, key: &HoldingKey, record: &Record) -> Result<Option<Tokens>, StoreError> {
        let Some(held) = &record.held else { return Ok(None) };
        let plain = self.sealer.open(&held.sealed, &place(key))?;
        let Secrets { access, refresh } = serde_json::from_slice(&plain).map_err(|_| {
            StoreError::Broken(format!("what is sealed in `{}` cannot be read", CLIENT_ACCESS_TOKEN.name))
        })?;
        Ok(Some(Tokens {
            access,
            refresh,
            id_token: None,
            granted: held.granted.clone(),
            obtained_at: held.obtained_at,
            expires_at: held.expires_at,
            refresh_until: held.refresh_until,
        }))
    }
}

impl Record {
    /// Nothing is held yet, and nobody is at it.
    fn of(holding: &Holding) -> Record {
        Record {
            provider: holding.provider.clone(),
            client_id: holding.client_id.clone(),
            subject: holding.subject.clone(),
            scope: holding.scopes.clone(),
            held: None,
            lease: None,
        }
    }

    /// Whose it is, from where, for what.
    fn holding(&self) -> Holding {
        Holding {
            provider: self.provider.clone(),
            client_id: self.client_id.clone(),
            subject: self.subject.clone(),
            scopes: self.scope.clone(),
        }
    }

    /// When nothing in it is of use any more, Unix seconds.
    fn ends(&self) -> u64 {
        let held = self.held.as_ref().map_or(0, |held| held.expires_at.max(held.refresh_until.unwrap_or(0)));
        held.max(self.lease.as_ref().map_or(0, |lease| lease.until.div_ceil(1_000)))
    }
}

impl Sealed for Record {
    fn name(&self) -> String {
        let of = self.subject.as_deref().unwrap_or("the gateway itself");
        format!("{} at {} for {of}", self.client_id, self.provider)
    }

    fn sealed(&mut self) -> Vec<&mut String> {
        self.held.iter_mut().map(|held| &mut held.sealed).collect()
    }
}

fn place(key: &HoldingKey) -> Place<'_> {
    Place { store: STORE, key: &key.0, column: COLUMN }
}

fn row_of(key: &HoldingKey, record: &Record, version: i64) -> Result<Row, StoreError> {
    Ok(Row {
        key: key.0.to_vec(),
        version,
        expires_at: Some(seconds(record.ends().saturating_add(SLACK))),
        indexes: vec![Some(record.provider.clone()), record.subject.clone()],
        record: encode(&CLIENT_ACCESS_TOKEN, record)?,
    })
}

#[cfg(test)]
mod tests;
