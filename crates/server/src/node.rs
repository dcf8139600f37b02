//! The running node: what outlives generations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use policy::Diagnostics;
use policy::filter::Keeper;
use policy::ports::Environment;
use store::mapping::Move;
use tokio::sync::mpsc;

use crate::listen::{Listeners, RequestIds};
use crate::load::Generation;
use crate::log_level::AskedLevel;
use crate::metrics::{Metrics, Observed, ObservedCache, ObservedSource};
use crate::options::{Host, Options};
use crate::reload::Trigger;
use crate::settings::{Access, NodeSettings};
use crate::telling::{AccessLog, NodeObserver, Spans, Target, Writers};
use crate::upstream::ObservedUpstream;

/// A node.
pub(crate) struct Node {
    pub(crate) options: Options,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) environment: Environment,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) metrics: Arc<Metrics>,
    /// Where filters say what they have seen.
    pub(crate) observer: Arc<NodeObserver>,
    /// What access logs of their own are written by.
    pub(crate) writers: Writers,
    /// Where requests that have ended leave their spans.
    pub(crate) spans: Spans,
    /// The level of the log that somebody asked for meanwhile.
    log_level: Mutex<AskedLevel>,
    pub(crate) ids: RequestIds,
    /// The generation that serves. A request loads it once.
    pub(crate) generation: ArcSwap<Generation>,
    pub(crate) listeners: Listeners,
    /// Monotonic nanoseconds.
    pub(crate) started: u64,
    /// A random number: two nodes may have one name.
    pub(crate) instance: String,
    draining: AtomicBool,
    /// Sources in use that do not answer, and why.
    sources_down: Mutex<BTreeMap<String, String>>,
    /// The last load that was refused, until one is taken.
    refused: Mutex<Option<RefusedLoad>>,
    /// Stores that move, whose old source has nothing of them any more: see [`Move::name`].
    emptied: Mutex<BTreeSet<String>>,
    /// Asks for a load.
    pub(crate) triggers: mpsc::Sender<Trigger>,
}

/// A load that was refused.
#[derive(Clone)]
pub(crate) struct RefusedLoad {
    /// Unix seconds.
    pub(crate) at: u64,
    pub(crate) diagnostics: Diagnostics,
}

/// What a node is made of.
pub(crate) struct Parts {
    pub(crate) options: Options,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) environment: Environment,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) observer: Arc<NodeObserver>,
    pub(crate) writers: Writers,
    pub(crate) spans: Spans,
    pub(crate) generation: Generation,
    pub(crate) listeners: Listeners,
    pub(crate) triggers: mpsc::Sender<Trigger>,
}

impl Node {
    pub(crate) fn new(parts: Parts) -> Arc<Node> {
        let started = parts.environment.clock.monotonic_nanos();
        let mut instance = [0; 8];
        parts.environment.random.fill(&mut instance);
        Arc::new(Node {
            instance: format!("{:016x}", u64::from_ne_bytes(instance)),
            ids: RequestIds::new(&*parts.environment.random),
            options: parts.options,
            host: parts.host,
            environment: parts.environment,
            keeper: parts.keeper,
            metrics: parts.metrics,
            observer: parts.observer,
            writers: parts.writers,
            spans: parts.spans,
            log_level: Mutex::default(),
            generation: ArcSwap::from_pointee(parts.generation),
            listeners: parts.listeners,
            started,
            draining: AtomicBool::new(false),
            sources_down: Mutex::default(),
            refused: Mutex::default(),
            emptied: Mutex::default(),
            triggers: parts.triggers,
        })
    }

    /// The access log of these settings, where it is one of its own.
    pub(crate) fn access_log(&self, settings: &NodeSettings) -> Option<Arc<AccessLog>> {
        access_log(&self.writers, &self.options, settings, &self.metrics)
    }

    /// The level of the log that was asked for.
    pub(crate) fn log_level(&self) -> MutexGuard<'_, AskedLevel> {
        self.log_level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the log what the settings say, and what was asked for meanwhile.
    pub(crate) fn tell_log_level(&self) {
        let settings = self.generation.load().settings.node.log.clone();
        let directives = self.log_level().directives(&settings);
        self.host.log(&settings, directives.as_deref());
    }

