//! The OAuth filters: the authorization server, and the check of its tokens. The rules are `oauth`'s; a filter carries
//! a request to them.

mod answers;
mod attributes;
mod authenticate_client;
mod check_scope;
mod client_credentials;
mod fail;
mod introspect;
mod issue_token;
mod lints;
mod live;
mod metadata;
mod request;
mod revoke_token;
mod server;
mod stop;
#[cfg(test)]
mod tests;
mod token_info;
mod token_response;
mod validate_token;

pub use answers::{ENDPOINT, RESOURCE};
pub use attributes::{ATTRIBUTES, CLIENT, GRANT, Grant, Granted, SCOPES, SUBJECT, Subject, TOKEN};
pub use lints::LINTS;
pub use server::{FILE as SERVER_FILE, MaximumLifetime, ServerSettings};

use policy::filter::FilterKind;

/// The filters of this category.
pub const FILTERS: &[FilterKind] = &[
    FilterKind::of::<authenticate_client::Settings>(),
    FilterKind::of::<client_credentials::Settings>(),
    FilterKind::of::<check_scope::Settings>(),
    FilterKind::of::<issue_token::Settings>(),
    FilterKind::of::<token_response::Settings>(),
    FilterKind::of::<validate_token::Settings>(),
    FilterKind::of::<token_info::Settings>(),
    FilterKind::of::<introspect::Settings>(),
    FilterKind::of::<revoke_token::Settings>(),
    FilterKind::of::<metadata::Settings>(),
    FilterKind::of::<fail::Settings>(),
];
