//! A request from its arrival until its answer is sent, or nobody waits for it any more: what is told of it, and when.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};
use policy::engine::Served;
use policy::exchange::{BoxError, Company};
use policy::{Body, Request};

use super::access::{self, About, Ended, Outcome};
use super::id::RequestId;
use super::listeners::Listener;
use super::request::Refused;
use crate::load::Generation;
use crate::metrics::{ListenerMetrics, RouteMetrics};
use crate::node::Node;
use crate::settings::Access;
use crate::telling::{AccessLog, Finished};

/// What is known of a request while it is served. It is boxed: the future that serves a request has it in hand and gives it on.
pub(super) struct InFlight {
    node: Arc<Node>,
    listener: Arc<Listener>,
    /// Until there is an answer: one that streams for hours does not keep it.
    generation: Option<Arc<Generation>>,
    /// Its number.
    number: u64,
    /// The log of its own that a line goes to.
    access: Option<Arc<AccessLog>>,
    name: Arc<str>,
    counters: Arc<ListenerMetrics>,
    id: RequestId,
    /// By which it is known, where that is another.
    known_as: Option<Arc<str>>,
    started: u64,
    /// Where somebody wants to be told.
    about: Option<Box<About>>,
    /// The trace gets this request's span whatever comes of it.
    sampled: bool,
    answered: Option<Answered>,
    /// A line in the log is wanted.
    logs: bool,
    /// Everything is told.
    over: bool,
    /// Who goes along to the end of a connection that switched.
    company: Company,
}

/// What is told once the answer is sent.
struct Answered {
    route: Arc<RouteMetrics>,
    /// Where a line or a span waits for the end.
    outcome: Option<Box<Outcome>>,
    span: Option<Box<Finished>>,
}

impl InFlight {
    pub(super) fn begin(
        (node, listener): (&Arc<Node>, &Arc<Listener>),
        generation: &Arc<Generation>,
        (name, counters): (&Arc<str>, &Arc<ListenerMetrics>),
        id: RequestId,
        started: u64,
    ) -> Box<InFlight> {
        counters.began();
        Box::new(InFlight {
            node: node.clone(),
            listener: listener.clone(),
            generation: Some(generation.clone()),
            number: generation.number,
            access: generation.access.clone(),
            name: name.clone(),
            counters: counters.clone(),
            id,
            known_as: None,
            started,
            about: None,
            sampled: false,
            answered: None,
            logs: false,
            over: false,
            company: Company::default(),
        })
    }

    /// These go along to the end of it.
    pub(super) fn takes_along(&mut self, company: Company) {
        self.company = company;
    }

    /// The request was understood. Notes what is to be told of it, and decides whether its trace is kept.
    pub(super) fn received(&mut self, request: &mut Request) {
        let Some(generation) = &self.generation else { return };
        let traces = generation.settings.node.traces();
        if let Some(traces) = traces
            && let Some(trace) = &mut request.trace
        {
            trace.sampled = traces.keeps(trace);
            self.sampled = trace.sampled;
        }
        self.known_as = Some(request.id.clone());
        request.timed = traces.is_some() || access::wanted(generation);
        if request.timed {
            let at = self.node.environment.clock.unix_millis();
            let about = About::new(request, at, &generation.settings.node.log.access, traces.is_some());
            self.about = Some(Box::new(about));
        }
    }

    fn told_id(&self) -> Arc<str> {
        self.known_as.clone().unwrap_or_else(|| self.id.text())
    }

    /// No policy saw it. Nothing of a malformed request is repeated.
    pub(super) fn refused(mut self, refused: Refused) {
        self.about = None;
        self.tell(Ended::Refused(refused));
        self.counters.ended(0);
        self.over = true;
    }

    /// Its policy came to no end, and it was answered all the same. `why`: in a word.
    pub(super) fn failed(mut self, refused: Refused, why: &'static str) {
        let nanos = self.node.environment.clock.monotonic_nanos().saturating_sub(self.started);
        self.tell(Ended::Failed(refused, why, nanos));
        self.counters.ended(0);
        self.over = true;
    }

    /// There is an answer.
    pub(super) fn answered(&mut self, served: &mut Served) {
        let Some(generation) = self.generation.take() else { return };
        let nanos = self.node.environment.clock.monotonic_nanos().saturating_sub(self.started);
        let status = served.response.status;
        let (policy, route) = generation.served(&served.decision);
        let refused = served.decision.refused().map(|reason| reason.as_str());
        route.metrics.answered(status, nanos, served.decision.outcome(), refused);
        let mut answered = Answered { route: route.metrics.clone(), outcome: None, span: None };
        if let Some(about) = &self.about {
            let of = (policy, route);
            let (decision, attributes) = (&served.decision, &served.attributes);
            let outcome = Outcome::new(status.as_u16(), nanos, of, &generation, decision, attributes);
            self.logs = matches!(generation.settings.node.log.access, Access::Log) && access::wanted(&generation);
            // One that switches protocols is told of at its end.
            if self.logs && status != StatusCode::SWITCHING_PROTOCOLS {
                access::log(Some(about), &self.told_id(), &self.name, Ended::Answered(&outcome, 0, true), self.number);
            }
            let traces = generation.settings.node.traces();
            if traces.is_some_and(|traces| self.sampled || traces.errors && status.is_server_error()) {
                let marks = std::mem::take(&mut served.attributes.marks);
                answered.span =
                    Some(Box::new(Finished::new(about, &outcome, generation.program.explain(decision), marks)));
            }
            answered.outcome = Some(Box::new(outcome));
        }
        self.answered = Some(answered);
    }

