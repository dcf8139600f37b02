//! A copy of the file while others read and write it, and the way back. Both check what they made, and never touch a file that is
//! there already: the new one gets its name only once it is whole.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

/// How often it is tried while another process holds the file, and the pause between.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Bytes of the new file.
    pub bytes: u64,
    /// The schema's version in it.
    pub schema: u32,
}

/// Copies a database into a file that is not there yet: what it holds at one instant, checked. Blocks.
pub fn copy(from: &Path, to: &Path) -> Result<BackedUp, String> {
    let title = |path: &Path| path.display().to_string();
    if to.symlink_metadata().is_ok() {
        return Err(format!("{} is there already: nothing is written over it", title(to)));
    }
    for beside in ["-wal", "-shm"].map(|end| PathBuf::from(format!("{}{end}", title(to)))) {
        if beside.symlink_metadata().is_ok() {
            return Err(format!("{} is there, of another database: move it away first", title(&beside)));
        }
    }
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|why| format!("{} cannot be opened: {why}", title(from)))?;
    let made = Unfinished::beside(to).map_err(|why| format!("no file can be made beside {}: {why}", title(to)))?;
    let failed = |why: rusqlite::Error| wrong(&title(from), "copied", &why);
    let schema = {
        let mut target = Connection::open(&made.0).map_err(failed)?;
        run(&source, &mut target).map_err(failed)?;
        check(&target, &title(from))?
    };
    let bytes = made.name(to).map_err(|why| format!("{} cannot be made: {why}", title(to)))?;
    Ok(BackedUp { bytes, schema })
}

#[allow(clippy::disallowed_methods, reason = "it blocks, as all of this module does")]
fn pause() {
    std::thread::sleep(PAUSE);
}

/// All pages in one go, so that they are of one instant: readers and writers of the source go on meanwhile.
fn run(source: &Connection, target: &mut Connection) -> rusqlite::Result<()> {
    let backup = Backup::new(source, target)?;
    for _ in 0..ATTEMPTS {
        match backup.step(-1)? {
            StepResult::Done => return Ok(()),
            _ => pause(),
        }
    }
    Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None))
}

/// The schema's version of a database that is whole and one of ours.
fn check(copied: &Connection, of: &str) -> Result<u32, String> {
    // One file, without a log beside it.
    copied.pragma_update(None, "journal_mode", "delete").map_err(|why| format!("{of}: {why}"))?;
    let found = copied.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    let found = found.map_err(|why| wrong(of, "checked", &why))?;
    if found != "ok" {
        return Err(format!("{of} is damaged: {found}"));
    }
    let version =
        copied.query_row("SELECT max(version) FROM portcullis_schema", [], |row| row.get::<_, Option<u32>>(0));
    match version {
        Ok(Some(version)) => Ok(version),
        Ok(None) | Err(_) => Err(format!("{of} holds no records of portcullis")),
    }
}

fn wrong(file: &str, what: &str, why: &rusqlite::Error) -> String {
    match why.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            format!("{file} is damaged or no SQLite file: {why}")
        }
        _ => format!("{file} cannot be {what}: {why}"),
    }
}

/// A file without its name yet; it goes where it does not get one.
struct Unfinished(PathBuf);

impl Unfinished {
    fn beside(target: &Path) -> io::Result<Unfinished> {
        let path = PathBuf::from(format!("{}.unfinished-{}", target.display(), std::process::id()));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Unfinished(path))
    }

    /// Gives it its name, unless somebody else has it; how long it is.
    fn name(self, target: &Path) -> io::Result<u64> {
        fs::set_permissions(&self.0, Permissions::from_mode(0o600))?;
        let file = fs::File::open(&self.0)?;
        file.sync_all()?;
        fs::hard_link(&self.0, target)?;
        if let Some(folder) = target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::File::open(folder)?.sync_all()?;
        }
        Ok(file.metadata()?.len())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
