//! A circuit breaker: what a source leaves without an answer is not asked for again and again.
//!
//! Reads and writes of a source have one each. The first verb that gets no answer in time opens it, and while it is open verbs fail
//! at once: requests do not pile up. Twice a second one verb is let through to look, for a short time; so that a source that has
//! become slow, but answers, is found as well, one every 5 s may take as long as ever. The first answer closes it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// The most that one verb may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(4);
/// What a verb may take that looks whether an open breaker's source answers again.
pub(crate) const LOOK: Duration = Duration::from_millis(500);
/// How often one looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often one of them may take as long as if it were closed.
pub(crate) const LONG_LOOK_EVERY: Duration = Duration::from_secs(5);
/// A verb that fails after this time opened the breaker, also where the source has a limit of its own and says so itself.
const SLOW: Duration = Duration::from_secs(1);

/// The breaker of one kind of verb of one source.
pub(crate) struct Breaker {
    /// For the log: `reads`.
    kind: &'static str,
    open: AtomicBool,
    start: Instant,
    /// From when on one may look, in milliseconds since `start`.
    look_at: AtomicU64,
    /// The same, and take its time.
    long_look_at: AtomicU64,
}

impl Breaker {
    pub(crate) fn new(kind: &'static str) -> Self {
        let (look_at, long_look_at) = (AtomicU64::new(0), AtomicU64::new(0));
        Breaker { kind, open: AtomicBool::new(false), start: Instant::now(), look_at, long_look_at }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Relaxed)
    }

    /// How long a verb may take that begins now and could wait for `patience`; `None` where it is to fail at once. One that may not
    /// wait for longer than a short look is no long one.
    pub(crate) fn admit(&self, now: Instant, patience: Duration) -> Option<Duration> {
        if !self.is_open() {
            return Some(patience);
        }
        let now = self.millis(now);
        if patience > LOOK && turn(&self.long_look_at, now, LONG_LOOK_EVERY) {
            self.look_at.store(after(now, LOOK_EVERY), Relaxed);
            return Some(patience);
        }
        turn(&self.look_at, now, LOOK_EVERY).then_some(patience.min(LOOK))
    }

    /// After an answer.
    pub(crate) fn answered(&self, source: &str) {
        if self.is_open() && self.open.swap(false, Relaxed) {
            tracing::info!(source, "the data source answers {} again", self.kind);
        }
    }

    /// After a verb that got no answer for this time, of at most `limit`. What was short, since little was left of a request's
    /// budget, says nothing.
    pub(crate) fn unanswered(&self, source: &str, waited: Duration, limit: Duration) {
        if self.is_open() || waited < SLOW.min(limit) {
            return;
        }
        let now = self.millis(Instant::now());
        self.look_at.store(after(now, LOOK_EVERY), Relaxed);
        self.long_look_at.store(after(now, LONG_LOOK_EVERY), Relaxed);
        if !self.open.swap(true, Relaxed) {
            tracing::warn!(
                source,
                "the data source gave {} no answer within {waited:.1?}: they fail at once until it does",
                self.kind
            );
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX)
    }
}

/// Whether it is time, and this caller's turn: of several at once one has it. The next is after `pause`.
fn turn(at: &AtomicU64, now: u64, pause: Duration) -> bool {
    let due = at.load(Relaxed);
    now >= due && at.compare_exchange(due, after(now, pause), Relaxed, Relaxed).is_ok()
}

fn after(millis: u64, pause: Duration) -> u64 {
    millis.saturating_add(pause.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn while_open_one_looks_twice_a_second_and_one_takes_its_time_every_five() {
        let breaker = Breaker::new("reads");
        let admit = || breaker.admit(Instant::now(), LIMIT);
        let step = Duration::from_millis(1);
        assert_eq!([admit(), admit()], [Some(LIMIT), Some(LIMIT)]);
        breaker.unanswered("local", SLOW - step, LIMIT);
        assert!(!breaker.is_open(), "it was short");
        breaker.unanswered("local", SLOW, LIMIT);
        for round in 0..3 {
            for _ in 0..9 {
                assert_eq!(admit(), None, "{round}");
                tokio::time::advance(LOOK_EVERY - step).await;
                assert_eq!(admit(), None, "{round}");
                tokio::time::advance(step).await;
                assert_eq!([admit(), admit()], [Some(LOOK), None], "{round}");
            }
            tokio::time::advance(LOOK_EVERY).await;
            assert_eq!(breaker.admit(Instant::now(), LOOK / 2), Some(LOOK / 2), "too little is left for a long one");
            assert_eq!([admit(), admit()], [Some(LIMIT), None], "{round}");
            breaker.unanswered("local", LIMIT, LIMIT);
        }
        breaker.answered("local");
        assert_eq!([admit(), admit()], [Some(LIMIT), Some(LIMIT)]);
    }
}
