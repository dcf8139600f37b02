//! PostgreSQL: a server that several nodes share. OAG: a database connection behind the OAuth2 stores.
//!
//! Each verb is one statement, so each is atomic in a transaction of its own and works behind any pooler. A statement has three
//! seconds; nothing is sent twice that could be applied twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::{ToSql, Type};

use crate::foreign::{self, Dialect, ForeignTables, Query};
use crate::source::{Capabilities, DataSource, Health, Row, StoreError, Table, Verb};
use crate::sources::title::Title;
use crate::tables;
use crate::watch::Watcher;

mod changes;
mod error;
mod pool;
mod schema;
mod statement;
#[cfg(test)]
mod tests;
mod url;

use changes::Listener;
use error::explain;
use pool::{Client, Pool};
use statement::{Again, Statement, Statements};
pub use url::Url;

/// `[source.NAME] type = "postgres"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where it is, a secret: `{ env = "OAUTH_DB_URL" }` holding `postgres://user:password@host:5432/database`. Several hosts
    /// may be named (`host1,host2`, with `?target_session_attrs=read-write`); `?connect_timeout=2` is in seconds.
    pub url: Url,
    /// The most connections that this node opens. All nodes' together must stay below the server's
    /// `max_connections`.
    #[serde(default = "sixteen", deserialize_with = "connections")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_connections: u32,
    /// Whether statements are prepared once a connection and used by name, which saves the server 40 % of a look-up.
    /// Default: where the node speaks to the server itself. Between the two a pooler in transaction mode (PgBouncer before 1.21)
    /// deals connections out anew for every statement, and a name may then mean another node's statement; one is noticed by
    /// itself, and statements go unnamed. `true` is for a pooler that knows about names (PgBouncer 1.21 and later with
    /// `max_prepared_statements`).
    #[serde(default)]
    pub prepared_statements: Option<bool>,
    /// Where the node hears of changes, for stores with a `cache`, where a pooler in transaction mode stands behind `url`: the server
    /// itself, past the pooler. A secret, as `url`. One connection a node. Default: `url`.
    #[serde(default)]
    pub listen_url: Option<Url>,
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

/// How long a verb may take, with the wait for a connection: less than the guard above allows, since what ends here ends with the
/// statement stopped and its connection closed.
const LIMIT: Duration = Duration::from_secs(3);

impl Settings {
    /// Whether both mean the same tables: another password or other limits change nothing about that. Another user or other
    /// options may mean another schema.
    pub fn same_place(&self, other: &Settings) -> bool {
        match (self.url.parse(), other.url.parse()) {
            (Ok(this), Ok(other)) => {
                let place = |config: &tokio_postgres::Config| {
                    (
                        url::address(config),
                        config.get_user().map(str::to_owned),
                        config.get_options().map(str::to_owned),
                    )
                };
                place(&this) == place(&other)
            }
            _ => self == other,
        }
    }
}

/// A data source on a PostgreSQL server.
pub struct Postgres {
    /// Its name in the mapping, for logs; errors are given it by who is told them.
    name: String,
    /// `PostgreSQL 10.0.0.7:5432/oauth`, for messages.
    title: Title,
    /// The pool, or why the settings cannot work.
    pool: Result<Pool, StoreError>,
    /// By [`tables::position`].
    statements: Vec<Statements>,
    /// Set once `prepare` succeeded.
    ready: AtomicBool,
    /// Whether what is sent leaves this machine, in clear.
    in_clear: bool,
    /// Hears of changes.
    listener: Arc<Listener>,
}

/// Makes the source, without any I/O.
pub fn build(name: &str, settings: &Settings) -> Arc<dyn DataSource> {
    Arc::new(Postgres::new(name, settings))
}

