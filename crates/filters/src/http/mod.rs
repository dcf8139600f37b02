//! Filters that speak HTTP: answers, headers, the upstream.

mod codings;
mod compress;
mod conditions;
mod cors;
mod decompress;
mod fields;
mod follow;
mod forward;
mod location;
mod origins;
mod proxy;
mod redirect;
mod remove_header;
mod respond;
mod rewrite;
mod security_headers;
mod set_body;
mod set_header;
mod set_method;
mod static_files;
mod streams;
mod way;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] = policy::filters![
    compress,
    cors,
    decompress,
    proxy,
    redirect,
    remove_header,
    respond,
    rewrite,
    security_headers,
    set_body,
    set_header,
    set_method,
    static_files,
];
