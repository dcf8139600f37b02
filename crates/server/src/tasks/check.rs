//! `store check`: one source, looked at from all sides.

use std::time::Duration;

use policy::ports::Environment;
use store::guard::Guarded;
use store::source::{Health, Row, probe};
use store::tables::{ALL, LEASE};
use store::{DataSource, StoreError};

use crate::admin::api::{SourceCheck, SourceLine};

/// Clocks that differ by more make tokens expire at the wrong time.
const SKEW: Duration = Duration::from_secs(2);

/// Round trips that are measured.
const ROUNDS: usize = 5;

/// A source this far away makes every request wait.
const FAR: Duration = Duration::from_millis(20);

/// Everything that can be told about a source: a line each.
pub(crate) async fn check_source(source: &Guarded, kind: &str, environment: &Environment) -> SourceCheck {
    let mut lines = Vec::new();
    look(source, environment, &mut lines).await;
    SourceCheck { source: source.name().to_owned(), kind: kind.to_owned(), ok: lines.iter().all(|line| line.ok), lines }
}

async fn look(source: &Guarded, environment: &Environment, lines: &mut Vec<SourceLine>) {
    if !source.prepared()
        && let Err(why) = source.prepare().await
    {
        return lines.push(bad("connects", why.to_string(), remedy(&why)));
    }
    let health = match source.health().await {
        Ok(health) => health,
        Err(why) => return lines.push(bad("connects", why.to_string(), remedy(&why))),
    };
    lines.push(good("connects", "yes"));
    lines.push(good("version", health.version.clone()));
    lines.push(good("schema", format!("version {}", health.schema)));
    lines.push(match rights(source, environment).await {
        Ok(()) if source.capabilities().read_only => good("rights", "reads; people write it"),
        Ok(()) => good("rights", "reads and writes"),
        Err(why) => {
            let help = match why {
                StoreError::Unavailable(_) => "its server cannot do that for now: its log, and its settings, say why",
                StoreError::Broken(_) => "the user must be allowed SELECT, INSERT, UPDATE and DELETE on the tables",
            };
            bad("rights", why.to_string(), help)
        }
    });
    lines.push(tables(source).await);
    lines.extend(clock(&health, environment));
    lines.push(round_trip(source, environment).await);
}

/// Writes a row that means nothing, changes it, and takes it away; where nothing can be written, there is nothing to try.
async fn rights(source: &Guarded, environment: &Environment) -> Result<(), StoreError> {
    if source.capabilities().read_only {
        return Ok(());
    }
    let mut random = [0; 8];
    environment.random.fill(&mut random);
    let key = format!("check-{:016x}", u64::from_ne_bytes(random)).into_bytes();
    let soon = i64::try_from(environment.clock.unix_millis() / 1_000).unwrap_or(0) + 60;
    let row =
        Row { key: key.clone(), version: 1, expires_at: Some(soon), indexes: Vec::new(), record: String::from("{}") };
    source.insert(&LEASE, row.clone()).await?;
    let replaced = source.replace(&LEASE, row, 1).await?;
    let taken = source.take(&LEASE, &key).await?.is_some();
    match replaced && taken {
        true => Ok(()),
        false => Err(StoreError::Broken(String::from("a row that was just written is not there"))),
    }
}

/// Whether every table can be read.
async fn tables(source: &Guarded) -> SourceLine {
    for table in ALL {
        if let Err(why) = probe(source, table).await {
            return bad("tables", why.to_string(), "restore it from a backup; its schema makes an empty one");
        }
    }
    good("tables", format!("{} can be read", ALL.len()))
}

fn clock(health: &Health, environment: &Environment) -> Option<SourceLine> {
    let theirs = health.unix_millis?;
    let ours = i64::try_from(environment.clock.unix_millis()).unwrap_or(i64::MAX);
    let difference = Duration::from_millis(theirs.abs_diff(ours));
    let found = format!("differs by {} ms", difference.as_millis());
    Some(match difference <= SKEW {
        true => good("clock", found),
        false => bad("clock", found, "let both machines keep time by NTP"),
    })
}

async fn round_trip(source: &Guarded, environment: &Environment) -> SourceLine {
    let mut took = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let began = environment.clock.monotonic_nanos();
        if let Err(why) = source.get(&LEASE, b"check").await {
            return bad("round trip", why.to_string(), remedy(&why));
        }
        took.push(Duration::from_nanos(environment.clock.monotonic_nanos().saturating_sub(began)));
    }
    took.sort();
    let middle = took[ROUNDS / 2];
    let found = format!("{} us", middle.as_micros());
    if middle <= FAR {
        return good("round trip", found);
    }
    // Slow is no failure: it is said, with what would help, and the exit code stays that of a source that works.
    let remedy = "bring the source nearer to the node: every token costs at least one round trip";
    SourceLine { remedy: Some(remedy.to_owned()), ..good("round trip", format!("{found}: slow")) }
}

fn remedy(why: &StoreError) -> &'static str {
    match why {
        StoreError::Unavailable(_) => {
            "is it running, reachable from here, and does it let us in? see its settings in stores/stores.toml"
        }
        StoreError::Broken(_) => "see its settings in stores/stores.toml, and the rights that it gives",
    }
}

fn good(what: &str, found: impl Into<String>) -> SourceLine {
    SourceLine { what: what.to_owned(), ok: true, found: found.into(), remedy: None }
}

fn bad(what: &str, found: impl Into<String>, remedy: &str) -> SourceLine {
    SourceLine { what: what.to_owned(), ok: false, found: found.into(), remedy: Some(remedy.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_source_that_is_well() {
        let source = Guarded::new("memory", Arc::new(store::sources::memory::Memory::new()));
        let check = check_source(&source, "memory", &crate::clock::environment()).await;
        assert!(check.ok, "{check:?}");
        let what: Vec<_> = check.lines.iter().map(|line| line.what.as_str()).collect();
        assert_eq!(what[..4], ["connects", "version", "schema", "rights"]);
        assert!(source.list(&LEASE, None, 10).await.unwrap().is_empty(), "nothing is left behind");
    }
}
