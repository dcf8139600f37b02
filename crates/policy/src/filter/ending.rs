//! How a filter can end other than well, as it states while it is built.
//!
//! The statement stands in code because the filter alone knows: reference pages print it, and coverage asks of the tests of a
//! policy that each way out of a filter was taken once. A filter that ends otherwise is found by its own unit tests, and by
//! `portcullis test --coverage`.

use crate::outcome::ReasonCode;

/// A failure or a fault that a filter can end in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Which.
    pub code: ReasonCode,
    /// It takes something out of the ordinary: a body that breaks off, a text where a number was to be, a line end in a header.
    /// It is possible, and no test of a policy has to show it.
    pub rare: bool,
}

/// Failures or faults, each once.
#[derive(Clone, Debug, Default)]
pub struct Endings(Vec<Ending>);

impl Endings {
    /// Adds one; what is stated both ways is not rare.
    pub(crate) fn add(&mut self, code: ReasonCode, rare: bool) {
        match self.0.iter_mut().find(|known| known.code == code) {
            Some(known) => known.rare &= rare,
            None => self.0.push(Ending { code, rare }),
        }
    }

    /// All of them, in the order in which they were stated.
    pub fn iter(&self) -> impl Iterator<Item = Ending> {
        self.0.iter().copied()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// There is one that a test is to show.
    pub(crate) fn are_for_tests(&self) -> bool {
        self.0.iter().any(|ending| !ending.rare)
    }
}
