//! `portcullis cluster`: the nodes that share the stores.

use std::time::Duration;

use server::{ClusterNode, ClusterSource, ClusterStatus, ClusterVerdict};

use crate::args::{ClusterCommand, Global};
use crate::output::{Output, shown, table};
use crate::{Ended, block_on};

pub(crate) fn run(global: &Global, command: ClusterCommand, output: Output) -> Ended {
    global.refuse_admin()?;
    match command {
        ClusterCommand::Status => match block_on(server::cluster_status(&global.options()))? {
            Ok(status) => Ok(report(&status, output)),
            Err(diagnostics) => Ok(output.refused(&diagnostics)),
        },
        ClusterCommand::Verify => match block_on(server::cluster_verify(&global.options()))? {
            Ok(verdict) => Ok(judge(&verdict, output)),
            Err(diagnostics) => Ok(output.refused(&diagnostics)),
        },
    }
}

/// Exit code 1 where a source could not be asked: then nobody knows.
fn report(status: &ClusterStatus, output: Output) -> u8 {
    output.json(status);
    for source in &status.sources {
        let living = source.nodes.iter().filter(|node| node.lives).count();
        let stores = source.stores.join(", ");
        // Without `[cluster]` nobody says how many there are to be.
        let of = if status.expected > 1 { format!(" of {}", status.expected) } else { String::new() };
        output.line(format_args!("{} ({stores}): {living}{of} nodes", shown(&source.source)));
        output.line(nodes(source));
    }
    for (store, source) in &status.local {
        output.line(format_args!("{} is on {}: one node alone sees it", shown(store), shown(source)));
    }
    if status.sources.is_empty() {
        output.line("no store is on a source that nodes share");
    }
    for drift in &status.drift {
        output.line(format_args!("differs: {}", shown(drift)));
    }
    u8::from(status.sources.iter().any(|source| source.failed.is_some()))
}

fn nodes(source: &ClusterSource) -> String {
    if let Some(why) = &source.failed {
        return format!("  FAILS: {}", shown(why));
    }
    if source.nodes.is_empty() {
        return String::from("  no node has ever written a heartbeat here");
    }
    table(&source.nodes.iter().map(node).collect::<Vec<_>>())
}

fn node(node: &ClusterNode) -> Vec<String> {
    let beat = &node.heartbeat;
    let duration = |seconds| humantime::format_duration(Duration::from_secs(seconds)).to_string();
    let up = duration(beat.seen_at.saturating_sub(beat.started_at));
    let seen = match node.lives {
        true => format!("up {up}"),
        false => format!("GONE, seen {} ago", duration(node.age)),
    };
    let moving: Vec<_> = beat.beside.iter().map(|(store, part)| format!("{store} moves ({part})")).collect();
    vec![
        format!("  {}", shown(&beat.node)),
        format!("version {}", shown(&beat.version)),
        format!("files {}", shown(&beat.files)),
        format!("generation {}", beat.generation),
        seen,
        shown(&moving.join(", ")),
    ]
}

fn judge(verdict: &ClusterVerdict, output: Output) -> u8 {
    output.json(verdict);
    for node in &verdict.proved {
        output.line(format_args!("{} shares every store", shown(node)));
    }
    for problem in &verdict.problems {
        output.line(format_args!("FAILS {}", shown(problem)));
    }
    u8::from(!verdict.ok())
}
