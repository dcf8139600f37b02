//! A store on one source: what a move left there is not shown.
//!
//! A row that says that it is gone, or that another source decides, is as absent; a copy is a row like others. So the marks of a
//! move that is over need nobody who cleans up: they go with their expiry, or when their key is used again.

use std::sync::{Arc, Weak};

use super::Query;
use super::mark::{Mark, read};
use crate::codec::{SWAPS, too_busy};
use crate::foreign::ForeignTables;
use crate::source::{Capabilities, DataSource, Health, Row, StoreError, Table, Verb};
use crate::watch::Watcher;

/// A source alone behind a store.
pub(crate) struct Alone(Arc<dyn DataSource>);

impl Alone {
    pub(crate) fn new(source: Arc<dyn DataSource>) -> Self {
        Alone(source)
    }

    /// Page by page, until there are `limit` rows that count.
    async fn rows(
        &self,
        table: &'static Table,
        query: Query<'_>,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows: Vec<Row> = Vec::new();
        let mut after = after.map(<[u8]>::to_vec);
        loop {
            let wanted = limit - rows.len();
            let found = query.page(&*self.0, table, after.as_deref(), wanted).await?;
            let last = found.len() < wanted;
            after = found.last().map(|row| row.key.clone());
            for row in found {
                rows.extend(counts(table, row)?);
            }
            if last || rows.len() == limit {
                return Ok(rows);
            }
        }
    }
}

/// The row, where it is one for a node that knows this source alone.
fn counts(table: &Table, row: Row) -> Result<Option<Row>, StoreError> {
    Ok(match read(table, row)? {
        (row, None | Some(Mark::Copy(_))) => Some(row),
        (_, Some(Mark::Gone | Mark::Moved(_))) => None,
    })
}

impl DataSource for Alone {
    fn name(&self) -> Option<&str> {
        self.0.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn prepare(&self) -> Verb<'_, ()> {
        self.0.prepare()
    }

    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move { self.0.get(table, key).await?.map_or(Ok(None), |row| counts(table, row)) })
    }

    /// In the place of a row that does not count, by compare and swap.
    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        Box::pin(async move {
            for _ in 0..SWAPS {
                if self.0.insert(table, row.clone()).await? {
                    return Ok(true);
                }
                // Who hides a row may go meanwhile.
                let Some(found) = self.0.get(table, &row.key).await? else { continue };
                let version = found.version;
                if counts(table, found)?.is_some() {
                    return Ok(false);
                }
                if self.0.replace(table, row.clone(), version).await? {
                    return Ok(true);
                }
            }
            Err(too_busy(table))
        })
    }

    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        self.0.replace(table, row, expected)
    }

    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move { self.0.take(table, key).await?.map_or(Ok(None), |row| counts(table, row)) })
    }

    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        Box::pin(self.rows(table, Query::By(index, value), after, limit))
    }

    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        Box::pin(self.rows(table, Query::All, after, limit))
    }

    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        self.0.remove(table, index, value, limit)
    }

    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        self.0.sweep(table, before, limit)
    }

    fn health(&self) -> Verb<'_, Health> {
        self.0.health()
    }

    fn foreign(&self) -> Option<&dyn ForeignTables> {
        self.0.foreign()
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) -> bool {
        self.0.watch(watcher)
    }
}
