//! What a target's answers say of it: after too many faults in a row it is left out for a while, longer each time.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use super::settings::Ejection;

/// How an exchange with a target ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With an answer.
    Good,
    /// With an answer 5xx.
    Error,
    /// With none, or with one that broke off.
    Fault,
}

impl Ending {
    /// Of an answer that came whole.
    pub(super) fn of(status: StatusCode) -> Ending {
        if status.is_server_error() { Ending::Error } else { Ending::Good }
    }
}

/// How one address has done of late. Times are monotonic nanoseconds.
#[derive(Default)]
pub(super) struct Record {
    faults_in_a_row: AtomicU32,
    errors_in_a_row: AtomicU32,
    /// Until when it is left out.
    until: AtomicU64,
    /// How often in succession it was.
    times: AtomicU32,
    /// Since when it gets requests again; 0 = as long as anybody knows.
    since: AtomicU64,
    pub(super) faults: AtomicU64,
    pub(super) ejections: AtomicU64,
}

impl Record {
    /// Notes an ending, and says whether it is one too many.
    pub(super) fn is_too_much(&self, ending: Ending, rule: &Ejection) -> bool {
        match ending {
            Ending::Good => {
                // Read first: what is 0 already, as it mostly is, is not written by every core.
                for count in [&self.faults_in_a_row, &self.errors_in_a_row] {
                    if count.load(Ordering::Relaxed) != 0 {
                        count.store(0, Ordering::Relaxed);
                    }
                }
                false
            }
            Ending::Error => {
                self.faults_in_a_row.store(0, Ordering::Relaxed);
                let row = self.errors_in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                rule.errors > 0 && row >= rule.errors
            }
            Ending::Fault => {
                self.faults.fetch_add(1, Ordering::Relaxed);
                let row = self.faults_in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                rule.faults > 0 && row >= rule.faults
            }
        }
    }

    /// Leaves it out, and says for how long. Who decides that does so for all addresses of an upstream, one at a time.
    pub(super) fn eject(&self, now: u64, rule: &Ejection) -> Duration {
        let longest = nanos(rule.longest);
        // One that did well for as long as the longest time begins anew.
        let quiet = now.saturating_sub(self.until.load(Ordering::Relaxed)) > longest;
        let times = if quiet { 1 } else { self.times.load(Ordering::Relaxed).saturating_add(1) };
        let time = nanos(rule.time).saturating_mul(u64::from(times)).min(longest);
        self.times.store(times, Ordering::Relaxed);
        self.until.store(now.saturating_add(time), Ordering::Relaxed);
        self.since.store(now.saturating_add(time), Ordering::Relaxed);
        self.faults_in_a_row.store(0, Ordering::Relaxed);
        self.errors_in_a_row.store(0, Ordering::Relaxed);
        self.ejections.fetch_add(1, Ordering::Relaxed);
        Duration::from_nanos(time)
    }

    /// Whether it is left out now.
    pub(super) fn is_out(&self, now: u64) -> bool {
        self.until.load(Ordering::Relaxed) > now
    }

    /// It gets requests from now on.
    pub(super) fn comes_back(&self, now: u64) {
        self.since.store(now, Ordering::Relaxed);
    }

    /// The percentage of its share that it gets now: it grows from 10 to 100 over this time.
    pub(super) fn warmth(&self, now: u64, slow_start: Duration) -> u32 {
        let since = self.since.load(Ordering::Relaxed);
        let whole = nanos(slow_start);
        let passed = now.saturating_sub(since);
        if since == 0 || passed >= whole {
            return 100;
        }
        u32::try_from(u128::from(passed) * 100 / u128::from(whole)).unwrap_or(100).clamp(10, 100)
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rule() -> Ejection {
        Ejection {
            faults: 3,
            errors: 2,
            time: Duration::from_secs(10),
            longest: Duration::from_secs(25),
            ..Ejection::default()
        }
    }

    #[test]
    fn only_endings_in_a_row_count() {
        use Ending::{Error, Fault, Good};
        for (endings, too_much) in [
            (&[Fault, Fault, Fault][..], true),
            (&[Fault, Fault, Good, Fault, Fault], false),
            (&[Fault, Fault, Error, Fault], false),
            (&[Error, Error], true),
            (&[Error, Good, Error], false),
        ] {
            let record = Record::default();
            let last = endings.iter().map(|ending| record.is_too_much(*ending, &rule())).last();
            assert_eq!(last, Some(too_much), "{endings:?}");
        }
    }

    #[test]
    fn the_time_grows_to_its_longest_and_begins_anew_after_a_quiet_while() {
        let record = Record::default();
        let mut now = 100 * SECOND;
        for seconds in [10, 20, 25, 25] {
            assert_eq!(record.eject(now, &rule()).as_secs(), seconds);
            now += seconds * SECOND;
            assert!(record.is_out(now - 1) && !record.is_out(now));
        }
        assert_eq!(record.eject(now + 26 * SECOND, &rule()).as_secs(), 10);
    }

    #[test]
    fn one_that_comes_back_is_warmed_up() {
        let record = Record::default();
        let slow = Duration::from_secs(10);
        assert_eq!(record.warmth(5, slow), 100, "it was never gone");
        record.comes_back(SECOND);
        for (seconds, percent) in [(1, 10), (2, 10), (6, 50), (11, 100), (99, 100)] {
            assert_eq!(record.warmth(seconds * SECOND, slow), percent);
        }
        assert_eq!(record.warmth(SECOND, Duration::ZERO), 100);
    }
}
