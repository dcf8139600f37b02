//! `delay`: lets a request wait, for tests of clients that must bear slow answers, and as a tarpit for those who should not hurry.
//!
//! A client that goes away ends its wait. Waiting costs the node a connection and some memory, and nothing else; no more than
//! `at_most` wait at a time, and who comes then fails with `too-many-delayed` (503 with `Retry-After`). In `portcullis test` no time
//! passes: the clock is set forward.
//!
//! ```toml
//! [[filter]]
//! use    = "delay"
//! when   = 'request.header["x-test-slow"] == "yes"'
//! time   = "2s"
//! jitter = "500ms"
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::settings::{self, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode};

use super::limits::{bounded, bounded_time};

/// As many requests wait as may.
const TOO_MANY: ReasonCode = ReasonCode::new("too-many-delayed");

/// `use = "delay"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// How long a request waits, `"1ms"` to `"1m"`.
    time: Spanned<settings::Duration>,
    /// Up to so much longer, at random, `"1ms"` to `"1m"`. Default: none.
    jitter: Option<Spanned<settings::Duration>>,
    /// How many wait at a time, 1 to 100 000. Default: 1 000.
    at_most: Option<Spanned<u32>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "delay";
    type Filter = Delay;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Delay, Diagnostics> {
        cx.shapes_nothing();
        let bounds = || settings::Duration(Duration::from_millis(1))..=settings::Duration(Duration::from_secs(60));
        let time = bounded_time(&Some(self.time.clone()), "time", bounds(), cx)?.unwrap_or_default();
        let jitter = bounded_time(&self.jitter, "jitter", bounds(), cx)?.unwrap_or_default();
        let at_most = bounded(&self.at_most, "at_most", 1..=100_000, cx)?.unwrap_or(1_000);
        cx.fails_rarely(&[TOO_MANY]);
        Ok(Delay { time, jitter, at_most, waiting: cx.keep((), AtomicU32::default) })
    }
}

/// The compiled filter.
pub(crate) struct Delay {
    time: Duration,
    jitter: Duration,
    at_most: u32,
    waiting: Arc<AtomicU32>,
}

impl Filter for Delay {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let Some(_waiting) = Waiting::begin(&self.waiting, self.at_most) else {
            let reason = Reason::new(TOO_MANY, "as many requests wait as may");
            return Ok(Outcome::Failure(reason.with_status(StatusCode::SERVICE_UNAVAILABLE).with_retry_after(1)));
        };
        let part = f64::from(u32::from_be_bytes(exchange.random())) / f64::from(u32::MAX);
        let clock = exchange.environment().clock.clone();
        clock.sleep(self.time + self.jitter.mul_f64(part)).await;
        Ok(Outcome::Success)
    }
}

/// One that waits, until it goes on or goes away.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicU32, at_most: u32) -> Option<Self> {
        count
            .fetch_update(Relaxed, Relaxed, |count| (count < at_most).then_some(count + 1))
            .ok()
            .map(|_| Waiting(count))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use policy::ports::Clock;
    use policy::testing::Fixture;

    use super::*;
    use crate::fixture::{get, policy, told};

    fn tested(settings: &str) -> Fixture {
        policy(&format!("[[filter]]\nuse = 'delay'\n{settings}\n\n[[filter]]\nuse = 'respond'"))
    }

    #[test]
    fn a_request_waits_so_long_and_a_little_longer() {
        let fixture = tested("time = '2s'\njitter = '500ms'");
        let mut waits = Vec::new();
        for _ in 0..20 {
            let before = fixture.clock().unix_millis();
            assert_eq!(told(&fixture.run(get("/", &[]))), "200");
            waits.push(fixture.clock().unix_millis() - before);
        }
        assert!(waits.iter().all(|wait| (2_000..=2_500).contains(wait)), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait != waits[0]), "{waits:?}");
    }

    #[test]
    fn no_more_wait_than_may_and_who_goes_away_waits_no_longer() {
        let count = AtomicU32::new(0);
        let (first, second) = (Waiting::begin(&count, 2), Waiting::begin(&count, 2));
        assert!(first.is_some() && second.is_some() && Waiting::begin(&count, 2).is_none());
        drop(first);
        assert!(Waiting::begin(&count, 2).is_some());
    }

    #[test]
    fn bounds_are_checked_at_load() {
        for (settings, said) in [
            ("time = '2m'", "`time` is \"1ms\" to \"1m\""),
            ("time = '1s'\njitter = '2m'", "`jitter` is"),
            ("time = '1s'\nat_most = 0", "`at_most` is"),
            ("", "time"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
