//! Opening: migrations by one node and by several, without rights, on a newer schema, on somebody else's tables.

use super::*;
use crate::migration;
use crate::source::StoreError;
use crate::sources::mysql::schema::LOCK;
use crate::sources::relay::refused_login;
use crate::tables::{ACCESS_TOKEN, CLIENT};

/// Why a source cannot be opened for good.
async fn refusal(source: Mysql) -> String {
    match source.prepare().await {
        Err(StoreError::Broken(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_at_once_migrate_once() {
    let scratch = Scratch::new().await;
    let nodes: Vec<_> = (0..8)
        .map(|_| scratch.source())
        .map(|node| tokio::spawn(async move { node.prepare().await.map(|()| node) }))
        .collect();
    for (number, node) in nodes.into_iter().enumerate() {
        let node = node.await.unwrap().unwrap();
        assert!(node.insert(&ACCESS_TOKEN, row(&number.to_string())).await.unwrap());
    }
    let versions = number(&mut connect(&scratch.url).await, "SELECT COUNT(*) FROM portcullis_schema").await;
    assert_eq!(versions as usize, migration::parse(migration::MYSQL).len());
}

/// A node that waits for another one's migration sees what that one made, and makes nothing itself: it has no right to.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_waited_for_a_migration_does_not_migrate() {
    let scratch = Scratch::new().await;
    let (user, url) = scratch.user("SELECT, INSERT, UPDATE, DELETE").await;
    let mut other = connect(&scratch.url).await;
    assert_eq!(number(&mut other, LOCK).await, 1);
    let node = source(&url);
    let preparing = tokio::spawn(async move { node.prepare().await });
    let waits =
        format!("SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{user}' AND state = 'User lock'");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(7);
    while number(&mut other, &waits).await == 0 {
        assert!(std::time::Instant::now() < deadline, "it does not wait for the lock");
    }
    other.query_drop(migration::MYSQL).await.unwrap();
    other.disconnect().await.unwrap();
    assert_eq!(preparing.await.unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dba_may_run_the_schema_file_and_the_node_needs_no_right_to_make_tables() {
    let scratch = Scratch::new().await;
    let (user, url) = scratch.user("SELECT").await;
    let why = refusal(source(&url)).await;
    assert!(why.contains("stores/schema/mysql.sql") && why.contains("GRANT") && !why.contains("hunter2"), "{why}");

    scratch.execute(migration::MYSQL).await;
    let why = refusal(source(&url)).await;
    assert!(why.contains("may not be used") && why.contains("GRANT SELECT, INSERT, UPDATE, DELETE"), "{why}");

    assert!(migration::MYSQL.contains("GRANT SELECT, INSERT, UPDATE, DELETE ON"), "the schema file says how to grant");
    scratch.execute(&format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {}.* TO {user}", scratch.name)).await;
    let node = source(&url);
    node.prepare().await.unwrap();
    assert!(node.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    // Run again, it changes nothing.
    scratch.execute(migration::MYSQL).await;
    assert!(node.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused_unless_it_lets_older_programs_go_on() {
    let scratch = Scratch::new().await;
    scratch.opened().await;
    scratch.execute("INSERT INTO portcullis_schema (version, readable_by) VALUES (900, 1)").await;
    let open = scratch.opened().await;
    scratch.execute("UPDATE portcullis_schema SET readable_by = 899 WHERE version = 900").await;
    let health = open.health().await.unwrap();
    assert_eq!((health.schema, health.readable_by), (900, 899));
    let why = refusal(scratch.source()).await;
    assert!(why.contains("version 900"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_broke_off_is_run_again() {
    let scratch = Scratch::new().await;
    let (half, _) = migration::MYSQL.split_once("CREATE TABLE IF NOT EXISTS epoch").unwrap();
    scratch.execute(half.rsplit_once("\n\n").unwrap().0).await;
    let source = scratch.opened().await;
    assert_eq!(source.get(&crate::tables::EPOCH, b"k").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_table_is_refused() {
    let scratch = Scratch::new().await;
    scratch.execute("CREATE TABLE client (id int PRIMARY KEY, `key` VARBINARY(512))").await;
    let why = refusal(scratch.source()).await;
    assert!(why.contains("a table client is there and is not ours"), "{why}");
    scratch.execute("DROP TABLE client").await;
    scratch.opened().await;
    scratch.execute("ALTER TABLE client DROP COLUMN record").await;
    let why = refusal(scratch.source()).await;
    assert!(why.contains("table client has no column record longtext"), "{why}");
    scratch.execute("DROP TABLE client").await;
    let why = refusal(scratch.source()).await;
    assert!(why.contains("table client is missing"), "{why}");
}

/// What would lose rows, or find the wrong ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_another_engine_or_collation_is_refused() {
    let scratch = Scratch::new().await;
    scratch.opened().await;
    scratch.execute("ALTER TABLE access_token MODIFY subject VARCHAR(255) COLLATE utf8mb4_general_ci").await;
    let why = refusal(scratch.source()).await;
    assert!(why.contains("no column subject varchar utf8mb4_bin"), "{why}");
    scratch.execute("ALTER TABLE access_token MODIFY subject VARCHAR(512) COLLATE utf8mb4_bin").await;
    scratch.opened().await;
    scratch.execute("ALTER TABLE lease ENGINE = Aria").await;
    let why = refusal(scratch.source()).await;
    assert!(why.contains("table lease has the engine Aria, not InnoDB"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_or_database_is_named_and_no_secret_shown() {
    let scratch = Scratch::new().await;
    let why = refusal(source(&with_database(&scratch.url, "no_such_database"))).await;
    assert!(why.contains("no_such_database") && why.contains("create the database"), "{why}");
    let (_, url) = scratch.user("ALL").await;
    source(&url).prepare().await.unwrap();
    let why = refused_login(&source(&url.replace("hunter2", "hunter3"))).await;
    assert!(why.contains("mend the user or password") && !why.contains("hunter3"), "{why}");
    let shown = format!("{:?}", settings("mysql://user:hunter2@127.0.0.1/d"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_works_before_it_was_opened() {
    let scratch = Scratch::new().await;
    let source = scratch.source();
    let found = source.get(&CLIENT, b"k").await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
    source.prepare().await.unwrap();
    assert_eq!(source.get(&CLIENT, b"k").await, Ok(None));
}

/// Version, schema and clock; and that a crash may lose what was answered, where it may. One test: the setting is the server's.
#[tokio::test(flavor = "multi_thread")]
async fn health_tells_version_schema_clock_and_what_a_crash_may_lose() {
    let scratch = Scratch::new().await;
    // A zone that is none of ours changes nothing.
    let source = scratch.opened().await;
    let health = source.health().await.unwrap();
    assert!(health.version.starts_with("MariaDB 1") && !health.version.contains(';'), "{health:?}");
    assert_eq!(health.schema as usize, migration::parse(migration::MYSQL).len());
    let ours = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    assert!((health.unix_millis.unwrap() - ours).abs() < 60_000, "{health:?}");

    scratch.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 2").await;
    let unsafe_one = source.health().await.unwrap().version;
    scratch.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1").await;
    assert!(
        unsafe_one.contains("innodb_flush_log_at_trx_commit is 2") && unsafe_one.contains("may lose"),
        "{unsafe_one}"
    );
}

/// Whatever the server's defaults are.
#[tokio::test(flavor = "multi_thread")]
async fn each_connection_sets_what_the_verbs_rely_on() {
    let scratch = Scratch::new().await;
    let opts = settings(&scratch.url).url.parse().unwrap();
    let mut session = crate::sources::mysql::session::Session::open(opts).await.unwrap();
    let told: Option<(String, String, String, String, f64)> = session
        .conn
        .query_first("SELECT @@tx_isolation, @@sql_mode, @@character_set_client, @@time_zone, @@max_statement_time")
        .await
        .unwrap();
    let (isolation, mode, characters, zone, limit) = told.unwrap();
    assert_eq!(
        (isolation.as_str(), characters.as_str(), zone.as_str(), limit),
        ("READ-COMMITTED", "utf8mb4", "+00:00", 3.0)
    );
    assert!(mode.split(',').any(|one| one == "STRICT_ALL_TABLES"), "{mode}");
}

#[test]
fn settings_have_defaults_and_bounds() {
    let read = |json: &str| serde_json::from_str::<Settings>(json).map_err(|error| error.to_string());
    assert_eq!(read(r#"{"url": "mysql://u@h/d"}"#).unwrap().max_connections, 16);
    for (json, why) in [
        (r#"{"url": "mysql://u@h/d", "max_connections": 0}"#, "from 1 to 1000"),
        (r#"{"url": "mysql://u@h/d", "max_connections": 1001}"#, "from 1 to 1000"),
        (r#"{"url": "mysql://u@h/d", "max_connection": 3}"#, "unknown field"),
        (r#"{"url": "mysql://u@h/d?ssl-mode=REQUIRED"}"#, "not supported yet"),
        (r#"{"url": "postgres://u:hunter2@h/d"}"#, "cannot be read"),
        ("{}", "missing field `url`"),
    ] {
        let found = read(json).unwrap_err();
        assert!(found.contains(why) && !found.contains("hunter2"), "{json}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_holds_something_else_is_named() {
    let scratch = Scratch::new().await;
    let source = scratch.opened().await;
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    scratch.execute("ALTER TABLE access_token MODIFY record LONGTEXT NULL").await;
    scratch.execute("UPDATE access_token SET record = NULL").await;
    let found = source.get(&ACCESS_TOKEN, b"k").await;
    assert!(matches!(&found, Err(StoreError::Broken(why)) if why.contains("access_token.record")), "{found:?}");
}
