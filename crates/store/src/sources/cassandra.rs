//! Apache Cassandra: a cluster of servers that nodes share. OAG: the Cassandra-backed OAuth2 stores and KPS.
//!
//! A row lies where the hash of its key says, and every change of one is a lightweight transaction: read, compare, write, agreed by
//! most of its replicas. Lists (by index column, by expiry, all) are kept beside the table, see `lists.rs`. Rows go by themselves.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use scylla::errors::ExecutionError;
use scylla::response::query_result::QueryResult;
use scylla::value::{CqlValue, Row as Columns};
use tokio::time::timeout;

use crate::codec::name;
use crate::source::{Capabilities, DataSource, Health, Row, StoreError, Table, Verb};
use crate::sources::title::Title;
use crate::tables;

mod error;
mod link;
mod lists;
mod schema;
mod settings;
mod statement;
#[cfg(test)]
mod tests;

use error::{explain, is_unconnected};
use link::Link;
use lists::{List, Place, entry_ttl, mark, ordered, places, ttl};
pub use settings::{Consistency, Password, Settings};
use statement::{Kind, Stored, Value, blob, bytes, number, small, stored, text, values};

/// How long a verb may take: less than the guard above allows.
const LIMIT: Duration = Duration::from_secs(3);
/// How often a transaction is tried anew where another one came between.
const TRIES: usize = 100;
/// Entries of a page, and rows that are read at once.
const PAGE: usize = 256;
const AT_ONCE: usize = 32;
/// Marks that are remembered as written.
const MARKS: usize = 16_384;
/// Lanes of transactions.
const LANES: usize = 1024;
/// Higher than any name of an entry.
const HIGHEST: [u8; 17] = [255; 17];

/// A mark of a bucket as it is remembered: the table, the place, the hour.
type Mark = (&'static str, String, Vec<u8>, [u8; 8]);

/// A data source on a Cassandra cluster.
pub struct Cassandra {
    /// Its name in the mapping, for logs; errors are given it by who is told them.
    name: String,
    /// `Cassandra 10.0.0.7:9042,10.0.0.8:9042/portcullis`, for messages.
    title: Title,
    settings: Settings,
    link: Link,
    /// Set once `prepare` succeeded.
    ready: AtomicBool,
    /// Marks that stand in the cluster, written by this node over the connection in use: most inserts need not write one.
    marks: Mutex<HashSet<Mark>>,
    /// Transactions on one row disturb each other until one wins: those of this node go one after the other. By the hash of the key.
    lanes: Vec<tokio::sync::Mutex<()>>,
    hasher: RandomState,
}

/// Makes the source, without any I/O.
pub fn build(name: &str, settings: &Settings) -> Arc<dyn DataSource> {
    Arc::new(Cassandra::new(name, settings))
}

/// Which part of a list is walked.
struct Part<'a> {
    list: List<'a>,
    /// Begins behind all entries at this position.
    after: Vec<u8>,
    /// Ends before this position.
    below: Option<Vec<u8>>,
    limit: usize,
}

/// An entry as it stands in a list.
struct Entry {
    position: Vec<u8>,
    name: Vec<u8>,
}

