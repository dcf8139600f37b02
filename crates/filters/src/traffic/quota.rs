//! `quota`: so many requests, or whatever they cost, within a day, a month, or the last 30 days, by key: counted in a store, for all
//! nodes, over restarts. In Oracle API Gateway: the quotas of API Manager.
//!
//! Beyond the quota the filter fails with `quota-exceeded` (429, with `Retry-After` until when it begins anew). Every answer has
//! `RateLimit` and `RateLimit-Policy` headers. What passes was counted before. A node takes up to half a hundredth of the quota on
//! account, so that it does not write for each request of a busy key; what it holds when it dies is lost to the client. For limits of
//! seconds use `rate-limit`.
//!
//! While the store is down, each node goes on at the quota's even pace, divided by the number of nodes (`[cluster] nodes` in
//! `node.toml`), or does what `on_store_failure` says. What passes then is not counted.
//!
//! ```toml
//! [[filter]]
//! use       = "quota"
//! key       = "${request.header.x-tenant ?? none}"
//! limit     = 100_000
//! per       = "month"
//! time_zone = "Europe/Berlin"
//! ```

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::filter::Judges;
use policy::settings::{self, Spanned};
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
};

use super::gcra::{Due, Gcra, Verdict};
use super::keyed::Keyed;
use super::leases::{Ask, Budget, Grant, Leases};
use super::limits::{OnStoreFailure, SECOND, SharedBy, announce, bounded, key_of, limited, place};
use super::windows::{Row, Unit, Window};
use crate::stores::abort_from;

/// The quota is used up.
const QUOTA_EXCEEDED: ReasonCode = ReasonCode::new("quota-exceeded");

/// Rolling windows: a minute to a year.
const ROLLING: std::ops::RangeInclusive<u64> = 60..=366 * 86_400;

/// `use = "quota"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whose requests are counted together: `"${client.id}"`. Default: all of them. Where it is absent on purpose (`${x ??}`), those
    /// without are counted together.
    key: Option<Dynamic<String>>,
    /// How many, a number or where it is read: `"${kps.partners[client.id].limit ?? 1000}"`. Less than 1 lets nothing through. One that is raised or lowered counts on.
    limit: Dynamic<i64>,
    /// The time that it is for. `"hour"`, `"day"`, `"week"` (from Monday), `"month"` or `"year"`: the calendar's, which begins anew at midnight. A duration, `"1m"` to `"366d"`: whatever passed in the last so much time, in steps of a twenty-fourth of it.
    per: Spanned<String>,
    /// The time zone of the calendar, by its name in the IANA database. Default: `"UTC"`.
    time_zone: Option<Spanned<String>>,
    /// What a request costs, a number or where it is read. Less than 0 counts as 0. Default: 1.
    cost: Option<Dynamic<i64>>,
    /// How many keys are kept in mind, 128 to 10 000 000; one that is forgotten is read from the store again. About 300 bytes each. Default: 100 000.
    keys: Option<Spanned<u32>>,
    /// Whether answers have the `RateLimit` headers.
    #[serde(default = "yes")]
    headers: bool,
    /// The store of the kind `counters`. Default: the one of that name.
    store: Option<Spanned<String>>,
    /// Filters with the same group count together, in whatever policies they stand. Give them the same `per`. 1 to 200 bytes. Default: the filter counts alone.
    group: Option<Spanned<String>>,
    /// What happens while the store is down or silent. `"local"`: each node goes on at the quota's pace, divided by the number of nodes. `"deny"`: a fault, 503 `store-unavailable`. `"allow"`: requests pass. Default: `"local"`.
    on_store_failure: Option<OnStoreFailure>,
    /// How long a request waits for the store, `"10ms"` to `"2s"`. After that, and for a second, `on_store_failure` holds. Default: `"250ms"`.
    store_timeout: Option<Spanned<settings::Duration>>,
}

