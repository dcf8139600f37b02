//! Opening: migrations by one node and by several, without rights, on a newer schema, on somebody else's tables.

use super::*;
use crate::sources::relay::refused_login;
use crate::tables::{ACCESS_TOKEN, CLIENT};

/// Why a source cannot be opened for good.
async fn refusal(settings: &Settings) -> String {
    match Cassandra::new("test", settings).prepare().await {
        Err(StoreError::Broken(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_at_once_migrate_once() {
    let scratch = Scratch::new();
    let nodes: Vec<_> = (0..6)
        .map(|_| scratch.source())
        .map(|node| tokio::spawn(async move { node.prepare().await.map(|()| node) }))
        .collect();
    let mut opened = Vec::new();
    for node in nodes {
        opened.push(node.await.unwrap().unwrap());
    }
    for (number, node) in opened.iter().enumerate() {
        assert!(node.insert(&ACCESS_TOKEN, row(&number.to_string())).await.unwrap());
    }
    for node in &opened {
        assert_eq!(node.list(&ACCESS_TOKEN, None, 99).await.unwrap().len(), opened.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyspace_that_is_not_there_is_made_only_where_the_settings_say_how() {
    let scratch = Scratch::new();
    let without = Settings { replication: None, ..settings(&scratch.name) };
    let why = refusal(&without).await;
    assert!(why.contains("CREATE KEYSPACE") && why.contains(&scratch.name), "{why}");
    scratch.opened().await;
    let replication = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let found = scratch.ask(replication, (&scratch.name,)).await;
    assert!(format!("{found:?}").contains("NetworkTopologyStrategy"), "{found:?}");
    // From then on the setting is not looked at: what is there stays as a DBA made it.
    Cassandra::new("test", &without).prepare().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dba_may_run_the_schema_file_and_the_node_needs_no_right_to_make_tables() {
    let scratch = Scratch::new();
    let role = format!("node_{}", scratch.name);
    scratch.execute(&format!("CREATE ROLE {role} WITH PASSWORD = 'p' AND LOGIN = true")).await;
    let theirs = Settings {
        user: Some(role.clone()),
        password: Some(Password::new(Secret::new("p".to_owned()))),
        ..settings(&scratch.name)
    };
    let why = refusal(&theirs).await;
    assert!(why.contains("may not make the keyspace"), "{why}");

    let class = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
    scratch.execute(&format!("CREATE KEYSPACE {} WITH replication = {class}", scratch.name)).await;
    let why = refusal(&theirs).await;
    assert!(why.contains("stores/schema/cassandra.cql") && why.contains("GRANT"), "{why}");

    scratch.run_schema_file().await;
    let why = refusal(&theirs).await;
    assert!(why.contains("GRANT SELECT"), "{why}");
    scratch.execute(&format!("GRANT SELECT ON KEYSPACE {} TO {role}", scratch.name)).await;
    let why = refusal(&theirs).await;
    assert!(why.contains("GRANT SELECT and MODIFY"), "{why}");
    scratch.execute(&format!("GRANT MODIFY ON KEYSPACE {} TO {role}", scratch.name)).await;

    let node = Cassandra::new("test", &theirs);
    node.prepare().await.unwrap();
    assert!(node.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    // Run again, it changes nothing.
    scratch.run_schema_file().await;
    assert!(node.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    scratch.execute(&format!("DROP ROLE {role}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused_unless_it_lets_older_programs_go_on() {
    let scratch = Scratch::new();
    scratch.opened().await;
    let note = |readable: i32| {
        format!("INSERT INTO {}.portcullis_schema (version, readable_by) VALUES (900, {readable})", scratch.name)
    };
    scratch.execute(&note(1)).await;
    let open = scratch.opened().await;
    scratch.execute(&note(899)).await;
    let health = open.health().await.unwrap();
    assert_eq!((health.schema, health.readable_by), (900, 899));
    let why = refusal(&settings(&scratch.name)).await;
    assert!(why.contains("version 900"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_table_is_refused() {
    let scratch = Scratch::new();
    let class = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
    scratch.execute(&format!("CREATE KEYSPACE {} WITH replication = {class}", scratch.name)).await;
    scratch.execute(&format!("CREATE TABLE {}.client (id int PRIMARY KEY, key blob)", scratch.name)).await;
    let why = refusal(&settings(&scratch.name)).await;
    assert!(why.contains("a table client is there and is not ours"), "{why}");
    scratch.execute(&format!("DROP TABLE {}.client", scratch.name)).await;
    scratch.opened().await;
    scratch.execute(&format!("ALTER TABLE {}.client DROP record", scratch.name)).await;
    let why = refusal(&settings(&scratch.name)).await;
    assert!(why.contains("table client has no column record text"), "{why}");
    scratch.execute(&format!("DROP TABLE {}.client", scratch.name)).await;
    let why = refusal(&settings(&scratch.name)).await;
    assert!(why.contains("table client is missing"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_role_or_datacenter_is_named_and_no_secret_shown() {
    let scratch = Scratch::new();
    let wrong =
        Settings { password: Some(Password::new(Secret::new("hunter2".to_owned()))), ..settings(&scratch.name) };
    let why = refused_login(&Cassandra::new("test", &wrong)).await;
    assert!(why.contains("`user` or `password`") && !why.contains("hunter2"), "{why}");
    let why = refusal(&Settings { user: None, password: None, ..settings(&scratch.name) }).await;
    assert!(why.contains("write `user` and `password`"), "{why}");
    let why = refusal(&Settings { datacenter: Some("dc9".into()), ..settings(&scratch.name) }).await;
    assert!(why.contains("no datacenter `dc9`") && why.contains("datacenter1"), "{why}");
    let right = Settings {
        datacenter: Some("datacenter1".into()),
        consistency: Consistency::Quorum,
        ..settings(&scratch.name)
    };
    let source = Cassandra::new("test", &right);
    source.prepare().await.unwrap();
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
}

/// The replicas are in another datacenter than the one that is asked: not a "no", and the message says where to look.
#[tokio::test(flavor = "multi_thread")]
async fn too_few_replicas_are_unavailable() {
    let scratch = Scratch::new();
    let class = "{'class': 'NetworkTopologyStrategy', 'datacenter1': 3}";
    scratch.execute(&format!("CREATE KEYSPACE {} WITH replication = {class}", scratch.name)).await;
    let found = scratch.source().prepare().await;
    assert!(matches!(&found, Err(StoreError::Unavailable(why)) if why.contains("too few replicas")), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_works_before_it_was_opened() {
    let scratch = Scratch::new();
    let source = scratch.source();
    let found = source.get(&CLIENT, b"k").await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
    source.prepare().await.unwrap();
    assert_eq!(source.get(&CLIENT, b"k").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_version_schema_and_clock() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    let health = source.health().await.unwrap();
    assert!(health.version.starts_with("Cassandra 5."), "{health:?}");
    assert_eq!(health.schema as usize, migration::parse(migration::CASSANDRA).len());
    let ours = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    assert!((health.unix_millis.unwrap() - ours).abs() < 60_000, "{health:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_bytes_is_refused_by_name() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    let refused = source.insert(&CLIENT, Row { indexes: Vec::new(), ..row("") }).await;
    assert!(matches!(&refused, Err(StoreError::Broken(why)) if why.contains("at least one byte")), "{refused:?}");
    assert_eq!(source.get(&CLIENT, b"").await, Ok(None));
    assert_eq!(source.take(&CLIENT, b"").await, Ok(None));
}

/// A row that somebody changed by hand is refused and named; a table that is gone is found by a probe, that of the entries too.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_or_dropped_is_told() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    scratch.execute(&format!("UPDATE {}.access_token SET record = null WHERE key = 0x6b", scratch.name)).await;
    let found = source.get(&ACCESS_TOKEN, b"k").await;
    let named = "SHA-256 of its key: 8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a";
    assert!(matches!(&found, Err(StoreError::Broken(why)) if why.contains(named)), "{found:?}");
    assert_eq!(
        crate::source::probe(&source, &ACCESS_TOKEN).await,
        Ok(()),
        "one damaged row says nothing of the others"
    );
    scratch.execute(&format!("DROP TABLE {}.access_token_entry", scratch.name)).await;
    let gone = crate::source::probe(&source, &ACCESS_TOKEN).await;
    assert!(gone.as_ref().is_err_and(|why| why.to_string().contains("access_token_entry")), "{gone:?}");
}
