//! SQLite: a file on this machine.
//!
//! One thread owns the connection that writes: it commits what is queued in one transaction, at most 64 operations, and answers
//! each caller after the commit, so that one sync to the disk is shared by all who wait (`writer.rs`). Reads run on threads of
//! their own over read-only connections from a pool (`readers.rs`). WAL mode: readers and the writer never wait for each other,
//! and other processes, such as the command line, may write at the same time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use self::answers::{Promise, promise};
use self::file::Place;
use self::queue::Wake;
use self::readers::{Read, Readers};
use self::writer::{Answer, Write, Writer};
use crate::foreign::{Dialect, ForeignTables, Query};
use crate::source::{Capabilities, DataSource, Health, Row, StoreError, Table, Verb};
use crate::tables;
use crate::watch::{Watcher, Watchers};

mod answers;
pub mod backup;
mod changes;
mod checkpoints;
mod failures;
mod file;
mod queue;
mod readers;
mod statements;
#[cfg(test)]
mod tests;
mod writer;

/// `[source.NAME] type = "sqlite"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file, relative to the configuration folder. It and missing folders above it are made, for this user alone.
    pub path: PathBuf,
    /// How durable an answered write is.
    #[serde(default)]
    #[schemars(extend("default" = "full"))]
    pub synchronous: Synchronous,
    /// How many threads read, 1 to 64. Default: one a processor, at most 4.
    #[serde(default = "default_readers", deserialize_with = "readers")]
    #[schemars(with = "Option<u8>", range(min = 1, max = 64))]
    pub readers: usize,
    /// How long a write waits for another process that holds the file, at most 1500ms, before it is tried once more and then
    /// given up.
    #[serde(default = "default_busy_timeout", deserialize_with = "busy_timeout")]
    #[schemars(with = "Option<String>", extend("default" = "1s"))]
    pub busy_timeout: Duration,
}

/// When SQLite syncs its log to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// Before each answer: what was answered survives a power failure.
    #[default]
    Full,
    /// Now and then: what was answered survives the end of the process, but not always a power failure. The file stays whole.
    Normal,
}

fn default_readers() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(4))
}

fn default_busy_timeout() -> Duration {
    Duration::from_secs(1)
}

fn readers<'de, D: serde::Deserializer<'de>>(d: D) -> Result<usize, D::Error> {
    let count = usize::deserialize(d)?;
    let bounds = 1..=64;
    bounds.contains(&count).then_some(count).ok_or_else(|| serde::de::Error::custom("`readers` must be 1 to 64"))
}

/// Two attempts together stay below the time that a request may wait for a source.
fn busy_timeout<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(d)?;
    let limit = Duration::from_millis(1500);
    match humantime::parse_duration(&text) {
        Ok(time) if time <= limit => Ok(time),
        Ok(_) => Err(serde::de::Error::custom("`busy_timeout` must be at most 1500ms")),
        Err(_) => Err(serde::de::Error::custom("a duration such as \"500ms\" or \"1s\" is expected")),
    }
}

impl Settings {
    /// A file with the default settings.
    pub fn at(path: impl Into<PathBuf>) -> Settings {
        Settings {
            path: path.into(),
            synchronous: Synchronous::Full,
            readers: default_readers(),
            busy_timeout: default_busy_timeout(),
        }
    }
}

/// A data source in a SQLite file.
pub struct Sqlite {
    place: Arc<Place>,
    readers: usize,
    threads: OnceLock<Result<Arc<Threads>, StoreError>>,
    watchers: Arc<Watchers>,
}

struct Threads {
    writer: Writer,
    readers: Readers,
}

impl Sqlite {
    /// Makes it, without any I/O.
    pub fn new(name: &str, settings: &Settings, base: &Path) -> Self {
        let place = Arc::new(Place::new(name, base.join(&settings.path), settings.synchronous, settings.busy_timeout));
        Sqlite { place, readers: settings.readers, threads: OnceLock::new(), watchers: Arc::default() }
    }

    /// The threads, which start with the first verb.
    fn threads(&self) -> Result<&Arc<Threads>, StoreError> {
        let start = || {
            let failed = |e| StoreError::Unavailable(format!("a thread for {} cannot be started: {e}", self.place));
            let writer = Writer::start(&self.place).map_err(failed)?;
            Ok(Arc::new(Threads { writer, readers: Readers::start(&self.place, self.readers).map_err(failed)? }))
        };
        self.threads.get_or_init(start).as_ref().map_err(Clone::clone)
    }

