//! Memory: records that live as long as the process, seen by this node alone. For tests and trials.
//!
//! A tree a table, all behind one lock that is never held across an await: every verb is one critical section, so it is atomic.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::future::ready;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::migration;
use crate::source::{Capabilities, DataSource, Health, Row, StoreError, Table, Verb};
use crate::tables;

/// `[source.NAME] type = "memory"`: there is nothing to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {}

type Tree = BTreeMap<Vec<u8>, Row>;

/// A data source in memory.
#[derive(Default)]
pub struct Memory {
    trees: Mutex<[Tree; tables::ALL.len()]>,
}

impl Memory {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that holds these rows; of two with one key, the later.
    pub(crate) fn holding(rows: &[(&'static Table, Row)]) -> Self {
        let memory = Self::new();
        for (table, row) in rows {
            if let Some(at) = tables::position(table) {
                memory.lock()[at].insert(row.key.clone(), row.clone());
            }
        }
        memory
    }

    /// Runs one verb on an index column, which the table must have.
    fn with_index<T: Send + 'static>(
        &self,
        table: &'static Table,
        index: usize,
        verb: impl FnOnce(&mut Tree) -> T,
    ) -> Verb<'static, T> {
        if index < table.indexes.len() {
            return self.with(table, verb);
        }
        let error = StoreError::Broken(format!("memory: the table `{}` has no index {index}", table.name));
        Box::pin(ready(Err(error)))
    }

    /// Runs one verb. A panic inside one cannot leave a tree half changed, so a poisoned lock is as good as any.
    fn with<T: Send + 'static>(&self, table: &'static Table, verb: impl FnOnce(&mut Tree) -> T) -> Verb<'static, T> {
        let result = match tables::position(table) {
            Some(at) => Ok(verb(&mut self.lock()[at])),
            None => Err(StoreError::Broken(format!("memory: no table `{}`", table.name))),
        };
        Box::pin(ready(result))
    }

    fn lock(&self) -> MutexGuard<'_, [Tree; tables::ALL.len()]> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rows after a key, in order.
fn after<'a>(tree: &'a Tree, key: Option<&[u8]>) -> impl Iterator<Item = &'a Row> {
    let start = key.map_or(Bound::Unbounded, Bound::Excluded);
    tree.range::<[u8], _>((start, Bound::Unbounded)).map(|(_, row)| row)
}

/// Deletes the rows that match, at most `limit`.
fn delete(tree: &mut Tree, limit: usize, matches: impl Fn(&Row) -> bool) -> u64 {
    let keys: Vec<Vec<u8>> = tree.values().filter(|row| matches(row)).take(limit).map(|row| row.key.clone()).collect();
    keys.iter().for_each(|key| drop(tree.remove(key)));
    keys.len() as u64
}

fn has(row: &Row, index: usize, value: &str) -> bool {
    row.indexes.get(index).is_some_and(|found| found.as_deref() == Some(value))
}

impl DataSource for Memory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: true,
            ttl: false,
            strong_read: true,
            push: false,
            read_only: false,
            node_local: true,
        }
    }

    fn prepare(&self) -> Verb<'_, ()> {
        Box::pin(ready(Ok(())))
    }

    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        self.with(table, |tree| tree.get(key).cloned())
    }

    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        self.with(table, |tree| match tree.entry(row.key.clone()) {
            Entry::Vacant(place) => {
                place.insert(row);
                true
            }
            Entry::Occupied(_) => false,
        })
    }

    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        self.with(table, |tree| match tree.get_mut(&row.key) {
            Some(found) if found.version == expected => {
                *found = Row { version: expected + 1, ..row };
                true
            }
            _ => false,
        })
    }

    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        self.with(table, |tree| tree.remove(key))
    }

    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        key: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        self.with_index(table, index, |tree| {
            after(tree, key).filter(|row| has(row, index, value)).take(limit).cloned().collect()
        })
    }

    fn list<'a>(&'a self, table: &'static Table, key: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        self.with(table, |tree| after(tree, key).take(limit).cloned().collect())
    }

    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        self.with_index(table, index, |tree| delete(tree, limit, |row| has(row, index, value)))
    }

    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        self.with(table, |tree| delete(tree, limit, |row| row.expires_at.is_some_and(|at| at < before)))
    }

    fn health(&self) -> Verb<'_, Health> {
        Box::pin(ready(Ok(Health {
            version: "memory".into(),
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
    use crate::conformance::Fresh;

    crate::conformance!(memory, async { Fresh::new(Arc::new(Memory::new())) });
}
