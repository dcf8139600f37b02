//! Filters that speak HTTP: answers, headers, the upstream.

mod cache;
mod fetch;
pub(crate) mod fields;
mod follow;
mod forward;
mod location;
mod path;
mod proxy;
mod remove_header;
mod respond;
mod security_headers;
mod set_header;
mod statuses;
mod streams;
mod way;
mod webhook;

use policy::filter::FilterKind;

pub(crate) use fields::Side;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] =
    policy::filters![cache, fetch, proxy, remove_header, respond, security_headers, set_header, webhook,];
