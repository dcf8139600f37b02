//! The threads that read.
//!
//! A reader takes all that is queued, at most 32 reads, and runs them in one read transaction, which takes the file's locks
//! once. Who queues a read wakes a reader only where none is at work, or where more has gathered than one should do: waking a
//! thread costs more than a read.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use r2d2::{HandleError, Pool, PooledConnection};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};

use super::answers::{Answered, Promise, deliver};
use super::file::{Place, keeps_the_connection};
use super::statements::{STATEMENTS, bound, row};
use crate::source::{Health, Row, StoreError};
use crate::tables;

/// Reads that wait at most.
const QUEUE: usize = 8192;
/// Reads of one transaction at most.
const BATCH: usize = 32;
/// With so many waiting, another reader is woken beside the one at work.
const BACKLOG: usize = BATCH;
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
    Health {
        answer: Promise<Health>,
    },
}

struct Queue {
    reads: VecDeque<Read>,
    /// Readers that wait to be woken.
    idle: usize,
    /// Readers that run point reads only, and will soon look at the queue again.
    quick: usize,
    closed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    place: Arc<Place>,
    pool: Mutex<Option<Connections>>,
    /// Why the pool's last connection could not be opened.
    refused: Arc<Refused>,
    readers: u32,
}

type Connections = (u64, Pool<SqliteConnectionManager>);

/// The queue of the readers; they end when this is dropped.
pub(super) struct Readers(Arc<Shared>);

impl Readers {
    #[allow(clippy::disallowed_methods, reason = "the threads of this source: they end when it is dropped")]
    pub(super) fn start(place: &Arc<Place>, count: usize) -> io::Result<Readers> {
        let queue = Queue { reads: VecDeque::new(), idle: 0, quick: 0, closed: false };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            wake: Condvar::new(),
            place: place.clone(),
            pool: Mutex::new(None),
            refused: Arc::default(),
            readers: count as u32,
        });
        let readers = Readers(shared);
        for number in 1..=count {
            let shared = readers.0.clone();
            thread::Builder::new().name(format!("{} reader {number}", place.name())).spawn(move || shared.run())?;
        }
        Ok(readers)
    }

    pub(super) fn queue(&self, read: Read) -> Result<(), StoreError> {
        let mut queue = self.0.lock();
        if queue.reads.len() >= QUEUE {
            let place = &self.0.place;
            return Err(StoreError::Unavailable(format!("{QUEUE} reads wait already for {place}: it is too slow")));
        }
        queue.reads.push_back(read);
        let wake = queue.idle > 0 && (queue.quick == 0 || queue.reads.len() >= BACKLOG);
        drop(queue);
        if wake {
            self.0.wake.notify_one();
        }
        Ok(())
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.wake.notify_all();
    }
}

impl Shared {
    /// No code that can panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let (mut batch, mut found) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        while self.next(&mut batch) {
            let quick = batch.iter().all(|read| matches!(read, Read::Get { .. }));
            if quick {
                self.lock().quick += 1;
            }
            self.answer(&mut batch, &mut found);
            if quick {
                self.lock().quick -= 1;
            }
        }
    }

    /// Waits for reads and takes them; `false` at the end.
    fn next(&self, batch: &mut Vec<Read>) -> bool {
        let mut queue = self.lock();
        while queue.reads.is_empty() {
            if queue.closed {
                return false;
            }
            queue.idle += 1;
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
        let count = queue.reads.len().min(BATCH);
        batch.extend(queue.reads.drain(..count));
        true
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
        let opened = self.place.opened();
        let pool = {
            let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
            match &*pool {
                Some((of, pool)) if *of == opened => pool.clone(),
                _ => pool.insert((opened, self.make_pool())).1.clone(),
            }
        };
        pool.get().map_err(|error| {
            let explained = self.refused.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            explained.map_or_else(
                || StoreError::Unavailable(format!("no connection to {}: {error}", self.place)),
                |error| self.place.explain(&error),
            )
        })
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
            .error_handler(Box::new(RefusedHandler(self.refused.clone())))
            .build_unchecked(manager)
    }
}

impl Read {
    fn refuse(self, error: &StoreError) {
        let error = error.clone();
        match self {
            Read::Get { answer, .. } => answer.answer(Err(error)),
            Read::Rows { answer, .. } => answer.answer(Err(error)),
            Read::Health { answer } => answer.answer(Err(error)),
        }
    }
}

/// The error of a connection that could not be opened, which the pool itself tells only as text.
#[derive(Debug, Default)]
struct Refused(Mutex<Option<rusqlite::Error>>);

#[derive(Debug)]
struct RefusedHandler(Arc<Refused>);

impl HandleError<rusqlite::Error> for RefusedHandler {
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

fn health(connection: &Connection) -> rusqlite::Result<Health> {
    let schema = connection.query_row("SELECT max(version) FROM portcullis_schema", [], |row| row.get(0))?;
    Ok(Health { version: format!("SQLite {}", rusqlite::version()), schema, unix_millis: None })
}
