//! On a real cluster of one server, which `tests/run` starts: the conformance suite; opening; outages; writes that end half-way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use oauth::Secret;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

use super::*;
use crate::conformance::Fresh;
use crate::migration;

mod halves;
mod opening;
mod outages;

/// A keyspace of one test's own, dropped with it.
struct Scratch {
    name: String,
}

/// Where `tests/run` started the server.
fn server() -> String {
    std::env::var("PORTCULLIS_TEST_CASSANDRA").unwrap_or_else(|_| {
        panic!(
            "PORTCULLIS_TEST_CASSANDRA is not set: these tests need a real server, which tests/run starts \
             (`tests/run test -- -p store --features cassandra` for these alone)"
        )
    })
}

async fn connect() -> Session {
    SessionBuilder::new().known_node(server()).user("cassandra", "cassandra").build().await.unwrap()
}

fn settings(keyspace: &str) -> Settings {
    Settings {
        contact_points: vec![server()],
        keyspace: keyspace.to_owned(),
        user: Some("cassandra".into()),
        password: Some(Password::new(Secret::new("cassandra".to_owned()))),
        datacenter: None,
        consistency: Consistency::LocalQuorum,
        replication: Some([("datacenter1".to_owned(), 1)].into()),
    }
}

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        Scratch { name: format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)) }
    }

    /// Runs a statement, as the superuser.
    async fn execute(&self, cql: &str) {
        connect().await.query_unpaged(cql, ()).await.unwrap();
    }

    async fn ask(&self, cql: &str, values: impl scylla::serialize::row::SerializeRow) -> Vec<Columns> {
        let result = connect().await.query_unpaged(cql, values).await.unwrap().into_rows_result().unwrap();
        result.rows::<Columns>().unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Runs the schema file as `cqlsh --file` does.
    async fn run_schema_file(&self) {
        let session = connect().await;
        session.use_keyspace(&self.name, false).await.unwrap();
        for statement in schema::statements(migration::CASSANDRA) {
            session.query_unpaged(statement, ()).await.unwrap();
        }
    }

    fn source(&self) -> Cassandra {
        Cassandra::new("test", &settings(&self.name))
    }

    async fn opened(&self) -> Cassandra {
        let source = self.source();
        source.prepare().await.unwrap();
        source
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let cql = format!("DROP KEYSPACE IF EXISTS {}", self.name);
        // A thread with a runtime of its own, since the test's runtime may be ending.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { connect().await.query_unpaged(cql, ()).await.unwrap() })
        });
        let _ = dropping.join();
    }
}

/// A row of `access_token`.
fn row(key: &str) -> Row {
    let indexes = vec![Some("app".to_owned()), None, Some("grant".to_owned())];
    Row { key: key.into(), version: 1, expires_at: Some(10), indexes, record: "{}".into() }
}

async fn fresh() -> Fresh {
    let scratch = Scratch::new();
    Fresh::keeping(Arc::new(scratch.opened().await), scratch)
}

crate::conformance!(conformance, fresh());
