//! Mutants: a compiled policy with one thing in it changed for the worse. Tests that notice nothing of the change say nothing of
//! what was changed.
//!
//! A mutant is no other file and no other compilation: a piece of the compiled program is exchanged for another, the tests run,
//! and it is exchanged back. So the served program pays nothing for it, and hundreds of mutants take no longer than their tests.

mod apply;
mod broken;
mod explained;
mod list;
#[cfg(test)]
mod tests;

pub use apply::Mutated;
pub use explained::{Explanation, explanations};

use crate::engine::Decision;
use crate::engine::decision::{Record, StepOutcome};

/// One change of one policy.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// The policy.
    pub policy: String,
    /// Its file, relative to the configuration folder.
    pub file: String,
    /// Where what is changed stands.
    pub line: usize,
    /// The name of the filter that is changed (default: its `use`), or of the policy's own chain: `on_failure`.
    pub name: String,
    /// What is changed.
    change: Change,
    at: At,
}

/// A step of a compiled program.
#[derive(Clone, Copy, Debug)]
struct At {
    policy: usize,
    chain: usize,
    step: usize,
    /// Its index among all steps.
    index: u32,
}

/// What can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Removed,
    FailureInverted,
    SuccessInverted,
    WhenRemoved,
    OnFailureRemoved,
    OnAbortRemoved,
    OnSuccessRemoved,
    /// A case of a `switch`: its index and what it is called.
    Case(usize, String),
    Missing,
    /// A chain of `any`: its index and what it is called.
    Branch(usize, String),
    /// A weakness that the filter knows of itself: its index and what it is called.
    Weakened(usize, String),
    /// The policy's own `[[on_failure]]`, `[[on_abort]]` or `[[on_error]]`.
    Handler,
}

impl Mutant {
    /// As `[mutants]` of the policy names it: `rate-limit:removed`.
    pub fn key(&self) -> String {
        format!("{}:{}", self.name, self.word())
    }

    /// What is changed, in a word or few: `removed`.
    pub fn word(&self) -> String {
        match &self.change {
            Change::Removed | Change::Handler => "removed".into(),
            Change::FailureInverted => "failure-inverted".into(),
            Change::SuccessInverted => "success-inverted".into(),
            Change::WhenRemoved => "when-removed".into(),
            Change::OnFailureRemoved => "on_failure-removed".into(),
            Change::OnAbortRemoved => "on_abort-removed".into(),
            Change::OnSuccessRemoved => "on_success-removed".into(),
            Change::Case(_, name) => format!("{name} to else"),
            Change::Missing => "missing to else".into(),
            Change::Branch(_, name) => format!("{name} removed"),
            Change::Weakened(_, name) => name.clone(),
        }
    }

    /// What it does, in a sentence.
    pub fn says(&self) -> &'static str {
        match &self.change {
            Change::Removed => "it does nothing, and succeeds",
            Change::FailureInverted => "where it fails, it succeeds",
            Change::SuccessInverted => "where it succeeds, it fails",
            Change::WhenRemoved => "it always runs, whatever its `when` says",
            Change::OnFailureRemoved => "its failure goes up, and not where `on_failure` says",
            Change::OnAbortRemoved => "its fault goes up, and not where `on_abort` says",
            Change::OnSuccessRemoved => "the chain of `on_success` does not run",
            Change::Case(..) => "the case goes where `else` goes",
            Change::Missing => "a missing value goes where `else` goes",
            Change::Branch(..) => "the chain is not tried",
            Change::Weakened(..) => "the setting asks for less",
            Change::Handler => "the policy does without it",
        }
    }

    /// Whether a run came to what is changed, so that it may end differently.
    pub fn is_reached_by(&self, decision: &Decision) -> bool {
        decision.steps.iter().any(|record| record.step == self.at.index && self.matters_to(record))
    }

    fn matters_to(&self, record: &Record) -> bool {
        use StepOutcome::{Abort, Answered, Failure, Skipped, Success};
        let outcomes: &[StepOutcome] = match &self.change {
            Change::FailureInverted | Change::OnFailureRemoved => &[Failure],
            Change::SuccessInverted => &[Success, Answered],
            Change::WhenRemoved => &[Skipped],
            Change::OnAbortRemoved => &[Abort],
            Change::OnSuccessRemoved => &[Success, Skipped],
            Change::Case(branch, _) => return record.branch.index() == Some(*branch),
            Change::Missing | Change::Removed | Change::Branch(..) | Change::Weakened(..) => {
                return record.outcome != Skipped;
            }
            Change::Handler => return true,
        };
        outcomes.contains(&record.outcome)
    }
}
