//! Something for each of many keys in bounded memory, and in bounded time for each request.
//!
//! Own, and not the `governor` crate: its keyed store grows with the keys that clients can invent until somebody calls for a
//! purge, and has no bound. Here a key costs the same whatever its length, and there are never more than so many.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

/// Independent parts, each with its lock: requests of different keys seldom meet.
const SHARDS: usize = 16;

/// How many keys are looked at, at most, to find the one that gives way to a new one.
const LOOK: usize = 16;

/// What is kept of one key.
pub(super) trait Entry: Default {
    /// From when on it says nothing any more (monotonic nanoseconds): a new key may take its place.
    fn free_at(&self) -> u64;
}

/// What is kept of all keys of one filter.
pub(super) struct Keyed<T> {
    shards: [Mutex<Shard<T>>; SHARDS],
    /// Keys in a shard, at most.
    capacity: usize,
    /// Seeded at random: nobody outside can make two keys meet.
    hasher: RandomState,
}

/// Some keys, in a ring: once it is full, a hand goes round it for those that give way.
struct Shard<T> {
    places: HashMap<u64, usize>,
    ring: Vec<(u64, T)>,
    hand: usize,
    #[cfg(test)]
    looked_at: usize,
}

impl<T> Default for Shard<T> {
    fn default() -> Self {
        Shard {
            places: HashMap::new(),
            ring: Vec::new(),
            hand: 0,
            #[cfg(test)]
            looked_at: 0,
        }
    }
}

impl<T: Entry> Keyed<T> {
    /// For at most about `keys` keys at a time.
    pub(super) fn new(keys: usize) -> Self {
        let capacity = keys.div_ceil(SHARDS).max(8);
        Keyed { shards: std::array::from_fn(|_| Mutex::default()), capacity, hasher: RandomState::new() }
    }

    /// Works with what is kept of this key at `now` (monotonic nanoseconds); a new one begins with nothing.
    pub(super) fn with<R>(&self, key: &str, now: u64, work: impl FnOnce(&mut T) -> R) -> R {
        let hash = self.hasher.hash_one(key);
        let shard = &self.shards[(hash % SHARDS as u64) as usize];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shard.places.get(&hash).copied();
        let place = known.unwrap_or_else(|| shard.add(hash, now, self.capacity));
        work(&mut shard.ring[place].1)
    }
}

impl<T: Entry> Shard<T> {
    fn add(&mut self, hash: u64, now: u64, capacity: usize) -> usize {
        let new = (hash, T::default());
        let place = if self.ring.len() < capacity {
            self.ring.push(new);
            self.ring.len() - 1
        } else {
            let place = self.gives_way(now);
            self.places.remove(&self.ring[place].0);
            self.ring[place] = new;
            place
        };
        self.places.insert(hash, place);
        place
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
            if self.ring[at].1.free_at() < self.ring[soonest].1.free_at() {
                soonest = at;
            }
            if self.ring[soonest].1.free_at() <= now {
                break;
            }
        }
        soonest
    }
}

#[cfg(test)]
mod tests {
    use super::super::gcra::{Due, Gcra, Verdict};
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn passes(gcra: Gcra, keyed: &Keyed<Due>, key: &str, now: u64) -> bool {
        keyed.with(key, now, |due| matches!(gcra.decide(due, now), Verdict::Pass { .. }))
    }

    fn sum(keyed: &Keyed<Due>, of: impl Fn(&Shard<Due>) -> usize) -> usize {
        keyed.shards.iter().map(|shard| of(&shard.lock().expect("no panic"))).sum()
    }

    #[test]
    fn keys_are_counted_apart() {
        let (gcra, keyed) = (Gcra::new(1, SECOND, 1), Keyed::new(100));
        assert!(passes(gcra, &keyed, "a", SECOND));
        assert!(!passes(gcra, &keyed, "a", SECOND));
        assert!(passes(gcra, &keyed, "b", SECOND));
        assert!(passes(gcra, &keyed, "a", 2 * SECOND));
    }

    #[test]
    fn a_flood_of_keys_neither_grows_the_memory_nor_frees_who_is_at_the_limit() {
        let (gcra, keyed) = (Gcra::new(10, 10 * SECOND, 10), Keyed::new(160));
        let now = SECOND;
        assert!((0..10).all(|_| passes(gcra, &keyed, "heavy", now)));
        for n in 0..20_000 {
            assert!(passes(gcra, &keyed, &format!("flood {n}"), now));
            assert!(!passes(gcra, &keyed, "heavy", now));
        }
        let held = sum(&keyed, |shard| shard.ring.len());
        assert!(held <= 160, "{held}");
        assert_eq!(sum(&keyed, |shard| shard.places.len()), held, "each place is found by its key, and no other is");
    }

    /// However many keys there are, a new one costs no more than a look at a few.
    #[test]
    fn a_new_key_costs_a_look_at_a_few() {
        let (gcra, keyed) = (Gcra::new(10, 10 * SECOND, 10), Keyed::new(16_000));
        for n in 0..50_000 {
            let before = sum(&keyed, |shard| shard.looked_at);
            passes(gcra, &keyed, &n.to_string(), SECOND);
            let looked_at = sum(&keyed, |shard| shard.looked_at) - before;
            assert!(looked_at <= LOOK, "the {n}th key: {looked_at}");
        }
        assert!(sum(&keyed, |shard| shard.looked_at) > 0, "there was no room to make");
    }

    #[test]
    fn keys_that_say_nothing_any_more_go_first() {
        let (gcra, keyed) = (Gcra::new(1, SECOND, 1), Keyed::new(1_600));
        for n in 0..10_000 {
            passes(gcra, &keyed, &n.to_string(), SECOND);
        }
        let before = sum(&keyed, |shard| shard.looked_at);
        let later = 10 * SECOND;
        for n in 0..700 {
            passes(gcra, &keyed, &format!("new {n}"), later);
        }
        assert!((0..700).all(|n| !passes(gcra, &keyed, &format!("new {n}"), later)));
        assert_eq!(sum(&keyed, |shard| shard.looked_at) - before, 700, "the first that is looked at goes");
    }
}
