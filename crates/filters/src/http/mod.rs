//! Filters that speak HTTP: answers, headers, the upstream.

mod fields;
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

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] =
    policy::filters![proxy, remove_header, respond, security_headers, set_header,];
