//! `node.toml`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use policy::diagnostic::{Place, Problem, codes};
use policy::reader::{Document, Keys, Outside};
use policy::settings::Network;
use policy::{Diagnostics, Value};
use store::seal::Encryption;

use super::limits::{self, Limits};
use super::listener::{self, ListenerSettings};
use super::telemetry::{self, TelemetrySettings, Traces};
use super::{LogSettings, ProviderSettings, Within, encryption, log, not_yet, provider, upstream, values};
use crate::upstream::UpstreamSettings;

/// The admin address where the file names none.
pub(crate) const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8090);

/// `node.toml`, with its defaults.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NodeSettings {
    /// The node's name.
    pub(crate) name: String,
    /// `[cluster] nodes`.
    pub(crate) cluster_nodes: u32,
    /// `[encryption]`.
    pub(crate) encryption: Encryption,
    /// `[values]`, read.
    pub(crate) values: BTreeMap<String, Value>,
    /// The listeners, at least one.
    pub(crate) listeners: Vec<ListenerSettings>,
    /// Those of the file that `--listen` left out.
    pub(crate) listeners_left_out: Vec<String>,
    /// `trusted_proxies`: who is believed about the client.
    pub(crate) trusted_proxies: Vec<Network>,
    /// The admin address.
    pub(crate) admin: SocketAddr,
    /// `[upstream.NAME]`: every one that is named, those with problems as nothing.
    pub(crate) upstreams: BTreeMap<String, Option<UpstreamSettings>>,
    /// `[provider.NAME]`: every one that is named, those with problems as nothing.
    pub(crate) providers: BTreeMap<String, Option<ProviderSettings>>,
    /// `[limits]`.
    pub(crate) limits: Limits,
    /// `[debug] generation_header`.
    pub(crate) generation_header: bool,
    /// `[log]`.
    pub(crate) log: LogSettings,
    /// `[telemetry]`.
    pub(crate) telemetry: Option<TelemetrySettings>,
}

impl NodeSettings {
    /// Which requests leave spans, where any do.
    pub(crate) fn traces(&self) -> Option<&Traces> {
        self.telemetry.as_ref()?.traces.as_ref()
    }
}

/// Places that other files' problems point to.
#[derive(Default)]
pub(super) struct NodePlaces {
    pub(super) cluster_nodes: Option<Place>,
}

impl Default for NodeSettings {
    fn default() -> Self {
        NodeSettings {
            name: host_name(),
            cluster_nodes: 1,
            encryption: Encryption::Own,
            values: BTreeMap::new(),
            listeners: vec![ListenerSettings::default_one()],
            listeners_left_out: Vec::new(),
            trusted_proxies: Vec::new(),
            admin: DEFAULT_ADMIN,
            upstreams: BTreeMap::new(),
            providers: BTreeMap::new(),
            limits: Limits::default(),
            generation_header: false,
            log: LogSettings::default(),
            telemetry: None,
        }
    }
}

