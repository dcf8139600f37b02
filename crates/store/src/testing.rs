//! A source for the tests of what stands above sources: memory, with hooks around `get` and others.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use crate::source::{BoxFuture, Capabilities, DataSource, Health, Row, Table, Verb};
use crate::sources::memory::Memory;
use crate::watch::{Watcher, Watchers};

/// Runs before or after a `get` of the table; whoever asked waits for it.
pub(crate) type Hook = Box<dyn Fn(&'static Table) -> BoxFuture<'static, ()> + Send + Sync>;

/// Memory with hooks.
pub(crate) struct Hooked {
    pub(crate) memory: Memory,
    /// Says that expired rows go by themselves.
    pub(crate) ttl: bool,
    /// Tells of changes, where a test does.
    pub(crate) watchers: Option<Watchers>,
    /// Whether a `get`, an `insert` or a `list` can be done.
    pub(crate) refuse: Box<dyn Fn() -> Verb<'static, ()> + Send + Sync>,
    /// Whether a `replace` can be done.
    pub(crate) refuse_replace: Box<dyn Fn() -> Verb<'static, ()> + Send + Sync>,
    /// Before the row is read.
    pub(crate) before_get: Hook,
    /// Between the reading and the answer.
    pub(crate) after_get: Hook,
    /// Before a `replace`.
    pub(crate) before_replace: Hook,
    /// Before an `insert`.
    pub(crate) before_insert: Hook,
    /// Before a `sweep`.
    pub(crate) before_sweep: Hook,
    /// Before `health`.
    pub(crate) before_health: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
    /// The clock of the source, Unix milliseconds.
    pub(crate) clock: Option<i64>,
    /// The version that a program must know to work with its schema.
    pub(crate) readable_by: Arc<AtomicU32>,
    /// Instead of preparing.
    pub(crate) prepare: Box<dyn Fn() -> Verb<'static, ()> + Send + Sync>,
}

impl Default for Hooked {
    fn default() -> Self {
        let nothing = || -> Hook { Box::new(|_| Box::pin(async {})) };
        let prepare = || -> Verb<'static, ()> { Box::pin(async { Ok(()) }) };
        let before_health = || -> BoxFuture<'static, ()> { Box::pin(async {}) };
        Hooked {
            memory: Memory::new(),
            ttl: false,
            watchers: None,
            refuse: Box::new(|| Box::pin(async { Ok(()) })),
            refuse_replace: Box::new(|| Box::pin(async { Ok(()) })),
            before_get: nothing(),
            after_get: nothing(),
            before_replace: nothing(),
            before_insert: nothing(),
            before_sweep: nothing(),
            before_health: Box::new(before_health),
            clock: None,
            readable_by: Arc::default(),
            prepare: Box::new(prepare),
        }
    }
}

impl DataSource for Hooked {
    fn capabilities(&self) -> Capabilities {
        Capabilities { ttl: self.ttl, ..self.memory.capabilities() }
    }
    fn prepare(&self) -> Verb<'_, ()> {
        (self.prepare)()
    }
    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move {
            (self.before_get)(table).await;
            (self.refuse)().await?;
            let row = self.memory.get(table, key).await;
            (self.after_get)(table).await;
            row
        })
    }
    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        Box::pin(async move {
            (self.before_insert)(table).await;
            (self.refuse)().await?;
            self.memory.insert(table, row).await
        })
    }
    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        Box::pin(async move {
            (self.before_replace)(table).await;
            (self.refuse_replace)().await?;
            self.memory.replace(table, row, expected).await
        })
    }
    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        self.memory.take(table, key)
    }
    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        self.memory.find(table, index, value, after, limit)
    }
    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        Box::pin(async move {
            (self.refuse)().await?;
            self.memory.list(table, after, limit).await
        })
    }
    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        self.memory.remove(table, index, value, limit)
    }
    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        Box::pin(async move {
            (self.before_sweep)(table).await;
            self.memory.sweep(table, before, limit).await
        })
    }
    fn health(&self) -> Verb<'_, Health> {
        Box::pin(async move {
            (self.before_health)().await;
            let readable_by = self.readable_by.load(Ordering::Relaxed);
            Ok(Health { unix_millis: self.clock, readable_by, ..self.memory.health().await? })
        })
    }
    fn watch(&self, watcher: Weak<dyn Watcher>) -> bool {
        self.watchers.as_ref().map(|watchers| watchers.add(watcher)).is_some()
    }
}

/// Holds the `get`s of a table back, once it is closed.
#[derive(Clone)]
pub(crate) struct Gate {
    held: std::sync::Arc<tokio::sync::RwLock<()>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Gate { held: Default::default() }
    }

    /// A hook that waits while the gate is closed.
    pub(crate) fn hook(&self, of: &'static Table) -> Hook {
        let held = self.held.clone();
        Box::new(move |table| {
            let held = held.clone();
            Box::pin(async move {
                if std::ptr::eq(table, of) {
                    drop(held.read().await);
                }
            })
        })
    }

    /// Closes it until the guard is dropped.
    pub(crate) async fn close(&self) -> tokio::sync::OwnedRwLockWriteGuard<()> {
        self.held.clone().write_owned().await
    }
}
