//! `portcullis status`: what a running node is doing.

use std::time::Duration;

use server::admin::Client;
use server::admin::api::Status;

use crate::args::Global;
use crate::output::{Output, shown, table, time};
use crate::{Ended, block_on};

pub(crate) fn run(global: &Global, output: Output) -> Ended {
    global.refuse_values("a running node keeps those it was started with")?;
    let status = block_on(async { Client::new(&global.dir, global.admin)?.status().await })??;
    output.json(&status);
    output.line(text(&status));
    Ok(0)
}

fn text(status: &Status) -> String {
    let uptime = humantime::format_duration(Duration::from_secs(status.uptime_seconds));
    let ready = if status.ready { "ready" } else { "not ready" };
    let generation = &status.generation;
    let mut rows = vec![
        vec![String::from("node"), format!("{} (version {}, up {uptime})", shown(&status.name), status.version)],
        vec![String::from("state"), format!("{}, {ready}", status.state)],
        vec![
            String::from("generation"),
            format!("{} of {} (files {})", generation.number, time(generation.since), generation.hash),
        ],
        vec![String::from("policies"), generation.policies.join(", ")],
    ];
    rows.extend(
        status.listeners.iter().map(|l| {
            vec![String::from("listener"), format!("{} {}, {} connections", l.name, l.address, l.connections)]
        }),
    );
    rows.extend(status.sources.iter().map(|s| {
        let up = s
            .why
            .as_ref()
            .map_or_else(|| String::from(if s.up { "up" } else { "DOWN" }), |why| format!("DOWN: {}", shown(why)));
        vec![String::from("source"), format!("{} ({}) {up}", s.name, s.kind)]
    }));
    for upstream in &status.upstreams {
        rows.extend(upstream.targets.iter().map(|target| {
            let (name, url, address) = (&upstream.name, &target.target, &target.address);
            let (state, open, busy) = (&target.state, target.connections, target.in_flight);
            let told = format!("{name} {url} ({address}) {state}, {open} connections, {busy} requests in flight");
            vec![String::from("upstream"), told]
        }));
    }
    rows.extend(
        status.stores.iter().map(|(store, source)| vec![String::from("store"), format!("{store} on {source}")]),
    );
    rows.extend(status.moves.iter().map(|m| {
        let end = if m.empty { "; nothing counts there any more: take `previous` out" } else { "" };
        vec![String::from("move"), format!("{} from {} to {}, step `{}`{end}", m.store, m.from, m.to, m.step)]
    }));
    let mut text = table(&rows);
    if let Some(refused) = &status.refused {
        text.push_str(&format!(
            "\n\nThe files on disk were refused at {}:\n{}",
            time(refused.at),
            refused.text.trim_end()
        ));
    }
    text
}
