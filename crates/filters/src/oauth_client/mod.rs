//! The `oauth-client` filters: tokens that the gateway holds for its own calls, as a client of other authorization servers.

mod delete_token;
mod get_token;
mod refresh_token;
mod target;
#[cfg(test)]
mod tests;

use policy::filter::FilterKind;

/// The filters of this category.
pub(crate) const FILTERS: &[FilterKind] = policy::filters![get_token, refresh_token, delete_token];
