//! Redis or Valkey: a server that several nodes share. OAG: none, its caches were Ehcache or Cassandra.
//!
//! A row is a hash; beside it sorted sets keep the keys of a table and of each index value in order, and the expiries. Every verb
//! that touches more than the hash is one Lua script (`script.rs`), which the server runs whole and alone. All keys of a table
//! carry one hash tag. Nothing is sent twice that could be applied twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::{Cmd, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use tokio::time::{Instant, timeout_at};

use crate::codec::name;
use crate::source::{Capabilities, DataSource, Health, Row, StoreError, Table, Verb};
use crate::sources::title::Title;
use crate::tables;
use crate::watch::Watcher;

mod answer;
mod changes;
mod error;
mod link;
mod script;
mod server;
#[cfg(test)]
mod tests;
mod url;

use changes::Listener;
use error::explain;
use link::Link;
use script::{Again, Keys, Script, Scripts};
pub use url::Url;

/// `[source.NAME] type = "redis"`: Redis 7 or later, Valkey.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where it is, a secret: `{ env = "REDIS_URL" }` holding `redis://user:password@host:6379/0`; the number is that of the
    /// database. `unix:///path/to/redis.sock?db=0&user=...&pass=...` goes over a Unix socket.
    pub url: Url,
    /// What the names of all keys begin with, 1 to 64 of `A-Z a-z 0-9 . _ -`. Two gateways that share a server have different ones.
    #[serde(default = "portcullis", deserialize_with = "prefix")]
    #[schemars(length(min = 1, max = 64))]
    pub prefix: String,
    /// How long connecting and logging in may take, 100ms to 3s.
    #[serde(default = "two_seconds", deserialize_with = "timeout")]
    #[schemars(with = "Option<String>", extend("default" = "2s"))]
    pub connect_timeout: Duration,
    /// How long an answer may take, with the wait for a connection, 100ms to 3s.
    #[serde(default = "three_seconds", deserialize_with = "timeout")]
    #[schemars(with = "Option<String>", extend("default" = "3s"))]
    pub command_timeout: Duration,
}

fn portcullis() -> String {
    "portcullis".to_owned()
}

fn two_seconds() -> Duration {
    Duration::from_secs(2)
}

/// Less than the guard above allows, so that what is told is what was late.
fn three_seconds() -> Duration {
    Duration::from_secs(3)
}

/// No braces above all: they would make a hash tag of their own. The characters need no quoting in a pattern of an ACL.
fn prefix<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    let prefix = String::deserialize(d)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match (1..=64).contains(&prefix.len()) && prefix.chars().all(allowed) {
        true => Ok(prefix),
        false => Err(serde::de::Error::custom("`prefix` must be 1 to 64 characters of A-Z a-z 0-9 . _ -")),
    }
}

fn timeout<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(d)?;
    match humantime::parse_duration(&text) {
        Ok(time) if (Duration::from_millis(100)..=three_seconds()).contains(&time) => Ok(time),
        Ok(_) => Err(serde::de::Error::custom("a timeout must be from 100ms to 3s: a request waits no longer")),
        Err(_) => Err(serde::de::Error::custom("a duration such as \"500ms\" or \"2s\" is expected")),
    }
}

impl Settings {
    /// Whether both mean the same keys: another user, password or time limit changes nothing about that.
    pub fn same_place(&self, other: &Settings) -> bool {
        match (self.url.parse(), other.url.parse()) {
            (Ok(this), Ok(other_url)) => this.place() == other_url.place() && self.prefix == other.prefix,
            _ => self == other,
        }
    }
}

/// How long opening may take.
const OPENING: Duration = Duration::from_secs(10);

/// Rows that one script touches at most. The server does nothing else meanwhile: 500 rows are two to three milliseconds.
const CHUNK: usize = 500;

/// A data source on a Redis or Valkey server.
pub struct Redis {
    /// Its name in the mapping, for logs; errors are given it by who is told them.
    name: String,
    /// `Redis 10.0.0.7:6379/0`, for messages.
    title: Title,
    /// The connection, or why the settings cannot work.
    link: Result<Link, StoreError>,
    limit: Duration,
    /// By [`tables::position`].
    tables: Vec<(Keys, Scripts)>,
    prefix: String,
    /// Set once `prepare` succeeded.
    ready: AtomicBool,
    /// Whether the server could be relied on when it was looked at last.
    fit: AtomicBool,
    /// Whether what is sent leaves this machine, in clear.
    in_clear: bool,
    /// Hears of changes.
    listener: Arc<Listener>,
}

/// Makes the source, without any I/O.
pub fn build(name: &str, settings: &Settings) -> Arc<dyn DataSource> {
    Arc::new(Redis::new(name, settings))
}

