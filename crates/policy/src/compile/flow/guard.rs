//! Filters that decide who may pass, behind a `when`.
//!
//! What is an error: for some method that a route takes, the `when` of such a filter does not hold, and the run can go on
//! from there to its end, a success or an answer, without another filter of that kind and without a refusal. Two filters
//! that share the methods between them leave all others open; HEAD, which is served as GET, is one that is easily forgotten.
//! A `when` on the method alone, and a `switch` on it, are tried with every method, so this is exact. A `when` on anything
//! else is a warning: the way around the filter exists, and whether a request may take it cannot be seen from here.
//! A way on which the request is refused is fine, also where the refusal is then answered with a page.

use std::collections::{BTreeMap, HashSet};

use http::Method;

use super::super::listeners::called_by;
use super::super::methods::{Methods, OTHER};
use super::super::model::PolicyId;
use super::state::{Attribute, State};
use super::{At, Flow, Listener};
use crate::diagnostic::{Diagnostics, Problem, codes};

/// The guards of a program, and the attributes that follow them along a run with one method.
pub(super) struct Guards {
    /// The method, as an index and itself.
    pub(super) method: (usize, Method),
    steps: Vec<Guard>,
    /// For each kind among them: a filter of that kind ran.
    ran: Vec<(String, Attribute)>,
}

/// One filter that decides who may pass, behind a `when`.
struct Guard {
    at: At,
    kind: String,
    /// It was left out since `when` does not hold for the method.
    skipped: Attribute,
    /// It may have been left out.
    doubted: Attribute,
}

/// What was found of one guard: the methods for which it can be passed by, for certain and perhaps.
#[derive(Default)]
struct Holes {
    certain: Vec<String>,
    perhaps: bool,
}