impl Postgres {
    /// Makes it, without any I/O.
    pub fn new(name: &str, settings: &Settings) -> Self {
        let (title, in_clear, pool) = match settings.url.parse() {
            Ok(config) => (
                format!("PostgreSQL {}", url::address(&config)),
                url::leaves_this_machine(&config),
                Ok(Pool::new(config, settings.max_connections, settings.prepared_statements)),
            ),
            Err(why) => ("PostgreSQL".to_owned(), false, Err(StoreError::Broken(why))),
        };
        let statements = tables::ALL.iter().map(|table| Statements::new(table)).collect();
        let listen_url = settings.listen_url.as_ref().unwrap_or(&settings.url);
        let listener = Listener::new(name, listen_url, pool.as_ref().ok().cloned());
        Postgres {
            name: name.to_owned(),
            title: title.into(),
            pool,
            statements,
            ready: AtomicBool::new(false),
            in_clear,
            listener,
        }
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
        let mut client = pool.client(deadline).await.map_err(|problem| problem.of(&self.title))?;
        client.begin();
        match timeout_at(deadline, schema::prepare(&mut client, &self.title)).await {
            Ok(done) => {
                client.end();
                done?;
            }
            Err(_) => {
                client.abandon();
                return Err(self.title.unavailable("no answer within 10 s while its schema was checked"));
            }
        }
        let before = self.ready.swap(true, Ordering::Release);
        if self.in_clear && !before {
            tracing::warn!(source = self.name, "records and the password go to {} in clear", self.title);
        }
        Ok(())
    }

    /// Runs a statement. Only reads are sent a second time, over a new connection, where the one they were sent over was lost.
    async fn run(&self, statement: &Statement, values: &[&(dyn ToSql + Sync)]) -> Result<Reply, StoreError> {
        let pool = self.pool()?;
        if !self.ready.load(Ordering::Acquire) {
            return Err(self.title.unavailable("not opened yet"));
        }
        let deadline = Instant::now() + LIMIT;
        let mut again = statement.again == Again::Yes;
        loop {
            let mut client = pool.client(deadline).await.map_err(|problem| problem.of(&self.title))?;
            client.begin();
            let answer = timeout_at(deadline, send(pool, &client, statement, values)).await;
            let Ok(answer) = answer else {
                client.abandon();
                return Err(self.title.unavailable("no answer within 3 s"));
            };
            client.end();
            let error = match answer {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let lost = error::is_lost(&error);
            let stale = error::is_stale(&error);
            if lost || stale {
                client.discard();
            }
            if stale {
                pool.drop_idle();
            }
            if !(lost && std::mem::take(&mut again)) {
                return Err(explain(&self.title, &error));
            }
        }
    }

    async fn read(&self, statement: &Statement, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StoreError> {
        let reply = self.run(statement, values).await?;
        reply.rows.iter().map(row).collect::<Result<_, _>>().map_err(|error| explain(&self.title, &error))
    }

    async fn write(&self, statement: &Statement, values: &[&(dyn ToSql + Sync)]) -> Result<u64, StoreError> {
        Ok(self.run(statement, values).await?.count)
    }

    /// A row as the parameters of `insert` and `replace`. PostgreSQL's text holds every character but NUL, which is refused by
    /// name here, since the server would say less.
    fn values<'a>(
        &self,
        table: &Table,
        row: &'a Row,
        version: &'a i64,
    ) -> Result<Vec<&'a (dyn ToSql + Sync)>, StoreError> {
        self.title.check_indexes(table, row)?;
        if row.indexes.iter().flatten().any(|value| value.contains('\0')) {
            return Err(self.title.broken("an index column cannot hold a NUL character"));
        }
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&row.key, version, &row.expires_at, &row.record];
        values.extend(row.indexes.iter().map(|value| value as &(dyn ToSql + Sync)));
        Ok(values)
    }
}

/// What a statement answered: rows, or how many it wrote.
struct Reply {
    rows: Vec<tokio_postgres::Row>,
    count: u64,
}