impl Cassandra {
    /// Makes it, without any I/O.
    pub fn new(name: &str, settings: &Settings) -> Self {
        let title = format!("Cassandra {}/{}", settings.servers().join(","), settings.keyspace);
        Cassandra {
            name: name.to_owned(),
            link: Link::new(&title, settings),
            title: title.into(),
            settings: settings.clone(),
            ready: AtomicBool::new(false),
            marks: Mutex::default(),
            lanes: (0..LANES).map(|_| tokio::sync::Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Connects, checks and migrates.
    async fn open(&self) -> Result<(), StoreError> {
        let preparing = schema::prepare(&self.title, &self.settings, &self.link);
        let connected = match timeout(schema::LIMIT, preparing).await {
            Ok(connected) => connected?,
            Err(_) => return Err(self.title.unavailable("no answer within 25 s while its schema was checked")),
        };
        self.link.take(connected);
        // The tables may be other ones than before.
        self.marks(HashSet::clear);
        if !self.ready.swap(true, Ordering::Release) && self.settings.leaves_this_machine() {
            tracing::warn!(source = self.name, "records and the password go to {} in clear", self.title);
        }
        Ok(())
    }

    /// A verb, with its time limit. One that is given up half-way has written nothing, or entries that lead to nothing, or a row
    /// with all of its entries.
    fn verb<'a, T: Send + 'a>(&'a self, doing: impl Future<Output = Result<T, StoreError>> + Send + 'a) -> Verb<'a, T> {
        Box::pin(async move {
            if !self.ready.load(Ordering::Acquire) {
                return Err(self.title.unavailable("not opened yet"));
            }
            match timeout(LIMIT, doing).await {
                Ok(done) => done,
                Err(_) => Err(self.title.unavailable("no answer within 3 s")),
            }
        })
    }

    /// Sends a statement. What may be sent twice is, over a new connection, where the one before was lost.
    async fn run(&self, table: &'static Table, kind: Kind, values: Vec<Value>) -> Result<Vec<Columns>, StoreError> {
        let position = self.title.position(table)?;
        let mut again = true;
        loop {
            let link = self.link.current().await?;
            let sent = match link.prepared(&self.settings.keyspace, table, position, kind).await {
                Ok(prepared) => link.session.execute_unpaged(prepared, &values).await,
                Err(error) => Err(ExecutionError::PrepareError(error)),
            };
            let error = match sent {
                Ok(result) => return self.rows(result),
                Err(error) => error,
            };
            let unconnected = is_unconnected(&error);
            if unconnected {
                self.link.lost(&link);
                // Servers that crashed may have lost what they answered last. A row whose bucket has no mark would be in no list, and be
                // left behind where the store moves.
                self.marks(HashSet::clear);
            }
            // Nothing was sent where there was no connection to send it over.
            let unsent = !matches!(error, ExecutionError::LastAttemptError(_));
            if !(unconnected && (unsent || kind.again()) && std::mem::take(&mut again)) {
                return Err(explain(&self.title, &error));
            }
        }
    }

    fn rows(&self, result: QueryResult) -> Result<Vec<Columns>, StoreError> {
        if !result.is_rows() {
            return Ok(Vec::new());
        }
        let unreadable = || self.title.unavailable("an answer that cannot be read");
        let rows = result.into_rows_result().map_err(|_| unreadable())?;
        let rows = rows.rows::<Columns>().map_err(|_| unreadable())?;
        rows.collect::<Result<_, _>>().map_err(|_| unreadable())
    }

    /// A transaction on the row with this key: whether it was applied.
    async fn transact(
        &self,
        table: &'static Table,
        kind: Kind,
        key: &[u8],
        values: Vec<Value>,
    ) -> Result<bool, StoreError> {
        let lane = self.hasher.hash_one((table.name, key)) as usize % LANES;
        let _turn = self.lanes[lane].lock().await;
        let answer = self.run(table, kind, values).await?;
        match answer.first().and_then(|row| row.columns.first()) {
            Some(Some(CqlValue::Boolean(applied))) => Ok(*applied),
            _ => Err(self
                .title
                .unavailable("a transaction's answer says nothing of it: whether it was applied is not known")),
        }
    }

    async fn read(&self, table: &'static Table, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        // Cassandra has no key without bytes.
        if key.is_empty() && tables::position(table).is_some() {
            return Ok(None);
        }
        let found = self.run(table, Kind::Get, vec![blob(key)]).await?.into_iter().next();
        let Some(columns) = found else { return Ok(None) };
        match stored(columns) {
            Some(stored) => Ok(Some(stored)),
            None => Err(self.title.broken(&format!(
                "a row of table {} lacks its version, record or entry: it was written by something else, by hand perhaps (SHA-256 \
                 of its key: {})",
                table.name,
                name(key)
            ))),
        }
    }

    /// Unix seconds, by the servers' clocks.
    async fn now(&self) -> Result<i64, StoreError> {
        Ok(self.link.current().await?.now())
    }

    // --- entries --------------------------------------------------------------------------------------------------------

    /// Writes a row's entries; after that the row may be written.
    async fn enlist(&self, table: &'static Table, stored: &Stored, lasts: i32, now: i64) -> Result<(), StoreError> {
        let lasts = entry_ttl(lasts);
        let puts = places(table, &stored.row).into_iter().map(|place| async move {
            if let Some((at, name, mark_lasts)) = mark(&place, lasts, now) {
                let known = (table.name, at.list.clone(), at.position.clone(), name);
                if !self.marks(|marks| marks.contains(&known)) {
                    self.put(table, &at, &name, mark_lasts).await?;
                    self.marks(|marks| {
                        if marks.len() >= MARKS {
                            marks.clear();
                        }
                        marks.insert(known)
                    });
                }
            }
            self.put(table, &place, &stored.entry, lasts).await
        });
        try_join_all(puts).await.map(drop)
    }

    fn marks<T>(&self, look: impl FnOnce(&mut HashSet<Mark>) -> T) -> T {
        look(&mut self.marks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn put(&self, table: &'static Table, at: &Place, name: &[u8], lasts: i32) -> Result<(), StoreError> {
        let values = vec![text(&at.list), blob(&at.bucket), blob(&at.position), blob(name), small(lasts)];
        self.run(table, Kind::Put, values).await.map(drop)
    }

    /// Takes out the entries of a row that is gone, or was never written. Where that fails they stay and lead to nothing.
    async fn delist(&self, table: &'static Table, stored: &Stored) {
        let drops = places(table, &stored.row).into_iter().map(|place| {
            let values = vec![text(&place.list), blob(&place.bucket), blob(&place.position), blob(&stored.entry)];
            self.run(table, Kind::Drop, values)
        });
        if let Err(why) = try_join_all(drops).await {
            tracing::debug!(source = self.name, "entries of {} stay behind: {why}", table.name);
        }
    }

    // --- lists ----------------------------------------------------------------------------------------------------------

    /// The rows of a part of a list, in its order.
    async fn walk(&self, table: &'static Table, part: Part<'_>) -> Result<Vec<Stored>, StoreError> {
        let mut found = Vec::new();
        if part.limit == 0 {
            return Ok(found);
        }
        let name = part.list.name();
        if part.list.width(table) == 0 {
            self.walk_bucket(table, &part, &name, &[], &mut found).await?;
            return Ok(found);
        }
        // The buckets, in order, from the one in which the part begins.
        let first = part.list.bucket(table, &part.after);
        let (mut position, mut entry) = (first, Vec::new());
        loop {
            let marks = self.page(table, &name, &[], &position, &entry, PAGE).await?;
            let mut buckets: Vec<&[u8]> = marks.iter().map(|mark| &mark.position[..]).collect();
            buckets.dedup();
            for bucket in buckets {
                let done = bucket == position && !entry.is_empty();
                if part.below.as_deref().is_some_and(|below| bucket >= below) {
                    return Ok(found);
                }
                if !done {
                    self.walk_bucket(table, &part, &name, bucket, &mut found).await?;
                }
                if found.len() >= part.limit {
                    return Ok(found);
                }
            }
            match marks.last() {
                Some(last) if marks.len() == PAGE => (position, entry) = (last.position.clone(), last.name.clone()),
                _ => return Ok(found),
            }
        }
    }

    /// The same of one bucket.
    async fn walk_bucket(
        &self,
        table: &'static Table,
        part: &Part<'_>,
        list: &str,
        bucket: &[u8],
        found: &mut Vec<Stored>,
    ) -> Result<(), StoreError> {
        let (mut position, mut name) = (part.after.clone(), HIGHEST.to_vec());
        let mut handled = Vec::new();
        while found.len() < part.limit {
            // A few more than are wanted: some may lead to nothing.
            let size = (part.limit - found.len()).saturating_add(8).min(PAGE);
            let mut page = self.page(table, list, bucket, &position, &name, size).await?;
            let full = page.len() == size;
            if let Some(last) = page.last() {
                (position, name) = (last.position.clone(), last.name.clone());
            }
            let before = page.len();
            page.retain(|entry| part.below.as_ref().is_none_or(|below| entry.position < *below));
            let ended = page.len() < before;
            // Several entries of one position lead to one row: whose they are does not matter here.
            page.dedup_by(|later, earlier| later.position == earlier.position);
            page.retain(|entry| entry.position != handled);
            if let Some(last) = page.last() {
                handled.clone_from(&last.position);
            }
            let rows: Vec<Option<Stored>> = stream::iter(page)
                .map(|entry| async move {
                    let row = self.read(table, part.list.key(&entry.position)).await?;
                    Ok::<_, StoreError>(row.filter(|found| part.list.holds(table, &found.row, &entry.position)))
                })
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            found.extend(rows.into_iter().flatten().take(part.limit - found.len()));
            if ended || !full {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn page(
        &self,
        table: &'static Table,
        list: &str,
        bucket: &[u8],
        position: &[u8],
        name: &[u8],
        size: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let size = i32::try_from(size).unwrap_or(i32::MAX);
        let values = vec![text(list), blob(bucket), blob(position), blob(name), small(size)];
        let entry = |row: Columns| {
            let mut columns = row.columns.into_iter();
            Some(Entry { position: bytes(columns.next()?)?, name: bytes(columns.next()?)? })
        };
        Ok(self.run(table, Kind::Page, values).await?.into_iter().filter_map(entry).collect())
    }

    // --- the verbs ------------------------------------------------------------------------------------------------------

    /// A row may be written: it has as many index columns as the table, and a key.
    fn check(&self, table: &'static Table, row: &Row) -> Result<(), StoreError> {
        self.title.position(table)?;
        self.title.check_indexes(table, row)?;
        if row.key.is_empty() {
            return Err(self.title.broken("a key must have at least one byte"));
        }
        Ok(())
    }

    fn index<'a>(&self, table: &'static Table, index: usize, value: &'a str) -> Result<List<'a>, StoreError> {
        Ok(List::Of(self.title.by(table.indexes, table, index)?, value))
    }

    fn fresh_name(&self) -> Result<Vec<u8>, StoreError> {
        let mut name = vec![0; 16];
        getrandom::fill(&mut name).map_err(|_| self.title.unavailable("the system gives no random bytes"))?;
        Ok(name)
    }

    fn contended(&self, table: &'static Table) -> StoreError {
        self.title.unavailable(&format!("a row of table {} is changed too often at once", table.name))
    }

    async fn insert_row(&self, table: &'static Table, row: Row) -> Result<bool, StoreError> {
        self.check(table, &row)?;
        let stored = Stored { row, entry: self.fresh_name()? };
        let now = self.now().await?;
        let lasts = ttl(stored.row.expires_at, now);
        self.enlist(table, &stored, lasts, now).await?;
        let inserted = self.transact(table, Kind::Insert, &stored.row.key, values(&stored, lasts, true)).await?;
        if !inserted {
            self.delist(table, &stored).await;
        }
        Ok(inserted)
    }

    async fn replace_row(&self, table: &'static Table, row: Row, expected: i64) -> Result<bool, StoreError> {
        self.check(table, &row)?;
        let mut stored = Stored { row: Row { version: expected.saturating_add(1), ..row }, entry: Vec::new() };
        for _ in 0..TRIES {
            let Some(before) = self.read(table, &stored.row.key).await? else { return Ok(false) };
            if before.row.version != expected {
                return Ok(false);
            }
            let now = self.now().await?;
            let lasts = ttl(stored.row.expires_at, now);
            // The entries stay where they lead to the same places and last as long as the row will.
            let expired = stored.row.expires_at.is_some_and(|at| at <= now);
            let moves = expired || places(table, &before.row) != places(table, &stored.row);
            if moves {
                stored.entry = self.fresh_name()?;
                self.enlist(table, &stored, lasts, now).await?;
            } else {
                stored.entry = before.entry.clone();
            }
            let mut given = values(&stored, lasts, false);
            given.extend([number(expected), blob(&before.entry)]);
            let replaced = self.transact(table, Kind::Replace, &stored.row.key, given).await?;
            if moves {
                self.delist(table, if replaced { &before } else { &stored }).await;
            }
            if replaced {
                return Ok(true);
            }
        }
        Err(self.contended(table))
    }

    /// Deletes this row, if it still is as it was read.
    async fn delete(&self, table: &'static Table, stored: &Stored) -> Result<bool, StoreError> {
        let given = vec![blob(&stored.row.key), number(stored.row.version), blob(&stored.entry)];
        let deleted = self.transact(table, Kind::Delete, &stored.row.key, given).await?;
        if deleted {
            self.delist(table, stored).await;
        }
        Ok(deleted)
    }

    async fn take_row(&self, table: &'static Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        for _ in 0..TRIES {
            let Some(stored) = self.read(table, key).await? else { return Ok(None) };
            if self.delete(table, &stored).await? {
                return Ok(Some(stored.row));
            }
        }
        Err(self.contended(table))
    }

    /// Deletes a row for as long as it has this value; whether we did.
    async fn remove_row(
        &self,
        table: &'static Table,
        index: usize,
        value: &str,
        found: Stored,
    ) -> Result<bool, StoreError> {
        let mut stored = found;
        for _ in 0..TRIES {
            if self.delete(table, &stored).await? {
                return Ok(true);
            }
            match self.read(table, &stored.row.key).await? {
                Some(changed) if changed.row.indexes.get(index).and_then(Option::as_deref) == Some(value) => {
                    stored = changed
                }
                _ => return Ok(false),
            }
        }
        Err(self.contended(table))
    }
}

impl DataSource for Cassandra {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: true,
            ttl: true,
            strong_read: true,
            push: false,
            read_only: false,
            node_local: false,
        }
    }

    fn prepare(&self) -> Verb<'_, ()> {
        Box::pin(self.open())
    }

    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        self.verb(async move { Ok(self.read(table, key).await?.map(|stored| stored.row)) })
    }

    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        self.verb(self.insert_row(table, row))
    }

    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        self.verb(self.replace_row(table, row, expected))
    }

    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        self.verb(self.take_row(table, key))
    }

    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        self.verb(async move {
            let list = self.index(table, index, value)?;
            let part = Part { list, after: after.unwrap_or_default().to_vec(), below: None, limit };
            Ok(self.walk(table, part).await?.into_iter().map(|stored| stored.row).collect())
        })
    }

    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        self.verb(async move {
            let part = Part { list: List::All, after: after.unwrap_or_default().to_vec(), below: None, limit };
            Ok(self.walk(table, part).await?.into_iter().map(|stored| stored.row).collect())
        })
    }

    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        self.verb(async move {
            let list = self.index(table, index, value)?;
            let found = self.walk(table, Part { list, after: Vec::new(), below: None, limit }).await?;
            let removing = stream::iter(found).map(|stored| self.remove_row(table, index, value, stored));
            let removed: Vec<bool> = removing.buffered(AT_ONCE).try_collect().await?;
            Ok(removed.into_iter().filter(|removed| *removed).count() as u64)
        })
    }

    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        self.verb(async move {
            let below = Some(ordered(before).to_vec());
            let found = self.walk(table, Part { list: List::Expiring, after: Vec::new(), below, limit }).await?;
            // One that was changed meanwhile is left for the next sweep: its life may have been prolonged.
            let sweeping = stream::iter(found).map(|stored| async move { self.delete(table, &stored).await });
            let swept: Vec<bool> = sweeping.buffered(AT_ONCE).try_collect().await?;
            Ok(swept.into_iter().filter(|swept| *swept).count() as u64)
        })
    }

    fn health(&self) -> Verb<'_, Health> {
        self.verb(async move {
            // A row that no table has: what it costs is a round trip, over a new connection where the last one was lost.
            self.read(&tables::LEASE, &[0]).await?;
            let link = self.link.current().await?;
            let server = link::ask_server(&self.title, &link.session).await?;
            let (schema, readable_by) = schema::version(&self.title, &link.session).await?;
            Ok(Health {
                version: format!("Cassandra {}", server.version),
                schema,
                readable_by,
                unix_millis: Some(server.unix_millis),
            })
        })
    }
}
