//! What comes after the request's side of a policy, and what goes on beside it.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use futures_util::FutureExt;
use http_body::Body as _;

use super::Program;
use super::model::Policy;
use super::run::Ended;
use crate::exchange::{AfterRun, Beside, Body, Exchange, Pending, Spare};
use crate::ports::BoxFuture;

impl Program {
    /// Calls what is pending, the last one first; each sees the response without the edits that filters before it have asked for.
    pub(super) async fn after_run(&self, x: &mut Exchange, mut ended: Ended) -> Ended {
        let mut to = x.response_edits.len();
        while let Some(mut pending) = x.pending.pop() {
            match &ended {
                Ended::Success | Ended::Answered if x.response.is_some() => match pending.spare {
                    Some(spare) if pending.half.once_more(x) => ended = self.once_more(x, *spare, pending.half).await,
                    _ => pending.half.responded(x),
                },
                Ended::Abort(aborted) => {
                    x.response = None;
                    if pending.half.faulted(x, &aborted.abort) && x.response.is_some() {
                        ended = Ended::Answered;
                    }
                }
                Ended::Failure(failed) => {
                    x.response = None;
                    if pending.half.failed(x, &failed.reason) && x.response.is_some() {
                        ended = Ended::Answered;
                    }
                }
                Ended::Success | Ended::Answered => {}
            }
            to = to.min(pending.edits);
            let from = x.pending.last().map_or(0, |before| before.edits);
            if let Ended::Success | Ended::Answered = &ended {
                x.merge_edits(from, to);
            }
            to = from;
        }
        ended
    }

    /// Runs the rest of a chain once more, on what was put aside for that, and has its response in the place of the one there is.
    fn once_more<'a>(&'a self, x: &'a mut Exchange, spare: Spare, half: Box<dyn AfterRun>) -> BoxFuture<'a, Ended> {
        Box::pin(async move {
            let Spare { step, mut copy } = spare;
            x.response = None;
            let Some((policy, chain, at)) = self.place_of(step) else { return Ended::Success };
            copy.pending.push(Pending { edits: 0, half, spare: None });
            // Both runs are recorded.
            copy.decision = x.decision.clone();
            copy.stamp();
            let ended = self.run_from(&mut copy, policy, chain, at + 1).await;
            let ended = self.after_run(&mut copy, ended).await;
            (x.decision, x.response) = (copy.decision, copy.response);
            x.company.join(copy.company);
            ended
        })
    }

    /// Where a step stands.
    fn place_of(&self, step: u32) -> Option<(&Policy, usize, usize)> {
        self.policies.iter().find_map(|policy| {
            policy.chains.iter().enumerate().find_map(|(chain, steps)| {
                let at = steps.steps.iter().position(|known| known.index == step)?;
                Some((policy, chain, at))
            })
        })
    }

    /// Runs the rest of a chain in the background, on a copy of the exchange, and reads the response to its end.
    pub(super) fn go_on_beside(&self, x: &Exchange, beside: Beside, policy: &Policy, chain: usize, at: usize) {
        let background = beside.background.clone();
        let mut copy = Box::new(x.beside(beside));
        let (program, name) = (x.program().clone(), policy.name.clone());
        background.run(Box::pin(async move {
            let Ok(index) = program.policies.binary_search_by(|policy| policy.name.cmp(&name)) else { return };
            copy.stamp();
            let run = program.run_from(&mut copy, &program.policies[index], chain, at);
            // A panic in a filter ends this run, and nothing else.
            let Ok(ended) = AssertUnwindSafe(run).catch_unwind().await else { return };
            let ended = program.after_run(&mut copy, ended).await;
            copy.decision.outcome = ended.outcome();
            let mut response = copy.response.take();
            let status = response.as_ref().map_or_else(|| ended.status(), |response| response.status);
            copy.company.ended(&copy.decision, status);
            if let Some(response) = &mut response {
                drain(&mut response.body).await;
            }
        }));
    }
}

/// Reads a body to its end, for whoever looks at it on its way.
async fn drain(body: &mut Body) {
    while let Some(Ok(_)) = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {}
}