fn yes() -> bool {
    true
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "quota";
    type Filter = Quota;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Quota, Diagnostics> {
        let window = self.window(cx)?;
        let keys = bounded(&self.keys, "keys", 128..=10_000_000, cx)?.unwrap_or(100_000) as usize;
        let by = SharedBy::build(&self.store, &self.group, &self.store_timeout, self.on_store_failure, cx)?;
        cx.fails(&[QUOTA_EXCEEDED]);
        cx.judges(Judges::Each);
        Ok(Quota {
            key: self.key.as_ref().map(|key| cx.dynamic(key)).transpose()?,
            limit: cx.dynamic(&self.limit)?,
            cost: self.cost.as_ref().map(|cost| cx.dynamic(cost)).transpose()?,
            name: self.headers.then(|| format!("\"quota-per-{window}\"")),
            nodes: cx.node().cluster_nodes,
            leases: cx.keep((window.to_string(), place(&self.store, &self.group), keys), || Leases::new(keys)),
            meanwhile: cx.keep(keys, || Keyed::new(keys)),
            window,
            by,
        })
    }
}

impl Settings {
    fn window(&self, cx: &BuildContext<'_>) -> Result<Window, Diagnostics> {
        let zone = match &self.time_zone {
            None => Tz::UTC,
            Some(name) => name.value.parse::<Tz>().map_err(|_| {
                let help = "a name of the IANA time zone database: `Europe/Berlin`, `America/New_York`, `UTC`";
                cx.error(name.span, format!("there is no time zone `{}`", name.value), help)
            })?,
        };
        if let Some(unit) = Unit::named(&self.per.value) {
            return Ok(Window::Calendar(unit, zone));
        }
        let seconds = settings::Duration::parse(&self.per.value).map(|per| per.0.as_secs());
        let Some(seconds) = seconds.filter(|seconds| ROLLING.contains(seconds)) else {
            let help = "`per` is \"hour\", \"day\", \"week\", \"month\", \"year\", or a duration of \"1m\" to \"366d\"";
            return Err(cx.error(self.per.span, format!("`{}` is no time for a quota", self.per.value), help).into());
        };
        match &self.time_zone {
            None => Ok(Window::Rolling(seconds)),
            Some(zone) => {
                let help = "take it away, or count by the calendar: `per = \"month\"`";
                Err(cx.error(zone.span, "the last so much time has no time zone", help).into())
            }
        }
    }
}

/// The compiled filter.
pub(crate) struct Quota {
    key: Option<Getter<String>>,
    limit: Getter<i64>,
    cost: Option<Getter<i64>>,
    window: Window,
    by: SharedBy,
    leases: Arc<Leases<Row>>,
    /// What passes while the store is down.
    meanwhile: Arc<Keyed<Due>>,
    nodes: u32,
    /// What clients are told that it is.
    name: Option<String>,
}

/// What a request asks for.
struct Asked {
    key: String,
    limit: u64,
    cost: u32,
}

impl Filter for Quota {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let asked = match self.asked(exchange) {
            Ok(asked) => asked,
            Err(reason) => return Ok(Outcome::Failure(reason)),
        };
        let part = Part { window: self.window, limit: asked.limit, nodes: self.nodes };
        let together = self.by.together(exchange);
        let verdict = match (self.leases.take(&part, &asked.key, asked.cost, &together).await, self.by.on_failure) {
            (Ok(verdict), _) => verdict,
            (Err(_), OnStoreFailure::Local) => self.pace(&asked, exchange),
            (Err(why), OnStoreFailure::Deny) => return Err(abort_from(why)),
            (Err(_), OnStoreFailure::Allow) => return Ok(Outcome::Success),
        };
        let (outcome, remaining, full_in) = match verdict {
            Verdict::Pass { remaining, full_in } => (Outcome::Success, remaining, full_in),
            Verdict::Wait { retry_in, full_in } => {
                (Outcome::Failure(limited(QUOTA_EXCEEDED, "the quota is used up", retry_in)), 0, full_in)
            }
        };
        if let Some(name) = &self.name {
            announce(exchange, name, (asked.limit, self.window.seconds()), (remaining, full_in));
        }
        Ok(outcome)
    }
}

