//! A data source in memory that can be wiped: stores above it stay the same objects, so policies are compiled once for all tests.

use std::sync::{Arc, Mutex, PoisonError};

use store::DataSource;
use store::source::{Capabilities, Health, Row, Table, Verb};
use store::sources::memory::Memory;

pub(super) struct Slate(Mutex<Arc<Memory>>);

impl Default for Slate {
    fn default() -> Self {
        Slate(Mutex::new(Arc::new(Memory::new())))
    }
}

impl Slate {
    pub(super) fn wipe(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Memory::new());
    }

    fn memory(&self) -> Arc<Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl DataSource for Slate {
    fn capabilities(&self) -> Capabilities {
        self.memory().capabilities()
    }
    fn prepare(&self) -> Verb<'_, ()> {
        Box::pin(async { self.memory().prepare().await })
    }
    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move { self.memory().get(table, key).await })
    }
    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        Box::pin(async move { self.memory().insert(table, row).await })
    }
    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        Box::pin(async move { self.memory().replace(table, row, expected).await })
    }
    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move { self.memory().take(table, key).await })
    }
    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        Box::pin(async move { self.memory().find(table, index, value, after, limit).await })
    }
    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        Box::pin(async move { self.memory().list(table, after, limit).await })
    }
    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        Box::pin(async move { self.memory().remove(table, index, value, limit).await })
    }
    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        Box::pin(async move { self.memory().sweep(table, before, limit).await })
    }
    fn health(&self) -> Verb<'_, Health> {
        Box::pin(async { self.memory().health().await })
    }
}
