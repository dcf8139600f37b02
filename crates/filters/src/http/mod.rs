//! Filters that speak HTTP: answers, headers, the upstream.

mod cache;
mod cache_control;
mod codings;
mod compress;
mod conditions;
mod cors;
mod decompress;
mod fetch;
pub(crate) mod fields;
mod follow;
mod forward;
mod lists;
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
mod statuses;
mod streams;
mod way;
mod webhook;

use policy::filter::FilterKind;

pub(crate) use fields::Side;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] = policy::filters![
    cache,
    compress,
    cors,
    decompress,
    fetch,
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
    webhook,
];
