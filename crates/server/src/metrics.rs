//! What the node counts. A request touches only counters that its generation has at hand: no look-up, no lock.

mod upstreams;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::upstream::ObservedUpstream;

/// Upper bounds of the histogram of durations, in microseconds.
const BOUNDS: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 10_000_000,
];

/// The name that counts requests for which no route matched.
const NO_POLICY: &str = "";

/// All counters of a node; they live as long as it does, over all generations.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    policies: Mutex<BTreeMap<Arc<str>, Arc<PolicyMetrics>>>,
    refused: Mutex<BTreeMap<(Arc<str>, &'static str), u64>>,
    purged: Mutex<BTreeMap<(String, &'static str), u64>>,
    /// Requests that no policy saw, because they were no proper requests.
    pub(crate) malformed: AtomicU64,
    /// Connections that came to no request: no TLS, no PROXY protocol where there must be.
    pub(crate) not_opened: AtomicU64,
    /// Requests whose client went away before there was an answer.
    pub(crate) clients_gone: AtomicU64,
    /// Requests that a drain cut off before there was an answer.
    pub(crate) cut_off: AtomicU64,
    /// Connections that switched protocols.
    pub(crate) upgrades: AtomicU64,
    /// Bytes that came from clients on those that have ended, and that went to them.
    pub(crate) upgraded_received: AtomicU64,
    pub(crate) upgraded_sent: AtomicU64,
    /// Requests that panicked.
    pub(crate) panics: AtomicU64,
    /// Connections that were closed at once because there were too many.
    pub(crate) connections_refused: AtomicU64,
    /// Reloads that were taken.
    pub(crate) loaded: AtomicU64,
    /// Reloads of unchanged files.
    pub(crate) unchanged: AtomicU64,
    /// Reloads that were refused.
    pub(crate) refused_loads: AtomicU64,
}

/// The counters of one policy.
#[derive(Debug, Default)]
pub(crate) struct PolicyMetrics {
    /// By the first digit of the status.
    answers: [AtomicU64; 6],
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
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
    /// The counters of this policy.
    pub(crate) fn policy(&self, name: &str) -> Arc<PolicyMetrics> {
        let mut policies = lock(&self.policies);
        if let Some(found) = policies.get(name) {
            return found.clone();
        }
        policies.entry(Arc::from(name)).or_default().clone()
    }

    /// The counters of requests without a policy.
    pub(crate) fn no_policy(&self) -> Arc<PolicyMetrics> {
        self.policy(NO_POLICY)
    }

    /// Counts a refusal.
    pub(crate) fn refusal(&self, policy: &Arc<str>, reason: &'static str) {
        *lock(&self.refused).entry((policy.clone(), reason)).or_default() += 1;
    }

    /// Counts rows that a purge took.
    pub(crate) fn purged(&self, source: &str, table: &'static str, rows: u64) {
        *lock(&self.purged).entry((source.to_owned(), table)).or_default() += rows;
    }
}

impl PolicyMetrics {
    /// Counts one answer.
    pub(crate) fn answered(&self, status: StatusCode, nanos: u64) {
        let class = usize::from(status.as_u16() / 100).min(5);
        self.answers[class].fetch_add(1, Ordering::Relaxed);
        let micros = nanos / 1_000;
        let bucket = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    fn encode_durations(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        let bound = |at: usize| BOUNDS.get(at).map_or(f64::MAX, |micros| *micros as f64 / 1e6);
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = counts.enumerate().map(|(at, count)| (bound(at), count)).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        encoder.encode_histogram::<[(&str, &str); 0]>(sum, count, &buckets, None)
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
        encode_policies(metrics, &mut encoder)?;
        for (name, help, counter) in [
            (
                "connections_not_opened",
                "Connections that came to no request: TLS or the PROXY protocol failed",
                &metrics.not_opened,
            ),
            ("malformed_requests", "Requests refused before any policy saw them", &metrics.malformed),
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
        let help = "Requests that ended before there was an answer";
        let mut unanswered = encoder.encode_descriptor("unanswered_requests", help, None, MetricType::Counter)?;
        for (outcome, counter) in [("client gone", &metrics.clients_gone), ("cut off", &metrics.cut_off)] {
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
        upstreams::encode(&node.upstreams(), &mut encoder)
    }
}

fn encode_policies(metrics: &Metrics, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let policies: Vec<_> =
        lock(&metrics.policies).iter().map(|(name, counters)| (name.clone(), counters.clone())).collect();
    let mut answers = encoder.encode_descriptor("requests", "Answered requests", None, MetricType::Counter)?;
    for (name, counters) in &policies {
        for (class, counter) in counters.answers.iter().enumerate() {
            let count = counter.load(Ordering::Relaxed);
            if count > 0 {
                let labels = [("policy", name.to_string()), ("status", format!("{class}xx"))];
                ConstCounter::new(count).encode(answers.encode_family(&labels)?)?;
            }
        }
    }
    let help = "From a request's head to its answer's, in seconds";
    let mut durations = encoder.encode_descriptor("request_duration_seconds", help, None, MetricType::Histogram)?;
    for (name, counters) in &policies {
        let labels = [("policy", name.to_string())];
        counters.encode_durations(&mut durations.encode_family(&labels)?)?;
    }
    let refused = lock(&metrics.refused).clone();
    let help = "Refusals and faults that were answered, by reason";
    let mut refusals = encoder.encode_descriptor("refusals", help, None, MetricType::Counter)?;
    for ((policy, reason), count) in refused {
        let labels = [("policy", policy.to_string()), ("reason", reason.to_owned())];
        ConstCounter::new(count).encode(refusals.encode_family(&labels)?)?;
    }
    let purged = lock(&metrics.purged).clone();
    let mut rows =
        encoder.encode_descriptor("expired_rows", "Expired rows that were purged", None, MetricType::Counter)?;
    for ((source, table), count) in purged {
        let labels = [("source", source), ("table", table.to_owned())];
        ConstCounter::new(count).encode(rows.encode_family(&labels)?)?;
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
