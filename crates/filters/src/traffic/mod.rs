//! Filters that limit traffic.

mod counters;
mod gcra;
mod rate_limit;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] = &[FilterKind::of::<rate_limit::Settings>()];
