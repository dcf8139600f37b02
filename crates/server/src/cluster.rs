//! The nodes that share sources: what `portcullis cluster status` and `cluster verify` say of them.
//!
//! Nodes know each other by nothing but what stands in the sources that they share, so that is looked at, whether or not a node runs
//! here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use policy::ports::Environment;
use policy::reader::Files;
use serde::{Deserialize, Serialize};
use store::DataSource;
use store::guard::Guarded;
use store::heartbeat::{EVERY, Heartbeat, challenge, nodes, withdraw};
use store::mapping::{Move, Opened};
use store::moving::Phase;
use store::watch::key_hash;

/// How long nodes have to answer a challenge: some heartbeats.
const ANSWERS: u32 = 5;

/// The shared sources in use that can be written.
pub(crate) fn shared(stores: &Opened) -> impl Iterator<Item = &Arc<Guarded>> {
    stores.sources_in_use().filter(|source| {
        let can = source.capabilities();
        !can.node_local && !can.read_only
    })
}

/// The stores in use that are kept in this source.
pub(crate) fn stores_on(stores: &Opened, source: &str) -> Vec<String> {
    let used = stores.stores().filter(|(_, kind, on)| kind.table().is_some() && *on == source);
    used.map(|(name, ..)| name.to_owned()).collect()
}

/// The stores that keep the other part of their records in this source while they move, and which part that is.
pub(crate) fn beside_on(stores: &Opened, source: &str) -> BTreeMap<String, String> {
    let other = |m: Move| match m.phase {
        Phase::Next => (m.new.name() == source).then(|| (m.store, String::from("next"))),
        Phase::Previous => (m.old.name() == source).then(|| (m.store, String::from("previous"))),
    };
    stores.moves().filter_map(other).collect()
}

/// A hash of the files that nodes of a cluster have in common, by whatever version of this program: not `node.toml`, where names and
/// addresses stand.
pub(crate) fn common_files(files: &Files) -> String {
    let mut text = Vec::new();
    for (path, file) in &files.files {
        if path.starts_with("policies/") || path.starts_with("stores/") {
            for part in [path.as_bytes(), file.text.as_bytes()] {
                text.extend((part.len() as u64).to_be_bytes());
                text.extend(part);
            }
        }
    }
    store::hex(&key_hash(&text)[..8])
}

/// What `cluster status` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// `[cluster] nodes`.
    pub expected: u32,
    /// The shared sources in use.
    pub sources: Vec<ClusterSource>,
    /// Stores in use whose records one node alone sees, with their sources.
    pub local: BTreeMap<String, String>,
    /// In what the nodes that live differ, a sentence each.
    pub drift: Vec<String>,
}

/// The nodes in one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSource {
    /// Its name.
    pub source: String,
    /// The stores that this folder's mapping keeps there.
    pub stores: Vec<String>,
    /// The nodes, those that are gone included.
    pub nodes: Vec<ClusterNode>,
    /// Why they could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// A node as its heartbeat in one source tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterNode {
    /// What it said last.
    #[serde(flatten)]
    pub heartbeat: Heartbeat,
    /// Seconds since then, by the clock of this machine.
    pub age: u64,
    /// Whether it lives, as far as can be told.
    pub lives: bool,
}

/// What `cluster verify` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterVerdict {
    /// `[cluster] nodes`.
    pub expected: u32,
    /// The nodes that share every store.
    pub proved: Vec<String>,
    /// What is wrong, a sentence each.
    pub problems: Vec<String>,
}

