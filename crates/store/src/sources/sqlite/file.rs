//! The file: opening it, its schema, and what goes wrong with files, told so that a person can mend it.

use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::Synchronous;
use crate::migration::{self, Migration};
use crate::source::StoreError;
use crate::tables;

static MIGRATIONS: LazyLock<Vec<Migration>> = LazyLock::new(|| migration::parse(migration::SQLITE));

/// How often a file that another process is just opening is tried.
const OPEN_ATTEMPTS: u32 = 20;

/// Statements kept prepared on each connection: all of one connection's, with room for later tables.
const PREPARED: usize = 128;

/// A page cache for each connection, in KiB.
const CACHE_KIB: i64 = 8 * 1024;

/// Where the records are, shared by the threads.
pub(super) struct Place {
    name: String,
    path: PathBuf,
    synchronous: Synchronous,
    busy_timeout: Duration,
    /// Counts how often the writer opened the file: readers then open theirs anew, since it may be another file by now.
    opened: AtomicU64,
    /// Counts commits of what nobody waited for any more.
    unheard: AtomicU64,
    /// The writer found that another file stands at the path or at that of its log, or none.
    displaced: AtomicBool,
    /// And that what the log held could not be brought into the file yet.
    unsaved: AtomicBool,
}

/// Which file it is, whatever its name.
pub(super) type Identity = (u64, u64);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the SQLite file {}", self.path.display())
    }
}

impl Place {
    pub(super) fn new(name: &str, path: PathBuf, synchronous: Synchronous, busy_timeout: Duration) -> Place {
        Place {
            name: name.into(),
            path,
            synchronous,
            busy_timeout,
            opened: AtomicU64::new(0),
            unheard: AtomicU64::new(0),
            displaced: AtomicBool::new(false),
            unsaved: AtomicBool::new(false),
        }
    }

