//! How databases differ: one small value a dialect. All else is written once, in `statement.rs`.

use super::Name;

mod db2;
mod mssql;
mod mysql;
mod oracle;
mod postgres;
mod sqlite;

/// How long a text is to a database.
type Length = fn(&str) -> usize;

/// What a dialect says in its own way. In the texts `{...}` stands for names and `:word` for a parameter, see `statement.rs`.
#[derive(Clone, Debug)]
pub(super) struct Dialect {
    /// `oracle`, as settings have it.
    pub(super) name: &'static str,
    /// The product, for messages.
    pub(super) product: &'static str,
    /// The schema, as a DBA reads it.
    pub(super) schema: &'static str,
    /// How `portcullis store schema` calls it, which is the file's name in `stores/schema/` too.
    pub(super) schema_kind: &'static str,
    /// What is set on every connection.
    pub(super) session: &'static [&'static str],
    /// What is set instead before migrations, which may take longer.
    pub(super) patient: &'static [&'static str],
    /// The lock under which one node migrates, where concurrent `CREATE ... IF NOT EXISTS` may fail; it ends with the connection. Not got
    /// is an answer of 0.
    pub(super) lock: Option<&'static str>,
    /// The column `key`, which is a word of SQL in some.
    pub(super) key: &'static str,
    /// The record as a parameter and as a column of an answer.
    pub(super) record: (&'static str, &'static str),
    /// What follows an insert so that a key that exists counts no row; empty where it is an error, which is in `exists`.
    pub(super) or_nothing: &'static str,
    /// How the first rows are asked for, after `ORDER BY`.
    pub(super) first: &'static str,
    /// Get and delete.
    pub(super) take: Take,
    /// Delete by an index, bounded.
    pub(super) remove: &'static str,
    /// Delete what expired, bounded.
    pub(super) sweep: &'static str,
    /// Where `=` pads text with spaces, so that `a` equals `a `: what is compared beside it, and the length of a text in that unit.
    pub(super) same_length: Option<(&'static str, Length)>,
    /// The table of one row that a SELECT without a table needs.
    pub(super) from: &'static str,
    /// The server's version, and its clock in Unix milliseconds.
    pub(super) health: (&'static str, &'static str),
    /// The most that a key has in bytes and an index column in the unit of the function.
    pub(super) longest: Option<(usize, Length)>,
    /// Empty text is NULL there, so that it is kept as something else.
    pub(super) empty_is_null: bool,
    /// The driver takes no 64-bit integers, so that numbers go as text.
    pub(super) numbers_as_text: bool,
    /// Its own codes for errors whose SQLSTATE does not say enough.
    pub(super) codes: Codes,
}

/// Get and delete, so that of two callers one gets the row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Take {
    /// A statement that answers what it deleted.
    Returning(&'static str),
    /// In a transaction: read under a lock, then delete. Where a read takes no lock, a statement before it does, which changes nothing.
    Locked {
        /// Counts the row that it locked.
        claim: Option<&'static str>,
        /// Answers the row.
        read: &'static str,
    },
}

/// A database's own error codes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codes {
    /// The key exists.
    pub(super) exists: &'static [i32],
    /// There is no such table.
    pub(super) no_table: &'static [i32],
    /// What a CREATE makes is there already.
    pub(super) made: &'static [i32],
    /// A right is missing.
    pub(super) forbidden: &'static [i32],
    /// Undone to end a deadlock: it may be sent again.
    pub(super) deadlock: &'static [i32],
    /// Busy or full: later.
    pub(super) later: &'static [i32],
    /// Refused for good, where the SQLSTATE does not say so.
    pub(super) refused: &'static [i32],
}

impl Name {
    /// Its dialect.
    pub(super) fn dialect(self) -> &'static Dialect {
        match self {
            Name::Oracle => &oracle::ORACLE,
            Name::Db2 => &db2::DB2,
            Name::Mssql => &mssql::MSSQL,
            Name::Postgres => &postgres::POSTGRES,
            Name::Mysql => &mysql::MYSQL,
            Name::Sqlite => &sqlite::SQLITE,
        }
    }

    /// All of them.
    #[cfg(test)]
    pub(super) const ALL: [Name; 6] = [Name::Oracle, Name::Db2, Name::Mssql, Name::Postgres, Name::Mysql, Name::Sqlite];
}

/// Bounded deletes where `DELETE` has no bound of its own: the keys first. What the rows were chosen for is asked once more, since one that
/// somebody else is changing is waited for, and may be another one by then.
const REMOVE_BY_KEY: &str = "DELETE FROM {table} WHERE {index} = :value{same length} AND {key} IN (SELECT {key} FROM {table} WHERE {index} = :value{same length} ORDER BY {key} {first})";
const SWEEP_BY_KEY: &str = "DELETE FROM {table} WHERE expires_at < :before AND {key} IN (SELECT {key} FROM {table} WHERE expires_at < :before ORDER BY expires_at {first})";

/// What most say after `ORDER BY`.
const LIMIT: &str = "LIMIT :limit";
const FETCH_FIRST: &str = "FETCH FIRST :limit ROWS ONLY";

fn characters(text: &str) -> usize {
    text.chars().count()
}

fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}
