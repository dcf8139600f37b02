//! Epochs: revoking all tokens of a client or a subject at once, without touching a token's row.
//!
//! Each client and subject has an epoch, a number; none = 0. A token is kept with the epochs of its client and subject at the
//! time it was issued, and is refused once one of them has risen. Revoking all raises the number: to the Unix second or by one,
//! whichever is more, so that it rises even where the row was lost.
//!
//! Numbers and not times decide: a token issued in the second of the revocation, or by a node whose clock is ahead, is refused
//! all the same, and one issued after it is good at once. On another node, whose cache may be 1 s old, a token issued within
//! that second is kept with the old epoch, and refused: the mistake is on the safe side.
//!
//! An epoch stays for ever: it may go only after the last token that was issued before it, and how long that lives is not
//! bounded (`maximum_lifetime` is a node's, optional, and may have been higher when the token was issued). A row too many costs
//! some hundred bytes; one that went too early would let revoked tokens live again. There is at most one for each client and
//! subject.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::codec::{SWAPS, decode, encode, too_busy};
use crate::source::{DataSource, Row, StoreError};
use crate::tables::EPOCH;

/// Clients, and subjects, whose epoch is remembered.
const REMEMBERED: usize = 50_000;
/// For how long, in nanoseconds.
const FRESH: u64 = 1_000_000_000;

/// What no epoch is ahead of the time by, in seconds: ten years of a revocation each second.
const FAR: u64 = 10 * 365 * 86_400;

/// Whose epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of {
    Client,
    Subject,
}

impl Of {
    /// The row's key: `client:ID`.
    fn key(self, id: &str) -> Vec<u8> {
        let kind: &[u8] = match self {
            Of::Client => b"client:",
            Of::Subject => b"subject:",
        };
        [kind, id.as_bytes()].concat()
    }
}

/// The record of an epoch.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    epoch: u64,
    /// Unix seconds, for people.
    revoked_at: u64,
}

/// What is remembered of one client or subject. The number only rises, so that a read that began before a revocation and ends
/// after it cannot bring the old number back.
#[derive(Debug)]
struct Remembered {
    epoch: AtomicU64,
    /// When it was read, in nanoseconds since [`Epochs::start`]; 0 = never.
    read_at: AtomicU64,
}

type Memory = Cache<Arc<str>, Arc<Remembered>>;

/// The epochs beside the tokens of one source.
pub(crate) struct Epochs {
    source: Arc<dyn DataSource>,
    /// The age of what is remembered is measured here, by a clock that never goes back: when a request began, or what a machine
    /// holds for the time, says nothing of it.
    start: Instant,
    clients: Memory,
    subjects: Memory,
}

impl Epochs {
    pub(crate) fn new(source: Arc<dyn DataSource>) -> Self {
        Epochs { source, start: Instant::now(), clients: Cache::new(REMEMBERED), subjects: Cache::new(REMEMBERED) }
    }

    fn memory(&self, of: Of) -> &Memory {
        match of {
            Of::Client => &self.clients,
            Of::Subject => &self.subjects,
        }
    }

    fn remembered(&self, of: Of, id: &str) -> Arc<Remembered> {
        let memory = self.memory(of);
        memory.get(id).unwrap_or_else(|| {
            let fresh = || Arc::new(Remembered { epoch: AtomicU64::new(0), read_at: AtomicU64::new(0) });
            let made = memory.get_or_insert_with(&Arc::from(id), || Ok::<_, std::convert::Infallible>(fresh()));
            made.unwrap_or_else(|never| match never {})
        })
    }

    /// The epoch as it is, or was within the last second (absence too).
    pub(crate) async fn current(&self, of: Of, id: &str) -> Result<u64, StoreError> {
        let remembered = self.remembered(of, id);
        let now = self.nanos();
        let read_at = remembered.read_at.load(Ordering::Acquire);
        // Another one may have read it since `now` was taken.
        if read_at > 0 && now.saturating_sub(read_at) <= FRESH {
            return Ok(remembered.epoch.load(Ordering::Acquire));
        }
        let found = match self.source.get(&EPOCH, &of.key(id)).await? {
            Some(row) => decode::<Record>(&EPOCH, &row)?.epoch,
            None => 0,
        };
        let before = remembered.epoch.fetch_max(found, Ordering::AcqRel);
        // From before the read: the row is no older. What another one read later stays.
        remembered.read_at.fetch_max(now, Ordering::AcqRel);
        Ok(before.max(found))
    }

    /// Since the start, never 0.
    fn nanos(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// The epoch as it is, and when it was raised last (Unix seconds).
    pub(crate) async fn read(&self, of: Of, id: &str) -> Result<(u64, u64), StoreError> {
        let Some(row) = self.source.get(&EPOCH, &of.key(id)).await? else { return Ok((0, 0)) };
        let record: Record = decode(&EPOCH, &row)?;
        Ok((record.epoch, record.revoked_at))
    }

    /// Raises the epoch; this node honours it at once, others within 1 s.
    pub(crate) async fn raise(&self, of: Of, id: &str, now: u64) -> Result<(), StoreError> {
        let key = of.key(id);
        for _ in 0..SWAPS {
            let found = self.source.get(&EPOCH, &key).await?;
            // Over one that cannot be read, one that is higher whatever it was: people must be able to revoke.
            let before = match &found {
                Some(row) => decode::<Record>(&EPOCH, row).map_or(now.saturating_add(FAR), |record| record.epoch),
                None => 0,
            };
            let epoch = now.max(before + 1);
            let record = encode(&EPOCH, &Record { epoch, revoked_at: now })?;
            let row = Row { key: key.clone(), version: 1, expires_at: None, indexes: Vec::new(), record };
            let done = match found {
                Some(found) => self.source.replace(&EPOCH, row, found.version).await?,
                None => self.source.insert(&EPOCH, row).await?,
            };
            if done {
                self.remembered(of, id).epoch.fetch_max(epoch, Ordering::AcqRel);
                return Ok(());
            }
        }
        Err(too_busy(&EPOCH))
    }
}
