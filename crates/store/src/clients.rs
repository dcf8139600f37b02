//! The `clients` store: the client application registry.
//!
//! Clients are read with every request, so they are remembered for at most 1 s. Misses are not: a new client is known at once.
//! What this node writes it knows at once. And nobody is refused for a secret by what is remembered: one that another process
//! has just given a client is known at once too.
//!
//! Their age is measured here, by a clock that never goes back: the time at which a request began says nothing of it, since its
//! body may have taken minutes.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use oauth::credential::verify_generated;
use oauth::{ClientId, Secret};
use quick_cache::sync::Cache;
use tokio::time::Instant;

use self::verify::Verifier;
use crate::codec::{SWAPS, decode, encode, too_busy};
use crate::lane::{hash_chosen, is_outdated, verify_chosen};
use crate::record::{Client, ClientSecret};
use crate::reseal::{Resealed, Sealed, reseal};
use crate::seal::{Place, Sealer};
use crate::source::{DataSource, Row, StoreError};
use crate::successor::{Succeeded, Successor};
use crate::tables::CLIENT;

mod verify;

/// Clients that are remembered.
const REMEMBERED: usize = 10_000;
/// For how long.
const FRESH: Duration = Duration::from_secs(1);
/// What sealed secrets are bound to, beside their client.
const STORE: &str = "clients";
/// See [`STORE`].
const COLUMN: &str = "secret";

/// Clients over a data source, with a cache of at most 1 s (misses are never cached).
pub struct Clients {
    source: Arc<dyn DataSource>,
    remembered: Cache<Arc<str>, Remembered>,
    /// Counts this node's writes: a read that began before one is not remembered. The lock makes looking at the count and
    /// remembering one step.
    writes: AtomicU64,
    remembering: Mutex<()>,
    verifier: Verifier,
    sealer: Arc<Sealer>,
    successor: Successor<Clients>,
}

impl Succeeded for Clients {
    fn successor(&self) -> &Successor<Self> {
        &self.successor
    }
}

#[derive(Clone)]
struct Remembered {
    client: Arc<Client>,
    /// When it was asked for: the row is no older.
    read_at: Instant,
}

/// A client, or that there is none.
struct Known {
    client: Option<Arc<Client>>,
    /// When it was asked for: what is told is no older.
    read_at: Instant,
}

impl Clients {
    /// The store over this source; what must be recoverable of secrets is sealed by this sealer.
    pub fn new(source: Arc<dyn DataSource>, sealer: Arc<Sealer>) -> Self {
        Clients {
            source,
            remembered: Cache::new(REMEMBERED),
            writes: AtomicU64::new(0),
            remembering: Mutex::new(()),
            verifier: Verifier::new(),
            sealer,
            successor: Successor::default(),
        }
    }

    /// Whether it seals with this one.
    pub(crate) fn is_for(&self, sealer: &Arc<Sealer>) -> bool {
        Arc::ptr_eq(&self.sealer, sealer)
    }

    /// The source behind it.
    pub fn source(&self) -> &Arc<dyn DataSource> {
        &self.source
    }

    /// The client, as it was at most 1 s ago; enabled or not.
    pub async fn get(&self, id: &ClientId) -> Result<Option<Arc<Client>>, StoreError> {
        loop {
            let (store, now) = (self.latest(), Instant::now());
            let known = store.since(id, now.checked_sub(FRESH).unwrap_or(now)).await?;
            // What it said where another took its place meanwhile may be of neither.
            if std::ptr::eq(store, self.latest()) {
                return Ok(known.client);
            }
        }
    }

    /// The client as it was at this time or later: remembered, or read.
    async fn since(&self, id: &ClientId, time: Instant) -> Result<Known, StoreError> {
        if let Some(Remembered { client, read_at }) = self.remembered.get(id.as_str())
            && read_at >= time
        {
            return Ok(Known { client: Some(client), read_at });
        }
        let read_at = Instant::now();
        let writes = self.writes.load(Ordering::Acquire);
        let Some(row) = self.source.get(&CLIENT, id.as_str().as_bytes()).await? else {
            self.forget(id);
            return Ok(Known { client: None, read_at });
        };
        let client: Arc<Client> = Arc::new(decode(&CLIENT, &row)?);
        if client.client_id != *id {
            return Err(another(id));
        }
        self.verifier.saw(&client);
        let _one_step = self.remembering.lock().unwrap_or_else(PoisonError::into_inner);
        if self.writes.load(Ordering::Acquire) == writes {
            self.remembered.insert(id.shared(), Remembered { client: client.clone(), read_at });
        }
        Ok(Known { client: Some(client), read_at })
    }

    /// After a write of this node, whatever came of it.
    fn wrote(&self, id: &ClientId) {
        let _one_step = self.remembering.lock().unwrap_or_else(PoisonError::into_inner);
        self.writes.fetch_add(1, Ordering::AcqRel);
        self.remembered.remove(id.as_str());
    }

