//! What the tests of policies reach of them: which steps, with which outcome, and which ways of `switch` and `any`.
//!
//! A compiled program knows what can be reached: filters state how they can end ([`Endings`](crate::filter::Endings)), the rest
//! follows from the chains. Decision records say what was.

mod stated;

pub use stated::Unstated;
