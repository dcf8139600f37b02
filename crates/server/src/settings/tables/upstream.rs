//! `[upstream.NAME]`.

use std::borrow::Cow;

use policy::settings::{Duration, FromOutside};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::SecretTable;

/// `[upstream.NAME]`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct UpstreamTable {
    /// Where it is: scheme, host and port of each target: `["http://127.0.0.1:9001"]`, `[{ env = "ORDERS_URL", default = "..." }]`, or
    /// `[{ url = "https://a:9001", weight = 2 }, ...]`. All addresses of a name get requests.
    targets: Vec<TargetSetting>,
    /// How a target is chosen: of two taken at random the one with fewer requests in flight, each in its turn, or by the `key` of the
    /// `proxy`.
    #[schemars(extend("enum" = ["least-requests", "round-robin", "hash"], "default" = "least-requests"))]
    balance: Option<String>,
    /// The version of HTTP: one request at a time on a connection, many, or what the target prefers (over TLS; else 1.1).
    #[schemars(extend("enum" = ["1.1", "2", "auto"], "default" = "1.1"))]
    http: Option<String>,
    /// Whom the gateway trusts over `https`, and who it is. Default: it trusts the machine's authorities.
    tls: Option<UpstreamTlsTable>,
    /// How often names are looked up, 1s to 1h. A look-up that fails changes nothing.
    #[schemars(extend("default" = "30s"))]
    look_up: Option<Duration>,
    /// How long it is waited for.
    timeouts: Option<TimeoutsTable>,
    /// How much may go on at once; what is more is refused with 503.
    limits: Option<UpstreamLimitsTable>,
    /// How targets are asked whether they are well. Default: they are not asked.
    health: Option<HealthTable>,
    /// When a target is left out for what it answered.
    eject: Option<EjectTable>,
    /// How long a target that comes back, or is new, takes to get its whole share, 10ms to 1h; it begins with a tenth. Default: no
    /// time.
    slow_start: Option<Duration>,
    /// When a request is sent once more.
    retries: Option<RetriesTable>,
}

/// A target of an upstream: its URL, or a table.
struct TargetSetting;

