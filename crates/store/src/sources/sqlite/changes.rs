//! Whether another process, or another node on this machine, has changed the file: looked for every 20 ms while a cache keeps
//! something.
//!
//! The connection that writes is asked, since the version of the data that it sees is changed by the commits of others and not by
//! its own: what this node changes, its cache knows. Which rows were changed SQLite does not tell, so all may have been.

#![allow(clippy::disallowed_methods, reason = "the task of this source: the look for changes, which ends with its last watcher")]

use std::sync::{Arc, Weak};
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
