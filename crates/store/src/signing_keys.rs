//! The `keys` store: the keys that sign tokens, shared by all nodes.
//!
//! Whoever needs a key first makes it. Its identifier follows from its algorithm and from when it begins to sign, and of several nodes
//! that insert the same identifier one wins: all sign with that one. A key is published before it signs, so that those who check tokens
//! know it by then, and until the last token that it signed has expired ([`schedule`]).
//!
//! A node reads the keys at most every few seconds, and signs nothing with what it read longer ago. Private keys are sealed; one that
//! this node cannot unseal is published all the same, since others may sign with it.

pub mod schedule;

use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use oauth::jose::{Algorithm, Jwk, KeySet, NoKey, PrivateKey};
use serde_json::Value as Json;
use tokio::time::Instant;

use self::schedule::{Schedule, Step, active, kid};
use crate::codec::{SWAPS, decode, encode, seconds, too_busy};
use crate::lane::Lane;
use crate::record::SigningKey;
use crate::reseal::{Resealed, Sealed, reseal};
use crate::seal::{Place, Sealer};
use crate::source::{DataSource, Row, StoreError};
use crate::successor::{Succeeded, Successor};
use crate::tables::SIGNING_KEY;

/// How long what was read is believed.
const FRESH: Duration = Duration::from_secs(3);
/// Seconds after which every node has read a key that was just made, and knows that another one was retired.
pub const KNOWN_AFTER: u64 = 10;
/// Seconds for which a key is published beyond the expiry of the last token that it signed: nodes read keys late, and clocks differ.
const MARGIN: u64 = 300;
/// Lifetimes are noted in such steps, seconds: each one noted is a write.
const LIFETIME_STEP: u64 = 300;
/// The field that is sealed.
const COLUMN: &str = "private";
/// Keys that are read at once.
const PAGE: usize = 100;

/// RSA: keys take a tenth of a second to make, and signatures several times as long as others.
static SLOW: LazyLock<Lane> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Lane::new("tokens are being signed with RSA", 1024, (processors / 2).max(1))
});

/// The keys over a data source.
pub struct SigningKeys {
    name: Arc<str>,
    source: Arc<dyn DataSource>,
    sealer: Arc<Sealer>,
    known: Mutex<Option<Known>>,
    /// Held by whoever reads: the others wait for what comes of it.
    reading: tokio::sync::Mutex<()>,
    successor: Successor<SigningKeys>,
}

impl Succeeded for SigningKeys {
    fn successor(&self) -> &Successor<Self> {
        &self.successor
    }
}

/// The keys as they were read.
#[derive(Clone)]
struct Known {
    /// From before they were asked for.
    read_at: Instant,
    keys: Arc<Vec<Kept>>,
}

/// A key, and its private half once it was needed.
#[derive(Clone)]
struct Kept {
    record: SigningKey,
    private: Arc<OnceLock<Arc<PrivateKey>>>,
}

impl SigningKeys {
    /// The store of this name over this source; private keys are sealed by this sealer.
    pub fn new(name: &str, source: Arc<dyn DataSource>, sealer: Arc<Sealer>) -> Self {
        SigningKeys {
            name: name.into(),
            source,
            sealer,
            known: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            successor: Successor::default(),
        }
    }

    /// The source behind it.
    pub fn source(&self) -> &Arc<dyn DataSource> {
        &self.source
    }

    /// Whether it seals with this sealer.
    pub(crate) fn is_for(&self, sealer: &Arc<Sealer>) -> bool {
        Arc::ptr_eq(&self.sealer, sealer)
    }

    /// Forgets what was read: for tests that change what is stored.
    pub fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The public keys at `now` (Unix seconds): those that sign, those that will, and those whose tokens may still live. Each of these
    /// algorithms has one that signs: it is made where there is none.
    pub async fn published(&self, algorithms: &[Algorithm], now: u64) -> Result<KeySet, StoreError> {
        let store = self.latest();
        // What signs now stands first: some clients look at nothing else.
        let mut first = Vec::with_capacity(algorithms.len());
        for algorithm in algorithms {
            first.push(store.signer(*algorithm, now).await?.record.kid);
        }
        let keys = store.fresh().await?;
        let mut live: Vec<&SigningKey> = keys.iter().map(|key| &key.record).filter(|key| key.lives(now)).collect();
        live.sort_by_key(|key| first.iter().position(|kid| *kid == key.kid).unwrap_or(first.len()));
        live.into_iter().map(public).collect::<Result<_, _>>().map(KeySet::new)
    }

