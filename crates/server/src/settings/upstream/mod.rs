//! `[upstream.NAME]`.

mod rules;
mod targets;
mod tls;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use policy::Diagnostics;
use policy::diagnostic::{Problem, Span, codes};
use policy::reader::{Keys, did_you_mean};

pub(super) use self::targets::{is_admin, url};
pub(super) use self::tls::authorities;
use super::Within;
use crate::upstream::{Balance, HttpVersion, Target, Timeouts, UpstreamSettings, Way};

pub(super) fn read(within: Within<'_>, admin: SocketAddr, diagnostics: &mut Diagnostics) -> Option<UpstreamSettings> {
    let mut keys = Keys::new(within.file, within.table);
    let targets = targets::read(&mut keys, within, admin, diagnostics);
    let http = choice(
        &mut keys,
        "http",
        "version",
        &[("1.1", HttpVersion::One), ("2", HttpVersion::Two), ("auto", HttpVersion::Auto)],
    );
    let secured = targets.as_ref().is_some_and(|all| all.iter().any(|target| target.url.tls));
    let tls = tls::read(&mut keys, within, targets.as_ref().map(|_| secured), diagnostics);
    let balance = choice(
        &mut keys,
        "balance",
        "way to choose a target",
        &[("least-requests", Balance::LeastRequests), ("round-robin", Balance::RoundRobin), ("hash", Balance::Hash)],
    );
    let second = Duration::from_secs(1);
    let look_up = duration(&mut keys, "look_up", 30 * second, second..=3_600 * second);
    let slow_start = duration(&mut keys, "slow_start", Duration::ZERO, second / 100..=3_600 * second);
    let timeouts = match keys.table("timeouts") {
        Some(table) => timeouts(within.inner(table.value), diagnostics),
        None => Timeouts::default(),
    };
    let limits = keys.table("limits").map(|table| rules::limits(within.inner(table.value), diagnostics));
    let health = keys.table("health").map(|table| rules::health(within.inner(table.value), diagnostics));
    let ejection = keys.table("eject").map(|table| rules::ejection(within.inner(table.value), diagnostics));
    let retries = keys.table("retries").map(|table| rules::retries(within.inner(table.value), diagnostics));
    super::finish(keys, diagnostics);
    let http = http.unwrap_or_default();
    let plain = Arc::new(Way { http, tls: None });
    let secure = Arc::new(Way { http, tls: Some(tls.unwrap_or_default()) });
    let target = |target: targets::Given| Target {
        way: if target.url.tls { secure.clone() } else { plain.clone() },
        host: target.url.host,
        port: target.url.port,
        weight: target.weight,
    };
    Some(UpstreamSettings {
        targets: targets?.into_iter().map(target).collect(),
        balance: balance.unwrap_or_default(),
        look_up,
        timeouts,
        limits: limits.unwrap_or_default(),
        health: health.flatten(),
        ejection: ejection.unwrap_or_default(),
        slow_start,
        retries: retries.unwrap_or_default(),
        admin: Some(admin),
    })
}

/// One of some words.
fn choice<'a, T: Copy>(keys: &mut Keys<'a>, name: &'a str, what: &str, words: &[(&str, T)]) -> Option<T> {
    let given = keys.text(name)?;
    let found = words.iter().find(|(word, _)| *word == given.value).map(|(_, value)| *value);
    if found.is_none() {
        let near = did_you_mean(given.value, words.iter().map(|(word, _)| *word));
        let all = || words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let help = near.map_or_else(all, |near| format!("did you mean `{near}`?"));
        wrong(keys, given.span, format!("`{}` is no {what}", given.value), help);
    }
    found
}

/// A whole number within bounds.
fn number<'a>(keys: &mut Keys<'a>, name: &'a str, default: u32, bounds: RangeInclusive<u32>) -> u32 {
    let Some(given) = keys.int(name) else { return default };
    match u32::try_from(given.value).ok().filter(|number| bounds.contains(number)) {
        Some(number) => number,
        None => {
            let help = format!("from {} to {}", bounds.start(), bounds.end());
            wrong(keys, given.span, format!("`{name}` is out of its bounds"), help);
            default
        }
    }
}

/// A duration within bounds.
fn duration<'a>(keys: &mut Keys<'a>, name: &'a str, default: Duration, bounds: RangeInclusive<Duration>) -> Duration {
    let Some(given) = keys.duration(name) else { return default };
    if !bounds.contains(&given.value.0) {
        let help = format!("from {:?} to {:?}", bounds.start(), bounds.end());
        wrong(keys, given.span, format!("`{name}` is out of its bounds"), help);
    }
    given.value.0
}

/// A percentage: `"20%"`.
fn percent<'a>(keys: &mut Keys<'a>, name: &'a str, default: u32) -> u32 {
    let Some(given) = keys.text(name) else { return default };
    let number = given.value.strip_suffix('%').and_then(|number| number.parse().ok());
    match number.filter(|number| (0..=100).contains(number)) {
        Some(number) => number,
        None => {
            wrong(keys, given.span, format!("`{name}` is no percentage"), String::from("from \"0%\" to \"100%\""));
            default
        }
    }
}

fn wrong(keys: &mut Keys<'_>, span: Span, message: String, help: String) {
    let problem = Problem::error(codes::BAD_VALUE, message).with_help(help);
    keys.push(problem.at(keys.place_of(span)));
}

fn timeouts(within: Within<'_>, diagnostics: &mut Diagnostics) -> Timeouts {
    let (mut keys, default) = (Keys::new(within.file, within.table), Timeouts::default());
    let mut get = |name, default| keys.duration(name).map_or(default, |d| d.value.0);
    let timeouts = Timeouts {
        connect: get("connect", default.connect),
        first_byte: get("first_byte", default.first_byte),
        idle: get("idle", default.idle),
        whole: None,
    };
    let whole = keys.duration("whole");
    if let Some(whole) = &whole
        && whole.value.0.is_zero()
    {
        wrong(
            &mut keys,
            whole.span,
            String::from("`whole` is out of its bounds"),
            String::from("leave it out for no bound"),
        );
    }
    super::finish(keys, diagnostics);
    Timeouts { whole: whole.map(|whole| whole.value.0), ..timeouts }
}
