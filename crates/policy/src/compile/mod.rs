//! From files to a [`Program`](crate::engine::Program): parse, link, check along every path, build.
//!
//! `check`, `run`, reloads and tests all use [`compile`]; they differ only in the [`Resources`] they give.

mod layout;
mod shared;

pub use layout::Layout;
pub use shared::{ListenerFacts, NodeFacts, Shared};
