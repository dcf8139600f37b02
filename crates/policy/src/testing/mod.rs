//! The files' own tests, `[[test]]`, and a fixture for unit tests of filters.

#[cfg(test)]
pub(crate) mod dice;
mod fixture;
#[cfg(test)]
pub(crate) mod lab;
mod run;
mod test;
#[cfg(test)]
mod tests;

pub use fixture::{Fixture, Plain, Ran, TestClock, TestRandom, block_on, read, request};
pub use run::{Stage, Verdict, World};
pub use test::{Given, Test, tests};
