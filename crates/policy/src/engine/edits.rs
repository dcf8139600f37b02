//! The headers of every answer (`security-headers`), for an answer that took the place of one which a response filter failed on.

use super::Program;
use super::model::{Action, Move, Policy, Step, Target};
use crate::exchange::Exchange;
use crate::ports::BoxFuture;

impl Program {
    /// Runs the filters of a chain that do nothing but edit the headers of the answer, and those of what it calls without inputs; one that
    /// fails edits nothing. What stands behind a step that may have led elsewhere is not for every answer, and is left out.
    pub(super) fn edit_headers<'a>(
        &'a self,
        x: &'a mut Exchange,
        policy: &'a Policy,
        chain: usize,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            for step in &policy.chains[chain].steps {
                match &step.action {
                    Action::Filter(_) if step.edits_headers => drop(self.run_step(x, policy, step).await),
                    Action::Call(call) if call.with.is_empty() && step.when.is_none() => match call.target {
                        Target::Chain(chain) => self.edit_headers(x, policy, chain).await,
                        Target::Policy(policy) => self.edit_headers(x, &self.policies[policy], 0).await,
                        Target::Continue | Target::Fail => {}
                    },
                    Action::Filter(_) | Action::Call(_) | Action::Switch(_) | Action::Any(_) => {}
                }
                if step.leads_elsewhere() {
                    return;
                }
            }
        })
    }
}

impl Step {
    /// An edit that fails for this answer may have been good for the other one, so its failure leads nowhere.
    fn leads_elsewhere(&self) -> bool {
        let moves = |to: &Move| matches!(to, Move::To { .. });
        self.on_success.is_some() || !self.edits_headers && (moves(&self.on_failure) || moves(&self.on_abort))
    }
}
