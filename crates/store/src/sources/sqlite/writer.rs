//! The thread that writes.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rusqlite::types::ToSql;
use rusqlite::{Connection, params_from_iter};
use tokio::task;
use tokio::time::Instant;

use super::answers::{Pending, Promise, deliver, promise};
use super::checkpoints::Checkpoints;
use super::failures::{Failures, Untold};
use super::file::{Identity, Log, Place, is_busy, keeps_the_connection};
use super::queue::{Queue, Refused, Taker, Wake};
use super::statements::{STATEMENTS, bound, row};
use crate::source::{Row, StoreError};
use crate::tables;

/// Operations that wait at most; one more is refused, so that a disk that stalls fills no memory.
const QUEUE: usize = 1024;
/// Operations of one commit at most.
const GROUP: usize = 64;
/// How long those who were just answered are waited for: they come back with their next request, and without them those who
/// came meanwhile would be committed alone, half of all each time, at the whole price of a sync.
const GATHER: Duration = Duration::from_millis(2);
/// How often a group is tried while another process holds the file; each waits for `busy_timeout`.
const ATTEMPTS: u32 = 2;

/// What is to be written. Tables are numbers in [`tables::ALL`].
pub(super) enum Write {
    /// Opens the file and brings its schema up to date.
    Prepare,
    /// Takes the write lock and gives it back.
    Probe,
    /// What tells whether another connection has committed.
    Version,
    Insert {
        table: usize,
        row: Row,
    },
    Replace {
        table: usize,
        row: Row,
        expected: i64,
    },
    Take {
        table: usize,
        key: Vec<u8>,
    },
    Remove {
        table: usize,
        index: usize,
        value: String,
        limit: usize,
    },
    Sweep {
        table: usize,
        before: i64,
        limit: usize,
    },
}

/// The answer to a [`Write`].
pub(super) enum Answer {
    Nothing,
    Done(bool),
    Row(Option<Row>),
    Count(u64),
    /// [`Place::surprises`], and the version of the data as this connection sees it: another one where another connection, of
    /// whatever process, has committed.
    Version(u64, i64),
}

impl Answer {
    pub(super) fn nothing(self) -> Option<()> {
        matches!(self, Answer::Nothing).then_some(())
    }
    pub(super) fn done(self) -> Option<bool> {
        if let Answer::Done(done) = self { Some(done) } else { None }
    }
    pub(super) fn row(self) -> Option<Option<Row>> {
        if let Answer::Row(row) = self { Some(row) } else { None }
    }
    pub(super) fn count(self) -> Option<u64> {
        if let Answer::Count(count) = self { Some(count) } else { None }
    }

    pub(super) fn version(self) -> Option<(u64, i64)> {
        if let Answer::Version(opened, version) = self { Some((opened, version)) } else { None }
    }
}

type Answered = Result<Answer, StoreError>;

pub(super) struct Operation {
    write: Write,
    /// The task that waits for the answer.
    asker: Option<task::Id>,
    answer: Promise<Answer>,
}

impl Operation {
    /// Whether it needs a transaction; a look at the version does not.
    fn writes(&self) -> bool {
        !matches!(self.write, Write::Version)
    }

    /// Whether it is the purge's.
    fn sweeps(&self) -> bool {
        matches!(self.write, Write::Sweep { .. })
    }
}

/// The queue of the thread; it ends when this is dropped.
pub(super) struct Writer {
    place: Arc<Place>,
    queue: Queue<Operation>,
}

impl Writer {
    #[allow(clippy::disallowed_methods, reason = "the threads of this source: they end when it is dropped")]
    pub(super) fn start(place: &Arc<Place>) -> io::Result<Writer> {
        let queue = Queue::new(QUEUE, GROUP);
        let operations = queue.taker();
        let mut state = State::new(place);
        thread::Builder::new().name(format!("{} writer", place.name())).spawn(move || state.run(operations))?;
        Ok(Writer { place: place.clone(), queue })
    }

    /// Queues an operation; its answer comes after its commit.
    pub(super) fn queue(&self, write: Write) -> Result<(Option<Wake<'_, Operation>>, Pending<Answer>), StoreError> {
        let (answer, pending) = promise();
        let (place, asker) = (&self.place, task::try_id());
        let wake = self.queue.push(Operation { write, asker, answer }).map_err(|refused| match refused {
            Refused::Full => {
                StoreError::Unavailable(format!("{QUEUE} writes wait already for {place}: it is too slow"))
            }
            Refused::Ended => StoreError::Unavailable(format!("the writer of {place} has ended")),
        })?;
        Ok((wake, pending))
    }
}

