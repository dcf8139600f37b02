//! How a source tells of changes to those who keep some of its rows in memory.
//!
//! A source that can (PostgreSQL, Redis, SQLite) has a channel on which it hears of changes, whoever made them, and passes them on
//! to its watchers. While the channel is not up nothing may be believed that was kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::sleep;

use crate::source::StoreError;

/// Between two attempts to open a channel.
const PAUSE: Duration = Duration::from_millis(500);

/// What is told of a row in place of its key: keys are of any length, and may be personal.
pub type KeyHash = [u8; 32];

/// The hash of a key.
pub fn key_hash(key: &[u8]) -> KeyHash {
    Sha256::digest(key).into()
}

/// What a watcher is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The channel is up: every change from now on is told.
    Up,
    /// The row with this key was changed or deleted. Rows that were inserted, or went because they had expired, need not be told.
    Row(&'a str, KeyHash),
    /// Any row may have changed.
    Any,
    /// The channel is lost: changes are told no longer.
    Lost,
}

/// Who keeps rows in memory.
pub trait Watcher: Send + Sync {
    /// Told of a change. It must neither wait nor call the source.
    fn told(&self, change: Change<'_>);
    /// Whether nothing is kept now, so that nobody need look for changes.
    fn keeps_nothing(&self) -> bool;
}

/// One of two watchers that stand for one: on each of two sources, which together have all changes. The channel is up while both are.
pub struct Half {
    number: usize,
    up: Arc<Mutex<[bool; 2]>>,
    whole: Weak<dyn Watcher>,
}

/// The two halves of a watcher.
pub fn halves(whole: Weak<dyn Watcher>) -> [Arc<Half>; 2] {
    let up = Arc::<Mutex<[bool; 2]>>::default();
    [0, 1].map(|number| Arc::new(Half { number, up: up.clone(), whole: whole.clone() }))
}

impl Watcher for Half {
    fn told(&self, change: Change<'_>) {
        let Some(whole) = self.whole.upgrade() else { return };
        // Held while it is told, so that of two at once the later word counts.
        let mut up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::Up => up[self.number] = true,
            Change::Lost => up[self.number] = false,
            Change::Row(..) | Change::Any => {}
        }
        if change != Change::Up || *up == [true; 2] {
            whole.told(change);
        }
    }

    fn keeps_nothing(&self) -> bool {
        self.whole.upgrade().is_none_or(|whole| whole.keeps_nothing())
    }
}

/// The watchers of one source, and whether its channel is up.
#[derive(Default)]
pub struct Watchers(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    up: bool,
    watchers: Vec<Weak<dyn Watcher>>,
    /// Whether somebody runs the channel.
    run: bool,
}

impl Watchers {
    /// One more. Whether nobody runs the channel yet: whoever is told so runs it, until [`ended`](Self::ended) says that it may end.
    pub fn add(&self, watcher: Weak<dyn Watcher>) -> bool {
        let mut inner = self.lock();
        if inner.up
            && let Some(watcher) = watcher.upgrade()
        {
            watcher.told(Change::Up);
        }
        inner.watchers.push(watcher);
        !std::mem::replace(&mut inner.run, true)
    }

    /// Tells all of a change. Whether the channel came up or was lost by it: a line for the log.
    pub fn tell(&self, change: Change<'_>) -> bool {
        let mut inner = self.lock();
        let up = match change {
            Change::Up => true,
            Change::Lost => false,
            Change::Row(..) | Change::Any => inner.up,
        };
        let turned = std::mem::replace(&mut inner.up, up) != up;
        inner.watchers.iter().filter_map(Weak::upgrade).for_each(|watcher| watcher.told(change));
        turned
    }

    /// Whether no watcher is left.
    pub fn abandoned(&self) -> bool {
        self.lock().watchers.iter().all(|watcher| watcher.strong_count() == 0)
    }

    /// The same, and then it is agreed: the channel is down, whoever runs it ends, and the next watcher is told to run it.
    pub fn ended(&self) -> bool {
        let mut inner = self.lock();
        inner.watchers.retain(|watcher| watcher.strong_count() > 0);
        if inner.watchers.is_empty() {
            (inner.up, inner.run) = (false, false);
        }
        inner.watchers.is_empty()
    }

    /// Whether nobody keeps anything.
    pub fn keep_nothing(&self) -> bool {
        self.lock().watchers.iter().filter_map(Weak::upgrade).all(|watcher| watcher.keeps_nothing())
    }

    /// Runs a channel: `listen` opens it, tells what it hears, and ends where it was lost, or where nobody watches any more. The
    /// log hears when it turns, of the source with this name, and once where it never came up.
    pub async fn keep<F>(&self, source: &str, listen: impl Fn() -> F)
    where
        F: Future<Output = Result<(), StoreError>>,
    {
        let mut told = false;
        while !self.ended() {
            let Err(why) = listen().await else {
                // Who came while it ended is not told that it is up.
                self.tell(Change::Lost);
                continue;
            };
            if self.tell(Change::Lost) || !std::mem::replace(&mut told, true) {
                tracing::warn!(source, "changes are not heard of, and caches are left aside until they are: {why}");
            }
            sleep(PAUSE).await;
        }
    }

    /// The channel is up.
    pub fn up(&self, source: &str) {
        if self.tell(Change::Up) {
            tracing::info!(source, "changes are heard of, and caches are used");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