    /// Signs claims that expire at `expires_at`, with the key that signs by this algorithm at `now` (both Unix seconds). The key is
    /// published for as long.
    pub async fn sign(
        &self,
        algorithm: Algorithm,
        typ: &'static str,
        claims: Json,
        expires_at: u64,
        now: u64,
    ) -> Result<String, StoreError> {
        let store = self.latest();
        let key = store.signer(algorithm, now).await?;
        let lifetime = expires_at.saturating_sub(now);
        if lifetime > key.record.longest {
            let longest = lifetime.div_ceil(LIFETIME_STEP).saturating_mul(LIFETIME_STEP);
            store.update(&key.record.kid, |record| record.outlive(longest)).await?;
        }
        let (private, kid) = (store.private(&key)?, key.record.kid.clone());
        let work = move || private.sign(&kid, typ, &claims);
        let signed = if algorithm.is_slow() { SLOW.run(work).await? } else { work() };
        signed.map_err(|why| StoreError::Broken(format!("a token cannot be signed with {algorithm}: {why}")))
    }

    /// That the keys which sign by these algorithms at `now` (Unix seconds) can be opened here: one that another node sealed with a key that this
    /// one lacks is published, and signs nothing.
    pub async fn can_sign(&self, algorithms: &[Algorithm], now: u64) -> Result<(), StoreError> {
        let store = self.latest();
        for algorithm in algorithms {
            store.private(&store.signer(*algorithm, now).await?)?;
        }
        Ok(())
    }

    /// All keys, as they are stored, by their identifiers.
    pub async fn list(&self) -> Result<Vec<SigningKey>, StoreError> {
        Ok(self.latest().read().await?.into_iter().map(|(_, record)| record).collect())
    }

    /// Does what is due by the schedule at `now` (Unix seconds), and tells it. Several nodes may do it at once: every step is done once.
    pub async fn keep_schedule(&self, schedule: &Schedule, now: u64) -> Result<Vec<Step>, StoreError> {
        let store = self.latest();
        let records: Vec<SigningKey> = store.read().await?.into_iter().map(|(_, record)| record).collect();
        let mut done = Vec::new();
        for step in schedule::due(&records, schedule, now) {
            let changed = match &step {
                Step::Make { algorithm, active_from } => store.make(*algorithm, *active_from, now).await?.is_some(),
                Step::Retire { kid, at } => store.update(kid, |record| record.retire(*at, MARGIN)).await?.is_some(),
            };
            if changed {
                done.push(step);
            }
        }
        Ok(done)
    }

    /// Makes a key that signs `after` seconds from `now` on, or a little later: every node knows it by then. Of several that are made
    /// for the same second, one is.
    pub async fn rotate(&self, algorithm: Algorithm, after: u64, now: u64) -> Result<SigningKey, StoreError> {
        let store = self.latest();
        let active_from = now.saturating_add(after.max(KNOWN_AFTER));
        if let Some(made) = store.make(algorithm, active_from, now).await? {
            return Ok(made);
        }
        let kid = kid(algorithm, active_from);
        let found = store.read().await?.into_iter().map(|(_, record)| record).find(|record| record.kid == kid);
        found.ok_or_else(|| StoreError::Unavailable(format!("another node made the key `{kid}`, and it is gone again")))
    }

    /// Lets a key sign no more; `None` where there is none. It is published until what it signed has expired; where it is `withdraw`n,
    /// no longer: what it signed is worth nothing to anybody who reads the keys anew.
    pub async fn retire(&self, kid: &str, withdraw: bool, now: u64) -> Result<Option<SigningKey>, StoreError> {
        self.latest()
            .update(kid, |record| match withdraw {
                true => record.withdraw(now),
                false => record.retire(now, MARGIN),
            })
            .await
    }

    /// Seals what an older sealing key sealed anew. What does not open stays as it is, and is told.
    pub async fn reencrypt(&self) -> Result<Resealed, StoreError> {
        let store = self.latest();
        let done = reseal::<SigningKey>(&*store.source, &SIGNING_KEY, &store.sealer, &store.name, COLUMN).await;
        store.forget();
        done
    }

    /// The key that signs by this algorithm now; made where there is none.
    async fn signer(&self, algorithm: Algorithm, now: u64) -> Result<Kept, StoreError> {
        let find = |keys: &[Kept]| {
            let kid = active(keys.iter().map(|key| &key.record), algorithm.as_str(), now)?.kid.clone();
            keys.iter().find(|key| key.record.kid == kid).cloned()
        };
        if let Some(found) = find(&self.fresh().await?) {
            return Ok(found);
        }
        // Another node may just have made one. The second try is for a key that began in this minute and was taken out of use.
        for active_from in [schedule::minute(now), now] {
            self.forget();
            if let Some(found) = find(&self.fresh().await?) {
                return Ok(found);
            }
            self.make(algorithm, active_from, now).await?;
        }
        find(&self.fresh().await?).ok_or_else(|| {
            StoreError::Unavailable(format!("no key signs by {algorithm}, though one was made just now"))
        })
    }

