//! Rows and checks for the cases.

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Verdict;
use crate::source::{DataSource, Row, StoreError};
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
