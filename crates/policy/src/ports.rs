//! What the engine and its filters need from outside, as traits. `server` and `store` stand behind them.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::diagnostic::Problem;
use crate::exchange::Body;

/// A boxed future, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Time.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970 (Unix time).
    fn unix_millis(&self) -> u64;
    /// Nanoseconds since some start, never going back: for durations.
    fn monotonic_nanos(&self) -> u64;
}

/// Unpredictable bytes, from the operating system (fixed in tests).
pub trait Random: Send + Sync + 'static {
    /// Fills the buffer.
    fn fill(&self, bytes: &mut [u8]);
}

/// Named things that filters use and that the configuration declares: stores, upstreams, policies' own settings.
///
/// `kind` is the word of the configuration (`"store"`, `"upstream"`, `"server"`); what is behind it is a type that the
/// caller and the filter library agree on.
pub trait Resources: Send + Sync {
    /// The thing of this kind and name, or what is wrong (unknown, of another kind, lacking a verb), with the remedy.
    fn get(&self, kind: &str, name: &str) -> Result<Arc<dyn Any + Send + Sync>, Problem>;
}

/// An upstream: sends one request and gives the answer's head as soon as it is there; bodies stream. What belongs to one
/// connection (RFC 9110, section 7.6.1) is its own affair: it takes those fields off the request and off the answer, writes
/// the framing from the body, and gives no 101.
pub trait Upstream: Send + Sync + 'static {
    /// Sends the request. Its URI has path and query only; `Host` is set by the implementation unless present.
    fn send(&self, request: http::Request<Body>) -> BoxFuture<'_, Result<http::Response<Body>, UpstreamError>>;
}

/// What can go wrong with an upstream, before the head of its answer.
#[derive(Clone, Debug)]
pub enum UpstreamError {
    /// No connection: refused, unreachable, closed before the answer.
    Unreachable(String),
    /// The time limit named here passed (`connect`, `first_byte`).
    Timeout(&'static str),
    /// The client's own body broke off or was malformed.
    RequestBody(String),
    /// The answer was no HTTP.
    Malformed(String),
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpstreamError::Unreachable(why) => write!(f, "unreachable: {why}"),
            UpstreamError::Timeout(which) => write!(f, "silent: `timeouts.{which}` passed"),
            UpstreamError::RequestBody(why) => write!(f, "the request's body broke off: {why}"),
            UpstreamError::Malformed(why) => write!(f, "the answer is malformed: {why}"),
        }
    }
}

/// The word for a value of `[values]`, among the things that filters use.
pub const VALUE: &str = "value";

/// The name under which upstreams are asked for in [`Resources`]: the thing is an [`UpstreamHandle`].
pub const UPSTREAM: &str = "upstream";

/// What [`Resources`] gives for [`UPSTREAM`].
pub struct UpstreamHandle(pub Arc<dyn Upstream>);

/// Work that goes on to its end though nobody waits for it: what an upstream has done must be written down, also where the client that
/// asked is gone.
pub trait Background: Send + Sync + 'static {
    /// Begins the work.
    fn run(&self, work: BoxFuture<'static, ()>);
}

/// The name under which providers (other authorization servers) are asked for in [`Resources`]: the thing is a [`Reached`].
pub const PROVIDER: &str = "provider";

/// Something outside with settings of its own, and the way to it.
pub struct Reached<T> {
    /// What it is.
    pub what: Arc<T>,
    /// How it is called.
    pub upstream: Arc<dyn Upstream>,
    /// Who finishes what was begun with it.
    pub background: Arc<dyn Background>,
}

/// The clock and the randomness of a run.
#[derive(Clone)]
pub struct Environment {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}