    /// Queues a write; the future gives its answer, after the commit.
    fn write<'a, T>(&'a self, write: Result<Write, StoreError>, take: fn(Answer) -> Option<T>) -> Verb<'a, T>
    where
        T: Send + 'a,
    {
        Box::pin(async move {
            let (wake, answer) = self.threads()?.writer.queue(write?)?;
            keep(wake).await;
            let answer = answer.await.ok_or_else(|| self.ended())??;
            take(answer).ok_or_else(|| StoreError::Broken(format!("{}: an answer to another question", self.place)))
        })
    }

    /// Queues a read; `make` gives it the promise of its answer.
    fn read<'a, T>(&'a self, make: impl FnOnce(Promise<T>) -> Result<Read, StoreError> + Send + 'a) -> Verb<'a, T>
    where
        T: Send + 'a,
    {
        Box::pin(async move {
            let (promise, answer) = promise();
            let wake = self.threads()?.readers.queue(make(promise)?)?;
            keep(wake).await;
            answer.await.ok_or_else(|| self.ended())?
        })
    }

    fn ended(&self) -> StoreError {
        StoreError::Unavailable(format!("a thread of {} has ended", self.place))
    }

    /// The number of a table in [`tables::ALL`].
    fn table(&self, table: &'static Table) -> Result<usize, StoreError> {
        tables::position(table)
            .ok_or_else(|| StoreError::Broken(format!("{} has no table `{}`", self.place, table.name)))
    }

    /// The number of a table that has this index column.
    fn indexed(&self, table: &'static Table, index: usize) -> Result<usize, StoreError> {
        if index < table.indexes.len() {
            return self.table(table);
        }
        Err(StoreError::Broken(format!("{}: the table `{}` has no index {index}", self.place, table.name)))
    }
}

/// Keeps a promise to wake a thread, after the other tasks that are ready have had their turn, and perhaps asked as well.
async fn keep<T>(wake: Option<Wake<'_, T>>) {
    if let Some(wake) = wake {
        tokio::task::yield_now().await;
        drop(wake);
    }
}

impl DataSource for Sqlite {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: true,
            ttl: false,
            strong_read: true,
            push: false,
            read_only: false,
            node_local: true,
        }
    }

    fn prepare(&self) -> Verb<'_, ()> {
        self.write(Ok(Write::Prepare), Answer::nothing)
    }

    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        self.read(move |answer| Ok(Read::Get { table: self.table(table)?, key: key.to_vec(), answer }))
    }

    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        self.write(self.table(table).map(|table| Write::Insert { table, row }), Answer::done)
    }

    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        self.write(self.table(table).map(|table| Write::Replace { table, row, expected }), Answer::done)
    }

    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        self.write(self.table(table).map(|table| Write::Take { table, key: key.to_vec() }), Answer::row)
    }

    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        self.read(move |answer| {
            let (table, by) = (self.indexed(table, index)?, Some((index, value.to_owned())));
            Ok(Read::Rows { table, by, after: after.map(<[u8]>::to_vec), limit, answer })
        })
    }

    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        self.read(move |answer| {
            let table = self.table(table)?;
            Ok(Read::Rows { table, by: None, after: after.map(<[u8]>::to_vec), limit, answer })
        })
    }

    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        let table = self.indexed(table, index);
        self.write(table.map(|table| Write::Remove { table, index, value: value.to_owned(), limit }), Answer::count)
    }

    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        self.write(self.table(table).map(|table| Write::Sweep { table, before, limit }), Answer::count)
    }

    /// Both round trips: the reading one, and one through the writer, which also finds out whether the file was replaced.
    fn health(&self) -> Verb<'_, Health> {
        Box::pin(async move {
            self.write(Ok(Write::Probe), Answer::nothing).await?;
            self.read(|answer| Ok(Read::Health { answer })).await
        })
    }

    fn foreign(&self) -> Option<&dyn ForeignTables> {
        Some(self)
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) -> bool {
        changes::watch(self, watcher);
        true
    }
}

impl ForeignTables for Sqlite {
    fn look_up(&self, query: Query) -> Verb<'_, Vec<String>> {
        self.read(move |answer| {
            Ok(Read::Foreign { sql: query.sql(Dialect::Sqlite), value: query.value().cloned(), answer })
        })
    }
}
