//! Opening: by several nodes, with a user's rights, on a newer schema, on somebody else's keys, on servers that cannot be used.

use super::*;
use crate::migration;
use crate::sources::relay::is_unavailable;
use crate::sources::relay::refused_login;
use crate::tables::{ACCESS_TOKEN, CLIENT};

/// Why a source cannot be opened for good.
async fn refusal(source: Redis) -> String {
    match source.prepare().await {
        Err(StoreError::Broken(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_at_once_note_the_schema_once() {
    let scratch = Scratch::new();
    let nodes: Vec<_> = (0..8)
        .map(|_| scratch.source())
        .map(|node| tokio::spawn(async move { node.prepare().await.map(|()| node) }))
        .collect();
    for (number, node) in nodes.into_iter().enumerate() {
        let node = node.await.unwrap().unwrap();
        assert!(node.insert(&CLIENT, Row { indexes: Vec::new(), ..row(&number.to_string()) }).await.unwrap());
    }
    let noted: Vec<(u32, u32)> = ask(&scratch.url, &["HGETALL", &scratch.key("{schema}")]).await;
    assert_eq!(noted, [(1, 1), (2, 1), (3, 2), (4, 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused_unless_it_lets_older_programs_go_on() {
    let scratch = Scratch::new();
    scratch.opened().await;
    let _: i64 = ask(&scratch.url, &["HSET", &scratch.key("{schema}"), "900", "1"]).await;
    let open = scratch.opened().await;
    let _: i64 = ask(&scratch.url, &["HSET", &scratch.key("{schema}"), "900", "899"]).await;
    let health = open.health().await.unwrap();
    assert_eq!((health.schema, health.readable_by), (900, 899));
    let why = refusal(scratch.source()).await;
    assert!(why.contains("version 900"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_keys_are_refused() {
    let scratch = Scratch::new();
    let _: Value = ask(&scratch.url, &["SET", &scratch.key("{client}:rows"), "theirs"]).await;
    let why = refusal(scratch.source()).await;
    assert!(why.contains("{client}:rows") || why.contains(":client}:rows is a string"), "{why}");
    let _: i64 = ask(&scratch.url, &["DEL", &scratch.key("{client}:rows")]).await;
    let _: Value = ask(&scratch.url, &["SET", &scratch.key("{schema}"), "theirs"]).await;
    let why = refusal(scratch.source()).await;
    assert!(why.contains("WRONGTYPE") && why.contains("another prefix"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_throws_keys_away_is_refused() {
    let server = Server::start(&["--maxmemory-policy", "allkeys-lru"]).await;
    let scratch = Scratch::on(&server.url);
    let why = refusal(scratch.source()).await;
    assert!(why.contains("allkeys-lru") && why.contains("maxmemory-policy noeviction"), "{why}");
    let _: Value = ask(&server.url, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    scratch.opened().await;
}

/// With the line of the schema file, and one right less.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_the_rights_of_the_schema_file_may_do_everything() {
    let server = Server::start(&["--requirepass", "root"]).await;
    let root = server.url.replace("://", "://:root@");
    let scratch = Scratch::on(&root);
    let rights = migration::REDIS.lines().find_map(|line| line.trim().strip_prefix("ACL SETUSER portcullis "));
    let rights =
        rights.unwrap().replace(">PASSWORD", ">hunter2").replace("{portcullis:", &format!("{{{}:", scratch.prefix));
    let grant = async |more: &[&str]| {
        let words: Vec<&str> =
            ["ACL", "SETUSER", "node"].into_iter().chain(rights.split(' ')).chain(more.iter().copied()).collect();
        ask::<Value>(&root, &words).await
    };
    grant(&[]).await;
    let url = server.url.replace("://", "://node:hunter2@");
    let source = scratch.source_over(&url);
    source.prepare().await.unwrap();
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    assert!(source.replace(&ACCESS_TOKEN, row("k"), 1).await.unwrap());
    assert_eq!(source.list(&ACCESS_TOKEN, None, 9).await.unwrap().len(), 1);
    assert_eq!(source.find(&ACCESS_TOKEN, 0, "app", None, 9).await.unwrap().len(), 1);
    assert_eq!(source.remove(&ACCESS_TOKEN, 0, "none", 9).await, Ok(0));
    assert_eq!(source.sweep(&ACCESS_TOKEN, 11, 9).await, Ok(1));
    assert!(source.health().await.unwrap().version.starts_with("Redis 7"));
    // A cache hears of changes.
    super::changes::node(scratch.source_over(&url)).await;
    // Each right is needed, and told when the source is opened; but for what this opening does not do (another database, a script
    // that is not known yet, a new schema, hearing of changes), and CONFIG, without which less is warned of.
    let each = rights
        .split(' ')
        .filter_map(|right| right.strip_prefix('+'))
        .filter(|right| !matches!(*right, "select" | "eval" | "hsetnx" | "client|tracking"));
    for right in each.filter(|right| !right.starts_with("config")) {
        grant(&[&format!("-{right}")]).await;
        match scratch.source_over(&url).prepare().await {
            Err(StoreError::Broken(why)) if why.contains("store schema redis") => {
                assert!(!why.contains("hunter2"), "{why}")
            }
            other => panic!("without {right}: {other:?}"),
        }
    }
    grant(&["-config|get"]).await;
    scratch.source_over(&url).prepare().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_or_database_is_named_and_no_secret_shown() {
    let server = Server::start(&["--requirepass", "root"]).await;
    for (user, remedy) in [
        ("", "user or password"),
        (":hunter2@", "user or password"),
        ("who:hunter2@", "user or password"),
        (":root@", ""),
    ] {
        let source = Redis::new("test", &settings(&server.url.replace("://", &format!("://{user}"))));
        if remedy.is_empty() {
            source.prepare().await.unwrap();
            continue;
        }
        let why = refused_login(&source).await;
        assert!(why.contains(remedy) && !why.contains("hunter2"), "{user}: {why}");
    }
    let scratch = Scratch::new();
    // A password for a server that has none.
    let why = refused_login(&scratch.source_over(&scratch.url.replace("://", "://:hunter2@"))).await;
    assert!(why.contains("user or password") && !why.contains("hunter2"), "{why}");
    let why = refusal(scratch.source_over(&format!("{}00000", scratch.url.replace("/0", "/1")))).await;
    assert!(why.contains("mend the database's number"), "{why}");
    let why = refusal(scratch.source_over("rediss://user:hunter2@127.0.0.1")).await;
    assert!(why.contains("not supported yet") && !why.contains("hunter2"), "{why}");
    let shown = format!("{:?}", settings("redis://user:hunter2@127.0.0.1"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_are_apart() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    let other = Scratch { url: scratch.url.replace("/0", "/7"), prefix: scratch.prefix.clone() };
    assert_eq!(other.opened().await.get(&ACCESS_TOKEN, b"k").await, Ok(None));
}

/// A cluster of one shard serves; on one of two, some table is elsewhere, and that is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_serves_where_it_has_one_shard() {
    let start = async || Server::start(&["--cluster-enabled", "yes"]).await;
    let (one, two) = (start().await, start().await);
    let slots = async |server: &Server, verb: &str, from: &str, to: &str| {
        ask::<Value>(&server.url, &["CLUSTER", verb, from, to]).await
    };
    let stands = async |text: &str| {
        let deadline = Instant::now() + Duration::from_secs(30);
        for server in [&one, &two] {
            while !ask::<String>(&server.url, &["CLUSTER", "INFO"]).await.contains(text) {
                assert!(Instant::now() < deadline, "the cluster does not come to {text}");
                sleep(Duration::from_millis(50)).await;
            }
        }
    };
    slots(&one, "ADDSLOTSRANGE", "0", "16383").await;
    let _: Value = ask(&one.url, &["CLUSTER", "MEET", "127.0.0.1", &two.port.to_string()]).await;
    stands("cluster_state:ok").await;
    let scratch = Scratch::on(&one.url);
    let source = scratch.opened().await;
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    assert_eq!(source.find(&ACCESS_TOKEN, 0, "app", None, 9).await.unwrap().len(), 1);
    assert_eq!(source.sweep(&ACCESS_TOKEN, 11, 9).await, Ok(1));
    let why = refusal(scratch.source_over(&two.url)).await;
    assert!(why.contains("another shard of a Redis Cluster") && why.contains("a proxy"), "{why}");
    // It loses its slots while it runs: unavailable, not wrong answers.
    slots(&one, "DELSLOTSRANGE", "0", "16383").await;
    is_unavailable(source.get(&ACCESS_TOKEN, b"k").await);
    is_unavailable(source.insert(&ACCESS_TOKEN, row("l")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_works_before_it_was_opened() {
    let scratch = Scratch::new();
    let source = scratch.source();
    is_unavailable(source.get(&CLIENT, b"k").await);
    is_unavailable(source.health().await);
    source.prepare().await.unwrap();
    assert_eq!(source.get(&CLIENT, b"k").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_version_schema_and_clock() {
    for (variable_name, name) in [("PORTCULLIS_TEST_REDIS", "Redis 7."), ("PORTCULLIS_TEST_VALKEY", "Valkey 9.")] {
        let scratch = Scratch::on(&variable(variable_name));
        let health = scratch.opened().await.health().await.unwrap();
        assert!(health.version.starts_with(name), "{health:?}");
        assert_eq!(health.schema as usize, migration::parse(migration::REDIS).len());
        let ours = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
        assert!((health.unix_millis.unwrap() - ours).abs() < 60_000, "{health:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_not_ours_is_an_error_and_not_absent() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    let key = scratch.key("{client}:row:k");
    let _: i64 = ask(&scratch.url, &["HSET", &key, "version", "one", "record", "{}"]).await;
    let found = source.get(&CLIENT, b"k").await;
    let named = "SHA-256 of its key: 8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a";
    assert!(matches!(&found, Err(StoreError::Broken(why)) if why.contains(named)), "{found:?}");
    let _: i64 = ask(&scratch.url, &["DEL", &key]).await;
    let _: Value = ask(&scratch.url, &["SET", &key, "theirs"]).await;
    let found = source.insert(&CLIENT, Row { indexes: Vec::new(), ..row("k") }).await;
    assert!(matches!(&found, Err(StoreError::Broken(why)) if why.contains("WRONGTYPE")), "{found:?}");
    // An epoch without its version would let revoked tokens live again, if it counted as none.
    let _: i64 = ask(&scratch.url, &["DEL", &key]).await;
    for field in ["version", "record"] {
        let whole = Row { indexes: Vec::new(), ..row("k") };
        assert!(source.insert(&CLIENT, whole).await.unwrap());
        let _: i64 = ask(&scratch.url, &["HDEL", &key, field]).await;
        for found in [source.get(&CLIENT, b"k").await.map(drop), source.list(&CLIENT, None, 9).await.map(drop)] {
            assert!(matches!(&found, Err(StoreError::Broken(why)) if why.contains("of ours")), "{field}: {found:?}");
        }
        let _: i64 = ask(&scratch.url, &["DEL", &key]).await;
    }
}

#[test]
fn settings_have_defaults_and_bounds() {
    let read = |json: &str| serde_json::from_str::<Settings>(json).map_err(|error| error.to_string());
    assert_eq!(read(r#"{"url": "redis://h"}"#).unwrap(), settings("redis://h"));
    for (json, why) in [
        (r#"{"url": "redis://h", "prefix": ""}"#, "1 to 64"),
        (r#"{"url": "redis://h", "prefix": "{a}"}"#, "A-Z"),
        (r#"{"url": "redis://h", "connect_timeout": "5s"}"#, "from 100ms to 3s"),
        (r#"{"url": "redis://h", "command_timeout": "1ms"}"#, "from 100ms to 3s"),
        (r#"{"url": "redis://h", "command_timeout": "soon"}"#, "a duration"),
        (r#"{"url": "redis://h", "max_connections": 3}"#, "unknown field"),
        (r#"{"url": "rediss://u:hunter2@h"}"#, "not supported yet"),
        (r#"{"url": "mysql://u:hunter2@h/d"}"#, "cannot be read"),
        ("{}", "missing field `url`"),
    ] {
        let found = read(json).unwrap_err();
        assert!(found.contains(why) && !found.contains("hunter2"), "{json}: {found}");
    }
}

#[test]
fn a_rotated_password_is_the_same_place() {
    let this = settings("redis://app:one@db.example/1");
    assert!(this.same_place(&settings("redis://dba:two@db.example:6379/1")));
    for other in ["redis://app:one@db.example/2", "redis://app:one@db2.example/1"] {
        assert!(!this.same_place(&settings(other)), "{other}");
    }
    assert!(!this.same_place(&Settings { prefix: "other".into(), ..this.clone() }));
}
