//! The watcher: tells that something may have changed. What did, the load finds out; a watcher that dies or cannot be had is
//! made good by looking more often.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::paths::Watched;
use super::{FAST_POLL, SLOW_POLL};
use crate::options::Options;
use crate::tasks;

/// Watches a configuration folder, and what it names.
pub(super) struct Watch {
    /// Locked only by the work that looks at the file system, beside the threads that serve.
    watching: Arc<Mutex<Watching>>,
    /// Whether there was a watcher after the last look.
    watched: bool,
    shared: Arc<Shared>,
}

/// The watcher, and what it is to watch.
struct Watching {
    root: PathBuf,
    /// Files that the options name.
    values: Option<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    told_failure: bool,
    shared: Arc<Shared>,
}

/// What the watcher's own thread sees.
#[derive(Default)]
struct Shared {
    watched: Mutex<Watched>,
    changed: Notify,
    /// The watcher failed, or a folder that it watches went away: it is made anew. (A folder made anew under the same name may
    /// have the same number, so that nothing else tells.)
    broken: AtomicBool,
}

impl Watch {
    pub(super) fn new(options: &Options) -> Watch {
        let shared = Arc::<Shared>::default();
        let watching = Watching {
            root: options.dir.clone(),
            values: options.values.clone(),
            watcher: None,
            told_failure: false,
            shared: shared.clone(),
        };
        Watch { watching: Arc::new(Mutex::new(watching)), watched: false, shared }
    }

    /// Waits for a change. Changes that come between two calls are not lost.
    pub(super) async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// How often to look without being told.
    pub(super) fn poll_every(&self) -> Duration {
        if self.watched { SLOW_POLL } else { FAST_POLL }
    }

    /// Watches what is there now: folders that appeared, links that lead elsewhere, files that settings name outside. Whether
    /// anything is watched now that was not.
    pub(super) async fn refresh(&mut self, outside: Vec<String>) -> bool {
        let watching = self.watching.clone();
        let refreshed = move || watching.lock().unwrap_or_else(PoisonError::into_inner).refresh(&outside);
        let found = tasks::blocking(refreshed).await;
        self.watched = found != Found::NoWatcher;
        found == Found::More
    }
}

/// What a look at the folders came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// What was watched already.
    Same,
    /// Something else, which is watched now.
    More,
    /// There is no watcher.
    NoWatcher,
}

impl Watching {
    fn refresh(&mut self, outside: &[String]) -> Found {
        if self.shared.broken.swap(false, Ordering::Relaxed) {
            self.watcher = None;
            *self.shared.watched() = Watched::default();
        }
        // Events tell real paths.
        let root = real(&self.root);
        let mut files: Vec<PathBuf> = outside.iter().map(|file| root.join(file)).collect();
        files.extend(self.values.as_deref().map(real));
        let found = Watched::find(&root, &files);
        let before = self.shared.watched().clone();
        if found == before && self.watcher.is_some() {
            return Found::Same;
        }
        // First the names, then the watches: an event that comes at once is judged rightly.
        *self.shared.watched() = found.clone();
        if let Err(why) = self.watch(&before, &found) {
            self.watcher = None;
            *self.shared.watched() = Watched::default();
            if !std::mem::replace(&mut self.told_failure, true) {
                tracing::warn!("the files cannot be watched, so they are looked at every {FAST_POLL:?} instead: {why}");
            }
            return Found::NoWatcher;
        }
        Found::More
    }

    fn watch(&mut self, before: &Watched, found: &Watched) -> notify::Result<()> {
        let fresh = self.watcher.is_none();
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            None => {
                self.watcher.insert(RecommendedWatcher::new(handler(self.shared.clone()), notify::Config::default())?)
            }
        };
        for (folder, identity) in &before.folders {
            if !fresh && found.folders.get(folder) != Some(identity) {
                // Gone already, as often as not.
                let _ = watcher.unwatch(folder);
            }
        }
        for (folder, identity) in &found.folders {
            if fresh || before.folders.get(folder) != Some(identity) {
                watcher.watch(folder, RecursiveMode::NonRecursive)?;
            }
        }
        if std::mem::take(&mut self.told_failure) {
            tracing::info!("the files are watched again");
        }
        Ok(())
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

impl Shared {
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs on the watcher's thread.
fn handler(shared: Arc<Shared>) -> impl FnMut(notify::Result<Event>) + Send + 'static {
    move |event| {
        match event {
            Ok(event) if event.need_rescan() => {}
            Ok(event) if !writes(event.kind) => return,
            Ok(event) => {
                let watched = shared.watched();
                if !event.paths.iter().any(|path| watched.matters(path)) {
                    return;
                }
                let goes = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
                if goes && event.paths.iter().any(|path| watched.folders.contains_key(path)) {
                    shared.broken.store(true, Ordering::Relaxed);
                }
            }
            Err(why) => {
                tracing::warn!("the watcher failed, and is made anew: {why}");
                shared.broken.store(true, Ordering::Relaxed);
            }
        }
        // `notify_one` keeps one for whoever asks next: nothing is lost between two waits.
        shared.changed.notify_one();
    }
}

/// Reading a file is an event too, and our own loads read them all.
fn writes(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

#[cfg(test)]
mod tests;
