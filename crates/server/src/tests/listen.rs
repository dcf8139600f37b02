//! Requests as clients send them, good and bad.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{TestNode, eventually, read_all, status};

const ECHO: (&str, &str) = ("policies/echo.toml", "route = \"/echo/**\"\n[[filter]]\nuse = \"echo\"\n");

fn say(text: &str) -> String {
    format!("route = \"GET /say\"\n[[filter]]\nuse = \"say\"\ntext = \"{text}\"\n")
}

#[tokio::test]
async fn a_request_is_served() {
    let node = TestNode::start(&[("policies/say.toml", &say("hello"))]).await;
    let answer = node.get("/say").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    assert!(answer.contains("\r\ndate: ") && answer.contains("\r\ncontent-length: 5\r\n"), "{answer}");
    assert!(!answer.contains("portcullis-generation"), "only with [debug]: {answer}");
    assert_eq!(status(&node.get("/nothing").await), "404");
    let head = node.raw("HEAD /say HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn what_the_engine_sees_is_clean() {
    let node = TestNode::start(&[ECHO]).await;
    let answer = node
        .raw(
            "POST /echo//%7ex HTTP/1.1\r\nHost: A.example\r\nX-Forwarded-For: 1.1.1.1\r\nForwarded: for=1\r\nTE: gzip\r\n\
             Connection: close, X-Mine\r\nX-Mine: 1\r\nX-Kept: 1\r\nContent-Length: 4\r\n\r\nbody",
        )
        .await;
    assert!(answer.contains("x-seen: POST /echo/~x a.example\r\n"), "{answer}");
    assert!(answer.contains("x-names: host,x-kept,content-length\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nbody"), "{answer}");
}

#[tokio::test]
async fn malformed_requests_are_answered_and_never_served() {
    let node = TestNode::start(&[ECHO]).await;
    let large = format!("GET /echo/ HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    let many = format!("GET /echo/ HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(200));
    for (request, expected) in [
        ("GET /echo/ HTTP/1.1\r\n\r\n", "400"),
        ("GET /echo/ HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", "400"),
        ("GET /echo/../x HTTP/1.1\r\nhost: a\r\n\r\n", "400"),
        ("GET /echo/%2e%2e/x HTTP/1.1\r\nhost: a\r\n\r\n", "400"),
        ("GET /echo/..;/x HTTP/1.1\r\nhost: a\r\n\r\n", "400"),
        ("GET /echo/%00 HTTP/1.1\r\nhost: a\r\n\r\n", "400"),
        ("GET /echo/ HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n", "400"),
        ("GET /echo/ HTTP/1.1\r\nhost: a\r\n x: folded\r\n\r\n", "400"),
        ("POST /echo/ HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", "400"),
        ("POST /echo/ HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n", "400"),
        ("POST /echo/ HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"),
        ("CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n", "501"),
        (&large, "431"),
        (&many, "431"),
    ] {
        let shown = &request[..request.len().min(60)];
        let mut stream = node.connect().await;
        // The node may close before it has read all of it.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = vec![0; 1024];
        let read = stream.read(&mut answer).await.unwrap_or(0);
        assert_eq!(status(&String::from_utf8_lossy(&answer[..read])), expected, "{shown:?}");
    }
    assert_eq!(status(&node.get("/echo/").await), "200", "the node goes on");
}

#[tokio::test]
async fn two_framings_are_never_both_believed() {
    let node = TestNode::start(&[ECHO]).await;
    let answer = node
        .raw(
            "POST /echo/ HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n\
             5\r\nabcde\r\n0\r\n\r\nGET /echo/smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
        )
        .await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "the connection closes after the answer: {answer}");
    assert!(answer.contains("abcde"), "{answer}");
}

