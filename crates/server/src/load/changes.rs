//! What a load changes, section by section: what `reload` prints.

use std::collections::BTreeMap;
use std::time::Duration;

use policy::diagnostic::{Problem, codes};
use policy::{Diagnostic, Diagnostics, Value};
use store::mapping::{Move, Moved};
use store::moving::{Phase, Remains};

use super::{Draft, Generation};
use crate::admin::api::Change;
use crate::settings::{NodeSettings, StoreSettings};

/// How long it is looked whether an old source still has records.
const LOOK: Duration = Duration::from_secs(2);

/// The changes of a draft against the generation that serves.
pub(crate) fn changes(before: &Generation, draft: &Draft) -> Vec<Change> {
    let mut changes = Vec::new();
    policies(before, draft, &mut changes);
    let (old, new) = (&before.settings, &draft.reading.settings);
    stores(&old.stores, &new.stores, &draft.stores.moved(&before.stores), &mut changes);
    node(&old.node, &new.node, &mut changes);
    if changes.is_empty() && before.fingerprint.outside_changed() {
        changes.push(change("outside", "a variable, secret file or content file", "changed"));
    }
    changes
}

/// P0403: records that stay behind, one warning a store that moves.
pub(crate) fn left_behind(moved: &[Moved], settings: &StoreSettings) -> Diagnostics {
    let mut warnings = Diagnostics::new();
    for Moved { store, from, to } in moved {
        let message = format!("store `{store}` is now in `{to}`: its records in `{from}` stay behind");
        let help = match store.starts_with("kps.") {
            true => format!(
                "to take them along, stop the nodes and run `portcullis store copy --from {from} --to {to} {store}`, or take `kps backup` before and `kps restore` after"
            ),
            false => format!(
                "to take them along, write `previous = \"{from}\"` beside `source` in `[store.{store}]`, as long as `[source.{from}]` is there"
            ),
        };
        let problem = Problem::warning(codes::LEFT_BEHIND, message).with_help(help);
        warnings.push(placed(problem, store, settings));
    }
    warnings
}

/// At the store's place in its file, where it has one.
fn placed(problem: Problem, store: &str, settings: &StoreSettings) -> Diagnostic {
    match settings.store_place(store) {
        Some(place) => problem.at(place),
        None => problem.nowhere(),
    }
}

/// P0403: records that count and stay behind, since `previous` was taken out before all had been handed over. `empty`: what the node
/// knows of a while ago, where looking takes too long.
pub(crate) async fn left_early(
    ended: Vec<Move>,
    settings: &StoreSettings,
    empty: impl Fn(&Move) -> bool,
) -> Diagnostics {
    let mut warnings = Diagnostics::new();
    for moving in ended {
        let (store, from, to) = (&moving.store, moving.old.name(), moving.new.name());
        let remains = Remains::of_move(moving.old.clone(), moving.new.clone(), moving.kind.tables());
        let message = match tokio::time::timeout(LOOK, remains).await {
            Ok(Ok(false)) => continue,
            Ok(Ok(true)) => format!(
                "store `{store}` moves no longer: what `{from}` still has of it stays behind, and copies in `{to}` of what was deleted count"
            ),
            Ok(Err(_)) | Err(_) if empty(&moving) => continue,
            Ok(Err(_)) | Err(_) => {
                format!("store `{store}` moves no longer, and whether `{from}` still has records of it is not known")
            }
        };
        let help = format!(
            "write `previous = \"{from}\"` again, and `portcullis store copy --from {from} --to {to} {store}`, or wait until all there has expired"
        );
        let problem = Problem::warning(codes::LEFT_BEHIND, message).with_help(help);
        warnings.push(placed(problem, store, settings));
    }
    warnings
}

/// P0403, as an error: moves that are turned round before all has been handed over. Copies that were made would count as they are, also
/// of what was revoked or deleted since: it would live again.
pub(crate) async fn turned_early(turned: Vec<Move>, settings: &StoreSettings) -> Diagnostics {
    let mut refused = Diagnostics::new();
    for moving in turned {
        let (store, from, to) = (&moving.store, moving.old.name(), moving.new.name());
        let copies = Remains::any_uncounted(moving.old.clone(), moving.new.clone(), moving.kind.tables());
        let message = match tokio::time::timeout(LOOK, copies).await {
            Ok(Ok(false)) => continue,
            Ok(Ok(true)) => format!(
                "store `{store}` is turned round before its move to `{to}` has ended: copies there would count, also of what was revoked or deleted in `{from}`"
            ),
            Ok(Err(_)) | Err(_) => format!(
                "store `{store}` is turned round, and whether its move to `{to}` has ended is not known: copies there would count, also of what was revoked or deleted in `{from}`"
            ),
        };
        let help = format!(
            "from `previous`, end the move first (`portcullis store copy --from {from} --to {to} {store}`); from `next`, just take that out"
        );
        let problem = Problem::error(codes::LEFT_BEHIND, message).with_help(help);
        refused.push(placed(problem, store, settings));
    }
    refused
}