    /// Unix seconds.
    pub(crate) fn now(&self) -> u64 {
        self.environment.clock.unix_millis() / 1_000
    }

    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Why it takes no traffic: a source in use is down, or it is draining. `None` where it does. Anybody may read it: a source is
    /// named, and no more is said of it.
    pub(crate) fn unready(&self) -> Option<String> {
        if self.draining() {
            return Some(String::from("draining"));
        }
        let stores = &self.generation.load().stores;
        stores.sources_in_use().find_map(|source| match (self.source_down(source.name()), source.prepared()) {
            (Some(_), _) => Some(format!("source {} is down", source.name())),
            (None, false) => Some(format!("source {} is not open yet", source.name())),
            (None, true) => None,
        })
    }

    /// Why this source does not answer; `None` where it does.
    pub(crate) fn source_down(&self, name: &str) -> Option<String> {
        self.down().get(name).cloned()
    }

    /// Notes how a source is, and tells the log when that changed.
    pub(crate) fn source_is(&self, name: &str, down: Option<String>) {
        let before = match &down {
            Some(why) => self.down().insert(name.to_owned(), why.clone()),
            None => self.down().remove(name),
        };
        match (before, down) {
            (None, Some(why)) => tracing::error!(source = name, "the data source is down: {why}"),
            (Some(_), None) => tracing::info!(source = name, "the data source answers again"),
            _ => {}
        }
    }

    /// Forgets how sources were that are no longer in use.
    pub(crate) fn forget_other_sources(&self, names: &BTreeSet<String>) {
        self.down().retain(|name, _| names.contains(name));
    }

    fn down(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.sources_down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing of the store was found in its old source any more.
    pub(crate) fn is_emptied(&self, moving: &Move) -> bool {
        self.emptied.lock().unwrap_or_else(PoisonError::into_inner).contains(&moving.name())
    }

    pub(crate) fn set_emptied(&self, moves: BTreeSet<String>) {
        *self.emptied.lock().unwrap_or_else(PoisonError::into_inner) = moves;
    }

    pub(crate) fn refused(&self) -> MutexGuard<'_, Option<RefusedLoad>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The access log of these settings, where it is one of its own.
pub(crate) fn access_log(
    writers: &Writers,
    options: &Options,
    settings: &NodeSettings,
    metrics: &Metrics,
) -> Option<Arc<AccessLog>> {
    let Access::Lines(lines) = &settings.log.access else { return None };
    let target = lines.file.as_ref().map_or(Target::Stdout, |file| Target::File(options.dir.join(file)));
    match writers.to(target, &metrics.access_lost) {
        Ok(writer) => Some(Arc::new(AccessLog { lines: lines.clone(), writer })),
        Err(why) => {
            tracing::error!("there is no access log: {why}");
            None
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node")
    }
}

impl Observed for Node {
    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn generation(&self) -> u64 {
        self.generation.load().number
    }

    fn connections(&self) -> Vec<(String, u64)> {
        let generation = self.generation.load();
        let named = |(number, address, count): (u64, crate::Address, usize)| {
            let name =
                generation.listener(number).map_or_else(|| address.to_string(), |listener| listener.name.to_string());
            (name, count as u64)
        };
        self.listeners.open().into_iter().map(named).collect()
    }

    fn sources(&self) -> Vec<ObservedSource> {
        let generation = self.generation.load();
        let observed = generation.stores.sources_in_use().map(|source| {
            let counters = source.counters();
            ObservedSource {
                name: source.name().to_owned(),
                up: source.prepared() && self.source_down(source.name()).is_none(),
                open: source.open_breakers(),
                verbs: counters.verbs.load(Ordering::Relaxed),
                failed: [
                    ("late", counters.late.load(Ordering::Relaxed)),
                    ("unavailable", counters.unavailable.load(Ordering::Relaxed)),
                    ("broken", counters.broken.load(Ordering::Relaxed)),
                ],
            }
        });
        observed.collect()
    }

    fn caches(&self) -> Vec<ObservedCache> {
        let generation = self.generation.load();
        let observed = generation.stores.caches().map(|(store, cache)| {
            let counters = cache.counters();
            let [hits, misses, bypassed, invalidations] =
                [&counters.hits, &counters.misses, &counters.bypassed, &counters.invalidations]
                    .map(|counter| counter.load(Ordering::Relaxed));
            ObservedCache {
                store: store.to_owned(),
                in_use: cache.in_use(),
                reads: [("hit", hits), ("miss", misses.saturating_sub(bypassed)), ("bypass", bypassed)],
                invalidations,
            }
        });
        observed.collect()
    }

    fn upstreams(&self) -> Vec<ObservedUpstream> {
        self.generation.load().all_upstreams().map(|upstream| upstream.observe()).collect()
    }
}
