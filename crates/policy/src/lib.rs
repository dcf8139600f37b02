//! The policy engine: it reads policy files, checks and compiles them into a [`Program`](engine::Program), and runs
//! chains of filters over an [`Exchange`].
//!
//! It knows no socket, no database and no OAuth. What it needs from outside it asks through the ports in [`ports`];
//! what filters there are, the caller says with a [`Library`](filter::Library). It may use none of our other crates.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests start tasks and threads, and read the clock, by themselves")
)]

pub mod attribute;
pub mod compile;
pub mod coverage;
pub mod diagnostic;
pub mod engine;
pub mod exchange;
pub mod filter;
pub mod lint;
pub mod mutants;
pub mod outcome;
pub mod outline;
pub mod ports;
pub mod reader;
pub mod route;
pub mod schema;
pub mod selector;
pub mod settings;
pub mod testing;
pub mod value;

pub use attribute::{Field, Key, Slot};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use exchange::{Body, Exchange, Request, Response};
pub use filter::{BuildContext, Filter, FilterConfig};
pub use outcome::{Abort, Outcome, Reason, ReasonCode};
pub use selector::{Dynamic, Getter};
pub use value::Value;
