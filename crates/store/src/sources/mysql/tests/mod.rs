//! On a real server, which `tests/run` starts: the conformance suite, with MariaDB's statements and with MySQL's; that no statement
//! reads a whole table; opening; locks; outages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use oauth::Secret;

use super::statement::Statement;
use super::{Mysql, Settings, Url};
use crate::conformance::Fresh;
use crate::source::{DataSource, Row};

mod locks;
mod opening;
mod outages;
mod plans;

/// A database of one test's own, dropped with it.
struct Scratch {
    /// Its URL.
    url: String,
    name: String,
}

impl Scratch {
    async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        connect(&server()).await.query_drop(format!("CREATE DATABASE {name}")).await.unwrap();
        Scratch { url: with_database(&server(), &name), name }
    }

    /// Runs statements in it, as root.
    async fn execute(&self, sql: &str) {
        connect(&self.url).await.query_drop(sql).await.unwrap();
    }

    /// A user of this name in this database, with these rights and a password; its URL.
    async fn user(&self, rights: &str) -> (String, String) {
        let user = format!("node_{}", self.name);
        self.execute(&format!(
            "CREATE USER {user} IDENTIFIED BY 'hunter2'; GRANT {rights} ON {}.* TO {user}",
            self.name
        ))
        .await;
        let url = self.url.replace("root@", &format!("{user}:hunter2@"));
        (user, url)
    }

    /// A source on it that was not opened.
    fn source(&self) -> Mysql {
        source(&self.url)
    }

    /// A source on it that was opened.
    async fn opened(&self) -> Mysql {
        let source = self.source();
        source.prepare().await.unwrap();
        source
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {0}; DROP USER IF EXISTS node_{0}", self.name);
        // A thread with a runtime of its own, since the test's runtime may be ending.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { connect(&server()).await.query_drop(sql).await })
        });
        let _ = dropping.join();
    }
}

/// The URL of a server that `tests/run` started.
fn server() -> String {
    std::env::var("PORTCULLIS_TEST_MYSQL").unwrap_or_else(|_| {
        panic!("PORTCULLIS_TEST_MYSQL is not set: these tests need a real server, which tests/run starts (`tests/run test -- -p store --features mysql` for these alone)")
    })
}

fn with_database(url: &str, name: &str) -> String {
    let (start, _) = url.rsplit_once('/').unwrap();
    format!("{start}/{name}")
}

async fn connect(url: &str) -> Conn {
    Conn::new(Opts::from_url(&format!("{url}?prefer_socket=false")).unwrap()).await.unwrap()
}

/// The one number that a query gives.
async fn number(conn: &mut Conn, sql: &str) -> i64 {
    conn.query_first(sql).await.unwrap().unwrap()
}

fn settings(url: &str) -> Settings {
    Settings { url: Url::new(Secret::new(url.to_owned())), max_connections: 8 }
}

fn source(url: &str) -> Mysql {
    Mysql::new("test", &settings(url))
}

/// A row of `access_token`.
fn row(key: &str) -> Row {
    let indexes = vec![Some("app".to_owned()), None, Some("grant".to_owned())];
    Row { key: key.into(), version: 1, expires_at: Some(10), indexes, record: "{}".into() }
}

async fn fresh() -> Fresh {
    let scratch = Scratch::new().await;
    Fresh::keeping(Arc::new(scratch.opened().await), scratch)
}

crate::conformance!(conformance, fresh());

/// As on a server that knows no RETURNING, which is MySQL: a take is a transaction.
async fn without_returning() -> Fresh {
    let scratch = Scratch::new().await;
    let mut source = scratch.source();
    for statements in &mut source.statements {
        let Statement::Take { returning, .. } = &mut statements.take else { panic!("a take is a take") };
        *returning = None;
    }
    source.prepare().await.unwrap();
    Fresh::keeping(Arc::new(source), scratch)
}

crate::conformance!(conformance_without_returning, without_returning());

/// Text that differs by trailing spaces alone is not the same text.
#[tokio::test(flavor = "multi_thread")]
async fn trailing_spaces_count() {
    let scratch = Scratch::new().await;
    let source = scratch.opened().await;
    let table = &crate::tables::ACCESS_TOKEN;
    for (key, subject) in [("1", ""), ("2", " "), ("3", "zoë"), ("4", "zoë "), ("5", "zoë  ")] {
        let indexes = vec![None, Some(subject.to_owned()), None];
        assert!(source.insert(table, Row { indexes, ..row(key) }).await.unwrap());
    }
    for (key, subject) in [("1", ""), ("2", " "), ("3", "zoë"), ("4", "zoë "), ("5", "zoë  ")] {
        let found = source.find(table, 1, subject, None, 9).await.unwrap();
        assert_eq!(found.iter().map(|row| row.key.as_slice()).collect::<Vec<_>>(), [key.as_bytes()], "{subject:?}");
    }
    assert_eq!(source.remove(table, 1, "zoë", 9).await, Ok(1));
    assert_eq!(source.list(table, None, 9).await.unwrap().len(), 4);
}

/// What does not fit is refused, never cut off; what is no JSON is no record.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused() {
    use crate::source::StoreError::Broken;
    let scratch = Scratch::new().await;
    let source = scratch.opened().await;
    let table = &crate::tables::ACCESS_TOKEN;
    let longest = Row { key: vec![7; 512], indexes: vec![Some("🦀".repeat(512)), None, None], ..row("") };
    assert!(source.insert(table, longest.clone()).await.unwrap());
    assert_eq!(source.get(table, &longest.key).await, Ok(Some(longest.clone())));
    assert_eq!(source.find(table, 0, &"🦀".repeat(512), None, 9).await.unwrap().len(), 1);
    let key = Row { key: vec![7; 513], ..row("") };
    let index = Row { indexes: vec![Some("é".repeat(513)), None, None], ..row("k") };
    for long in [key, index] {
        for refused in [source.insert(table, long.clone()).await, source.replace(table, long.clone(), 1).await] {
            assert!(
                matches!(&refused, Err(Broken(why)) if why.contains("513") && why.contains("may have 512")),
                "{refused:?}"
            );
        }
    }
    assert_eq!(source.get(table, &[7; 513]).await, Ok(None));
    assert_eq!(source.find(table, 0, &"🦀".repeat(513), None, 9).await, Ok(Vec::new()));
    let none = source.insert(table, Row { record: "{".into(), ..row("k") }).await;
    assert!(matches!(&none, Err(Broken(_))), "{none:?}");
    assert_eq!(source.list(table, None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_property_store_reads_a_table_that_was_there() {
    let scratch = Scratch::new().await;
    for sql in [crate::kps::tests::OLD_TABLE, crate::kps::tests::OLD_ROWS] {
        let sql = sql.replace("{bool}", "BOOLEAN").replace("{time}", "DATETIME");
        scratch.execute(&sql.replace("{true}", "TRUE").replace("{false}", "FALSE")).await;
    }
    crate::kps::tests::reads_a_table_that_was_there(Arc::new(scratch.opened().await), false).await;
}
