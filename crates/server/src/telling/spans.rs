//! Requests that leave a span: handed over when they end, and sent by whoever exports them. With too many waiting they are lost, and
//! counted.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, Version};
use policy::Value;
use policy::engine::{Explained, ExplainedStep};
use policy::exchange::TraceContext;
use tokio::sync::mpsc;

use crate::listen::{About, Outcome};
use crate::metrics::Metrics;

/// So many may wait: a few megabytes.
const QUEUE: usize = 4_096;

/// How often an end looks whether all is exported.
const LOOK: Duration = Duration::from_millis(10);

/// A request that has ended, and leaves a span.
pub(crate) struct Finished {
    pub(crate) trace: Option<TraceContext>,
    /// Unix milliseconds.
    pub(crate) began: u64,
    /// Nanoseconds, to the end of its answer.
    pub(crate) took: u64,
    pub(crate) id: Arc<str>,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) scheme: &'static str,
    pub(crate) version: Version,
    pub(crate) client: IpAddr,
    pub(crate) user_agent: Option<String>,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    /// Its answer was sent to its end.
    pub(crate) whole: bool,
    pub(crate) policy: Arc<str>,
    pub(crate) route: Arc<str>,
    pub(crate) outcome: &'static str,
    pub(crate) reason: Option<String>,
    pub(crate) place: Option<String>,
    pub(crate) steps: Vec<ExplainedStep>,
    pub(crate) marks: Vec<(Arc<str>, Value)>,
}

impl Finished {
    pub(crate) fn new(
        about: &About,
        outcome: &Outcome,
        explained: Explained,
        marks: Vec<(Arc<str>, Value)>,
    ) -> Finished {
        let (reason, place) = explained.refused.unzip();
        Finished {
            trace: about.trace.clone(),
            began: about.at,
            took: outcome.nanos,
            id: about.id.clone(),
            method: about.method.clone(),
            path: about.path.clone(),
            host: about.host.clone(),
            scheme: about.scheme,
            version: about.version,
            client: about.client,
            user_agent: about.user_agent.clone(),
            status: outcome.status,
            bytes: 0,
            whole: true,
            policy: outcome.policy.clone(),
            route: outcome.route.clone(),
            outcome: outcome.outcome,
            reason,
            place: place.filter(|place| !place.is_empty()),
            steps: explained.steps,
            marks,
        }
    }
}

/// Where requests that have ended are handed over.
pub(crate) struct Spans {
    queue: mpsc::Sender<Finished>,
    /// Handed over, and not exported yet.
    open: AtomicUsize,
    metrics: Arc<Metrics>,
}

/// Where they are taken from.
pub(crate) type Waiting = mpsc::Receiver<Finished>;

impl Spans {
    pub(crate) fn new(metrics: Arc<Metrics>) -> (Spans, Waiting) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        (Spans { queue, open: AtomicUsize::new(0), metrics }, waiting)
    }

    /// Waits until all that was handed over is exported, or lost.
    pub(crate) async fn drained(&self) {
        while self.open.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// So many were exported, or lost.
    pub(crate) fn done(&self, count: usize) {
        self.open.fetch_sub(count, Ordering::Relaxed);
    }

    /// Hands one over. Never waits.
    pub(crate) fn finish(&self, finished: Finished) {
        self.open.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(finished).is_err() {
            self.done(1);
            self.metrics.spans_lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}
