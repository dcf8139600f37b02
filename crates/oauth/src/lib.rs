//! OAuth 2.0's rules as pure functions and types: no async, no I/O, no clock, no randomness of its own.
//!
//! It may use none of our other crates. Time is an argument (Unix seconds), random bytes are arguments.

pub mod id;
pub mod scope;
pub mod secret;
pub mod token;

pub use id::{ClientId, GrantId};
pub use scope::Scopes;
pub use secret::Secret;