    fn forget(&self, id: &ClientId) {
        self.remembered.remove(id.as_str());
    }

    /// The enabled client whose secret this is. An unknown, disabled or wrong one is `None` after the same work. `now` (Unix
    /// seconds) decides which secrets are still valid.
    ///
    /// A client that was remembered refuses nobody: another process may just have given it the secret. It is read once more, and
    /// that before slow work, so that the limits on failures and on work are those of one check.
    pub async fn authenticate(
        &self,
        id: &ClientId,
        secret: &Secret,
        now: u64,
    ) -> Result<Option<Arc<Client>>, StoreError> {
        loop {
            let store = self.latest();
            let client = store.authenticate_here(id, secret, now).await?;
            if client.is_some() || std::ptr::eq(store, self.latest()) {
                return Ok(client);
            }
        }
    }

    async fn authenticate_here(
        &self,
        id: &ClientId,
        secret: &Secret,
        now: u64,
    ) -> Result<Option<Arc<Client>>, StoreError> {
        let began = Instant::now();
        // A disabled one is as unknown.
        let enabled = |known: Known| known.client.filter(|client| client.enabled);
        let known = self.since(id, began.checked_sub(FRESH).unwrap_or(began)).await?;
        let was_read = known.read_at >= began;
        let mut client = enabled(known);
        if !was_read {
            if self.verifier.knows(id, client.as_deref(), secret, now) {
                return Ok(client);
            }
            client = enabled(self.since(id, began).await?);
        }
        let right = self.verifier.verify(id, client.as_deref(), secret, now).await?;
        let client = client.filter(|_| right);
        if let Some(client) = &client {
            self.strengthen(client, secret).await;
        }
        Ok(client)
    }

    /// Gives a secret whose hash is weaker than ours, of another system perhaps, one of ours. Where that cannot be, the one that it has
    /// stays, and the client is in.
    async fn strengthen(&self, client: &Client, secret: &Secret) {
        let hashes = || client.secrets.iter().map(|kept| kept.hash.as_str());
        let is_fast = hashes().any(|hash| verify_generated(hash, secret) == Some(true));
        if is_fast || self.source.capabilities().read_only {
            return;
        }
        for weak in hashes().filter(|hash| is_outdated(hash)) {
            let strengthened = async {
                if !verify_chosen(weak, secret).await? {
                    return Ok(None);
                }
                let strong = hash_chosen(secret).await?;
                let change = |client: &mut Client| {
                    for kept in client.secrets.iter_mut().filter(|kept| kept.hash == weak) {
                        kept.hash.clone_from(&strong);
                    }
                };
                self.update(&client.client_id, change).await
            };
            if let Err(why) = strengthened.await {
                tracing::warn!(client = %client.client_id, "the weak hash of a secret stays for now: {why}");
            }
        }
    }

    /// Registers a client; `false` where the id is taken.
    pub async fn add(&self, client: &Client) -> Result<bool, StoreError> {
        let store = self.latest();
        let added = store.source.insert(&CLIENT, Clients::row(client)?).await;
        store.wrote(&client.client_id);
        added
    }

    /// Changes a client by compare and swap, as often as it takes; `None` where there is none. Its id stays what it is.
    pub async fn update(
        &self,
        id: &ClientId,
        change: impl Fn(&mut Client) + Send,
    ) -> Result<Option<Client>, StoreError> {
        let change = move |client: &mut Client| -> Result<(), Infallible> {
            change(client);
            Ok(())
        };
        self.try_update(id, change).await.map(|updated| updated.unwrap_or_else(|never| match never {}))
    }

    /// The same, where the change may say no: then nothing is written.
    pub async fn try_update<E>(
        &self,
        id: &ClientId,
        change: impl Fn(&mut Client) -> Result<(), E> + Send,
    ) -> Result<Result<Option<Client>, E>, StoreError> {
        for _ in 0..SWAPS {
            let store = self.latest();
            let Some(found) = store.source.get(&CLIENT, id.as_str().as_bytes()).await? else {
                store.forget(id);
                if std::ptr::eq(store, self.latest()) {
                    return Ok(Ok(None));
                }
                continue;
            };
            let mut client: Client = decode(&CLIENT, &found)?;
            if let Err(no) = change(&mut client) {
                return Ok(Err(no));
            }
            client.client_id = id.clone();
            let replaced = store.source.replace(&CLIENT, Clients::row(&client)?, found.version).await;
            store.wrote(id);
            if replaced? {
                return Ok(Ok(Some(client)));
            }
        }
        Err(too_busy(&CLIENT))
    }