    /// Makes a key and keeps it; `None` where there is one already with its identifier.
    async fn make(&self, algorithm: Algorithm, active_from: u64, now: u64) -> Result<Option<SigningKey>, StoreError> {
        let cannot = |why: NoKey| StoreError::Broken(format!("no key can be made for {algorithm}: {why}"));
        let work = move || PrivateKey::generate(algorithm);
        let made = if algorithm.is_slow() { SLOW.run(work).await? } else { work() };
        let made = made.map_err(cannot)?;
        let kid = kid(algorithm, active_from);
        let record = SigningKey {
            alg: algorithm.as_str().to_owned(),
            public: made.public(&kid).to_json(),
            private: self.sealer.seal(&made.to_pkcs8().map_err(cannot)?, &self.place(&kid))?,
            created_at: now,
            active_from,
            longest: 0,
            retired_at: None,
            expires_at: None,
            kid,
        };
        let inserted = self.source.insert(&SIGNING_KEY, row(&record)?).await;
        self.forget();
        Ok(inserted?.then_some(record))
    }

    /// Changes a key by compare and swap, as often as it takes; `None` where there is none, or where there is nothing to change.
    async fn update(
        &self,
        kid: &str,
        change: impl Fn(&mut SigningKey) -> bool + Send,
    ) -> Result<Option<SigningKey>, StoreError> {
        for _ in 0..SWAPS {
            let Some(found) = self.source.get(&SIGNING_KEY, kid.as_bytes()).await? else { return Ok(None) };
            let mut record: SigningKey = decode(&SIGNING_KEY, &found)?;
            if !change(&mut record) {
                return Ok(None);
            }
            if self.replace(&record, found.version).await? {
                return Ok(Some(record));
            }
        }
        Err(too_busy(&SIGNING_KEY))
    }

    async fn replace(&self, record: &SigningKey, version: i64) -> Result<bool, StoreError> {
        let replaced = self.source.replace(&SIGNING_KEY, row(record)?, version).await;
        self.forget();
        replaced
    }

    /// The keys as they were a few seconds ago at most. What cannot be read anew is not believed.
    async fn fresh(&self) -> Result<Arc<Vec<Kept>>, StoreError> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fresh = |known: Option<Known>| known.filter(|known| known.read_at.elapsed() <= FRESH);
        if let Some(known) = fresh(known()) {
            return Ok(known.keys);
        }
        let _one_reads = self.reading.lock().await;
        if let Some(known) = fresh(known()) {
            return Ok(known.keys);
        }
        let (read_at, before) = (Instant::now(), known());
        let kept = |record: SigningKey| {
            let before = before.iter().flat_map(|known| known.keys.iter());
            let same =
                before.into_iter().find(|key| key.record.kid == record.kid && key.record.private == record.private);
            Kept { private: same.map_or_else(Arc::default, |key| key.private.clone()), record }
        };
        let keys = self.read().await?.into_iter().map(|(_, record)| kept(record)).collect();
        let known = Known { read_at, keys: Arc::new(keys) };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        Ok(known.keys)
    }

    async fn read(&self) -> Result<Vec<(Row, SigningKey)>, StoreError> {
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let after = rows.last().map(|row| row.key.clone());
            let page = self.source.list(&SIGNING_KEY, after.as_deref(), PAGE).await?;
            let last = page.len() < PAGE;
            rows.extend(page);
            if last {
                break;
            }
        }
        rows.into_iter()
            .map(|row| {
                let record: SigningKey = decode(&SIGNING_KEY, &row)?;
                match record.kid.as_bytes() == row.key {
                    true => Ok((row, record)),
                    false => {
                        Err(StoreError::Broken(format!("the record of key `{}` stands under another one", record.kid)))
                    }
                }
            })
            .collect()
    }

    /// The private half, unsealed once.
    fn private(&self, key: &Kept) -> Result<Arc<PrivateKey>, StoreError> {
        if let Some(private) = key.private.get() {
            return Ok(private.clone());
        }
        let SigningKey { kid, alg, private, .. } = &key.record;
        let algorithm = Algorithm::parse(alg);
        let opened = self.sealer.open(private, &self.place(kid))?;
        let private = algorithm.and_then(|algorithm| PrivateKey::from_pkcs8(algorithm, &opened).ok());
        let private = private.filter(|private| Jwk::parse(&key.record.public) == Ok(private.public(kid)));
        let private = private.ok_or_else(|| StoreError::Broken(format!("the signing key `{kid}` is damaged")))?;
        Ok(key.private.get_or_init(|| Arc::new(private)).clone())
    }

    fn place<'a>(&'a self, kid: &'a str) -> Place<'a> {
        Place { store: &self.name, key: kid.as_bytes(), column: COLUMN }
    }
}

impl Sealed for SigningKey {
    fn name(&self) -> String {
        self.kid.clone()
    }

    fn sealed(&mut self) -> Vec<&mut String> {
        vec![&mut self.private]
    }
}

fn public(key: &SigningKey) -> Result<Jwk, StoreError> {
    Jwk::parse(&key.public).map_err(|why| StoreError::Broken(format!("the public half of key `{}`: {why}", key.kid)))
}

fn row(record: &SigningKey) -> Result<Row, StoreError> {
    Ok(Row {
        key: record.kid.as_bytes().to_vec(),
        version: 1,
        expires_at: record.expires_at.map(seconds),
        indexes: Vec::new(),
        record: encode(&SIGNING_KEY, record)?,
    })
}

#[cfg(test)]
mod tests;
