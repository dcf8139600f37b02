//! The exchange: one request, its response once there is one, and its attributes.

mod after;
mod alike;
mod body;
mod certificate;
mod company;
mod limit;
pub mod path;
mod request;
mod response;
mod trace;
mod upgrade;

pub use after::AfterRun;
pub(crate) use after::{Beside, Pending, Spare};
pub(crate) use alike::remove_other_spellings;
pub use alike::{alike, remove_alike};
pub use body::{Body, BodyError, BoxError};
pub use certificate::ClientCertificate;
pub use company::{Companion, Company};
pub use request::{Asked, FORM, Form, PathParams, Request, RequestBody, network, without_port};
pub use response::{HeaderEdit, Response};
pub use trace::{TRACEPARENT, TRACESTATE, TraceContext, has_good_tracestate};
pub use upgrade::{Upgrade, Upgraded};

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use crate::attribute::{Slot, Slots};
use crate::engine::{Decision, Program};
use crate::outcome::{Abort, BAD_RESPONSE, Outcome, Reason};
use crate::ports::Environment;
use crate::value::Value;

/// How many names one exchange may note for its trace.
pub const MARKS: usize = 64;

/// One request from start to end. It lives in one generation: its [`Program`].
pub struct Exchange {
    /// The request, as filters may read and edit it.
    pub request: Box<Request>,
    /// The response, once a filter set one.
    pub response: Option<Response>,
    pub(crate) slots: Slots,
    pub(crate) response_edits: Vec<HeaderEdit>,
    /// What filters have still to do with the response, the last one first.
    pub(crate) pending: Vec<Pending>,
    /// What is to go on in the background once the filter has answered.
    pub(crate) beside: Option<Box<Beside>>,
    pub(crate) failure: Option<FailureInfo>,
    pub(crate) input: Vec<(Arc<str>, Value)>,
    pub(crate) decision: Decision,
    /// When the last step ended, by the monotonic clock: one reading a step.
    pub(crate) stamp: u64,
    /// See [`Exchange::hold_since`].
    pub(crate) held_since: Option<u64>,
    /// See [`Exchange::mark`].
    pub(crate) marks: Vec<(Arc<str>, Value)>,
    /// See [`Exchange::accompany`].
    pub(crate) company: Company,
    body_limit: usize,
    response_body_limit: usize,
    program: Arc<Program>,
    environment: Environment,
    started_unix_millis: u64,
}

/// What `${failure.*}` reads.
#[derive(Clone, Debug)]
pub(crate) struct FailureInfo {
    pub(crate) reason: &'static str,
    pub(crate) message: Arc<str>,
    pub(crate) filter: Arc<str>,
    pub(crate) status: StatusCode,
}

/// What `any` restores when one of its chains failed: everything that a filter can set or edit, except bodies that stream.
pub(crate) struct Snapshot {
    slots: Slots,
    response_edits: usize,
    pending: usize,
    request: request::Snapshot,
    response: Option<(StatusCode, HeaderMap)>,
    failure: Option<FailureInfo>,
    limits: (usize, usize),
}

impl Exchange {
    /// A new exchange in this generation.
    pub fn new(program: Arc<Program>, environment: Environment, request: impl Into<Box<Request>>) -> Self {
        let started_unix_millis = environment.clock.unix_millis();
        Exchange {
            request: request.into(),
            response: None,
            slots: Slots::with_len(program.slots()),
            response_edits: Vec::new(),
            pending: Vec::new(),
            beside: None,
            failure: None,
            input: Vec::new(),
            decision: Decision::new(program.generation()),
            stamp: 0,
            held_since: None,
            marks: Vec::new(),
            company: Company::default(),
            body_limit: program.body_limit(),
            response_body_limit: program.body_limit(),
            program,
            environment,
            started_unix_millis,
        }
    }

    /// The generation this request lives in.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// When the request began, in Unix seconds: the `now` of every rule in this exchange.
    pub fn now(&self) -> u64 {
        self.started_unix_millis / 1000
    }

    /// When the request began, in Unix milliseconds.
    pub fn now_millis(&self) -> u64 {
        self.started_unix_millis
    }

    /// Notes the time, for whoever is told how long each step took.
    pub(crate) fn stamp(&mut self) {
        if self.request.timed {
            self.stamp = self.environment.clock.monotonic_nanos();
        }
    }

