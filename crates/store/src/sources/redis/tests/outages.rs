//! A server that goes away, says nothing, answers too late, is full or only reads; lines are cut by a relay between.

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::sources::relay::{Line, Relay, is_unavailable, recovery};
use crate::tables::ACCESS_TOKEN;

/// A source over a relay, opened, with the row `k`.
async fn relayed(scratch: &Scratch) -> (Relay, Redis) {
    let server = scratch.url.split('/').nth(2).unwrap();
    let relay = Relay::to(server).await;
    let url = scratch.url.replace(server, &relay.address);
    let source = scratch.source_over(&url);
    source.prepare().await.unwrap();
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    (relay, source)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_cut_is_unavailable_at_once_and_used_again_when_it_is_back() {
    let scratch = Scratch::new();
    let (relay, source) = relayed(&scratch).await;
    relay.set(Line::Cut);
    for _ in 0..5 {
        let tried = timeout(Duration::from_secs(2), source.insert(&ACCESS_TOKEN, row("l"))).await;
        is_unavailable(tried.expect("it is told before any limit ends"));
    }
    relay.set(Line::Through);
    recovery(&source).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_is_unavailable_within_the_limit() {
    let scratch = Scratch::new();
    let (relay, source) = relayed(&scratch).await;
    relay.set(Line::Silent);
    for _ in 0..3 {
        is_unavailable(
            timeout(Duration::from_secs(5), source.get(&ACCESS_TOKEN, b"k")).await.expect("within the limit"),
        );
    }
    relay.set(Line::Through);
    recovery(&source).await;
    assert!(relay.attempts() > 1, "the connection that did not answer was given up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_loses_nothing_that_was_answered() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let scratch = Scratch::on(&server.url);
    let source = scratch.opened().await;
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    server.kill();
    is_unavailable(source.get(&ACCESS_TOKEN, b"k").await);
    is_unavailable(source.insert(&ACCESS_TOKEN, row("l")).await);
    server.restart().await;
    recovery(&source).await;
    // It has forgotten the scripts, too.
    assert!(source.replace(&ACCESS_TOKEN, row("k"), 1).await.unwrap());
    assert_eq!(source.find(&ACCESS_TOKEN, 0, "app", None, 9).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forgets_the_scripts_is_given_them_again() {
    let server = Server::start(&[]).await;
    let scratch = Scratch::on(&server.url);
    let source = scratch.opened().await;
    for number in 0..3 {
        let _: Value = ask(&server.url, &["SCRIPT", "FLUSH"]).await;
        assert!(source.insert(&ACCESS_TOKEN, row(&number.to_string())).await.unwrap());
        assert_eq!(source.list(&ACCESS_TOKEN, None, 9).await.unwrap().len(), number + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_do_not_storm_a_server_that_is_down() {
    let scratch = Scratch::new();
    let (relay, source) = relayed(&scratch).await;
    let source = Arc::new(source);
    relay.set(Line::Cut);
    is_unavailable(source.insert(&ACCESS_TOKEN, row("l")).await);
    is_unavailable(source.insert(&ACCESS_TOKEN, row("l")).await);
    let before = relay.attempts();
    let (start, end) = (Instant::now(), Instant::now() + Duration::from_millis(1500));
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
    let attempts = u128::from(relay.attempts() - before);
    // One every half second; a read that lost its connection asks for one more.
    let most = start.elapsed().as_millis() / 500 + 3;
    assert!(asked > 100, "{asked}");
    assert!((1..=most).contains(&attempts), "{attempts} attempts for {asked} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_is_not_sent_again() {
    let scratch = Scratch::new();
    let (relay, source) = relayed(&scratch).await;
    // So that the server knows the script, and what is sent next carries it out.
    assert!(!source.replace(&ACCESS_TOKEN, row("k"), 7).await.unwrap());
    relay.set(Line::NoAnswer);
    // Carried out, and nobody was told: the caller must not hear that it lost, which a second one would say.
    is_unavailable(source.replace(&ACCESS_TOKEN, row("k"), 1).await);
    assert_eq!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().unwrap().version, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_whose_answer_is_lost_is_sent_again() {
    let scratch = Scratch::new();
    let (relay, source) = relayed(&scratch).await;
    assert_eq!(source.list(&ACCESS_TOKEN, None, 9).await.unwrap().len(), 1);
    relay.set(Line::NoAnswer);
    assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    relay.set(Line::NoAnswer);
    assert_eq!(source.list(&ACCESS_TOKEN, None, 9).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_kept_busy_is_unavailable_and_used_again() {
    let server = Server::start(&["--busy-reply-threshold", "100"]).await;
    let scratch = Scratch::on(&server.url);
    let source = scratch.opened().await;
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    let url = server.url.clone();
    let busy = tokio::spawn(async move {
        let mut connection = connect(&url).await.unwrap();
        redis::cmd("EVAL").arg("while true do end").arg(0).query_async::<Value>(&mut connection).await
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    while source.get(&ACCESS_TOKEN, b"k").await.is_ok() {
        assert!(Instant::now() < deadline, "the server is not busy");
    }
    is_unavailable(source.insert(&ACCESS_TOKEN, row("l")).await);
    let _: Value = ask(&server.url, &["SCRIPT", "KILL"]).await;
    assert!(busy.await.unwrap().is_err());
    recovery(&source).await;
    assert_eq!(source.get(&ACCESS_TOKEN, b"l").await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_memory_refuses_writes_whole_and_lets_rows_go() {
    let server = Server::start(&[]).await;
    let scratch = Scratch::on(&server.url);
    let source = scratch.opened().await;
    for name in ["k", "l", "m"] {
        assert!(source.insert(&ACCESS_TOKEN, row(name)).await.unwrap());
    }
    let _: Value = ask(&server.url, &["CONFIG", "SET", "maxmemory", "1"]).await;
    for _ in 0..2 {
        let why = unavailable(source.insert(&ACCESS_TOKEN, row("n")).await);
        assert!(why.contains("raise its maxmemory"), "{why}");
        is_unavailable(source.replace(&ACCESS_TOKEN, row("k"), 1).await);
    }
    assert_eq!(source.list(&ACCESS_TOKEN, None, 9).await.unwrap().len(), 3);
    assert!(source.take(&ACCESS_TOKEN, b"l").await.unwrap().is_some());
    assert_eq!(source.remove(&ACCESS_TOKEN, 0, "app", 1).await, Ok(1));
    assert_eq!(source.sweep(&ACCESS_TOKEN, 11, 9).await, Ok(1));
    let _: Value = ask(&server.url, &["CONFIG", "SET", "maxmemory", "0"]).await;
    assert!(source.insert(&ACCESS_TOKEN, row("n")).await.unwrap());
}

/// A fail-over: the primary becomes a replica, and later a primary again.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_unavailable_and_used_again_as_a_primary() {
    let (server, other) = (Server::start(&[]).await, Server::start(&[]).await);
    let scratch = Scratch::on(&server.url);
    let source = scratch.opened().await;
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    let _: Value = ask(&server.url, &["REPLICAOF", "127.0.0.1", &other.port.to_string()]).await;
    let why = unavailable(source.replace(&ACCESS_TOKEN, row("k"), 1).await);
    assert!(why.contains("READONLY") && why.contains("primary"), "{why}");
    // From then on reads fail too: a replica may be late.
    let why = unavailable(source.get(&ACCESS_TOKEN, b"k").await);
    assert!(why.contains("is a replica"), "{why}");
    let why = unavailable(scratch.source().prepare().await);
    assert!(why.contains("replica"), "{why}");
    let _: Value = ask(&server.url, &["REPLICAOF", "NO", "ONE"]).await;
    let deadline = Instant::now() + Duration::from_secs(5);
    while let Err(error) = source.get(&ACCESS_TOKEN, b"k").await {
        assert!(Instant::now() < deadline, "not used again within 5 s: {error}");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(source.insert(&ACCESS_TOKEN, row("l")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_more_connections_is_unavailable() {
    let server = Server::start(&["--maxclients", "1", "--requirepass", "root"]).await;
    let url = server.url.replace("://", "://:root@");
    // The connection of the start may not be gone yet.
    let deadline = Instant::now() + Duration::from_secs(20);
    let held = loop {
        if let Ok(held) = connect(&url).await {
            break held;
        }
        assert!(Instant::now() < deadline, "no connection");
        sleep(Duration::from_millis(20)).await;
    };
    let source = Redis::new("test", &settings(&url));
    is_unavailable(source.prepare().await);
    drop(held);
    while source.prepare().await.is_err() {
        assert!(Instant::now() < deadline, "not opened");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_go_away_cost_no_connections() {
    let scratch = Scratch::new();
    let (relay, source) = relayed(&scratch).await;
    for _ in 0..100 {
        // Sent, and given up before the answer can come.
        let _ = timeout(Duration::ZERO, source.get(&ACCESS_TOKEN, b"k")).await;
        assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    }
    assert_eq!(relay.attempts(), 1);
}

/// `CONFIG SET maxmemory-policy` on a server in use: what is evicted may be that a client was revoked.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_begins_to_evict_is_not_believed_any_more() {
    let server = Server::start(&[]).await;
    let scratch = Scratch::on(&server.url);
    let source = scratch.opened().await;
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    let policy = async |policy: &str| {
        let _: Value = ask(&server.url, &["CONFIG", "SET", "maxmemory-policy", policy]).await;
    };
    policy("allkeys-lru").await;
    let why = source.health().await.unwrap_err().to_string();
    assert!(why.contains("maxmemory-policy is allkeys-lru"), "{why}");
    let why = unavailable(source.get(&ACCESS_TOKEN, b"k").await);
    assert!(why.contains("store check"), "{why}");
    policy("noeviction").await;
    source.health().await.unwrap();
    assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
}
