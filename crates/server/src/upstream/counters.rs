//! What goes on at an upstream as a whole, the limits on it, and what was refused for them. It outlives reloads.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use policy::ports::UpstreamError;

/// The counts.
#[derive(Default)]
pub(super) struct Counters {
    /// Requests from their beginning to the end of their answers.
    pub(super) in_flight: AtomicU32,
    /// Requests that wait for a connection.
    pending: AtomicU32,
    /// Requests that were sent once more.
    pub(super) retries: AtomicU64,
    /// Those that the budget did not allow to be.
    pub(super) unaffordable: AtomicU64,
    /// Requests refused: too many in flight, too many that wait, waited too long.
    refused: [AtomicU64; 3],
}

/// The limits by which requests are refused, as settings name them.
const LIMITS: [&str; 3] = ["requests", "pending", "connections"];

impl Counters {
    /// Counts a request in. Whoever is let in counts itself out.
    pub(super) fn enter(&self, limit: u32) -> Result<(), UpstreamError> {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) < limit {
            return Ok(());
        }
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        Err(self.full("requests"))
    }

    /// Counts a request that waits, for as long as what this gives lives.
    pub(super) fn pending(&self, limit: u32) -> Result<impl Drop + '_, UpstreamError> {
        let place = Pending(&self.pending);
        if self.pending.fetch_add(1, Ordering::Relaxed) < limit { Ok(place) } else { Err(self.full("pending")) }
    }

    /// Refuses a request for the limit of this name.
    pub(super) fn full(&self, limit: &'static str) -> UpstreamError {
        let counter = LIMITS.iter().zip(&self.refused).find(|(name, _)| **name == limit);
        if let Some((_, counter)) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        UpstreamError::Full(limit)
    }

    /// Refusals by limit.
    pub(super) fn refused(&self) -> [(&'static str, u64); 3] {
        std::array::from_fn(|at| (LIMITS[at], self.refused[at].load(Ordering::Relaxed)))
    }

    /// Requests that wait now.
    pub(super) fn waiting(&self) -> u32 {
        self.pending.load(Ordering::Relaxed)
    }
}

struct Pending<'a>(&'a AtomicU32);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_a_limit_is_refused_and_counted_and_leaves_no_trace() {
        let counters = Counters::default();
        assert!(counters.enter(1).is_ok());
        assert!(matches!(counters.enter(1), Err(UpstreamError::Full("requests"))));
        assert_eq!(counters.in_flight.load(Ordering::Relaxed), 1);
        let first = counters.pending(1).unwrap();
        assert!(matches!(counters.pending(1).map(|_| ()), Err(UpstreamError::Full("pending"))));
        assert_eq!(counters.waiting(), 1);
        drop(first);
        assert_eq!(counters.waiting(), 0);
        let _ = counters.full("connections");
        assert_eq!(counters.refused(), [("requests", 1), ("pending", 1), ("connections", 1)]);
    }
}
