//! What a source is called in its errors, and the errors that all sources have in common.

use std::fmt;
use std::ops::Deref;

use crate::source::{Row, StoreError, Table};
use crate::tables;

/// `PostgreSQL 10.0.0.7:5432/oauth`: where the records are, and never how to log in there.
#[derive(Clone, Debug)]
pub(super) struct Title(String);

impl From<String> for Title {
    fn from(title: String) -> Self {
        Title(title)
    }
}

impl Deref for Title {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Title {
    /// It refuses for good.
    pub(super) fn broken(&self, why: &str) -> StoreError {
        StoreError::Broken(format!("{self}: {why}"))
    }

    /// It cannot do it for now.
    pub(super) fn unavailable(&self, why: &str) -> StoreError {
        StoreError::Unavailable(format!("{self}: {why}"))
    }

    /// The place of this table among [`tables::ALL`].
    pub(super) fn position(&self, table: &'static Table) -> Result<usize, StoreError> {
        tables::position(table).ok_or_else(|| self.no_table(table))
    }

    /// What it has for this table, of what it has for each of [`tables::ALL`].
    pub(super) fn of<'a, T>(&self, all: &'a [T], table: &'static Table) -> Result<&'a T, StoreError> {
        all.get(self.position(table)?).ok_or_else(|| self.no_table(table))
    }

    fn no_table(&self, table: &Table) -> StoreError {
        self.broken(&format!("has no table {:?}", table.name))
    }

    /// What it has for this index of a table, of what it has for all of that table.
    pub(super) fn by<'a, T>(&self, all: &'a [T], table: &Table, index: usize) -> Result<&'a T, StoreError> {
        all.get(index).ok_or_else(|| self.broken(&format!("table {} has no index {index}", table.name)))
    }

    /// Whether the row has the index columns of its table.
    pub(super) fn check_indexes(&self, table: &Table, row: &Row) -> Result<(), StoreError> {
        match row.indexes.len() == table.indexes.len() {
            true => Ok(()),
            false => Err(self.broken(&format!("table {} has {} index columns", table.name, table.indexes.len()))),
        }
    }
}
