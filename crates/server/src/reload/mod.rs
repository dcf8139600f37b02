//! Loads on a running node: by the watcher, by SIGHUP, by the admin address. One at a time, whole or not at all.

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
        let Reloads { watch, loads, triggers } = self;
        // What the last load named outside the folder is to be watched too.
        watch.refresh(loads.outside_files()).await;
        let wait = if loads.waits_for_a_source() { SOURCE_RETRY } else { watch.poll_every() };
        tokio::select! {
            trigger = triggers.recv() => {
                let Some(Trigger { by, answer }) = trigger else { return false };
                watch.refresh(loads.outside_files()).await;
                let reloaded = loads.load_now(by).await;
                if let Some(answer) = answer {
                    // Who asked may be gone.
                    let _ = answer.send(reloaded);
                }
            }
            () = watch.changed() => {
                settle(watch).await;
                watch.refresh(loads.outside_files()).await;
                loads.load_changes("watcher").await;
            }
            () = tokio::time::sleep(wait) => {
                watch.refresh(loads.outside_files()).await;
                loads.load_changes("poll").await;
            }
        }
        true
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
