//! Caches over one server: what one node changes, another forgets; and what happens while nobody tells.

use std::sync::atomic::Ordering;

use tokio::time::timeout;

use super::*;
use crate::cached::{CacheSettings, Cached};
use crate::source::Table;
use crate::sources::relay::is_unavailable;
use crate::tables::{ACCESS_TOKEN, KPS};

/// Longer than any test: what is forgotten was told.
const LONG: CacheSettings = CacheSettings { entries: 1000, max_age: Duration::from_secs(3600) };

/// A node with a cache that has asked for the channel.
async fn unheard(source: Redis) -> Cached {
    source.prepare().await.unwrap();
    let node = Cached::new(Arc::new(source), LONG, &[&ACCESS_TOKEN, &KPS]);
    assert_eq!(node.get(&ACCESS_TOKEN, b"nothing").await, Ok(None));
    node
}

/// One whose channel is up.
pub(super) async fn node(source: Redis) -> Cached {
    let node = unheard(source).await;
    until("the channel is up", async || node.in_use()).await;
    node
}

/// Waits for a condition; the limit is against a hang.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let met = async {
        while !condition().await {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(30), met).await.unwrap_or_else(|_| panic!("{what}: not within 30 s"));
}

fn saying(table: &'static Table, key: &str, text: &str) -> Row {
    let mut indexes = vec![None; table.indexes.len()];
    indexes[0] = Some(String::from("app"));
    Row { indexes, expires_at: None, record: format!("\"{text}\""), ..row(key) }
}

async fn says(node: &Cached, table: &'static Table, key: &str) -> Option<String> {
    node.get(table, key.as_bytes()).await.unwrap().map(|row| row.record.trim_matches('"').to_owned())
}

/// Reads until the row comes from the cache.
async fn remembered(node: &Cached, table: &'static Table, key: &str) {
    until("remembered", async || {
        let hits = node.counters().hits.load(Ordering::Relaxed);
        says(node, table, key).await.is_some() && node.counters().hits.load(Ordering::Relaxed) > hits
    })
    .await;
}

async fn changes_are_told(scratch: &Scratch) {
    // The one that writes has no cache, as a command has none.
    let (writer, reader) = (scratch.opened().await, node(scratch.source()).await);
    for table in [&ACCESS_TOKEN, &KPS] {
        for key in ["replaced", "taken", "removed", "by hand"] {
            assert_eq!(writer.insert(table, saying(table, key, "first")).await, Ok(true));
            remembered(&reader, table, key).await;
        }
        assert_eq!(writer.replace(table, saying(table, "replaced", "second"), 1).await, Ok(true));
        until("the replaced row", async || says(&reader, table, "replaced").await.as_deref() == Some("second")).await;
        assert!(writer.take(table, b"taken").await.unwrap().is_some());
        until("the taken row", async || says(&reader, table, "taken").await.is_none()).await;
        let key = scratch.key(&format!("{{{}}}:row:by hand", table.name));
        assert_eq!(ask::<i64>(&scratch.url, &["HSET", &key, "record", "\"second\""]).await, 0);
        until("what a person changed", async || says(&reader, table, "by hand").await.as_deref() == Some("second"))
            .await;
        assert_eq!(writer.remove(table, 0, "app", 9).await, Ok(3));
        until("the removed rows", async || says(&reader, table, "removed").await.is_none()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_changes_others_forget() {
    changes_are_told(&Scratch::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_valkey_too() {
    changes_are_told(&Scratch::on(&variable("PORTCULLIS_TEST_VALKEY"))).await;
}

/// With a password, with the channel ended by the server, with the server gone; and all keys deleted at once.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_channel_is_lost_nothing_old_is_believed() {
    let mut server = Server::start(&["--requirepass", "geheim", "--appendonly", "yes"]).await;
    let url = server.url.replace("redis://", "redis://:geheim@");
    let open = || Redis::new("test", &settings(&url));
    let reader = node(open()).await;
    assert_eq!(reader.insert(&ACCESS_TOKEN, saying(&ACCESS_TOKEN, "k", "1")).await, Ok(true));
    remembered(&reader, &ACCESS_TOKEN, "k").await;
    // Every connection is ended; requests open theirs anew, and so does the channel.
    let writer = open();
    writer.prepare().await.unwrap();
    let _: i64 = ask(&url, &["CLIENT", "KILL", "TYPE", "normal"]).await;
    until("a write", async || writer.replace(&ACCESS_TOKEN, saying(&ACCESS_TOKEN, "k", "2"), 1).await == Ok(true))
        .await;
    until("the row is read anew", async || {
        let read = reader.get(&ACCESS_TOKEN, b"k").await;
        read.is_ok_and(|row| row.is_some_and(|row| row.record == "\"2\""))
    })
    .await;
    until("the channel is up again", async || reader.in_use()).await;
    remembered(&reader, &ACCESS_TOKEN, "k").await;
    server.kill();
    until("the loss is noticed", async || !reader.in_use()).await;
    is_unavailable(reader.get(&ACCESS_TOKEN, b"k").await);
    server.restart().await;
    until("the channel is up again", async || reader.in_use()).await;
    // Requests have a connection of their own, which is tried again half a second after an attempt failed.
    until("rows are read again", async || reader.get(&ACCESS_TOKEN, b"k").await.is_ok()).await;
    remembered(&reader, &ACCESS_TOKEN, "k").await;
    let _: Value = ask(&url, &["FLUSHDB"]).await;
    until("all keys are gone", async || says(&reader, &ACCESS_TOKEN, "k").await.is_none()).await;
}

/// A user without the right to be told: everything works, and nothing is remembered.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_be_told_nothing_is_remembered() {
    let server = Server::start(&[]).await;
    let words = ["ACL", "SETUSER", "node", "on", ">geheim", "~*", "+@all", "-client|tracking"];
    let _: Value = ask(&server.url, &words).await;
    let source = Redis::new("test", &settings(&server.url.replace("redis://", "redis://node:geheim@")));
    let node = unheard(source).await;
    assert_eq!(node.insert(&ACCESS_TOKEN, saying(&ACCESS_TOKEN, "k", "1")).await, Ok(true));
    for _ in 0..3 {
        assert_eq!(says(&node, &ACCESS_TOKEN, "k").await.as_deref(), Some("1"));
    }
    assert!(!node.in_use());
    assert_eq!(node.counters().hits.load(Ordering::Relaxed), 0);
}
