//! Runs chains: what comes after what.
//!
//! Three things must not be mixed up. A step *ends* somehow. A chain *runs*: `switch`, `call` and `any` run one and come
//! back. Within a run, a failure may *move* to another chain, whose end is the end of the run.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};

use super::Program;
use super::decision::{Branch, StepOutcome};
use super::model::{Action, Any, Call, Move, Policy, Step, Switch, Target};
use crate::exchange::{Body, Exchange, FailureInfo, RequestBody};
use crate::filter::ErasedFilter;
use crate::outcome::{Abort, MISSING_VALUE, NO_CASE, Outcome, Reason, WRONG_TYPE};
use crate::ports::BoxFuture;
use crate::value::{Type, Value};

/// How a step or a run ended; a step that `when` left out is a success. What went wrong is boxed: it is the rare case, and this travels through every future.
pub(crate) enum Ended {
    Success,
    Answered,
    Failure(Box<Failed>),
    Abort(Box<Aborted>),
}

impl Ended {
    /// As the decision record has it.
    pub(crate) fn outcome(&self) -> StepOutcome {
        match self {
            Ended::Success => StepOutcome::Success,
            Ended::Answered => StepOutcome::Answered,
            Ended::Failure(_) => StepOutcome::Failure,
            Ended::Abort(_) => StepOutcome::Abort,
        }
    }

    /// That of the answer which would tell of it, where nobody has answered.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Ended::Success | Ended::Answered => StatusCode::INTERNAL_SERVER_ERROR,
            Ended::Failure(failed) => failed.reason.status,
            Ended::Abort(aborted) => aborted.abort.status,
        }
    }
}

/// A failure and the step it came from.
pub(crate) struct Failed {
    pub(crate) reason: Reason,
    pub(crate) step: Option<u32>,
}

/// A fault and the step it came from.
pub(crate) struct Aborted {
    pub(crate) abort: Abort,
    pub(crate) step: Option<u32>,
}

