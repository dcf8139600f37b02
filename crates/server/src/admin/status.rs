//! What `portcullis status` shows: from the same generation that requests live in.

use policy::diagnostic::render;
use store::mapping::Move;
use store::moving::Phase;

use super::api::{GenerationView, ListenerView, MoveView, RefusedView, SourceView, Status, TargetView, UpstreamView};
use crate::node::Node;
use crate::upstream::{ObservedTarget, ObservedUpstream};

/// How the node is now.
pub(crate) fn status(node: &Node) -> Status {
    let generation = node.generation.load_full();
    let stores = &generation.stores;
    let kind = |name: &str| generation.settings.stores.types.get(name).cloned().unwrap_or_default();
    let sources = stores.sources_in_use().map(|source| {
        let why = node.source_down(source.name());
        SourceView { name: source.name().to_owned(), kind: kind(source.name()), up: why.is_none(), why }
    });
    let listeners = node.listeners.open().into_iter().map(|(number, address, connections)| ListenerView {
        name: generation.listener(number).map(|listener| listener.name.to_string()).unwrap_or_default(),
        address: address.to_string(),
        connections: connections as u64,
    });
    let in_use = stores.stores().filter(|(_, kind, _)| kind.table().is_some());
    Status {
        name: generation.settings.node.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: node.environment.clock.monotonic_nanos().saturating_sub(node.started) / 1_000_000_000,
        state: String::from(if node.draining() { "draining" } else { "serving" }),
        ready: node.unready().is_none(),
        generation: GenerationView {
            number: generation.number,
            hash: format!("{:016x}", generation.fingerprint.files),
            since: generation.since,
            policies: generation.program.policies().into_iter().map(str::to_owned).collect(),
        },
        listeners: listeners.collect(),
        sources: sources.collect(),
        upstreams: generation.all_upstreams().map(|upstream| upstream_view(upstream.observe())).collect(),
        stores: in_use.map(|(name, _, source)| (name.to_owned(), source.to_owned())).collect(),
        moves: stores.moves().map(|moving| view(node, &moving)).collect(),
        refused: node.refused().as_ref().map(|r| RefusedView { at: r.at, text: render(&r.diagnostics, false) }),
    }
}

fn upstream_view(upstream: ObservedUpstream) -> UpstreamView {
    let state = |target: &ObservedTarget| match (target.healthy, target.ejected) {
        (false, _) => "down",
        (true, true) => "left out",
        (true, false) => "well",
    };
    let targets = upstream.targets.into_iter().map(|target| TargetView {
        state: String::from(state(&target)),
        target: target.url,
        address: target.address,
        connections: target.connections.into(),
        in_flight: target.in_flight.into(),
    });
    UpstreamView { name: upstream.name, in_flight: upstream.in_flight.into(), targets: targets.collect() }
}

fn view(node: &Node, moving: &Move) -> MoveView {
    MoveView {
        store: moving.store.clone(),
        step: String::from(if moving.phase == Phase::Next { "next" } else { "previous" }),
        from: moving.old.name().to_owned(),
        to: moving.new.name().to_owned(),
        empty: node.is_emptied(moving),
    }
}
