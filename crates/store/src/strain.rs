//! Whether a source leaves its verbs of one kind, reads or writes, without an answer.
//!
//! The first one that gets none in time strains the kind, and while it is strained the limit is short: requests fail fast, and do
//! not pile up. The first answer ends that. So that a kind that has become slow, but is answered, is used again, one verb every
//! 5 s may have the whole limit all the same.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// The limit of one verb.
pub(crate) const LIMIT: Duration = Duration::from_secs(4);
/// The limit while the source is strained.
pub(crate) const STRAINED_LIMIT: Duration = Duration::from_millis(500);
/// A verb that fails after this time strained the source, also where the source has a limit of its own and says so itself.
const SLOW: Duration = Duration::from_secs(1);
/// How often one verb has the whole limit while the others have the short one.
pub(crate) const PROBE_EVERY: Duration = Duration::from_secs(5);

/// The strain of one kind of verb of one source.
pub(crate) struct Strain {
    /// For the log: `reads`.
    kind: &'static str,
    strained: AtomicBool,
    start: Instant,
    /// From when on the next probe may be made, in milliseconds since `start`.
    probe_at: AtomicU64,
}

impl Strain {
    pub(crate) fn new(kind: &'static str) -> Self {
        Strain { kind, strained: AtomicBool::new(false), start: Instant::now(), probe_at: AtomicU64::new(0) }
    }

    pub(crate) fn strained(&self) -> bool {
        self.strained.load(Relaxed)
    }

    /// The limit of a verb that begins now and may wait for `patience`: one that may not wait for longer than the short limit
    /// is no probe.
    pub(crate) fn limit(&self, now: Instant, patience: Duration) -> Duration {
        match self.strained() && (patience <= STRAINED_LIMIT || !self.probes(now)) {
            true => STRAINED_LIMIT,
            false => LIMIT,
        }
    }

    /// Whether this verb is the probe. Of several at once one is.
    fn probes(&self, now: Instant) -> bool {
        let (now, at) = (self.millis(now), self.probe_at.load(Relaxed));
        now >= at && self.probe_at.compare_exchange(at, after(now), Relaxed, Relaxed).is_ok()
    }

    /// After an answer.
    pub(crate) fn answered(&self, source: &str) {
        if self.strained() && self.strained.swap(false, Relaxed) {
            tracing::info!(source, "the data source answers {} again", self.kind);
        }
    }

    /// After a verb that got no answer for this time. What was short, since little was left of a request's budget, says nothing.
    pub(crate) fn unanswered(&self, source: &str, waited: Duration) {
        if waited < SLOW || self.strained() {
            return;
        }
        self.probe_at.store(after(self.millis(Instant::now())), Relaxed);
        if !self.strained.swap(true, Relaxed) {
            tracing::warn!(source, "the data source gave {} no answer within {waited:.1?}", self.kind);
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

/// When the next probe may be made, after one that is made at this time.
fn after(millis: u64) -> u64 {
    millis.saturating_add(PROBE_EVERY.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn while_strained_one_verb_every_five_seconds_has_the_whole_limit() {
        let strain = Strain::new("reads");
        let limit = || strain.limit(Instant::now(), LIMIT);
        assert_eq!(limit(), LIMIT);
        strain.unanswered("local", SLOW - Duration::from_millis(1));
        assert!(!strain.strained(), "it was short");
        strain.unanswered("local", SLOW);
        for round in 0..3 {
            assert_eq!(limit(), STRAINED_LIMIT, "{round}");
            tokio::time::advance(PROBE_EVERY - Duration::from_millis(1)).await;
            assert_eq!(limit(), STRAINED_LIMIT, "{round}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert_eq!(strain.limit(Instant::now(), STRAINED_LIMIT), STRAINED_LIMIT, "too little is left for a probe");
            assert_eq!(limit(), LIMIT, "{round}");
            strain.unanswered("local", LIMIT);
        }
        strain.answered("local");
        assert_eq!([limit(), limit()], [LIMIT, LIMIT]);
    }
}
