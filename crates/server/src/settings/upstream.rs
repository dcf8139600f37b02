//! `[upstream.NAME]`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::Uri;
use policy::Diagnostics;
use policy::diagnostic::{Problem, codes};
use policy::reader::Keys;
use policy::settings::{FromOutside, Spanned};

use super::{Within, not_yet};
use crate::upstream::{Timeouts, UpstreamSettings};

/// Limits where the file names none. An upstream that is there connects in milliseconds; an answer may take its time.
const DEFAULT_TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(3), first_byte: Duration::from_secs(30), idle: Duration::from_secs(60) };

pub(super) fn read(within: Within<'_>, admin: SocketAddr, diagnostics: &mut Diagnostics) -> Option<UpstreamSettings> {
    let mut keys = Keys::new(within.file, within.table);
    let target = one_target(&mut keys, within);
    if let Some((span, host, port)) = target.as_ref().map(|t| (t.span, t.value.0.as_str(), t.value.1))
        && is_admin(host, port, admin)
    {
        let problem = Problem::error(codes::BAD_VALUE, "an upstream may not point at the admin address");
        let help = format!("the admin address is {admin}: policies must not reach it on anybody's behalf");
        keys.push(problem.with_help(help).at(keys.place_of(span)));
    }
    let timeouts = match keys.table("timeouts") {
        Some(table) => timeouts(within.inner(table.value), diagnostics),
        None => DEFAULT_TIMEOUTS,
    };
    for (name, instead) in [
        ("tls", "put a proxy that speaks TLS beside the gateway, or reach the upstream over a network that you trust"),
        ("balance", "put a load balancer behind the gateway: one target is all that this version has"),
        ("health", "the gateway tells an upstream's silence by its `timeouts`"),
    ] {
        if let Some(entry) = keys.entry(name) {
            keys.push(not_yet(&format!("`{name}` of an upstream"), instead).at(keys.place_of(entry.name_span)));
        }
    }
    super::finish(keys, diagnostics);
    let (host, port) = target?.value;
    Some(UpstreamSettings { host, port, timeouts })
}

fn one_target(keys: &mut Keys<'_>, within: Within<'_>) -> Option<Spanned<(String, u16)>> {
    let whole = keys.required("targets")?.span;
    let targets = keys.deserialize::<Vec<Spanned<FromOutside>>>("targets", within.outside)?;
    match targets.as_slice() {
        [] => {
            let problem = Problem::error(codes::BAD_VALUE, "an upstream needs a target");
            keys.push(problem.with_help("targets = [\"http://127.0.0.1:9001\"]").at(keys.place_of(whole)));
            None
        }
        // `check`, where the variable is not set: that was told.
        [one] if one.value.0.is_empty() && !within.outside.strict() => None,
        [one] => match target(&one.value.0) {
            Ok(target) => Some(Spanned::new(one.span, target)),
            Err(problem) => {
                keys.push(problem.at(keys.place_of(one.span)));
                None
            }
        },
        [_, second, ..] => {
            let instead = "name one target; a load balancer behind it can spread the requests";
            keys.push(not_yet("an upstream with several targets", instead).at(keys.place_of(second.span)));
            None
        }
    }
}

/// `http://HOST[:PORT]`, and no more.
pub(super) fn target(text: &str) -> Result<(String, u16), Problem> {
    let bad = |message: String| {
        Problem::error(codes::BAD_VALUE, message).with_help("scheme, host and port: \"http://127.0.0.1:9001\"")
    };
    let uri: Uri = text.parse().map_err(|_| bad(format!("`{text}` is no URL")))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => {
            let instead =
                "put a proxy that speaks TLS beside the gateway, or reach the upstream over a network that you trust";
            return Err(not_yet("an upstream over `https`", instead));
        }
        _ => return Err(bad(format!("`{text}` is no http URL"))),
    }
    if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err(bad(String::from("a target has no user name and password")));
    }
    if uri.path() != "/" || uri.query().is_some() || text.ends_with('/') {
        return Err(Problem::error(codes::BAD_VALUE, "a target has no path")
            .with_help("the path comes from the request; `proxy` can rewrite it (`rewrite`)"));
    }
    let host = uri.host().filter(|h| !h.is_empty()).ok_or_else(|| bad(format!("`{text}` names no host")))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    match uri.port_u16() {
        Some(0) => Err(bad(String::from("a target's port is not 0"))),
        Some(port) => Ok((host, port)),
        None if uri.authority().is_some_and(|a| a.as_str().ends_with(':')) => {
            Err(bad(format!("`{text}` lacks its port")))
        }
        None => Ok((host, 80)),
    }
}

/// Whether this host and port are the admin address, as far as can be told without asking the network.
pub(super) fn is_admin(host: &str, port: u16, admin: SocketAddr) -> bool {
    if port != admin.port() {
        return false;
    }
    let here = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    match host.parse::<IpAddr>() {
        Ok(ip) => ip == admin.ip() || (here(ip) && here(admin.ip())),
        Err(_) => host.eq_ignore_ascii_case("localhost") && here(admin.ip()),
    }
}

fn timeouts(within: Within<'_>, diagnostics: &mut Diagnostics) -> Timeouts {
    let mut keys = Keys::new(within.file, within.table);
    let mut get = |name, default| keys.duration(name).map_or(default, |d| d.value.0);
    let timeouts = Timeouts {
        connect: get("connect", DEFAULT_TIMEOUTS.connect),
        first_byte: get("first_byte", DEFAULT_TIMEOUTS.first_byte),
        idle: get("idle", DEFAULT_TIMEOUTS.idle),
    };
    if let Some(whole) = keys.entry("whole") {
        let instead = "`first_byte` and `idle` bound how long a silent upstream is waited for";
        keys.push(not_yet("`timeouts.whole`", instead).at(keys.place_of(whole.name_span)));
    }
    super::finish(keys, diagnostics);
    timeouts
}
