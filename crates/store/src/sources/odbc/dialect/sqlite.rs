//! SQLite, with the tables of the source `sqlite`. That one is faster, since it commits in groups; this is for a driver that encrypts, say.

use super::{Codes, Dialect, LIMIT, REMOVE_BY_KEY, SWEEP_BY_KEY, Take};
use crate::migration;

pub(super) static SQLITE: Dialect = Dialect {
    name: "sqlite",
    product: "SQLite",
    schema: migration::SQLITE,
    schema_kind: "sqlite",
    // The first, so that switching to the log waits for others.
    session: &["PRAGMA busy_timeout = 2500", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"],
    patient: &["PRAGMA busy_timeout = 8000"],
    lock: None,
    key: "key",
    record: (":record", "record"),
    or_nothing: " ON CONFLICT (key) DO NOTHING",
    first: LIMIT,
    // The driver gives no rows of a DELETE ... RETURNING. The lock first: a transaction that read may be refused it later.
    take: Take::Locked {
        claim: Some("UPDATE {table} SET version = version WHERE key = :key"),
        read: "SELECT {columns} FROM {table} WHERE key = :key",
    },
    remove: REMOVE_BY_KEY,
    sweep: SWEEP_BY_KEY,
    same_length: None,
    from: "",
    health: ("sqlite_version()", "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"),
    longest: None,
    empty_is_null: false,
    numbers_as_text: false,
    // The result codes of SQLite itself, which is all that the driver tells.
    codes: Codes {
        exists: &[],
        no_table: &[],
        made: &[],
        forbidden: &[8],
        // Busy, after the wait: nothing was done.
        deadlock: &[5],
        // Busy, locked, out of memory, an error of the disk, full.
        later: &[5, 6, 7, 10, 13],
        // An error of the statement, a file that is damaged, cannot be opened or is no database, a constraint, a type.
        refused: &[1, 11, 14, 19, 20, 26],
    },
};
