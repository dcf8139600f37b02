//! The statements: one a verb. None scans a table, which a test asks SQLite about.

use std::sync::LazyLock;

use rusqlite::types::ValueRef;

use crate::source::{Row, Table};
use crate::tables;

/// `ON CONFLICT DO NOTHING`: a key that exists is an answer (no row changed), not an error inside the group.
const INSERT: &str = "INSERT INTO {table} (key, version, expires_at, record{, indexes}) VALUES (?1, ?2, ?3, ?4{, values}) \
                      ON CONFLICT (key) DO NOTHING";
/// Compare and swap in one statement: the version decides whether a row is changed.
const REPLACE: &str =
    "UPDATE {table} SET version = ?2 + 1, expires_at = ?3, record = ?4{, sets} WHERE key = ?1 AND version = ?2";
/// `RETURNING` makes getting and deleting one statement.
const TAKE: &str = "DELETE FROM {table} WHERE key = ?1 RETURNING key, version, expires_at, record{, indexes}";
const GET: &str = "SELECT key, version, expires_at, record{, indexes} FROM {table} WHERE key = ?1";
/// An index on a table without rowid ends with the key, so the order costs nothing.
const FIND: &str = "SELECT key, version, expires_at, record{, indexes} FROM {table} WHERE {column} = ?1 AND key > ?2 ORDER BY key LIMIT ?3";
/// From the start: at or after the empty key, which is the first of all.
const FIND_FIRST: &str = "SELECT key, version, expires_at, record{, indexes} FROM {table} WHERE {column} = ?1 AND key >= ?2 ORDER BY key LIMIT ?3";
const LIST: &str =
    "SELECT key, version, expires_at, record{, indexes} FROM {table} WHERE key > ?1 ORDER BY key LIMIT ?2";
const LIST_FIRST: &str =
    "SELECT key, version, expires_at, record{, indexes} FROM {table} WHERE key >= ?1 ORDER BY key LIMIT ?2";
/// `DELETE ... LIMIT` is not compiled into every SQLite; the inner statement bounds it.
const REMOVE: &str = "DELETE FROM {table} WHERE key IN (SELECT key FROM {table} WHERE {column} = ?1 LIMIT ?2)";
/// The oldest first, so that the batches of a purge work through the index from its start.
const SWEEP: &str =
    "DELETE FROM {table} WHERE key IN (SELECT key FROM {table} WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";

/// The columns before the index columns in every statement that gives rows.
const FIXED: usize = 4;

/// The statements of a table.
pub(super) struct Statements {
    pub(super) insert: String,
    pub(super) replace: String,
    pub(super) take: String,
    pub(super) get: String,
    pub(super) list: String,
    pub(super) list_first: String,
    pub(super) sweep: String,
    /// By index column.
    pub(super) by: Vec<ByIndex>,
}

/// The statements of an index column.
pub(super) struct ByIndex {
    pub(super) find: String,
    pub(super) find_first: String,
    pub(super) remove: String,
}

/// In the order of [`tables::ALL`].
pub(super) static STATEMENTS: LazyLock<Vec<Statements>> =
    LazyLock::new(|| tables::ALL.iter().map(|table| Statements::of(table)).collect());

impl Statements {
    fn of(table: &Table) -> Statements {
        let each = |text: fn(usize, &str) -> String| -> String {
            table.indexes.iter().enumerate().map(|(at, column)| text(at + FIXED + 1, column)).collect()
        };
        let indexes = each(|_, column| format!(", {column}"));
        let values = each(|at, _| format!(", ?{at}"));
        let sets = each(|at, column| format!(", {column} = ?{at}"));
        let fill = |statement: &str| {
            let named = statement.replace("{table}", table.name).replace("{, indexes}", &indexes);
            named.replace("{, values}", &values).replace("{, sets}", &sets)
        };
        let by = table.indexes.iter().map(|column| ByIndex {
            find: fill(FIND).replace("{column}", column),
            find_first: fill(FIND_FIRST).replace("{column}", column),
            remove: fill(REMOVE).replace("{column}", column),
        });
        Statements {
            insert: fill(INSERT),
            replace: fill(REPLACE),
            take: fill(TAKE),
            get: fill(GET),
            list: fill(LIST),
            list_first: fill(LIST_FIRST),
            sweep: fill(SWEEP),
            by: by.collect(),
        }
    }

    /// All texts, for tests.
    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<&str> {
        let fixed = [&self.insert, &self.replace, &self.take, &self.get, &self.list, &self.list_first, &self.sweep];
        let by = self.by.iter().flat_map(|by| [&by.find, &by.find_first, &by.remove]);
        fixed.into_iter().chain(by).map(String::as_str).collect()
    }
}

/// A row of a statement that gives rows. `key` is the key where the caller has it already.
pub(super) fn row(found: &rusqlite::Row<'_>, indexes: usize, key: Option<Vec<u8>>) -> rusqlite::Result<Row> {
    let text = |at: usize| -> rusqlite::Result<Option<String>> {
        match found.get_ref(at)? {
            ValueRef::Null => Ok(None),
            value => Ok(Some(value.as_str()?.to_owned())),
        }
    };
    Ok(Row {
        key: match key {
            Some(key) => key,
            None => found.get_ref(0)?.as_blob()?.to_vec(),
        },
        version: found.get(1)?,
        expires_at: found.get(2)?,
        record: text(3)?.unwrap_or_default(),
        indexes: (FIXED..FIXED + indexes).map(text).collect::<rusqlite::Result<_>>()?,
    })
}

/// A limit as SQLite takes it.
pub(super) fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
