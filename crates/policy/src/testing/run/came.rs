//! What came of a request.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value as Json;

use super::Run;
use super::world::Received;
use crate::diagnostic::Diagnostics;
use crate::engine::Explained;
use crate::exchange::{Body, Exchange, Response};
use crate::outcome::Reason;
use crate::selector::Getter;
use crate::testing::model::{Step, Test};
use crate::value::Value;

/// An answer that is larger is no answer that a test looks at.
const LARGEST: usize = 16 * 1024 * 1024;

/// What came of a request.
pub(super) struct Came {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) decision: Explained,
    /// What the expected attributes are, in their order: absent, a value, or why it cannot be read.
    pub(super) attributes: Vec<Result<Option<Json>, String>>,
    /// By upstream.
    pub(super) received: BTreeMap<String, Vec<Received>>,
    /// What filters told, and noted for the trace.
    pub(super) told: Vec<String>,
}

impl Came {
    /// Reads the answer to its end, and then what is left of the run.
    pub(super) async fn read(
        run: &Run<'_>,
        x: &Exchange,
        response: Response,
        probes: Vec<Getter<Value>>,
    ) -> Result<Came, String> {
        let attributes = probes.iter().map(|probe| {
            let json = |value: Option<Value>| value.map(|value| value.to_json());
            probe.get_optional(x).map(json).map_err(|reason: Reason| reason.message.to_string())
        });
        let attributes = attributes.collect();
        let body = match response.body {
            Body::Empty => Bytes::new(),
            body => {
                body.collect(LARGEST).await.map_err(|why| format!("the answer's body could not be read: {why:?}"))?
            }
        };
        let marks = x.marks.iter().map(|(name, value)| format!("trace {name}={value}"));
        Ok(Came {
            status: response.status.as_u16(),
            headers: response.headers,
            body,
            decision: run.program.explain(&x.decision),
            attributes,
            received: run.world.received(),
            told: run.world.told().into_iter().chain(marks).collect(),
        })
    }

    /// The steps that ran, each with its outcome.
    pub(super) fn path(&self) -> Vec<String> {
        self.decision.steps.iter().map(|step| format!("{}:{}", step.filter, step.outcome)).collect()
    }
}

impl Run<'_> {
    /// The expected attributes, compiled: an unknown name is a mistake in the test.
    pub(super) fn probes(&self, test: &Test, step: &Step) -> Result<Vec<Getter<Value>>, Diagnostics> {
        let probe = |(selector, _): &(_, _)| self.program.probe(&test.given.file, selector);
        step.expect.attributes.iter().map(probe).collect()
    }
}