impl Quota {
    fn asked(&self, exchange: &Exchange) -> Result<Asked, Reason> {
        let cost = self.cost.as_ref().map_or(Ok(1), |cost| cost.get(exchange))?;
        Ok(Asked {
            key: key_of(self.key.as_ref(), exchange)?,
            limit: u64::try_from(self.limit.get(exchange)?).unwrap_or(0),
            cost: u32::try_from(cost.max(0)).unwrap_or(u32::MAX),
        })
    }

    /// The quota's even pace, divided by the nodes, with as much at once as comes in a hundredth of the time.
    fn pace(&self, asked: &Asked, exchange: &Exchange) -> Verdict {
        let now = exchange.environment().clock.monotonic_nanos();
        let count = u32::try_from(asked.limit).unwrap_or(u32::MAX);
        let per = Duration::from_secs(self.window.seconds()).as_nanos();
        let pace = Gcra::new(count, u64::try_from(per).unwrap_or(u64::MAX), count / 100).share(self.nodes);
        if count == 0 {
            return Verdict::Wait { retry_in: SECOND, full_in: SECOND };
        }
        self.meanwhile.with(&asked.key, now, |due| pace.decide(due, now))
    }
}

/// A quota, as one request sees it.
struct Part {
    window: Window,
    limit: u64,
    nodes: u32,
}

impl Budget for Part {
    type State = Row;

    fn grant(&self, row: Option<&Row>, ask: &Ask, now: u64) -> Grant<Row> {
        self.window.grant(row, self.limit, ask, now)
    }

    /// All nodes together hold a hundredth at most.
    fn batch(&self) -> u32 {
        let part = self.limit / (100 * u64::from(self.nodes.max(2)));
        u32::try_from(part).unwrap_or(u32::MAX).clamp(1, 1_000)
    }

