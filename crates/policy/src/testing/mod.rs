//! The files' own tests, `[[test]]`, and a fixture for unit tests of filters.
//!
//! `file` reads what stands in the files, by types that the JSON Schema comes from too; `model` is what is left of it; `run` carries
//! a test out in a [`World`] and compares.

#[cfg(test)]
pub(crate) mod dice;
mod file;
mod fixture;
#[cfg(test)]
pub(crate) mod lab;
mod model;
mod run;
#[cfg(test)]
mod tests;

pub use file::{
    Elsewhere, ExpectTable, Expected, ExpectedHeader, ExpectedOutcome, ExpectedRecords, ForwardedTable, Named, OrCase,
    RequestTable, Scalar, StepTable, TestTable, Texts, tests, tests_in,
};
pub use fixture::{Fixture, Plain, Ran, TestClock, TestRandom, block_on, read, request};
pub use model::{Given, Test};
pub use run::{Received, Stage, Verdict, World};
