//! What is counted of requests: by route, and by listener.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

use super::shards::Sharded;

/// Upper bounds of the histogram of durations, in microseconds.
const BOUNDS: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 10_000_000,
];

/// Outcomes of a policy, as decision records have them; what no policy decided is `failure`.
pub(crate) const OUTCOMES: [&str; 4] = ["success", "answered", "failure", "abort"];

// Where each counter stands.
const STATUS: usize = 0;
const BUCKET: usize = STATUS + 6;
const OUTCOME: usize = BUCKET + BOUNDS.len() + 1;
const MICROS: usize = OUTCOME + OUTCOMES.len();
const SENT: usize = MICROS + 1;
const BROKEN: usize = SENT + 1;
const ALL: usize = BROKEN + 1;

/// As many reasons are told apart on one route; filters have no more between them.
const REASONS: usize = 64;

/// The counters of one route of a policy.
#[derive(Debug, Default)]
pub(crate) struct RouteMetrics {
    counters: Sharded<ALL>,
    /// Of refusals and faults: reason, outcome, and how many. The first that is free is taken, and no other reason has it any more.
    refused: OnceLock<Box<Reasons>>,
}

#[derive(Debug)]
struct Reasons([(OnceLock<(&'static str, usize)>, AtomicU64); REASONS]);

impl Default for Reasons {
    fn default() -> Self {
        Reasons(std::array::from_fn(|_| (OnceLock::new(), AtomicU64::new(0))))
    }
}

impl Reasons {
    fn count(&self, reason: &'static str, outcome: usize) {
        let mine = (reason, outcome);
        let slot = self.0.iter().find(|(name, _)| *name.get_or_init(|| mine) == mine);
        if let Some((_, count)) = slot.or(self.0.last()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, usize, u64)> {
        self.0.iter().map_while(|(name, count)| {
            let (reason, outcome) = *name.get()?;
            Some((reason, outcome, count.load(Ordering::Relaxed)))
        })
    }
}

/// The counters of a route, added up.
#[derive(Clone, Debug)]
pub(crate) struct RouteSums {
    /// By the first digit of the status.
    pub(crate) statuses: [u64; 6],
    pub(crate) buckets: [u64; BOUNDS.len() + 1],
    /// By [`OUTCOMES`], refusals and faults included.
    pub(crate) outcomes: [u64; OUTCOMES.len()],
    pub(crate) micros: u64,
    /// Bytes of bodies that were sent.
    pub(crate) sent: u64,
    /// Answers that broke off.
    pub(crate) broken: u64,
    /// Reason, outcome, how many.
    pub(crate) refused: Vec<(&'static str, usize, u64)>,
}

impl RouteMetrics {
    /// Counts one answer. `refused`: why, where that was no success.
    pub(crate) fn answered(&self, status: StatusCode, nanos: u64, outcome: &str, refused: Option<&'static str>) {
        let class = usize::from(status.as_u16() / 100).min(5);
        let micros = nanos / 1_000;
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        let outcome = OUTCOMES.iter().position(|known| *known == outcome).unwrap_or(2);
        self.counters.count([STATUS + class, BUCKET + bucket, OUTCOME + outcome]);
        self.counters.add(MICROS, micros);
        if let Some(reason) = refused {
            self.refused.get_or_init(Box::default).count(reason, outcome);
        }
    }

    /// Counts what was sent of a body. `whole`: up to its end.
    pub(crate) fn sent(&self, bytes: u64, whole: bool) {
        self.counters.add(SENT, bytes);
        if !whole {
            self.counters.add(BROKEN, 1);
        }
    }

    pub(crate) fn sums(&self) -> RouteSums {
        let sums = self.counters.sums();
        let part = |from: usize, index: usize| sums[from + index];
        RouteSums {
            statuses: std::array::from_fn(|index| part(STATUS, index)),
            buckets: std::array::from_fn(|index| part(BUCKET, index)),
            outcomes: std::array::from_fn(|index| part(OUTCOME, index)),
            micros: sums[MICROS],
            sent: sums[SENT],
            broken: sums[BROKEN],
            refused: self.refused.get().map(|refused| refused.all().collect()).unwrap_or_default(),
        }
    }
}

impl RouteSums {
    pub(crate) fn none() -> RouteSums {
        RouteSums {
            statuses: [0; 6],
            buckets: [0; BOUNDS.len() + 1],
            outcomes: [0; OUTCOMES.len()],
            micros: 0,
            sent: 0,
            broken: 0,
            refused: Vec::new(),
        }
    }

    /// Adds another route's.
    pub(crate) fn add(&mut self, other: &RouteSums) {
        let add = |to: &mut [u64], from: &[u64]| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        add(&mut self.statuses, &other.statuses);
        add(&mut self.buckets, &other.buckets);
        add(&mut self.outcomes, &other.outcomes);
        self.micros += other.micros;
        self.sent += other.sent;
        self.broken += other.broken;
        for (reason, outcome, count) in &other.refused {
            match self.refused.iter_mut().find(|(known, of, _)| known == reason && of == outcome) {
                Some((.., known)) => *known += count,
                None => self.refused.push((*reason, *outcome, *count)),
            }
        }
    }

    /// How many requests that are.
    pub(crate) fn requests(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The histogram of durations: seconds in all, and upper bound (seconds) and count of each bucket.
    pub(crate) fn durations(&self) -> (f64, Vec<(f64, u64)>) {
        let bound = |at: usize| BOUNDS.get(at).map_or(f64::MAX, |micros| *micros as f64 / 1e6);
        (self.micros as f64 / 1e6, self.buckets.iter().enumerate().map(|(at, count)| (bound(at), *count)).collect())
    }
}

/// The counters of one listener.
#[derive(Debug, Default)]
pub(crate) struct ListenerMetrics(Sharded<3>);

impl ListenerMetrics {
    /// A request has come.
    pub(crate) fn began(&self) {
        self.0.add(0, 1);
    }

    /// It is over: its answer is sent, or nobody waits for it any more. So much of a body was sent.
    pub(crate) fn ended(&self, sent: u64) {
        self.0.add(0, 1_u64.wrapping_neg());
        self.0.add(2, sent);
    }

    /// Bytes of a body came.
    pub(crate) fn received(&self, bytes: u64) {
        self.0.add(1, bytes);
    }

    /// Requests in flight, bytes received, bytes sent.
    pub(crate) fn sums(&self) -> [u64; 3] {
        self.0.sums()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_by_status_duration_outcome_and_reason() {
        let route = RouteMetrics::default();
        route.answered(StatusCode::OK, 250_000, "answered", None);
        route.answered(StatusCode::FORBIDDEN, 251_000, "failure", Some("scope"));
        route.answered(StatusCode::FORBIDDEN, 99_000_000_000, "failure", Some("scope"));
        route.answered(StatusCode::BAD_GATEWAY, 1, "abort", Some("upstream"));
        route.sent(7, true);
        route.sent(2, false);
        let mut sums = route.sums();
        assert_eq!(sums.statuses, [0, 0, 1, 0, 2, 1]);
        assert_eq!(sums.outcomes, [0, 1, 2, 1]);
        assert_eq!((sums.buckets[0], sums.buckets[1], sums.buckets[14]), (2, 1, 1));
        assert_eq!((sums.sent, sums.broken, sums.requests()), (9, 1, 4));
        assert_eq!(sums.refused, [("scope", 2, 2), ("upstream", 3, 1)]);
        sums.add(&route.sums());
        assert_eq!((sums.requests(), sums.refused[0].2), (8, 4));
    }

    #[test]
    fn more_reasons_than_are_told_apart_are_counted_all_the_same() {
        let reasons = Reasons::default();
        let names: Vec<&'static str> = (0..REASONS + 9).map(|n| &*format!("r{n}").leak()).collect();
        names.iter().for_each(|name| reasons.count(name, 2));
        assert_eq!(reasons.all().count(), REASONS);
        assert_eq!(reasons.all().map(|(.., count)| count).sum::<u64>(), REASONS as u64 + 9);
    }

    #[test]
    fn a_listener_knows_what_is_in_flight() {
        let listener = ListenerMetrics::default();
        listener.began();
        listener.began();
        listener.received(3);
        listener.ended(10);
        assert_eq!(listener.sums(), [1, 3, 10]);
    }
}