#[tokio::test]
async fn connections_are_kept_and_requests_may_come_in_a_row() {
    let node = TestNode::start(&[ECHO]).await;
    let one = "GET /echo/1 HTTP/1.1\r\nhost: a\r\n\r\n";
    let last = "GET /echo/3 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = node.raw(&format!("{one}{one}{last}")).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_node_goes_on() {
    let node =
        TestNode::start(&[ECHO, ("policies/panic.toml", "route = \"/panic\"\n[[filter]]\nuse = \"panic\"\n")]).await;
    let answer = node.get("/panic").await;
    assert_eq!(status(&answer), "500");
    assert!(!answer.contains("on purpose"), "{answer}");
    assert_eq!(node.running.node.metrics.panics.load(Ordering::Relaxed), 1);
    assert_eq!(status(&node.get("/echo/").await), "200");
}

#[tokio::test]
async fn a_drain_answers_what_has_begun_and_takes_nothing_new() {
    let policy =
        "route = \"/slow\"\n[[filter]]\nuse = \"sleep\"\nmillis = 300\n[[filter]]\nuse = \"say\"\ntext = \"done\"\n";
    let node = TestNode::start(&[("policies/slow.toml", policy)]).await;
    let mut busy = node.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut idle = node.connect().await;
    eventually("both connections are open", async || {
        node.running.node.listeners.open().iter().map(|(_, _, open)| open).sum::<usize>() == 2
    })
    .await;
    let address = node.running.started.listeners[0].tcp();
    let ((), busy, idle) = tokio::join!(node.running.drain(), read_all(&mut busy), read_all(&mut idle));
    assert!(busy.contains("connection: close\r\n") && busy.ends_with("done"), "{busy}");
    assert_eq!(idle, "");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

fn unanswered(node: &TestNode) -> (u64, u64) {
    let metrics = &node.running.node.metrics;
    (metrics.clients_gone.load(Ordering::Relaxed), metrics.cut_off.load(Ordering::Relaxed))
}

/// Neither is answered, so nothing else would tell of it.
#[tokio::test]
async fn a_request_whose_client_goes_away_is_counted_and_so_is_one_that_is_cut_off() {
    let policy =
        "route = \"/slow\"\n[[filter]]\nuse = \"sleep\"\nmillis = 60000\n[[filter]]\nuse = \"say\"\ntext = \"done\"\n";
    let limits = ("node.toml", "[limits]\ndrain = \"50ms\"\n");
    let node = TestNode::start(&[ECHO, ("policies/slow.toml", policy), limits]).await;
    assert_eq!(status(&node.get("/echo/").await), "200");
    assert_eq!(status(&node.get("/echo/../").await), "400");
    assert_eq!(unanswered(&node), (0, 0));
    let ask = async || {
        let mut client = node.connect().await;
        client.write_all(b"GET /echo/ HTTP/1.1\r\nhost: a\r\n\r\nGET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        // The one before is answered, so the policy of this one runs.
        assert!(client.read(&mut [0; 1024]).await.unwrap() > 0);
        client
    };
    drop(ask().await);
    eventually("the client is gone", async || unanswered(&node) == (1, 0)).await;
    let _waits = ask().await;
    node.running.drain().await;
    eventually("the request is cut off", async || unanswered(&node) == (1, 1)).await;
}

/// Many clients at once, before any of their tasks can have run: the limit holds all the same.
#[tokio::test]
async fn no_more_connections_than_the_limit_are_served() {
    let limits = ("node.toml", "[limits]\nconnections = 5\n");
    let node = TestNode::start(&[("policies/say.toml", &say("hello")), limits]).await;
    let mut clients = futures_util::future::join_all((0..20).map(|_| node.connect())).await;
    let mut answered = 0;
    for client in &mut clients {
        // The node may have closed it already.
        let _ = client.write_all(b"GET /say HTTP/1.1\r\nhost: a\r\n\r\n").await;
        answered += usize::from(client.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0));
    }
    assert_eq!(answered, 5);
}

#[tokio::test]
async fn bodies_stream_through_both_ways() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("[upstream.u]\ntargets = [\"http://{}\"]\n", upstream.local_addr().unwrap());
    let policy = ("policies/f.toml", "route = \"/f/**\"\n[[filter]]\nuse = \"forward\"\nupstream = \"u\"\n");
    let node = TestNode::start(&[("node.toml", &target), policy]).await;
    let mut client = node.connect().await;
    client.write_all(b"POST /f/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await.unwrap();
    let (mut there, _) = upstream.accept().await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"one\r\n") {
        assert!(there.read_buf(&mut seen).await.unwrap() > 0, "{seen:?}");
    }
    // The answer begins while the request still comes.
    there.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"four\r\n") {
        assert!(client.read_buf(&mut answer).await.unwrap() > 0, "{answer:?}");
    }
    client.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
    while !seen.ends_with(b"0\r\n\r\n") {
        assert!(there.read_buf(&mut seen).await.unwrap() > 0, "{seen:?}");
    }
    there.write_all(b"0\r\n\r\n").await.unwrap();
    while !answer.ends_with(b"0\r\n\r\n") {
        client.read_buf(&mut answer).await.unwrap();
    }
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.starts_with("POST /f/x HTTP/1.1\r\n") && seen.contains("two"), "{seen}");
}

