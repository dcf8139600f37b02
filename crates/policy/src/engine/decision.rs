//! The decision record: who decided what, in integers while the request runs.

use smallvec::SmallVec;

use crate::outcome::ReasonCode;

/// The decision record: integers only while the request runs; [`Program::explain`](super::Program::explain) turns it into words.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The generation.
    pub generation: u64,
    pub(crate) policy: Option<u32>,
    pub(crate) steps: SmallVec<[Record; 20]>,
    /// The reason codes of failures and faults, in their order; records point into it.
    pub(crate) reasons: SmallVec<[ReasonCode; 2]>,
    pub(crate) outcome: StepOutcome,
    pub(crate) refused: Option<(ReasonCode, Option<u32>)>,
    /// How many flow words are running around the next step.
    pub(crate) depth: u8,
}

/// What one step did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) nanos: u64,
    pub(crate) step: u32,
    pub(crate) outcome: StepOutcome,
    /// How many flow words it ran inside of.
    pub(crate) depth: u8,
    /// One more than an index into the reasons; 0 is none.
    pub(crate) reason: u16,
}

/// How a step or a whole run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum StepOutcome {
    /// Began and did not end: what a panic or a client that went away leaves.
    Running,
    Success,
    Answered,
    Failure,
    Abort,
    Skipped,
}

/// No more steps than these are recorded, so that a call tree that multiplies costs time, not memory.
const MOST: usize = 4096;

impl StepOutcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            StepOutcome::Running => "unfinished",
            StepOutcome::Success => "success",
            StepOutcome::Answered => "answered",
            StepOutcome::Failure => "failure",
            StepOutcome::Abort => "abort",
            StepOutcome::Skipped => "skipped",
        }
    }
}

impl Decision {
    pub(crate) fn new(generation: u64) -> Self {
        Decision {
            generation,
            policy: None,
            steps: SmallVec::new(),
            reasons: SmallVec::new(),
            outcome: StepOutcome::Running,
            refused: None,
            depth: 0,
        }
    }

    /// Notes that a step begins; what it runs inside comes after it.
    pub(crate) fn begin(&mut self, step: u32) -> usize {
        if self.steps.len() < MOST {
            self.steps.push(Record { nanos: 0, step, outcome: StepOutcome::Running, depth: self.depth, reason: 0 });
            self.steps.len() - 1
        } else {
            MOST
        }
    }

    /// Notes how it ended.
    pub(crate) fn end(&mut self, record: usize, outcome: StepOutcome, reason: Option<ReasonCode>, nanos: u64) {
        let reason = reason.map_or(0, |reason| self.reason(reason));
        if let Some(record) = self.steps.get_mut(record) {
            (record.outcome, record.reason, record.nanos) = (outcome, reason, nanos);
        }
    }

    fn reason(&mut self, reason: ReasonCode) -> u16 {
        let known = self.reasons.iter().position(|known| *known == reason);
        let index = known.unwrap_or_else(|| {
            self.reasons.push(reason);
            self.reasons.len() - 1
        });
        u16::try_from(index + 1).unwrap_or(0)
    }

    /// The policy's index for metrics, where a route matched: an index into [`Program::policies`](super::Program::policies).
    pub fn policy(&self) -> Option<usize> {
        self.policy.map(|index| index as usize)
    }

    /// The reason code of what was answered, where that was a refusal or a fault. A failure that some `on_failure` took is
    /// a branch, not a refusal.
    pub fn refused(&self) -> Option<ReasonCode> {
        self.refused.map(|(code, _)| code)
    }

    /// How the policy ended: `success`, `answered`, `failure`, `abort`.
    pub fn outcome(&self) -> &'static str {
        self.outcome.as_str()
    }
}
