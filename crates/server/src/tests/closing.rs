//! Listeners and connections that close: what a client has sent by then is answered.

use std::io::{Read, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use std::time::{Duration, Instant};

use super::{TestNode, read_all};

const SAY: (&str, &str) = ("policies/say.toml", "route = \"/say\"\n[[filter]]\nuse = \"say\"\ntext = \"hello\"\n");
const ASK: &[u8] = b"GET /say HTTP/1.1\r\nhost: a\r\n\r\n";

/// The kernel has accepted them and the node has not: they wait in the backlog when its socket closes.
#[tokio::test]
async fn what_waits_in_the_backlog_is_served() {
    let node = TestNode::start(&[SAY]).await;
    let address = node.running.started.listeners[0].tcp();
    // No await in between: the node's tasks have no turn before the drain begins.
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let mut client = std::net::TcpStream::connect(address).unwrap();
            client.write_all(ASK).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            client
        })
        .collect();
    node.running.drain().await;
    for mut client in clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains("connection: close\r\n") && answer.ends_with("hello"), "{answer:?}");
    }
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_request_on_its_way_to_a_connection_that_was_idle_is_answered() {
    let node = TestNode::start(&[SAY]).await;
    let mut fresh = node.connect().await;
    let mut kept = node.connect().await;
    kept.write_all(ASK).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = kept.read(&mut answer).await.unwrap();
    assert!(answer[..read].ends_with(b"hello") && !String::from_utf8_lossy(&answer[..read]).contains("close"));
    let address = node.running.started.listeners[0].tcp();
    let late = async {
        while TcpStream::connect(address).await.is_ok() {}
        for client in [&mut fresh, &mut kept] {
            client.write_all(ASK).await.unwrap();
            let answer = read_all(client).await;
            assert!(answer.contains("connection: close\r\n") && answer.ends_with("hello"), "{answer:?}");
        }
    };
    tokio::join!(node.running.drain(), late);
}

/// More than the buffers of both sides hold, sent whole before the answer is looked at.
#[tokio::test]
async fn an_answer_that_comes_before_the_body_was_read_arrives() {
    let post = ("policies/post.toml", "route = \"/post\"\n[[filter]]\nuse = \"say\"\ntext = \"no\"\n");
    let node = TestNode::start(&[post]).await;
    let body = vec![b'x'; 12_000_000];
    let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len() + 1_000_000);
    let known = format!("content-length: {}\r\n\r\n", body.len());
    // The last is refused before there is a policy for it.
    for (path, rest) in [("/post", &known), ("/post", &chunked), ("/a/../b", &known)] {
        let mut client = node.connect().await;
        client.write_all(format!("POST {path} HTTP/1.1\r\nhost: a\r\n{rest}").as_bytes()).await.unwrap();
        client.write_all(&body).await.unwrap_or_else(|why| panic!("{path} {rest:?}: {why}"));
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap_or_else(|why| panic!("{path} {rest:?}: {why}"));
        assert!(answer.starts_with("HTTP/1.1 "), "{path} {rest:?}: {answer:?}");
    }
}

/// A client that has sent all of its request may use the connection again, though nobody read the body.
#[tokio::test]
async fn what_nobody_reads_of_a_small_body_does_not_cost_the_next_request() {
    let post = ("policies/post.toml", "route = \"/post\"\n[[filter]]\nuse = \"say\"\ntext = \"no\"\n");
    let node = TestNode::start(&[SAY, post]).await;
    for path in ["/post", "/nothing"] {
        let mut client = node.connect().await;
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345");
        client.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let read = client.read(&mut answer).await.unwrap();
        assert!(!String::from_utf8_lossy(&answer[..read]).contains("connection: close"), "{path}");
        client.write_all(b"67890").await.unwrap();
        client.write_all(b"GET /say HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let next = read_all(&mut client).await;
        assert!(next.starts_with("HTTP/1.1 200 ") && next.ends_with("hello"), "{path}: {next:?}");
    }
    // Whoever waits to be told is not told to go on.
    let mut client = node.connect().await;
    client
        .write_all(b"POST /post HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n")
        .await
        .unwrap();
    let answer = read_all(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.matches("HTTP/1.1").count() == 1, "{answer:?}");
}

/// A client that keeps on sending is read for a while and not listened to: a drain does not wait for it beyond its limit.
#[tokio::test]
async fn what_is_only_discarded_does_not_hold_up_a_drain() {
    let limits = ("node.toml", "[limits]\ndrain = \"100ms\"\n");
    let node = TestNode::start(&[SAY, limits]).await;
    let mut client = node.connect().await;
    client.write_all(b"POST /nothing HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\r\nx").await.unwrap();
    assert!(client.read(&mut [0; 4096]).await.unwrap() > 0);
    let start = Instant::now();
    node.running.drain().await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

/// Nothing is waited for where all was read, or what was left could be read at once.
#[tokio::test]
async fn a_connection_with_nothing_left_to_read_closes_at_once() {
    let node = TestNode::start(&[SAY]).await;
    let start = Instant::now();
    for body in ["", "content-length: 2\r\n\r\nok"] {
        let mut client = node.connect().await;
        let close = if body.is_empty() { "connection: close\r\n\r\n" } else { "" };
        client.write_all(format!("POST /nothing HTTP/1.1\r\nhost: a\r\n{close}{body}").as_bytes()).await.unwrap();
        assert!(client.read(&mut [0; 4096]).await.unwrap() > 0);
        if !body.is_empty() {
            node.running.drain().await;
        }
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
