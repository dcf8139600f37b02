//! What each step can end in, as far as tests are asked to show it: a filter's ends are what it stated of itself and what the flow
//! proved; a flow word's are those of what it runs. What nothing of that leads to is asked of nobody.

use std::collections::HashMap;

use super::build::{PolicyEffects, StepEffects};
use super::flow::{Found, Proved};
use super::model::{ChainId, MAIN, PolicyId};
use crate::engine::decision::StepOutcome;
use crate::engine::model::{Action, Any, Move, Outcomes, Policy, Stated, Step, StepInfo, Switch, Target};
use crate::filter::{Answers, Effects};
use crate::outcome::MISSING_VALUE;

/// The ways in which a run, or a step, can end.
#[derive(Clone, Copy, Default)]
struct Ways {
    /// A success; of a chain: its end, which is a success unless a move before said otherwise.
    success: bool,
    /// Of a chain: a success whatever was before (`as = "success"`).
    on_purpose: bool,
    answered: bool,
    failure: bool,
    abort: bool,
}

/// What is known of one step beforehand.
struct Known<'a> {
    said: &'a StepEffects,
    found: Found,
}

struct Follow<'a> {
    policies: &'a [Policy],
    /// By the step's index.
    known: Vec<Known<'a>>,
    steps: &'a mut [StepInfo],
    runs: HashMap<(PolicyId, ChainId), Ways>,
}

/// Notes it in the facts of each step. The policies have no errors, loops among them.
pub(super) fn note(policies: &[Policy], effects: &[&PolicyEffects], proved: &Proved, steps: &mut [StepInfo]) {
    let mut known = Vec::with_capacity(steps.len());
    for (id, policy) in policies.iter().enumerate() {
        for (chain, built) in policy.chains.iter().enumerate() {
            for (index, (_, said)) in built.steps.iter().zip(&effects[id][chain]).enumerate() {
                let found = proved.get(&(id, chain, index)).copied().unwrap_or_default();
                known.push(Known { said, found });
            }
        }
    }
    let mut follow = Follow { policies, known, steps, runs: HashMap::new() };
    for (id, policy) in policies.iter().enumerate() {
        follow.policy(id);
        if let Some(response) = policy.response {
            follow.run(id, response);
        }
    }
}

impl Follow<'_> {
    /// A policy from its main chain to the end of its handlers.
    fn policy(&mut self, id: PolicyId) -> Ways {
        let (on_failure, on_abort) = (self.policies[id].on_failure, self.policies[id].on_abort);
        let main = self.run(id, MAIN).of_run();
        let mut ways =
            Ways { failure: main.failure && on_failure.is_none(), abort: main.abort && on_abort.is_none(), ..main };
        for handler in [on_failure.filter(|_| main.failure), on_abort.filter(|_| main.abort)].into_iter().flatten() {
            ways.join(self.run(id, handler).of_run());
        }
        ways
    }

    /// A run from the start of a chain.
    fn run(&mut self, id: PolicyId, chain: ChainId) -> Ways {
        if let Some(known) = self.runs.get(&(id, chain)) {
            return *known;
        }
        let ways = self.steps_of(id, chain);
        self.runs.insert((id, chain), ways);
        ways
    }

    fn steps_of(&mut self, id: PolicyId, chain: ChainId) -> Ways {
        let policies = self.policies;
        let mut all = Ways::default();
        for step in &policies[id].chains[chain].steps {
            let ways = self.step(id, step);
            all.answered |= ways.answered;
            let mut goes_on = ways.success;
            for (may, to) in [(ways.failure, step.on_failure), (ways.abort, step.on_abort)] {
                match to {
                    Move::Continue => goes_on |= may,
                    Move::To { chain, success } if may => {
                        let moved = self.run(id, chain);
                        all.answered |= moved.answered;
                        all.failure |= moved.failure || moved.success && !success;
                        all.abort |= moved.abort;
                        all.on_purpose |= moved.on_purpose || moved.success && success;
                    }
                    Move::Up | Move::To { .. } => {}
                }
            }
            all.failure |= ways.failure && step.on_failure == Move::Up;
            all.abort |= ways.abort && step.on_abort == Move::Up;
            if !goes_on {
                return all;
            }
            if let Some(tail) = step.on_success {
                all.join(self.run(id, tail));
                return all;
            }
        }
        all.success = true;
        all
    }

    /// One step; what it can end in is noted.
    fn step(&mut self, id: PolicyId, step: &Step) -> Ways {
        let Known { said, found } = &self.known[step.index as usize];
        let (said, found) = (*said, *found);
        let mut ways = match &step.action {
            Action::Filter(_) => of_filter(&said.own, found),
            Action::Switch(switch) => self.switch(id, step, switch),
            Action::Call(call) => self.target(id, call.target),
            Action::Any(any) => self.any(id, step, any),
        };
        let handles_missing = matches!(&step.action, Action::Switch(Switch { missing: Some(_), .. }));
        let own = said.own.failures.iter().any(|end| {
            let handled = handles_missing && end.code == MISSING_VALUE;
            !end.rare && !handled
        });
        let when = said.when.as_ref().is_some_and(|when| when.failures.are_for_tests());
        let own = own || when || found.lacking || said.own.always_fails && !ways.abort;
        ways.failure |= own;
        let shown = match &step.action {
            Action::Filter(_) => ways,
            _ => ways.of_flow_word(own, step),
        };
        let skipped = step.when.is_some();
        let mut asked = Outcomes::default();
        for (holds, outcome) in [
            (shown.success, StepOutcome::Success),
            (shown.answered, StepOutcome::Answered),
            (shown.failure, StepOutcome::Failure),
            (shown.abort, StepOutcome::Abort),
            (skipped, StepOutcome::Skipped),
        ] {
            asked.add_if(holds, outcome);
        }
        let info = &mut self.steps[step.index as usize];
        info.asked = asked;
        if let Action::Filter(_) = step.action {
            info.stated = Some(stated(said, found));
        }
        ways.success |= skipped;
        ways
    }

    fn switch(&mut self, id: PolicyId, step: &Step, switch: &Switch) -> Ways {
        let Known { said, found } = &self.known[step.index as usize];
        let own = &said.own;
        let absent = own.failures.iter().any(|end| end.code == MISSING_VALUE && !end.rare) || switch.on.may_be_absent();
        // With a target of its own a missing value is no mistake, and the flow check has not looked.
        let missing = absent || found.lacking || switch.missing.is_some() && !own.reads.is_empty();
        let mut ways = Ways::default();
        let cases = switch.cases.iter().map(|(_, target)| *target);
        for target in cases.chain([switch.otherwise]).chain(switch.missing.filter(|_| missing)) {
            ways.join(self.target(id, target));
        }
        for (index, branch) in self.steps[step.index as usize].branches.iter_mut().enumerate() {
            branch.asked = index != switch.missing_branch() || missing;
        }
        ways
    }

    fn any(&mut self, id: PolicyId, step: &Step, any: &Any) -> Ways {
        let mut ways = Ways::default();
        let mut all_fail = true;
        for (index, chain) in any.of.iter().enumerate() {
            let of = self.run(id, *chain).of_run();
            self.steps[step.index as usize].branches[index].asked = of.success || of.answered;
            all_fail &= of.failure;
            ways.join(of);
        }
        // With `try = "all"` it fails where the last one does, and the others did before.
        ways.failure &= all_fail || !any.all;
        ways
    }

    fn target(&mut self, id: PolicyId, target: Target) -> Ways {
        match target {
            Target::Chain(chain) => self.run(id, chain).of_run(),
            Target::Policy(policy) => self.policy(policy),
            Target::Continue => Ways { success: true, ..Ways::default() },
            Target::Fail => Ways { failure: true, ..Ways::default() },
        }
    }
}

