//! The OAuth filters: the authorization server, and the check of its tokens. The rules are `oauth`'s; a filter carries
//! a request to them.

mod answers;
mod attributes;
mod authenticate_client;
mod authorize;
mod away;
mod check_login;
mod check_scope;
mod client_credentials;
mod client_keys;
mod consent;
mod device_authorize;
mod device_verify;
mod end_session;
mod fail;
mod granted;
mod id_token;
mod introspect;
mod issue_code;
mod issue_token;
mod jwks;
mod lints;
mod live;
mod login;
mod manage_client;
mod metadata;
mod open_form;
mod pages;
mod realm;
mod redeem_code;
mod redeem_device;
mod refresh_token;
mod register_client;
mod registration;
mod request;
mod resume;
mod revoke_token;
mod server;
mod signing;
mod stop;
#[cfg(test)]
mod tests;
mod token_info;
mod token_response;
mod userinfo;
mod validate_token;

pub use answers::{AUTHORIZATION, ENDPOINT, RESOURCE};
pub use attributes::{
    ATTRIBUTES, AUTHORIZE, Authorization, CLIENT, GRANT, Grant, Granted, SCOPES, SUBJECT, Subject, TOKEN,
};
pub(crate) use attributes::{VISIT, Visit};
pub(crate) use away::Away;
pub(crate) use check_login::ACR;
pub use lints::LINTS;
pub(crate) use live::unix_seconds;
pub(crate) use realm::{NO_TOKEN, Realm};
pub use registration::RegistrationSettings;
pub(crate) use server::lockout;
pub use server::{FILE as SERVER_FILE, KeysSettings, LockoutSettings, MaximumLifetime, ServerSettings};
pub(crate) use signing::public_algorithms;
pub(crate) use stop::{Stop, refuses, settle};

use policy::filter::{FilterKind, SettingsCheck};

/// The checks of this category's settings files.
pub(crate) const SETTINGS: &[SettingsCheck] = &[server::check];

/// The filters of this category.
pub const FILTERS: &[FilterKind] = policy::filters![
    authenticate_client,
    authorize,
    check_login,
    login,
    consent,
    issue_code,
    client_credentials,
    redeem_code,
    redeem_device,
    device_authorize,
    device_verify,
    open_form,
    granted,
    refresh_token,
    check_scope,
    issue_token,
    id_token,
    token_response,
    userinfo,
    end_session,
    validate_token,
    token_info,
    introspect,
    revoke_token,
    metadata,
    jwks,
    register_client,
    manage_client,
    fail,
];
