//! `limits`, `health`, `eject` and `retries` of an upstream.

use std::time::Duration;

use http::{Method, StatusCode, Uri};
use policy::Diagnostics;
use policy::reader::{Keys, Node, NodeKind};

use super::{Within, duration, number, percent, wrong};
use crate::upstream::{Ejection, Health, Limits, Retries};

/// A second, and bounds that durations have.
const SECOND: Duration = Duration::from_secs(1);
/// See [`SECOND`].
const HOUR: Duration = Duration::from_secs(3_600);
/// See [`SECOND`].
const TICK: Duration = Duration::from_millis(10);

pub(super) fn limits(within: Within<'_>, diagnostics: &mut Diagnostics) -> Limits {
    let (mut keys, default) = (Keys::new(within.file, within.table), Limits::default());
    let limits = Limits {
        connections: number(&mut keys, "connections", default.connections, 1..=1_000_000),
        pending: number(&mut keys, "pending", default.pending, 0..=1_000_000),
        wait: duration(&mut keys, "wait", default.wait, TICK..=60 * SECOND),
        requests: number(&mut keys, "requests", default.requests, 1..=1_000_000),
        streams: number(&mut keys, "streams", default.streams, 1..=10_000),
    };
    super::super::finish(keys, diagnostics);
    limits
}

/// Nothing where something is wrong that cannot be done without.
pub(super) fn health(within: Within<'_>, diagnostics: &mut Diagnostics) -> Option<Health> {
    let mut keys = Keys::new(within.file, within.table);
    let path = keys.required_text("path");
    if let Some(path) = &path
        && !(path.value.starts_with('/') && path.value.parse::<Uri>().is_ok())
    {
        let help = String::from("path = \"/health\"");
        wrong(&mut keys, path.span, format!("`{}` is no path", path.value), help);
    }
    let host = keys.text("host");
    if let Some(host) = &host
        && host.value.parse::<http::uri::Authority>().is_err()
    {
        let help = String::from("a name, perhaps with a port");
        wrong(&mut keys, host.span, format!("`{}` is no host", host.value), help);
    }
    let health = Health {
        path: path.as_ref().map(|path| path.value.to_owned()).unwrap_or_default(),
        host: host.map(|host| host.value.to_owned()),
        interval: duration(&mut keys, "interval", 5 * SECOND, 10 * TICK..=HOUR),
        timeout: duration(&mut keys, "timeout", 2 * SECOND, TICK..=60 * SECOND),
        expect: expect(&mut keys),
        healthy: number(&mut keys, "healthy", 2, 1..=100),
        unhealthy: number(&mut keys, "unhealthy", 3, 1..=100),
    };
    super::super::finish(keys, diagnostics);
    path.map(|_| health)
}

/// `expect = 200`, `"200-299"`, or a list of these.
fn expect(keys: &mut Keys<'_>) -> Vec<(u16, u16)> {
    let Some(node) = keys.node("expect") else { return vec![(200, 299)] };
    let nodes = node.as_list().unwrap_or(std::slice::from_ref(node));
    let mut found = Vec::new();
    for node in nodes {
        match range(node) {
            Some(range) => found.push(range),
            None => {
                let help = String::from("a status, `200`, or a range of them, `\"200-299\"`");
                wrong(keys, node.span, format!("expected a status, found {}", node.describe()), help);
            }
        }
    }
    if nodes.is_empty() {
        wrong(keys, node.span, String::from("no status is expected"), String::from("leave it out for \"200-299\""));
    }
    found
}

fn range(node: &Node) -> Option<(u16, u16)> {
    let range = match node.kind {
        NodeKind::Int(number) => u16::try_from(number).ok().map(|status| (status, status)),
        _ => {
            let (first, last) = node.as_text()?.split_once('-')?;
            Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
        }
    };
    range.filter(|(first, last)| first <= last && (200..600).contains(first) && (200..600).contains(last))
}

pub(super) fn ejection(within: Within<'_>, diagnostics: &mut Diagnostics) -> Ejection {
    let (mut keys, default) = (Keys::new(within.file, within.table), Ejection::default());
    let time = duration(&mut keys, "time", default.time, 10 * TICK..=HOUR);
    let ejection = Ejection {
        faults: number(&mut keys, "faults", default.faults, 0..=1_000),
        errors: number(&mut keys, "errors", default.errors, 0..=1_000),
        time,
        longest: duration(&mut keys, "longest", default.longest.max(time), time..=24 * HOUR),
        share: percent(&mut keys, "share", default.share),
    };
    super::super::finish(keys, diagnostics);
    ejection
}

pub(super) fn retries(within: Within<'_>, diagnostics: &mut Diagnostics) -> Retries {
    let (mut keys, default) = (Keys::new(within.file, within.table), Retries::default());
    let mut retries = Retries {
        attempts: number(&mut keys, "attempts", default.attempts, 0..=10),
        budget: percent(&mut keys, "budget", default.budget),
        backoff: duration(&mut keys, "backoff", default.backoff, TICK / 10..=10 * SECOND),
        ..default
    };
    if let Some(on) = keys.list("on") {
        (retries.connect, retries.reset) = (false, false);
        for node in on.value {
            let status = match node.kind {
                NodeKind::Int(number) => u16::try_from(number).ok().filter(|number| (400..600).contains(number)),
                _ => None,
            };
            match (node.as_text(), status.and_then(|status| StatusCode::from_u16(status).ok())) {
                (Some("connect"), _) => retries.connect = true,
                (Some("reset"), _) => retries.reset = true,
                (Some("timeout"), _) => retries.timeout = true,
                (_, Some(status)) => retries.statuses.push(status),
                _ => {
                    let help =
                        String::from("`\"connect\"`, `\"reset\"`, `\"timeout\"`, or a status of 400 and more: `503`");
                    wrong(
                        &mut keys,
                        node.span,
                        String::from("this is nothing after which a request is sent again"),
                        help,
                    );
                }
            }
        }
    }
    for method in keys.texts("methods").unwrap_or_default() {
        match policy::settings::Method::parse(method.value) {
            Some(parsed) if parsed.0 != Method::CONNECT => retries.methods.push(parsed.0),
            _ => {
                let help = String::from("a method in capitals that this API may be asked twice: \"POST\"");
                wrong(&mut keys, method.span, format!("`{}` is no method", method.value), help);
            }
        }
    }
    super::super::finish(keys, diagnostics);
    retries
}
