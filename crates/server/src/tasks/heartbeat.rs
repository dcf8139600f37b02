//! Heartbeats: what this node says of itself in every source that it shares, and what it notices of the others there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use store::DataSource;
use store::guard::Guarded;
use store::heartbeat::{EVERY, Heartbeat, Pulse, farewell};

use super::each::Each;
use crate::cluster;
use crate::node::Node;

/// How long the last word of a node that ends may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Beats in all shared sources in use, each in a task of its own, for as long as the node lives.
pub(crate) async fn beat_always(node: Arc<Node>) {
    let mut beats = Each::default();
    loop {
        let generation = node.generation.load_full();
        for source in cluster::shared(&generation.stores) {
            beats.start(source, |source| beat_one(node.clone(), source));
        }
        drop(generation);
        tokio::time::sleep(EVERY).await;
    }
}

/// Beats in one source until no generation uses it any more.
async fn beat_one(node: Arc<Node>, source: Arc<Guarded>) {
    let mut pulse = Pulse::new(source.clone());
    let mut warned = BTreeSet::new();
    while let Some(heartbeat) = heartbeat(&node, &source) {
        if source.prepared() && !node.draining() {
            match pulse.beat(&heartbeat).await {
                Ok(others) => warn(&source, &heartbeat, &others, &mut warned),
                // That the source is down is told by whoever watches it.
                Err(why) => tracing::debug!(source = source.name(), "no heartbeat: {why}"),
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// What the node is now; `None` where the source is no longer in use.
fn heartbeat(node: &Node, source: &Arc<Guarded>) -> Option<Heartbeat> {
    let generation = node.generation.load();
    let stores = &generation.stores;
    cluster::shared(stores).find(|used| Arc::ptr_eq(used, source))?;
    let now = node.now();
    let uptime = node.environment.clock.monotonic_nanos().saturating_sub(node.started) / 1_000_000_000;
    Some(Heartbeat {
        node: generation.settings.node.name.clone(),
        instance: node.instance.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation: generation.number,
        files: generation.common.clone(),
        started_at: now.saturating_sub(uptime),
        seen_at: now,
        key: stores.sealer().fingerprint(false).ok().flatten(),
        stores: cluster::stores_on(stores, source.name()),
        beside: cluster::beside_on(stores, source.name()),
        rival: false,
        answers: Vec::new(),
    })
}

/// Each thing is said once, and again where it was mended meanwhile.
fn warn(source: &Guarded, own: &Heartbeat, all: &[Heartbeat], warned: &mut BTreeSet<String>) {
    let name = source.name();
    let mut found = BTreeSet::new();
    for other in all.iter().filter(|other| other.lives(own.seen_at)) {
        if other.node == own.node {
            if other.rival {
                found.insert(format!(
                    "another node has the name `{}` on data source `{name}`: give each node a `name` of its own in node.toml",
                    own.node
                ));
            }
            continue;
        }
        if let (Some(key), Some(others)) = (&own.key, &other.key)
            && key != others
        {
            found.insert(format!(
                "node `{}` on data source `{name}` seals with another key than this one: what one of them sealed the other may be \
                 unable to open; give both the same `[encryption] keys` in node.toml",
                other.node
            ));
        }
    }
    for text in found.difference(warned) {
        tracing::warn!(source = name, "{text}");
    }
    *warned = found;
}

/// The node ends: it takes its heartbeats, so that nobody waits for it.
pub(crate) async fn say_farewell(node: &Node) {
    let generation = node.generation.load_full();
    let name = &generation.settings.node.name;
    let words = cluster::shared(&generation.stores)
        .filter(|source| source.prepared())
        .map(|source| async move { farewell(&**source as &dyn DataSource, name, &node.instance).await });
    // Where it does not succeed the row says by itself that it is old.
    let _ = tokio::time::timeout(FAREWELL, futures_util::future::join_all(words)).await;
}
