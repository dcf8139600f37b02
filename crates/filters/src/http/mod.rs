//! Filters that speak HTTP: answers, headers, the upstream.

mod fields;
mod forward;
mod proxy;
mod remove_header;
mod respond;
mod security_headers;
mod set_header;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] = &[
    FilterKind::of::<proxy::Settings>(),
    FilterKind::of::<remove_header::Settings>(),
    FilterKind::of::<respond::Settings>(),
    FilterKind::of::<security_headers::Settings>(),
    FilterKind::of::<set_header::Settings>(),
];