#[tokio::test]
async fn a_client_that_goes_away_frees_the_upstream() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("[upstream.u]\ntargets = [\"http://{}\"]\n", upstream.local_addr().unwrap());
    let policy = ("policies/f.toml", "route = \"/f\"\n[[filter]]\nuse = \"forward\"\nupstream = \"u\"\n");
    let node = TestNode::start(&[("node.toml", &target), policy]).await;
    let mut client = node.connect().await;
    client.write_all(b"GET /f HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (mut there, _) = upstream.accept().await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        assert!(there.read_buf(&mut seen).await.unwrap() > 0, "{seen:?}");
    }
    drop(client);
    let gone = tokio::time::timeout(Duration::from_secs(5), there.read(&mut [0; 1])).await;
    assert_eq!(gone.expect("the upstream's connection closes").unwrap(), 0);
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_let_go() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = format!(
        "[upstream.u]\ntargets = [\"http://{}\"]\n[limits]\nwrite_timeout = \"50ms\"\n",
        upstream.local_addr().unwrap()
    );
    let policy = ("policies/f.toml", "route = \"/f\"\n[[filter]]\nuse = \"forward\"\nupstream = \"u\"\n");
    let node = TestNode::start(&[("node.toml", &settings), policy]).await;
    let mut client = node.connect().await;
    client.write_all(b"GET /f HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (mut there, _) = upstream.accept().await.unwrap();
    there.read_buf(&mut Vec::new()).await.unwrap();
    // An answer without an end: it fills every buffer on the way, and then the write to the client waits.
    let endless = async {
        there.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while there.write_all(&[b'x'; 65_536]).await.is_ok() {}
    };
    tokio::time::timeout(Duration::from_secs(10), endless).await.expect("the upstream is let go");
    eventually("the connection is closed", async || node.running.node.listeners.open()[0].2 == 0).await;
}

#[tokio::test]
async fn what_came_before_an_upstream_broke_off_reaches_the_client() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("[upstream.u]\ntargets = [\"http://{}\"]\n", upstream.local_addr().unwrap());
    let policy = ("policies/f.toml", "route = \"/f\"\n[[filter]]\nuse = \"forward\"\nupstream = \"u\"\n");
    let node = TestNode::start(&[("node.toml", &target), policy]).await;
    let server = async {
        let (mut there, _) = upstream.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            assert!(there.read_buf(&mut seen).await.unwrap() > 0, "{seen:?}");
        }
        there.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await.unwrap();
    };
    let ((), answer) = tokio::join!(server, node.get("/f"));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("half"), "{answer:?}");
}
