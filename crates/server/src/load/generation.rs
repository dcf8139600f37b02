//! One generation: everything of one load, compiled and opened. Requests live in it from start to end.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderValue;
use policy::Diagnostics;
use policy::engine::{Decision, Program};
use policy::reader::Files;
use store::mapping::Opened;

use super::outside::Recorder;
use super::{Draft, LoadedProvider, Reading};
use crate::admin::api::Change;
use crate::cluster::common_files;
use crate::metrics::{ListenerMetrics, Metrics, RouteMetrics};
use crate::settings::{ListenerSettings, Settings};
use crate::telling::AccessLog;
use crate::upstream::HttpUpstream;

/// What tells one state of the files, and of what they name outside, from another.
#[derive(Clone)]
pub(crate) struct Fingerprint {
    /// Of all files: equal on nodes with equal files.
    pub(crate) files: u64,
    /// Everything that the load asked for outside, up to its end.
    outside: Arc<Recorder>,
    /// Of the answers to that.
    answers: u64,
}

impl Fingerprint {
    /// Of a load that has asked all its questions.
    pub(crate) fn of(reading: &Reading) -> Fingerprint {
        let outside = reading.outside.clone();
        Fingerprint { files: reading.files.hash(), answers: outside.hash(), outside }
    }

    /// Whether these files are the same, and the same questions have the same answers now.
    pub(crate) fn still_holds(&self, files: &Files) -> bool {
        self.files == files.hash() && self.answers == self.outside.hash_now()
    }

    /// Whether something outside is not what it was.
    pub(crate) fn outside_changed(&self) -> bool {
        self.answers != self.outside.hash_now()
    }

    /// Files outside the folder, as settings name them.
    pub(crate) fn outside_files(&self) -> Vec<String> {
        self.outside.files()
    }
}

/// A generation.
pub(crate) struct Generation {
    /// Counted from 1 since the start.
    pub(crate) number: u64,
    /// Of what it was made of.
    pub(crate) fingerprint: Fingerprint,
    /// A hash of the files that the nodes of a cluster have in common.
    pub(crate) common: String,
    /// When it was taken up, Unix seconds.
    pub(crate) since: u64,
    /// Its policies.
    pub(crate) program: Arc<Program>,
    /// Their names and counters, by the program's index.
    policies: Vec<ServedPolicy>,
    /// The counters of requests without a policy.
    no_policy: ServedPolicy,
    /// The access log, where it is one of its own.
    pub(crate) access: Option<Arc<AccessLog>>,
    /// The files it was made of.
    pub(crate) files: Arc<Files>,
    /// The settings in them.
    pub(crate) settings: Arc<Settings>,
    /// Stores and data sources.
    pub(crate) stores: Arc<Opened>,
    /// Upstreams.
    pub(crate) upstreams: BTreeMap<String, Arc<HttpUpstream>>,
    /// Providers, and what each is reached through.
    pub(crate) providers: BTreeMap<String, LoadedProvider>,
    /// The header that names it, where `[debug]` asks for it.
    pub(crate) header: Option<HeaderValue>,
    /// Its listeners.
    pub(crate) listeners: Vec<ServedListener>,
    /// What it changed against the one before.
    pub(crate) changes: Vec<Change>,
    /// What its load warned of.
    pub(crate) warnings: Diagnostics,
}

/// A listener as a generation has it.
pub(crate) struct ServedListener {
    /// The listener's own number.
    pub(crate) number: u64,
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its settings.
    pub(crate) settings: Arc<ListenerSettings>,
    /// Its counters, over all generations that have one of this name.
    pub(crate) counters: Arc<ListenerMetrics>,
}

/// A policy as requests are counted on it: on one of its routes at least.
struct ServedPolicy {
    name: Arc<str>,
    routes: Vec<ServedRoute>,
}

/// A route as requests are counted on it.
pub(crate) struct ServedRoute {
    /// As the policy's file has it; empty where it has none.
    pub(crate) name: Arc<str>,
    pub(crate) metrics: Arc<RouteMetrics>,
}

impl ServedPolicy {
    fn new(name: &str, routes: &[String], metrics: &Metrics) -> ServedPolicy {
        let name: Arc<str> = Arc::from(name);
        let route = |route: &str| ServedRoute { name: Arc::from(route), metrics: metrics.route(&name, route) };
        let routes = match routes {
            [] => vec![route("")],
            routes => routes.iter().map(|name| route(name)).collect(),
        };
        ServedPolicy { name, routes }
    }
}

/// What becomes known of a generation only when it is taken up.
pub(crate) struct TakenUp {
    pub(crate) number: u64,
    pub(crate) since: u64,
    pub(crate) listeners: Vec<ServedListener>,
    pub(crate) changes: Vec<Change>,
    pub(crate) access: Option<Arc<AccessLog>>,
}

impl Generation {
    /// From a draft without errors: its stores are open, or will be tried again.
    pub(crate) fn new(draft: Draft, program: Arc<Program>, metrics: &Metrics, taken: TakenUp) -> Generation {
        let Draft { reading, stores, upstreams, providers, .. } = draft;
        let fingerprint = Fingerprint::of(&reading);
        let Reading { files, settings, diagnostics, .. } = reading;
        let names = program.policies().into_iter().enumerate();
        let policies = names.map(|(index, name)| ServedPolicy::new(name, program.routes(index), metrics)).collect();
        Generation {
            number: taken.number,
            fingerprint,
            common: common_files(&files),
            since: taken.since,
            policies,
            no_policy: ServedPolicy::new("", &[], metrics),
            access: taken.access,
            program,
            header: settings.node.generation_header.then(|| HeaderValue::from(taken.number)),
            files,
            settings,
            stores,
            upstreams,
            providers,
            listeners: taken.listeners,
            changes: taken.changes,
            warnings: diagnostics,
        }
    }

    /// It serves from now on: what is done for its upstreams beside requests begins.
    pub(crate) fn begin(&self) {
        self.all_upstreams().for_each(HttpUpstream::begin);
    }

    /// The upstreams, those of providers among them.
    pub(crate) fn all_upstreams(&self) -> impl Iterator<Item = &Arc<HttpUpstream>> {
        let of_providers = self.providers.values().filter(|provider| provider.is_reached_by_itself());
        self.upstreams.values().chain(of_providers.map(|provider| &provider.upstream))
    }

    /// A listener in this generation; none where the generation does not have it.
    pub(crate) fn listener(&self, number: u64) -> Option<&ServedListener> {
        self.listeners.iter().find(|listener| listener.number == number)
    }

    /// The policy and the route of a request.
    pub(crate) fn served(&self, decision: &Decision) -> (&Arc<str>, &ServedRoute) {
        let policy = decision.policy().and_then(|index| self.policies.get(index)).unwrap_or(&self.no_policy);
        let route = policy.routes.get(decision.route()).unwrap_or(&policy.routes[0]);
        (&policy.name, route)
    }
}