impl Flow<'_> {
    /// Checks every policy with a route, method by method.
    pub(super) fn check_guards(&self, methods: &Methods, listeners: &[Listener], problems: &mut Diagnostics) {
        let guards = self.guarded_steps();
        if guards.is_empty() {
            return;
        }
        let mut holes: BTreeMap<At, Holes> = BTreeMap::new();
        for id in (0..self.policies.len()).filter(|id| self.ground.is_routed(*id)) {
            let steps: Vec<At> = self
                .reached_from(id, listeners)
                .into_iter()
                .flat_map(|id| guards.get(&id))
                .flatten()
                .copied()
                .collect();
            if steps.is_empty() {
                continue;
            }
            for method in methods.of(&self.policies[id]) {
                let mut flow = Flow::new(self.ground);
                flow.guards = Some(self.guards_for((method, methods.all[method].clone()), &steps));
                let listeners = listeners.iter().map(Some).chain(listeners.is_empty().then_some(None));
                for listener in listeners {
                    flow.note_holes(id, listener, &mut holes);
                }
            }
        }
        for (at, holes) in holes {
            problems.push(self.hole(at, holes));
        }
    }

    /// By policy, the filters that decide who may pass and stand behind a `when`.
    fn guarded_steps(&self) -> BTreeMap<PolicyId, Vec<At>> {
        let mut found: BTreeMap<PolicyId, Vec<At>> = BTreeMap::new();
        for (policy, chains) in self.effects.iter().enumerate() {
            for (chain, steps) in chains.iter().enumerate() {
                let guards = steps.iter().enumerate().filter(|(_, said)| said.own.authorizes && said.when.is_some());
                for (step, _) in guards {
                    found.entry(policy).or_default().push((policy, chain, step));
                }
            }
        }
        found
    }

    /// The policies that can run for a request to this one: itself, those that it calls, and those before it.
    fn reached_from(&self, id: PolicyId, listeners: &[Listener]) -> Vec<PolicyId> {
        let mut reached = vec![id];
        match &self.policies[id].before {
            Some(own) => reached.extend(own.iter().map(|(id, _)| *id)),
            None => reached.extend(listeners.iter().flat_map(|listener| &listener.before)),
        }
        let mut known = HashSet::new();
        reached.retain(|id| known.insert(*id));
        let mut next = 0;
        while let Some(id) = reached.get(next).copied() {
            reached.extend(called_by(&self.policies[id]).filter(|id| known.insert(*id)));
            next += 1;
        }
        reached
    }

    fn guards_for(&self, method: (usize, Method), steps: &[At]) -> Guards {
        let mut free = self.ground.numbers.free()..;
        let mut number = || free.next().unwrap_or_default();
        let mut ran: Vec<(String, Attribute)> = Vec::new();
        let guard = |at: &At| {
            let kind = &self.policies[at.0].chains[at.1].steps[at.2].uses.value;
            if !ran.iter().any(|(known, _)| known == kind) {
                ran.push((kind.clone(), number()));
            }
            Guard { at: *at, kind: kind.clone(), skipped: number(), doubted: number() }
        };
        let steps = steps.iter().map(guard).collect();
        Guards { method, steps, ran }
    }

    fn note_holes(&mut self, id: usize, listener: Option<&Listener>, holes: &mut BTreeMap<At, Holes>) {
        let alone = Listener { name: String::new(), before: Vec::new(), after: Vec::new(), on_error: None };
        let end = self.follow_route_to_end(id, listener.unwrap_or(&alone));
        let Some(guards) = &self.guards else { return };
        let name = match guards.method.1.as_str() {
            OTHER => "every other method",
            name => name,
        };
        for guard in &guards.steps {
            if end.is_unknown() || !(end.maybe(guard.skipped) || end.maybe(guard.doubted)) {
                continue;
            }
            let holes = holes.entry(guard.at).or_default();
            if end.maybe(guard.skipped) && !holes.certain.iter().any(|known| known == name) {
                holes.certain.push(name.to_owned());
            }
            holes.perhaps |= end.maybe(guard.doubted);
        }
    }

    fn hole(&self, at: At, holes: Holes) -> crate::Diagnostic {
        let policy = &self.policies[at.0];
        let step = &policy.chains[at.1].steps[at.2];
        let span = step.when.as_ref().map_or(step.uses.span, |when| when.span);
        let name = step.title();
        let problem = if holes.certain.is_empty() {
            let message = format!("this `when` can leave `{name}` out, and nothing else refuses such a request");
            let help = "a `switch` says what happens to all others; or move the condition into a filter that refuses (`require`)";
            Problem::warning(codes::UNGUARDED, message).with_help(help)
        } else {
            let message = format!(
                "this `when` leaves {} without `{name}`, and nothing else refuses them",
                holes.certain.join(", ")
            );
            let help =
                "say for each method what it needs (a table by method refuses all others), or `switch` on the method";
            Problem::error(codes::UNGUARDED, message).with_help(help)
        };
        problem.at(policy.place(span))
    }
}

impl Guards {
    /// The filter is left out: for certain, or perhaps.
    pub(super) fn leave_out(&self, at: At, certain: bool, state: &mut State) {
        if let Some(guard) = self.steps.iter().find(|guard| guard.at == at)
            && !self.ran(&guard.kind).is_some_and(|ran| state.sure(ran))
        {
            state.may_set(if certain { guard.skipped } else { guard.doubted });
        }
    }

    fn ran(&self, kind: &str) -> Option<Attribute> {
        self.ran.iter().find(|(known, _)| known == kind).map(|(_, ran)| *ran)
    }

    /// A filter of this kind ran: whatever was left out of that kind is made good.
    pub(super) fn make_good(&self, kind: &str, state: &mut State) {
        if let Some(ran) = self.ran(kind) {
            state.set(ran);
        }
        for guard in self.steps.iter().filter(|guard| guard.kind == kind) {
            state.unset(guard.skipped);
            state.unset(guard.doubted);
        }
    }

    /// The request is refused: what was left out does no harm.
    pub(super) fn refuse(&self, state: &mut State) {
        for guard in &self.steps {
            state.unset(guard.skipped);
            state.unset(guard.doubted);
        }
    }
}
