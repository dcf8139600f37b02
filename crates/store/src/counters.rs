//! The `counters` store: what rate limits and quotas have counted, for all nodes together.
//!
//! A row's key is the SHA-256 of which limit it is and of whose requests it counts. What its record says is the business of those who
//! count; here it is changed by compare and swap, so that of several nodes at once each builds on what the others did.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::codec::{SWAPS, decode, encode, seconds, too_busy};
use crate::source::{DataSource, Row, StoreError};
use crate::successor::{Succeeded, Successor};
use crate::tables::TRAFFIC_COUNTER;

/// Counters over a data source.
pub struct Counters {
    source: Arc<dyn DataSource>,
    successor: Successor<Counters>,
}

/// What a counter said when it was read or written last. Who remembers it saves the reading before the next change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<T> {
    /// What it said.
    pub state: T,
    version: i64,
}

/// What is to become of a counter, and what that means for who asked.
pub struct Change<T, A> {
    /// What it says from now on, and the Unix second from which on it says nothing; none = it stays as it is.
    pub next: Option<(T, u64)>,
    /// The answer.
    pub answer: A,
}

/// The key of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CounterKey([u8; 32]);

impl CounterKey {
    /// Of this limit, for the requests of this one. The length parts the two, so that no other pair reads alike.
    pub fn new(limit: &str, whose: &str) -> Self {
        let hash =
            Sha256::new().chain_update((limit.len() as u64).to_be_bytes()).chain_update(limit).chain_update(whose);
        CounterKey(hash.finalize().into())
    }
}

impl Succeeded for Counters {
    fn successor(&self) -> &Successor<Self> {
        &self.successor
    }
}

impl Counters {
    /// The store over this source.
    pub fn new(source: Arc<dyn DataSource>) -> Self {
        Counters { source, successor: Successor::default() }
    }

    /// The source behind it.
    pub fn source(&self) -> &Arc<dyn DataSource> {
        &self.source
    }

    /// Changes a counter: `change` is told what it says (nothing, where there is none), perhaps several times, until what it gives is
    /// written. What was `seen` is tried first; that it should stay as it is, it is only told of what was read.
    pub async fn change<T, A>(
        &self,
        key: &CounterKey,
        mut seen: Option<Seen<T>>,
        mut change: impl FnMut(Option<&T>) -> Change<T, A> + Send,
    ) -> Result<(A, Option<Seen<T>>), StoreError>
    where
        T: Serialize + DeserializeOwned + Send + Sync,
        A: Send,
    {
        let mut is_remembered = seen.is_some();
        for _ in 0..SWAPS {
            let source = &self.latest().source;
            if !is_remembered {
                seen = match source.get(&TRAFFIC_COUNTER, &key.0).await? {
                    Some(row) => Some(Seen { state: decode(&TRAFFIC_COUNTER, &row)?, version: row.version }),
                    None => None,
                };
            }
            let Change { next, answer } = change(seen.as_ref().map(|seen| &seen.state));
            let Some((state, until)) = next else {
                if std::mem::take(&mut is_remembered) {
                    continue;
                }
                return Ok((answer, seen));
            };
            let row = Row {
                key: key.0.to_vec(),
                version: 1,
                expires_at: Some(seconds(until)),
                indexes: Vec::new(),
                record: encode(&TRAFFIC_COUNTER, &state)?,
            };
            let written = match &seen {
                Some(seen) => source.replace(&TRAFFIC_COUNTER, row, seen.version).await?.then_some(seen.version + 1),
                None => source.insert(&TRAFFIC_COUNTER, row).await?.then_some(1),
            };
            if let Some(version) = written {
                return Ok((answer, Some(Seen { state, version })));
            }
            is_remembered = false;
        }
        Err(too_busy(&TRAFFIC_COUNTER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::memory::Memory;
    use futures_util::future::join_all;

    /// Counts up to `most`; the answer is whether it did.
    fn up_to(most: u64) -> impl FnMut(Option<&u64>) -> Change<u64, bool> {
        move |said| match said.copied().unwrap_or(0) {
            so_far if so_far < most => Change { next: Some((so_far + 1, 100)), answer: true },
            _ => Change { next: None, answer: false },
        }
    }

    #[tokio::test]
    async fn of_many_at_once_each_counts_once() {
        let source: Arc<dyn DataSource> = Arc::new(Memory::new());
        let nodes = [Counters::new(source.clone()), Counters::new(source)];
        let key = CounterKey::new("limit", "app");
        let counted = join_all((0..40).map(|n| nodes[n % 2].change(&key, None, up_to(25)))).await;
        let yes = counted.iter().filter(|counted| matches!(counted, Ok((true, _)))).count();
        assert_eq!(yes, 25, "{counted:?}");
    }

    #[tokio::test]
    async fn what_is_remembered_is_tried_first_and_never_refuses() {
        let source: Arc<dyn DataSource> = Arc::new(Memory::new());
        let (one, two) = (Counters::new(source.clone()), Counters::new(source.clone()));
        let key = CounterKey::new("limit", "app");
        let (_, first) = one.change(&key, None, up_to(3)).await.unwrap();
        assert_eq!(first, Some(Seen { state: 1, version: 1 }));
        let (_, second) = one.change(&key, first.clone(), up_to(3)).await.unwrap();
        assert_eq!(second, Some(Seen { state: 2, version: 2 }));
        // The other node has only heard of the first: it reads what is there.
        assert_eq!(two.change(&key, first, up_to(3)).await.unwrap().1, Some(Seen { state: 3, version: 3 }));
        assert!(!one.change(&key, second.clone(), up_to(3)).await.unwrap().0);
        // A counter that is gone begins anew.
        assert!(source.take(&TRAFFIC_COUNTER, &key.0).await.unwrap().is_some());
        assert_eq!(one.change(&key, second, up_to(3)).await.unwrap(), (true, Some(Seen { state: 1, version: 1 })));
    }

    #[tokio::test]
    async fn no_two_limits_share_a_counter_and_an_old_one_goes() {
        let keys =
            [("a", "bc"), ("ab", "c"), ("abc", ""), ("", "abc")].map(|(limit, whose)| CounterKey::new(limit, whose));
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key));
        }
        let store = Counters::new(Arc::new(Memory::new()));
        store.change(&keys[0], None, up_to(1)).await.unwrap();
        assert_eq!(store.source().sweep(&TRAFFIC_COUNTER, 100, 10).await, Ok(0));
        assert_eq!(store.source().sweep(&TRAFFIC_COUNTER, 101, 10).await, Ok(1));
    }
}
