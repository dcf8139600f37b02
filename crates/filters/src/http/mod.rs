//! Filters that speak HTTP: answers, headers, the upstream.

mod cors;
mod fields;
mod forward;
mod origins;
mod proxy;
mod remove_header;
mod respond;
mod security_headers;
mod set_header;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] =
    policy::filters![cors, proxy, remove_header, respond, security_headers, set_header,];