    fn pause(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use policy::engine::Program;
    use policy::testing::{Fixture, Ran, block_on, read};
    use store::sources::memory::Memory;
    use store::{Counters, DataSource, StoreHandle};

    use super::*;
    use crate::fixture::{Watched, get, policy, told};

    fn tested(settings: &str) -> Fixture {
        policy(&format!("[[filter]]\nuse = 'quota'\n{settings}\n\n[[filter]]\nuse = 'respond'"))
    }

    fn over(source: Arc<dyn DataSource>, settings: &str) -> Fixture {
        tested(settings).resource("store", "counters", StoreHandle::Counters(Arc::new(Counters::new(source))))
    }

    fn ask(fixture: &Fixture, program: &Arc<Program>, path: &str) -> Ran {
        block_on(async { read(program, program.serve(&fixture.environment(), get(path, &[])).await).await })
    }

    /// The clock of tests stands at 2026-01-01T00:00:00Z.
    #[test]
    fn so_many_a_month_and_the_next_when_it_is_over() {
        let fixture = tested("key = '${request.query.k}'\nlimit = 2\nper = 'month'");
        let program = fixture.program();
        let first = ask(&fixture, &program, "/?k=a");
        assert_eq!(first.header("ratelimit-policy"), "\"quota-per-month\";q=2;w=2678400");
        assert_eq!(first.header("ratelimit"), "\"quota-per-month\";r=1;t=2678400");
        assert_eq!(told(&ask(&fixture, &program, "/?k=a")), "200");
        let refused = ask(&fixture, &program, "/?k=a");
        assert_eq!((told(&refused).as_str(), refused.header("retry-after")), ("429 quota-exceeded", "2678400"));
        assert_eq!(refused.header("ratelimit"), "\"quota-per-month\";r=0;t=2678400");
        assert_eq!(told(&ask(&fixture, &program, "/?k=b")), "200", "another key");
        fixture.clock().advance(Duration::from_secs(31 * 86_400));
        assert_eq!(told(&ask(&fixture, &program, "/?k=a")), "200", "February");
    }

    #[test]
    fn what_was_counted_is_counted_for_all_nodes_and_after_a_restart() {
        let source: Arc<dyn DataSource> = Arc::new(Memory::new());
        let settings = "limit = 5\nper = '30d'";
        let passed = (0..4).map(|_| {
            let node = over(source.clone(), settings);
            let program = node.program();
            (0..2).filter(|_| ask(&node, &program, "/").status == 200).count()
        });
        assert_eq!(passed.collect::<Vec<_>>(), [2, 2, 1, 0]);
    }

    #[test]
    fn a_busy_key_is_counted_in_parts_and_never_beyond_the_quota() {
        let watched = Arc::new(Watched::default());
        let settings = "limit = 2000\nper = 'day'";
        let nodes = [over(watched.clone(), settings), over(watched.clone(), settings)];
        let programs = nodes.each_ref().map(Fixture::program);
        let passed = (0..3_000).filter(|n| {
            let at = usize::from(n % 7 == 0);
            nodes.iter().for_each(|node| node.clock().advance(Duration::from_millis(1)));
            ask(&nodes[at], &programs[at], "/").status == 200
        });
        let passed = passed.count();
        assert!((1_980..=2_000).contains(&passed), "{passed}");
        assert!((100..=450).contains(&watched.writes()), "{}", watched.writes());
    }

    #[test]
    fn requests_have_their_price_and_clients_their_limit() {
        let fixture = tested(
            "key = 'k'\nlimit = { cel = 'int(request.query.limit)' }\ncost = { cel = 'int(request.query.cost)' }\nper = 'day'",
        );
        let program = fixture.program();
        let ask = |cost: i64, limit: i64| ask(&fixture, &program, &format!("/?cost={cost}&limit={limit}")).status;
        assert_eq!(
            [ask(7, 10), ask(4, 10), ask(3, 10), ask(1, 10), ask(0, 10), ask(-5, 10)],
            [200, 429, 200, 429, 200, 200]
        );
        fixture.clock().advance(Duration::from_secs(2));
        assert_eq!([ask(5, 15), ask(1, 15), ask(1, -1)], [200, 429, 429], "a limit that was raised counts on");
    }

    #[test]
    fn while_the_store_is_down_each_node_does_as_it_is_told() {
        for (settings, told_as) in [
            ("", ["200", "200", "429 quota-exceeded"]),
            ("on_store_failure = 'deny'", ["503 store-unavailable"; 3]),
            ("on_store_failure = 'allow'", ["200"; 3]),
        ] {
            let source = Arc::new(Watched::default());
            source.set_down(true);
            let settings = format!("limit = 400\nper = 'day'\n{settings}");
            let fixture = over(source.clone(), &settings).node(|node| node.cluster_nodes = 2);
            let program = fixture.program();
            let answers = [(); 3].map(|()| told(&ask(&fixture, &program, "/")));
            assert_eq!(answers, told_as, "{settings}");
            // It is back, and is asked again a second later.
            source.set_down(false);
            fixture.clock().advance(Duration::from_secs(2));
            assert_eq!(
                ask(&fixture, &program, "/").header("ratelimit"),
                "\"quota-per-day\";r=399;t=86398",
                "{settings}"
            );
        }
    }

    #[test]
    fn bounds_are_checked_at_load() {
        for (settings, said) in [
            ("limit = 1\nper = 'fortnight'", "`fortnight` is no time for a quota"),
            ("limit = 1\nper = '10s'", "`10s` is no time for a quota"),
            ("limit = 1\nper = 'day'\ntime_zone = 'Berlin'", "there is no time zone `Berlin`"),
            ("limit = 1\nper = '7d'\ntime_zone = 'UTC'", "has no time zone"),
            ("limit = 1\nper = 'day'\nkeys = 1", "`keys` is"),
            ("limit = 1\nper = 'day'\nstore = 'x'", "there is no store `x`"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
