//! What a filter has still to do once its policy has run, and what goes on beside the exchange.
//!
//! A filter that stands before others may want their response: `cache` keeps what `proxy` brings. It sees that response as the filters
//! after it left it, and without the response headers that filters *before* it have asked for: those run for every request, also for one
//! that it answers itself.

use std::sync::Arc;

use http::HeaderMap;

use super::Exchange;
use crate::engine::decision::StepOutcome;
use crate::engine::{Decision, Program};
use crate::outcome::{Abort, Reason};
use crate::ports::Background;

/// The other half of a filter. It is dropped where the client goes away.
pub trait AfterRun: Send + Sync + 'static {
    /// Asked before [`responded`](AfterRun::responded), where it was left by [`Exchange::after_run_or_once_more`]: whether the response there is
    /// is of no use, so that the filters after this one in its chain are to run once more. Then this half gets what they answer.
    fn once_more(&mut self, exchange: &Exchange) -> bool {
        let _ = exchange;
        false
    }

    /// The request's side has ended well, and there is a response. `[[response]]` has not run yet.
    fn responded(self: Box<Self>, exchange: &mut Exchange);

    /// The request's side has ended in a fault. True where it leaves a response all the same, which is then the answer.
    fn faulted(self: Box<Self>, exchange: &mut Exchange, fault: &Abort) -> bool {
        let _ = (exchange, fault);
        false
    }

    /// The request's side has ended in a failure. True as for a fault.
    fn failed(self: Box<Self>, exchange: &mut Exchange, reason: &Reason) -> bool {
        let _ = (exchange, reason);
        false
    }
}

/// What is pending, and how many edits of response headers there were before it.
pub(crate) struct Pending {
    pub(crate) edits: usize,
    pub(crate) half: Box<dyn AfterRun>,
    pub(crate) spare: Option<Box<Spare>>,
}

/// What it takes to run the filters after a step of a chain once more.
pub(crate) struct Spare {
    pub(crate) step: u32,
    /// The exchange as it was there.
    pub(crate) copy: Exchange,
}

/// A run that goes on beside the exchange, from the next filter of the chain: the answer is there, and a newer one is wanted.
pub(crate) struct Beside {
    pub(crate) background: Arc<dyn Background>,
    pub(crate) headers: HeaderMap,
    pub(crate) half: Box<dyn AfterRun>,
}

impl Exchange {
    /// Has this called once the policy has run.
    pub fn after_run(&mut self, half: impl AfterRun) {
        self.pending.push(Pending { edits: self.response_edits.len(), half: Box::new(half), spare: None });
    }

    /// The same for a request without a body, where the filters after this one may have to run [once more](AfterRun::once_more): on the request
    /// and the attributes as they are now.
    pub fn after_run_or_once_more(&mut self, half: impl AfterRun) {
        let spare = self.decision.running().map(|step| Box::new(Spare { step, copy: self.copy() }));
        self.pending.push(Pending { edits: self.response_edits.len(), half: Box::new(half), spare });
    }

    /// To a filter that answers: has the filters after it in its chain run all the same, in the background, on a copy of the request with
    /// these headers and no body. `half` gets what they answer.
    pub fn go_on_beside(&mut self, background: Arc<dyn Background>, headers: HeaderMap, half: impl AfterRun) {
        self.beside = Some(Box::new(Beside { background, headers, half: Box::new(half) }));
    }

    /// How many filters have let this request pass that decide who may.
    pub fn authorized(&self) -> usize {
        let authorizes = |step: u32| self.program.authorizes(step);
        self.decision.passed().filter(|step| authorizes(*step)).count()
    }

    /// A copy for what goes on beside it.
    pub(crate) fn beside(&self, beside: Beside) -> Exchange {
        let mut copy = self.copy();
        copy.request.headers = beside.headers;
        copy.pending.push(Pending { edits: 0, half: beside.half, spare: None });
        copy
    }

    /// Everything but the body, the response and what is to be done with it.
    fn copy(&self) -> Exchange {
        let mut copy = Exchange::new(self.program.clone(), self.environment.clone(), self.request.without_body());
        copy.slots = self.slots.clone();
        copy.input = self.input.clone();
        copy.failure = self.failure.clone();
        copy.decision.policy = self.decision.policy;
        copy.body_limit = self.body_limit;
        copy
    }

    /// The edits of response headers that the filters after the last pending half have asked for.
    pub(crate) fn merge_response_edits(&mut self) {
        let from = self.pending.last().map_or(0, |pending| pending.edits);
        self.merge_edits(from, self.response_edits.len());
    }

    /// Carries these edits out on the response there is now.
    pub(crate) fn merge_edits(&mut self, from: usize, to: usize) {
        if let (Some(response), Some(edits)) = (&mut self.response, self.response_edits.get(from..to)) {
            edits.iter().for_each(|edit| edit.clone().apply(&mut response.headers));
        }
    }
}

impl Decision {
    /// The step that runs; `None` where so many have run that they are not recorded any more.
    fn running(&self) -> Option<u32> {
        self.steps.last().filter(|record| record.outcome == StepOutcome::Running).map(|record| record.step)
    }

    /// The steps that ended well so far.
    pub(crate) fn passed(&self) -> impl Iterator<Item = u32> {
        self.steps.iter().filter(|record| record.outcome == StepOutcome::Success).map(|record| record.step)
    }
}

impl Program {
    fn authorizes(&self, step: u32) -> bool {
        self.steps.get(step as usize).is_some_and(|info| info.authorizes)
    }
}
