//! What all runs of the flow stand on: the policies, what their steps said of themselves, and attributes as numbers. Made once.

use super::super::build::{PolicyEffects, StepEffects};
use super::super::model::{Policy, PolicyId};
use super::At;
use super::state::{Attribute, Numbers};

/// See the module.
pub(super) struct Ground<'a> {
    pub(super) policies: &'a [Policy],
    pub(super) effects: &'a [&'a PolicyEffects],
    steps: Vec<Vec<Vec<Known>>>,
    /// The inputs that each policy declares, and all of them.
    pub(super) inputs: Vec<Vec<Attribute>>,
    pub(super) all_inputs: Vec<Attribute>,
    /// By policy and route: the names in its path.
    pub(super) paths: Vec<Vec<Vec<Attribute>>>,
    pub(super) numbers: Numbers,
}

/// The attributes of one step.
pub(super) struct Known {
    /// Those of its `when` first.
    pub(super) reads: Vec<Attribute>,
    pub(super) writes: Vec<Attribute>,
    pub(super) removes: Vec<Attribute>,
}

impl<'a> Ground<'a> {
    pub(super) fn new(policies: &'a [Policy], effects: &'a [&'a PolicyEffects]) -> Self {
        let mut numbers = Numbers::new();
        let inputs: Vec<Vec<Attribute>> = policies
            .iter()
            .map(|policy| policy.inputs.keys().map(|name| numbers.of(&format!("input.{name}"))).collect())
            .collect();
        let mut all_inputs: Vec<Attribute> = inputs.iter().flatten().copied().collect();
        all_inputs.sort_unstable();
        all_inputs.dedup();
        let mut path = |policy: &Policy| {
            let names = policy.routes.iter().map(|route| route.pattern.names());
            names.map(|names| names.map(|name| numbers.of(&format!("path.{name}"))).collect()).collect()
        };
        let paths = policies.iter().map(&mut path).collect();
        let mut known = |said: &StepEffects| {
            let reads = said.when.iter().flat_map(|when| &when.reads).chain(&said.own.reads);
            Known {
                reads: reads.map(|read| numbers.of(&read.attribute)).collect(),
                writes: said.own.writes.iter().map(|name| numbers.of(name)).collect(),
                removes: said.own.removes.iter().map(|name| numbers.of(name)).collect(),
            }
        };
        let mut chains = |effects: &&PolicyEffects| -> Vec<Vec<Known>> {
            effects.iter().map(|steps| steps.iter().map(&mut known).collect()).collect()
        };
        let steps = effects.iter().map(&mut chains).collect();
        Ground { policies, effects, steps, inputs, all_inputs, paths, numbers }
    }

    /// The attributes of a step.
    pub(super) fn known(&self, at: At) -> &Known {
        &self.steps[at.0][at.1][at.2]
    }

    /// Whether a policy is entered by routes of its own.
    pub(super) fn is_routed(&self, id: PolicyId) -> bool {
        !self.policies[id].routes.is_empty()
    }
}