impl ClusterVerdict {
    /// Whether the nodes share their stores.
    pub fn ok(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Reads the heartbeats in every shared source.
pub(crate) async fn status(stores: &Opened, expected: u32, environment: &Environment) -> ClusterStatus {
    let now = environment.clock.unix_millis() / 1_000;
    let mut sources = Vec::new();
    for source in shared(stores) {
        sources.push(read(stores, source, now).await);
    }
    let local = stores.stores().filter(|(_, kind, on)| {
        kind.table().is_some() && stores.source(on).is_some_and(|source| source.capabilities().node_local)
    });
    let local = local.map(|(store, _, source)| (store.to_owned(), source.to_owned())).collect();
    let drift = drift(&sources);
    ClusterStatus { expected, sources, local, drift }
}

async fn read(stores: &Opened, source: &Arc<Guarded>, now: u64) -> ClusterSource {
    let (found, failed) = match nodes(&**source).await {
        Ok(found) => (found, None),
        Err(why) => (Vec::new(), Some(why.to_string())),
    };
    let node = |heartbeat: Heartbeat| ClusterNode {
        age: now.saturating_sub(heartbeat.seen_at),
        lives: heartbeat.lives(now),
        heartbeat,
    };
    let (source, stores) = (source.name().to_owned(), stores_on(stores, source.name()));
    ClusterSource { source, stores, nodes: found.into_iter().map(node).collect(), failed }
}

/// In what the nodes that live differ.
fn drift(sources: &[ClusterSource]) -> Vec<String> {
    let mut drift = BTreeSet::new();
    for ClusterSource { source, nodes, .. } in sources {
        let nodes: Vec<&Heartbeat> = nodes.iter().filter(|node| node.lives).map(|node| &node.heartbeat).collect();
        let by = |what: &str, of: &dyn Fn(&Heartbeat) -> String| {
            let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            nodes.iter().for_each(|node| groups.entry(of(node)).or_default().push(&node.node));
            let said = groups.iter().map(|(value, names)| format!("{} {value}", named(names)));
            (groups.len() > 1).then(|| format!("{what}: {}", said.collect::<Vec<_>>().join("; ")))
        };
        drift.extend(by("versions", &|node| node.version.clone()));
        drift.extend(by("policies and stores", &|node| format!("files {}", node.files)));
        drift.extend(by(&format!("stores on {source}"), &|node| {
            let moving = node.beside.iter().map(|(store, part)| format!("{store} ({part})"));
            let all: Vec<String> = node.stores.iter().cloned().chain(moving).collect();
            if all.is_empty() { String::from("none") } else { all.join(", ") }
        }));
        // A node that has sealed nothing yet may have no key.
        let keys: BTreeSet<_> = nodes.iter().filter_map(|node| node.key.as_ref()).collect();
        if keys.len() > 1 {
            drift.extend(by("keys of what is sealed", &|node| {
                node.key.as_ref().map_or_else(|| String::from("none"), |key| format!("key {key}"))
            }));
        }
        for node in nodes.iter().filter(|node| node.rival) {
            drift.insert(format!("names: two nodes are called `{}`", node.node));
        }
    }
    drift.into_iter().collect()
}

fn named(names: &[&str]) -> String {
    format!("`{}`", names.join("`, `"))
}

/// Writes a challenge into every shared source and waits for the nodes' answers: whoever answers in a source has that source.
pub(crate) async fn verify(stores: &Opened, expected: u32, environment: &Environment) -> ClusterVerdict {
    let mut random = [0; 16];
    environment.random.fill(&mut random);
    let name = store::hex(random);
    let now = || environment.clock.unix_millis() / 1_000;
    let mut problems = Vec::new();
    let mut asked = Vec::new();
    for source in shared(stores) {
        match challenge(&**source as &dyn DataSource, &name, now()).await {
            Ok(()) => asked.push(source),
            Err(why) => problems.push(format!("data source `{}`: {why}", source.name())),
        }
    }
    let mut found = Vec::new();
    for wait in 0..=2 * ANSWERS {
        found = answers(stores, &asked, now()).await;
        let answered = |source: &ClusterSource| source.nodes.iter().all(|node| node.heartbeat.answers.contains(&name));
        let enough = |source: &ClusterSource| source.nodes.len() >= expected as usize && answered(source);
        // One that is alone waits to the end: others may be slow to come.
        if found.iter().all(enough) || wait == 2 * ANSWERS {
            break;
        }
        tokio::time::sleep(EVERY / 2).await;
    }
    for source in asked {
        // It goes by itself where this fails.
        let _ = withdraw(&**source as &dyn DataSource, &name).await;
    }
    verdict(stores, expected, &name, found, problems)
}

/// The nodes that live, by source.
async fn answers(stores: &Opened, asked: &[&Arc<Guarded>], now: u64) -> Vec<ClusterSource> {
    let mut found = Vec::new();
    for source in asked {
        let mut read = read(stores, source, now).await;
        read.nodes.retain(|node| node.lives);
        found.push(read);
    }
    found
}

fn verdict(
    stores: &Opened,
    expected: u32,
    name: &String,
    found: Vec<ClusterSource>,
    mut problems: Vec<String>,
) -> ClusterVerdict {
    for (store, _, on) in stores.stores().filter(|(_, kind, _)| kind.table().is_some()) {
        if stores.source(on).is_some_and(|source| source.capabilities().node_local) {
            problems.push(format!("store `{store}` is on `{on}`, whose records one node alone sees"));
        }
    }
    let all: BTreeSet<&str> =
        found.iter().flat_map(|source| &source.nodes).map(|node| node.heartbeat.node.as_str()).collect();
    let mut proved: BTreeSet<&str> = all.clone();
    for ClusterSource { source, stores, nodes, failed } in &found {
        problems.extend(failed.as_ref().map(|why| format!("data source `{source}`: {why}")));
        for node in &all {
            let here = nodes.iter().map(|node| &node.heartbeat).find(|heartbeat| heartbeat.node == *node);
            let lacks = |beat: &Heartbeat| {
                // A node that is a step before or behind in a move shares the store as well.
                let has = |store: &&String| beat.stores.contains(store) || beat.beside.contains_key(*store);
                stores.iter().find(|store| !has(store)).cloned()
            };
            let problem = match here {
                None => Some(format!(
                    "node `{node}` does not use data source `{source}`, where this mapping keeps `{}`",
                    stores.join("`, `")
                )),
                Some(beat) if !beat.answers.contains(name) => {
                    Some(format!("node `{node}` did not answer in data source `{source}`: it is gone, or hangs"))
                }
                Some(beat) => lacks(beat).map(|store| {
                    format!("node `{node}` uses data source `{source}`, and keeps store `{store}` elsewhere")
                }),
            };
            if let Some(problem) = problem {
                proved.remove(node);
                problems.push(problem);
            }
        }
        for node in nodes.iter().filter(|node| node.heartbeat.rival) {
            problems.push(format!("two nodes are called `{}`: give each a `name` of its own", node.heartbeat.node));
        }
    }
    if proved.len() < expected as usize {
        problems.push(format!("`[cluster] nodes` is {expected}, and {} answered with the same stores", proved.len()));
    }
    // Each source tells of two nodes with one name.
    let mut told = BTreeSet::new();
    problems.retain(|problem| told.insert(problem.clone()));
    ClusterVerdict { expected, proved: proved.into_iter().map(str::to_owned).collect(), problems }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, change: impl FnOnce(&mut ClusterNode)) -> ClusterNode {
        let heartbeat = Heartbeat {
            node: name.into(),
            instance: name.into(),
            version: "1".into(),
            generation: 1,
            files: "f".into(),
            started_at: 1,
            seen_at: 1,
            key: None,
            stores: vec!["clients".into()],
            beside: BTreeMap::new(),
            rival: false,
            answers: Vec::new(),
        };
        let mut node = ClusterNode { heartbeat, age: 1, lives: true };
        change(&mut node);
        node
    }

    #[test]
    fn what_nodes_differ_in_is_said() {
        let drift = |change: fn(&mut ClusterNode)| {
            let nodes = vec![node("a", |_| {}), node("b", change)];
            drift(&[ClusterSource { source: "db".into(), stores: Vec::new(), nodes, failed: None }])
        };
        assert_eq!(drift(|_| {}), [""; 0]);
        assert_eq!(drift(|b| b.heartbeat.version = "2".into()), ["versions: `a` 1; `b` 2"]);
        assert_eq!(drift(|b| b.heartbeat.files = "g".into()), ["policies and stores: `a` files f; `b` files g"]);
        assert_eq!(drift(|b| b.heartbeat.stores.clear()), ["stores on db: `a` clients; `b` none"]);
        let moves = |b: &mut ClusterNode| drop(b.heartbeat.beside.insert("access-token".into(), "next".into()));
        assert_eq!(drift(moves), ["stores on db: `a` clients; `b` clients, access-token (next)"]);
        assert_eq!(drift(|b| b.heartbeat.key = Some("k".into())), [""; 0], "one of them has sealed nothing yet");
        assert_eq!(drift(|b| b.heartbeat.rival = true), ["names: two nodes are called `b`"]);
        // The generation is counted from each start, and one that is gone differs from nobody.
        assert_eq!(drift(|b| b.heartbeat.generation = 2), [""; 0]);
        assert_eq!(drift(|b| (b.lives, b.heartbeat.version) = (false, "2".into())), [""; 0]);
    }

    #[test]
    fn names_and_addresses_are_no_drift() {
        let hash = |files: &[(&str, &str)]| common_files(&Files::from_texts(files.iter().copied()));
        let first = hash(&[("node.toml", "name = \"a\""), ("policies/a.toml", "x")]);
        assert_eq!(first, hash(&[("node.toml", "name = \"b\""), ("policies/a.toml", "x")]));
        for other in [[("policies/a.toml", "y")], [("policies/b.toml", "x")], [("stores/stores.toml", "x")]] {
            assert_ne!(first, hash(&other));
        }
    }
}
