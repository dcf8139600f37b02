//! Schedules of many keys in bounded memory.
//!
//! Own, and not the `governor` crate: its keyed store grows with the keys that clients can invent until somebody calls for a
//! purge, and has no bound. Here a key costs 16 bytes whatever its length, and there are never more than so many.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use super::gcra::{Gcra, Verdict};

/// Independent parts, each with its lock: requests of different keys seldom meet.
const SHARDS: usize = 16;

/// The schedules of all keys of one rate limit.
pub(super) struct Counters {
    gcra: Gcra,
    shards: [Mutex<HashMap<u64, u64>>; SHARDS],
    /// Keys in a shard, at most.
    capacity: usize,
    /// Seeded at random: nobody outside can make two keys meet.
    hasher: RandomState,
}

impl Counters {
    /// For at most about `keys` keys at a time.
    pub(super) fn new(gcra: Gcra, keys: usize) -> Self {
        let capacity = keys.div_ceil(SHARDS).max(8);
        Counters { gcra, shards: Default::default(), capacity, hasher: RandomState::new() }
    }

    /// Counts a request of this key at `now` (monotonic nanoseconds), where it may pass.
    pub(super) fn count(&self, key: &str, now: u64) -> Verdict {
        let hash = self.hasher.hash_one(key);
        let shard = &self.shards[(hash % SHARDS as u64) as usize];
        let mut schedules = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let due = schedules.get(&hash).copied();
        let verdict = self.gcra.decide(due.unwrap_or(0), now);
        if let Verdict::Pass { due: next, .. } = verdict {
            if due.is_none() && schedules.len() >= self.capacity {
                make_room(&mut schedules, now, self.capacity);
            }
            schedules.insert(hash, next);
        }
        verdict
    }
}

/// Drops what says nothing any more; where that is not enough, those whose schedule is soonest free. The keys that are at
/// their limit stay: a flood of new keys frees nobody.
fn make_room(schedules: &mut HashMap<u64, u64>, now: u64, capacity: usize) {
    schedules.retain(|_, due| *due > now);
    // An eighth at a time, so that the next requests need not search again.
    let wanted = capacity - (capacity / 8).max(1);
    if schedules.len() > wanted {
        let mut dues: Vec<u64> = schedules.values().copied().collect();
        let excess = schedules.len() - wanted;
        let (_, bound, _) = dues.select_nth_unstable(excess - 1);
        let bound = *bound;
        let mut left = excess;
        schedules.retain(|_, due| {
            let goes = *due <= bound && left > 0;
            left -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn passes(counters: &Counters, key: &str, now: u64) -> bool {
        matches!(counters.count(key, now), Verdict::Pass { .. })
    }

    fn held(counters: &Counters) -> usize {
        counters.shards.iter().map(|shard| shard.lock().expect("no panic").len()).sum()
    }

    #[test]
    fn keys_are_counted_apart() {
        let counters = Counters::new(Gcra::new(1, SECOND, 1), 100);
        assert!(passes(&counters, "a", SECOND));
        assert!(!passes(&counters, "a", SECOND));
        assert!(passes(&counters, "b", SECOND));
        assert!(passes(&counters, "a", 2 * SECOND));
    }

    #[test]
    fn a_flood_of_keys_neither_grows_the_memory_nor_frees_who_is_at_the_limit() {
        let counters = Counters::new(Gcra::new(10, 10 * SECOND, 10), 160);
        let now = SECOND;
        assert!((0..10).all(|_| passes(&counters, "heavy", now)));
        for n in 0..20_000 {
            assert!(passes(&counters, &format!("flood {n}"), now));
        }
        assert!(held(&counters) <= 160, "{}", held(&counters));
        assert!(!passes(&counters, "heavy", now));
    }

    #[test]
    fn keys_that_say_nothing_any_more_go_first() {
        let counters = Counters::new(Gcra::new(1, SECOND, 1), 1_600);
        for n in 0..10_000 {
            passes(&counters, &n.to_string(), SECOND);
        }
        assert!(held(&counters) > 1_000, "{}", held(&counters));
        let later = 10 * SECOND;
        for n in 0..700 {
            passes(&counters, &format!("new {n}"), later);
        }
        assert!((0..700).all(|n| !passes(&counters, &format!("new {n}"), later)));
        assert_eq!(held(&counters), 700);
    }
}
