//! The port to a data source: plain rows, a few verbs, each atomic by itself.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};

use crate::foreign::ForeignTables;
use crate::watch::Watcher;

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A table: one a kind of record.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name: `access_token`.
    pub name: &'static str,
    /// Its index columns, text or null: `client_id`, `subject`, `grant_id`.
    pub indexes: &'static [&'static str],
}

/// One record as a source keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The primary key.
    pub key: Vec<u8>,
    /// Counts its changes, from 1; `replace` compares it and raises it by one.
    pub version: i64,
    /// Unix seconds after which it may be swept; none = never.
    pub expires_at: Option<i64>,
    /// The values of the index columns, in the table's order.
    pub indexes: Vec<Option<String>>,
    /// The record, as JSON text. It comes back as the same JSON; a source with a type for JSON may space it otherwise.
    pub record: String,
}

/// A row that may be remembered, and what its record was read as: whoever asks for it again need not read it anew.
pub struct Kept {
    /// The row.
    pub row: Row,
    read_as: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Kept {
    /// A row that nobody has read yet.
    pub fn new(row: Row) -> Self {
        Kept { row, read_as: OnceLock::new() }
    }

    /// What its record is, which `read` reads where nobody did before.
    pub(crate) fn read<T, E>(&self, read: impl FnOnce(&Row) -> Result<T, E>) -> Result<Arc<T>, E>
    where
        T: Send + Sync + 'static,
    {
        if let Some(Ok(before)) = self.read_as.get().map(|before| before.clone().downcast()) {
            return Ok(before);
        }
        let read = Arc::new(read(&self.row)?);
        // Where another one was quicker, that was of the same row.
        let _ = self.read_as.set(read.clone());
        Ok(read)
    }
}

/// What a source can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// `replace` compares versions atomically.
    pub compare_and_swap: bool,
    /// Expired rows go by themselves.
    pub ttl: bool,
    /// A read sees every write that was answered before.
    pub strong_read: bool,
    /// Changes are pushed to other nodes.
    pub push: bool,
    /// Nothing can be written.
    pub read_only: bool,
    /// Its records are seen by this node alone (memory, a file on this machine).
    pub node_local: bool,
}

/// What `health` found.
#[derive(Clone, Debug)]
pub struct Health {
    /// The server's name and version.
    pub version: String,
    /// The schema's version.
    pub schema: u32,
    /// The version that a program must know to work with that schema.
    pub readable_by: u32,
    /// The source's clock, Unix milliseconds, where it has one of its own.
    pub unix_millis: Option<i64>,
}

/// Why a store could not do it. Never a reason to allow anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The source is down, too slow or full: try again later. The text is for the log.
    Unavailable(String),
    /// The source refuses for good: no rights, a schema newer than this program, a record that cannot be read.
    Broken(String),
}

impl StoreError {
    /// What happened, without whether it may go by itself.
    pub fn why(&self) -> &str {
        match self {
            StoreError::Unavailable(why) | StoreError::Broken(why) => why,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Unavailable(why) => write!(f, "unavailable: {why}"),
            StoreError::Broken(why) => write!(f, "broken: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// The result of a verb.
pub type Verb<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Reads from a table in both ways, and finds nothing: one that was dropped or altered since it was made is noticed. What is kept there
/// is left alone, since one damaged row says nothing of the others.
pub async fn probe(source: &dyn DataSource, table: &'static Table) -> Result<(), StoreError> {
    source.get(table, b"probe").await?;
    // Behind every key. Cassandra keeps the order of rows in tables of their own.
    source.list(table, Some(&[0xff; 64]), 1).await.map(drop)
}

/// A data source. Every verb is atomic, and answers a write only once it is durable.
pub trait DataSource: Send + Sync + 'static {
    /// Its name in the mapping of stores; none where it is not of one, as in tests of policies.
    fn name(&self) -> Option<&str> {
        None
    }

    /// What it can do.
    fn capabilities(&self) -> Capabilities;
    /// Connects, checks and migrates; until this succeeded once, every verb is [`StoreError::Unavailable`]. May be called again.
    fn prepare(&self) -> Verb<'_, ()>;
    /// The row with this key.
    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>>;
    /// The same, perhaps shared with others who asked for it before.
    fn get_kept<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Arc<Kept>>> {
        let getting = self.get(table, key);
        Box::pin(async move { Ok(getting.await?.map(|row| Arc::new(Kept::new(row)))) })
    }
    /// Inserts; `false` where the key exists already, which is then untouched.
    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool>;
    /// Replaces the row with this key where its version is `expected`; `false` where it is another one or gone. The source
    /// writes `expected + 1` as the new version, whatever `row.version` says.
    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool>;
    /// Gets and deletes; of several callers one gets it.
    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>>;
    /// Rows with this value in the index column with this number, ordered by key, after `after`, at most `limit`.
    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>>;
    /// All rows, ordered by key, after `after`, at most `limit`.
    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>>;
    /// Deletes rows with this value in the index column, at most `limit`; how many.
    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64>;
    /// Deletes rows whose `expires_at` is before `before`, at most `limit`; how many.
    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64>;
    /// A round trip, and what it tells.
    fn health(&self) -> Verb<'_, Health>;
    /// Its way to read tables of somebody else's, where its database may have such.
    fn foreign(&self) -> Option<&dyn ForeignTables> {
        None
    }
    /// Tells this watcher of changes, its own writes perhaps left out, for as long as it is there; `false` where the source hears of
    /// none. To be called within a runtime.
    fn watch(&self, watcher: Weak<dyn Watcher>) -> bool {
        let _ = watcher;
        false
    }
}
