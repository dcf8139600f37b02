//! `rate-limit`: lets so many requests through within a time, by key, on this node or on all nodes together. In Oracle API Gateway:
//! Throttling.
//!
//! Over the limit the filter fails with `rate-limited` (429 with `Retry-After`). Every answer has `RateLimit` and
//! `RateLimit-Policy` headers (draft-ietf-httpapi-ratelimit-headers-10). The counts outlive a reload as long as the limit
//! stays as it is, and its filter's `name`, policy and chain; without a `name`, which of the chain's `rate-limit`s it is.
//!
//! With `store` all nodes keep one limit, to within 5 %: each takes some of it on account, so that a busy key asks the store about 50
//! times within the limit's time, and not for each request. While the store is down, each node keeps its share of the limit
//! (`[cluster] nodes` in `node.toml` says how many share it), or does what `on_store_failure` says. The nodes' clocks should agree.
//!
//! ```toml
//! [[filter]]
//! use   = "rate-limit"
//! key   = "${request.client_network}"
//! limit = "100/1s"
//! burst = 200
//!
//! [[filter]]
//! use   = "rate-limit"
//! name  = "limit of the cluster"
//! key   = "${request.header.x-tenant ?? none}"
//! limit = "5000/1m"
//! store = "counters"
//! ```

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use policy::filter::Judges;
use policy::settings::{Duration, Rate, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, ReasonCode};

use super::gcra::{Due, Gcra, Verdict};
use super::keyed::Keyed;
use super::leases::{Ask, Budget, Grant, Leases};
use super::limits::{OnStoreFailure, SECOND, SharedBy, announce, bounded, key_of, limited, needs, place};
use crate::stores::abort_from;

/// More requests than the limit allows.
const RATE_LIMITED: ReasonCode = ReasonCode::new("rate-limited");

/// `use = "rate-limit"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whose requests are counted together: `"${client.id}"`, `"${request.client_network}"`. Default: all of them. Where it is
    /// absent on purpose (`${x ??}`), those without are counted together.
    key: Option<Dynamic<String>>,
    /// How many within what time: `"100/1s"`, `"5000/1h"`.
    limit: Rate,
    /// How many may come at once after a pause, 1 to 1 000 000. Default: the limit's count.
    burst: Option<Spanned<u32>>,
    /// How many keys are kept in mind, 128 to 10 000 000; beyond, a new one takes the place of the one that is soonest free, of the few next in turn. About 50 bytes each, 250 with `store`. Default: 100 000.
    keys: Option<Spanned<u32>>,
    /// Whether answers have the `RateLimit` headers.
    #[serde(default = "yes")]
    headers: bool,
    /// The store of the kind `counters` over which all nodes keep this limit together. Default: none, each node counts for itself.
    store: Option<Spanned<String>>,
    /// With `store`: filters with the same group count together, in whatever policies they stand. Give them the same limit. 1 to 200 bytes. Default: the filter counts alone.
    group: Option<Spanned<String>>,
    /// With `store`: what happens while the store is down or silent. `"local"`: each node keeps its share of the limit. `"deny"`: a fault, 503 `store-unavailable`. `"allow"`: requests pass uncounted. Default: `"local"`.
    on_store_failure: Option<Spanned<OnStoreFailure>>,
    /// With `store`: how long a request waits for the store, `"10ms"` to `"2s"`. After that, and for a second, `on_store_failure` holds. Default: `"250ms"`.
    store_timeout: Option<Spanned<Duration>>,
}

fn yes() -> bool {
    true
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "rate-limit";
    type Filter = RateLimit;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<RateLimit, Diagnostics> {
        let burst = bounded(&self.burst, "burst", 1..=1_000_000, cx)?.unwrap_or(self.limit.count);
        let keys = bounded(&self.keys, "keys", 128..=10_000_000, cx)?.unwrap_or(100_000) as usize;
        let per = u64::try_from(self.limit.per.as_nanos()).unwrap_or(u64::MAX);
        cx.fails(&[RATE_LIMITED]);
        cx.judges(Judges::Each);
        let gcra = Gcra::new(self.limit.count, per, burst);
        let window = self.limit.per.as_secs_f64().ceil() as u64;
        Ok(RateLimit {
            key: self.key.as_ref().map(|k| cx.dynamic(k)).transpose()?,
            shared: self.shared(gcra, keys, cx)?,
            gcra,
            // The shape: counts that were made for another limit say nothing for this one.
            counters: cx.keep((gcra, keys), || Keyed::new(keys)),
            announced: self.headers.then(|| Announced {
                name: format!("\"{}-per-{window}s\"", self.limit.count),
                limit: (self.limit.count.into(), window),
            }),
        })
    }
}

