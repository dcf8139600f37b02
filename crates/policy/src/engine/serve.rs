//! One request from its route to its complete answer.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use http::{HeaderValue, Method, StatusCode, header};
use http_body::Body as _;

use super::decision::StepOutcome;
use super::model::{Listener, Policy};
use super::run::{Aborted, Ended, Failed};
use super::{Attributes, Program, Served, grpc};
use crate::exchange::{Body, Exchange, HeaderEdit, Request, Response, remove_alike, remove_other_spellings};
use crate::filter::AnswerStyle;
use crate::outcome::{Abort, METHOD_NOT_ALLOWED, NO_ANSWER, NOT_FOUND, PANIC, Reason};
use crate::ports::{BoxFuture, Environment};
use crate::route::Unmatched;

/// A request of which nothing has run yet.
pub struct Begun(Box<Exchange>);

/// Where a request goes.
struct Routed<'a> {
    listener: &'a Listener,
    policy: Option<&'a Policy>,
    /// Why the policy does not run: no such path, another method.
    refused: Option<Reason>,
}

impl Program {
    /// Routes the request on its listener, runs its policy and the listener's, and gives the complete answer. Never fails:
    /// a refusal and a fault are answers.
    pub async fn serve(self: &Arc<Self>, environment: &Environment, request: Request) -> Served {
        self.run(self.begin(environment, request)).await
    }

    /// The first half of [`serve`](Self::serve): nothing runs yet. A future that took a request would have room for it twice.
    pub fn begin(self: &Arc<Self>, environment: &Environment, request: impl Into<Box<Request>>) -> Begun {
        Begun(Box::new(Exchange::new(self.clone(), environment.clone(), request)))
    }

