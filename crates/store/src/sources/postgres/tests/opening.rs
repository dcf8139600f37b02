//! Opening: migrations by one node and by several, without rights, on a newer schema, on somebody else's tables.

use super::*;
use crate::migration;
use crate::source::StoreError;
use crate::tables::{ACCESS_TOKEN, CLIENT};

/// Why a source cannot be opened for good.
async fn refusal(source: Postgres) -> String {
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
    let client = connect(&scratch.url).await;
    let versions: i64 = client.query_one("SELECT count(*) FROM portcullis_schema", &[]).await.unwrap().get(0);
    assert_eq!(versions as usize, migration::parse(migration::POSTGRES).len());
}

/// A node that waits for another one's migration sees what that one made, and makes nothing itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_waited_for_a_migration_does_not_migrate() {
    let scratch = Scratch::new().await;
    let other = connect(&scratch.url).await;
    other.batch_execute(&format!("BEGIN; {}", super::super::schema::LOCK)).await.unwrap();
    let node = scratch.source();
    let preparing = tokio::spawn(async move { node.prepare().await });
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(8);
    while other.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(std::time::Instant::now() < deadline, "it does not wait for the lock");
    }
    other.batch_execute(migration::POSTGRES).await.unwrap();
    let refuse = "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'again'; END $$; \
                  CREATE EVENT TRIGGER refuse ON ddl_command_start EXECUTE FUNCTION refuse(); COMMIT";
    other.batch_execute(refuse).await.unwrap();
    assert_eq!(preparing.await.unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dba_may_run_the_schema_file_and_the_node_needs_no_right_to_make_tables() {
    let scratch = Scratch::new().await;
    let role = format!("node_{}", scratch.name);
    scratch.execute(&format!("CREATE ROLE {role} LOGIN")).await;
    let url = scratch.url.replace("postgres@", &format!("{role}@"));

    let why = refusal(source(&url)).await;
    assert!(why.contains("stores/schema/postgres.sql") && why.contains("GRANT"), "{why}");

    scratch.execute(migration::POSTGRES).await;
    let why = refusal(source(&url)).await;
    assert!(why.contains("GRANT SELECT, INSERT, UPDATE, DELETE"), "{why}");

    let granted = format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON portcullis_schema, access_token, epoch, client, lease, node, kps, token_grant, refresh_token, authz_code, device_code, user_account, user_session, consent, signing_key, client_access_token, replay, traffic_counter TO {role}"
    );
    assert!(migration::POSTGRES.contains(granted.trim_end_matches(&role)), "the schema file says how to grant");
    scratch.execute(&granted).await;
    let node = source(&url);
    node.prepare().await.unwrap();
    assert!(node.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    // Run again, it changes nothing.
    scratch.execute(migration::POSTGRES).await;
    assert!(node.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    scratch.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused_unless_it_lets_older_programs_go_on() {
    let scratch = Scratch::new().await;
    scratch.opened().await;
    scratch.execute("INSERT INTO portcullis_schema VALUES (900, 1)").await;
    let open = scratch.opened().await;
    scratch.execute("UPDATE portcullis_schema SET readable_by = 899 WHERE version = 900").await;
    let health = open.health().await.unwrap();
    assert_eq!((health.schema, health.readable_by), (900, 899));
    let why = refusal(scratch.source()).await;
    assert!(why.contains("version 900"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_table_is_refused() {
    let scratch = Scratch::new().await;
    scratch.execute("CREATE TABLE client (id int PRIMARY KEY, key bytea)").await;
    let why = refusal(scratch.source()).await;
    assert!(why.contains("a table client is there and is not ours"), "{why}");
    scratch.execute("DROP TABLE client").await;
    scratch.opened().await;
    scratch.execute("ALTER TABLE client DROP COLUMN record").await;
    let why = refusal(scratch.source()).await;
    assert!(why.contains("table client has no column record jsonb"), "{why}");
    scratch.execute("DROP TABLE client").await;
    let why = refusal(scratch.source()).await;
    assert!(why.contains("table client is missing"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_hold_all_characters_is_refused() {
    let scratch = Scratch::new().await;
    let latin = format!("{}_latin", scratch.name);
    scratch
        .execute(&format!("CREATE DATABASE {latin} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"))
        .await;
    let why = refusal(source(&with_database(&scratch.url, &latin))).await;
    scratch.execute(&format!("DROP DATABASE {latin} WITH (FORCE)")).await;
    assert!(why.contains("LATIN1") && why.contains("UTF8"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_or_database_is_named_and_no_secret_shown() {
    let scratch = Scratch::new().await;
    let why = refusal(source(&with_database(&scratch.url, "no_such_database"))).await;
    assert!(why.contains("no_such_database") && why.contains("create the database"), "{why}");
    let why = refusal(source("postgres://user:hunter2@127.0.0.1/d?sslmode=require")).await;
    assert!(why.contains("not supported yet") && !why.contains("hunter2"), "{why}");
    let shown = format!("{:?}", settings("postgres://user:hunter2@127.0.0.1/d"));
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

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_version_schema_and_clock() {
    let scratch = Scratch::new().await;
    let source = scratch.opened().await;
    let health = source.health().await.unwrap();
    assert!(health.version.starts_with("PostgreSQL 1"), "{health:?}");
    assert_eq!(health.schema as usize, migration::parse(migration::POSTGRES).len());
    let ours = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    assert!((health.unix_millis.unwrap() - ours).abs() < 60_000, "{health:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nul_character_is_refused_by_name() {
    let scratch = Scratch::new().await;
    let source = scratch.opened().await;
    let nul = Row { indexes: vec![Some("a\0b".into()), None, None], ..row("k") };
    let refused = source.insert(&ACCESS_TOKEN, nul).await;
    assert!(matches!(&refused, Err(StoreError::Broken(why)) if why.contains("NUL")), "{refused:?}");
    let refused = source.insert(&ACCESS_TOKEN, Row { record: r#""\u0000""#.into(), ..row("k") }).await;
    assert!(matches!(&refused, Err(StoreError::Broken(why)) if why.contains("NUL")), "{refused:?}");
    assert_eq!(source.find(&ACCESS_TOKEN, 0, "a\0b", None, 9).await, Ok(Vec::new()));
    assert_eq!(source.remove(&ACCESS_TOKEN, 0, "a\0b", 9).await, Ok(0));
}

#[test]
fn settings_have_defaults_and_bounds() {
    let read = |json: &str| serde_json::from_str::<Settings>(json).map_err(|error| error.to_string());
    let plain = read(r#"{"url": "postgres://u@h/d"}"#).unwrap();
    assert_eq!((plain.max_connections, plain.prepared_statements), (16, None));
    for (json, why) in [
        (r#"{"url": "postgres://u@h/d", "max_connections": 0}"#, "from 1 to 1000"),
        (r#"{"url": "postgres://u@h/d", "max_connections": 1001}"#, "from 1 to 1000"),
        (r#"{"url": "postgres://u@h/d", "max_connection": 3}"#, "unknown field"),
        (r#"{"url": "postgres://u@h/d?sslmode=require"}"#, "not supported yet"),
        (r#"{"url": "mysql://u:hunter2@h/d"}"#, "cannot be read"),
        ("{}", "missing field `url`"),
    ] {
        let found = read(json).unwrap_err();
        assert!(found.contains(why) && !found.contains("hunter2"), "{json}: {found}");
    }
}
