//! What the tests of policies reach of them: which steps, with which outcome, and which ways of `switch` and `any`.
//!
//! A compiled program knows what can be reached: filters state how they can end ([`Endings`](crate::filter::Endings)), the rest
//! follows from the chains (`compile/ends.rs`). Decision records say what was. What is counted, and what is not, is decided in
//! `docs/decisions/0008-what-coverage-counts.md`.

mod lcov;
mod reach;
mod stated;
#[cfg(test)]
mod tests;

pub use lcov::lcov;
pub use reach::{ChainCoverage, Coverage, Item, PolicyCoverage, StepCoverage};
pub use stated::Unstated;
