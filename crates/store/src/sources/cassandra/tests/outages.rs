//! Outages: a cluster that is down, silent, or loses an answer is unavailable, and used again when it is back.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;
use crate::sources::relay::{Line, Relay, is_unavailable, recovery};
use crate::tables::ACCESS_TOKEN;

/// A source that goes through the relay.
fn source(relay: &Relay, scratch: &Scratch) -> Cassandra {
    let through = Settings { contact_points: vec![relay.address.clone()], ..settings(&scratch.name) };
    Cassandra::new("test", &through)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_unavailable_and_used_again_when_it_is_back() {
    let scratch = Scratch::new();
    let relay = Relay::to(&server()).await;
    let source = source(&relay, &scratch);
    relay.set(Line::Cut);
    is_unavailable(source.prepare().await);
    relay.set(Line::Through);
    source.prepare().await.unwrap();
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    relay.set(Line::Cut);
    // Long enough for the driver's own attempts to become rare.
    let end = Instant::now() + Duration::from_secs(6);
    while Instant::now() < end {
        is_unavailable(source.insert(&ACCESS_TOKEN, row("l")).await);
        is_unavailable(source.get(&ACCESS_TOKEN, b"k").await);
        sleep(Duration::from_millis(100)).await;
    }
    relay.set(Line::Through);
    recovery(&source).await;
    assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    // And says so: a node whose sources are not healthy gets no traffic.
    assert!(source.health().await.unwrap().schema > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_is_unavailable_within_the_limit() {
    let scratch = Scratch::new();
    let relay = Relay::to(&server()).await;
    let source = source(&relay, &scratch);
    source.prepare().await.unwrap();
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    relay.set(Line::Silent);
    for _ in 0..4 {
        let asked = tokio::time::timeout(Duration::from_secs(5), source.get(&ACCESS_TOKEN, b"k")).await;
        is_unavailable(asked.expect("an answer within the limit"));
    }
    is_unavailable(source.insert(&ACCESS_TOKEN, row("l")).await);
    relay.set(Line::Through);
    recovery(&source).await;
}

/// Carried out or not, nobody knows: the caller must not hear that it lost, which a second transaction would say.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_answer_is_lost_is_not_sent_again() {
    let scratch = Scratch::new();
    let relay = Relay::to(&server()).await;
    let source = source(&relay, &scratch);
    source.prepare().await.unwrap();
    let stored = Stored { row: row("k"), entry: b"name".to_vec() };
    // So that the statement is prepared already, and what is sent next carries it out.
    assert!(
        source
            .transact(&ACCESS_TOKEN, Kind::Insert, b"j", values(&Stored { row: row("j"), ..stored.clone() }, 0, true))
            .await
            .unwrap()
    );
    relay.set(Line::NoAnswer);
    is_unavailable(source.transact(&ACCESS_TOKEN, Kind::Insert, b"k", values(&stored, 0, true)).await);
    recovery(&source).await;
    assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_whose_answer_is_lost_is_sent_again() {
    let scratch = Scratch::new();
    let relay = Relay::to(&server()).await;
    let source = source(&relay, &scratch);
    source.prepare().await.unwrap();
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    relay.set(Line::NoAnswer);
    assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
}

/// Servers that crash may lose what they answered last, as where the commit log is written every few seconds: rows that are made
/// afterwards are in the lists all the same.
#[tokio::test(flavor = "multi_thread")]
async fn marks_that_a_crash_lost_are_written_again() {
    let scratch = Scratch::new();
    let relay = Relay::to(&server()).await;
    let source = source(&relay, &scratch);
    source.prepare().await.unwrap();
    assert!(source.insert(&ACCESS_TOKEN, row("bucket-1")).await.unwrap());
    relay.set(Line::Cut);
    is_unavailable(source.get(&ACCESS_TOKEN, b"bucket-1").await);
    scratch.execute(&format!("TRUNCATE {}.access_token", scratch.name)).await;
    scratch.execute(&format!("TRUNCATE {}.access_token_entry", scratch.name)).await;
    relay.set(Line::Through);
    recovery(&source).await;
    assert!(source.insert(&ACCESS_TOKEN, row("bucket-2")).await.unwrap());
    let keys = |rows: Vec<Row>| rows.into_iter().map(|row| row.key).collect::<Vec<_>>();
    assert_eq!(keys(source.list(&ACCESS_TOKEN, None, 9).await.unwrap()), [b"bucket-2"]);
    assert_eq!(keys(source.find(&ACCESS_TOKEN, 0, "app", None, 9).await.unwrap()), [b"bucket-2"]);
}
