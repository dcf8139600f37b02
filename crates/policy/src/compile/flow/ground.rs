//! What all runs of the flow stand on: the policies, what their steps said of themselves, and attributes as numbers. Made once.

use std::collections::HashMap;

use super::super::build::{PolicyEffects, StepEffects};
use super::super::model::{Policy, PolicyId};
use super::At;
use super::state::{Attribute, Numbers, State};

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
    /// For attributes that a filter may have left absent although it says that it sets them: the number of that doubt.
    pub(super) doubts: HashMap<Attribute, Attribute>,
    pub(super) numbers: Numbers,
}

/// The attributes of one step.
pub(super) struct Known {
    /// Those of its `when` first.
    pub(super) reads: Vec<Attribute>,
    pub(super) writes: Vec<Write>,
    pub(super) removes: Vec<Attribute>,
    /// The stores and upstreams that it uses.
    pub(super) uses: Vec<Attribute>,
}

/// One attribute that a step sets.
pub(super) struct Write {
    number: Attribute,
    /// It may be left absent all the same.
    may_be_absent: bool,
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
        let mut doubts = HashMap::new();
        let mut known = |said: &StepEffects| Known::new(said, &mut numbers, &mut doubts);
        let mut chains = |effects: &&PolicyEffects| -> Vec<Vec<Known>> {
            effects.iter().map(|steps| steps.iter().map(&mut known).collect()).collect()
        };
        let steps = effects.iter().map(&mut chains).collect();
        Ground { policies, effects, steps, inputs, all_inputs, paths, doubts, numbers }
    }

    /// The attributes of a step.
    pub(super) fn known(&self, at: At) -> &Known {
        &self.steps[at.0][at.1][at.2]
    }

    /// The attribute is set; where it may have been left absent, a doubt stays.
    pub(super) fn write(&self, write: &Write, state: &mut State) {
        state.set(write.number);
        if let Some(doubt) = self.doubts.get(&write.number) {
            match write.may_be_absent {
                true => state.may_set(*doubt),
                false => state.unset(*doubt),
            }
        }
    }

    /// Whether a policy is entered by routes of its own.
    pub(super) fn is_routed(&self, id: PolicyId) -> bool {
        !self.policies[id].routes.is_empty()
    }
}

impl Known {
    fn new(said: &StepEffects, numbers: &mut Numbers, doubts: &mut HashMap<Attribute, Attribute>) -> Self {
        let own = &said.own;
        let reads = said.when.iter().flat_map(|when| &when.reads).chain(&own.reads);
        let reads = reads.map(|read| numbers.of(&read.attribute)).collect();
        let mut writes = Vec::with_capacity(own.writes.len());
        for name in &own.writes {
            let (number, may_be_absent) = (numbers.of(name), own.leaves_absent.contains(name));
            if may_be_absent {
                doubts.entry(number).or_insert_with(|| numbers.of(&format!(" absent {name}")));
            }
            writes.push(Write { number, may_be_absent });
        }
        Known {
            reads,
            writes,
            removes: own.removes.iter().map(|name| numbers.of(name)).collect(),
            uses: own.things().map(|(kind, name)| numbers.of(&format!(" used {kind} {}", name.value))).collect(),
        }
    }
}