/// How many want something written: a task that wants several writes at once comes back once.
fn askers(group: &[Operation]) -> usize {
    let writes = || group.iter().filter(|operation| operation.writes());
    let tasks: HashSet<task::Id> = writes().filter_map(|operation| operation.asker).collect();
    tasks.len() + writes().filter(|operation| operation.asker.is_none()).count()
}

/// Why a whole group failed.
enum Failed {
    /// Another process held the file: the group may be tried again.
    Busy(StoreError),
    For(StoreError),
}

struct State {
    place: Arc<Place>,
    open: Option<Open>,
    /// The file that was opened first.
    known: Option<Identity>,
    /// The log of the connection that is open.
    log: Option<Log>,
    /// Whether what stands in a log that was removed is in the file.
    saved: bool,
    failures: Failures,
}

/// The file, open.
struct Open {
    /// Its connection closes last: that is the one which deletes the log.
    checkpoints: Option<Checkpoints>,
    connection: Connection,
}

impl State {
    fn new(place: &Arc<Place>) -> State {
        State { place: place.clone(), open: None, known: None, log: None, saved: false, failures: Failures::default() }
    }

    fn run(&mut self, mut operations: Taker<Operation>) {
        let mut group = Vec::with_capacity(GROUP);
        let mut parted = false;
        while operations.take(&mut group) {
            // Nobody waits for these any more, and who was told that it failed should find it not done.
            group.retain(|operation| !operation.answer.is_unwanted());
            let mut sweeps: Vec<_> = group.extract_if(.., |operation| operation.sweeps()).collect();
            let count = askers(&group);
            if !group.is_empty() {
                self.settle(&mut group);
            }
            // The purge has its turn while those who were answered are waited for anyway.
            let (answered, swept) = (Instant::now(), !sweeps.is_empty());
            if swept {
                self.settle(&mut sweeps);
            }
            // Whoever writes alone waits for nobody. Nor do those whose companions came while the purge had its turn, and are through: the
            // rest of them is in the queue by now, or comes at once.
            if count > 1 && !parted {
                operations.gather(count, GATHER.saturating_sub(answered.elapsed()));
            }
            parted = count == 0 && swept;
        }
    }

    /// Commits a group and answers it.
    fn settle(&mut self, group: &mut Vec<Operation>) {
        let mut outcome = self.commit(group);
        for _ in 1..ATTEMPTS {
            if matches!(outcome, Err(Failed::Busy(_))) {
                outcome = self.commit(group);
            }
        }
        match outcome {
            Ok(answers) => {
                if group.iter().any(|operation| operation.writes() && operation.answer.is_unwanted()) {
                    self.place.committed_unheard();
                }
                if self.failures.has_untold()
                    && let Some(untold) = self.failures.due(Instant::now())
                {
                    self.warn(untold, "no longer, they succeed by now");
                }
                deliver(group.drain(..).map(|operation| operation.answer).zip(answers));
                if let Some(Open { checkpoints: Some(checkpoints), connection }) = &mut self.open {
                    checkpoints.committed(connection);
                }
            }
            Err(Failed::Busy(error) | Failed::For(error)) => {
                let writes = group.iter().filter(|operation| operation.writes()).count();
                if writes > 0
                    && let Some(untold) = self.failures.add(writes, Instant::now())
                {
                    self.warn(untold, &error);
                }
                deliver(group.drain(..).map(|operation| (operation.answer, Err(error.clone()))));
            }
        }
    }

    fn warn(&self, untold: Untold, why: impl fmt::Display) {
        let (source, Untold { commits, operations }) = (self.place.name(), untold);
        tracing::warn!(source, commits, operations, "commits failed: {why}");
    }

    /// One transaction. An operation that fails alone is undone alone, and has its error as its answer.
    fn commit(&mut self, group: &[Operation]) -> Result<Vec<Answered>, Failed> {
        let place = self.place.clone();
        let result = transact(&place, self.connection()?, group);
        result.map_err(|error| {
            let explained = place.explain(&error);
            // Without its log, the connection is the only one that still has what stands there.
            if !keeps_the_connection(&error) && !self.lost_its_log() {
                self.open = None;
            }
            if is_busy(&error) { Failed::Busy(explained) } else { Failed::For(explained) }
        })
    }