impl Redis {
    /// Makes it, without any I/O.
    pub fn new(name: &str, settings: &Settings) -> Self {
        let place = settings.url.parse();
        let listener = Listener::new(name, &place, &settings.prefix);
        let (title, in_clear, link) = match place {
            Ok(place) => {
                let title = format!("Redis {place}");
                let in_clear = place.leaves_this_machine();
                (title.clone(), in_clear, Link::new(place, title, settings.connect_timeout))
            }
            Err(why) => ("Redis".to_owned(), false, Err(StoreError::Broken(why))),
        };
        Redis {
            name: name.to_owned(),
            title: title.into(),
            link,
            limit: settings.command_timeout,
            tables: tables::ALL
                .iter()
                .map(|table| (Keys::new(&settings.prefix, table.name), Scripts::new(table)))
                .collect(),
            prefix: settings.prefix.clone(),
            ready: AtomicBool::new(false),
            fit: AtomicBool::new(true),
            in_clear,
            listener,
        }
    }

    fn table(&self, table: &'static Table) -> Result<&(Keys, Scripts), StoreError> {
        self.title.of(&self.tables, table)
    }

    /// A table by one of its indexes; its column.
    fn indexed(&self, table: &'static Table, index: usize) -> Result<(&Keys, &Scripts, &'static str), StoreError> {
        let (keys, scripts) = self.table(table)?;
        Ok((keys, scripts, *self.title.by(table.indexes, table, index)?))
    }

    /// Connects, checks, notes the schema's version.
    async fn open(&self) -> Result<(), StoreError> {
        let opening = server::Opening { source: self, deadline: Instant::now() + OPENING };
        opening.run().await?;
        let before = self.ready.swap(true, Ordering::Release);
        if self.in_clear && !before {
            tracing::warn!(source = self.name, "records and the password go to {} in clear", self.title);
        }
        Ok(())
    }

    fn deadline(&self) -> Result<Instant, StoreError> {
        let deadline = self.looking()?;
        match self.fit.load(Ordering::Acquire) {
            true => Ok(deadline),
            false => Err(self.title.unavailable(
                "the server's settings were changed, and it cannot be relied on: `portcullis store check` says what is wrong",
            )),
        }
    }

    /// The same for a look at whether it fits.
    fn looking(&self) -> Result<Instant, StoreError> {
        match self.ready.load(Ordering::Acquire) {
            true => Ok(Instant::now() + self.limit),
            false => Err(self.title.unavailable("not opened yet")),
        }
    }

    /// Runs a script: by its hash, or where the server does not know it (a restart, a fail-over) with its text. A server that
    /// does not know it has run nothing.
    async fn run(&self, script: &Script, keys: &Keys, values: &[&[u8]]) -> Result<Value, StoreError> {
        let deadline = self.deadline()?;
        self.run_until(deadline, script, keys, values).await
    }

    async fn run_until(
        &self,
        deadline: Instant,
        script: &Script,
        keys: &Keys,
        values: &[&[u8]],
    ) -> Result<Value, StoreError> {
        let call = |verb: &str, script: &str| {
            let mut call = redis::cmd(verb);
            call.arg(script).arg(2).arg(&keys.rows).arg(&keys.expiry).arg(&keys.base);
            for value in values {
                call.arg(*value);
            }
            call
        };
        match self.ask(&call("EVALSHA", script.hash()), script.again, deadline).await {
            Err(Failure::UnknownScript) => self.ask(&call("EVAL", script.text()), script.again, deadline).await,
            answer => answer,
        }
        .map_err(|failure| failure.into_error(&self.title))
    }

    /// Sends a command. Only reads are sent a second time, over a new connection, where the one they were sent over was lost.
    async fn ask(&self, command: &Cmd, again: Again, deadline: Instant) -> Result<Value, Failure> {
        let link = self.link.as_ref().map_err(|why| Failure::Told(why.clone()))?;
        let mut again = again == Again::Yes;
        loop {
            let (number, mut connection) = link.connection(deadline).await.map_err(Failure::Told)?;
            let Ok(answer) = timeout_at(deadline, command.query_async::<Value>(&mut connection)).await else {
                link.lose(number);
                return Err(Failure::Told(self.title.unavailable("no answer in time (command_timeout)")));
            };
            let error = match answer {
                Ok(value) => return Ok(value),
                Err(error) if error::is_unknown_script(&error) => return Err(Failure::UnknownScript),
                Err(error) => error,
            };
            let lost = error::is_lost(&error);
            if lost || error::is_stale(&error) {
                link.lose(number);
            }
            if !(lost && std::mem::take(&mut again)) {
                return Err(Failure::Told(explain(&self.title, &error)));
            }
        }
    }

    async fn command(&self, command: &Cmd, again: Again, deadline: Instant) -> Result<Value, StoreError> {
        self.ask(command, again, deadline).await.map_err(|failure| failure.into_error(&self.title))
    }

