//! On a real server, which `tests/run` starts: the conformance suite, straight and through a pooler; that no statement reads a
//! whole table; opening; outages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use oauth::Secret;
use tokio_postgres::NoTls;

use super::{Postgres, Settings, Url};
use crate::conformance::Fresh;
use crate::source::{DataSource, Row};

mod changes;
mod opening;
mod outages;
mod plans;

/// A database of one test's own, dropped with it.
struct Scratch {
    /// Its URL, straight to the server.
    url: String,
    name: String,
}

impl Scratch {
    async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let client = connect(&server("PORTCULLIS_TEST_POSTGRES")).await;
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        Scratch { url: with_database(&server("PORTCULLIS_TEST_POSTGRES"), &name), name }
    }

    /// Its URL through the pooler.
    fn pooled(&self) -> String {
        with_database(&server("PORTCULLIS_TEST_PGBOUNCER"), &self.name)
    }

    /// Runs statements in it, as the superuser.
    async fn execute(&self, sql: &str) {
        connect(&self.url).await.batch_execute(sql).await.unwrap();
    }

    /// A source on it that was not opened.
    fn source(&self) -> Postgres {
        source(&self.url)
    }

    /// A source on it that was opened.
    async fn opened(&self) -> Postgres {
        let source = self.source();
        source.prepare().await.unwrap();
        source
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A thread with a runtime of its own, since the test's runtime may be ending.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { connect(&server("PORTCULLIS_TEST_POSTGRES")).await.batch_execute(&sql).await })
        });
        let _ = dropping.join();
    }
}

/// The URL of a server that `tests/run` started.
fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: these tests need a real server, which tests/run starts (`tests/run test -- -p store --features postgres` for these alone)")
    })
}

fn with_database(url: &str, name: &str) -> String {
    let (start, _) = url.rsplit_once('/').unwrap();
    format!("{start}/{name}")
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn settings(url: &str) -> Settings {
    let url = Url::new(Secret::new(url.to_owned()));
    Settings { url, max_connections: 8, prepared_statements: None, listen_url: None }
}

fn source(url: &str) -> Postgres {
    Postgres::new("test", &settings(url))
}

/// A row of `access_token`.
fn row(key: &str) -> Row {
    let indexes = vec![Some("app".to_owned()), None, Some("grant".to_owned())];
    Row { key: key.into(), version: 1, expires_at: Some(10), indexes, record: "{}".into() }
}

async fn straight() -> Fresh {
    let scratch = Scratch::new().await;
    Fresh::keeping(Arc::new(scratch.opened().await), scratch)
}

crate::conformance!(conformance_straight, straight());

/// Through PgBouncer in transaction mode, two server connections for eight of ours; nothing in the settings says so.
async fn pooled() -> Fresh {
    let scratch = Scratch::new().await;
    let source = source(&scratch.pooled());
    source.prepare().await.unwrap();
    Fresh::keeping(Arc::new(source), scratch)
}

crate::conformance!(conformance_pooled, pooled());

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_is_noticed_and_a_server_is_not_taken_for_one() {
    let scratch = Scratch::new().await;
    assert!(scratch.opened().await.pool().unwrap().names_statements());
    let pooled = source(&scratch.pooled());
    pooled.prepare().await.unwrap();
    assert!(!pooled.pool().unwrap().names_statements());
}

/// What happens without the notice: the pooler tells, and the message says what to change.
#[tokio::test]
async fn names_through_a_pooler_are_an_error_with_its_remedy() {
    let scratch = Scratch::new().await;
    let named = Settings { prepared_statements: Some(true), ..settings(&scratch.pooled()) };
    let source = Postgres::new("test", &named);
    source.prepare().await.unwrap();
    let mut errors = Vec::new();
    let mut read = async || {
        for _ in 0..named.max_connections {
            errors.extend(source.get(&crate::tables::CLIENT, b"k").await.err());
        }
    };
    // The pooler has two connections to the server: one transaction holds the first while the statements get their names on the second,
    // and another one the second when they are asked for.
    let (first, second) = (connect(&scratch.pooled()).await, connect(&scratch.pooled()).await);
    first.batch_execute("BEGIN").await.unwrap();
    read().await;
    second.batch_execute("BEGIN").await.unwrap();
    first.batch_execute("COMMIT").await.unwrap();
    read().await;
    assert!(errors.iter().any(|error| error.to_string().contains("prepared_statements = true")), "{errors:?}");
}

#[tokio::test]
async fn a_key_property_store_reads_a_table_that_was_there() {
    let scratch = Scratch::new().await;
    for sql in [crate::kps::tests::OLD_TABLE, crate::kps::tests::OLD_ROWS] {
        let sql = sql.replace("{bool}", "BOOLEAN").replace("{time}", "TIMESTAMP");
        scratch.execute(&sql.replace("{true}", "TRUE").replace("{false}", "FALSE")).await;
    }
    crate::kps::tests::reads_a_table_that_was_there(Arc::new(scratch.opened().await), true).await;
}
