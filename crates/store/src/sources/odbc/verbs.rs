//! The verbs, each one statement that commits by itself, but for a take where the database has no statement that answers what it deletes.
//!
//! ODBC calls block: each connection has a thread of its own (`pool.rs`). Nothing is sent twice that could be applied twice.

#![allow(clippy::disallowed_methods, reason = "deadlines of I/O on this source's own threads")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::Settings;
use super::dialect::Dialect;
use super::pool::{Pool, Work};
use super::session::{Found, Reply};
use super::statement::{Given, Statement, Statements};
use crate::source::{Capabilities, DataSource, Health, Row, StoreError, Table, Verb};
use crate::sources::title::Title;
use crate::tables;

/// How long a verb may take, with the wait for a connection: less than the guard above allows.
const LIMIT: Duration = Duration::from_secs(3);

/// How long opening may take. A node that waits for another one's migration waits for so long and then tries again.
const OPENING: Duration = Duration::from_secs(10);

/// A data source behind an ODBC driver.
pub struct Odbc {
    dialect: &'static Dialect,
    /// `SQL Server by ODBC (db.example.com oauth)`, for messages.
    title: Title,
    /// The pool, or why the settings cannot work.
    pool: Result<Pool, StoreError>,
    /// By [`tables::position`].
    statements: Arc<Vec<Statements>>,
    /// Set once `prepare` succeeded.
    ready: AtomicBool,
}

/// Makes the source, without any I/O.
pub fn build(name: &str, settings: &Settings) -> Arc<dyn DataSource> {
    Arc::new(Odbc::new(name, settings, settings.dialect.dialect()))
}

impl Odbc {
    /// Makes it, without any I/O.
    pub(super) fn new(name: &str, settings: &Settings, dialect: &'static Dialect) -> Self {
        let (title, pool) = match settings.connection.parse() {
            Ok(secret) => {
                let title = format!("{} by ODBC ({})", dialect.product, secret.place());
                let pool = Pool::new(name, &title, dialect, secret, settings.max_connections);
                (title, Ok(pool))
            }
            Err(why) => (format!("{} by ODBC", dialect.product), Err(StoreError::Broken(why))),
        };
        let statements = tables::ALL.iter().map(|table| Statements::new(dialect, table)).collect();
        Odbc { dialect, title: title.into(), pool, statements: Arc::new(statements), ready: AtomicBool::new(false) }
    }

    fn statements(&self, table: &'static Table) -> Result<&Statements, StoreError> {
        self.title.of(&self.statements, table)
    }

