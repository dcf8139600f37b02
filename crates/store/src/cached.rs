//! A cache of rows between a typed store and its source: `[store.NAME] cache = { entries, max_age }`.
//!
//! It remembers rows that were read by their key, and nothing else: no misses, so that what is new is known at once, and no
//! pages of `find` and `list`. What it believes:
//!
//! - A row is no older than `max_age`, from before it was asked for, by a clock that never goes back.
//! - What this node writes it knows at once, whatever came of the write.
//! - Where the source tells of changes ([`crate::watch`]), a row goes when somebody changed it. While the channel is lost the cache is
//!   empty and left aside; it begins empty again when the channel is back.
//! - A read that began before its row was told to have changed is not remembered: it may have seen the row as it was.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::foreign::ForeignTables;
use crate::source::{Capabilities, DataSource, Health, Kept, Row, StoreError, Table, Verb};
use crate::watch::{Change, KeyHash, Watcher, key_hash};

/// A larger record is read anew each time: entries are counted, and not weighed.
const LARGEST: usize = 64 * 1024;
/// Parts of the cache whose invalidations are counted apart: a change lets reads of other parts be remembered.
const PARTS: usize = 256;

/// `cache = { entries, max_age }`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// Rows at most.
    pub entries: usize,
    /// How long a row is believed, where nobody tells of its change.
    pub max_age: Duration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        CacheSettings { entries: 100_000, max_age: Duration::from_secs(1) }
    }
}

/// What a cache did, since the start.
#[derive(Debug, Default)]
pub struct CacheCounters {
    /// Rows that were remembered.
    pub hits: AtomicU64,
    /// Reads that went to the source.
    pub misses: AtomicU64,
    /// Of these, how many went there because the channel of changes was lost.
    pub bypassed: AtomicU64,
    /// Rows that were forgotten since somebody changed them, this node included.
    pub invalidations: AtomicU64,
}

/// Rows by table and key.
type Rows = Cache<(usize, KeyHash), Remembered>;

#[derive(Clone)]
struct Remembered {
    row: Arc<Kept>,
    /// From before it was asked for.
    read_at: Instant,
}

/// What is remembered, apart from the source, so that the source can tell of changes without owning itself.
struct Memory {
    rows: Rows,
    /// Whether what is remembered may be believed: not while the channel of changes is lost.
    believed: AtomicBool,
    /// Counts invalidations, by part. The lock makes looking at the count and remembering one step.
    parts: Vec<Mutex<u64>>,
    counters: CacheCounters,
    /// The tables whose rows are remembered.
    tables: Vec<&'static Table>,
}

/// A source with a cache before it.
pub struct Cached {
    source: Arc<dyn DataSource>,
    settings: CacheSettings,
    memory: Arc<Memory>,
    watching: Once,
}

impl Cached {
    /// The source with a cache for the rows of these tables; others are read as without.
    pub fn new(source: Arc<dyn DataSource>, settings: CacheSettings, tables: &[&'static Table]) -> Self {
        let memory = Memory {
            rows: Cache::new(settings.entries),
            believed: AtomicBool::new(false),
            parts: (0..PARTS).map(|_| Mutex::new(0)).collect(),
            counters: CacheCounters::default(),
            tables: tables.to_vec(),
        };
        Cached { source, settings, memory: Arc::new(memory), watching: Once::new() }
    }

    /// Its settings.
    pub fn settings(&self) -> CacheSettings {
        self.settings
    }

    /// What it did.
    pub fn counters(&self) -> &CacheCounters {
        &self.memory.counters
    }

    /// Whether it is in use: the source's channel of changes is up, or it has none.
    pub fn in_use(&self) -> bool {
        self.memory.believed.load(Ordering::Acquire)
    }

    /// With the first read, which is within a runtime: the source tells of changes from now on, or `max_age` is all there is.
    fn watch(&self) {
        self.watching.call_once(|| {
            let memory: Arc<dyn Watcher> = self.memory.clone();
            if !self.source.watch(Arc::downgrade(&memory)) {
                self.memory.told(Change::Up);
            }
        });
    }

    async fn read(&self, table: &'static Table, number: usize, key: &[u8]) -> Result<Option<Arc<Kept>>, StoreError> {
        self.watch();
        let (memory, counters) = (&*self.memory, &self.memory.counters);
        let id = (number, key_hash(key));
        // The count before the belief: one that was lost and came back since then has counted.
        let before = *memory.part(&id.1);
        let read_at = Instant::now();
        if !self.in_use() {
            counters.misses.fetch_add(1, Ordering::Relaxed);
            counters.bypassed.fetch_add(1, Ordering::Relaxed);
            return self.source.get_kept(table, key).await;
        }
        if let Some(found) = memory.rows.get(&id)
            && read_at.saturating_duration_since(found.read_at) <= self.settings.max_age
        {
            counters.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(Some(found.row));
        }
        counters.misses.fetch_add(1, Ordering::Relaxed);
        let row = self.source.get_kept(table, key).await?;
        let part = memory.part(&id.1);
        if *part == before {
            match row.as_ref().filter(|kept| kept.row.record.len() <= LARGEST) {
                Some(row) => memory.rows.insert(id, Remembered { row: row.clone(), read_at }),
                None => drop(memory.rows.remove(&id)),
            }
        }
        drop(part);
        Ok(row)
    }

    /// Ends with the write, also where nobody waits for it any more: what the row is then is not known.
    fn wrote(&self, table: &'static Table, key: Option<&[u8]>) -> Option<Wrote<'_>> {
        let number = self.memory.number(table)?;
        Some(Wrote { memory: &self.memory, row: key.map(|key| (number, key_hash(key))) })
    }
}

/// Forgets, when it is dropped, what a write may have changed.
struct Wrote<'a> {
    memory: &'a Memory,
    row: Option<(usize, KeyHash)>,
}

impl Drop for Wrote<'_> {
    fn drop(&mut self) {
        match self.row {
            Some(id) => self.memory.forget(id),
            None => self.memory.forget_all(),
        }
    }
}

