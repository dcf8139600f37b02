//! The threads that read.
//!
//! A reader takes all that is queued, at most 32 reads, and runs them in one read transaction, which takes the file's locks
//! once.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use r2d2::{HandleError, Pool, PooledConnection};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags, ToSql, params_from_iter};

use super::answers::{Answered, Promise, deliver};
use super::file::{Place, keeps_the_connection};
use super::queue::{Queue, Refused, Taker, Wake};
use super::statements::{STATEMENTS, bound, row};
use crate::foreign;
use crate::source::{Health, Row, StoreError};
use crate::tables;

/// Reads that wait at most.
const QUEUE: usize = 8192;
/// Reads of one transaction at most.
const BATCH: usize = 32;
/// How long a reader waits for its connection to be opened.
const CONNECT: Duration = Duration::from_millis(500);

/// What is to be read. Tables are numbers in [`tables::ALL`].
pub(super) enum Read {
    Get {
        table: usize,
        key: Vec<u8>,
        answer: Promise<Option<Row>>,
    },
    /// A find by an index column, or a list.
    Rows {
        table: usize,
        by: Option<(usize, String)>,
        after: Option<Vec<u8>>,
        limit: usize,
        answer: Promise<Vec<Row>>,
    },
    /// Rows of a table of somebody else's, as JSON.
    Foreign {
        sql: String,
        value: Option<foreign::Value>,
        answer: Promise<Vec<String>>,
    },
    Health {
        answer: Promise<Health>,
    },
}

struct Shared {
    place: Arc<Place>,
    pool: Mutex<Option<Connections>>,
    /// Why the pool's last connection could not be opened.
    refused: Arc<NotOpened>,
    readers: u32,
}

type Connections = (u64, Pool<SqliteConnectionManager>);

/// The queue of the readers; they end when this is dropped.
pub(super) struct Readers {
    queue: Queue<Read>,
    place: Arc<Place>,
}

impl Readers {
    #[allow(clippy::disallowed_methods, reason = "the threads of this source: they end when it is dropped")]
    pub(super) fn start(place: &Arc<Place>, count: usize) -> io::Result<Readers> {
        let queue = Queue::new(QUEUE, BATCH);
        let (pool, refused) = (Mutex::new(None), Arc::default());
        let shared = Arc::new(Shared { place: place.clone(), pool, refused, readers: count as u32 });
        for number in 1..=count {
            let (shared, taker) = (shared.clone(), queue.taker());
            thread::Builder::new()
                .name(format!("{} reader {number}", place.name()))
                .spawn(move || shared.run(taker))?;
        }
        Ok(Readers { queue, place: place.clone() })
    }

    pub(super) fn queue(&self, read: Read) -> Result<Option<Wake<'_, Read>>, StoreError> {
        let place = &self.place;
        self.queue.push(read).map_err(|refused| match refused {
            Refused::Full => StoreError::Unavailable(format!("{QUEUE} reads wait already for {place}: it is too slow")),
            Refused::Ended => StoreError::Unavailable(format!("the readers of {place} have ended")),
        })
    }
}

impl Shared {
    fn run(&self, mut taker: Taker<Read>) {
        let (mut batch, mut found) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        while taker.take(&mut batch) {
            if !batch.iter().all(|read| matches!(read, Read::Get { .. })) {
                taker.takes_long();
            }
            self.answer(&mut batch, &mut found);
        }
    }

