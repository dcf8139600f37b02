//! Listeners and connections that close: what a client has sent by then is answered.

use std::io::{Read, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{TestNode, read_all};

const SAY: (&str, &str) = ("policies/say.toml", "route = \"/say\"\n[[filter]]\nuse = \"say\"\ntext = \"hello\"\n");
const ASK: &[u8] = b"GET /say HTTP/1.1\r\nhost: a\r\n\r\n";

/// The kernel has accepted them and the node has not: they wait in the backlog when its socket closes.
#[tokio::test]
async fn what_waits_in_the_backlog_is_served() {
    let node = TestNode::start(&[SAY]).await;
    let address = node.running.started.listeners[0].address;
    // No await in between: the node's tasks have no turn before the drain begins.
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let mut client = std::net::TcpStream::connect(address).unwrap();
            client.write_all(ASK).unwrap();
            client.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
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
    let address = node.running.started.listeners[0].address;
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