impl Settings {
    fn shared(&self, gcra: Gcra, keys: usize, cx: &mut BuildContext<'_>) -> Result<Option<Shared>, Diagnostics> {
        if self.store.is_none() {
            needs(&self.group, "group", "store = \"counters\"", cx)?;
            needs(&self.on_store_failure, "on_store_failure", "store = \"counters\"", cx)?;
            needs(&self.store_timeout, "store_timeout", "store = \"counters\"", cx)?;
            return Ok(None);
        }
        let on_failure = self.on_store_failure.as_ref().map(|given| given.value);
        let by = SharedBy::build(&self.store, &self.group, &self.store_timeout, on_failure, cx)?;
        let nodes = cx.node().cluster_nodes;
        let shape = (place(&self.store, &self.group), keys);
        let budget = Schedule::new(&self.limit, gcra, nodes);
        Ok(Some(Shared { by, budget, share: gcra.share(nodes), leases: cx.keep(shape, || Leases::new(keys)) }))
    }
}

/// The compiled filter.
pub(crate) struct RateLimit {
    key: Option<Getter<String>>,
    shared: Option<Shared>,
    gcra: Gcra,
    /// What this node counts for itself.
    counters: Arc<Keyed<Due>>,
    announced: Option<Announced>,
}

/// What clients are told of the limit.
struct Announced {
    name: String,
    /// How many, in how many seconds.
    limit: (u64, u64),
}

/// One limit for all nodes.
struct Shared {
    by: SharedBy,
    budget: Schedule,
    leases: Arc<Leases<Row>>,
    /// This node's part while the store is down.
    share: Gcra,
}

impl Filter for RateLimit {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let key = match key_of(self.key.as_ref(), exchange) {
            Ok(key) => key,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        let verdict = match &self.shared {
            None => self.alone(self.gcra, &key, exchange),
            Some(shared) => {
                let together = shared.by.together(exchange);
                match (shared.leases.take(&shared.budget, &key, 1, &together).await, shared.by.on_failure) {
                    (Ok(verdict), _) => verdict,
                    (Err(_), OnStoreFailure::Local) => self.alone(shared.share, &key, exchange),
                    (Err(why), OnStoreFailure::Deny) => return Err(abort_from(why)),
                    (Err(_), OnStoreFailure::Allow) => return Ok(Outcome::Success),
                }
            }
        };
        let (outcome, remaining, full_in) = match verdict {
            Verdict::Pass { remaining, full_in } => (Outcome::Success, remaining, full_in),
            Verdict::Wait { retry_in, full_in } => {
                let reason = limited(RATE_LIMITED, "more requests than the limit allows", retry_in);
                (Outcome::Failure(reason), 0, full_in)
            }
        };
        if let Some(Announced { name, limit }) = &self.announced {
            announce(exchange, name, *limit, (remaining, full_in));
        }
        Ok(outcome)
    }
}

impl RateLimit {
    fn alone(&self, gcra: Gcra, key: &str, exchange: &Exchange) -> Verdict {
        let now = exchange.environment().clock.monotonic_nanos();
        self.counters.with(key, now, |due| gcra.decide(due, now))
    }
}

/// The schedule of a key that all nodes keep: times are Unix times.
struct Schedule {
    gcra: Gcra,
    batch: u32,
}

/// What a key's row says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// When its next request would be due if all kept to the rate, in Unix microseconds.
    due: u64,
}

impl Schedule {
    /// All nodes together hold at most 4 % of what may come within a second, or at once.
    fn new(limit: &Rate, gcra: Gcra, nodes: u32) -> Self {
        let within_a_second = SECOND / gcra.time_of(1).max(1);
        let at_hand = gcra.burst().max(within_a_second).min(limit.count.into());
        let batch = at_hand / (25 * u64::from(nodes.max(2)));
        Schedule { gcra, batch: u32::try_from(batch).unwrap_or(u32::MAX).max(1) }
    }
}

impl Budget for Schedule {
    type State = Row;

    fn grant(&self, row: Option<&Row>, ask: &Ask, now: u64) -> Grant<Row> {
        let now = now.saturating_mul(1_000_000);
        let latest = now.saturating_add(self.gcra.ahead());
        let said = row.map_or(0, |row| row.due.saturating_mul(1_000));
        // No clock of a node should be a minute ahead. What one wrote that was would close the limit until then.
        let is_wrong = said > latest.saturating_add(60 * SECOND);
        let due = if is_wrong { latest } else { said.saturating_sub(self.gcra.time_of(ask.back)) };
        let taken = self.gcra.take(due, now, ask.wanted);
        let changes = taken.count > 0 || ask.back > 0 || is_wrong;
        Grant {
            next: changes.then(|| (Row { due: taken.due.div_ceil(1_000) }, taken.due / SECOND + 1)),
            count: taken.count,
            left: taken.left,
            retry_in: taken.retry_in,
            full_in: taken.full_in,
        }
    }