/// Sends a statement over one connection, by its name or unnamed: then all of it travels in one message, which a pooler hands to
/// one server connection.
async fn send(
    pool: &Pool,
    client: &Client,
    statement: &Statement,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Reply, tokio_postgres::Error> {
    if pool.names_statements() {
        let prepared = client.prepare_typed_cached(&statement.sql, &statement.types).await?;
        return Ok(match statement.returns {
            true => Reply { rows: client.query(&prepared, values).await?, count: 0 },
            false => Reply { rows: Vec::new(), count: client.execute(&prepared, values).await? },
        });
    }
    let typed: Vec<(&(dyn ToSql + Sync), Type)> = values.iter().copied().zip(statement.types.iter().cloned()).collect();
    Ok(match statement.returns {
        true => Reply { rows: client.query_typed(&statement.sql, &typed).await?, count: 0 },
        false => Reply { rows: Vec::new(), count: client.execute_typed(&statement.sql, &typed).await? },
    })
}

/// A row as [`statement::COLUMNS`] gives it.
fn row(found: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    Ok(Row {
        key: found.try_get(0)?,
        version: found.try_get(1)?,
        expires_at: found.try_get(2)?,
        record: found.try_get(3)?,
        // A statement that tells of the change has one more column, which holds nothing.
        indexes: found.columns()[4..]
            .iter()
            .enumerate()
            .filter(|(_, column)| *column.type_() != Type::VOID)
            .map(|(number, _)| found.try_get(4 + number))
            .collect::<Result<_, _>>()?,
    })
}

/// `limit` as the server counts.
fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The least key that comes after `after`: so that one statement serves the first page and the next ones, and the planner sees a
/// plain `key >= $2`, where `$2 IS NULL OR key > $2` would make it read the table.
fn successor(after: Option<&[u8]>) -> Vec<u8> {
    after.map_or_else(Vec::new, |key| [key, &[0]].concat())
}

impl ForeignTables for Postgres {
    fn look_up(&self, query: Query) -> Verb<'_, Vec<String>> {
        Box::pin(async move {
            let value: Option<(&(dyn ToSql + Sync), Type)> = query.value().map(|value| match value {
                foreign::Value::Text(text) => (text as &(dyn ToSql + Sync), Type::TEXT),
                foreign::Value::Integer(number) => (number as &(dyn ToSql + Sync), Type::INT8),
            });
            let (values, types): (Vec<_>, Vec<_>) = value.into_iter().unzip();
            let statement = Statement::foreign(query.sql(Dialect::Postgres), types);
            let reply = self.run(&statement, &values).await?;
            let texts = reply.rows.iter().map(|found| found.try_get(0));
            texts.collect::<Result<_, _>>().map_err(|error| explain(&self.title, &error))
        })
    }
}

impl DataSource for Postgres {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: true,
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
        Box::pin(async move { Ok(self.read(&self.statements(table)?.get, &[&key]).await?.pop()) })
    }

    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        Box::pin(async move {
            let values = self.values(table, &row, &row.version)?;
            Ok(self.write(&self.statements(table)?.insert, &values).await? == 1)
        })
    }

    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        Box::pin(async move {
            let values = self.values(table, &row, &expected)?;
            Ok(self.write(&self.statements(table)?.replace, &values).await? == 1)
        })
    }

    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move { Ok(self.read(&self.statements(table)?.take, &[&key]).await?.pop()) })
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
            if value.contains('\0') {
                return Ok(Vec::new());
            }
            self.read(find, &[&value, &successor(after), &count(limit)]).await
        })
    }

    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        Box::pin(async move { self.read(&self.statements(table)?.list, &[&successor(after), &count(limit)]).await })
    }

    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        Box::pin(async move {
            let remove = self.title.by(&self.statements(table)?.remove, table, index)?;
            if value.contains('\0') {
                return Ok(0);
            }
            self.write(remove, &[&value, &count(limit)]).await
        })
    }

    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        Box::pin(async move { self.write(&self.statements(table)?.sweep, &[&before, &count(limit)]).await })
    }

    fn foreign(&self) -> Option<&dyn ForeignTables> {
        Some(self)
    }

    fn health(&self) -> Verb<'_, Health> {
        Box::pin(async move {
            let reply = self.run(&statement::health(), &[]).await?;
            let told = reply.rows.first().ok_or_else(|| self.title.unavailable("an empty answer"))?;
            // The connections were made while it could be written to; what it answers by now may be long past.
            if told.try_get(3).map_err(|error| explain(&self.title, &error))? {
                self.pool()?.drop_idle();
                return Err(self.title.unavailable(&format!("nothing can be written: {}", error::ONLY_READS)));
            }
            let number = |column| told.try_get::<_, i64>(column).map(|number| u32::try_from(number).unwrap_or(0));
            let health = || -> Result<Health, tokio_postgres::Error> {
                Ok(Health {
                    version: format!("PostgreSQL {}", told.try_get::<_, &str>(0)?),
                    schema: number(1)?,
                    readable_by: number(4)?,
                    unix_millis: Some(told.try_get(2)?),
                })
            };
            health().map_err(|error| explain(&self.title, &error))
        })
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) -> bool {
        self.listener.watch(watcher);
        true
    }
}
