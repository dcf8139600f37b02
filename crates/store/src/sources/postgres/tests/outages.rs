//! A server that goes away, says nothing, or answers too late; seen through a relay that the test can cut.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::source::StoreError;
use crate::sources::relay::{Line, Relay, is_unavailable, recovery};
use crate::tables::ACCESS_TOKEN;

/// A relay before the server, and the URL that leads through it.
pub(super) async fn relayed(url: &str) -> (Relay, String) {
    let server = url.split(['@', '/']).nth(3).unwrap();
    let relay = Relay::to(server).await;
    let through = url.replace(server, &relay.address);
    (relay, through)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_unavailable_at_once_and_used_again_when_it_is_back() {
    let scratch = Scratch::new().await;
    let (relay, url) = relayed(&scratch.url).await;
    let source = source(&url);
    source.prepare().await.unwrap();
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    relay.set(Line::Cut);
    // The connection may be found closed, or the statement lost on it; both are told within a second.
    for _ in 0..5 {
        let start = Instant::now();
        is_unavailable(source.insert(&ACCESS_TOKEN, row("l")).await);
        assert!(start.elapsed() < Duration::from_secs(1));
    }
    relay.set(Line::Through);
    recovery(&source).await;
    assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_is_unavailable_within_the_limit() {
    let scratch = Scratch::new().await;
    let (relay, url) = relayed(&scratch.url).await;
    let source = source(&url);
    source.prepare().await.unwrap();
    relay.set(Line::Silent);
    let start = Instant::now();
    is_unavailable(timeout(Duration::from_secs(5), source.get(&ACCESS_TOKEN, b"k")).await.unwrap());
    // From then on a new connection is asked for first, and that is told sooner.
    let again = Instant::now();
    is_unavailable(source.get(&ACCESS_TOKEN, b"k").await);
    assert!(again.elapsed() < Duration::from_millis(3500), "{:?} after {:?}", again.elapsed(), start.elapsed());
    relay.set(Line::Through);
    recovery(&source).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_do_not_storm_a_server_that_is_down() {
    let scratch = Scratch::new().await;
    let (relay, url) = relayed(&scratch.url).await;
    let source = Arc::new(source(&url));
    source.prepare().await.unwrap();
    relay.set(Line::Cut);
    is_unavailable(source.insert(&ACCESS_TOKEN, row("l")).await);
    sleep(Duration::from_millis(50)).await;
    let before = relay.attempts();
    let end = Instant::now() + Duration::from_millis(1500);
    let mut asking = JoinSet::new();
    for _ in 0..50 {
        let source = source.clone();
        asking.spawn(async move {
            let mut asked = 0u32;
            while Instant::now() < end {
                is_unavailable(source.get(&ACCESS_TOKEN, b"k").await);
                asked += 1;
                sleep(Duration::from_millis(1)).await;
            }
            asked
        });
    }
    let asked: u32 = asking.join_all().await.into_iter().sum();
    let attempts = relay.attempts() - before;
    assert!(asked > 1000, "{asked}");
    // All eight at first, before the gate is shut; then one every half second.
    assert!((1..=14).contains(&attempts), "{attempts} attempts for {asked} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_is_not_sent_again() {
    let scratch = Scratch::new().await;
    let (relay, url) = relayed(&scratch.url).await;
    let source = source(&url);
    source.prepare().await.unwrap();
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    // So that the statement is prepared already, and what is sent next carries it out.
    assert!(!source.replace(&ACCESS_TOKEN, row("k"), 7).await.unwrap());
    relay.set(Line::NoAnswer);
    // Carried out, and nobody was told: the caller must not hear that it lost, which a second one would say.
    is_unavailable(source.replace(&ACCESS_TOKEN, row("k"), 1).await);
    assert_eq!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().unwrap().version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_whose_answer_is_lost_is_sent_again() {
    let scratch = Scratch::new().await;
    let (relay, url) = relayed(&scratch.url).await;
    let source = source(&url);
    source.prepare().await.unwrap();
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    relay.set(Line::NoAnswer);
    assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_whose_connection_is_ended_is_sent_again() {
    let scratch = Scratch::new().await;
    let source = scratch.opened().await;
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    let locked = connect(&scratch.url).await;
    locked.batch_execute("BEGIN; LOCK TABLE access_token IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let source = Arc::new(source);
    let reading = tokio::spawn({
        let source = source.clone();
        async move { source.get(&ACCESS_TOKEN, b"k").await }
    });
    // The read waits for the lock; its connection is ended there.
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while locked.query_one(end, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    locked.batch_execute("ROLLBACK").await.unwrap();
    assert!(reading.await.unwrap().unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_is_given_up_and_stopped() {
    let scratch = Scratch::new().await;
    let source = scratch.opened().await;
    let locked = connect(&scratch.url).await;
    locked.batch_execute("BEGIN; LOCK TABLE access_token IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let start = Instant::now();
    is_unavailable(source.insert(&ACCESS_TOKEN, row("k")).await);
    assert!(start.elapsed() < Duration::from_secs(5));
    // Stopped at the server too: it does not insert when the lock is gone.
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while locked.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        assert!(start.elapsed() < Duration::from_secs(10), "still waiting for the lock");
        sleep(Duration::from_millis(20)).await;
    }
    locked.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(source.get(&ACCESS_TOKEN, b"k").await, Ok(None));
}

/// How many statements wait for a lock in the database.
async fn waiting(client: &tokio_postgres::Client) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_whose_caller_went_away_is_stopped() {
    let scratch = Scratch::new().await;
    let source = Postgres::new("test", &Settings { max_connections: 1, ..settings(&scratch.url) });
    source.prepare().await.unwrap();
    let locked = connect(&scratch.url).await;
    locked.batch_execute("BEGIN; LOCK TABLE access_token IN ACCESS EXCLUSIVE MODE").await.unwrap();
    assert!(timeout(Duration::from_millis(300), source.insert(&ACCESS_TOKEN, row("k"))).await.is_err());
    let start = Instant::now();
    while waiting(&locked).await > 0 {
        assert!(start.elapsed() < Duration::from_secs(5), "still waiting for the lock");
        sleep(Duration::from_millis(20)).await;
    }
    // Another table is free meanwhile, and the one connection is there for it.
    assert_eq!(source.get(&crate::tables::CLIENT, b"k").await, Ok(None));
    locked.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(source.get(&ACCESS_TOKEN, b"k").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_go_away_cost_no_connections() {
    let scratch = Scratch::new().await;
    let (relay, url) = relayed(&scratch.url).await;
    let source = Postgres::new("test", &Settings { max_connections: 2, ..settings(&url) });
    source.prepare().await.unwrap();
    for _ in 0..100 {
        // Sent, and given up before the answer can come.
        let _ = timeout(Duration::ZERO, source.get(&ACCESS_TOKEN, b"k")).await;
        assert_eq!(source.get(&ACCESS_TOKEN, b"k").await, Ok(None));
    }
    assert!(relay.attempts() <= 2);
}

/// A fail-over: the connections lead to a server that only reads, and what that one says may be long past.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_reads_is_unavailable_and_used_again_as_a_primary() {
    let scratch = Scratch::new().await;
    let source = scratch.opened().await;
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    let only_reads = async |on: &str| {
        let set = format!("ALTER DATABASE {} SET default_transaction_read_only = {on}", scratch.name);
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        scratch.execute(&format!("START TRANSACTION READ WRITE; {set}; COMMIT; {end}")).await;
    };
    only_reads("on").await;
    // The connection may be found closed first.
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let why = match source.get(&ACCESS_TOKEN, b"k").await {
            Err(StoreError::Unavailable(why)) => why,
            other => panic!("{other:?}"),
        };
        if why.contains("only") && why.contains("name the primary") {
            break;
        }
        assert!(Instant::now() < deadline, "{why}");
        sleep(Duration::from_millis(20)).await;
    }
    is_unavailable(source.health().await);
    only_reads("off").await;
    recovery(&source).await;
    assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
}
