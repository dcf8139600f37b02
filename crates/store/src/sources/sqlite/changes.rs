//! Whether another process, or another node on this machine, has changed the file: looked for every 20 ms while a cache keeps
//! something.
//!
//! The connection that writes is asked, since the version of the data that it sees is changed by the commits of others and not by
//! its own: what this node changes, its cache knows. Which rows were changed SQLite does not tell, so all may have been.

#![allow(
    clippy::disallowed_methods,
    reason = "the task of this source: the look for changes, which ends with its last watcher"
)]

use std::sync::Weak;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::file::Place;
use super::writer::{Answer, Write};
use super::{Sqlite, Threads, keep};
use crate::source::StoreError;
use crate::watch::{Change, Watcher, Watchers};

/// How often the version is looked at.
const EVERY: Duration = Duration::from_millis(20);
/// How long that may take: the writer may wait for the disk, or for another process.
const LIMIT: Duration = Duration::from_millis(500);

/// One more watcher; the first starts the look.
pub(super) fn watch(source: &Sqlite, watcher: Weak<dyn Watcher>) {
    // Where the threads cannot be started no verb succeeds either, and the cache stays aside.
    if let Ok(threads) = source.threads()
        && source.watchers.add(watcher)
    {
        let (place, threads, watchers) = (source.place.clone(), threads.clone(), source.watchers.clone());
        tokio::spawn(async move {
            watchers.keep(place.name(), || look(&place, &threads, &watchers)).await;
        });
    }
}

/// Looks until it fails, or until nobody watches any more.
async fn look(place: &Place, threads: &Threads, watchers: &Watchers) -> Result<(), StoreError> {
    let mut known = version(place, threads).await?;
    watchers.up(place.name());
    while !watchers.abandoned() {
        sleep(EVERY).await;
        // A change meanwhile is seen by the first look after something was kept.
        if watchers.keep_nothing() {
            continue;
        }
        let now = version(place, threads).await?;
        if now != known {
            known = now;
            watchers.tell(Change::Any);
        }
    }
    Ok(())
}

