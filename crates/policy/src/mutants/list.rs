//! Which changes of a program are worth trying. One that no test can notice by construction is not in the list: a case that goes
//! where `else` goes already, a filter that always fails turned round (it is the same as without it), what nothing leads to.

use super::{At, Change, Mutant};
use crate::engine::Program;
use crate::engine::decision::StepOutcome;
use crate::engine::model::{Action, Any, Move, Policy, Step, StepInfo, Switch};

impl Program {
    /// All mutants of all policies, in the order of the files.
    pub fn mutants(&self) -> Vec<Mutant> {
        let policies = self.policies.iter().enumerate();
        policies.flat_map(|(id, policy)| self.mutants_of(id, policy)).collect()
    }

    fn mutants_of(&self, id: usize, policy: &Policy) -> Vec<Mutant> {
        let mut mutants = Vec::new();
        let mut mutant = |at: At, line: usize, name: &str, change: Change| {
            let file = policy.file();
            mutants.push(Mutant { policy: policy.name.clone(), file, line, name: name.to_owned(), change, at });
        };
        for (chain, built) in policy.chains.iter().enumerate() {
            let handles = [policy.on_failure, policy.on_abort].contains(&Some(chain));
            for (step, of) in built.steps.iter().enumerate() {
                let info = &self.steps[of.index as usize];
                let at = At { policy: id, chain, step, index: of.index };
                if info.asked.is_empty() {
                    continue;
                }
                if handles && step == 0 {
                    mutant(at, info.line(), &built.path, Change::Handler);
                }
                for (line, change) in changes(of, info) {
                    mutant(at, line, &info.name, change);
                }
            }
        }
        mutants
    }
}

/// The changes of one step, each with its line.
fn changes(step: &Step, info: &StepInfo) -> Vec<(usize, Change)> {
    let mut changes = vec![Change::Removed];
    let may = |outcome| info.asked.has(outcome);
    let may_succeed = may(StepOutcome::Success) || may(StepOutcome::Answered);
    if let Action::Filter(filter) = &step.action {
        if may(StepOutcome::Failure) && may_succeed {
            changes.extend([Change::FailureInverted, Change::SuccessInverted]);
        }
        changes.extend(filter.weaknesses().into_iter().enumerate().map(|(index, name)| Change::Weakened(index, name)));
    }
    changes.extend(may(StepOutcome::Skipped).then_some(Change::WhenRemoved));
    let moves = |to: Move, outcome| to != Move::Up && may(outcome);
    changes.extend(moves(step.on_failure, StepOutcome::Failure).then_some(Change::OnFailureRemoved));
    changes.extend(moves(step.on_abort, StepOutcome::Abort).then_some(Change::OnAbortRemoved));
    changes.extend(step.on_success.is_some().then_some(Change::OnSuccessRemoved));
    let mut placed: Vec<(usize, Change)> = changes.into_iter().map(|change| (info.line(), change)).collect();
    match &step.action {
        Action::Switch(switch) => placed.extend(of_switch(switch, info)),
        Action::Any(any) => placed.extend(of_any(any, info)),
        Action::Filter(_) | Action::Call(_) => {}
    }
    placed
}

fn of_switch(switch: &Switch, info: &StepInfo) -> Vec<(usize, Change)> {
    let mut changes = Vec::new();
    for (index, (_, target)) in switch.cases.iter().enumerate() {
        let branch = &info.branches[index];
        if *target != switch.otherwise && branch.asked {
            changes.push((branch.line, Change::Case(index, branch.name.to_string())));
        }
    }
    let branch = &info.branches[switch.missing_branch()];
    if switch.missing.is_some_and(|target| target != switch.otherwise) && branch.asked {
        changes.push((branch.line, Change::Missing));
    }
    changes
}

fn of_any(any: &Any, info: &StepInfo) -> Vec<(usize, Change)> {
    // The only one is all of it.
    let several = any.of.len() > 1;
    let branches = info.branches.iter().enumerate().filter(|(_, branch)| several && branch.asked);
    branches.map(|(index, branch)| (branch.line, Change::Branch(index, branch.name.to_string()))).collect()
}