    /// The second half of [`serve`](Self::serve).
    pub fn run(&self, begun: Begun) -> impl Future<Output = Served> + use<'_> {
        self.routed(begun).map(|(x, response)| x.served(response))
    }

    /// [`run`](Self::run), with the exchange as the run left it.
    pub(crate) fn routed(&self, begun: Begun) -> impl Future<Output = (Box<Exchange>, Response)> + use<'_> {
        let Begun(mut x) = begun;
        async move {
            let routed = self.route(&mut x);
            let response = self.answer(&mut x, &routed).await;
            (x, response)
        }
    }

    /// Runs the policy of this name as if a route led to it; `None` where there is none. For tests of policies without a route.
    pub async fn serve_policy(
        self: &Arc<Self>,
        name: &str,
        environment: &Environment,
        request: Request,
    ) -> Option<Served> {
        let (x, response) = self.handed(name, environment, request).await?;
        Some(x.served(response))
    }

    /// [`serve_policy`](Self::serve_policy), with the exchange as the run left it.
    pub(crate) async fn handed(
        self: &Arc<Self>,
        name: &str,
        environment: &Environment,
        request: Request,
    ) -> Option<(Box<Exchange>, Response)> {
        let index = self.policies.binary_search_by(|policy| policy.name.as_str().cmp(name)).ok()?;
        let Begun(mut x) = self.begin(environment, request);
        x.decision.policy = u32::try_from(index).ok();
        let listener = self.listener(&x.request.listener);
        let routed = Routed { listener, policy: Some(&self.policies[index]), refused: None };
        let response = self.answer(&mut x, &routed).await;
        Some((x, response))
    }

    fn route(&self, x: &mut Exchange) -> Routed<'_> {
        let listener = self.listener(&x.request.listener);
        let (matched, refused) = match listener.router.route(&x.request) {
            Ok(matched) => (Some(matched), None),
            Err(Unmatched::Method(matched)) => {
                if let Some(edit) = HeaderEdit::allow(&matched.allowed) {
                    x.edit_response_header(edit);
                }
                let reason = Reason::new(METHOD_NOT_ALLOWED, format!("the route does not take {}", x.request.method));
                (Some(matched), Some(reason.with_status(StatusCode::METHOD_NOT_ALLOWED)))
            }
            Err(Unmatched::NotFound) => {
                (None, Some(Reason::new(NOT_FOUND, "no route has this path").with_status(StatusCode::NOT_FOUND)))
            }
            Err(Unmatched::BadPath) => (None, Some(Reason::bad_request("the path is no UTF-8"))),
        };
        let policy = matched.map(|matched| {
            x.request.params = matched.params;
            x.request.allowed = matched.allowed;
            x.decision.policy = Some(matched.policy);
            x.decision.route = u16::try_from(matched.route).unwrap_or(u16::MAX);
            &self.policies[matched.policy as usize]
        });
        Routed { listener, policy, refused }
    }

    /// The listener of this name; an unknown one has all routes that are bound to none.
    fn listener(&self, name: &str) -> &Listener {
        self.listeners.iter().find(|listener| listener.name == name).unwrap_or(&self.unbound)
    }

    async fn answer(&self, x: &mut Exchange, routed: &Routed<'_>) -> Response {
        let style = routed.policy.map_or(self.library.plain, |policy| policy.style);
        if let Some(policy) = routed.policy {
            // What the client sent under the names that only filters of this policy may send.
            if !policy.injected.is_empty() {
                remove_alike(&mut x.request.headers, &policy.injected);
            }
            if !policy.read.is_empty() {
                remove_other_spellings(&mut x.request.headers, &policy.read);
            }
        }
        x.stamp();
        // As it came: a policy may send another method to its upstream.
        let is_head = x.request.method == Method::HEAD;
        let ended = guarded(self.run_request(x, routed)).await;
        // A panic came out of however many flow words.
        x.decision.depth = 0;
        x.pending.clear();
        self.settle(x, style, routed, ended).await;
        if let Some(response) = &x.response {
            x.company.ended(&x.decision, response.status);
        }
        self.run_response_side(x, style, routed).await;
        let mut response = x.response.take().unwrap_or_else(|| {
            let abort = Abort::new(NO_ANSWER, StatusCode::INTERNAL_SERVER_ERROR, "the response was taken away");
            style.abort(x, &abort)
        });
        if is_head {
            keep_length_only(&mut response);
        }
        if !matches!(response.body, Body::Empty) {
            let company = std::mem::take(&mut x.company);
            response.body = response.body.accompanied(company);
        }
        response
    }

    /// What comes before the policy, and the policy.
    async fn run_request(&self, x: &mut Exchange, routed: &Routed<'_>) -> Ended {
        if let Some(reason) = &routed.refused {
            return Ended::Failure(Box::new(Failed { reason: reason.clone(), step: None }));
        }
        let Some(policy) = routed.policy else { return Ended::Success };
        for index in policy.before.as_ref().unwrap_or(&routed.listener.before) {
            match self.run_policy(x, &self.policies[*index]).await {
                Ended::Success => {}
                ended => return self.after_run(x, ended).await,
            }
        }
        let ended = self.run_chain(x, policy, 0).await;
        let ended = self.after_run(x, ended).await;
        if let Ended::Failure(_) | Ended::Abort(_) = ended {
            x.decision.note_refusal(&ended);
            // What was there is what a filter refused: the handler answers anew, or nobody does.
            x.response = None;
        }
        let handled = self.run_handlers(x, policy, ended).await;
        let handled = self.after_run(x, handled).await;
        if let Ended::Success = handled {
            (x.decision.refused, x.decision.fault) = (None, None);
        }
        handled
    }

    /// Makes an answer of however the request's side ended.
    async fn settle(&self, x: &mut Exchange, style: &'static dyn AnswerStyle, routed: &Routed<'_>, ended: Ended) {
        let ended = match ended {
            Ended::Success if x.response.is_none() => aborted(NO_ANSWER, "the policy ended and nobody had answered"),
            Ended::Answered if x.response.is_none() => aborted(NO_ANSWER, "a filter says that it answered and did not"),
            ended => ended,
        };
        x.decision.outcome = ended.outcome();
        if let Ended::Success | Ended::Answered = ended {
            return;
        }
        x.decision.note_refusal(&ended);
        x.response = None;
        if let Some(on_error) = routed.listener.on_error {
            self.note_failure(x, &ended);
            match guarded(self.run_policy(x, &self.policies[on_error])).await {
                Ended::Success | Ended::Answered if x.response.is_some() => return,
                _ => x.response = None,
            }
        }
        self.built_in(x, style, &ended);
    }

    /// The built-in answer to a failure or fault.
    fn built_in(&self, x: &mut Exchange, style: &'static dyn AnswerStyle, ended: &Ended) {
        let response = match ended {
            Ended::Failure(failed) => style.failure(x, &failed.reason),
            Ended::Abort(aborted) => style.abort(x, &aborted.abort),
            Ended::Success | Ended::Answered => return,
        };
        x.response = Some(if grpc::is_call(&x.request) { grpc::refusal(response) } else { response });
        x.merge_response_edits();
    }

    /// The policy's `[[response]]` and the listener's `after`, on every answer. One that fails is answered by the built-in
    /// answer: what it was to take out of a response must not go out instead.
    async fn run_response_side(&self, x: &mut Exchange, style: &'static dyn AnswerStyle, routed: &Routed<'_>) {
        if let Some((policy, chain)) = routed.response() {
            let ended = guarded(self.run_chain(x, policy, chain)).await;
            if self.settle_response(x, style, &ended) {
                self.edit_again(x, routed, 0).await;
            }
        }
        for (index, policy) in routed.listener.after.iter().enumerate() {
            let ended = guarded(self.run_policy(x, &self.policies[*policy])).await;
            if self.settle_response(x, style, &ended) {
                self.edit_again(x, routed, index + 1).await;
            }
        }
    }

    /// Whether the answer is another one now.
    fn settle_response(&self, x: &mut Exchange, style: &'static dyn AnswerStyle, ended: &Ended) -> bool {
        let failed = matches!(ended, Ended::Failure(_) | Ended::Abort(_));
        if failed {
            // A panic came out of however many flow words.
            x.decision.depth = 0;
            x.decision.note_refusal(ended);
            x.decision.outcome = ended.outcome();
            self.built_in(x, style, ended);
        }
        failed
    }

    /// Gives an answer that took the place of another one the headers of every answer, by `[[response]]` and so many policies of `after`.
    fn edit_again<'a>(&'a self, x: &'a mut Exchange, routed: &'a Routed<'_>, after: usize) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let after = routed.listener.after.iter().take(after).map(|policy| (&self.policies[*policy], 0));
            for (policy, chain) in routed.response().into_iter().chain(after) {
                guarded(self.edit_headers(x, policy, chain).map(|()| Ended::Success)).await;
                x.decision.depth = 0;
            }
        })
    }
}

