//! How a filter ends: [`Outcome`] when it did its work, [`Abort`] when something it needs is broken.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderValue, StatusCode};

/// How a filter, a chain or a policy ended. All three are normal; a fault is an [`Abort`].
#[derive(Debug)]
pub enum Outcome {
    /// It went well: the next filter runs.
    Success,
    /// The response is complete and nothing further is to run. Ends the policy and its callers as a success; the
    /// response chains still run.
    Answered,
    /// It says no, and why.
    Failure(Reason),
}

/// The identity of a kind of failure or fault: compared as a value, shown in decision records, logs and tests.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReasonCode(&'static str);

impl ReasonCode {
    /// A code in kebab-case, or an OAuth error code as the RFC spells it. Declared once, as a constant.
    pub const fn new(code: &'static str) -> Self {
        ReasonCode(code)
    }
    /// Its text.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
    /// A code that a policy file names. Every name is kept once for the life of the process: there are as many as
    /// operators ever wrote, not as many as there were loads.
    pub fn named(code: &str) -> Self {
        static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.get(code) {
            return ReasonCode(known);
        }
        let kept: &'static str = Box::leak(Box::from(code));
        names.insert(kept);
        ReasonCode(kept)
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
impl fmt::Debug for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A value that a setting asked for was absent and had no default. On an OAuth endpoint this is `invalid_request`.
pub const MISSING_VALUE: ReasonCode = ReasonCode::new("missing-value");
/// A value had a type that the setting cannot take.
pub const WRONG_TYPE: ReasonCode = ReasonCode::new("wrong-type");
/// The request itself is malformed (a form that is no form, JSON that is no JSON, a repeated parameter).
pub const BAD_REQUEST: ReasonCode = ReasonCode::new("bad-request");
/// The body is larger than the limit.
pub const BODY_TOO_LARGE: ReasonCode = ReasonCode::new("body-too-large");
/// A `switch` found no case, and `else = "fail"`.
pub const NO_CASE: ReasonCode = ReasonCode::new("no-case");
/// The path is known, the method is not.
pub const METHOD_NOT_ALLOWED: ReasonCode = ReasonCode::new("method-not-allowed");
/// The response cannot be read as a filter was to read it: its body is larger than the limit, broke off, or is no JSON.
pub const BAD_RESPONSE: ReasonCode = ReasonCode::new("bad-response");
/// A policy ended well and nobody had answered. The check at load refuses policies where that can be.
pub const NO_ANSWER: ReasonCode = ReasonCode::new("no-answer");
/// A filter panicked: a bug.
pub const PANIC: ReasonCode = ReasonCode::new("panic");
/// No route.
pub const NOT_FOUND: ReasonCode = ReasonCode::new("not-found");

/// Why a filter failed: a typed value. The built-in answer is written from it.
#[derive(Clone)]
pub struct Reason {
    /// What kind of failure.
    pub code: ReasonCode,
    /// A sentence for the log and for `${failure.message}`; never a secret, never shown to the client by the built-in answers
    /// unless `detail` says so.
    pub message: Cow<'static, str>,
    /// The status of the built-in answer (default 403).
    pub status: StatusCode,
    /// The credential was absent, not bad: `any` may try its next chain.
    pub absent: bool,
    /// `WWW-Authenticate` values for the answer; `any` merges those of its chains.
    pub challenges: Vec<HeaderValue>,
    /// Seconds for `Retry-After`, which every answer style writes.
    pub retry_after: Option<u32>,
    /// More, for the answer style of the filter's own library (an OAuth error, say).
    pub detail: Option<Arc<dyn Any + Send + Sync>>,
}

impl Reason {
    /// A failure with this code and message, 403 unless [`status`](Self::with_status) says otherwise.
    pub fn new(code: ReasonCode, message: impl Into<Cow<'static, str>>) -> Self {
        Reason {
            code,
            message: message.into(),
            status: StatusCode::FORBIDDEN,
            absent: false,
            challenges: Vec::new(),
            retry_after: None,
            detail: None,
        }
    }

    /// The request is malformed: [`BAD_REQUEST`], 400.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Reason::new(BAD_REQUEST, message).with_status(StatusCode::BAD_REQUEST)
    }

    /// The response cannot be read as it should be: [`BAD_RESPONSE`], 502.
    pub fn bad_response(message: impl Into<Cow<'static, str>>) -> Self {
        Reason::new(BAD_RESPONSE, message).with_status(StatusCode::BAD_GATEWAY)
    }

    /// The status of the built-in answer.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Says that the credential is absent.
    pub fn with_absent(mut self) -> Self {
        self.absent = true;
        self
    }

    /// Adds a `WWW-Authenticate` value.
    pub fn with_challenge(mut self, challenge: HeaderValue) -> Self {
        self.challenges.push(challenge);
        self
    }

    /// Says when to try again.
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds detail for an answer style.
    pub fn with_detail<T: Any + Send + Sync>(mut self, detail: T) -> Self {
        self.detail = Some(Arc::new(detail));
        self
    }

    /// The detail, where it is of this type.
    pub fn detail<T: Any>(&self) -> Option<&T> {
        self.detail.as_deref()?.downcast_ref()
    }

    /// The missing value that `name` stands for.
    pub fn missing(name: &str) -> Self {
        Reason::new(MISSING_VALUE, format!("`{name}` is absent")).with_status(StatusCode::BAD_REQUEST)
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.code, self.message, self.status)
    }
}

/// A fault: something the filter needs is broken (a store is down, an upstream is silent). Never an allow.
#[derive(Clone, Debug)]
pub struct Abort {
    /// What kind of fault: `store-unavailable`, `upstream-timeout` ...
    pub code: ReasonCode,
    /// For the log; never a secret.
    pub message: Cow<'static, str>,
    /// The status of the built-in answer: 503, 502, 504, 500.
    pub status: StatusCode,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u32>,
}

impl Abort {
    /// A fault answered with this status.
    pub fn new(code: ReasonCode, status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Abort { code, message: message.into(), status, retry_after: None }
    }

    /// Something is down for now: 503 with `Retry-After`.
    pub fn unavailable(code: ReasonCode, message: impl Into<Cow<'static, str>>) -> Self {
        Abort { retry_after: Some(5), ..Abort::new(code, StatusCode::SERVICE_UNAVAILABLE, message) }
    }
}
