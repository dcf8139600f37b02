//! Runs a compiled configuration: one request through its policy.

mod after;
pub(crate) mod decision;
mod edits;
mod explain;
mod grpc;
pub(crate) mod model;
#[cfg(test)]
mod random_programs;
mod run;
mod serve;
#[cfg(test)]
mod tests;

pub use decision::Decision;
pub use explain::{Explained, ExplainedStep};
pub use serve::Begun;

use std::sync::Arc;

use crate::attribute::Slots;
use crate::compile::{Layout, NodeFacts};
use crate::exchange::{Company, Response};
use crate::filter::Library;
use crate::value::Value;

/// All policies of one generation, compiled. Immutable; shared by all requests that live in it.
pub struct Program {
    pub(crate) generation: u64,
    pub(crate) layout: Layout,
    pub(crate) library: Library,
    pub(crate) node: NodeFacts,
    /// Sorted by name.
    pub(crate) policies: Vec<model::Policy>,
    pub(crate) steps: Vec<model::StepInfo>,
    pub(crate) listeners: Vec<model::Listener>,
    /// What a request on an unknown listener meets (tests have none): the routes that are bound to no listener.
    pub(crate) unbound: model::Listener,
}

/// What a request's run left: its answer and who decided what.
pub struct Served {
    /// The complete answer.
    pub response: Response,
    /// The decision record.
    pub decision: Decision,
    /// Where the time of the answer is to tell nothing: since when, by the monotonic clock ([`Exchange::hold_since`](crate::Exchange::hold_since)).
    pub held_since: Option<u64>,
    /// Who goes along where the answer has no body: an upgraded connection keeps them to its end.
    pub company: Company,
    /// What filters set and marked.
    pub attributes: Attributes,
}

/// What filters left on an exchange, for whoever tells of it: access lines and traces.
#[derive(Default)]
pub struct Attributes {
    slots: Slots,
    /// See [`Exchange::mark`](crate::Exchange::mark).
    pub marks: Vec<(Arc<str>, Value)>,
}

impl Program {
    /// The generation's number.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many slots an exchange needs.
    pub(crate) fn slots(&self) -> usize {
        self.layout.len()
    }

    /// How many bytes of a body filters may read.
    pub(crate) fn body_limit(&self) -> usize {
        self.node.body_limit
    }

    /// What filters published with this name: the policy, its routes' paths, the value.
    pub fn facts(&self, name: &str) -> Vec<(&str, &[String], &Value)> {
        let of = |policy: &'_ model::Policy| -> Vec<usize> {
            policy.facts.iter().enumerate().filter(|(_, (fact, _))| *fact == name).map(|(index, _)| index).collect()
        };
        let facts = self.policies.iter().flat_map(|policy| of(policy).into_iter().map(move |index| (policy, index)));
        facts.map(|(policy, index)| (policy.name.as_str(), policy.paths.as_slice(), &policy.facts[index].1)).collect()
    }

    /// The name of the first listener, for tests.
    pub(crate) fn first_listener(&self) -> Option<&str> {
        self.listeners.first().map(|listener| listener.name.as_str())
    }

    /// The routes of the policy with this index, as its file has them.
    pub fn routes(&self, policy: usize) -> &[String] {
        self.policies.get(policy).map_or(&[], |policy| policy.paths.as_slice())
    }

    /// A field of an attribute (`subject`, `id`), where something set it.
    pub fn attribute(&self, attributes: &Attributes, name: &str, field: &str) -> Option<Value> {
        let known = self.library.attributes.iter().find(|known| known.name() == name)?;
        let field = known.fields().iter().position(|(known, ..)| *known == field)?;
        known.read(attributes.slots.raw(self.layout.index(name)?)?, field)
    }

    /// The policies by name, in order, for status pages.
    pub fn policies(&self) -> Vec<&str> {
        self.policies.iter().map(|policy| policy.name.as_str()).collect()
    }
}
