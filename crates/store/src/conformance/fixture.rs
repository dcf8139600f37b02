//! Rows and checks for the cases.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Verdict;
use crate::source::{Capabilities, DataSource, Health, Row, StoreError, Table, Verb};
use crate::tables::ACCESS_TOKEN;

/// The index columns of [`ACCESS_TOKEN`].
pub(super) const CLIENT: usize = 0;
pub(super) const SUBJECT: usize = 1;
pub(super) const GRANT: usize = 2;

/// A row of [`ACCESS_TOKEN`] with this key, and nothing in its index columns.
pub(super) fn row(key: impl AsRef<[u8]>) -> Row {
    Row {
        key: key.as_ref().to_vec(),
        version: 1,
        expires_at: None,
        indexes: vec![None, None, None],
        record: "{}".into(),
    }
}

/// A row of a table without index columns.
pub(super) fn plain(key: impl AsRef<[u8]>) -> Row {
    Row { indexes: Vec::new(), ..row(key) }
}

impl Row {
    pub(super) fn indexed(mut self, index: usize, value: &str) -> Row {
        self.indexes[index] = Some(value.into());
        self
    }

    pub(super) fn expiring(mut self, at: i64) -> Row {
        self.expires_at = Some(at);
        self
    }

    /// With this JSON as its record.
    pub(super) fn saying(mut self, record: &str) -> Row {
        self.record = record.into();
        self
    }

    /// With this text as its record, as a JSON string.
    pub(super) fn quoting(self, text: &str) -> Row {
        self.saying(&serde_json::Value::from(text).to_string())
    }
}

/// Inserts rows into [`ACCESS_TOKEN`]; they must be new.
pub(super) async fn put(source: &Arc<dyn DataSource>, rows: impl IntoIterator<Item = Row>) -> Verdict {
    for row in rows {
        let key = row.key.clone();
        is("an insert of a new key", ok(source.insert(&ACCESS_TOKEN, row).await)?, true)
            .map_err(|why| format!("{why} (key {key:?})"))?;
    }
    Ok(())
}

/// What the verb gave, or its error as what is wrong.
pub(super) fn ok<T>(result: Result<T, StoreError>) -> Result<T, String> {
    result.map_err(|error| format!("a verb failed: {error}"))
}

/// Whether a case goes on to what it writes: a source that is read-only has only the part that reads.
pub(super) fn writable(source: &Arc<dyn DataSource>) -> bool {
    !source.capabilities().read_only
}

/// The two are the same.
pub(super) fn is<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Verdict {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, expected {expected:?}")) }
}

/// The keys of rows, as text.
pub(super) fn keys(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| String::from_utf8_lossy(&row.key).into_owned()).collect()
}

/// Runs a task `count` times at once, and gives what each found.
pub(super) async fn at_once<T, F>(
    source: &Arc<dyn DataSource>,
    count: usize,
    task: impl Fn(Arc<dyn DataSource>, usize) -> F,
) -> Result<Vec<T>, String>
where
    T: Send + 'static,
    F: Future<Output = Result<T, String>> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(count));
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let (work, barrier) = (task(source.clone(), number), barrier.clone());
        tasks.spawn(async move {
            barrier.wait().await;
            work.await
        });
    }
    tasks.join_all().await.into_iter().collect()
}

/// Rows, each with its table.
type Rows = Vec<(&'static Table, Row)>;

/// A read-only source together with the person who writes what it reads: an insert is one more row, and the source with it anew.
pub struct Written<M> {
    make: M,
    now: Mutex<(Rows, Arc<dyn DataSource>)>,
}

impl<M: Fn(Rows) -> Arc<dyn DataSource> + Send + Sync + 'static> Written<M> {
    /// Nothing is written yet.
    pub fn new(make: M) -> Self {
        let now = Mutex::new((Vec::new(), make(Vec::new())));
        Written { make, now }
    }

    fn source(&self) -> Arc<dyn DataSource> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

impl<M: Fn(Rows) -> Arc<dyn DataSource> + Send + Sync + 'static> DataSource for Written<M> {
    fn capabilities(&self) -> Capabilities {
        self.source().capabilities()
    }

    fn prepare(&self) -> Verb<'_, ()> {
        Box::pin(async { self.source().prepare().await })
    }

    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move { self.source().get(table, key).await })
    }

    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        Box::pin(async move {
            if crate::tables::position(table).is_none() {
                return self.source().insert(table, row).await;
            }
            let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            now.0.push((table, row));
            now.1 = (self.make)(now.0.clone());
            Ok(true)
        })
    }

    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        Box::pin(async move { self.source().replace(table, row, expected).await })
    }

    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move { self.source().take(table, key).await })
    }

    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        Box::pin(async move { self.source().find(table, index, value, after, limit).await })
    }

    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        Box::pin(async move { self.source().list(table, after, limit).await })
    }

    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        Box::pin(async move { self.source().remove(table, index, value, limit).await })
    }

    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        Box::pin(async move { self.source().sweep(table, before, limit).await })
    }

    fn health(&self) -> Verb<'_, Health> {
        Box::pin(async move { self.source().health().await })
    }
}