/// P0403: records that were left behind in the new source by an earlier mapping, and count from now on.
pub(crate) async fn found_there(begun: Vec<Move>, settings: &StoreSettings) -> Diagnostics {
    let mut warnings = Diagnostics::new();
    for moving in begun {
        let found = Remains::new(moving.new.clone(), moving.kind.tables().to_vec()).any_own();
        if !matches!(tokio::time::timeout(LOOK, found).await, Ok(Ok(true))) {
            continue;
        }
        let (store, to) = (&moving.store, moving.new.name());
        let message = format!("`{to}` has records of store `{store}` already: they count from now on");
        let help = "right where another node is a step further; where they are from another time, go back a step and delete them first";
        let problem = Problem::warning(codes::LEFT_BEHIND, message).with_help(help);
        warnings.push(placed(problem, store, settings));
    }
    warnings
}

fn change(section: &str, what: impl Into<String>, how: impl Into<String>) -> Change {
    Change { section: section.to_owned(), what: what.into(), how: how.into() }
}

fn policies(before: &Generation, draft: &Draft, changes: &mut Vec<Change>) {
    let below = |files: &policy::reader::Files| -> BTreeMap<String, String> {
        let files = files.files.iter().filter_map(|(path, file)| Some((path.strip_prefix("policies/")?, file)));
        files.map(|(path, file)| (path.trim_end_matches(".toml").to_owned(), file.text.clone())).collect()
    };
    compare("policies", "", &below(&before.files), &below(&draft.reading.files), changes);
}

/// Tells what was added, removed and changed between two maps.
fn compare<T: PartialEq>(
    section: &str,
    prefix: &str,
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    changes: &mut Vec<Change>,
) {
    for (name, value) in new {
        match old.get(name) {
            None => changes.push(change(section, format!("{prefix}{name}"), "added")),
            Some(before) if before != value => changes.push(change(section, format!("{prefix}{name}"), "changed")),
            Some(_) => {}
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        changes.push(change(section, format!("{prefix}{name}"), "removed"));
    }
}

fn stores(old: &StoreSettings, new: &StoreSettings, moved: &[Moved], changes: &mut Vec<Change>) {
    compare("stores", "source.", &old.mapping.sources, &new.mapping.sources, changes);
    for moved in moved {
        changes.push(change("stores", format!("store.{}", moved.store), format!("now on source {}", moved.to)));
    }
    let kinds = |settings: &StoreSettings| -> BTreeMap<String, store::Kind> {
        let stores = settings.mapping.stores().into_iter().filter(|(_, (kind, _))| *kind != store::Kind::Kps);
        stores.map(|(name, (kind, _))| (name.to_owned(), kind)).collect()
    };
    let (old_kps, new_kps) = (&old.mapping.kps, &new.mapping.kps);
    compare("stores", "", old_kps, new_kps, changes);
    compare("stores", "store.", &kinds(old), &kinds(new), changes);
    let moves = |settings: &StoreSettings| -> BTreeMap<String, _> {
        let stores = settings.mapping.stores.iter();
        stores.filter_map(|(name, store)| Some((name.clone(), store.moving.clone()?))).collect()
    };
    let (before, now) = (moves(old), moves(new));
    for (name, (phase, other)) in now.iter().filter(|(name, moving)| before.get(*name) != Some(*moving)) {
        let source = new.mapping.stores().get(name.as_str()).map_or("", |(_, source)| *source).to_owned();
        let how = match phase {
            Phase::Next => format!("makes ready to move from {source} to {other}"),
            Phase::Previous => format!("moves from {other} to {source}"),
        };
        changes.push(change("stores", format!("store.{name}"), how));
    }
    for name in before.keys().filter(|name| !now.contains_key(*name)) {
        changes.push(change("stores", format!("store.{name}"), "moves no longer"));
    }
}

fn node(old: &NodeSettings, new: &NodeSettings, changes: &mut Vec<Change>) {
    if old.name != new.name {
        changes.push(change("node", "name", format!("now {}", new.name)));
    }
    if old.cluster_nodes != new.cluster_nodes {
        changes.push(change("node", "cluster.nodes", format!("now {}", new.cluster_nodes)));
    }
    compare::<Value>("node", "values.", &old.values, &new.values, changes);
    compare("node", "upstream.", &old.upstreams, &new.upstreams, changes);
    let by_name = |node: &NodeSettings| -> BTreeMap<String, _> {
        node.listeners.iter().map(|listener| (listener.name.clone(), listener.clone())).collect()
    };
    compare("node", "listener.", &by_name(old), &by_name(new), changes);
    for (name, differs) in [
        ("limits", old.limits != new.limits),
        ("log", old.log != new.log),
        ("debug", old.generation_header != new.generation_header),
        ("admin.address", old.admin != new.admin),
    ] {
        if differs {
            changes.push(change("node", name, "changed"));
        }
    }
}
