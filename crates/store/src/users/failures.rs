//! How often passwords were wrong under a name, and how many codes of devices a user typed, in the store itself: one row a name, changed
//! by compare and swap, so that all nodes count together. The row goes when there is nothing left to count.
//!
//! A source that cannot be written (a file that people write) has no room for it: then each node counts for itself.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::codec::{SWAPS, decode, encode, seconds, too_busy};
use crate::source::{DataSource, Row, StoreError};
use crate::sources::memory::Memory;
use crate::tables::USER_ACCOUNT;

/// After how many wrong passwords nobody gets in under a name, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// Wrong passwords `within` that time after which nobody gets in.
    pub tries: u32,
    /// Seconds from the first of them.
    pub within: u64,
    /// For how many seconds nobody gets in then.
    pub lasts: u64,
}

impl Lockout {
    /// Where nothing else is said.
    pub const DEFAULT: Lockout = Lockout { tries: 10, within: 15 * 60, lasts: 15 * 60 };
}

/// Counts that are swept at a time, where no purge does it.
const SWEPT: usize = 100;

/// Wrong passwords under a name since the first of them.
#[derive(Default, Serialize, Deserialize)]
struct Tally {
    failed: u32,
    /// Unix seconds.
    since: u64,
    /// Unix seconds; none = not locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    locked_until: Option<u64>,
}

impl Tally {
    /// What still counts at `now`, where wrong ones count for so many seconds.
    fn at(self, now: u64, within: u64) -> Tally {
        let counts = match self.locked_until {
            Some(until) => until > now,
            None => self.since.saturating_add(within) > now,
        };
        if counts { self } else { Tally { since: now, ..Tally::default() } }
    }
}

pub(super) struct Failures {
    source: Arc<dyn DataSource>,
    /// Where the source is read-only.
    own: Memory,
}

impl Failures {
    pub(super) fn new(source: Arc<dyn DataSource>) -> Self {
        Failures { source, own: Memory::new() }
    }

    fn source(&self) -> &dyn DataSource {
        match self.source.capabilities().read_only {
            true => &self.own,
            false => &*self.source,
        }
    }

    /// Until when the name is locked, where it is.
    pub(super) async fn locked_until(&self, name: &str, now: u64) -> Result<Option<u64>, StoreError> {
        let row = self.source().get(&USER_ACCOUNT, &password(name)).await?;
        let tally: Option<Tally> = row.map(|row| decode(&USER_ACCOUNT, &row)).transpose()?;
        Ok(tally.and_then(|tally| tally.locked_until).filter(|until| *until > now))
    }

    /// One more was wrong. Until when the name is locked, where it is then.
    pub(super) async fn count(&self, name: &str, lockout: Lockout, now: u64) -> Result<Option<u64>, StoreError> {
        let change = |tally: &mut Tally| {
            tally.failed += 1;
            tally.locked_until = (tally.failed >= lockout.tries).then(|| now.saturating_add(lockout.lasts));
            true
        };
        self.change(password(name), lockout, now, change).await
    }

    /// A right one takes back what was wrong, unless the name was locked by it: then until when.
    pub(super) async fn forgive(&self, name: &str, lockout: Lockout, now: u64) -> Result<Option<u64>, StoreError> {
        self.change(password(name), lockout, now, |tally| std::mem::take(&mut tally.failed) > 0).await
    }

    /// This user typed one more code of a device, right or wrong: somebody has a device too, whose code is right. Until when none counts, where
    /// that was one too many. The time is that from one to the next, so that never more than so many are typed within it.
    pub(super) async fn typed(&self, subject: &str, limit: Lockout, now: u64) -> Result<Option<u64>, StoreError> {
        let change = |tally: &mut Tally| {
            tally.failed += 1;
            tally.since = now;
            tally.locked_until = (tally.failed > limit.tries).then(|| now.saturating_add(limit.lasts));
            true
        };
        self.change(device_code(subject), limit, now, change).await
    }

    /// Changes the tally, unless it locks the name: then it stays as it is. `change` says whether there is anything to write.
    async fn change(
        &self,
        key: Vec<u8>,
        lockout: Lockout,
        now: u64,
        change: impl Fn(&mut Tally) -> bool + Send,
    ) -> Result<Option<u64>, StoreError> {
        let source = self.source();
        for _ in 0..SWAPS {
            let row = source.get(&USER_ACCOUNT, &key).await?;
            let version = row.as_ref().map(|row| row.version);
            let before: Option<Tally> = row.map(|row| decode(&USER_ACCOUNT, &row)).transpose()?;
            let mut tally = before.unwrap_or(Tally { since: now, ..Tally::default() }).at(now, lockout.within);
            if tally.locked_until.is_some() || !change(&mut tally) {
                return Ok(tally.locked_until);
            }
            let row = Row {
                key: key.clone(),
                version: 1,
                expires_at: Some(seconds(tally.locked_until.unwrap_or(tally.since.saturating_add(lockout.within)))),
                indexes: Vec::new(),
                record: encode(&USER_ACCOUNT, &tally)?,
            };
            let done = match version {
                Some(version) => source.replace(&USER_ACCOUNT, row, version).await?,
                None => self.insert(row, now).await?,
            };
            if done {
                return Ok(tally.locked_until);
            }
        }
        Err(too_busy(&USER_ACCOUNT))
    }

    async fn insert(&self, row: Row, now: u64) -> Result<bool, StoreError> {
        if self.source.capabilities().read_only {
            self.own.sweep(&USER_ACCOUNT, seconds(now), SWEPT).await?;
        }
        self.source().insert(&USER_ACCOUNT, row).await
    }

    /// Nothing was wrong; `false` where that is so already.
    pub(super) async fn forget(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.source().take(&USER_ACCOUNT, &password(name)).await?.is_some())
    }
}

/// The key of wrong passwords. No user's name begins with a zero byte.
fn password(name: &str) -> Vec<u8> {
    [&[0], Sha256::digest(name).as_slice()].concat()
}

/// The key of codes that were typed. No text that is typed as a name has such a byte.
fn device_code(subject: &str) -> Vec<u8> {
    [&[0], Sha256::new().chain_update(b"device code\xff").chain_update(subject).finalize().as_slice()].concat()
}

#[cfg(test)]
impl Failures {
    /// How many names are counted here.
    pub(super) async fn kept(&self) -> usize {
        self.source().list(&USER_ACCOUNT, None, usize::MAX).await.map_or(0, |rows| rows.len())
    }
}
