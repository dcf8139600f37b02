//! Filters that limit traffic.

mod counters;
mod gcra;
mod rate_limit;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] = policy::filters![rate_limit,];
