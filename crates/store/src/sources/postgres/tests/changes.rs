//! Caches over one server: what one node changes, another forgets, over PgBouncer too; and what happens while nobody tells.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::outages::relayed;
use super::*;
use crate::cached::{CacheSettings, Cached};
use crate::source::Table;
use crate::sources::relay::Line;
use crate::tables::{ACCESS_TOKEN, KPS};

/// Longer than any test: what is forgotten was told.
const LONG: CacheSettings = CacheSettings { entries: 1000, max_age: Duration::from_secs(3600) };

/// A node with a cache, which is up.
async fn node(settings: &Settings) -> Arc<Cached> {
    let node = unheard(settings).await;
    until("the channel is up", async || node.in_use()).await;
    node
}

/// A node with a cache that has asked for the channel.
async fn unheard(settings: &Settings) -> Arc<Cached> {
    let source = Postgres::new("test", settings);
    source.prepare().await.unwrap();
    let node = Arc::new(Cached::new(Arc::new(source), LONG, &[&ACCESS_TOKEN, &KPS]));
    assert_eq!(node.get(&ACCESS_TOKEN, b"nothing").await, Ok(None));
    node
}

/// Waits for a condition; the limit is against a hang.
pub(super) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
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
    Row { indexes, record: format!("\"{text}\""), ..row(key) }
}

