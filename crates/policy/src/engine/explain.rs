//! A decision record in words.

use super::{Decision, Program};

/// A decision record in words.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Explained {
    /// The policy, or none where no route matched.
    pub policy: Option<String>,
    /// The steps that ran, in their order; what a flow word ran stands after it.
    pub steps: Vec<ExplainedStep>,
    /// The outcome of the whole: `success`, `answered`, `failure`, `abort`.
    pub outcome: &'static str,
    /// The reason code of the refusal or fault that was answered, and where: `FILE:LINE`, empty where no step is at fault (no
    /// route).
    pub refused: Option<(String, String)>,
    /// What happened, where a fault was answered: for the log, since the reason code alone says only of what kind it was.
    pub why: Option<String>,
}

/// One step of a decision record.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ExplainedStep {
    /// The filter's name (default: its `use`).
    pub filter: String,
    /// `FILE:LINE`.
    pub place: String,
    /// `success`, `answered`, `failure`, `abort`, `skipped`, or `unfinished` (a panic).
    pub outcome: &'static str,
    /// The reason code of a failure or fault.
    pub reason: Option<String>,
    /// How many flow words (`switch`, `call`, `any`) it ran inside of.
    pub depth: u8,
    /// Nanoseconds it took.
    pub nanos: u64,
}

impl Program {
    /// A decision record in words.
    pub fn explain(&self, decision: &Decision) -> Explained {
        let place = |step: u32| self.steps.get(step as usize).map_or_else(String::new, |info| info.place.to_string());
        let steps = decision.steps.iter().map(|record| ExplainedStep {
            filter: self.steps.get(record.step as usize).map_or_else(String::new, |info| info.name.to_string()),
            place: place(record.step),
            outcome: record.outcome.as_str(),
            reason: decision.reason_of(record).map(|reason| reason.to_string()),
            depth: record.depth,
            nanos: record.nanos,
        });
        Explained {
            policy: decision.policy().and_then(|index| self.policies.get(index)).map(|policy| policy.name.clone()),
            steps: steps.collect(),
            outcome: decision.outcome.as_str(),
            refused: decision.refused.map(|(code, step)| (code.to_string(), step.map_or_else(String::new, place))),
            why: decision.fault.as_deref().map(str::to_owned),
        }
    }
}
