//! `concurrency-limit`: lets so many requests be in flight at once, by key, on this node.
//!
//! A request is in flight from here until its answer was sent to the last byte, or nobody waits for it any more: a client that goes
//! away, a fault, an answer that breaks off; a connection that switched protocols, until it ends. Beyond the limit the filter fails with `too-many-at-once`: 429 where a `key` tells whose
//! requests they are, 503 where all are counted together; with `Retry-After`. A reload counts on, also where it changes the limit.
//! Each node counts for itself.
//!
//! ```toml
//! [[filter]]
//! use   = "concurrency-limit"
//! key   = "${request.client_network}"
//! limit = 20
//! ```

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::Companion;
use policy::settings::Spanned;
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
};

use super::limits::{bounded, key_of};

/// As many requests are in flight as may be.
const TOO_MANY: ReasonCode = ReasonCode::new("too-many-at-once");

/// Independent parts, each with its lock: requests of different keys seldom meet.
const SHARDS: usize = 16;

/// `use = "concurrency-limit"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whose requests are counted together: `"${client.id}"`, `"${request.client_network}"`. Default: all of them. Where it is
    /// absent on purpose (`${x ??}`), those without are counted together.
    key: Option<Dynamic<String>>,
    /// How many may be in flight at once, 1 to 1 000 000.
    limit: Spanned<u32>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "concurrency-limit";
    type Filter = ConcurrencyLimit;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<ConcurrencyLimit, Diagnostics> {
        cx.shapes_nothing();
        bounded(&Some(self.limit.clone()), "limit", 1..=1_000_000, cx)?;
        // Requests of a test come one after another.
        cx.fails_rarely(&[TOO_MANY]);
        Ok(ConcurrencyLimit {
            key: self.key.as_ref().map(|key| cx.dynamic(key)).transpose()?,
            limit: self.limit.value,
            // Whatever the limit is: those that are in flight now still are after a reload.
            in_flight: cx.keep((), InFlight::default),
        })
    }
}

/// The compiled filter.
pub(crate) struct ConcurrencyLimit {
    key: Option<Getter<String>>,
    limit: u32,
    in_flight: Arc<InFlight>,
}

impl Filter for ConcurrencyLimit {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let key = match key_of(self.key.as_ref(), exchange) {
            Ok(key) => key,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        match InFlight::enter(&self.in_flight, &key, self.limit) {
            Some(place) => {
                exchange.accompany(place);
                Ok(Outcome::Success)
            }
            None => Ok(Outcome::Failure(self.refusal())),
        }
    }
}

impl ConcurrencyLimit {
    fn refusal(&self) -> Reason {
        let status = match self.key {
            Some(_) => StatusCode::TOO_MANY_REQUESTS,
            None => StatusCode::SERVICE_UNAVAILABLE,
        };
        Reason::new(TOO_MANY, "as many requests are in flight as may be").with_status(status).with_retry_after(1)
    }
}

/// How many requests of each key are in flight: as many entries as there are requests, at most.
#[derive(Default)]
struct InFlight {
    shards: [Mutex<HashMap<u64, u32>>; SHARDS],
    /// Seeded at random: nobody outside can make two keys meet.
    hasher: RandomState,
}

/// One of those in flight.
struct Place {
    among: Arc<InFlight>,
    hash: u64,
}

impl InFlight {
    fn enter(this: &Arc<InFlight>, key: &str, limit: u32) -> Option<Place> {
        let hash = this.hasher.hash_one(key);
        let mut shard = this.shard(hash);
        let count = shard.get(&hash).copied().unwrap_or(0);
        (count < limit).then(|| {
            shard.insert(hash, count + 1);
            Place { among: this.clone(), hash }
        })
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, HashMap<u64, u32>> {
        self.shards[(hash % SHARDS as u64) as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Companion for Place {}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shard = self.among.shard(self.hash);
        match shard.get_mut(&self.hash) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(shard.remove(&self.hash)),
        }
    }
}

#[cfg(test)]
mod tests {
    use policy::engine::{Program, Served};
    use policy::testing::{Fixture, block_on};

    use super::*;
    use crate::fixture::{get, policy};

    fn text(settings: &str) -> String {
        format!("[[filter]]\nuse = 'concurrency-limit'\n{settings}\n\n[[filter]]\nuse = 'proxy'\nupstream = 'orders'")
    }

    fn tested(settings: &str) -> Fixture {
        policy(&text(settings))
    }

    /// The answer, as it is before its body was read.
    fn begin(fixture: &Fixture, program: &Arc<Program>, path: &str) -> Served {
        block_on(program.serve(&fixture.environment(), get(path, &[])))
    }

