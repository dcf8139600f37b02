//! Before a source is used: is the server one that can be, is its schema ours, and may we do what the verbs do? And its health.

use std::sync::atomic::Ordering;

use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::time::Instant;

use super::answer::{array, text};
use super::error::{CLUSTER, explain};
use super::script::{Again, Keys, Scripts};
use super::{Redis, answer, script};
use crate::migration::{self, newest};
use crate::source::{Health, Row, StoreError, Table};

/// The oldest server, as Redis counts: scripts that say what they do, and whose effects are one transaction, came with it.
const OLDEST: u32 = 7;

/// A table of nobody's, on which the rights are tried.
static TRIAL: Table = Table { name: "trial", indexes: &["value"] };

/// Opening a source.
pub(super) struct Opening<'a> {
    pub(super) source: &'a Redis,
    pub(super) deadline: Instant,
}

impl Opening<'_> {
    pub(super) async fn run(&self) -> Result<(), StoreError> {
        let title = &self.source.title;
        let info = self.text(redis::cmd("INFO")).await?;
        check(title, &info)?;
        match value(&info, "aof_enabled") {
            Some("1") => self.look_at_fsync().await,
            Some("0") => tracing::warn!(
                "{title}: appendonly is off on the server: when it crashes, it loses all that was answered since its last snapshot"
            ),
            _ => {}
        }
        self.check_keys().await?;
        self.migrate().await?;
        self.try_rights().await
    }

    async fn ask(&self, command: redis::Cmd) -> Result<Value, StoreError> {
        // All that is asked here may be asked twice.
        self.source.command(&command, Again::Yes, self.deadline).await
    }

    async fn text(&self, command: redis::Cmd) -> Result<String, StoreError> {
        text(self.ask(command).await?).flatten().ok_or_else(|| self.source.unreadable())
    }

    /// Where CONFIG may not be used, nothing is said.
    async fn look_at_fsync(&self) {
        let mut get = redis::cmd("CONFIG");
        get.arg("GET").arg("appendfsync");
        let told = self.ask(get).await.ok().and_then(array).and_then(|mut told| text(told.pop()?)?);
        if told.is_some_and(|told| told != "always") {
            tracing::warn!(
                "{}: appendfsync is not `always` on the server: it may lose the last second of what was answered when it crashes",
                self.source.title
            );
        }
    }

    /// The keys of every table are on this server, and of the type that ours have.
    async fn check_keys(&self) -> Result<(), StoreError> {
        for (keys, _) in &self.source.tables {
            for key in [&keys.rows, &keys.expiry] {
                let mut get = redis::cmd("TYPE");
                get.arg(key);
                let found = self.text(get).await.map_err(|error| match error {
                    StoreError::Unavailable(why) if why.contains(CLUSTER) => StoreError::Broken(why),
                    error => error,
                })?;
                if !matches!(found.as_str(), "none" | "zset") {
                    return Err(self.source.title.broken(&format!(
                        "the key {key} is a {found} and not ours: choose another prefix, or another database"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Notes the versions of the schema that are missing; several nodes may do so at once.
    async fn migrate(&self) -> Result<(), StoreError> {
        let known = migration::parse(migration::REDIS);
        let key = schema_key(&self.source.prefix);
        let mut get = redis::cmd("HGETALL");
        get.arg(&key);
        let applied = applied(self.ask(get).await?).ok_or_else(|| self.source.unreadable())?;
        for migration in migration::missing(&self.source.title, &known, &applied)? {
            let mut set = redis::cmd("HSETNX");
            set.arg(&key).arg(migration.version).arg(migration.readable_by);
            self.ask(set).await?;
            tracing::info!("{}: schema migrated to version {}", self.source.title, migration.version);
        }
        Ok(())
    }

    /// Writes a row on a table of nobody's and deletes it, by the scripts that the verbs use: so a right that lacks, a replica and a
    /// full memory are found now, and not in the middle of a request. It goes by itself where the node ends in between.
    async fn try_rights(&self) -> Result<(), StoreError> {
        let (keys, scripts) = (Keys::new(&self.source.prefix, TRIAL.name), Scripts::new(&TRIAL));
        let row = Row {
            key: b"trial".to_vec(),
            version: 1,
            expires_at: Some(0),
            indexes: vec![Some("trial".to_owned())],
            record: "{}".to_owned(),
        };
        let values = script::values(&row, 1);
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let run = async |script, values: &[&[u8]]| self.source.run_until(self.deadline, script, &keys, values).await;
        // What a trial left that failed half-way.
        run(&scripts.take, &[&row.key]).await?;
        run(&scripts.insert, &values).await?;
        run(&scripts.find, &[b"1", b"trial", b"-", b"1"]).await?;
        let taken = run(&scripts.take, &[&row.key]).await?;
        run(&scripts.remove, &[b"1", b"trial", b"1"]).await?;
        run(&scripts.sweep, &[b"1", b"1"]).await?;
        // Another node may have taken it first: then there is none, and that is as good.
        answer::fields(&row.key, taken).ok_or_else(|| self.source.unreadable()).map(drop)
    }
}

/// Whether a server can be used, by what `INFO` says.
fn check(title: &str, info: &str) -> Result<(), StoreError> {
    let broken = |why: String| Err(StoreError::Broken(format!("{title}: {why}")));
    let Some(version) = value(info, "redis_version") else {
        return broken("the server does not say its version: is it Redis or Valkey?".to_owned());
    };
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < OLDEST {
        return broken(format!("{} is too old: Redis {OLDEST}.0 or later is needed, or Valkey", name(info)));
    }
    if value(info, "loading") == Some("1") {
        return Err(StoreError::Unavailable(format!("{title}: the server is still loading its data")));
    }
    match value(info, "maxmemory_policy") {
        Some("noeviction") => {}
        Some(policy) => {
            return broken(format!(
                "its maxmemory-policy is {policy}: it would throw tokens and clients away when memory is full. Set \
                 `maxmemory-policy noeviction` in its configuration, or use a server that is no cache"
            ));
        }
        None => return broken("the server does not say its maxmemory-policy, which must be noeviction".to_owned()),
    }
    Ok(())
}

/// Asks whether a server is a primary.
pub(super) async fn ask_role(title: &str, connection: &mut MultiplexedConnection) -> Result<(), StoreError> {
    let mut ask = redis::cmd("INFO");
    ask.arg("replication");
    let info = ask.query_async::<String>(connection).await.map_err(|error| explain(title, &error))?;
    check_role(title, &info)
}

/// Whether a server is a primary, by what `INFO replication` says.
fn check_role(title: &str, info: &str) -> Result<(), StoreError> {
    match value(info, "role") {
        Some("master") => Ok(()),
        _ => Err(StoreError::Unavailable(format!(
            "{title}: the server is a replica, which only reads; name the primary in the url"
        ))),
    }
}

/// A line of `INFO`.
fn value<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
}

/// `Redis 7.0.15`, `Valkey 9.1.2`. Valkey says a version of Redis too, for programs that look at it.
fn name(info: &str) -> String {
    match (value(info, "valkey_version"), value(info, "redis_version")) {
        (Some(version), _) => format!("Valkey {version}"),
        (None, version) => format!("Redis {}", version.unwrap_or("of no version")),
    }
}

/// The key of the schema: a hash, from version to the oldest program that works with it.
pub(super) fn schema_key(prefix: &str) -> String {
    format!("{{{prefix}:schema}}")
}

/// The versions that a schema notes.
fn applied(told: Value) -> Option<Vec<(u32, u32)>> {
    let numbers = array(told)?.into_iter().map(|told| text(told)??.parse().ok());
    let numbers: Vec<u32> = numbers.collect::<Option<_>>()?;
    Some(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

/// Version, schema and clock.
pub(super) async fn health(source: &Redis) -> Result<Health, StoreError> {
    let deadline = source.looking()?;
    let mut schema = redis::cmd("HGETALL");
    schema.arg(schema_key(&source.prefix));
    let info = redis::cmd("INFO");
    let ask = async |command| source.command(command, Again::Yes, deadline).await;
    let (info, schema, time) = (ask(&info).await?, ask(&schema).await?, ask(&redis::cmd("TIME")).await?);
    // Somebody may have changed its settings since it was opened: one that evicts would take away that a client was revoked.
    let info = text(info).flatten().ok_or_else(|| source.unreadable())?;
    let fit = check(&source.title, &info);
    source.fit.store(fit.is_ok(), Ordering::Release);
    fit?;
    let read = || {
        let version = name(&info);
        let (schema, readable_by) = newest(&applied(schema)?);
        let mut time = array(time)?.into_iter().map(|told| text(told)??.parse::<i64>().ok());
        let unix_millis = time.next()?? * 1000 + time.next()?? / 1000;
        Some(Health { version, schema, readable_by, unix_millis: Some(unix_millis) })
    };
    read().ok_or_else(|| source.unreadable())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIT: &str = "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\nloading:0\r\nrole:master\r\n\
                       maxmemory_policy:noeviction\r\naof_enabled:1\r\n";

    #[test]
    fn a_server_that_cannot_be_used_is_refused_with_the_remedy() {
        assert_eq!(check("s", FIT), Ok(()));
        assert_eq!(name(FIT), "Valkey 9.1.2");
        for (from, to, broken, why) in [
            ("redis_version:7.2.4", "redis_version:6.2.21", true, "too old"),
            ("redis_version:7.2.4", "x:1", true, "is it Redis or Valkey?"),
            ("noeviction", "allkeys-lru", true, "maxmemory-policy is allkeys-lru"),
            ("noeviction", "volatile-ttl", true, "maxmemory-policy noeviction"),
            ("maxmemory_policy:noeviction", "x:1", true, "does not say its maxmemory-policy"),
            ("loading:0", "loading:1", false, "loading"),
        ] {
            let error = check("s", &FIT.replace(from, to)).unwrap_err();
            assert_eq!(matches!(error, StoreError::Broken(_)), broken, "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn a_replica_is_told_from_a_primary() {
        assert_eq!(check_role("s", FIT), Ok(()));
        for role in ["role:slave", "role:", "x:1"] {
            let error = check_role("s", &FIT.replace("role:master", role)).unwrap_err();
            assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("name the primary")), "{error}");
        }
    }
}
