//! The decision record: who decided what, in integers while the request runs.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::outcome::ReasonCode;

/// The decision record: integers only while the request runs, but for what a fault says.
/// [`Program::explain`](super::Program::explain) turns it into words.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The generation.
    pub generation: u64,
    pub(crate) policy: Option<u32>,
    /// Which of the policy's routes led there.
    pub(crate) route: u16,
    pub(crate) steps: SmallVec<[Record; 20]>,
    /// The reason codes of failures and faults, in their order; records point into it.
    pub(crate) reasons: SmallVec<[ReasonCode; 2]>,
    pub(crate) outcome: StepOutcome,
    pub(crate) refused: Option<(ReasonCode, Option<u32>)>,
    /// What a fault says for the log, where that was what was answered.
    pub(crate) fault: Option<Cow<'static, str>>,
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
    /// Which way a flow word took.
    pub(crate) branch: Branch,
    /// One more than an index into the reasons; 0 is none.
    pub(crate) reason: u8,
}

/// Which way a flow word took: a number from 1, in the order of [`StepInfo::branches`](super::model::StepInfo::branches). It has
/// the one byte of a record that nothing else needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Branch(u8);

impl Branch {
    /// The way with this index; those beyond the 255th are not told apart, and count as none.
    pub(crate) fn of(index: usize) -> Branch {
        Branch(u8::try_from(index + 1).unwrap_or(0))
    }

    /// Its index.
    pub(crate) fn index(self) -> Option<usize> {
        usize::from(self.0).checked_sub(1)
    }
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
            route: 0,
            steps: SmallVec::new(),
            reasons: SmallVec::new(),
            outcome: StepOutcome::Running,
            refused: None,
            fault: None,
            depth: 0,
        }
    }

    /// Notes that a step begins; what it runs inside comes after it.
    pub(crate) fn begin(&mut self, step: u32) -> usize {
        if self.steps.len() < MOST {
            let (outcome, branch) = (StepOutcome::Running, Branch::default());
            self.steps.push(Record { nanos: 0, step, outcome, depth: self.depth, branch, reason: 0 });
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

    /// Notes which way a flow word takes.
    pub(crate) fn take_branch(&mut self, record: usize, branch: Branch) {
        if let Some(record) = self.steps.get_mut(record) {
            record.branch = branch;
        }
    }

    fn reason(&mut self, reason: ReasonCode) -> u8 {
        let known = self.reasons.iter().position(|known| *known == reason);
        let index = known.unwrap_or_else(|| {
            self.reasons.push(reason);
            self.reasons.len() - 1
        });
        u8::try_from(index + 1).unwrap_or(0)
    }

    /// The reason of a record.
    pub(crate) fn reason_of(&self, record: &Record) -> Option<ReasonCode> {
        self.reasons.get(usize::from(record.reason).wrapping_sub(1)).copied()
    }

    /// The policy's index for metrics, where a route matched: an index into [`Program::policies`](super::Program::policies).
    pub fn policy(&self) -> Option<usize> {
        self.policy.map(|index| index as usize)
    }

    /// Which of the policy's routes was taken: an index into [`Program::routes`](super::Program::routes).
    pub fn route(&self) -> usize {
        usize::from(self.route)
    }

    /// The reason code of what was answered, where that was a refusal or a fault. A failure that some `on_failure` took is
    /// a branch, not a refusal.
    pub fn refused(&self) -> Option<ReasonCode> {
        self.refused.map(|(code, _)| code)
    }

    /// How many steps have begun, for [`faults_since`](Self::faults_since).
    pub fn begun(&self) -> usize {
        self.steps.len()
    }

    /// Whether one of the steps that began after so many others ended in a fault, whoever took it.
    pub fn faults_since(&self, begun: usize) -> bool {
        self.steps.iter().skip(begun).any(|record| record.outcome == StepOutcome::Abort)
    }

    /// How the policy ended: `success`, `answered`, `failure`, `abort`.
    pub fn outcome(&self) -> &'static str {
        self.outcome.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_two_words_and_tells_255_ways() {
        assert_eq!(size_of::<Record>(), 16);
        assert_eq!(
            (Branch::of(0).index(), Branch::of(254).index(), Branch::of(255).index()),
            (Some(0), Some(254), None)
        );
        assert_eq!(Branch::default().index(), None);
    }
}
