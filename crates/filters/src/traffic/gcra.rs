//! The generic cell rate algorithm, as a virtual schedule: one number a key says when its next request would be due if all
//! kept to the rate. (ITU-T I.371; in other words, a leaky bucket that needs no ticking.)

use super::keyed::Entry;

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

/// When a key has paid for what it asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Due(pub(super) u64);

impl Entry for Due {
    fn free_at(&self) -> u64 {
        self.0
    }
}

/// What is said of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may pass.
    Pass {
        /// How many more could pass at once.
        remaining: u64,
        /// Nanoseconds until as many as ever could.
        full_in: u64,
    },
    /// It may not.
    Wait {
        /// Nanoseconds until it could pass.
        retry_in: u64,
        /// Nanoseconds until as many as ever could.
        full_in: u64,
    },
}

/// Some of what there was at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// How many were taken.
    pub(super) count: u32,
    /// The schedule then.
    pub(super) due: u64,
    /// How many more could be taken at once.
    pub(super) left: u64,
    /// Nanoseconds until one could be taken, where none could.
    pub(super) retry_in: u64,
    /// Nanoseconds until the whole burst is there again.
    pub(super) full_in: u64,
}

impl Gcra {
    /// So many within that time, and at most `burst` at once.
    pub(super) fn new(count: u32, per_nanos: u64, burst: u32) -> Self {
        // At least a nanosecond: the clock cannot tell faster rates apart.
        let interval = (per_nanos / u64::from(count.max(1))).clamp(1, LONGEST);
        let ahead = interval.saturating_mul(u64::from(burst.max(1))).min(LONGEST);
        Gcra { interval, ahead }
    }

    /// An equal share for each of so many nodes: the rate divided, and the burst, of which each has one at least.
    pub(super) fn share(&self, nodes: u32) -> Gcra {
        let nodes = u64::from(nodes.max(1));
        let interval = self.interval.saturating_mul(nodes).min(LONGEST);
        let burst = (self.burst() / nodes).max(1);
        Gcra { interval, ahead: interval.saturating_mul(burst).min(LONGEST) }
    }

    /// How many may come at once after a pause.
    pub(super) fn burst(&self) -> u64 {
        self.ahead / self.interval
    }

    /// Nanoseconds that so many take at the rate.
    pub(super) fn time_of(&self, count: u32) -> u64 {
        self.interval.saturating_mul(count.into()).min(LONGEST)
    }

    /// How far the schedule may run ahead, in nanoseconds.
    pub(super) fn ahead(&self) -> u64 {
        self.ahead
    }

    /// Takes at most so many at `now` for a key whose schedule is `due` (0: a new key).
    pub(super) fn take(&self, due: u64, now: u64, wanted: u32) -> Taken {
        let base = due.max(now);
        let room = self.ahead.saturating_sub(base - now) / self.interval;
        let count = u32::try_from(room).unwrap_or(u32::MAX).min(wanted);
        let due = base.saturating_add(self.time_of(count));
        let retry_in = if room == 0 { (base - now + self.interval).saturating_sub(self.ahead) } else { 0 };
        Taken { count, due, left: room - u64::from(count), retry_in, full_in: due - now }
    }

    /// Decides on a request at `now`; the schedule goes on where it may pass.
    pub(super) fn decide(&self, due: &mut Due, now: u64) -> Verdict {
        let taken = self.take(due.0, now, 1);
        if taken.count == 0 {
            return Verdict::Wait { retry_in: taken.retry_in, full_in: taken.full_in };
        }
        due.0 = taken.due;
        Verdict::Pass { remaining: taken.left, full_in: taken.full_in }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// How many of requests at these times pass.
    fn passed(gcra: Gcra, times: impl IntoIterator<Item = u64>) -> usize {
        let mut due = Due(0);
        times.into_iter().filter(|now| matches!(gcra.decide(&mut due, *now), Verdict::Pass { .. })).count()
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
        let mut due = Due(0);
        assert_eq!(gcra.decide(&mut due, SECOND), Verdict::Pass { remaining: 1, full_in: SECOND / 2 });
        assert_eq!(gcra.decide(&mut due, SECOND), Verdict::Pass { remaining: 0, full_in: SECOND });
        assert_eq!(gcra.decide(&mut due, SECOND), Verdict::Wait { retry_in: SECOND / 2, full_in: SECOND });
        assert!(matches!(gcra.decide(&mut due, SECOND + SECOND / 2), Verdict::Pass { remaining: 0, .. }));
    }

    #[test]
    fn several_are_taken_as_far_as_there_are_some() {
        let gcra = Gcra::new(10, SECOND, 10);
        let some = gcra.take(0, SECOND, 4);
        assert_eq!((some.count, some.left, some.full_in), (4, 6, 4 * SECOND / 10));
        let rest = gcra.take(some.due, SECOND, 9);
        assert_eq!((rest.count, rest.left, rest.due), (6, 0, 2 * SECOND));
        let none = gcra.take(rest.due, SECOND, 1);
        assert_eq!((none.count, none.due, none.retry_in), (0, rest.due, SECOND / 10));
    }

    #[test]
    fn the_shares_of_all_nodes_are_the_whole() {
        for (gcra, nodes, burst, one) in [
            (Gcra::new(100, SECOND, 100), 4, 25, SECOND / 25),
            (Gcra::new(100, SECOND, 3), 2, 1, SECOND / 50),
            (Gcra::new(100, SECOND, 1), 1, 1, SECOND / 100),
        ] {
            let share = gcra.share(nodes);
            assert_eq!((share.burst(), share.time_of(1)), (burst, one));
        }
    }

    #[test]
    fn extreme_rates_neither_panic_nor_let_everything_through() {
        assert_eq!(passed(Gcra::new(u32::MAX, 1, u32::MAX), [u64::MAX - 1, u64::MAX]), 2);
        assert_eq!(passed(Gcra::new(1, u64::MAX, 1), [1, 2, 1 << 61]), 1);
    }

    /// At whatever times requests come: in no time of any length do more pass than the burst and what the rate gives in it.
    #[test]
    fn in_no_window_do_more_pass_than_the_burst_and_the_rate() {
        let mut state = 7_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..200 {
            let (count, burst) = (1 + random(50) as u32, 1 + random(50) as u32);
            let gcra = Gcra::new(count, SECOND, burst);
            let (mut now, mut due, mut passed) = (SECOND, Due(0), Vec::new());
            for _ in 0..400 {
                now += random(3) * random(40_000_000);
                if let Verdict::Pass { .. } = gcra.decide(&mut due, now) {
                    passed.push(now);
                }
            }
            for (first, start) in passed.iter().enumerate() {
                for (last, end) in passed.iter().enumerate().skip(first) {
                    let most = u64::from(burst) + (end - start) / gcra.time_of(1);
                    assert!((last - first + 1) as u64 <= most, "{count}/1s, burst {burst}: {start} to {end}");
                }
            }
        }
    }
}
