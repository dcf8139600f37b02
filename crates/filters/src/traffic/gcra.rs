//! The generic cell rate algorithm, as a virtual schedule: one number a key says when its next request would be due if all
//! kept to the rate. (ITU-T I.371; in other words, a leaky bucket that needs no ticking.)

/// 146 years: no schedule runs further ahead, so that sums with the clock cannot overflow.
const LONGEST: u64 = 1 << 62;

/// A rate with a burst, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Gcra {
    /// Between two requests at the rate.
    interval: u64,
    /// How far the schedule may run ahead: the burst, at the rate.
    ahead: u64,
}

/// What the algorithm says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may pass; the schedule then is this.
    Pass {
        /// When the next request would be due.
        due: u64,
        /// How many more could pass at once.
        remaining: u64,
        /// Nanoseconds until the whole burst is there again.
        full_in: u64,
    },
    /// It may not, and the schedule stays.
    Wait {
        /// Nanoseconds until it could pass.
        retry_in: u64,
        /// Nanoseconds until the whole burst is there again.
        full_in: u64,
    },
}

impl Gcra {
    /// So many within that time, and at most `burst` at once.
    pub(super) fn new(count: u32, per_nanos: u64, burst: u32) -> Self {
        // At least a nanosecond: the clock cannot tell faster rates apart.
        let interval = (per_nanos / u64::from(count.max(1))).clamp(1, LONGEST);
        let ahead = interval.saturating_mul(u64::from(burst.max(1))).min(LONGEST);
        Gcra { interval, ahead }
    }

    /// Decides on a request at `now` for a key whose schedule is `due` (0: a new key).
    pub(super) fn decide(&self, due: u64, now: u64) -> Verdict {
        let next = due.max(now).saturating_add(self.interval);
        let full_in = next - now;
        match full_in.checked_sub(self.ahead) {
            None | Some(0) => Verdict::Pass { due: next, remaining: (self.ahead - full_in) / self.interval, full_in },
            Some(retry_in) => Verdict::Wait { retry_in, full_in: full_in - self.interval },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// How many of requests at these times pass.
    fn passed(gcra: Gcra, times: impl IntoIterator<Item = u64>) -> usize {
        let mut due = 0;
        let mut passed = 0;
        for now in times {
            if let Verdict::Pass { due: next, .. } = gcra.decide(due, now) {
                due = next;
                passed += 1;
            }
        }
        passed
    }

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate() {
        let gcra = Gcra::new(10, SECOND, 5);
        let start = 7 * SECOND;
        assert_eq!(passed(gcra, std::iter::repeat_n(start, 100)), 5);
        // Ten seconds of one request a millisecond: the burst, and ten a second.
        assert_eq!(passed(gcra, (0..10_000).map(|ms| start + ms * 1_000_000)), 5 + 99);
        // At exactly the rate, all.
        assert_eq!(passed(gcra, (0..50).map(|n| start + n * SECOND / 10)), 50);
    }

    #[test]
    fn what_is_left_and_when_to_come_back_are_told() {
        let gcra = Gcra::new(2, SECOND, 2);
        let first = gcra.decide(0, SECOND);
        assert_eq!(first, Verdict::Pass { due: SECOND + SECOND / 2, remaining: 1, full_in: SECOND / 2 });
        let second = gcra.decide(SECOND + SECOND / 2, SECOND);
        assert_eq!(second, Verdict::Pass { due: 2 * SECOND, remaining: 0, full_in: SECOND });
        let third = gcra.decide(2 * SECOND, SECOND);
        assert_eq!(third, Verdict::Wait { retry_in: SECOND / 2, full_in: SECOND });
        assert!(matches!(gcra.decide(2 * SECOND, SECOND + SECOND / 2), Verdict::Pass { remaining: 0, .. }));
    }

    #[test]
    fn extreme_rates_neither_panic_nor_let_everything_through() {
        assert_eq!(passed(Gcra::new(u32::MAX, 1, u32::MAX), [u64::MAX - 1, u64::MAX]), 2);
        assert_eq!(passed(Gcra::new(1, u64::MAX, 1), [1, 2, 1 << 61]), 1);
    }
}