    /// The secret of a client, sealed for its record.
    pub fn seal(&self, id: &ClientId, secret: &Secret) -> Result<String, StoreError> {
        self.latest().sealer.seal(secret.expose().as_bytes(), &place(id))
    }

    /// The secret that was sealed for this client's record.
    pub fn open(&self, id: &ClientId, sealed: &str) -> Result<Secret, StoreError> {
        let plain = self.latest().sealer.open(sealed, &place(id))?;
        let text =
            std::str::from_utf8(&plain).map_err(|_| StoreError::Broken(format!("a secret of `{id}` is no text")))?;
        Ok(Secret::new(text.to_owned()))
    }

    /// The secrets that are valid at `now` (Unix seconds), of a client that signs by them; of any other none.
    pub fn signing_secrets(&self, client: &Client, now: u64) -> Result<Vec<Secret>, StoreError> {
        if !client.signs_by_secret() {
            return Ok(Vec::new());
        }
        let valid = client.secrets.iter().filter(|kept| kept.expires_at.is_none_or(|at| at > now));
        valid.filter_map(|kept| kept.sealed.as_ref()).map(|sealed| self.open(&client.client_id, sealed)).collect()
    }

    /// Seals what an older key sealed anew. What does not open stays as it is, and is told.
    pub async fn reencrypt(&self) -> Result<Resealed, StoreError> {
        let store = self.latest();
        reseal::<Client>(&*store.source, &CLIENT, &store.sealer, STORE, COLUMN).await
    }

    /// Gives a client another secret; those before stay valid until `keep_until`, or until they would have expired anyway. Both times are
    /// Unix seconds. Where a `method` is named, it is held to that from now on.
    pub async fn rotate(
        &self,
        id: &ClientId,
        secret: &ClientSecret,
        method: Option<&str>,
        keep_until: u64,
        now: u64,
    ) -> Result<Option<Client>, StoreError> {
        self.update(id, |client| {
            for secret in &mut client.secrets {
                secret.expires_at = Some(secret.expires_at.map_or(keep_until, |at| at.min(keep_until)));
            }
            client.secrets.retain(|secret| secret.expires_at.is_none_or(|at| at > now));
            client.secrets.insert(0, secret.clone());
            let method = method.map(str::to_owned).or_else(|| client.token_endpoint_auth_method.take());
            client.authenticate_by(method);
            // A hash is of no use to whoever signs.
            let signs = client.signs_by_secret();
            client.secrets.retain(|secret| !signs || secret.sealed.is_some());
        })
        .await
    }

    /// Deletes a client; `false` where there is none. Its tokens are refused from then on, since their client is unknown;
    /// revoke them as well (`AccessTokens::revoke_all`), or they live again when the id is registered again.
    pub async fn delete(&self, id: &ClientId) -> Result<bool, StoreError> {
        loop {
            let store = self.latest();
            let deleted = store.source.take(&CLIENT, id.as_str().as_bytes()).await;
            store.wrote(id);
            let deleted = deleted?.is_some();
            if deleted || std::ptr::eq(store, self.latest()) {
                return Ok(deleted);
            }
        }
    }

    /// The client as it stands in the source now, whatever is remembered.
    pub async fn read(&self, id: &ClientId) -> Result<Option<Client>, StoreError> {
        let row = self.latest().source.get(&CLIENT, id.as_str().as_bytes()).await?;
        row.map(|row| decode(&CLIENT, &row)).transpose()
    }

    /// Clients in the order of their ids, after `after`, at most `limit`.
    pub async fn list(&self, after: Option<&ClientId>, limit: usize) -> Result<Vec<Client>, StoreError> {
        let after = after.map(|id| id.as_str().as_bytes());
        let rows = self.latest().source.list(&CLIENT, after, limit).await?;
        rows.iter().map(|row| decode(&CLIENT, row)).collect()
    }

    /// A client as it stands in a data source.
    pub fn row(client: &Client) -> Result<Row, StoreError> {
        let key = client.client_id.as_str().as_bytes().to_vec();
        Ok(Row { key, version: 1, expires_at: None, indexes: Vec::new(), record: encode(&CLIENT, client)? })
    }
}

impl Sealed for Client {
    fn name(&self) -> String {
        self.client_id.to_string()
    }

    fn sealed(&mut self) -> Vec<&mut String> {
        self.secrets.iter_mut().filter_map(|secret| secret.sealed.as_mut()).collect()
    }
}

/// Where the secret of a client is sealed for, whichever registry it is in.
fn place(id: &ClientId) -> Place<'_> {
    Place { store: STORE, key: id.as_str().as_bytes(), column: COLUMN }
}

/// Its tokens would be the other one's.
fn another(id: &ClientId) -> StoreError {
    let id = id.as_str();
    StoreError::Broken(format!(
        "the record of client `{id}` says that it is another one: it was copied from there by hand perhaps"
    ))
}

#[cfg(test)]
mod tests;