impl Program {
    /// Runs a policy: its main chain, then what takes the failures and faults that nothing took.
    pub(super) fn run_policy<'a>(&'a self, x: &'a mut Exchange, policy: &'a Policy) -> BoxFuture<'a, Ended> {
        Box::pin(async move {
            let ended = self.run_chain(x, policy, 0).await;
            self.run_handlers(x, policy, ended).await
        })
    }

    /// Hands what the main chain left to the policy's `[[on_failure]]` or `[[on_abort]]`; its outcome is the policy's.
    pub(super) async fn run_handlers(&self, x: &mut Exchange, policy: &Policy, ended: Ended) -> Ended {
        let handler = match &ended {
            Ended::Failure(_) => policy.on_failure,
            Ended::Abort(_) => policy.on_abort,
            Ended::Success | Ended::Answered => None,
        };
        let Some(handler) = handler else { return ended };
        self.note_failure(x, &ended);
        self.run_chain(x, policy, handler).await
    }

    /// One run: a chain and whatever it moves to.
    pub(super) async fn run_chain(&self, x: &mut Exchange, policy: &Policy, chain: usize) -> Ended {
        self.run_from(x, policy, chain, 0).await
    }

    /// The same from this step on.
    pub(super) async fn run_from(&self, x: &mut Exchange, policy: &Policy, mut chain: usize, mut at: usize) -> Ended {
        let mut steps = &policy.chains[chain].steps;
        // What the end of the run means since a failure moved it.
        let mut pending = Ended::Success;
        while let Some(step) = steps.get(at) {
            let ended = self.run_step(x, policy, step).await;
            let to = match &ended {
                Ended::Success => Move::Continue,
                Ended::Answered => {
                    if let Some(beside) = x.beside.take() {
                        self.go_on_beside(x, *beside, policy, chain, at + 1);
                    }
                    return ended;
                }
                Ended::Failure(_) => step.on_failure,
                Ended::Abort(_) => step.on_abort,
            };
            match to {
                Move::Up => return ended,
                Move::Continue => {
                    if !matches!(ended, Ended::Success) {
                        self.note_failure(x, &ended);
                    }
                    match step.on_success {
                        Some(to) => (chain, steps, at) = (to, &policy.chains[to].steps, 0),
                        None => at += 1,
                    }
                }
                Move::To { chain: to, success } => {
                    self.note_failure(x, &ended);
                    pending = if success { Ended::Success } else { ended };
                    (chain, steps, at) = (to, &policy.chains[to].steps, 0);
                }
            }
        }
        pending
    }

    /// For `${failure.*}`.
    pub(super) fn note_failure(&self, x: &mut Exchange, ended: &Ended) {
        let (code, message, status, step) = match ended {
            Ended::Failure(f) => (f.reason.code, &f.reason.message, f.reason.status, f.step),
            Ended::Abort(a) => (a.abort.code, &a.abort.message, a.abort.status, a.step),
            Ended::Success | Ended::Answered => return,
        };
        let filter = step.map_or_else(|| Arc::from(""), |step| self.steps[step as usize].name.clone());
        x.failure = Some(FailureInfo { reason: code.as_str(), message: Arc::from(&**message), filter, status });
    }

    /// Runs one step and records it. What is rare has a box of its own: this future is made for every step, and is small.
    pub(super) async fn run_step(&self, x: &mut Exchange, policy: &Policy, step: &Step) -> Ended {
        let record = x.decision.begin(step.index);
        let began = x.stamp;
        if step.lacks_body(x)
            && let Err(ended) = Box::pin(self.read_bodies(x, step)).await
        {
            return finish(x, record, began, ended);
        }
        if !step.when_look_ups.is_empty()
            && let Err(ended) = Box::pin(self.look_up(x, step, &step.when_look_ups)).await
        {
            return finish(x, record, began, ended);
        }
        match step.when.as_ref().map(|when| when.holds(x)) {
            None | Some(Ok(true)) => {}
            Some(Ok(false)) => {
                x.decision.end(record, StepOutcome::Skipped, None, 0);
                return Ended::Success;
            }
            Some(Err(reason)) => return finish(x, record, began, failure(reason, step)),
        }
        if !step.look_ups.is_empty()
            && let Err(ended) = Box::pin(self.look_up(x, step, &step.look_ups)).await
        {
            return finish(x, record, began, ended);
        }
        let Action::Filter(filter) = &step.action else {
            x.decision.depth = x.decision.depth.saturating_add(1);
            let ended = self.run_flow_word(x, policy, step, record).await;
            x.decision.depth = x.decision.depth.saturating_sub(1);
            return finish(x, record, began, ended);
        };
        let ended = match filter.run(x).await {
            Ok(Outcome::Success) => Ended::Success,
            Ok(Outcome::Answered) => Ended::Answered,
            Ok(Outcome::Failure(reason)) => failure(x.outgrown().unwrap_or(reason), step),
            Err(abort) => match x.outgrown() {
                Some(reason) => failure(reason, step),
                None => Ended::Abort(Box::new(Aborted { abort, step: Some(step.index) })),
            },
        };
        x.stamp();
        if step.sets_response && matches!(ended, Ended::Success) || matches!(ended, Ended::Answered) {
            x.merge_response_edits();
        }
        finish(x, record, began, ended)
    }

    fn run_flow_word<'a>(
        &'a self,
        x: &'a mut Exchange,
        policy: &'a Policy,
        step: &'a Step,
        record: usize,
    ) -> BoxFuture<'a, Ended> {
        match &step.action {
            Action::Switch(switch) => Box::pin(self.run_switch(x, policy, step, switch, record)),
            Action::Call(call) => Box::pin(self.run_call(x, policy, step, call)),
            Action::Any(any) => Box::pin(self.run_any(x, policy, step, any, record)),
            Action::Filter(_) => Box::pin(std::future::ready(Ended::Success)),
        }
    }

    /// Looks up the rows that selectors name. That one cannot be is the step's own failure or fault.
    async fn look_up(&self, x: &mut Exchange, step: &Step, rows: &[Box<dyn ErasedFilter>]) -> Result<(), Ended> {
        for row in rows {
            match row.run(x).await {
                Ok(Outcome::Failure(reason)) => return Err(failure(reason, step)),
                Ok(Outcome::Success | Outcome::Answered) => {}
                Err(abort) => return Err(Ended::Abort(Box::new(Aborted { abort, step: Some(step.index) }))),
            }
        }
        x.stamp();
        Ok(())
    }

    /// Reads the bodies that the step needs.
    async fn read_bodies(&self, x: &mut Exchange, step: &Step) -> Result<(), Ended> {
        if step.reads_request_body {
            x.buffer_request_body(x.body_limit()).await.map_err(|reason| failure(reason, step))?;
        }
        if step.reads_response_body {
            let aborted = |abort| Ended::Abort(Box::new(Aborted { abort, step: Some(step.index) }));
            x.buffer_response_body().await.map_err(aborted)?;
        }
        Ok(())
    }

    async fn run_switch(
        &self,
        x: &mut Exchange,
        policy: &Policy,
        step: &Step,
        switch: &Switch,
        record: usize,
    ) -> Ended {
        let value = match switch.on.get_optional(x) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(Reason::missing("on")),
            Err(reason) => Err(reason),
        };
        let (target, branch) = match value {
            Ok(value) => switch.choose(&value),
            Err(reason) if reason.code != MISSING_VALUE => return failure(reason, step),
            Err(reason) => match switch.missing {
                Some(target) => (target, switch.missing_branch()),
                None => {
                    x.decision.take_branch(record, Branch::of(switch.missing_branch()));
                    return failure(reason, step);
                }
            },
        };
        x.decision.take_branch(record, Branch::of(branch));
        self.run_target(x, policy, step, target, Vec::new()).await
    }

    /// Runs what a flow word leads to. A called policy sees these inputs and no others.
    async fn run_target(
        &self,
        x: &mut Exchange,
        policy: &Policy,
        step: &Step,
        target: Target,
        inputs: Vec<(Arc<str>, Value)>,
    ) -> Ended {
        match target {
            Target::Chain(chain) => Box::pin(self.run_chain(x, policy, chain)).await,
            Target::Policy(policy) => {
                let own = std::mem::replace(&mut x.input, inputs);
                let ended = self.run_policy(x, &self.policies[policy]).await;
                x.input = own;
                ended
            }
            Target::Continue => Ended::Success,
            Target::Fail => failure(Reason::new(NO_CASE, "no case of the `switch` fits"), step),
        }
    }

    async fn run_call(&self, x: &mut Exchange, policy: &Policy, step: &Step, call: &Call) -> Ended {
        let mut inputs = Vec::with_capacity(call.with.len());
        for argument in &call.with {
            match argument.value.get_optional(x) {
                Ok(Some(value)) if argument.of.takes(&value) => inputs.push((argument.name.clone(), value)),
                Ok(None) => {}
                Ok(Some(_)) => {
                    let message = format!("the input `{}` is to be {}", argument.name, argument.of);
                    return failure(Reason::new(WRONG_TYPE, message), step);
                }
                Err(reason) => return failure(reason, step),
            }
        }
        self.run_target(x, policy, step, call.target, inputs).await
    }

    /// The first chain that succeeds. What a failed one set or edited is rolled back.
    async fn run_any(&self, x: &mut Exchange, policy: &Policy, step: &Step, any: &Any, record: usize) -> Ended {
        let before = x.snapshot();
        let mut failures: Option<Box<Failed>> = None;
        for (index, chain) in any.of.iter().enumerate() {
            let failed = match Box::pin(self.run_chain(x, policy, *chain)).await {
                Ended::Failure(failed) => failed,
                ended => {
                    x.decision.take_branch(record, Branch::of(index));
                    return ended;
                }
            };
            x.restore(&before);
            let absent = failed.reason.absent;
            failures = Some(match failures {
                None => failed,
                Some(earlier) => merge(earlier, failed),
            });
            if !absent && !any.all {
                break;
            }
        }
        // `any` of nothing is no success; the loader refuses it, and so does this.
        failures.map_or_else(|| failure(Reason::new(NO_CASE, "`any` has no chain"), step), Ended::Failure)
    }
}

