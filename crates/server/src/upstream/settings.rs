//! What an upstream is made of, as `[upstream.NAME]` says it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};

use super::tls::TlsSettings;

/// An upstream. Equal settings are the same upstream; where they differ, the connections of targets that stay are kept all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpstreamSettings {
    /// Where it is, at least one.
    pub(crate) targets: Vec<Target>,
    /// How a target is chosen.
    pub(crate) balance: Balance,
    /// How often names are looked up.
    pub(crate) look_up: Duration,
    /// Its time limits.
    pub(crate) timeouts: Timeouts,
    /// Its limits on what goes on at once.
    pub(crate) limits: Limits,
    /// How targets are asked how they are.
    pub(crate) health: Option<Health>,
    /// When a target is left out for what it answered.
    pub(crate) ejection: Ejection,
    /// How long a target that comes back takes to get its whole share.
    pub(crate) slow_start: Duration,
    /// When a request is sent once more.
    pub(crate) retries: Retries,
    /// The admin address, which no name may lead to.
    pub(crate) admin: Option<SocketAddr>,
}

impl UpstreamSettings {
    /// One target, and all else as it is where nothing is said.
    pub(crate) fn to(way: Way, host: &str, port: u16) -> Self {
        UpstreamSettings {
            targets: vec![Target { way: Arc::new(way), host: host.to_owned(), port, weight: 1 }],
            balance: Balance::default(),
            look_up: Duration::from_secs(30),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            health: None,
            ejection: Ejection::default(),
            slow_start: Duration::ZERO,
            retries: Retries::default(),
            admin: None,
        }
    }

    /// Whether a target is at this origin.
    pub(crate) fn is_at(&self, scheme: &str, host: &str, port: u16) -> bool {
        let at = |target: &Target| {
            (scheme == "https") == target.way.tls.is_some()
                && target.port == port
                && target.host.eq_ignore_ascii_case(host)
        };
        self.targets.iter().any(at)
    }

    /// What stands in for an upstream whose settings are wrong, so that policies that name it can be checked. Never sent to.
    pub(crate) fn nowhere() -> Self {
        UpstreamSettings::to(Way::default(), "invalid", 0)
    }
}

/// A target: every address of its host gets requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// How it is spoken to.
    pub(crate) way: Arc<Way>,
    /// Name or address, without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// Its share, against the others.
    pub(crate) weight: u32,
}

impl Target {
    /// `HOST[:PORT]`, as a `Host` header has it: without the port that the scheme implies.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let implied = if self.way.tls.is_some() { 443 } else { 80 };
        if self.port == implied { host } else { format!("{host}:{}", self.port) }
    }

    /// As the settings write it.
    pub(super) fn url(&self) -> String {
        format!("{}://{}", if self.way.tls.is_some() { "https" } else { "http" }, self.authority())
    }
}

/// How a target is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// The version of HTTP.
    pub(crate) http: HttpVersion,
    /// TLS, for `https`.
    pub(crate) tls: Option<TlsSettings>,
}

/// `http`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum HttpVersion {
    /// One request at a time on a connection.
    #[default]
    One,
    /// Many: agreed on by ALPN over TLS, known beforehand without.
    Two,
    /// What the other side prefers, over TLS; else 1.1.
    Auto,
}

/// `balance`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Balance {
    /// Each in its turn.
    RoundRobin,
    /// Of two taken at random, the one with fewer requests in flight.
    #[default]
    LeastRequests,
    /// By the key that the filter gives.
    Hash,
}

/// Time limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// Until there is a connection, TLS included.
    pub(crate) connect: Duration,
    /// From the end of the request to the head of the answer; before that, for the upstream to take the next piece of the request.
    pub(crate) first_byte: Duration,
    /// Between two pieces of the answer's body.
    pub(crate) idle: Duration,
    /// From the beginning to the end of the answer's body, all tries together.
    pub(crate) whole: Option<Duration>,
}

impl Default for Timeouts {
    /// An upstream that is there connects in milliseconds; an answer may take its time.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Timeouts { connect: seconds(3), first_byte: seconds(30), idle: seconds(60), whole: None }
    }
}

/// What may go on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Open connections to one address.
    pub(crate) connections: u32,
    /// Requests that wait for a connection, of the whole upstream.
    pub(crate) pending: u32,
    /// How long one of them waits.
    pub(crate) wait: Duration,
    /// Requests in flight, of the whole upstream.
    pub(crate) requests: u32,
    /// Requests at once on one HTTP/2 connection.
    pub(crate) streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { connections: 10_000, pending: 1_000, wait: Duration::from_secs(1), requests: 100_000, streams: 100 }
    }
}

/// `health`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    /// What is asked for.
    pub(crate) path: String,
    /// `Host` of the question; the target's own where none is named.
    pub(crate) host: Option<String>,
    /// Between two questions.
    pub(crate) interval: Duration,
    /// How long the whole answer may take.
    pub(crate) timeout: Duration,
    /// Ranges of statuses that are good, both ends included.
    pub(crate) expect: Vec<(u16, u16)>,
    /// Good answers in a row after which a target is used again.
    pub(crate) healthy: u32,
    /// Bad ones in a row after which it is not.
    pub(crate) unhealthy: u32,
}

/// `eject`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ejection {
    /// Faults in a row after which a target is left out; 0 = never.
    pub(crate) faults: u32,
    /// Answers 5xx in a row after which it is; 0 = never.
    pub(crate) errors: u32,
    /// For how long, the first time.
    pub(crate) time: Duration,
    /// The longest that this grows to.
    pub(crate) longest: Duration,
    /// Percent of the targets that may be left out at once.
    pub(crate) share: u32,
}

impl Default for Ejection {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Ejection { faults: 5, errors: 0, time: seconds(30), longest: seconds(300), share: 50 }
    }
}

/// `retries`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retries {
    /// Further tries after the first.
    pub(crate) attempts: u32,
    /// After no connection: nothing was sent.
    pub(crate) connect: bool,
    /// After a connection that broke before an answer.
    pub(crate) reset: bool,
    /// After `first_byte` passed.
    pub(crate) timeout: bool,
    /// After answers with these statuses.
    pub(crate) statuses: Vec<StatusCode>,
    /// Methods that may be done twice, beside those that HTTP calls idempotent.
    pub(crate) methods: Vec<Method>,
    /// Percent of the requests that may be sent again.
    pub(crate) budget: u32,
    /// How long the first further try waits where no other target is left.
    pub(crate) backoff: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Retries {
            attempts: 1,
            connect: true,
            reset: true,
            timeout: false,
            statuses: Vec::new(),
            methods: Vec::new(),
            budget: 20,
            backoff: Duration::from_millis(25),
        }
    }
}