    fn batch(&self) -> u32 {
        self.batch
    }

    fn pause(&self) -> u64 {
        self.gcra.time_of(self.batch)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use policy::engine::Program;
    use policy::testing::{Fixture, Ran, block_on, read};
    use store::sources::memory::Memory;
    use store::{Counters, DataSource, StoreHandle};

    use super::*;
    use crate::fixture::{Watched, get, policy, told, world};

    fn tested(settings: &str) -> Fixture {
        policy(&format!("[[filter]]\nuse = 'rate-limit'\n{settings}\n\n[[filter]]\nuse = 'respond'"))
    }

    fn ask(fixture: &Fixture, program: &Arc<Program>, path: &str) -> Ran {
        block_on(async { read(program, program.serve(&fixture.environment(), get(path, &[])).await).await })
    }

    #[test]
    fn so_many_pass_and_the_next_is_told_when_to_come_back() {
        for shared in ["", "store = 'counters'"] {
            let fixture = tested(&format!("key = '${{request.query.k ?? all}}'\nlimit = '2/10s'\n{shared}"));
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
    fn counts_outlive_filters_that_come_and_go_beside_it() {
        let with = |before: &str, settings: &str| {
            format!(
                "route = '/**'\n{before}\n[[filter]]\nuse = 'rate-limit'\nlimit = '1/1m'\n{settings}\n[[filter]]\nuse = 'respond'"
            )
        };
        let other = "[[filter]]\nuse = 'set'\nvars = { a = 'b' }\n[[filter]]\nuse = 'rate-limit'\nname = 'other'\nlimit = '9/1m'";
        for settings in ["", "store = 'counters'"] {
            let fixture = world().policy("tested", &with("", settings));
            let before = fixture.program();
            assert_eq!(told(&ask(&fixture, &before, "/")), "200", "{settings}");
            let fixture = fixture.policy("tested", &with(other, settings));
            assert_eq!(told(&ask(&fixture, &fixture.program(), "/")), "429 rate-limited", "{settings}");
        }
    }

    #[test]
    fn filters_of_one_group_count_together_and_others_alone() {
        let limit = |at: &str, more: &str| {
            format!(
                "route = '/{at}'\n[[filter]]\nuse = 'rate-limit'\nlimit = '2/1m'\nstore = 'counters'\n{more}\n[[filter]]\nuse = 'respond'"
            )
        };
        let fixture = world()
            .policy("a", &limit("a", "group = 'api'"))
            .policy("b", &limit("b", "group = 'api'"))
            .policy("c", &limit("c", ""));
        let program = fixture.program();
        let statuses = ["/a", "/b", "/a", "/b", "/c"].map(|path| ask(&fixture, &program, path).status);
        assert_eq!(statuses, [200, 200, 429, 429, 200]);
    }

    #[test]
    fn while_the_store_is_down_each_node_does_as_it_is_told() {
        let down = |settings: &str| {
            let source = Arc::new(Watched::default());
            source.set_down(true);
            let store = StoreHandle::Counters(Arc::new(Counters::new(source)));
            let settings = format!("limit = '4/1m'\nstore = 'counters'\n{settings}");
            tested(&settings).resource("store", "counters", store).node(|node| node.cluster_nodes = 2)
        };
        for (settings, told_as) in [
            ("", ["200", "200", "429 rate-limited"]),
            ("on_store_failure = 'local'", ["200", "200", "429 rate-limited"]),
            ("on_store_failure = 'deny'", ["503 store-unavailable"; 3]),
            ("on_store_failure = 'allow'", ["200"; 3]),
        ] {
            let fixture = down(settings);
            let program = fixture.program();
            let answers = [(); 3].map(|()| told(&ask(&fixture, &program, "/")));
            assert_eq!(answers, told_as, "{settings}");
        }
    }

    #[test]
    fn bounds_are_checked_at_load() {
        for (settings, said) in [
            ("limit = '1/1s'\nburst = 0", "0 is out of bounds"),
            ("limit = '1/1s'\nkeys = 1", "1 is out of bounds"),
            ("limit = '1/1s'\nstore = 'x'", "there is no store `x`"),
            ("limit = '1/1s'\nstore = 'users'", "is of the kind `users`"),
            ("limit = '1/1s'\nstore = 'counters'\nstore_timeout = '3s'", "3s is out of bounds"),
            ("limit = '1/1s'\nstore = 'counters'\ngroup = ''", "no such name"),
            ("limit = '1/1s'\ngroup = 'x'", "`group` says nothing without"),
            ("limit = '1/1s'\nstore_timeout = '1s'", "`store_timeout` says nothing without"),
            ("limit = '1/1s'\non_store_failure = 'deny'", "`on_store_failure` says nothing without"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }

    /// A node of several that share a source.
    fn node(source: &Arc<dyn DataSource>, limit: &str, nodes: u32) -> Fixture {
        let store = StoreHandle::Counters(Arc::new(Counters::new(source.clone())));
        tested(&format!("key = 'k'\nlimit = '{limit}'\nstore = 'counters'"))
            .resource("store", "counters", store)
            .node(|node| node.cluster_nodes = nodes)
    }

    /// However requests fall on the nodes, and at whatever times: all nodes together let no more through in any time than the limit and
    /// what they may hold on account, and where there is demand enough, no less than the limit.
    #[test]
    fn nodes_keep_one_limit_whatever_the_load() {
        for (seed, (rate, nodes, skew)) in
            [(100_u32, 2, 0), (100, 2, 50), (100, 3, 33), (1_000, 2, 100), (1_000, 2, 50), (40, 2, 90), (7, 2, 50)]
                .into_iter()
                .enumerate()
        {
            let source: Arc<dyn DataSource> = Arc::new(Memory::new());
            let fixtures: Vec<_> = (0..nodes).map(|_| node(&source, &format!("{rate}/1s"), nodes)).collect();
            let programs: Vec<_> = fixtures.iter().map(Fixture::program).collect();
            let mut state = seed as u64 + 3;
            let mut random = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            // Twice as much as the limit allows, for 6 s, in ticks of random length.
            let (mut millis, mut owed, mut passed) = (0_u64, 0.0, Vec::new());
            while millis < 6_000 {
                let tick = 1 + random(20);
                fixtures.iter().for_each(|fixture| fixture.clock().advance(Duration::from_millis(tick)));
                millis += tick;
                owed += f64::from(rate) * 2.0 * tick as f64 / 1_000.0;
                while owed >= 1.0 {
                    owed -= 1.0;
                    let at = if random(100) < skew { 0 } else { random(nodes.into()) as usize };
                    if ask(&fixtures[at], &programs[at], "/").status == 200 {
                        passed.push(millis);
                    }
                }
            }
            let limit = u64::from(rate);
            // The burst at the start, and six seconds of the rate.
            let ideal = 7.0 * f64::from(rate);
            let part = passed.len() as f64 / ideal;
            assert!((0.95..=1.05).contains(&part), "{rate}/1s on {nodes} nodes, skew {skew}: {part}");
            for (first, start) in passed.iter().enumerate() {
                let last = passed.partition_point(|at| *at <= start + 1_000);
                let most = (2 * limit + 1) as f64 * 1.05;
                assert!((last - first) as f64 <= most, "{rate}/1s on {nodes} nodes: {} from {start}", last - first);
            }
        }
    }

    #[test]
    fn a_busy_key_seldom_asks_the_store() {
        let counted = Arc::new(Watched::default());
        let source: Arc<dyn DataSource> = counted.clone();
        let fixture = node(&source, "1000/1s", 2);
        let program = fixture.program();
        for _ in 0..3_000 {
            fixture.clock().advance(Duration::from_millis(1));
            ask(&fixture, &program, "/");
        }
        let writes = counted.writes();
        assert!((100..=250).contains(&writes), "{writes} for three seconds of a thousand requests each");
    }

    /// A clock that was an hour ahead wrote what it believed: the limit is not closed for an hour.
    #[test]
    fn what_a_wrong_clock_wrote_does_not_close_the_limit() {
        let schedule = Schedule::new(&Rate::parse("10/1s").expect("a rate"), Gcra::new(10, SECOND, 10), 1);
        let now = 1_767_225_600_000;
        let ask = Ask { wanted: 1, back: 0, since: 0 };
        let wrong = Row { due: (now + 3_600_000) * 1_000 };
        let grant = schedule.grant(Some(&wrong), &ask, now);
        let (row, _) = grant.next.expect("it is put right");
        assert_eq!((grant.count, schedule.grant(Some(&row), &ask, now + 100).count), (0, 1));
        // A little ahead is no reason to let more through.
        let ahead = Row { due: (now + 30_000) * 1_000 };
        let grant = schedule.grant(Some(&ahead), &ask, now);
        assert!(grant.count == 0 && grant.next.is_none());
    }
}
