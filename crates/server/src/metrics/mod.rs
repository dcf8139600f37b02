//! What the node counts. A request touches only counters that its generation has at hand: no look-up, no lock.

mod meters;
mod shards;
mod traffic;
mod upstreams;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;

pub(crate) use self::meters::Meters;
pub(crate) use self::traffic::{ListenerMetrics, OUTCOMES, RouteMetrics, RouteSums};
use crate::upstream::ObservedUpstream;

/// Policy and route.
type OfRoute = (Arc<str>, Arc<str>);

/// All counters of a node; they live as long as it does, over all generations.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// By policy and route.
    routes: Mutex<BTreeMap<OfRoute, Arc<RouteMetrics>>>,
    listeners: Mutex<BTreeMap<Arc<str>, Arc<ListenerMetrics>>>,
    /// Those that policies count by themselves.
    pub(crate) meters: Meters,
    purged: Mutex<BTreeMap<(String, &'static str), u64>>,
    /// Requests that no policy saw, because they were no proper requests.
    pub(crate) malformed: AtomicU64,
    /// Certificates that ACME did not bring.
    pub(crate) certificates_failed: AtomicU64,
    /// Connections that came to no request: no TLS, no PROXY protocol where there must be.
    pub(crate) not_opened: AtomicU64,
    /// Requests whose client went away before there was an answer.
    pub(crate) clients_gone: AtomicU64,
    /// Requests that took longer than `request_timeout`.
    pub(crate) timed_out: AtomicU64,
    /// Requests that a drain cut off before there was an answer.
    pub(crate) cut_off: AtomicU64,
    /// Connections that switched protocols.
    pub(crate) upgrades: AtomicU64,
    /// Bytes that came from clients on those that have ended, and that went to them.
    pub(crate) upgraded_received: AtomicU64,
    pub(crate) upgraded_sent: AtomicU64,
    /// Requests that panicked.
    pub(crate) panics: AtomicU64,
    /// Lines of the access log that there was no room for.
    pub(crate) access_lost: Arc<AtomicU64>,
    /// Spans, and points of metrics, that did not reach the collector.
    pub(crate) spans_lost: AtomicU64,
    pub(crate) spans_sent: AtomicU64,
    pub(crate) exports_failed: AtomicU64,
    /// Connections that were closed at once because there were too many.
    pub(crate) connections_refused: AtomicU64,
    /// Reloads that were taken.
    pub(crate) loaded: AtomicU64,
    /// Reloads of unchanged files.
    pub(crate) unchanged: AtomicU64,
    /// Reloads that were refused.
    pub(crate) refused_loads: AtomicU64,
}

/// What the collector asks when it is scraped.
pub(crate) trait Observed: fmt::Debug + Send + Sync + 'static {
    /// The counters.
    fn metrics(&self) -> &Metrics;
    /// The generation that serves.
    fn generation(&self) -> u64;
    /// Listeners and their open connections.
    fn connections(&self) -> Vec<(String, u64)>;
    /// Sources: name, whether it answers, and verbs by how they ended.
    fn sources(&self) -> Vec<ObservedSource>;
    /// Stores that have a cache.
    fn caches(&self) -> Vec<ObservedCache>;
    /// Upstreams and their targets.
    fn upstreams(&self) -> Vec<ObservedUpstream>;
}