    /// Connects, checks and migrates.
    async fn open(&self) -> Result<(), StoreError> {
        self.wait(Work::Prepare(self.statements.clone()), OPENING).await?;
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Has a thread do it, and waits for its answer.
    async fn wait(&self, work: Work, limit: Duration) -> Result<Reply, StoreError> {
        let pool = self.pool.as_ref().map_err(Clone::clone)?;
        let answer = pool.queue(work, Instant::now() + limit)?;
        match timeout(limit, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(self.title.unavailable("the node is stopping")),
            Err(_) => Err(self.title.unavailable(&format!("no answer within {limit:?}"))),
        }
    }

    async fn run(&self, statement: &Statement, given: Given<'_>) -> Result<Reply, StoreError> {
        if !self.ready.load(Ordering::Acquire) {
            return Err(self.title.unavailable("not opened yet"));
        }
        let values = statement.values(&given, self.dialect);
        self.wait(Work::Send(statement.clone(), values), LIMIT).await
    }

    async fn read(&self, table: &Table, statement: &Statement, given: Given<'_>) -> Result<Vec<Row>, StoreError> {
        let reply = self.run(statement, given).await?;
        let rows = reply.rows.into_iter().map(|found| self.row(table, found));
        rows.collect::<Option<_>>()
            .ok_or_else(|| self.title.broken(&format!("table {} gives other columns than it should", table.name)))
    }

    async fn write(&self, statement: &Statement, given: Given<'_>) -> Result<u64, StoreError> {
        Ok(self.run(statement, given).await?.count)
    }

    /// A row as `statement::COLUMNS` gives it.
    fn row(&self, table: &Table, found: Found) -> Option<Row> {
        let mut texts = found.texts.into_iter();
        let version = texts.next()??.trim().parse().ok()?;
        let expires_at = texts.next()?.map(|text| text.trim().parse()).transpose().ok()?;
        let indexes = texts.by_ref().take(table.indexes.len());
        let indexes: Vec<_> = indexes.map(|text| text.map(|kept| self.dialect.restored(kept))).collect();
        let record = texts.next()??;
        Some(Row { key: found.key, version, expires_at, indexes, record })
    }

    /// What a database would cut off, change or say less about is refused by name here.
    fn check(&self, table: &Table, row: &Row) -> Result<(), StoreError> {
        self.title.check_indexes(table, row)?;
        if row.key.is_empty() {
            return Err(self.title.broken("a key cannot be empty"));
        }
        if row.indexes.iter().flatten().any(|value| value.contains('\0')) {
            return Err(self.title.broken("an index column cannot hold a NUL character"));
        }
        let Some((most, measure)) = self.dialect.longest else { return Ok(()) };
        if row.key.len() > most {
            return Err(self.title.broken(&format!("a key has {} bytes; it may have {most}", row.key.len())));
        }
        let mut lengths = row.indexes.iter().flatten().map(|value| measure(&self.dialect.kept(value)));
        match lengths.find(|length| *length > most) {
            Some(length) => {
                Err(self.title.broken(&format!("an index column has a length of {length}; it may have {most}")))
            }
            None => Ok(()),
        }
    }
}

impl DataSource for Odbc {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            compare_and_swap: true,
            ttl: false,
            strong_read: true,
            push: false,
            read_only: false,
            node_local: self.dialect.name == "sqlite",
        }
    }

    fn prepare(&self) -> Verb<'_, ()> {
        Box::pin(self.open())
    }

    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move {
            let given = Given { key, ..Given::default() };
            Ok(self.read(table, &self.statements(table)?.get, given).await?.pop())
        })
    }

    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        Box::pin(async move {
            let statements = self.statements(table)?;
            self.check(table, &row)?;
            let given = Given { row: Some(&row), ..Given::default() };
            Ok(self.write(&statements.insert, given).await? == 1)
        })
    }

    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        Box::pin(async move {
            let statements = self.statements(table)?;
            self.check(table, &row)?;
            let given = Given { row: Some(&row), expected, ..Given::default() };
            Ok(self.write(&statements.replace, given).await? == 1)
        })
    }

    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move {
            let given = Given { key, ..Given::default() };
            Ok(self.read(table, &self.statements(table)?.take, given).await?.pop())
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
            let find = self.title.by(&self.statements(table)?.find, table, index)?;
            if limit == 0 || value.contains('\0') {
                return Ok(Vec::new());
            }
            self.read(table, find, Given { value, after, limit, ..Given::default() }).await
        })
    }

    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        Box::pin(async move {
            let statements = self.statements(table)?;
            if limit == 0 {
                return Ok(Vec::new());
            }
            self.read(table, &statements.list, Given { after, limit, ..Given::default() }).await
        })
    }

    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        Box::pin(async move {
            let remove = self.title.by(&self.statements(table)?.remove, table, index)?;
            if limit == 0 || value.contains('\0') {
                return Ok(0);
            }
            self.write(remove, Given { value, limit, ..Given::default() }).await
        })
    }

    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        Box::pin(async move {
            let statements = self.statements(table)?;
            if limit == 0 {
                return Ok(0);
            }
            self.write(&statements.sweep, Given { before, limit, ..Given::default() }).await
        })
    }

    fn health(&self) -> Verb<'_, Health> {
        Box::pin(async move {
            let reply = self.wait(Work::Health(self.dialect.health()), LIMIT).await?;
            let told = reply.rows.into_iter().next().ok_or_else(|| self.title.unavailable("an empty answer"))?;
            let text = |at: usize| told.texts.get(at).cloned().flatten().unwrap_or_default();
            Ok(Health {
                version: format!("{} {}", self.dialect.product, text(0)),
                unix_millis: text(1).trim().parse().ok(),
                schema: text(2).trim().parse().unwrap_or(0),
                readable_by: text(3).trim().parse().unwrap_or(0),
            })
        })
    }
}