async fn version(place: &Place, threads: &Threads) -> Result<(u64, i64), StoreError> {
    let ended = || StoreError::Unavailable(format!("a thread of {place} has ended"));
    let (wake, answer) = threads.writer.queue(Write::Version)?;
    keep(wake).await;
    let late = |_| StoreError::Unavailable(format!("{place}: its writer is busy for longer than {LIMIT:?}"));
    let answer = timeout(LIMIT, answer).await.map_err(late)?.ok_or_else(ended)??;
    Answer::version(answer).ok_or_else(ended)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use tempfile::TempDir;

    use super::super::Settings;
    use super::*;
    use crate::cached::{CacheSettings, Cached};
    use crate::source::{DataSource, Row};
    use crate::tables::ACCESS_TOKEN;

    /// Longer than any test: what is forgotten was noticed.
    const LONG: CacheSettings = CacheSettings { entries: 1000, max_age: Duration::from_secs(3600) };

    /// A node on the file, with a cache that is in use.
    async fn node(folder: &TempDir) -> Cached {
        let source = Sqlite::new("test", &Settings::at("x.db"), folder.path());
        source.prepare().await.unwrap();
        let node = Cached::new(Arc::new(source), LONG, &[&ACCESS_TOKEN]);
        assert_eq!(node.get(&ACCESS_TOKEN, b"nothing").await, Ok(None));
        until("the cache is in use", async || node.in_use()).await;
        node
    }

    /// Waits for a condition; the limit is against a hang.
    async fn until(what: &str, condition: impl AsyncFn() -> bool) {
        let met = async {
            while !condition().await {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(30), met).await.unwrap_or_else(|_| panic!("{what}: not within 30 s"));
    }

    fn row(key: &str, record: &str) -> Row {
        Row { key: key.into(), version: 1, expires_at: None, indexes: vec![None; 3], record: record.into() }
    }

    async fn says(node: &Cached, key: &str) -> Option<String> {
        node.get(&ACCESS_TOKEN, key.as_bytes()).await.unwrap().map(|row| row.record)
    }

    fn hits(node: &Cached) -> u64 {
        node.counters().hits.load(Ordering::Relaxed)
    }

    /// Reads until the row comes from the cache.
    async fn remembered(node: &Cached, key: &str) {
        until("remembered", async || {
            let before = hits(node);
            says(node, key).await.is_some() && hits(node) > before
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_nodes_on_one_file_see_what_the_other_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (writer, reader) = (node(&folder).await, node(&folder).await);
        assert_eq!(writer.insert(&ACCESS_TOKEN, row("k", "1")).await, Ok(true));
        remembered(&reader, "k").await;
        assert_eq!(writer.replace(&ACCESS_TOKEN, row("k", "2"), 1).await, Ok(true));
        until("the change", async || says(&reader, "k").await.as_deref() == Some("2")).await;
        remembered(&reader, "k").await;
        assert!(writer.take(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
        until("the row is gone", async || says(&reader, "k").await.is_none()).await;
    }

    /// What this node writes leaves what it remembers of other rows alone.
    #[tokio::test(flavor = "multi_thread")]
    async fn own_commits_are_not_taken_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let node = node(&folder).await;
        assert_eq!(node.insert(&ACCESS_TOKEN, row("k", "1")).await, Ok(true));
        remembered(&node, "k").await;
        for number in 0..20 {
            assert_eq!(node.insert(&ACCESS_TOKEN, row(&format!("{number}"), "1")).await, Ok(true));
            // So that it is looked at the version between.
            sleep(EVERY).await;
        }
        assert_eq!(node.counters().invalidations.load(Ordering::Relaxed), 0);
        // That the count would have told: a commit of another one.
        let other = rusqlite::Connection::open(folder.path().join("x.db")).unwrap();
        assert_eq!(
            other.execute("UPDATE access_token SET record = '2', version = 2 WHERE key = CAST('k' AS BLOB)", []),
            Ok(1)
        );
        until("the change", async || says(&node, "k").await.as_deref() == Some("2")).await;
        assert!(node.counters().invalidations.load(Ordering::Relaxed) > 0);
    }

    /// A write that is given up while it waits for the file is carried out all the same; what was read meanwhile is not believed.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_written_for_nobody_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let node = node(&folder).await;
        assert_eq!(node.insert(&ACCESS_TOKEN, row("k", "1")).await, Ok(true));
        let other = rusqlite::Connection::open(folder.path().join("x.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let given_up = timeout(Duration::from_millis(200), node.replace(&ACCESS_TOKEN, row("k", "2"), 1)).await;
        assert!(given_up.is_err(), "{given_up:?}");
        // The writer waits for the file, and a look at the version behind that.
        let read = async || says(&node, "k").await;
        assert_eq!(read().await.as_deref(), Some("1"));
        other.execute_batch("COMMIT").unwrap();
        until("the change", async || read().await.as_deref() == Some("2")).await;
    }

    /// A file that was moved away: nobody knows what others write there.
    #[tokio::test(flavor = "multi_thread")]
    async fn without_its_file_the_cache_is_left_aside() {
        let folder = tempfile::tempdir().unwrap();
        let node = node(&folder).await;
        assert_eq!(node.insert(&ACCESS_TOKEN, row("k", "1")).await, Ok(true));
        remembered(&node, "k").await;
        let (here, away) = (folder.path().join("x.db"), folder.path().join("y.db"));
        std::fs::rename(&here, &away).unwrap();
        until("it is noticed", async || !node.in_use()).await;
        assert!(node.get(&ACCESS_TOKEN, b"k").await.is_err());
        std::fs::rename(&away, &here).unwrap();
        until("it is back", async || node.in_use()).await;
        remembered(&node, "k").await;
    }
}
