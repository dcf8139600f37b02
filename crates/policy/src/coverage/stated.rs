//! Whether filters end as they state.

use std::fmt;

use crate::engine::decision::{Record, StepOutcome};
use crate::engine::{Decision, Program};

/// A filter ended as it does not state: a mistake in the filter, which coverage and reference pages would repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unstated {
    /// The filter's name (default: its `use`).
    pub filter: String,
    /// `FILE:LINE`.
    pub place: String,
    /// `success`, `answered`, or the reason code of a failure or fault.
    pub ending: String,
}

impl fmt::Display for Unstated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unstated { filter, place, ending } = self;
        write!(f, "{place}: the filter `{filter}` ended in `{ending}`, and does not state that it can")
    }
}

impl Program {
    /// The filters of a run that ended as they do not state.
    pub fn unstated(&self, decision: &Decision) -> Vec<Unstated> {
        decision.steps.iter().filter_map(|record| self.unstated_end(decision, record)).collect()
    }

    fn unstated_end(&self, decision: &Decision, record: &Record) -> Option<Unstated> {
        let info = self.steps.get(record.step as usize)?;
        let stated = info.stated.as_ref()?;
        let ending = match record.outcome {
            StepOutcome::Running | StepOutcome::Skipped => return None,
            StepOutcome::Success | StepOutcome::Answered => match stated.outcomes.has(record.outcome) {
                true => return None,
                false => record.outcome.as_str().to_owned(),
            },
            StepOutcome::Failure | StepOutcome::Abort => match decision.reason_of(record) {
                Some(code) if !stated.codes.contains(&code) => code.to_string(),
                _ => return None,
            },
        };
        Some(Unstated { filter: info.name.to_string(), place: info.place.to_string(), ending })
    }
}
