//! Stores and data sources: where records are kept.
//!
//! A [`DataSource`] implements a few atomic verbs over plain rows and knows no OAuth, no JSON and no clock.
//! Above it the typed stores ([`AccessTokens`], [`Clients`]) write once what is delicate: hashing, codec, expiry, revocation,
//! cache. It may use `oauth`, and none of our other crates.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests start tasks and threads, and read the clock, by themselves")
)]

pub mod access_tokens;
pub mod alarm;
pub mod authz_codes;
mod breaker;
pub mod cached;
pub mod client_access_tokens;
pub mod clients;
mod codec;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod consents;
pub mod counters;
pub mod device_codes;
mod epochs;
pub mod foreign;
pub mod guard;
pub mod handle;
pub mod heartbeat;
mod hex;
pub mod kps;
mod lane;
pub mod mapping;
pub mod migration;
pub mod moving;
pub mod purge;
pub mod record;
pub mod replay;
mod reseal;
pub mod seal;
mod seldom;
pub mod sessions;
pub mod signing_keys;
pub mod source;
pub mod sources;
mod successor;
pub mod tables;
#[cfg(test)]
mod testing;
pub mod users;
pub mod watch;

pub use access_tokens::AccessTokens;
pub use authz_codes::AuthzCodes;
pub use client_access_tokens::ClientAccessTokens;
pub use clients::Clients;
pub use consents::Consents;
pub use counters::Counters;
pub use device_codes::DeviceCodes;
pub use handle::{Kind, StoreHandle};
pub use hex::hex;
pub use kps::Kps;
pub use lane::{hash_chosen, known_hash};
pub use mapping::{Mapping, Opened};
pub use purge::Purger;
pub use record::{AccessToken, Client, Introspects};
pub use replay::Replay;
pub use reseal::Resealed;
pub use sessions::{Session, Sessions};
pub use signing_keys::SigningKeys;
pub use source::{DataSource, StoreError};
pub use users::{Proof, User, Users};

/// The identifiers, scopes, secrets and tokens that the stores speak of: for those who may use this crate and not `oauth` itself.
pub use oauth;
