//! The filter library: what the steps of a policy can be.
//!
//! It is the filters, one file each in a folder a category, and the table of them that an engine is given ([`LIBRARY`]).
//! It is no engine (`policy` runs the filters) and no place for the rules of a standard (`oauth` has those); it opens no
//! socket and no database: what a filter needs of the outside it asks for, by name, while it is built.
//!
//! It may use `policy`, `store` and `oauth`. No filter may use another filter; what several need stands in a module of
//! its own beside them.
//!
//! **A new filter** is one file here and one line in the table of its category.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests start tasks and threads, and read the clock, by themselves")
)]

mod answer;
mod auth;
mod callout;
mod content;
mod entries;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod fixture;
mod flights;
mod flow;
mod holding;
mod host_cookie;
mod http;
mod kps;
mod not_yet;
pub mod oauth;
mod oauth_client;
mod observe;
mod refusal;
mod remote_keys;
pub mod session;
#[cfg(test)]
mod stated;
mod stop;
mod stores;
mod traffic;
mod upstreams;
mod weighed;

pub use answer::{Detail, PlainAnswers};
pub use stores::{SEALER, SEALS, STORE_BROKEN, STORE_UNAVAILABLE, StoreExt, abort_from};

use policy::attribute::Attribute;
use policy::filter::{FilterKind, Library};

/// All filters of Portcullis, the attributes they set, and how policies without a style of their own are answered.
pub const LIBRARY: Library = Library {
    filters: &[
        flow::FILTERS,
        http::FILTERS,
        content::FILTERS,
        kps::FILTERS,
        traffic::FILTERS,
        observe::FILTERS,
        oauth::FILTERS,
        oauth_client::FILTERS,
        auth::FILTERS,
        session::FILTERS,
        not_yet::FILTERS,
    ],
    look_up: Some(kps::look_up),
    attributes: &ATTRIBUTES,
    plain: &PlainAnswers,
    lints: oauth::LINTS,
    settings: oauth::SETTINGS,
};

/// Those of the OAuth filters, the token that is held for a call, and how a person came back from a provider.
const ATTRIBUTES: [&dyn Attribute; oauth::ATTRIBUTES.len() + 2] = {
    let mut all: [&dyn Attribute; oauth::ATTRIBUTES.len() + 2] = [&holding::HELD; _];
    let mut index = 0;
    while index < oauth::ATTRIBUTES.len() {
        all[index] = oauth::ATTRIBUTES[index];
        index += 1;
    }
    all[index] = &oauth_client::JOURNEY;
    all
};

/// The filters that do something: those of later versions, which are known so that they can be refused, are left out.
pub fn there() -> impl Iterator<Item = &'static FilterKind> {
    LIBRARY.there()
}
