//! Runs a compiled configuration: one request through its policy.

use std::sync::Arc;

use crate::exchange::{Request, Response};
use crate::outcome::ReasonCode;
use crate::ports::Environment;
use crate::value::Value;

/// All policies of one generation, compiled. Immutable; shared by all requests that live in it.
pub struct Program {}

/// What a request's run left: its answer and who decided what.
pub struct Served {
    /// The complete answer.
    pub response: Response,
    /// The decision record.
    pub decision: Decision,
}

/// The decision record: integers only while the request runs; [`Program::explain`] turns it into words.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The generation.
    pub generation: u64,
}

/// A decision record in words.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Explained {
    /// The policy, or none where no route matched.
    pub policy: Option<String>,
    /// The steps that ran, in their order.
    pub steps: Vec<ExplainedStep>,
    /// The outcome of the whole: `success`, `answered`, `failure`, `abort`.
    pub outcome: &'static str,
    /// The reason code of the refusal or fault that was answered, and where: `FILE:LINE`.
    pub refused: Option<(String, String)>,
}

/// One step of a decision record.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ExplainedStep {
    /// The filter's name (default: its `use`).
    pub filter: String,
    /// `FILE:LINE`.
    pub place: String,
    /// `success`, `answered`, `failure`, `abort`, `skipped`.
    pub outcome: &'static str,
    /// The reason code of a failure or fault.
    pub reason: Option<String>,
    /// Nanoseconds it took.
    pub nanos: u64,
}

impl Program {
    /// The generation's number.
    pub fn generation(&self) -> u64 {
        unimplemented!()
    }

    /// How many slots an exchange needs.
    pub(crate) fn slots(&self) -> usize {
        unimplemented!()
    }

    /// Routes the request on its listener, runs its policy and the listener's, and gives the complete answer. Never fails:
    /// a refusal and a fault are answers.
    pub async fn serve(self: &Arc<Self>, environment: &Environment, request: Request) -> Served {
        let _ = (environment, request);
        unimplemented!()
    }

    /// A decision record in words.
    pub fn explain(&self, decision: &Decision) -> Explained {
        let _ = decision;
        unimplemented!()
    }

    /// What filters published with this name: the policy, its routes' paths, the value.
    pub fn facts(&self, name: &str) -> Vec<(&str, &[String], &Value)> {
        let _ = name;
        unimplemented!()
    }

    /// The policies by name, in order, for status pages.
    pub fn policies(&self) -> Vec<&str> {
        unimplemented!()
    }
}

impl Decision {
    pub(crate) fn new(generation: u64) -> Self {
        Decision { generation }
    }

    /// The policy's index for metrics, where a route matched: an index into [`Program::policies`].
    pub fn policy(&self) -> Option<usize> {
        unimplemented!()
    }

    /// The reason code of what was answered, where that was a refusal or a fault.
    pub fn refused(&self) -> Option<ReasonCode> {
        unimplemented!()
    }
}
