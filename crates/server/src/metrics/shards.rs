//! Counters that every request touches: each thread adds to numbers of its own, and whoever reads adds them up. No two cores write
//! to one line of their caches, and nothing is locked.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// More threads than these share numbers.
const SHARDS: usize = 16;

thread_local! {
    static SHARD: Cell<Option<usize>> = const { Cell::new(None) };
}

/// `N` counters, kept once a thread that ever added to them.
#[derive(Debug)]
pub(crate) struct Sharded<const N: usize>([OnceLock<Box<Shard<N>>>; SHARDS]);

/// Two lines of a cache: processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Shard<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Sharded<N> {
    fn default() -> Self {
        Sharded(std::array::from_fn(|_| OnceLock::new()))
    }
}

impl<const N: usize> Sharded<N> {
    /// Adds to the counter with this index. What was added can be taken off again by the negative of it, wrapped.
    pub(crate) fn add(&self, index: usize, amount: u64) {
        self.mine()[index].fetch_add(amount, Ordering::Relaxed);
    }

    /// Adds one to each of these.
    pub(crate) fn count<const M: usize>(&self, indices: [usize; M]) {
        let mine = self.mine();
        indices.into_iter().for_each(|index| {
            mine[index].fetch_add(1, Ordering::Relaxed);
        });
    }

    /// The sums.
    pub(crate) fn sums(&self) -> [u64; N] {
        let mut sums = [0_u64; N];
        for shard in self.0.iter().filter_map(OnceLock::get) {
            for (sum, counter) in sums.iter_mut().zip(&shard.0) {
                *sum = sum.wrapping_add(counter.load(Ordering::Relaxed));
            }
        }
        sums
    }

    fn mine(&self) -> &[AtomicU64; N] {
        let shard = &self.0[shard()];
        &shard.get_or_init(|| Box::new(Shard(std::array::from_fn(|_| AtomicU64::new(0))))).0
    }
}

/// This thread's number.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    SHARD.with(|shard| {
        shard.get().unwrap_or_else(|| {
            let mine = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
            shard.set(Some(mine));
            mine
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_add_is_added_up() {
        let counters = Sharded::<3>::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                #[allow(clippy::disallowed_methods, reason = "a test of threads")]
                scope.spawn(|| (0..1_000).for_each(|_| counters.count([0, 2])));
            }
        });
        counters.add(1, 5);
        counters.add(1, 2_u64.wrapping_neg());
        assert_eq!(counters.sums(), [2_000 * SHARDS as u64, 3, 2_000 * SHARDS as u64]);
    }
}
