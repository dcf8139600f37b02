//! MariaDB and MySQL: a server that several nodes share. OAG: a database connection behind the OAuth2 stores.
//!
//! Each verb is one statement and commits by itself (but for `take` on MySQL, see `statement.rs`). A statement has three seconds, and
//! runs in a task of its own to its end, so that a caller who goes away leaves no connection in the middle of an answer; nothing is
//! sent twice that could be applied twice.

#![allow(
    clippy::disallowed_methods,
    reason = "the tasks of this source: statements, which may outlive their callers by seconds"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mysql_async::Value;
use mysql_async::prelude::FromValue;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use tokio::time::{Instant, timeout_at};

use crate::foreign::{self, Dialect, ForeignTables, Query};
use crate::source::{Capabilities, DataSource, Health, Row, StoreError, Table, Verb};
use crate::sources::title::Title;
use crate::tables;

mod error;
mod exchange;
mod pool;
mod schema;
mod session;
mod statement;
#[cfg(test)]
mod tests;
mod url;

use pool::Pool;
use session::{Reply, Server};
use statement::{Statement, Statements};
pub use url::Url;

/// `[source.NAME] type = "mysql"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where it is, a secret: `{ env = "OAUTH_DB_URL" }` holding `mysql://user:password@host:3306/database`; for a Unix socket
    /// `mysql://user:password@localhost/database?socket=/run/mysqld/mysqld.sock`.
    pub url: Url,
    /// The most connections that this node opens. All nodes' together must stay below the server's
    /// `max_connections`.
    #[serde(default = "sixteen", deserialize_with = "connections")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_connections: u32,
}

fn sixteen() -> u32 {
    16
}

fn connections<'de, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    match u32::deserialize(d)? {
        n @ 1..=1000 => Ok(n),
        n => Err(serde::de::Error::custom(format!("max_connections is {n}; it must be from 1 to 1000"))),
    }
}

/// How long a verb may take, with the wait for a connection: less than the guard above allows, since what ends here ends with its
/// connection closed.
const LIMIT: Duration = Duration::from_secs(3);

/// What a key may have, in bytes, and an index column, in characters: an index over both stays below InnoDB's 3072 bytes.
const LONGEST: usize = 512;

impl Settings {
    /// Whether both mean the same tables: another user, another password or other limits change nothing about that.
    pub fn same_place(&self, other: &Settings) -> bool {
        match (self.url.parse(), other.url.parse()) {
            (Ok(this), Ok(other)) => url::address(&this) == url::address(&other),
            _ => self == other,
        }
    }
}

/// A data source on a MariaDB or MySQL server.
pub struct Mysql {
    /// Its name in the mapping, for logs; errors are given it by who is told them.
    name: String,
    /// `MySQL 10.0.0.7:3306/oauth`, for messages.
    title: Title,
    /// The pool, or why the settings cannot work.
    pool: Result<Pool, StoreError>,
    /// By [`tables::position`].
    statements: Vec<Statements>,
    /// Set once `prepare` succeeded.
    ready: AtomicBool,
    /// Whether what is sent leaves this machine, in clear.
    in_clear: bool,
}

/// Makes the source, without any I/O.
pub fn build(name: &str, settings: &Settings) -> Arc<dyn DataSource> {
    Arc::new(Mysql::new(name, settings))
}

impl Mysql {
    /// Makes it, without any I/O.
    pub fn new(name: &str, settings: &Settings) -> Self {
        let (title, in_clear, pool) = match settings.url.parse() {
            Ok(opts) => (
                format!("MySQL {}", url::address(&opts)),
                url::leaves_this_machine(&opts),
                Ok(Pool::new(opts, settings.max_connections)),
            ),
            Err(why) => ("MySQL".to_owned(), false, Err(StoreError::Broken(why))),
        };
        let statements = tables::ALL.iter().map(|table| Statements::new(table)).collect();
        Mysql { name: name.to_owned(), title: title.into(), pool, statements, ready: AtomicBool::new(false), in_clear }
    }

    fn pool(&self) -> Result<&Pool, StoreError> {
        self.pool.as_ref().map_err(Clone::clone)
    }

    fn statements(&self, table: &'static Table) -> Result<&Statements, StoreError> {
        self.title.of(&self.statements, table)
    }

