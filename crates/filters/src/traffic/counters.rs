//! Schedules of many keys in bounded memory, and in bounded time for each request.
//!
//! Own, and not the `governor` crate: its keyed store grows with the keys that clients can invent until somebody calls for a
//! purge, and has no bound. Here a key costs about 50 bytes whatever its length, and there are never more than so many.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use super::gcra::{Gcra, Verdict};

/// Independent parts, each with its lock: requests of different keys seldom meet.
const SHARDS: usize = 16;

/// How many keys are looked at, at most, to find the one that gives way to a new one.
const LOOK: usize = 16;

/// The schedules of all keys of one rate limit.
pub(super) struct Counters {
    gcra: Gcra,
    shards: [Mutex<Shard>; SHARDS],
    /// Keys in a shard, at most.
    capacity: usize,
    /// Seeded at random: nobody outside can make two keys meet.
    hasher: RandomState,
}

/// Some keys, in a ring: once it is full, a hand goes round it for those that give way.
#[derive(Default)]
struct Shard {
    places: HashMap<u64, usize>,
    ring: Vec<Schedule>,
    hand: usize,
    #[cfg(test)]
    looked_at: usize,
}

/// When a key has paid for what it asked.
#[derive(Clone, Copy)]
struct Schedule {
    hash: u64,
    due: u64,
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
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let place = shard.places.get(&hash).copied();
        let verdict = self.gcra.decide(place.map_or(0, |place| shard.ring[place].due), now);
        if let Verdict::Pass { due, .. } = verdict {
            match place {
                Some(place) => shard.ring[place].due = due,
                None => shard.add(Schedule { hash, due }, now, self.capacity),
            }
        }
        verdict
    }
}

impl Shard {
    fn add(&mut self, schedule: Schedule, now: u64, capacity: usize) {
        let place = if self.ring.len() < capacity {
            self.ring.push(schedule);
            self.ring.len() - 1
        } else {
            let place = self.gives_way(now);
            self.places.remove(&self.ring[place].hash);
            self.ring[place] = schedule;
            place
        };
        self.places.insert(schedule.hash, place);
    }

    /// The first that says nothing any more; where the next few all do, the one of them that is soonest free. A key at its
    /// limit is the last of those to go, so a flood of new keys does not free it: for that, all its neighbours must be at
    /// theirs, which costs a flood the whole burst for every key that it invents.
    fn gives_way(&mut self, now: u64) -> usize {
        let mut soonest = self.hand;
        for _ in 0..LOOK.min(self.ring.len()) {
            let at = self.hand;
            self.hand = (at + 1) % self.ring.len();
            #[cfg(test)]
            {
                self.looked_at += 1;
            }
            if self.ring[at].due < self.ring[soonest].due {
                soonest = at;
            }
            if self.ring[soonest].due <= now {
                break;
            }
        }
        soonest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn passes(counters: &Counters, key: &str, now: u64) -> bool {
        matches!(counters.count(key, now), Verdict::Pass { .. })
    }

    fn sum(counters: &Counters, of: impl Fn(&Shard) -> usize) -> usize {
        counters.shards.iter().map(|shard| of(&shard.lock().expect("no panic"))).sum()
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
            assert!(!passes(&counters, "heavy", now));
        }
        let held = sum(&counters, |shard| shard.ring.len());
        assert!(held <= 160, "{held}");
        assert_eq!(sum(&counters, |shard| shard.places.len()), held, "each place is found by its key, and no other is");
    }

    /// However many keys there are, a new one costs no more than a look at a few.
    #[test]
    fn a_new_key_costs_a_look_at_a_few() {
        let counters = Counters::new(Gcra::new(10, 10 * SECOND, 10), 16_000);
        for n in 0..50_000 {
            let before = sum(&counters, |shard| shard.looked_at);
            passes(&counters, &n.to_string(), SECOND);
            let looked_at = sum(&counters, |shard| shard.looked_at) - before;
            assert!(looked_at <= LOOK, "the {n}th key: {looked_at}");
        }
        assert!(sum(&counters, |shard| shard.looked_at) > 0, "there was no room to make");
    }

    #[test]
    fn keys_that_say_nothing_any_more_go_first() {
        let counters = Counters::new(Gcra::new(1, SECOND, 1), 1_600);
        for n in 0..10_000 {
            passes(&counters, &n.to_string(), SECOND);
        }
        let before = sum(&counters, |shard| shard.looked_at);
        let later = 10 * SECOND;
        for n in 0..700 {
            passes(&counters, &format!("new {n}"), later);
        }
        assert!((0..700).all(|n| !passes(&counters, &format!("new {n}"), later)));
        assert_eq!(sum(&counters, |shard| shard.looked_at) - before, 700, "the first that is looked at goes");
    }
}
