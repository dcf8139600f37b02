//! A data source in memory that can be wiped: stores above it stay the same objects, so policies are compiled once for all tests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use store::source::{Capabilities, Health, Row, Table, Verb};
use store::sources::memory::Memory;
use store::{DataSource, StoreError};

/// A data source in memory that can be wiped, and that is down when a test says so.
pub(super) struct Slate {
    memory: Mutex<Arc<Memory>>,
    down: AtomicBool,
}

/// So many records of a table are read at a time.
const PAGE: usize = 500;

impl Default for Slate {
    fn default() -> Self {
        Slate { memory: Mutex::new(Arc::new(Memory::new())), down: AtomicBool::new(false) }
    }
}

impl Slate {
    /// Nothing is in it, and it is not down.
    pub(super) fn wipe(&self) {
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Memory::new());
        self.set_down(false);
    }

    /// From now on every verb fails, or does not.
    pub(super) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// What a table holds, down or not.
    pub(super) async fn rows(&self, table: &'static Table) -> Result<Vec<Row>, StoreError> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let more = memory.list(table, rows.last().map(|row| row.key.as_slice()), PAGE).await?;
            if more.is_empty() {
                return Ok(rows);
            }
            rows.extend(more);
        }
    }

    fn memory(&self) -> Result<Arc<Memory>, StoreError> {
        match self.is_down() {
            true => Err(StoreError::Unavailable(String::from("the test says that this store is down"))),
            false => Ok(self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }
}

impl DataSource for Slate {
    fn capabilities(&self) -> Capabilities {
        Memory::new().capabilities()
    }
    fn prepare(&self) -> Verb<'_, ()> {
        Box::pin(async { self.memory()?.prepare().await })
    }
    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move { self.memory()?.get(table, key).await })
    }
    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        Box::pin(async move { self.memory()?.insert(table, row).await })
    }
    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        Box::pin(async move { self.memory()?.replace(table, row, expected).await })
    }
    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move { self.memory()?.take(table, key).await })
    }
    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        Box::pin(async move { self.memory()?.find(table, index, value, after, limit).await })
    }
    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        Box::pin(async move { self.memory()?.list(table, after, limit).await })
    }
    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        Box::pin(async move { self.memory()?.remove(table, index, value, limit).await })
    }
    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        Box::pin(async move { self.memory()?.sweep(table, before, limit).await })
    }
    fn health(&self) -> Verb<'_, Health> {
        Box::pin(async { self.memory()?.health().await })
    }
}