    /// Connects, checks and migrates.
    async fn open(&self) -> Result<(), StoreError> {
        let pool = self.pool()?;
        let deadline = Instant::now() + schema::LIMIT;
        let _turn = pool.turn(deadline).await.map_err(|problem| problem.of(&self.title))?;
        let mut session = pool.session().await.map_err(|problem| problem.of(&self.title))?;
        let done = timeout_at(deadline, schema::prepare(&mut session, &self.title, &self.statements)).await;
        // With it goes the lock, and what was set for migrations.
        pool::end(session);
        done.map_err(|_| self.title.unavailable("no answer within 10 s while its schema was checked"))??;
        let before = self.ready.swap(true, Ordering::Release);
        if self.in_clear && !before {
            tracing::warn!(source = self.name, "records go to {} in clear", self.title);
        }
        Ok(())
    }

    /// Carries a statement out in a task of its own.
    async fn run(&self, statement: &Statement, values: Vec<Value>) -> Result<Reply, StoreError> {
        let pool = self.pool()?;
        if !self.ready.load(Ordering::Acquire) {
            return Err(self.title.unavailable("not opened yet"));
        }
        let deadline = Instant::now() + LIMIT;
        let turn = pool.turn(deadline).await.map_err(|problem| problem.of(&self.title))?;
        let work = exchange::carry_out(pool.clone(), statement.clone(), values, deadline);
        let task = tokio::spawn(async move {
            let outcome = work.await;
            drop(turn);
            outcome
        });
        match timeout_at(deadline, task).await {
            Ok(Ok(outcome)) => outcome.map_err(|problem| problem.of(&self.title)),
            Ok(Err(_)) => Err(self.title.unavailable("the node is stopping")),
            Err(_) => Err(self.title.unavailable("no answer within 3 s")),
        }
    }

    async fn read(&self, statement: &Statement, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let reply = self.run(statement, values).await?;
        reply.rows.into_iter().map(|found| row(found).map_err(|why| self.title.broken(&why))).collect()
    }

    async fn write(&self, statement: &Statement, values: Vec<Value>) -> Result<u64, StoreError> {
        Ok(self.run(statement, values).await?.count)
    }

    /// What is too long is refused by name here, since the server would say less.
    fn check(&self, table: &Table, row: &Row) -> Result<(), StoreError> {
        self.title.check_indexes(table, row)?;
        if row.key.len() > LONGEST {
            return Err(self.title.broken(&format!("a key has {} bytes; it may have {LONGEST}", row.key.len())));
        }
        let mut lengths = table.indexes.iter().zip(row.indexes.iter().flatten().map(|value| value.chars().count()));
        match lengths.find(|(_, length)| *length > LONGEST) {
            Some((_, length)) => {
                Err(self.title.broken(&format!("an index column has {length} characters; it may have {LONGEST}")))
            }
            None => Ok(()),
        }
    }
}

/// The values of a row's index columns.
fn indexes(row: &Row) -> impl Iterator<Item = Value> {
    row.indexes.iter().map(|value| value.as_deref().into())
}

/// A row as `statement::COLUMNS` gives it.
fn row(mut found: mysql_async::Row) -> Result<Row, String> {
    Ok(Row {
        key: column(&mut found, 0)?,
        version: column(&mut found, 1)?,
        expires_at: column(&mut found, 2)?,
        record: column(&mut found, 3)?,
        indexes: (4..found.len()).map(|at| column(&mut found, at)).collect::<Result<_, _>>()?,
    })
}

fn column<T: FromValue>(row: &mut mysql_async::Row, at: usize) -> Result<T, String> {
    match row.take_opt(at) {
        Some(Ok(value)) => Ok(value),
        _ => {
            let name = |column: &mysql_async::Column| format!("{}.{}", column.table_str(), column.name_str());
            let name = row.columns_ref().get(at).map_or_else(|| at.to_string(), name);
            Err(format!("column {name} of an answer is null, or has another type than it should: it was altered"))
        }
    }
}

/// `limit` as the server counts.
fn count(limit: usize) -> Value {
    Value::UInt(u64::try_from(limit).unwrap_or(u64::MAX))
}

