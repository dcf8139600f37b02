//! OAuth 2.0's rules as pure functions and types: no async, no I/O, no clock, no randomness of its own.
//!
//! It may use none of our other crates. Time is an argument (Unix seconds), random bytes are arguments.
//!
//! One file a matter, with the RFC's sections in the names of its tests; the filters in `filters/oauth` only carry
//! requests to these rules and their results back.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests start tasks and threads, and read the clock, by themselves")
)]

pub mod authorization;
pub mod basic;
pub mod bearer;
pub mod claims_request;
pub mod client_assertion;
pub mod client_auth;
pub mod code;
pub mod credential;
pub mod device;
pub mod end_session;
pub mod error;
pub mod id;
pub mod introspection;
pub mod jose;
pub mod jwt_access_token;
pub mod keys_uri;
pub mod message_signature;
pub mod metadata;
pub mod openid;
pub mod parameters;
pub mod pkce;
pub mod provider;
pub mod redirect_uri;
pub mod refresh;
pub mod registration;
pub mod revocation;
pub mod scope;
pub mod secret;
mod text;
pub mod token;
pub mod token_endpoint;
pub mod token_info;

pub use error::{Error, ErrorCode};
pub use id::{ClientId, GrantId};
pub use metadata::Issuer;
pub use scope::Scopes;
pub use secret::Secret;
