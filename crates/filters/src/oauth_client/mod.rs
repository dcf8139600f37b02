//! The `oauth-client` filters: tokens that the gateway holds for its own calls, as a client of other authorization servers.

mod callback;
mod delete_token;
mod get_token;
mod journey;
mod redirect;
mod refresh_token;
mod save_token;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use self::journey::JOURNEY;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] =
    policy::filters![get_token, redirect, callback, save_token, refresh_token, delete_token];
