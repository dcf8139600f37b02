//! The `clients` store: the client application registry.

use std::sync::Arc;

use oauth::{ClientId, Secret};

use crate::record::Client;
use crate::source::{DataSource, StoreError};

/// Clients over a data source, with a cache of at most 1 s (misses are never cached).
pub struct Clients {
    source: Arc<dyn DataSource>,
}

impl Clients {
    /// The store over this source.
    pub fn new(source: Arc<dyn DataSource>) -> Self {
        Clients { source }
    }

    /// The source behind it.
    pub fn source(&self) -> &Arc<dyn DataSource> {
        &self.source
    }

    /// The client, as it was at most 1 s ago; enabled or not. `now` is monotonic milliseconds or Unix milliseconds, for the cache.
    pub async fn get(&self, id: &ClientId, now_millis: u64) -> Result<Option<Arc<Client>>, StoreError> {
        let _ = (id, now_millis);
        unimplemented!()
    }

    /// The enabled client whose secret this is. An unknown, disabled or wrong one is `None` in the same time.
    pub async fn authenticate(
        &self,
        id: &ClientId,
        secret: &Secret,
        now_millis: u64,
    ) -> Result<Option<Arc<Client>>, StoreError> {
        let _ = (id, secret, now_millis);
        unimplemented!()
    }

    /// Registers a client; `false` where the id is taken.
    pub async fn add(&self, client: &Client) -> Result<bool, StoreError> {
        let _ = client;
        unimplemented!()
    }

    /// Changes a client by compare and swap, as often as it takes; `None` where there is none.
    pub async fn update(
        &self,
        id: &ClientId,
        change: impl Fn(&mut Client) + Send,
    ) -> Result<Option<Client>, StoreError> {
        let _ = (id, change);
        unimplemented!()
    }

    /// Deletes a client; `false` where there is none.
    pub async fn delete(&self, id: &ClientId) -> Result<bool, StoreError> {
        let _ = id;
        unimplemented!()
    }

    /// Clients in the order of their ids, after `after`, at most `limit`.
    pub async fn list(&self, after: Option<&ClientId>, limit: usize) -> Result<Vec<Client>, StoreError> {
        let _ = (after, limit);
        unimplemented!()
    }
}