pub(super) fn read(
    document: Option<&Document>,
    admin: Option<SocketAddr>,
    outside: &dyn Outside,
    diagnostics: &mut Diagnostics,
) -> (NodeSettings, NodePlaces) {
    let (mut node, mut places) = (NodeSettings::default(), NodePlaces::default());
    node.admin = admin.unwrap_or(node.admin);
    let Some(document) = document else { return (node, places) };
    let within = Within { file: &document.file, table: &document.root, outside };
    let mut keys = Keys::new(within.file, within.table);
    if let Some(name) = keys.text("name") {
        if name.value.trim().is_empty() {
            let problem = Problem::error(codes::BAD_VALUE, "a node's name is not empty");
            keys.push(problem.with_help("leave `name` out for the host's name").at(keys.place_of(name.span)));
        }
        node.name = name.value.to_owned();
    }
    if let Some(cluster) = keys.table("cluster") {
        cluster_nodes(within.inner(cluster.value), &mut node, &mut places, diagnostics);
    }
    node.encryption = match keys.table("encryption") {
        Some(table) => encryption::read(within.inner(table.value), diagnostics),
        None if node.cluster_nodes > 1 => Encryption::Missing,
        None => Encryption::Own,
    };
    if let Some(table) = keys.table("values") {
        values::read(within.inner(table.value), &mut node.values, diagnostics);
    }
    if let Some(limits) = keys.table("limits") {
        node.limits = limits::read(within.inner(limits.value), diagnostics);
    }
    if let Some(networks) = keys.deserialize("trusted_proxies", outside) {
        node.trusted_proxies = networks;
    }
    let tables = keys.tables("listener").unwrap_or_default();
    let listeners = listener::read_all(within, &tables, node.limits.clients, diagnostics);
    let mut admin_place = None;
    if let Some(table) = keys.table("admin") {
        let mut keys = Keys::new(within.file, table.value);
        if let Some(text) = keys.text("address") {
            let place = keys.place_of(text.span);
            let named = listener::address(&mut keys, text);
            admin_place = named.filter(|_| admin.is_none()).map(|_| place);
            node.admin = admin.or(named).unwrap_or(node.admin);
        }
        super::finish(keys, diagnostics);
    }
    listener::refuse_admin(&listeners, node.admin, admin_place.as_ref(), diagnostics);
    node.listeners = listeners.into_iter().map(|(listener, _)| listener).collect();
    if let Some(upstreams) = keys.table("upstream") {
        for entry in &upstreams.value.entries {
            let table = keys.expect(&entry.value, "a table", policy::reader::Node::as_table);
            let read = table.and_then(|table| upstream::read(within.inner(table.value), node.admin, diagnostics));
            node.upstreams.insert(entry.name.clone(), read);
        }
    }
    if let Some(providers) = keys.table("provider") {
        for entry in &providers.value.entries {
            let table = keys.expect(&entry.value, "a table", policy::reader::Node::as_table);
            let read = table.and_then(|table| {
                provider::read(&entry.name, within.inner(table.value), node.admin, &node.upstreams, diagnostics)
            });
            node.providers.insert(entry.name.clone(), read);
        }
    }
    if let Some(debug) = keys.table("debug") {
        let mut keys = Keys::new(within.file, debug.value);
        node.generation_header = keys.bool("generation_header").is_some_and(|b| b.value);
        super::finish(keys, diagnostics);
    }
    if let Some(table) = keys.table("log") {
        node.log = log::read(within.inner(table.value), diagnostics);
    }
    if let Some(table) = keys.table("telemetry") {
        node.telemetry = telemetry::read(within.inner(table.value), &node.upstreams, diagnostics);
    }
    refuse_later_parts(&mut keys);
    keys.also(&[policy::lint::ALLOW]);
    super::finish(keys, diagnostics);
    (node, places)
}

fn refuse_later_parts(keys: &mut Keys<'_>) {
    for (name, instead) in [("tracing", "traces are sent by `[telemetry]`")] {
        if let Some(entry) = keys.entry(name) {
            keys.push(not_yet(&format!("`[{name}]`"), instead).at(keys.place_of(entry.name_span)));
        }
    }
}

fn cluster_nodes(within: Within<'_>, node: &mut NodeSettings, places: &mut NodePlaces, diagnostics: &mut Diagnostics) {
    let mut keys = Keys::new(within.file, within.table);
    if let Some(nodes) = keys.int("nodes") {
        match u32::try_from(nodes.value).ok().filter(|n| (1..=10_000).contains(n)) {
            Some(number) => {
                node.cluster_nodes = number;
                places.cluster_nodes = Some(keys.place_of(nodes.span));
            }
            None => {
                let problem = Problem::error(codes::BAD_VALUE, format!("a cluster of {} nodes cannot be", nodes.value));
                keys.push(
                    problem.with_help("how many nodes share the stores: 1 or more").at(keys.place_of(nodes.span)),
                );
            }
        }
    }
    super::finish(keys, diagnostics);
}

/// The host's name, as the kernel has it.
fn host_name() -> String {
    let read = |path| std::fs::read_to_string(path).ok().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
    read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname")).unwrap_or_else(|| String::from("node"))
}
