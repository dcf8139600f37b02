//! Bounded memory for what filters keep: by bytes, with the least used going first.

use std::hash::Hash;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

/// A cache of so many bytes. It is cut into parts that are locked apart; each is to hold some of the largest items there can be.
pub(crate) fn weighed<K, V, W>(size: u64, largest: u64, weighter: W) -> Cache<K, V, W>
where
    K: Eq + Hash + Clone,
    V: Clone,
    W: Weighter<K, V> + Clone,
{
    let parts = (size / largest.saturating_mul(4).max(1)).clamp(1, 64);
    let items = usize::try_from(size / 2_048).unwrap_or(usize::MAX).clamp(16, 1 << 24);
    let options = OptionsBuilder::new()
        .shards(usize::try_from(parts).unwrap_or(1))
        .estimated_items_capacity(items)
        .weight_capacity(size)
        .build();
    // The options are complete: this cannot fail.
    let options = options.expect("a capacity in items and one in bytes");
    Cache::with_options(options, weighter, Default::default(), DefaultLifecycle::default())
}
