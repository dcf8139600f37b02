//! Loads on a running node: by the watcher, by SIGHUP, by the admin address. One at a time, whole or not at all.

mod gone;
mod load;
mod paths;
mod watch;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::load::Loads;
use self::watch::Watch;
use crate::admin::api::Reloaded;
use crate::node::Node;
use crate::options::Options;

/// How long files must be quiet before they are read: one load for many files, and none of half a file.
const QUIET: Duration = Duration::from_millis(50);

/// How long a stream of changes can put a load off.
const LONGEST: Duration = Duration::from_secs(3);

/// How often the files are looked at though nobody told of a change: network file systems tell nothing.
const SLOW_POLL: Duration = Duration::from_secs(10);

/// The same where there is no watcher.
const FAST_POLL: Duration = Duration::from_secs(1);

/// How soon a load that was refused only because a source is down is tried again.
const SOURCE_RETRY: Duration = Duration::from_secs(5);

/// Asks for a load of the files as they stand now.
pub(crate) struct Trigger {
    /// Who asks, for the log.
    pub(crate) by: &'static str,
    /// Who waits for the outcome.
    pub(crate) answer: Option<oneshot::Sender<Reloaded>>,
}

/// Loads whatever changes, for as long as the node lives.
pub(crate) async fn run(node: Arc<Node>, triggers: mpsc::Receiver<Trigger>) {
    let watch = Watch::new(&node.options);
    let mut reloads = Reloads { watch, loads: Loads::new(node), triggers };
    loop {
        // Whatever panics in here, the node must still take the next change: else only a restart could mend anything.
        match AssertUnwindSafe(reloads.next()).catch_unwind().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => {
                tracing::error!("a reload panicked: this is a defect of the gateway, and what serves goes on serving");
                tokio::time::sleep(FAST_POLL).await;
            }
        }
    }
}

struct Reloads {
    watch: Watch,
    loads: Loads,
    triggers: mpsc::Receiver<Trigger>,
}

impl Reloads {
    /// Waits for one reason to look at the files, and does. `false` where there will be none any more.
    async fn next(&mut self) -> bool {
        // What the last load named outside the folder is to be watched too. It was read before it was watched: what changed in
        // between, nothing else tells.
        let unseen = self.watch.refresh(self.loads.outside_files()).await;
        let changed = async || {
            if !unseen {
                self.watch.changed().await
            }
        };
        let wait = if self.loads.waits_for_a_source() { SOURCE_RETRY } else { self.watch.poll_every() };
        let reason = tokio::select! {
            trigger = self.triggers.recv() => Reason::asked(trigger),
            // Whoever asks does not wait until files that keep changing are quiet.
            () = changed() => tokio::select! {
                trigger = self.triggers.recv() => Reason::asked(trigger),
                () = settle(&self.watch) => Reason::Look("watcher"),
            },
            () = tokio::time::sleep(wait) => Reason::Look("poll"),
        };
        self.watch.refresh(self.loads.outside_files()).await;
        match reason {
            Reason::End => return false,
            Reason::Asked(Trigger { by, answer }) => {
                let reloaded = self.loads.load_now(by).await;
                if let Some(answer) = answer {
                    // Who asked may be gone.
                    let _ = answer.send(reloaded);
                }
            }
            Reason::Look(by) => self.loads.load_changes(by).await,
        }
        true
    }
}

/// Watches a folder where no node runs.
pub(crate) struct FolderWatch(Watch);

impl FolderWatch {
    /// The folder and what else the options name.
    pub(crate) fn new(options: &Options) -> FolderWatch {
        FolderWatch(Watch::new(options))
    }

    /// Waits until something may have changed, these files that settings name outside included.
    pub(crate) async fn next(&mut self, outside: Vec<String>) {
        // What is watched only now may have changed since it was read.
        if self.0.refresh(outside).await {
            return;
        }
        tokio::select! {
            () = self.0.changed() => settle(&self.0).await,
            () = tokio::time::sleep(self.0.poll_every()) => {}
        }
    }
}

/// Why the files are looked at.
enum Reason {
    /// Somebody asks.
    Asked(Trigger),
    /// They may have changed; by whom that was noticed.
    Look(&'static str),
    /// Nobody can ask any more: the node ends.
    End,
}

impl Reason {
    fn asked(trigger: Option<Trigger>) -> Reason {
        trigger.map_or(Reason::End, Reason::Asked)
    }
}

/// Waits until nothing has changed for a moment.
async fn settle(watch: &Watch) {
    let latest = now() + LONGEST;
    while now() < latest {
        if tokio::time::timeout(QUIET, watch.changed()).await.is_err() {
            return;
        }
    }
}

/// Tokio's clock, which this loop sleeps by.
#[allow(clippy::disallowed_methods, reason = "only to sleep until then")]
fn now() -> Instant {
    Instant::now()
}