    /// Runs a batch. Point reads are answered together at its end, so that their tasks are woken at once.
    fn answer(&self, batch: &mut Vec<Read>, found: &mut Vec<Answered<Option<Row>>>) {
        let mut good = true;
        match self.connection() {
            Ok(connection) => {
                let transaction = batch.len() > 1 && run(&connection, "BEGIN").is_ok();
                for read in batch.drain(..) {
                    match read {
                        Read::Get { answer, .. } if answer.is_unwanted() => {}
                        Read::Get { table, key, answer } => {
                            found.push((answer, self.told(get(&connection, table, key), &mut good)));
                        }
                        Read::Rows { table, by, after, limit, answer } => {
                            answer.answer(self.told(rows(&connection, table, by, after, limit), &mut good));
                        }
                        Read::Foreign { sql, value, answer } => {
                            answer.answer(self.told(foreign_rows(&connection, &sql, value), &mut good));
                        }
                        Read::Health { answer } => answer.answer(self.told(health(&connection), &mut good)),
                    }
                }
                if transaction {
                    good &= run(&connection, "COMMIT").is_ok();
                }
            }
            Err(error) => {
                batch.drain(..).for_each(|read| read.refuse(&error));
                good = false;
            }
        }
        deliver(found.drain(..));
        if !good {
            *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// The outcome of a read as it is told; `good` is cleared where the connection is to be opened anew.
    fn told<T>(&self, result: rusqlite::Result<T>, good: &mut bool) -> Result<T, StoreError> {
        result.map_err(|error| {
            *good &= keeps_the_connection(&error);
            self.place.explain(&error)
        })
    }

    /// A connection to the file as the writer opened it last.
    fn connection(&self) -> Result<PooledConnection<SqliteConnectionManager>, StoreError> {
        if self.place.is_displaced() {
            return Err(self.place.displaced());
        }
        let opened = self.place.opened();
        let (pool, fresh) = {
            let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
            match &*pool {
                Some((of, pool)) if *of == opened => (pool.clone(), false),
                _ => (pool.insert((opened, self.make_pool())).1.clone(), true),
            }
        };
        let connection = pool.get().map_err(|error| {
            let explained = self.refused.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            explained.map_or_else(
                || StoreError::Unavailable(format!("no connection to {}: {error}", self.place)),
                |error| self.place.explain(&error),
            )
        })?;
        if fresh {
            // All of them now: one that is opened later, after somebody removed the log, would make another in its place, and what the
            // writer alone still has of the first could not be saved any more.
            let rest: Vec<_> = (1..self.readers).map_while(|_| pool.get().ok()).collect();
            drop(rest);
        }
        Ok(connection)
    }

    fn make_pool(&self) -> Pool<SqliteConnectionManager> {
        let place = self.place.clone();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let manager = SqliteConnectionManager::file(self.place.path())
            .with_flags(flags)
            .with_init(move |connection| place.set_up(connection));
        // One connection a thread, for as long as the file stays: nothing to test, nothing to retire.
        Pool::builder()
            .max_size(self.readers)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .max_lifetime(None)
            .idle_timeout(None)
            .connection_timeout(CONNECT)
            .error_handler(Box::new(NotOpenedHandler(self.refused.clone())))
            .build_unchecked(manager)
    }
}

impl Read {
    fn refuse(self, error: &StoreError) {
        let error = error.clone();
        match self {
            Read::Get { answer, .. } => answer.answer(Err(error)),
            Read::Rows { answer, .. } => answer.answer(Err(error)),
            Read::Foreign { answer, .. } => answer.answer(Err(error)),
            Read::Health { answer } => answer.answer(Err(error)),
        }
    }
}

/// The error of a connection that could not be opened, which the pool itself tells only as text.
#[derive(Debug, Default)]
struct NotOpened(Mutex<Option<rusqlite::Error>>);

#[derive(Debug)]
struct NotOpenedHandler(Arc<NotOpened>);

impl HandleError<rusqlite::Error> for NotOpenedHandler {
    fn handle_error(&self, error: rusqlite::Error) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

fn get(connection: &Connection, table: usize, key: Vec<u8>) -> rusqlite::Result<Option<Row>> {
    let mut statement = connection.prepare_cached(&STATEMENTS[table].get)?;
    let mut found = statement.query([&key])?;
    match found.next()? {
        Some(found) => row(found, tables::ALL[table].indexes.len(), Some(key)).map(Some),
        None => Ok(None),
    }
}

fn rows(
    connection: &Connection,
    table: usize,
    by: Option<(usize, String)>,
    after: Option<Vec<u8>>,
    limit: usize,
) -> rusqlite::Result<Vec<Row>> {
    let (statements, limit, first) = (&STATEMENTS[table], bound(limit), after.is_none());
    let start = after.unwrap_or_default();
    let (mut statement, mut found);
    match by {
        Some((index, value)) => {
            let by = &statements.by[index];
            statement = connection.prepare_cached(if first { &by.find_first } else { &by.find })?;
            found = statement.query((value, start, limit))?;
        }
        None => {
            statement = connection.prepare_cached(if first { &statements.list_first } else { &statements.list })?;
            found = statement.query((start, limit))?;
        }
    }
    let mut rows = Vec::new();
    while let Some(found) = found.next()? {
        rows.push(row(found, tables::ALL[table].indexes.len(), None)?);
    }
    Ok(rows)
}

fn foreign_rows(connection: &Connection, sql: &str, value: Option<foreign::Value>) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached(sql)?;
    let value: Option<Box<dyn ToSql>> = value.map(|value| match value {
        foreign::Value::Text(text) => Box::new(text) as Box<dyn ToSql>,
        foreign::Value::Integer(number) => Box::new(number),
    });
    let found = statement.query_map(params_from_iter(value), |row| row.get(0))?;
    found.collect()
}

fn health(connection: &Connection) -> rusqlite::Result<Health> {
    let noted = "SELECT coalesce(max(version), 0), coalesce(max(readable_by), 0) FROM portcullis_schema";
    let (schema, readable_by) = connection.query_row(noted, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Health { version: format!("SQLite {}", rusqlite::version()), schema, readable_by, unix_millis: None })
}