fn of_filter(own: &Effects, found: Found) -> Ways {
    // A thing that a filter before it has used is there: its fault cannot be shown here. A filter that only states faults may
    // end in them at any time, and one that states none does without its thing (`webhook` with a fallback).
    let down = if own.things().next().is_none() { own.faults.are_for_tests() } else { found.first_use };
    let down = down && !own.faults.is_empty();
    Ways {
        success: own.answers != Answers::Always && !own.always_fails,
        on_purpose: false,
        answered: own.answers != Answers::Never,
        failure: false,
        abort: down,
    }
}

/// All that a filter may end in without being called a liar.
fn stated(said: &StepEffects, found: Found) -> Stated {
    let own = &said.own;
    let mut outcomes = Outcomes::default();
    outcomes.add_if(own.answers != Answers::Always && !own.always_fails, StepOutcome::Success);
    outcomes.add_if(own.answers != Answers::Never, StepOutcome::Answered);
    let effects = said.when.iter().chain([own]);
    let codes = effects.flat_map(|effects| effects.failures.iter().chain(effects.faults.iter()));
    let lacking = found.lacking.then_some(MISSING_VALUE);
    Stated { outcomes, codes: codes.map(|ending| ending.code).chain(lacking).collect() }
}

impl Ways {
    /// A chain's ways as who runs it sees them.
    fn of_run(self) -> Ways {
        Ways { success: self.success || self.on_purpose, on_purpose: false, ..self }
    }

    /// What tests are to show of a flow word. The filters that it runs have theirs asked of them, once, whoever runs them; so of
    /// these ways one is enough, and what the flow word itself makes of them: its own failure, and where it then goes.
    fn of_flow_word(self, own_failure: bool, step: &Step) -> Ways {
        Ways {
            success: self.success,
            on_purpose: false,
            answered: self.answered && !self.success,
            failure: self.failure && (own_failure || step.on_failure != Move::Up || !self.success && !self.answered),
            abort: self.abort && (step.on_abort != Move::Up || !self.success && !self.answered && !self.failure),
        }
    }

    fn join(&mut self, other: Ways) {
        self.success |= other.success;
        self.on_purpose |= other.on_purpose;
        self.answered |= other.answered;
        self.failure |= other.failure;
        self.abort |= other.abort;
    }
}
