//! `rate-limit`: lets so many requests through within a time, by key, on this node. In Oracle API Gateway: Throttling.
//!
//! Over the limit the filter fails with `rate-limited` (429 with `Retry-After`). Every answer has `RateLimit` and
//! `RateLimit-Policy` headers (draft-ietf-httpapi-ratelimit-headers-10). The counts outlive a reload as long as the limit
//! stays as it is. Each node counts for itself.
//!
//! ```toml
//! [[filter]]
//! use   = "rate-limit"
//! key   = "${request.client_ip}"
//! limit = "100/1s"
//! burst = 200
//! ```

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::HeaderEdit;
use policy::settings::{Rate, Spanned};
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
};

use super::counters::Counters;
use super::gcra::{Gcra, Verdict};
use crate::not_yet::NotYet;

/// More requests than the limit allows.
const RATE_LIMITED: ReasonCode = ReasonCode::new("rate-limited");

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

const SECOND: u64 = 1_000_000_000;

/// `use = "rate-limit"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whose requests are counted together: `"${client.id}"`, `"${request.client_ip}"`. Default: all of them. Where it is
    /// absent on purpose (`${x ??}`), those without are counted together.
    key: Option<Dynamic<String>>,
    /// How many within what time: `"100/1s"`, `"5000/1h"`.
    limit: Rate,
    /// How many may come at once after a pause, 1 to 1 000 000. Default: the limit's count.
    burst: Option<Spanned<u32>>,
    /// How many keys are kept in mind, 128 to 10 000 000; beyond, a new one takes the place of the one that is soonest free, of the few next in turn. About 50 bytes each. Default: 100 000.
    keys: Option<Spanned<u32>>,
    /// Whether answers have the `RateLimit` headers. Default: `true`.
    #[serde(default = "yes")]
    headers: bool,
    #[schemars(skip)]
    store: Option<NotYet>,
}

fn yes() -> bool {
    true
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "rate-limit";
    type Filter = RateLimit;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<RateLimit, Diagnostics> {
        NotYet::refuse(
            &self.store,
            "store",
            "each node counts for itself: divide the limit by the number of nodes",
            cx,
        )?;
        let burst = bounded(&self.burst, "burst", 1..=1_000_000, cx)?.unwrap_or(self.limit.count);
        let keys = bounded(&self.keys, "keys", 128..=10_000_000, cx)?.unwrap_or(100_000) as usize;
        let per = u64::try_from(self.limit.per.as_nanos()).unwrap_or(u64::MAX);
        cx.fails(&[RATE_LIMITED]);
        let gcra = Gcra::new(self.limit.count, per, burst);
        Ok(RateLimit {
            key: self.key.as_ref().map(|k| cx.dynamic(k)).transpose()?,
            // The shape: counts that were made for another limit say nothing for this one.
            counters: cx.keep((gcra, keys), || Counters::new(gcra, keys)),
            announcement: self.headers.then(|| Announcement::new(&self.limit)),
        })
    }
}

fn bounded(
    setting: &Option<Spanned<u32>>,
    name: &str,
    bounds: std::ops::RangeInclusive<u32>,
    cx: &BuildContext<'_>,
) -> Result<Option<u32>, Diagnostics> {
    match setting {
        Some(given) if !bounds.contains(&given.value) => {
            let help = format!("`{name}` is {} to {}", bounds.start(), bounds.end());
            Err(cx.error(given.span, format!("{} is out of bounds", given.value), help).into())
        }
        given => Ok(given.as_ref().map(|g| g.value)),
    }
}

/// The compiled filter.
pub(crate) struct RateLimit {
    key: Option<Getter<String>>,
    counters: Arc<Counters>,
    announcement: Option<Announcement>,
}

impl Filter for RateLimit {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let key = match self.key.as_ref().map(|key| key.get_optional(exchange)).transpose() {
            Ok(key) => key.flatten().unwrap_or_default(),
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        let now = exchange.environment().clock.monotonic_nanos();
        let (outcome, remaining, full_in) = match self.counters.count(&key, now) {
            Verdict::Pass { remaining, full_in, .. } => (Outcome::Success, remaining, full_in),
            Verdict::Wait { retry_in, full_in } => (Outcome::Failure(limited(retry_in)), 0, full_in),
        };
        if let Some(announcement) = &self.announcement {
            announcement.make(exchange, remaining, full_in);
        }
        Ok(outcome)
    }
}

