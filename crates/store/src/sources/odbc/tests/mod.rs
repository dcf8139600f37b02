//! On real servers and a file, which `tests/run` starts, through Debian's drivers for PostgreSQL, MariaDB and SQLite: the conformance suite
//! for each, and once more for what only databases do that are not there; opening; outages; and the statements, for a parser.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use oauth::Secret;
use odbc_api::{ConnectionOptions, environment};

use super::dialect::Dialect;
use super::{ConnectionString, Name, Odbc, Settings};
use crate::conformance::Fresh;
use crate::source::{DataSource, Row, StoreError};

mod broken;
mod opening;
mod outages;
mod texts;

/// A database of one test's own, dropped with it.
struct Scratch {
    /// Its connection string.
    string: String,
    dialect: Name,
    name: String,
    /// That of the database server.
    server: String,
    _folder: Option<tempfile::TempDir>,
}

impl Scratch {
    fn new(dialect: Name) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("o{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        if dialect == Name::Sqlite {
            needed("PORTCULLIS_TEST_ODBC");
            let folder = tempfile::tempdir().unwrap();
            let string = format!("Driver=SQLite3;Database={}", folder.path().join("records.db").display());
            return Scratch { string: string.clone(), dialect, name, server: string, _folder: Some(folder) };
        }
        let (server, string) = (server(dialect, None), self::server(dialect, Some(&name)));
        execute(&server, &format!("CREATE DATABASE {name}"));
        Scratch { string, dialect, name, server, _folder: None }
    }

    /// Runs a statement in it, as who may do all.
    fn execute(&self, sql: &str) {
        execute(&self.string, sql);
    }

    /// A source on it that was not opened.
    fn source(&self) -> Odbc {
        self.with(self.dialect.dialect())
    }

    fn with(&self, dialect: &'static Dialect) -> Odbc {
        Odbc::new("test", &settings(&self.string, self.dialect), dialect)
    }

    /// A source on it that was opened.
    async fn opened(&self) -> Odbc {
        let source = self.source();
        source.prepare().await.unwrap();
        source
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let sql = match self.dialect {
            Name::Postgres => format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
            Name::Mysql => format!("DROP DATABASE IF EXISTS {}", self.name),
            _ => return,
        };
        let connected =
            environment().unwrap().connect_with_connection_string(&self.server, ConnectionOptions::default());
        let _ = connected.map(|connection| connection.execute(&sql, (), None).map(drop));
    }
}

fn needed(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: these tests need real servers and drivers, which tests/run starts (`tests/run test -- -p store --features odbc` for these alone)")
    })
}

/// The connection string of a server that `tests/run` started.
fn server(dialect: Name, database: Option<&str>) -> String {
    needed("PORTCULLIS_TEST_ODBC");
    let (variable, driver, more) = match dialect {
        Name::Postgres => ("PORTCULLIS_TEST_POSTGRES", "PostgreSQL", ""),
        _ => ("PORTCULLIS_TEST_MYSQL", "MariaDB", ""),
    };
    // `postgres://postgres@127.0.0.1:5432/postgres`
    let url = needed(variable);
    let parts: Vec<&str> = url.split(['/', '@', ':']).filter(|part| !part.is_empty()).collect();
    let [_, user, host, port, own] = parts[..] else { panic!("{variable} is {url}") };
    let database = database.unwrap_or(own);
    format!("Driver={driver};Server={host};Port={port};Database={database};Uid={user};{more}")
}

fn execute(string: &str, sql: &str) {
    let connection =
        environment().unwrap().connect_with_connection_string(string, ConnectionOptions::default()).unwrap();
    connection.execute(sql, (), None).unwrap();
}

fn settings(string: &str, dialect: Name) -> Settings {
    Settings { connection: ConnectionString::new(Secret::new(string.to_owned())), dialect, max_connections: 8 }
}

/// A row of `access_token`.
fn row(key: &str) -> Row {
    let indexes = vec![Some("app".to_owned()), None, Some("grant".to_owned())];
    Row { key: key.into(), version: 1, expires_at: Some(10), indexes, record: "{}".into() }
}

async fn fresh(name: Name) -> Fresh {
    let scratch = Scratch::new(name);
    Fresh::keeping(Arc::new(scratch.opened().await), scratch)
}

crate::conformance!(postgres, fresh(Name::Postgres));
crate::conformance!(mysql, fresh(Name::Mysql));
crate::conformance!(sqlite, fresh(Name::Sqlite));

/// What Oracle does otherwise, tried on PostgreSQL: an empty text is kept as another one, numbers go as text, a take is a transaction, a key
/// that exists is an error.
async fn as_oracle() -> Fresh {
    let dialect: &'static Dialect = Box::leak(Box::new(Dialect {
        or_nothing: "",
        first: "FETCH FIRST :limit ROWS ONLY",
        take: Name::Oracle.dialect().take,
        remove: Name::Oracle.dialect().remove,
        sweep: Name::Oracle.dialect().sweep,
        empty_is_null: true,
        numbers_as_text: true,
        ..Name::Postgres.dialect().clone()
    }));
    let scratch = Scratch::new(Name::Postgres);
    let source = scratch.with(dialect);
    source.prepare().await.unwrap();
    Fresh::keeping(Arc::new(source), scratch)
}

crate::conformance!(postgres_as_oracle, as_oracle());