async fn says(node: &Cached, table: &'static Table, key: &str) -> Option<String> {
    node.get(table, key.as_bytes()).await.unwrap().map(|row| row.record.trim_matches('"').to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_changes_others_forget() {
    let scratch = Scratch::new().await;
    let settings = settings(&scratch.url);
    // The one that writes has no cache, as a command has none.
    let (writer, reader) = (scratch.opened().await, node(&settings).await);
    for table in [&ACCESS_TOKEN, &KPS] {
        for key in ["replaced", "taken", "removed", "left"] {
            assert_eq!(writer.insert(table, saying(table, key, "first")).await, Ok(true));
            assert_eq!(says(&reader, table, key).await.as_deref(), Some("first"));
        }
        assert_eq!(writer.replace(table, saying(table, "replaced", "second"), 1).await, Ok(true));
        until("the replaced row", async || says(&reader, table, "replaced").await.as_deref() == Some("second")).await;
        assert!(writer.take(table, b"taken").await.unwrap().is_some());
        until("the taken row", async || says(&reader, table, "taken").await.is_none()).await;
        scratch.execute(&format!("UPDATE {} SET record = '\"by hand\"'", table.name)).await;
        assert_eq!(says(&reader, table, "left").await.as_deref(), Some("first"), "it is read from the cache");
        assert_eq!(writer.remove(table, 0, "app", 9).await, Ok(3));
        until("the removed rows", async || says(&reader, table, "removed").await.is_none()).await;
        assert_eq!(says(&reader, table, "left").await, None);
    }
}

/// A change that was not made tells nothing: a compare and swap that lost, a take of nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_changed_is_not_told() {
    let scratch = Scratch::new().await;
    let (writer, reader) = (scratch.opened().await, node(&settings(&scratch.url)).await);
    for key in ["a", "z"] {
        assert_eq!(writer.insert(&ACCESS_TOKEN, saying(&ACCESS_TOKEN, key, "first")).await, Ok(true));
        assert_eq!(says(&reader, &ACCESS_TOKEN, key).await.as_deref(), Some("first"));
    }
    assert_eq!(writer.replace(&ACCESS_TOKEN, saying(&ACCESS_TOKEN, "a", "second"), 7).await, Ok(false));
    assert_eq!(writer.take(&ACCESS_TOKEN, b"b").await, Ok(None));
    assert_eq!(writer.remove(&ACCESS_TOKEN, 0, "nobody", 9).await, Ok(0));
    assert_eq!(writer.insert(&ACCESS_TOKEN, saying(&ACCESS_TOKEN, "c", "first")).await, Ok(true));
    // Told after all of these.
    assert_eq!(writer.replace(&ACCESS_TOKEN, saying(&ACCESS_TOKEN, "z", "second"), 1).await, Ok(true));
    until("the last change", async || says(&reader, &ACCESS_TOKEN, "z").await.as_deref() == Some("second")).await;
    assert_eq!(reader.counters().invalidations.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_pooler_changes_are_heard_over_listen_url() {
    let scratch = Scratch::new().await;
    let pooled = settings(&scratch.pooled());
    let past = Settings { listen_url: Some(settings(&scratch.url).url), ..pooled.clone() };
    let (writer, reader) = (unheard(&pooled).await, node(&past).await);
    assert_eq!(writer.insert(&ACCESS_TOKEN, saying(&ACCESS_TOKEN, "k", "first")).await, Ok(true));
    assert_eq!(says(&reader, &ACCESS_TOKEN, "k").await.as_deref(), Some("first"));
    assert_eq!(says(&writer, &ACCESS_TOKEN, "k").await.as_deref(), Some("first"));
    // The pooler delivers no notices, and is noticed: that node's cache is left aside, and nothing in it is old.
    assert!(!writer.in_use());
    assert_eq!(writer.replace(&ACCESS_TOKEN, saying(&ACCESS_TOKEN, "k", "second"), 1).await, Ok(true));
    until("the change", async || says(&reader, &ACCESS_TOKEN, "k").await.as_deref() == Some("second")).await;
    assert_eq!(reader.replace(&ACCESS_TOKEN, saying(&ACCESS_TOKEN, "k", "third"), 2).await, Ok(true));
    assert_eq!(says(&writer, &ACCESS_TOKEN, "k").await.as_deref(), Some("third"));
    assert!(reader.in_use() && !writer.in_use());
}

/// `listen_url` names the right server and another database: nothing would ever be heard.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_to_another_database_is_noticed() {
    let (scratch, other) = (Scratch::new().await, Scratch::new().await);
    let listening = Settings { listen_url: Some(settings(&other.url).url), ..settings(&scratch.url) };
    let source = Postgres::new("test", &listening);
    source.prepare().await.unwrap();
    let why = source.listener.listen().await.unwrap_err().to_string();
    assert!(why.contains("let `listen_url` name the same database"), "{why}");
}

/// The channel is cut, or leads nowhere; requests go on over their own connections.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_channel_is_lost_nothing_old_is_believed() {
    let scratch = Scratch::new().await;
    let (relay, cut) = relayed(&scratch.url).await;
    let listening = Settings { listen_url: Some(settings(&cut).url), ..settings(&scratch.url) };
    let (writer, reader) = (scratch.opened().await, node(&listening).await);
    assert_eq!(writer.insert(&ACCESS_TOKEN, saying(&ACCESS_TOKEN, "k", "0")).await, Ok(true));
    for (round, line) in [(1, Line::Cut), (3, Line::Silent)] {
        until("remembered", async || {
            let hits = reader.counters().hits.load(Ordering::Relaxed);
            says(&reader, &ACCESS_TOKEN, "k").await.is_some() && reader.counters().hits.load(Ordering::Relaxed) > hits
        })
        .await;
        relay.set(line);
        until("the loss is noticed", async || !reader.in_use()).await;
        let text = round.to_string();
        assert_eq!(writer.replace(&ACCESS_TOKEN, saying(&ACCESS_TOKEN, "k", &text), round).await, Ok(true));
        assert_eq!(says(&reader, &ACCESS_TOKEN, "k").await, Some(text));
        relay.set(Line::Through);
        until("the channel is up again", async || reader.in_use()).await;
        let text = (round + 1).to_string();
        assert_eq!(writer.replace(&ACCESS_TOKEN, saying(&ACCESS_TOKEN, "k", &text), round + 1).await, Ok(true));
        until("it tells again", async || says(&reader, &ACCESS_TOKEN, "k").await.as_ref() == Some(&text)).await;
    }
}

/// The connection goes with the last cache.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_for_nobody() {
    let scratch = Scratch::new().await;
    // With one connection for what is asked, however much of it is asked at once.
    let settings = Settings { max_connections: 1, ..settings(&scratch.url) };
    let client = connect(&scratch.url).await;
    let listening = async || -> i64 {
        // Not the server's own workers, such as the one that vacuums.
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
                   AND backend_type = 'client backend'";
        client.query_one(sql, &[]).await.unwrap().get(0)
    };
    let opened = scratch.opened().await;
    assert_eq!(opened.get(&ACCESS_TOKEN, b"k").await, Ok(None));
    // What was closed a moment ago the server still shows until its process has ended.
    until("without a cache nobody listens", async || listening().await == 1).await;
    let reader = node(&settings).await;
    until("a cache has a connection to listen on", async || listening().await == 3).await;
    drop(reader);
    until("the channel has ended", async || listening().await == 1).await;
}
