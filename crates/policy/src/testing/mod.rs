//! The files' own tests, `[[test]]`, and a fixture for unit tests of filters.

mod fixture;
#[cfg(test)]
pub(crate) mod lab;

pub use fixture::{Fixture, Plain, Ran, TestClock, TestRandom, block_on, read, request};