impl<'a> Routed<'a> {
    /// The policy's `[[response]]`.
    fn response(&self) -> Option<(&'a Policy, usize)> {
        self.policy.and_then(|policy| Some((policy, policy.response?)))
    }
}

impl Exchange {
    /// What is left of it, with its answer.
    fn served(self, response: Response) -> Served {
        let attributes = Attributes { slots: self.slots, marks: self.marks };
        Served { response, held_since: self.held_since, decision: self.decision, company: self.company, attributes }
    }
}

impl super::Decision {
    /// Notes what was refused and where.
    fn note_refusal(&mut self, ended: &Ended) {
        self.refused = match ended {
            Ended::Failure(failed) => Some((failed.reason.code, failed.step)),
            Ended::Abort(aborted) => Some((aborted.abort.code, aborted.step.or_else(|| self.unfinished()))),
            Ended::Success | Ended::Answered => None,
        };
        self.fault = match ended {
            Ended::Abort(aborted) => Some(aborted.abort.message.clone()),
            _ => None,
        };
    }

    /// The innermost step that began and did not end: where a panic came from.
    fn unfinished(&self) -> Option<u32> {
        self.steps.iter().rfind(|record| record.outcome == StepOutcome::Running).map(|record| record.step)
    }
}

/// Runs it; a panic in a filter is a fault of this request, not of the node.
fn guarded(run: impl Future<Output = Ended>) -> impl Future<Output = Ended> {
    AssertUnwindSafe(run).catch_unwind().map(|ended| ended.unwrap_or_else(|_| aborted(PANIC, "a filter panicked")))
}

fn aborted(code: crate::outcome::ReasonCode, message: &'static str) -> Ended {
    let abort = Abort::new(code, StatusCode::INTERNAL_SERVER_ERROR, message);
    Ended::Abort(Box::new(Aborted { abort, step: None }))
}

/// HEAD: the headers that GET would have, without the body (RFC 9110, section 9.3.2).
fn keep_length_only(response: &mut Response) {
    if let Some(length) = response.body.size_hint().exact()
        && !response.headers.contains_key(header::CONTENT_LENGTH)
        && length > 0
    {
        response.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.body = Body::Empty;
}