impl Memory {
    /// The number of a table whose rows are remembered.
    fn number(&self, table: &Table) -> Option<usize> {
        self.tables.iter().position(|known| std::ptr::eq(*known, table))
    }

    fn part(&self, hash: &KeyHash) -> MutexGuard<'_, u64> {
        self.parts[usize::from(hash[0]) % PARTS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, id: (usize, KeyHash)) {
        let mut part = self.part(&id.1);
        *part += 1;
        if self.rows.remove(&id).is_some() {
            self.counters.invalidations.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What a read finds that begins after its part was counted may be remembered: it is no older than this.
    fn forget_all(&self) {
        for part in &self.parts {
            *part.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
        self.counters.invalidations.fetch_add(self.rows.len() as u64, Ordering::Relaxed);
        self.rows.clear();
    }
}

impl Watcher for Memory {
    fn told(&self, change: Change<'_>) {
        match change {
            Change::Row(table, hash) => {
                if let Some(number) = self.tables.iter().position(|known| known.name == table) {
                    self.forget((number, hash));
                }
            }
            Change::Any => self.forget_all(),
            Change::Lost => {
                self.believed.store(false, Ordering::Release);
                self.forget_all();
            }
            Change::Up => {
                self.forget_all();
                self.believed.store(true, Ordering::Release);
            }
        }
    }

    fn keeps_nothing(&self) -> bool {
        self.rows.is_empty()
    }
}

impl DataSource for Cached {
    fn name(&self) -> Option<&str> {
        self.source.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.source.capabilities()
    }

    fn prepare(&self) -> Verb<'_, ()> {
        self.source.prepare()
    }

    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        match self.memory.number(table) {
            Some(number) => Box::pin(async move {
                let kept = self.read(table, number, key).await?;
                Ok(kept.map(|kept| Arc::try_unwrap(kept).map_or_else(|kept| kept.row.clone(), |kept| kept.row)))
            }),
            None => self.source.get(table, key),
        }
    }

    fn get_kept<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Arc<Kept>>> {
        match self.memory.number(table) {
            Some(number) => Box::pin(self.read(table, number, key)),
            None => self.source.get_kept(table, key),
        }
    }

    /// Misses are not remembered: there is nothing to forget.
    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        self.source.insert(table, row)
    }

    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        let wrote = self.wrote(table, Some(&row.key));
        let replacing = self.source.replace(table, row, expected);
        Box::pin(async move {
            let _wrote = wrote;
            replacing.await
        })
    }

    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        let (wrote, taking) = (self.wrote(table, Some(key)), self.source.take(table, key));
        Box::pin(async move {
            let _wrote = wrote;
            taking.await
        })
    }

    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        self.source.find(table, index, value, after, limit)
    }

    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        self.source.list(table, after, limit)
    }

    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        let (wrote, removing) = (self.wrote(table, None), self.source.remove(table, index, value, limit));
        Box::pin(async move {
            let _wrote = wrote;
            removing.await
        })
    }

    /// What has expired the store refuses by itself: it need not be forgotten.
    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        self.source.sweep(table, before, limit)
    }

    fn health(&self) -> Verb<'_, Health> {
        self.source.health()
    }

    fn foreign(&self) -> Option<&dyn ForeignTables> {
        self.source.foreign()
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) -> bool {
        self.source.watch(watcher)
    }
}

#[cfg(test)]
mod tests;