/// A store's cache as the collector shows it.
pub(crate) struct ObservedCache {
    pub(crate) store: String,
    pub(crate) in_use: bool,
    pub(crate) reads: [(&'static str, u64); 3],
    pub(crate) invalidations: u64,
}

/// A source as the collector shows it.
pub(crate) struct ObservedSource {
    pub(crate) name: String,
    pub(crate) up: bool,
    /// Whether its circuit breakers are open: of reads, of writes.
    pub(crate) open: [(&'static str, bool); 2],
    pub(crate) verbs: u64,
    pub(crate) failed: [(&'static str, u64); 3],
}

impl Metrics {
    /// The counters of this route.
    pub(crate) fn route(&self, policy: &Arc<str>, route: &str) -> Arc<RouteMetrics> {
        lock(&self.routes).entry((policy.clone(), Arc::from(route))).or_default().clone()
    }

    /// The counters of this listener.
    pub(crate) fn listener(&self, name: &Arc<str>) -> Arc<ListenerMetrics> {
        lock(&self.listeners).entry(name.clone()).or_default().clone()
    }

    /// Policy, route and sums of every route.
    pub(crate) fn routes(&self) -> Vec<(Arc<str>, Arc<str>, RouteSums)> {
        let routes = lock(&self.routes);
        routes.iter().map(|((policy, route), counters)| (policy.clone(), route.clone(), counters.sums())).collect()
    }

    /// Name and sums of every listener: in flight, received, sent.
    pub(crate) fn listeners(&self) -> Vec<(Arc<str>, [u64; 3])> {
        lock(&self.listeners).iter().map(|(name, counters)| (name.clone(), counters.sums())).collect()
    }

    /// Counts rows that a purge took.
    pub(crate) fn purged(&self, source: &str, table: &'static str, rows: u64) {
        *lock(&self.purged).entry((source.to_owned(), table)).or_default() += rows;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows a node to Prometheus.
#[derive(Debug)]
pub(crate) struct NodeCollector<N>(pub(crate) Arc<N>);

impl<N: Observed> Collector for NodeCollector<N> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let node = &*self.0;
        let metrics = node.metrics();
        encode_traffic(metrics, &mut encoder)?;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        build.encode(encoder.encode_descriptor("build", "Which program this is", None, MetricType::Info)?)?;
        for (name, help, counter) in [
            ("certificates_failed", "Attempts to get a certificate by ACME that failed", &metrics.certificates_failed),
            (
                "connections_not_opened",
                "Connections that came to no request: TLS or the PROXY protocol failed",
                &metrics.not_opened,
            ),
            ("malformed_requests", "Requests refused before any policy saw them", &metrics.malformed),
            ("access_lines_lost", "Lines of the access log that there was no room for", &metrics.access_lost),
            ("spans_sent", "Spans that the collector of traces took", &metrics.spans_sent),
            ("spans_lost", "Spans that did not reach the collector of traces", &metrics.spans_lost),
            ("exports_failed", "Exports that no collector took", &metrics.exports_failed),
            ("upgrades", "Connections that switched protocols", &metrics.upgrades),
            (
                "upgraded_received_bytes",
                "Bytes from clients on such connections that have ended",
                &metrics.upgraded_received,
            ),
            ("upgraded_sent_bytes", "Bytes to clients on such connections that have ended", &metrics.upgraded_sent),
            ("panics", "Requests that panicked; each is a defect", &metrics.panics),
            ("connections_refused", "Connections closed because there were too many", &metrics.connections_refused),
        ] {
            let value = counter.load(Ordering::Relaxed);
            ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        let help = "Requests that ended before their policy had an answer";
        let mut unanswered = encoder.encode_descriptor("unanswered_requests", help, None, MetricType::Counter)?;
        for (outcome, counter) in
            [("client gone", &metrics.clients_gone), ("cut off", &metrics.cut_off), ("timed out", &metrics.timed_out)]
        {
            let labels = [("outcome", outcome)];
            ConstCounter::new(counter.load(Ordering::Relaxed)).encode(unanswered.encode_family(&labels)?)?;
        }
        let mut reloads =
            encoder.encode_descriptor("reloads", "Loads on the running node", None, MetricType::Counter)?;
        for (outcome, counter) in
            [("loaded", &metrics.loaded), ("unchanged", &metrics.unchanged), ("refused", &metrics.refused_loads)]
        {
            let labels = [("outcome", outcome)];
            ConstCounter::new(counter.load(Ordering::Relaxed)).encode(reloads.encode_family(&labels)?)?;
        }
        let help = "The generation that serves";
        let number = i64::try_from(node.generation()).unwrap_or(i64::MAX);
        ConstGauge::new(number).encode(encoder.encode_descriptor("generation", help, None, MetricType::Gauge)?)?;
        let mut open = encoder.encode_descriptor("connections", "Open connections", None, MetricType::Gauge)?;
        for (listener, count) in node.connections() {
            let labels = [("listener", listener)];
            ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX)).encode(open.encode_family(&labels)?)?;
        }
        encode_sources(node, &mut encoder)?;
        encode_caches(node, &mut encoder)?;
        upstreams::encode(&node.upstreams(), &mut encoder)?;
        metrics.meters.encode(&mut encoder)
    }
}

/// What there is of each policy: the sums over its routes; and of each route.
fn encode_traffic(metrics: &Metrics, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let routes = metrics.routes();
    let mut policies: BTreeMap<&str, RouteSums> = BTreeMap::new();
    for (policy, _, sums) in &routes {
        policies.entry(policy).or_insert_with(RouteSums::none).add(sums);
    }
    let mut answers = encoder.encode_descriptor("requests", "Answered requests", None, MetricType::Counter)?;
    for (policy, sums) in &policies {
        for (class, count) in sums.statuses.iter().enumerate().filter(|(_, count)| **count > 0) {
            let labels = [("policy", (*policy).to_owned()), ("status", format!("{class}xx"))];
            ConstCounter::new(*count).encode(answers.encode_family(&labels)?)?;
        }
    }
    let help = "From a request's head to its answer's, in seconds";
    let mut durations = encoder.encode_descriptor("request_duration_seconds", help, None, MetricType::Histogram)?;
    for (policy, sums) in &policies {
        let (seconds, buckets) = sums.durations();
        let labels = [("policy", *policy)];
        durations.encode_family(&labels)?.encode_histogram::<NoLabels>(seconds, sums.requests(), &buckets, None)?;
    }
    let help = "Refusals and faults that were answered, by reason";
    let mut refusals = encoder.encode_descriptor("refusals", help, None, MetricType::Counter)?;
    for (policy, sums) in &policies {
        // A reason may come with several outcomes.
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        sums.refused.iter().for_each(|(reason, _, count)| *reasons.entry(reason).or_default() += count);
        for (reason, count) in reasons {
            let labels = [("policy", *policy), ("reason", reason)];
            ConstCounter::new(count).encode(refusals.encode_family(&labels)?)?;
        }
    }
    encode_routes(&routes, encoder)?;
    encode_listeners(metrics, encoder)?;
    let purged = lock(&metrics.purged).clone();
    let mut rows =
        encoder.encode_descriptor("expired_rows", "Expired rows that were purged", None, MetricType::Counter)?;
    for ((source, table), count) in purged {
        let labels = [("source", source), ("table", table.to_owned())];
        ConstCounter::new(count).encode(rows.encode_family(&labels)?)?;
    }
    Ok(())
}

type NoLabels = [(&'static str, &'static str); 0];

fn encode_routes(routes: &[(Arc<str>, Arc<str>, RouteSums)], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Answered requests by route, outcome, and the reason of those that were refused or failed";
    let mut requests = encoder.encode_descriptor("route_requests", help, None, MetricType::Counter)?;
    for (policy, route, sums) in routes {
        let mut tell = |outcome: usize, reason: &str, count: u64| {
            let labels = [("policy", &**policy), ("route", route), ("outcome", OUTCOMES[outcome]), ("reason", reason)];
            ConstCounter::new(count).encode(requests.encode_family(&labels)?)
        };
        for (outcome, count) in sums.outcomes.iter().enumerate() {
            let with_reason: u64 = sums.refused.iter().filter(|(_, of, _)| *of == outcome).map(|(.., n)| n).sum();
            match count.saturating_sub(with_reason) {
                0 => {}
                without => tell(outcome, "", without)?,
            }
        }
        for (reason, outcome, count) in &sums.refused {
            tell(*outcome, reason, *count)?;
        }
    }
    let help = "From a request's head to its answer's, in seconds, by route";
    let name = "route_request_duration_seconds";
    let mut durations = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (policy, route, sums) in routes.iter().filter(|(.., sums)| sums.requests() > 0) {
        let (seconds, buckets) = sums.durations();
        let labels = [("policy", &**policy), ("route", route)];
        durations.encode_family(&labels)?.encode_histogram::<NoLabels>(seconds, sums.requests(), &buckets, None)?;
    }
    let help = "Bytes of answers' bodies, by route";
    let mut sent = encoder.encode_descriptor("route_sent_bytes", help, None, MetricType::Counter)?;
    for (policy, route, sums) in routes.iter().filter(|(.., sums)| sums.requests() > 0) {
        let labels = [("policy", &**policy), ("route", route)];
        ConstCounter::new(sums.sent).encode(sent.encode_family(&labels)?)?;
    }
    let help = "Answers whose body broke off: the client went away in the middle of it, or the upstream did";
    let mut broken = encoder.encode_descriptor("route_broken_answers", help, None, MetricType::Counter)?;
    for (policy, route, sums) in routes.iter().filter(|(.., sums)| sums.broken > 0) {
        let labels = [("policy", &**policy), ("route", route)];
        ConstCounter::new(sums.broken).encode(broken.encode_family(&labels)?)?;
    }
    Ok(())
}

fn encode_listeners(metrics: &Metrics, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let listeners = metrics.listeners();
    let help = "Requests whose answer is not sent to its end";
    let mut in_flight = encoder.encode_descriptor("requests_in_flight", help, None, MetricType::Gauge)?;
    for (listener, [count, ..]) in &listeners {
        let labels = [("listener", &**listener)];
        ConstGauge::new(i64::from_ne_bytes(count.to_ne_bytes())).encode(in_flight.encode_family(&labels)?)?;
    }
    for (name, help, at) in [
        ("received_bytes", "Bytes of requests' bodies", 1),
        ("sent_bytes", "Bytes of answers' bodies, of requests that are over", 2),
    ] {
        let mut bytes = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (listener, sums) in &listeners {
            let labels = [("listener", &**listener)];
            ConstCounter::new(sums[at]).encode(bytes.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_sources(node: &impl Observed, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let sources = node.sources();
    let mut up = encoder.encode_descriptor("source_up", "Whether the data source answers", None, MetricType::Gauge)?;
    for source in &sources {
        let labels = [("source", source.name.as_str())];
        ConstGauge::new(i64::from(source.up)).encode(up.encode_family(&labels)?)?;
    }
    let help = "Whether the circuit breaker is open: they fail at once";
    let mut open = encoder.encode_descriptor("source_breaker_open", help, None, MetricType::Gauge)?;
    for source in &sources {
        for (verbs, is_open) in source.open {
            let labels = [("source", source.name.as_str()), ("verbs", verbs)];
            ConstGauge::new(i64::from(is_open)).encode(open.encode_family(&labels)?)?;
        }
    }
    let mut verbs =
        encoder.encode_descriptor("source_verbs", "What stores asked of data sources", None, MetricType::Counter)?;
    for source in &sources {
        let labels = [("source", source.name.as_str())];
        ConstCounter::new(source.verbs).encode(verbs.encode_family(&labels)?)?;
    }
    let help = "What data sources did not do";
    let mut failed = encoder.encode_descriptor("source_failures", help, None, MetricType::Counter)?;
    for source in &sources {
        for (why, count) in source.failed {
            let labels = [("source", source.name.as_str()), ("why", why)];
            ConstCounter::new(count).encode(failed.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn encode_caches(node: &impl Observed, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let caches = node.caches();
    let help = "Whether the cache of a store is in use; not while the channel on which changes are heard of is lost";
    let mut in_use = encoder.encode_descriptor("cache_in_use", help, None, MetricType::Gauge)?;
    for cache in &caches {
        let labels = [("store", cache.store.as_str())];
        ConstGauge::new(i64::from(cache.in_use)).encode(in_use.encode_family(&labels)?)?;
    }
    let help = "Reads of a store with a cache: from the cache, from the source, and from the source since the cache was not in use";
    let mut reads = encoder.encode_descriptor("cache_reads", help, None, MetricType::Counter)?;
    for cache in &caches {
        for (from, count) in cache.reads {
            let labels = [("store", cache.store.as_str()), ("outcome", from)];
            ConstCounter::new(count).encode(reads.encode_family(&labels)?)?;
        }
    }
    let help = "Rows that a cache forgot because somebody changed them";
    let mut forgotten = encoder.encode_descriptor("cache_invalidations", help, None, MetricType::Counter)?;
    for cache in &caches {
        let labels = [("store", cache.store.as_str())];
        ConstCounter::new(cache.invalidations).encode(forgotten.encode_family(&labels)?)?;
    }
    Ok(())
}