    /// The connection, opened where there is none.
    ///
    /// Where another file stands at the path by now, or none, nothing goes on until it is put back: what would be written into the
    /// old one would be lost; a new one would be empty; and a backup that is moved there has the old one's `-wal` beside it, which
    /// SQLite would replay over it. The same where its `-wal` is another one or gone: SQLite does not look, writes on into the one
    /// without a name, and a crash would take all of that.
    fn connection(&mut self) -> Result<&Connection, Failed> {
        let now = self.place.identity();
        let moved = self.known.is_some() && self.known != now;
        let log_lost = self.lost_its_log();
        if log_lost && !moved && !self.saved {
            self.saved = self.save();
        }
        self.saved &= log_lost;
        self.place.set_unsaved(log_lost && !moved && !self.saved && self.log.as_ref().is_some_and(Log::is_gone));
        self.place.set_displaced(moved || log_lost);
        if moved || log_lost {
            return Err(Failed::For(self.place.displaced()));
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => {
                let connection = self.place.open_writer().map_err(Failed::For)?;
                self.log = Log::of(&connection);
                Open { checkpoints: None, connection }
            }
        };
        if open.checkpoints.is_none() {
            open.checkpoints = Some(Checkpoints::start(&self.place, &open.connection).map_err(Failed::For)?);
        }
        if self.known.is_none() {
            self.known = self.place.identity();
        }
        Ok(&self.open.insert(open).connection)
    }

    fn lost_its_log(&self) -> bool {
        self.open.is_some() && self.log.as_ref().is_some_and(Log::is_displaced)
    }

    /// Brings what stands in a log that was removed into the file, while the connection still has it; whether that is done. Not where
    /// another log is in its place: whoever made it may have written to the file by it.
    fn save(&mut self) -> bool {
        let gone = self.log.as_ref().is_some_and(Log::is_gone);
        let Some(open) = self.open.as_mut().filter(|_| gone) else { return false };
        // It would be in the way.
        open.checkpoints = None;
        let busy = open.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        let (place, source) = (&self.place, self.place.name());
        let why = match busy {
            Ok(false) => {
                tracing::error!(
                    source,
                    "the -wal or -shm of {place} was removed: what the log held was saved into the file"
                );
                return true;
            }
            Ok(true) => String::from("another process reads the file, it is tried again"),
            Err(error) => error.to_string(),
        };
        // Each look tries it again.
        if !self.place.is_displaced() {
            tracing::error!(
                source,
                "the -wal or -shm of {place} was removed, and what the log held could not be saved yet: {why}"
            );
        }
        false
    }
}

fn transact(place: &Place, connection: &Connection, group: &[Operation]) -> rusqlite::Result<Vec<Answered>> {
    if !group.iter().any(Operation::writes) {
        let answers = group.iter().map(|_| version(place, connection).map_err(|error| place.explain(&error)));
        return Ok(answers.collect());
    }
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut answers = Vec::with_capacity(group.len());
    for operation in group {
        match apply(place, connection, &operation.write) {
            Ok(answer) => answers.push(Ok(answer)),
            // SQLite has undone the statement; where it has undone the transaction with it, all have failed.
            Err(error) if connection.is_autocommit() => return Err(error),
            Err(error) => answers.push(Err(place.explain(&error))),
        }
    }
    let committed = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
    if let Err(error) = committed {
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK"); // The connection is opened anew where this fails too.
        }
        return Err(error);
    }
    Ok(answers)
}

/// Commits of this connection do not change it: only those of others are looked for.
fn version(place: &Place, connection: &Connection) -> rusqlite::Result<Answer> {
    let version = connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
    Ok(Answer::Version(place.surprises(), version))
}

fn apply(place: &Place, connection: &Connection, write: &Write) -> rusqlite::Result<Answer> {
    match write {
        Write::Prepare | Write::Probe => Ok(Answer::Nothing),
        Write::Version => version(place, connection),
        Write::Insert { table, row } => {
            let changed = write_row(connection, &STATEMENTS[*table].insert, row, row.version)?;
            Ok(Answer::Done(changed == 1))
        }
        Write::Replace { table, row, expected } => {
            let changed = write_row(connection, &STATEMENTS[*table].replace, row, *expected)?;
            Ok(Answer::Done(changed == 1))
        }
        Write::Take { table, key } => {
            let mut statement = connection.prepare_cached(&STATEMENTS[*table].take)?;
            let mut found = statement.query([key])?;
            let taken = match found.next()? {
                Some(found) => Some(row(found, tables::ALL[*table].indexes.len(), None)?),
                None => None,
            };
            // A statement that returns rows is done only once it was asked for the row after the last.
            while found.next()?.is_some() {}
            Ok(Answer::Row(taken))
        }
        Write::Remove { table, index, value, limit } => {
            let mut statement = connection.prepare_cached(&STATEMENTS[*table].by[*index].remove)?;
            Ok(Answer::Count(statement.execute((value, bound(*limit)))? as u64))
        }
        Write::Sweep { table, before, limit } => {
            let mut statement = connection.prepare_cached(&STATEMENTS[*table].sweep)?;
            Ok(Answer::Count(statement.execute((before, bound(*limit)))? as u64))
        }
    }
}