/// The length of a text, which tells trailing spaces apart.
fn length(value: &str) -> Value {
    Value::UInt(u64::try_from(value.len()).unwrap_or(u64::MAX))
}

/// The least key that comes after `after`: so that one statement serves the first page and the next ones.
fn successor(after: Option<&[u8]>) -> Value {
    Value::Bytes(after.map_or_else(Vec::new, |key| [key, &[0]].concat()))
}

impl ForeignTables for Mysql {
    fn look_up(&self, query: Query) -> Verb<'_, Vec<String>> {
        Box::pin(async move {
            let value = query.value().map(|value| match value {
                foreign::Value::Text(text) => Value::from(text.as_str()),
                foreign::Value::Integer(number) => Value::from(*number),
            });
            let statement = Statement::Read(query.sql(Dialect::Mysql).into());
            let reply = self.run(&statement, value.into_iter().collect()).await?;
            let text = |mut found| column(&mut found, 0).map_err(|why: String| self.title.broken(&why));
            reply.rows.into_iter().map(text).collect()
        })
    }
}

impl DataSource for Mysql {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: true,
            ttl: false,
            strong_read: true,
            push: false,
            read_only: false,
            node_local: false,
        }
    }

    fn prepare(&self) -> Verb<'_, ()> {
        Box::pin(self.open())
    }

    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move { Ok(self.read(&self.statements(table)?.get, vec![key.into()]).await?.pop()) })
    }

    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        Box::pin(async move {
            let statements = self.statements(table)?;
            self.check(table, &row)?;
            let others = indexes(&row).collect::<Vec<_>>();
            let mut values = vec![row.key.into(), row.version.into(), row.expires_at.into(), row.record.into()];
            values.extend(others);
            Ok(self.write(&statements.insert, values).await? == 1)
        })
    }

    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        Box::pin(async move {
            let statements = self.statements(table)?;
            self.check(table, &row)?;
            let others = indexes(&row).collect::<Vec<_>>();
            let mut values = vec![row.expires_at.into(), row.record.into()];
            values.extend(others);
            values.extend([row.key.into(), expected.into()]);
            Ok(self.write(&statements.replace, values).await? == 1)
        })
    }

    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move { Ok(self.read(&self.statements(table)?.take, vec![key.into()]).await?.pop()) })
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
            let find = self.title.by(&self.statements(table)?.find, table, index)?;
            self.read(find, vec![value.into(), length(value), successor(after), count(limit)]).await
        })
    }

    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        Box::pin(async move { self.read(&self.statements(table)?.list, vec![successor(after), count(limit)]).await })
    }

    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        Box::pin(async move {
            let remove = self.title.by(&self.statements(table)?.remove, table, index)?;
            self.write(remove, vec![value.into(), length(value), count(limit)]).await
        })
    }

    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        Box::pin(async move { self.write(&self.statements(table)?.sweep, vec![before.into(), count(limit)]).await })
    }

    fn foreign(&self) -> Option<&dyn ForeignTables> {
        Some(self)
    }

    fn health(&self) -> Verb<'_, Health> {
        Box::pin(async move {
            let reply = self.run(&statement::health(), Vec::new()).await?;
            let mut told = reply.rows.into_iter().next().ok_or_else(|| self.title.unavailable("an empty answer"))?;
            // The connections were made while it could be written to; what it answers by now may be long past.
            if column(&mut told, 6).map_err(|why: String| self.title.broken(&why))? {
                self.pool()?.drop_idle();
                return Err(self.title.unavailable(&format!("read_only is on: {}", error::ONLY_READS)));
            }
            health(told).map_err(|why| self.title.broken(&why))
        })
    }
}

/// What the health statement tells; beside the version, whether what was answered may be lost.
fn health(mut told: mysql_async::Row) -> Result<Health, String> {
    let server = Server::new(&column::<String>(&mut told, 0)?).name();
    let undurable = session::undurable(column(&mut told, 3)?, column(&mut told, 4)?, column(&mut told, 5)?);
    Ok(Health {
        version: undurable.map_or(server.clone(), |why| format!("{server}; {why}")),
        schema: column(&mut told, 1)?,
        readable_by: column(&mut told, 7)?,
        unix_millis: Some(column(&mut told, 2)?),
    })
}