    /// The rows of a set, from its page after `after` on, at most `limit`: as many scripts as it takes, since one looks at a
    /// bounded number of keys, and rows that have expired by themselves are passed over.
    async fn page(
        &self,
        keys: &Keys,
        script: &Script,
        index: [&[u8]; 2],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        let mut after = after.map(<[u8]>::to_vec);
        while rows.len() < limit {
            let from = after.as_ref().map_or_else(|| b"-".to_vec(), |key| [b"(", key.as_slice()].concat());
            let count = (limit - rows.len()).min(CHUNK).to_string();
            let answer = self.run(script, keys, &[index[0], index[1], &from, count.as_bytes()]).await?;
            let page = answer::page(answer).ok_or_else(|| self.unreadable())?;
            rows.extend(page.rows);
            match page.more {
                true => after = Some(page.last),
                false => break,
            }
        }
        Ok(rows)
    }

    /// Deletes by a script that answers how many it deleted and whether there may be more, at most `limit`. Each script is
    /// whole; where a later one fails, what the earlier ones deleted stays so.
    async fn delete(&self, keys: &Keys, script: &Script, values: &[&[u8]], limit: usize) -> Result<u64, StoreError> {
        let mut deleted = 0;
        while deleted < limit {
            let count = (limit - deleted).min(CHUNK).to_string();
            let answer = self.run(script, keys, &[values, &[count.as_bytes()]].concat()).await?;
            let (count, more) = answer::deleted(&answer).ok_or_else(|| self.unreadable())?;
            deleted += count;
            if !more {
                break;
            }
        }
        Ok(deleted as u64)
    }

    /// Writes by a script that answers 1 where it wrote.
    async fn write(
        &self,
        script: &Script,
        keys: &Keys,
        row: &Row,
        version: i64,
        head: &[&[u8]],
    ) -> Result<bool, StoreError> {
        let values = script::values(row, version);
        let values: Vec<&[u8]> = head.iter().copied().chain(values.iter().map(Vec::as_slice)).collect();
        match self.run(script, keys, &values).await? {
            Value::Int(wrote) => Ok(wrote == 1),
            _ => Err(self.unreadable()),
        }
    }

    fn unreadable(&self) -> StoreError {
        self.title.broken("holds something else than a row of ours: another program writes keys with this prefix")
    }
}

/// Why a command was not carried out, or is not known to have been.
enum Failure {
    /// The server knows no script with this hash.
    UnknownScript,
    Told(StoreError),
}

impl Failure {
    fn into_error(self, title: &str) -> StoreError {
        match self {
            Failure::Told(error) => error,
            Failure::UnknownScript => {
                StoreError::Unavailable(format!("{title}: the server lost a script while it ran"))
            }
        }
    }
}

impl DataSource for Redis {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: true,
            // Rows do, an hour late; their entries in the indexes do not, which the purge takes.
            ttl: false,
            strong_read: true,
            push: true,
            read_only: false,
            node_local: false,
        }
    }

    fn prepare(&self) -> Verb<'_, ()> {
        Box::pin(self.open())
    }

    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move {
            let (keys, _) = self.table(table)?;
            let mut get = redis::cmd("HMGET");
            get.arg(keys.row(key)).arg(&script::FIELDS).arg(table.indexes);
            let answer = self.command(&get, Again::Yes, self.deadline()?).await?;
            answer::fields(key, answer).ok_or_else(|| {
                self.title.broken(&format!(
                    "a row of table {} is none of ours: it was written by something else, by hand perhaps (SHA-256 of its key: {})",
                    table.name,
                    name(key)
                ))
            })
        })
    }

    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        Box::pin(async move {
            let (keys, scripts) = self.table(table)?;
            self.title.check_indexes(table, &row)?;
            self.write(&scripts.insert, keys, &row, row.version, &[]).await
        })
    }

    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        Box::pin(async move {
            let (keys, scripts) = self.table(table)?;
            self.title.check_indexes(table, &row)?;
            let next =
                expected.checked_add(1).ok_or_else(|| self.title.broken("a row has the last version there is"))?;
            self.write(&scripts.replace, keys, &row, next, &[expected.to_string().as_bytes()]).await
        })
    }

    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move {
            let (keys, scripts) = self.table(table)?;
            let answer = self.run(&scripts.take, keys, &[key]).await?;
            answer::fields(key, answer).ok_or_else(|| self.unreadable())
        })
    }

    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        Box::pin(async move {
            let (keys, scripts, _) = self.indexed(table, index)?;
            let number = (index + 1).to_string();
            self.page(keys, &scripts.find, [number.as_bytes(), value.as_bytes()], after, limit).await
        })
    }

    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        Box::pin(async move {
            let (keys, scripts) = self.table(table)?;
            self.page(keys, &scripts.find, [b"", b""], after, limit).await
        })
    }

    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        Box::pin(async move {
            let (keys, scripts, _) = self.indexed(table, index)?;
            let number = (index + 1).to_string();
            self.delete(keys, &scripts.remove, &[number.as_bytes(), value.as_bytes()], limit).await
        })
    }

    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        Box::pin(async move {
            let (keys, scripts) = self.table(table)?;
            self.delete(keys, &scripts.sweep, &[&script::score(before)], limit).await
        })
    }

    fn health(&self) -> Verb<'_, Health> {
        Box::pin(server::health(self))
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) -> bool {
        self.listener.watch(watcher);
        true
    }
}