    fn status(served: &Served) -> u16 {
        served.response.status.as_u16()
    }

    #[test]
    fn a_request_is_in_flight_until_its_answer_was_sent() {
        let fixture = tested("key = '${request.query.k ?? all}'\nlimit = 2");
        let program = fixture.program();
        let (first, second) = (begin(&fixture, &program, "/?k=a"), begin(&fixture, &program, "/?k=a"));
        let third = begin(&fixture, &program, "/?k=a");
        assert_eq!([status(&first), status(&second), status(&third)], [200, 200, 429]);
        assert_eq!(third.response.headers["retry-after"], "1");
        assert_eq!(status(&begin(&fixture, &program, "/?k=b")), 200, "another key");
        let body = block_on(first.response.body.collect(1_000)).expect("it is whole");
        assert!(!body.is_empty());
        let fourth = begin(&fixture, &program, "/?k=a");
        assert_eq!([status(&fourth), status(&begin(&fixture, &program, "/?k=a"))], [200, 429]);
        // A client that goes away reads nothing.
        drop((second, fourth));
        assert_eq!(status(&begin(&fixture, &program, "/?k=a")), 200);
    }

    #[test]
    fn without_a_key_all_are_counted_and_it_is_the_node_that_is_busy() {
        let fixture = tested("limit = 1");
        let program = fixture.program();
        let first = begin(&fixture, &program, "/");
        let second = begin(&fixture, &program, "/");
        assert_eq!([status(&first), status(&second)], [200, 503]);
    }

    #[test]
    fn what_fails_or_is_given_up_is_in_flight_no_longer() {
        let limit = "[[filter]]\nuse = 'concurrency-limit'\nlimit = 1\n\n";
        let fails = policy(&format!("{limit}[[filter]]\nuse = 'fail'\nreason = 'no'"));
        let program = fails.program();
        assert_eq!([(); 3].map(|()| status(&begin(&fails, &program, "/"))), [403; 3]);
        // One that is dropped while it waits for its upstream.
        let text = format!("route = '/**'\n\n{limit}[[filter]]\nuse = 'proxy'\nupstream = 'silent'");
        let silent = policy::ports::UpstreamHandle(Arc::new(Silent));
        let fixture = crate::fixture::world().resource(policy::ports::UPSTREAM, "silent", silent).policy("p", &text);
        let program = fixture.program();
        let environment = fixture.environment();
        let poll = |serving: &mut std::pin::Pin<Box<dyn Future<Output = Served> + Send>>| {
            serving.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
        };
        let serve = || -> std::pin::Pin<Box<dyn Future<Output = Served> + Send>> {
            let (program, environment) = (program.clone(), environment.clone());
            Box::pin(async move { program.serve(&environment, get("/", &[])).await })
        };
        let (mut first, mut second) = (serve(), serve());
        assert!(poll(&mut first).is_pending());
        assert!(matches!(poll(&mut second), std::task::Poll::Ready(served) if status(&served) == 503));
        drop(first);
        assert!(poll(&mut serve()).is_pending());
    }

    struct Silent;

    impl policy::ports::Upstream for Silent {
        fn send(
            &self,
            _: http::Request<policy::Body>,
        ) -> policy::ports::BoxFuture<'_, Result<http::Response<policy::Body>, policy::ports::UpstreamError>> {
            Box::pin(std::future::pending())
        }
    }

    #[test]
    fn a_reload_counts_on_with_another_limit() {
        let fixture = tested("limit = 1");
        let first = begin(&fixture, &fixture.program(), "/");
        let fixture = fixture.policy("tested", &format!("route = '/**'\n\n{}", text("limit = 2")));
        let program = fixture.program();
        let (second, third) = (begin(&fixture, &program, "/"), begin(&fixture, &program, "/"));
        assert_eq!([status(&first), status(&second), status(&third)], [200, 200, 503]);
    }

    #[test]
    fn nothing_is_kept_of_who_has_gone() {
        let among = Arc::new(InFlight::default());
        let places: Vec<_> = (0..100).filter_map(|n| InFlight::enter(&among, &(n % 7).to_string(), 100)).collect();
        assert_eq!(places.len(), 100);
        drop(places);
        assert!(among.shards.iter().all(|shard| shard.lock().expect("no panic").is_empty()));
    }

    #[test]
    fn bounds_are_checked_at_load() {
        let problems = tested("limit = 0").problems();
        assert!(problems.len() == 1 && problems[0].contains("`limit` is 1 to 1000000"), "{problems:#?}");
    }
}