    /// The clock, where a filter must measure (a rate limit, a duration).
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Fresh random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.environment.random.fill(&mut bytes);
        bytes
    }

    /// What the slot holds.
    pub fn get<T: Send + Sync + 'static>(&self, slot: Slot<T>) -> Option<&T> {
        self.slots.get(slot)
    }

    /// What the slot holds, shared.
    pub fn share<T: Send + Sync + 'static>(&self, slot: Slot<T>) -> Option<Arc<T>> {
        self.slots.arc(slot)
    }

    /// What the slot holds; the reason that it is absent where it holds nothing.
    pub fn needs<T: Send + Sync + 'static>(&self, slot: Slot<T>) -> Result<&T, Reason> {
        self.get(slot).ok_or_else(|| Reason::missing(slot.name))
    }

    /// The same, shared: the exchange may change meanwhile.
    pub fn needs_shared<T: Send + Sync + 'static>(&self, slot: Slot<T>) -> Result<Arc<T>, Reason> {
        self.share(slot).ok_or_else(|| Reason::missing(slot.name))
    }

    /// Sets an attribute.
    pub fn set<T: Send + Sync + 'static>(&mut self, slot: Slot<T>, value: impl Into<Arc<T>>) {
        self.slots.set(slot, value.into());
    }

    /// Takes an attribute off.
    pub fn unset<T>(&mut self, slot: Slot<T>) {
        self.slots.clear(slot.index);
    }

    /// Edits a response header now, or in whatever answer there will be.
    pub fn edit_response_header(&mut self, edit: HeaderEdit) {
        match &mut self.response {
            Some(response) => edit.apply(&mut response.headers),
            None => self.response_edits.push(edit),
        }
    }

    /// The time of the answer is to tell nothing of the work that began at this reading of the monotonic clock: what was looked up, and
    /// whether it was there. Whoever sends the answer holds it until a time that does not depend on how long that took.
    pub fn hold_since(&mut self, began: u64) {
        self.held_since = Some(began);
    }

    /// Notes something for the request's trace, in place of what was noted under this name: at most [`MARKS`] names.
    pub fn mark(&mut self, name: &Arc<str>, value: Value) {
        let known = self.marks.iter().position(|(known, _)| known == name);
        match known {
            Some(index) => self.marks[index].1 = value,
            None if self.marks.len() < MARKS => self.marks.push((name.clone(), value)),
            None => {}
        }
    }

    /// Sets the response and ends the run: what an answering filter returns.
    pub fn answer(&mut self, response: Response) -> Result<Outcome, Abort> {
        self.response = Some(response);
        Ok(Outcome::Answered)
    }

    /// Reads the request's body into memory, at most `limit` bytes. The engine calls it before a filter that said it
    /// reads the body. A larger body is [`BODY_TOO_LARGE`](crate::outcome::BODY_TOO_LARGE) (413).
    pub async fn buffer_request_body(&mut self, limit: usize) -> Result<(), Reason> {
        let read = self.request.buffer_body(limit).await;
        read.map_err(|reason| self.outgrown().unwrap_or(reason))
    }

    /// The decision record so far.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Reads the response's body into memory. A larger body than the limit, or one that breaks off, is a fault of whoever
    /// sent it: 502.
    pub(crate) async fn buffer_response_body(&mut self) -> Result<(), Abort> {
        let limit = self.response_body_limit;
        let Some(response) = self.response.as_mut().filter(|r| matches!(r.body, Body::Stream(_))) else {
            return Ok(());
        };
        let problem = match std::mem::take(&mut response.body).collect(limit).await {
            Ok(bytes) => {
                response.body = bytes.into();
                return Ok(());
            }
            Err(BodyError::TooLarge) => format!("the response's body is larger than {limit} bytes"),
            Err(BodyError::Broken(why)) => format!("the response's body broke off: {why}"),
        };
        Err(Abort::new(BAD_RESPONSE, StatusCode::BAD_GATEWAY, problem))
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            slots: self.slots.clone(),
            response_edits: self.response_edits.len(),
            pending: self.pending.len(),
            request: self.request.snapshot(),
            response: self.response.as_ref().map(|response| (response.status, response.headers.clone())),
            failure: self.failure.clone(),
            limits: (self.body_limit, self.response_body_limit),
        }
    }

    pub(crate) fn restore(&mut self, snapshot: &Snapshot) {
        self.slots = snapshot.slots.clone();
        self.response_edits.truncate(snapshot.response_edits);
        self.pending.truncate(snapshot.pending);
        self.request.restore(&snapshot.request);
        self.failure = snapshot.failure.clone();
        (self.body_limit, self.response_body_limit) = snapshot.limits;
        match (&snapshot.response, &mut self.response) {
            (Some((status, headers)), Some(response)) => {
                response.status = *status;
                response.headers = headers.clone();
            }
            (_, response) => *response = None,
        }
    }
}
