//! A compiled policy: chains of steps, every name resolved to an index.

use std::sync::Arc;

use http::HeaderName;

use super::decision::StepOutcome;
use crate::filter::{AnswerStyle, ErasedFilter};
use crate::outcome::ReasonCode;
use crate::selector::{Condition, Getter};
use crate::value::{Type, Value};

/// A compiled policy.
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) chains: Vec<Chain>,
    pub(crate) on_failure: Option<usize>,
    pub(crate) on_abort: Option<usize>,
    pub(crate) response: Option<usize>,
    /// In place of the listener's `before`.
    pub(crate) before: Option<Vec<usize>>,
    pub(crate) style: &'static dyn AnswerStyle,
    /// Its routes' paths, as they are written.
    pub(crate) paths: Vec<String>,
    /// Request headers that its filters, or those of policies it runs, set: dropped from what the client sent.
    pub(crate) injected: Vec<HeaderName>,
    /// Those that they go by: what an upstream takes for one of these is dropped, since nobody looked at it.
    pub(crate) read: Vec<HeaderName>,
    /// What its filters tell other filters.
    pub(crate) facts: Vec<(&'static str, Value)>,
}

impl Policy {
    /// Its file, relative to the configuration folder.
    pub(crate) fn file(&self) -> String {
        format!("policies/{}.toml", self.name)
    }
}

/// A chain.
pub(crate) struct Chain {
    /// As it stands in ids: `filter`, `chain.code`, `on_failure`.
    pub(crate) path: Box<str>,
    pub(crate) steps: Vec<Step>,
}

/// One step of a chain.
pub(crate) struct Step {
    /// Its index among all steps of the program.
    pub(crate) index: u32,
    /// What `when` asks for.
    pub(crate) when_look_ups: Box<[Box<dyn ErasedFilter>]>,
    pub(crate) when: Option<Condition>,
    /// What the settings ask for, looked up once `when` holds.
    pub(crate) look_ups: Box<[Box<dyn ErasedFilter>]>,
    pub(crate) action: Action,
    /// `when` or the filter reads the request's body.
    pub(crate) reads_request_body: bool,
    pub(crate) reads_response_body: bool,
    /// It leaves a response when it succeeds.
    pub(crate) sets_response: bool,
    pub(crate) edits_headers: bool,
    pub(crate) on_failure: Move,
    pub(crate) on_abort: Move,
    pub(crate) on_success: Option<usize>,
}

/// Where a run goes after a failure or a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// To the caller.
    Up,
    /// To the next step.
    Continue,
    /// To this chain; the end of it is a success where that was asked for, else still the failure.
    To { chain: usize, success: bool },
}

/// What a step does.
pub(crate) enum Action {
    Filter(Box<dyn ErasedFilter>),
    Switch(Switch),
    Call(Call),
    Any(Any),
}

pub(crate) struct Switch {
    pub(crate) on: Getter<Value>,
    pub(crate) cases: Vec<(Box<str>, Target)>,
    pub(crate) otherwise: Target,
    pub(crate) missing: Option<Target>,
    pub(crate) fold_case: bool,
}

impl Switch {
    /// The branch of `else`; those before it are the cases.
    pub(crate) fn else_branch(&self) -> usize {
        self.cases.len()
    }

    /// The branch of a value that is missing.
    pub(crate) fn missing_branch(&self) -> usize {
        self.cases.len() + 1
    }
}

pub(crate) struct Call {
    pub(crate) target: Target,
    pub(crate) with: Vec<Argument>,
}

/// An input of the called policy.
pub(crate) struct Argument {
    pub(crate) name: Arc<str>,
    pub(crate) of: Type,
    pub(crate) value: Getter<Value>,
}

pub(crate) struct Any {
    pub(crate) of: Vec<usize>,
    pub(crate) all: bool,
}

/// Where a flow word leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Chain(usize),
    Policy(usize),
    Continue,
    Fail,
}

/// A step in words, and what is known of it: for decision records and coverage. A run reads nothing of it but whether it authorizes, and that rarely.
pub(crate) struct StepInfo {
    /// `name`, else `use`.
    pub(crate) name: Arc<str>,
    /// `FILE:LINE`.
    pub(crate) place: Box<str>,
    /// The ways that a flow word can take: the cases of a `switch` in their order, `else`, a missing value; the chains of `any`.
    pub(crate) branches: Box<[BranchInfo]>,
    /// The outcomes that tests are to show.
    pub(crate) asked: Outcomes,
    /// What a filter stated of itself; none of a flow word.
    pub(crate) stated: Option<Stated>,
    /// It decides who may pass.
    pub(crate) authorizes: bool,
}

/// How a filter states that it can end.
pub(crate) struct Stated {
    /// Of success and answer, which it can.
    pub(crate) outcomes: Outcomes,
    /// The reasons of its failures and faults, rare ones included.
    pub(crate) codes: Box<[ReasonCode]>,
}

impl StepInfo {
    /// Its line in the policy's file.
    pub(crate) fn line(&self) -> usize {
        self.place.rsplit_once(':').and_then(|(_, line)| line.parse().ok()).unwrap_or(1)
    }
}

/// One way that a flow word can take.
pub(crate) struct BranchInfo {
    /// `case client_credentials`, `else`, `missing`, `of bearer`.
    pub(crate) name: Box<str>,
    pub(crate) line: usize,
    /// A test is to show it.
    pub(crate) asked: bool,
}

/// A set of outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes(u8);

impl Outcomes {
    /// All that there are, in the order of reports.
    pub(crate) const ALL: [StepOutcome; 5] =
        [StepOutcome::Success, StepOutcome::Answered, StepOutcome::Failure, StepOutcome::Abort, StepOutcome::Skipped];

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds it where that holds.
    pub(crate) fn add_if(&mut self, holds: bool, outcome: StepOutcome) {
        self.0 |= u8::from(holds) << outcome as u8;
    }

    pub(crate) fn has(self, outcome: StepOutcome) -> bool {
        self.0 >> outcome as u8 & 1 == 1
    }
}

/// A listener's own policies.
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) before: Vec<usize>,
    pub(crate) after: Vec<usize>,
    pub(crate) on_error: Option<usize>,
    /// Shared by all listeners that have the same routes.
    pub(crate) router: Arc<crate::route::Router>,
}
