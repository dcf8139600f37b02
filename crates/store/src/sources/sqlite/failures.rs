//! What the log is told of commits that fail: a full disk fails hundreds a second.

use tokio::time::Instant;

use crate::seldom::Seldom;

/// Those that the log was not told of yet.
#[derive(Default)]
pub(super) struct Failures {
    untold: Untold,
    told: Seldom,
}

/// Failed commits, and the operations in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Untold {
    pub(super) commits: u64,
    pub(super) operations: u64,
}

impl Failures {
    /// Counts a commit of so many operations that failed. What the log is to be told of now, if it is time.
    pub(super) fn add(&mut self, operations: usize, now: Instant) -> Option<Untold> {
        self.untold.commits += 1;
        self.untold.operations += operations as u64;
        self.due(now)
    }

    /// What the log is to be told of now, if there is something and it is time.
    pub(super) fn due(&mut self, now: Instant) -> Option<Untold> {
        let tell = self.has_untold() && self.told.is_due(now);
        tell.then(|| std::mem::take(&mut self.untold))
    }

    /// Whether there are some that the log was not told of.
    pub(super) fn has_untold(&self) -> bool {
        self.untold.commits > 0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn they_are_told_of_once_in_ten_seconds_with_their_number() {
        let (mut failures, start) = (Failures::default(), Instant::now());
        let untold = |commits, operations| Some(Untold { commits, operations });
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(failures.due(at(0)), None, "there are none");
        assert_eq!(failures.add(3, at(0)), untold(1, 3), "the first at once");
        for millis in 1..=9_999 {
            assert_eq!(failures.add(2, at(millis)), None);
        }
        assert!(failures.has_untold());
        assert_eq!(failures.add(1, at(10_000)), untold(10_000, 9_999 * 2 + 1));
        assert!(!failures.has_untold());
        // The last ones are told of though none comes after them.
        assert_eq!(failures.add(1, at(10_001)), None);
        assert_eq!(failures.due(at(19_999)), None);
        assert_eq!(failures.due(at(20_000)), untold(1, 1));
        assert_eq!(failures.due(at(40_000)), None);
    }
}
