//! Outages: a cluster that is down, silent, or loses an answer is unavailable, and used again when it is back.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::*;
use crate::tables::ACCESS_TOKEN;

/// What a relay does with its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Both ways.
    Through,
    /// Every connection is closed, also those that come.
    Cut,
    /// Connections stand, nothing goes through.
    Silent,
    /// What we send arrives; the answer is dropped with the connection, once. Then it goes through.
    NoAnswer,
}

/// Stands between the source and the server.
struct Relay {
    address: String,
    line: watch::Sender<Line>,
    task: JoinHandle<()>,
}

impl Relay {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let line = watch::Sender::new(Line::Through);
        let seen = line.clone();
        let task = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                tokio::spawn(relay(near, seen.clone()));
            }
        });
        Relay { address, line, task }
    }

    fn set(&self, line: Line) {
        self.line.send_replace(line);
    }

    fn source(&self, scratch: &Scratch) -> Cassandra {
        let through = Settings { contact_points: vec![self.address.clone()], ..settings(&scratch.name) };
        Cassandra::new("test", &through)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(mut near: TcpStream, set: watch::Sender<Line>) {
    let mut line = set.subscribe();
    let mut far = TcpStream::connect(server()).await.unwrap();
    loop {
        let state = *line.borrow_and_update();
        match state {
            Line::Cut => return,
            Line::Silent => line.changed().await.unwrap(),
            Line::Through => tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => return,
                _ = line.changed() => {}
            },
            Line::NoAnswer => {
                let mut asked = vec![0; 65536];
                tokio::select! {
                    count = near.read(&mut asked) => {
                        let Ok(count @ 1..) = count else { return };
                        far.write_all(&asked[..count]).await.unwrap();
                        // Until the server has answered, so that it has carried it out.
                        let _ = far.read(&mut asked).await;
                        set.send_replace(Line::Through);
                        return;
                    }
                    _ = line.changed() => {}
                }
            }
        }
    }
}

fn is_unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
}

/// Until the source answers again.
async fn recovery(source: &Cassandra) {
    let start = Instant::now();
    while source.get(&ACCESS_TOKEN, b"k").await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(5), "not used again within 5 s");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_unavailable_and_used_again_when_it_is_back() {
    let scratch = Scratch::new();
    let relay = Relay::new().await;
    let source = relay.source(&scratch);
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_is_unavailable_within_the_limit() {
    let scratch = Scratch::new();
    let relay = Relay::new().await;
    let source = relay.source(&scratch);
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
    let relay = Relay::new().await;
    let source = relay.source(&scratch);
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
    let relay = Relay::new().await;
    let source = relay.source(&scratch);
    source.prepare().await.unwrap();
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    relay.set(Line::NoAnswer);
    assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
}