fn limited(retry_in: u64) -> Reason {
    let seconds = u32::try_from(seconds(retry_in)).unwrap_or(u32::MAX);
    Reason::new(RATE_LIMITED, "more requests than the limit allows")
        .with_status(StatusCode::TOO_MANY_REQUESTS)
        .with_retry_after(seconds)
}

/// Whole seconds, at least one: who comes back then is let through.
fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(SECOND).max(1)
}

/// The headers that tell clients of the limit. They are added, not set: a policy may have several limits, each of which
/// is a member of the list, named by the rate that it is.
struct Announcement {
    name: String,
    policy: HeaderValue,
}

impl Announcement {
    fn new(limit: &Rate) -> Self {
        let window = limit.per.as_secs_f64().ceil() as u64;
        let name = format!("\"{}-per-{}s\"", limit.count, window);
        let policy = HeaderValue::from_str(&format!("{name};q={};w={window}", limit.count));
        Announcement { policy: policy.expect("digits and ASCII letters are a header's value"), name }
    }

    fn make(&self, exchange: &mut Exchange, remaining: u64, full_in: u64) {
        let state = format!("{};r={remaining};t={}", self.name, full_in.div_ceil(SECOND));
        exchange.edit_response_header(HeaderEdit::Append(RATE_LIMIT_POLICY, self.policy.clone()));
        if let Ok(state) = HeaderValue::from_str(&state) {
            exchange.edit_response_header(HeaderEdit::Append(RATE_LIMIT, state));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use policy::engine::Program;
    use policy::testing::{Fixture, Ran, block_on, read};

    use crate::fixture::{get, policy, told};

    fn tested(settings: &str) -> Fixture {
        policy(&format!("[[filter]]\nuse = 'rate-limit'\n{settings}\n\n[[filter]]\nuse = 'respond'"))
    }

    fn ask(fixture: &Fixture, program: &Arc<Program>, path: &str) -> Ran {
        block_on(async { read(program, program.serve(&fixture.environment(), get(path, &[])).await).await })
    }

    #[test]
    fn so_many_pass_and_the_next_is_told_when_to_come_back() {
        let fixture = tested("key = '${request.query.k ?? all}'\nlimit = '2/10s'");
        let program = fixture.program();
        let first = ask(&fixture, &program, "/?k=a");
        assert_eq!(first.header("ratelimit-policy"), "\"2-per-10s\";q=2;w=10");
        assert_eq!(first.header("ratelimit"), "\"2-per-10s\";r=1;t=5");
        assert_eq!(told(&ask(&fixture, &program, "/?k=a")), "200");
        let refused = ask(&fixture, &program, "/?k=a");
        assert_eq!(told(&refused), "429 rate-limited");
        assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), ("5", "\"2-per-10s\";r=0;t=10"));
        assert_eq!(told(&ask(&fixture, &program, "/?k=b")), "200", "another key");
        fixture.clock().advance(Duration::from_secs(5));
        assert_eq!(told(&ask(&fixture, &program, "/?k=a")), "200", "when it was told to");
        assert_eq!(told(&ask(&fixture, &program, "/?k=a")), "429 rate-limited");
    }

    #[test]
    fn a_burst_of_its_own_and_no_headers() {
        let fixture = tested("limit = '1/1s'\nburst = 3\nheaders = false");
        let program = fixture.program();
        let statuses: Vec<_> = (0..4).map(|_| ask(&fixture, &program, "/").status).collect();
        assert_eq!(statuses, [200, 200, 200, 429]);
        assert_eq!(ask(&fixture, &program, "/").header("ratelimit"), "");
    }

    #[test]
    fn counts_outlive_a_reload_while_the_limit_is_the_same() {
        let fixture = tested("limit = '1/1m'");
        let before = fixture.program();
        assert_eq!(told(&ask(&fixture, &before, "/")), "200");
        let reloaded = fixture.program();
        assert_eq!(told(&ask(&fixture, &reloaded, "/")), "429 rate-limited");
    }

    #[test]
    fn bounds_are_checked_at_load() {
        for (settings, said) in [
            ("limit = '1/1s'\nburst = 0", "0 is out of bounds"),
            ("limit = '1/1s'\nkeys = 1", "1 is out of bounds"),
            ("limit = '1/1s'\nstore = 'x'", "error[P0004]"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
