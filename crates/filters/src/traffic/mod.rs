//! Filters that limit traffic.

mod circuit_breaker;
mod concurrency_limit;
mod delay;
mod gcra;
mod keyed;
mod leases;
mod limits;
mod quota;
mod rate_limit;
mod sending;
mod windows;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] =
    policy::filters![rate_limit, quota, concurrency_limit, circuit_breaker, delay];
