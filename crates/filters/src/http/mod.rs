//! Filters that speak HTTP: answers, headers, the upstream.

pub(crate) mod fields;
mod follow;
mod forward;
mod location;
mod proxy;
mod remove_header;
mod respond;
mod security_headers;
mod set_header;
mod streams;
mod way;

use policy::filter::FilterKind;

pub(crate) use fields::Side;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] =
    policy::filters![proxy, remove_header, respond, security_headers, set_header,];
