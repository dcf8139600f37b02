//! A file that people write by hand: its records can be read and not written.
//!
//! Whoever reads the settings reads the file too, since what is wrong in it is told with its place, and hands the rows over with
//! the settings. Another content is then another source: a running node takes it up as it takes up any other change, whole or not
//! at all, and what was remembered of the old one goes with it.

use std::fmt;
use std::future::ready;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::memory::Memory;
use crate::migration;
use crate::source::{Capabilities, DataSource, Health, Row, StoreError, Table, Verb};

/// `[source.NAME] type = "file"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file, relative to the configuration folder. People write it: a table for each record (`[[client]]`).
    pub path: PathBuf,
    /// What stands in it.
    #[serde(skip)]
    #[schemars(skip)]
    pub contents: Contents,
}

/// The rows of a file, in any order; no key twice in a table.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Contents(pub Vec<(&'static Table, Row)>);

/// How many: a record holds hashes of secrets.
impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.0.len())
    }
}

/// A data source that holds what stood in a file.
pub struct File {
    path: PathBuf,
    /// Ordered by key, and apart by table, as every source has them.
    rows: Memory,
}

impl File {
    /// With what stands in the file at this path.
    pub fn new(path: &Path, contents: &Contents) -> Self {
        File { path: path.to_owned(), rows: Memory::holding(&contents.0) }
    }

    fn refused<T: Send + 'static>(&self) -> Verb<'static, T> {
        let path = self.path.display();
        let why = format!("the file `{path}` is read-only; write what is to change in the file itself");
        Box::pin(ready(Err(StoreError::Broken(why))))
    }
}

impl DataSource for File {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: false,
            ttl: false,
            strong_read: true,
            push: false,
            read_only: true,
            // As policies are: every node has the folder.
            node_local: false,
        }
    }

    fn prepare(&self) -> Verb<'_, ()> {
        Box::pin(ready(Ok(())))
    }

    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        self.rows.get(table, key)
    }

    fn insert(&self, _: &'static Table, _: Row) -> Verb<'_, bool> {
        self.refused()
    }

    fn replace(&self, _: &'static Table, _: Row, _: i64) -> Verb<'_, bool> {
        self.refused()
    }

    fn take<'a>(&'a self, _: &'static Table, _: &'a [u8]) -> Verb<'a, Option<Row>> {
        self.refused()
    }

    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        self.rows.find(table, index, value, after, limit)
    }

    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        self.rows.list(table, after, limit)
    }

    fn remove<'a>(&'a self, _: &'static Table, _: usize, _: &'a str, _: usize) -> Verb<'a, u64> {
        self.refused()
    }

    fn sweep(&self, _: &'static Table, _: i64, _: usize) -> Verb<'_, u64> {
        self.refused()
    }

    fn health(&self) -> Verb<'_, Health> {
        Box::pin(ready(Ok(Health {
            version: "file".into(),
            schema: migration::CURRENT,
            readable_by: 1,
            unix_millis: None,
        })))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    crate::conformance!(read_only file, |rows| Arc::new(File::new(Path::new("rows.toml"), &Contents(rows))));

    #[test]
    fn a_hash_of_a_secret_is_in_no_debug_text() {
        let row =
            Row { key: b"app".to_vec(), version: 1, expires_at: None, indexes: vec![], record: "sha256:x".into() };
        let settings =
            Settings { path: "clients.toml".into(), contents: Contents(vec![(&crate::tables::CLIENT, row)]) };
        let text = format!("{settings:?}");
        assert!(text.contains("1 rows") && !text.contains("sha256"), "{text}");
    }
}