impl JsonSchema for TargetSetting {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("TargetSetting")
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let url = generator.subschema_for::<FromOutside>();
        json_schema!({
            "anyOf": [
                url,
                {
                    "type": "object",
                    "properties": {
                        "url": url,
                        "weight": {
                            "type": "integer", "minimum": 1, "maximum": 100, "default": 1,
                            "description": "Its share of the requests, against the others'; each address of its name has it.",
                        },
                    },
                    "required": ["url"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// `tls` of an upstream. Its certificate is always verified.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct UpstreamTlsTable {
    /// PEM files of the authorities that are trusted, relative to the configuration folder: one, or a list. Default: the machine's.
    ca: Option<Files>,
    /// The name that is asked for (SNI) and that the certificate must be for. Default: the target's host.
    server_name: Option<String>,
    /// The gateway's own certificate in a PEM file, with those that lead to its authority behind it. Needs `key`. Default: none.
    certificate: Option<String>,
    /// The key of `certificate`, in PEM.
    key: Option<SecretTable>,
}

/// A file, or several.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
pub(super) enum Files {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// `timeouts` of an upstream.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct TimeoutsTable {
    /// How long a connection may take, TLS included.
    #[schemars(extend("default" = "3s"))]
    connect: Option<Duration>,
    /// How long the answer may take to begin, once the request is sent.
    #[schemars(extend("default" = "30s"))]
    first_byte: Option<Duration>,
    /// How long nothing may come in the middle of an answer.
    #[schemars(extend("default" = "60s"))]
    idle: Option<Duration>,
    /// How long all of it may take, further tries and the whole answer included. Default: no bound.
    whole: Option<Duration>,
}

/// `limits` of an upstream.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct UpstreamLimitsTable {
    /// Open connections to one address.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 10_000))]
    connections: Option<u32>,
    /// Requests that wait for a connection where there are as many as that.
    #[schemars(range(min = 0, max = 1_000_000), extend("default" = 1_000))]
    pending: Option<u32>,
    /// How long one of them waits, 10ms to 60s.
    #[schemars(extend("default" = "1s"))]
    wait: Option<Duration>,
    /// Requests in flight.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 100_000))]
    requests: Option<u32>,
    /// Requests at once on one HTTP/2 connection; fewer where the target says so.
    #[schemars(range(min = 1, max = 10_000), extend("default" = 100))]
    streams: Option<u32>,
}

/// `health` of an upstream.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct HealthTable {
    /// What is asked for: `GET` of this path at every address.
    path: String,
    /// `Host` of the question. Default: the target's own.
    host: Option<String>,
    /// Between two questions, 100ms to 1h.
    #[schemars(extend("default" = "5s"))]
    interval: Option<Duration>,
    /// How long the whole answer may take, 10ms to 60s.
    #[schemars(extend("default" = "2s"))]
    timeout: Option<Duration>,
    /// Statuses that are good: one, a range, or a list of these.
    #[schemars(extend("default" = "200-299"))]
    expect: Option<Expected>,
    /// Good answers in a row after which a target gets requests again.
    #[schemars(range(min = 1, max = 100), extend("default" = 2))]
    healthy: Option<u32>,
    /// Bad ones in a row after which it gets none.
    #[schemars(range(min = 1, max = 100), extend("default" = 3))]
    unhealthy: Option<u32>,
}

/// Statuses that are good.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
enum Expected {
    /// One.
    Status(u16),
    /// A range: `"200-299"`.
    Range(String),
    /// Several.
    Several(Vec<ExpectedOne>),
}

/// A status, or a range of them.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
enum ExpectedOne {
    /// One.
    Status(u16),
    /// A range.
    Range(String),
}

/// `eject` of an upstream.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct EjectTable {
    /// Faults in a row (no connection, no answer, one that breaks off) after which a target is left out; 0 = never.
    #[schemars(range(min = 0, max = 1_000), extend("default" = 5))]
    faults: Option<u32>,
    /// Answers with 5xx in a row after which it is; 0 = never.
    #[schemars(range(min = 0, max = 1_000), extend("default" = 0))]
    errors: Option<u32>,
    /// For how long the first time, 100ms to 1h; the second time in succession it is twice as long, and so on.
    #[schemars(extend("default" = "30s"))]
    time: Option<Duration>,
    /// The longest time, up to 24h.
    #[schemars(extend("default" = "5m"))]
    longest: Option<Duration>,
    /// The part of the addresses that may be left out at once.
    #[schemars(extend("default" = "50%"))]
    share: Option<String>,
}

/// `retries` of an upstream.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RetriesTable {
    /// Further tries, at another target where there is one.
    #[schemars(range(min = 0, max = 10), extend("default" = 1))]
    attempts: Option<u32>,
    /// After what: `"connect"` (nothing was sent; whatever the method), and for what may be done twice `"reset"` (the connection broke
    /// before an answer), `"timeout"` (`first_byte` passed), and statuses of 400 and more.
    #[schemars(extend("default" = ["connect", "reset"]))]
    on: Option<Vec<RetryOn>>,
    /// Methods that may be done twice, beside GET, HEAD, OPTIONS, PUT, DELETE and TRACE. A body that was streamed goes once only.
    methods: Option<Vec<String>>,
    /// The part of the requests that may be sent again; ten a second always may, unless it is 0%.
    #[schemars(extend("default" = "20%"))]
    budget: Option<String>,
    /// How long a further try waits where no other target is left, at the most, 1ms to 10s; twice as long each time.
    #[schemars(extend("default" = "25ms"))]
    backoff: Option<Duration>,
}

/// After what a request is sent again.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
enum RetryOn {
    /// `"connect"`, `"reset"`, `"timeout"`
    Word(String),
    /// A status.
    Status(u16),
}