    /// The answer's body, at whose end the rest is told.
    pub(super) fn sent(mut self: Box<Self>, body: Body) -> Sent {
        match body {
            Body::Stream(_) => {
                let length = body.size_hint().exact();
                Sent { body, bytes: 0, length, ended: false, broken: false, in_flight: Some(self) }
            }
            whole => {
                self.over(whole.size_hint().exact().unwrap_or(0), true);
                Sent::untold(whole)
            }
        }
    }

    /// Its connection switched protocols, and is over.
    pub(super) fn switched(mut self, why: &'static str, received: u64, sent: u64) {
        self.counters.received(received);
        let outcome = self.answered.as_mut().and_then(|answered| answered.outcome.take());
        if let Some(outcome) = outcome {
            let nanos = self.node.environment.clock.monotonic_nanos().saturating_sub(self.started);
            let ended = Ended::Switched(&outcome, why, (received, sent), nanos);
            if self.logs {
                access::log(self.about.as_deref(), &self.told_id(), &self.name, ended, self.number);
            }
            self.line(ended);
        }
        self.over(sent, true);
    }

    /// It is over: so much of its answer's body was sent.
    fn over(&mut self, bytes: u64, whole: bool) {
        self.over = true;
        self.counters.ended(bytes);
        let Some(Answered { route, outcome, span }) = self.answered.take() else { return };
        route.sent(bytes, whole);
        if let Some(outcome) = outcome {
            self.line(Ended::Answered(&outcome, bytes, whole));
        }
        if let Some(mut span) = span {
            span.took = self.node.environment.clock.monotonic_nanos().saturating_sub(self.started);
            (span.bytes, span.whole) = (bytes, whole);
            self.node.spans.finish(*span);
        }
    }

    /// Writes a line to a log of its own, where there is one.
    fn line(&self, ended: Ended<'_>) {
        if let Some(access) = &self.access {
            let now = self.node.environment.clock.unix_millis();
            let line = access::line(
                &access.lines,
                self.about.as_deref(),
                &self.told_id(),
                &self.name,
                ended,
                self.number,
                now,
            );
            access.writer.write(line.as_bytes());
        }
    }

    /// Tells of a request that no policy answered.
    fn tell(&self, ended: Ended<'_>) {
        let log = |generation: &Arc<Generation>| {
            matches!(generation.settings.node.log.access, Access::Log) && access::wanted(generation)
        };
        if self.generation.as_ref().is_some_and(log) {
            access::log(self.about.as_deref(), &self.told_id(), &self.name, ended, self.number);
        }
        self.line(ended);
    }
}

/// hyper drops a request where its client goes away, and nothing else would tell of it then.
impl Drop for InFlight {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        if self.answered.is_some() {
            // Its answer never got to anybody.
            return self.over(0, false);
        }
        let metrics = &self.node.metrics;
        // A node that ends, or a listener that goes, cuts off what takes too long: then it was not the client.
        let (counter, why) = match self.listener.connections.ended() {
            true => (&metrics.cut_off, "cut off"),
            false => (&metrics.clients_gone, "client gone"),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.counters.ended(0);
        let nanos = self.node.environment.clock.monotonic_nanos().saturating_sub(self.started);
        self.tell(Ended::Unanswered(why, nanos));
    }
}

/// An answer's body on its way, which is counted.
pub(super) struct Sent {
    body: Body,
    bytes: u64,
    /// The length that it says it has.
    length: Option<u64>,
    ended: bool,
    broken: bool,
    in_flight: Option<Box<InFlight>>,
}

impl Sent {
    /// Of an answer of which everything is told.
    pub(super) fn untold(body: Body) -> Sent {
        Sent { body, bytes: 0, length: None, ended: true, broken: false, in_flight: None }
    }
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Poll::Ready(None) => self.ended = true,
            Poll::Ready(Some(Err(_))) => self.broken = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if let Some(mut in_flight) = self.in_flight.take() {
            let ended = self.ended || self.body.is_end_stream() || self.length == Some(self.bytes);
            let whole = ended && !self.broken;
            in_flight.over(self.bytes, whole);
        }
    }
}