/// Runs an insert or a replace: key, version, expiry, record, index columns. How many rows it changed.
fn write_row(connection: &Connection, sql: &str, row: &Row, version: i64) -> rusqlite::Result<usize> {
    let fixed: [&dyn ToSql; 4] = [&row.key, &version, &row.expires_at, &row.record];
    let indexes = row.indexes.iter().map(|value| value as &dyn ToSql);
    connection.prepare_cached(sql)?.execute(params_from_iter(fixed.into_iter().chain(indexes)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sources::sqlite::Synchronous;

    fn insert(key: &str, size: usize) -> Operation {
        let record = "x".repeat(size);
        let row = Row { key: key.into(), version: 1, expires_at: None, indexes: vec![None; 3], record };
        Operation { write: Write::Insert { table: 0, row }, asker: task::try_id(), answer: promise().0 }
    }

    #[tokio::test]
    async fn who_wants_several_writes_at_once_is_waited_for_once() {
        let mut tasks = task::JoinSet::new();
        for name in ["a", "b"] {
            tasks.spawn(async move { [insert(name, 1), insert(&name.repeat(2), 1)] });
        }
        let mut group: Vec<Operation> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!((group.len(), askers(&group)), (4, 2));
        group.extend([insert("c", 1), insert("d", 1)]);
        assert_eq!(askers(&group), 4, "nobody knows whose these are");
        group.push(Operation { write: Write::Version, asker: None, answer: promise().0 });
        assert_eq!(askers(&group), 4, "that is no write");
    }

    fn place(folder: &tempfile::TempDir) -> Place {
        Place::new("test", folder.path().join("x.db"), Synchronous::Full, Duration::from_millis(10))
    }

    /// It is deleted with the last connection to the file, and made anew with the next.
    #[test]
    fn a_log_that_sqlite_itself_replaced_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::new(&Arc::new(place(&folder)));
        for round in 0..3 {
            let group = [insert(&format!("{round}"), 1)];
            assert!(state.commit(&group).is_ok(), "round {round}");
            assert!(state.log.as_ref().is_some_and(|log| !log.is_displaced()));
            state.open = None;
            assert!(state.log.as_ref().is_some_and(Log::is_gone));
        }
    }

    fn count(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM access_token", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn an_operation_that_fails_alone_is_undone_alone() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(&folder);
        let connection = place.open_writer().unwrap();
        connection.execute_batch("CREATE TRIGGER t BEFORE INSERT ON access_token WHEN NEW.record = 'xx' BEGIN SELECT raise(ABORT, 'no'); END").unwrap();
        let answers = transact(&place, &connection, &[insert("a", 1), insert("b", 2), insert("c", 3)]).unwrap();
        assert!(matches!(&answers[..], [Ok(Answer::Done(true)), Err(StoreError::Broken(_)), Ok(Answer::Done(true))]));
        assert_eq!(count(&connection), 2);
    }

    /// SQLite's limit of pages gives the same error as a disk without room.
    #[test]
    fn a_full_disk_fails_who_waits_and_goes_on_with_room() {
        let folder = tempfile::tempdir().unwrap();
        let place = place(&folder);
        let connection = place.open_writer().unwrap();
        transact(&place, &connection, &[insert("before", 1)]).unwrap();
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let limit =
            |pages: i64| connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
        limit(pages + 2);
        let group = [insert("large", 100_000)];
        let why = match transact(&place, &connection, &group) {
            Ok(answers) => answers.into_iter().next().unwrap().err().unwrap().to_string(),
            Err(error) => place.explain(&error).to_string(),
        };
        assert!(why.contains("unavailable") && why.contains("x.db is full: make room"), "{why}");
        assert!(connection.is_autocommit(), "the transaction has ended");
        limit(1_000_000);
        let answers = transact(&place, &connection, &group).unwrap();
        assert!(matches!(&answers[..], [Ok(Answer::Done(true))]), "what failed was not done");
        assert_eq!(count(&connection), 2);
    }
}