/// The failure of several chains of `any`: the first bad credential says more than absent ones, and of those the first that
/// has a challenge, so that there is a 401 to it. All challenges are kept.
fn merge(mut earlier: Box<Failed>, mut later: Box<Failed>) -> Box<Failed> {
    let says_more = |failed: &Failed| (!failed.reason.absent, !failed.reason.challenges.is_empty());
    if earlier.reason.absent && says_more(&later) > says_more(&earlier) {
        later.reason.challenges = joined(earlier.reason.challenges, later.reason.challenges);
        return later;
    }
    earlier.reason.challenges = joined(earlier.reason.challenges, later.reason.challenges);
    earlier
}

fn joined(mut first: Vec<HeaderValue>, second: Vec<HeaderValue>) -> Vec<HeaderValue> {
    for challenge in second {
        if !first.contains(&challenge) {
            first.push(challenge);
        }
    }
    first
}

fn failure(reason: Reason, step: &Step) -> Ended {
    Ended::Failure(Box::new(Failed { reason, step: Some(step.index) }))
}

/// Records how a step ended.
fn finish(x: &mut Exchange, record: usize, began: u64, ended: Ended) -> Ended {
    let reason = match &ended {
        Ended::Success | Ended::Answered => None,
        Ended::Failure(failed) => Some(failed.reason.code),
        Ended::Abort(aborted) => Some(aborted.abort.code),
    };
    let nanos = x.stamp.saturating_sub(began);
    x.decision.end(record, ended.outcome(), reason, nanos);
    ended
}

impl Step {
    /// A body that it reads is not in memory yet.
    fn lacks_body(&self, x: &Exchange) -> bool {
        let request = || matches!(x.request.body, RequestBody::Stream(_));
        let response = || x.response.as_ref().is_some_and(|response| matches!(response.body, Body::Stream(_)));
        self.reads_request_body && request() || self.reads_response_body && response()
    }
}

impl Switch {
    /// Where a value leads, and the index of that branch.
    fn choose(&self, value: &Value) -> (Target, usize) {
        let text;
        let wanted = match value {
            Value::Text(text) => text.as_ref(),
            other => {
                text = other.to_string();
                &text
            }
        };
        let folded;
        let wanted = if self.fold_case {
            folded = wanted.to_lowercase();
            &folded
        } else {
            wanted
        };
        match self.cases.iter().position(|(case, _)| **case == *wanted) {
            Some(index) => (self.cases[index].1, index),
            None => (self.otherwise, self.else_branch()),
        }
    }
}

impl Type {
    /// Whether a value is of this type; a whole number is a number too.
    pub(crate) fn takes(self, value: &Value) -> bool {
        self == Type::Any || self == value.type_of() || (self == Type::Float && value.type_of() == Type::Int)
    }
}