    /// The source's name, for threads' names.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// How often the writer opened the file.
    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Acquire)
    }

    /// The writer has committed what its caller gave up meanwhile, and so does not know of.
    pub(super) fn committed_unheard(&self) {
        self.unheard.fetch_add(1, Ordering::Release);
    }

    /// Another number where this process cannot know what the file holds: it was opened anew, or something was written for nobody.
    pub(super) fn surprises(&self) -> u64 {
        self.opened().wrapping_add(self.unheard.load(Ordering::Acquire))
    }

    /// What the writer found of the file's place.
    pub(super) fn set_displaced(&self, displaced: bool) {
        self.displaced.store(displaced, Ordering::Relaxed);
    }

    /// Whether another file stands at one of the paths, or none, since the writer looked last.
    pub(super) fn is_displaced(&self) -> bool {
        self.displaced.load(Ordering::Relaxed)
    }

    /// Whether a log that was removed is still to be brought into the file.
    pub(super) fn set_unsaved(&self, unsaved: bool) {
        self.unsaved.store(unsaved, Ordering::Relaxed);
    }

    /// Why nothing goes on then.
    pub(super) fn displaced(&self) -> StoreError {
        if self.unsaved.load(Ordering::Relaxed) {
            return StoreError::Unavailable(format!(
                "the -wal of {self} was removed, and what it held is in this process alone, as another one reads the file: do not restart the \
                 node; end the readers (`fuser` names them), and it is saved"
            ));
        }
        StoreError::Unavailable(format!(
            "{self}, its -shm or its -wal was removed, moved away or replaced while the node has it open: put it back with its -wal and -shm, or restart the node \
             to use what stands there (a restored backup without the -wal and -shm of the file before)"
        ))
    }

    /// Which file stands there now, if any.
    pub(super) fn identity(&self) -> Option<Identity> {
        identity(&self.path)
    }

    /// Opens the connection that writes: makes the file where it is missing, and brings its schema up to date.
    #[allow(clippy::disallowed_methods, reason = "on the writer's own thread")]
    pub(super) fn open_writer(&self) -> Result<Connection, StoreError> {
        self.make()?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&self.path, flags).map_err(|e| self.explain(&e))?;
        // SQLite opens what may not be written for reading, and would tell only with the first write.
        if connection.is_readonly("main").map_err(|e| self.explain(&e))? {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY), None);
            return Err(self.explain(&error));
        }
        // Switching a new file to WAL takes a lock for which SQLite does not always wait.
        for attempt in 1.. {
            match self.set_up_writer(&connection) {
                Ok(()) => break,
                Err(e) if is_busy(&e) && attempt < OPEN_ATTEMPTS => std::thread::sleep(Duration::from_millis(25)),
                Err(e) => return Err(self.explain(&e)),
            }
        }
        self.migrate(&mut connection)?;
        self.opened.fetch_add(1, Ordering::Release);
        Ok(connection)
    }

    /// Opens one more connection that may write, beside the writer's, for checkpoints. They sync as the writer does.
    #[allow(clippy::disallowed_methods, reason = "on the writer's own thread")]
    pub(super) fn open_beside_writer(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            self.set_up_writer(&connection)?;
            Ok(connection)
        };
        open().map_err(|e| self.explain(&e))
    }

    /// Makes the file for this user alone, and missing folders above it. SQLite gives its `-wal` and `-shm` the same rights.
    ///
    /// A file that exists is never opened here: closing it again would drop the locks that SQLite has on it for other
    /// connections of this process (<https://www.sqlite.org/howtocorrupt.html>, 2.2). So a new one is made beside it, closed, and then
    /// linked to its place, where it appears with its rights at once and replaces nothing.
    fn make(&self) -> Result<(), StoreError> {
        if self.path.is_dir() {
            return Err(StoreError::Broken(format!("{self} is a folder: let `path` name a file")));
        }
        if self.path.exists() {
            return Ok(());
        }
        let make = || {
            if let Some(folder) = self.path.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            let create = |path: &Path| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop);
            let beside = self.beside();
            create(&beside)?;
            let linked = std::fs::hard_link(&beside, &self.path);
            std::fs::remove_file(&beside)?;
            // Not every file system has links.
            match linked.or_else(|_| create(&self.path)) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()), // Another was quicker.
                made => made,
            }
        };
        make().map_err(|e| match e.kind() {
            io::ErrorKind::StorageFull => self.full(),
            _ => StoreError::Broken(format!("{self} cannot be made: {e}. Mend the path or its rights")),
        })
    }

    /// A name in the same folder that nobody else uses.
    fn beside(&self) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".new-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        name.into()
    }

    fn set_up_writer(&self, connection: &Connection) -> rusqlite::Result<()> {
        self.set_up(connection)?;
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            let text = format!("write-ahead logging is not possible here (journal mode {mode}): use a local disk");
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
                Some(text),
            ));
        }
        connection.pragma_update(
            None,
            "synchronous",
            match self.synchronous {
                Synchronous::Full => "FULL",
                Synchronous::Normal => "NORMAL",
            },
        )?;
        // On macOS a plain fsync does not reach the disk; elsewhere this changes nothing.
        connection.pragma_update(None, "fullfsync", true)?;
        // After a burst the log shrinks again instead of keeping its largest size.
        connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)
    }

    /// What both kinds of connection need.
    pub(super) fn set_up(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.busy_timeout(self.busy_timeout)?;
        connection.set_prepared_statement_cache_capacity(PREPARED);
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "trusted_schema", false)
    }

    fn migrate(&self, connection: &mut Connection) -> Result<(), StoreError> {
        while let Some(next) = migration::missing(&self.to_string(), &MIGRATIONS, &self.applied(connection)?)?.first() {
            let version = next.version;
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|e| self.explain(&e))?;
            // Another node may have done it while this one waited for the lock.
            if migration::missing(&self.to_string(), &MIGRATIONS, &self.applied(&transaction)?)?.contains(next) {
                transaction.execute_batch(next.sql).map_err(|e| self.explain(&e))?;
                transaction.commit().map_err(|e| self.explain(&e))?;
                tracing::info!(source = self.name, "{self}: applied migration {version} of its schema");
            }
        }
        Ok(())
    }

    /// The migrations that the file notes as applied.
    fn applied(&self, connection: &Connection) -> Result<Vec<(u32, u32)>, StoreError> {
        // In one statement, so that what another process makes between two is not taken for another program's.
        let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'portcullis_schema'), \
                   EXISTS (SELECT 1 FROM sqlite_schema)";
        let looked = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
        match looked.map_err(|e| self.explain(&e))? {
            (true, _) => {}
            (false, false) => return Ok(Vec::new()),
            (false, true) => {
                return Err(StoreError::Broken(format!(
                    "{self} holds tables of another program: let `path` name a file of its own"
                )));
            }
        }
        let read = || {
            let mut statement = connection.prepare("SELECT version, readable_by FROM portcullis_schema")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|e| self.explain(&e))
    }

    fn full(&self) -> StoreError {
        StoreError::Unavailable(format!("the disk of {self} is full: make room, then writing goes on by itself"))
    }

    /// What an error of SQLite means for this file, and what to do.
    pub(super) fn explain(&self, error: &rusqlite::Error) -> StoreError {
        let busy = self.busy_timeout;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => self.full(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Unavailable(format!(
                "{self} is locked by another process for longer than {busy:?} (`busy_timeout`): end what holds it open \
                 in a transaction"
            )),
            Some(ErrorCode::SystemIoFailure) => {
                StoreError::Unavailable(format!("{self} cannot be read or written: {error}. Look at its disk"))
            }
            Some(ErrorCode::OutOfMemory | ErrorCode::OperationInterrupted) => {
                StoreError::Unavailable(format!("{self}: {error}"))
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => StoreError::Broken(format!(
                "{self} may not be written by this user: mend the rights of the file and its folder ({error})"
            )),
            Some(ErrorCode::CannotOpen) => {
                StoreError::Broken(format!("{self} cannot be opened: {error}. Mend the path or its rights"))
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Broken(format!(
                "{self} is damaged or no SQLite file: {error}. Restore it from a backup, or move it away to begin anew"
            )),
            _ => {
                let told = error.to_string();
                let lacks = ["no such table", "no such column", "has no column"].iter().any(|word| told.contains(word));
                let remedy = if lacks { format!(": {}", tables::LACKS) } else { String::new() };
                StoreError::Broken(format!("{self}: {told}{remedy}"))
            }
        }
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// The files that SQLite keeps beside an open one: its log (`-wal`), and what processes agree by on who reads and writes there (`-shm`).
/// It makes them when it opens the file, keeps them for as long as anybody has that open, and deletes them with the last connection.
/// Where one is another by now, or gone, other processes write without a lock in common, or where nobody reads.
pub(super) struct Log([(PathBuf, Identity); 2]);

impl Log {
    /// Those of the connection that was just opened. They lie beside the file, also where the path is a link.
    pub(super) fn of(connection: &Connection) -> Option<Log> {
        let beside = |end: &str| {
            let path = PathBuf::from(format!("{}-{end}", connection.path()?));
            identity(&path).map(|known| (path, known))
        };
        Some(Log([beside("wal")?, beside("shm")?]))
    }

    /// Whether others stand at their paths, or none.
    pub(super) fn is_displaced(&self) -> bool {
        self.0.iter().any(|(path, known)| identity(path) != Some(*known))
    }

    /// Whether one is gone, and none is another.
    pub(super) fn is_gone(&self) -> bool {
        self.is_displaced() && self.0.iter().all(|(path, known)| identity(path).is_none_or(|now| now == *known))
    }
}

/// Whether another connection held the file.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Whether the connection is as good as before after this error. After any other it is opened anew, so that a cause that goes
/// away is forgotten.
pub(super) fn keeps_the_connection(error: &rusqlite::Error) -> bool {
    is_busy(error) || matches!(error.sqlite_error_code(), Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig))
}
