//! The `replay` store: identifiers that may be used once (`jti` of assertions and proofs), until what they stand in expires.
//!
//! A row's key is the SHA-256 of who issued the identifier and of what it is; inserting it decides who was first, once in the cluster.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::codec::seconds;
use crate::source::{DataSource, Row, StoreError};
use crate::successor::{Succeeded, Successor};
use crate::tables::REPLAY;

/// Identifiers over a data source.
pub struct Replay {
    source: Arc<dyn DataSource>,
    successor: Successor<Replay>,
}

impl Succeeded for Replay {
    fn successor(&self) -> &Successor<Self> {
        &self.successor
    }
}

impl Replay {
    /// The store over this source.
    pub fn new(source: Arc<dyn DataSource>) -> Self {
        Replay { source, successor: Successor::default() }
    }

    /// The source behind it.
    pub fn source(&self) -> &Arc<dyn DataSource> {
        &self.source
    }

    /// Whether this is the first use of an issuer's identifier; from now on there was one. `until` (Unix seconds) is when nobody takes
    /// anymore what it stands in. One that is there although it has expired was still used.
    pub async fn is_first(&self, issuer: &str, id: &str, until: u64) -> Result<bool, StoreError> {
        let row = Row {
            key: key(issuer, id).to_vec(),
            version: 1,
            expires_at: Some(seconds(until)),
            indexes: Vec::new(),
            record: String::from("{}"),
        };
        self.latest().source.insert(&REPLAY, row).await
    }
}

/// The length parts the two, so that no other pair reads alike.
fn key(issuer: &str, id: &str) -> [u8; 32] {
    let hash = Sha256::new().chain_update((issuer.len() as u64).to_be_bytes()).chain_update(issuer).chain_update(id);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::memory::Memory;
    use futures_util::future::join_all;

    /// D74: of any number of uses at once, one is the first.
    #[tokio::test]
    async fn rfc7523_3_an_identifier_is_used_once() {
        let store = Replay::new(Arc::new(Memory::new()));
        let uses = join_all((0..8).map(|_| store.is_first("app", "1", 100))).await;
        assert_eq!(uses.iter().filter(|first| **first == Ok(true)).count(), 1, "{uses:?}");
        // Each issuer has its own, however they are cut.
        for (issuer, id, first) in [("app", "1", false), ("ap", "p1", true), ("app1", "", true), ("other", "1", true)] {
            assert_eq!(store.is_first(issuer, id, 100).await, Ok(first), "{issuer} {id}");
        }
    }

    #[tokio::test]
    async fn it_goes_when_it_has_expired() {
        let store = Replay::new(Arc::new(Memory::new()));
        assert_eq!(store.is_first("app", "1", 100).await, Ok(true));
        assert_eq!(store.source().sweep(&REPLAY, 100, 10).await, Ok(0));
        assert_eq!(store.source().sweep(&REPLAY, 101, 10).await, Ok(1));
        assert_eq!(store.is_first("app", "1", 200).await, Ok(true));
    }
}
