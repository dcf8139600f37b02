//! SQLite: a file on this machine.

use std::path::Path;

use serde::Deserialize;

use crate::source::{Capabilities, DataSource, Health, Row, Table, Verb};

/// `[source.NAME] type = "sqlite"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {}

/// A data source in a SQLite file.
pub struct Sqlite {}

impl Sqlite {
    /// Makes it, without any I/O.
    pub fn new(name: &str, settings: &Settings, base: &Path) -> Self {
        let _ = (name, settings, base);
        Sqlite {}
    }
}

impl DataSource for Sqlite {
    fn capabilities(&self) -> Capabilities {
        unimplemented!()
    }
    fn prepare(&self) -> Verb<'_, ()> {
        unimplemented!()
    }
    fn get<'a>(&'a self, _: &'static Table, _: &'a [u8]) -> Verb<'a, Option<Row>> {
        unimplemented!()
    }
    fn insert(&self, _: &'static Table, _: Row) -> Verb<'_, bool> {
        unimplemented!()
    }
    fn replace(&self, _: &'static Table, _: Row, _: i64) -> Verb<'_, bool> {
        unimplemented!()
    }
    fn take<'a>(&'a self, _: &'static Table, _: &'a [u8]) -> Verb<'a, Option<Row>> {
        unimplemented!()
    }
    fn find<'a>(
        &'a self,
        _: &'static Table,
        _: usize,
        _: &'a str,
        _: Option<&'a [u8]>,
        _: usize,
    ) -> Verb<'a, Vec<Row>> {
        unimplemented!()
    }
    fn list<'a>(&'a self, _: &'static Table, _: Option<&'a [u8]>, _: usize) -> Verb<'a, Vec<Row>> {
        unimplemented!()
    }
    fn remove<'a>(&'a self, _: &'static Table, _: usize, _: &'a str, _: usize) -> Verb<'a, u64> {
        unimplemented!()
    }
    fn sweep(&self, _: &'static Table, _: i64, _: usize) -> Verb<'_, u64> {
        unimplemented!()
    }
    fn health(&self) -> Verb<'_, Health> {
        unimplemented!()
    }
}
