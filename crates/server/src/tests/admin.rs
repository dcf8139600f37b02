//! The admin address of a running node, through the command line's client and without it.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{TestNode, read_all, status};
use crate::admin::api::{AddClient, ReloadOutcome, RotateClient};
use crate::admin::{Client, ClientError};
use crate::records::Records;

const SAY: (&str, &str) = ("policies/say.toml", "route = \"GET /say\"\n[[filter]]\nuse = \"say\"\ntext = \"hello\"\n");

async fn raw(node: &TestNode, head: &str) -> String {
    let mut stream = TcpStream::connect(node.running.started.admin).await.unwrap();
    stream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).await.unwrap();
    read_all(&mut stream).await
}

fn client(node: &TestNode) -> Client {
    Client::new(node.folder.path(), Some(node.running.started.admin)).unwrap()
}

#[tokio::test]
async fn only_health_and_metrics_are_open() {
    let node = TestNode::start(&[SAY]).await;
    node.get("/say").await;
    for (head, expected) in [
        ("GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n", "200"),
        ("GET /health/ready HTTP/1.1\r\nhost: localhost\r\n", "200"),
        ("GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n", "200"),
        ("POST /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n", "405"),
        ("GET /metrics HTTP/1.1\r\nhost: evil.example\r\n", "400"),
        ("GET /status HTTP/1.1\r\nhost: 127.0.0.1\r\n", "401"),
        ("GET /status HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer wrong\r\n", "401"),
        ("GET /status HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer \r\n", "401"),
        ("POST /reload HTTP/1.1\r\nhost: 127.0.0.1\r\n", "401"),
        ("GET /nothing HTTP/1.1\r\nhost: 127.0.0.1\r\n", "401"),
    ] {
        assert_eq!(status(&raw(&node, head).await), expected, "{head}");
    }
    let metrics = raw(&node, "GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n").await;
    for line in [
        "portcullis_requests_total{policy=\"say\",status=\"2xx\"} 1",
        "portcullis_generation 1",
        "portcullis_source_up{source=\"memory\"} 1",
        "portcullis_request_duration_seconds_count{policy=\"say\"} 1",
        "portcullis_reloads_total{outcome=\"refused\"} 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
}

#[tokio::test]
async fn the_token_opens_the_rest() {
    let node = TestNode::start(&[SAY]).await;
    let status = client(&node).status().await.unwrap();
    assert_eq!((status.generation.number, status.ready, status.state.as_str()), (1, true, "serving"));
    assert_eq!(status.generation.policies, ["say"]);
    assert_eq!(status.stores["clients"], "memory");
    assert_eq!(client(&node).reload().await.unwrap().outcome, ReloadOutcome::Unchanged);
    node.write("policies/say.toml", "broken");
    assert_eq!(client(&node).reload().await.unwrap().outcome, ReloadOutcome::Refused);
    assert!(client(&node).status().await.unwrap().refused.is_some());
    let checks = client(&node).store_check().await.unwrap();
    assert!(checks.len() == 1 && checks[0].ok, "{checks:?}");
    assert!(client(&node).store_purge().await.unwrap()[0].failed.is_none());
}

#[tokio::test]
async fn clients_are_registered_through_a_node() {
    let node = TestNode::start(&[SAY]).await;
    let records = Records::Node(client(&node));
    let add = AddClient {
        client_id: Some(String::from("a/b c").replace(' ', "%")),
        grant_types: vec![String::from("client_credentials")],
        scope: String::from("x y"),
        ..AddClient::default()
    };
    let added = records.add_client(&add).await.unwrap();
    assert!(added.client_secret.as_ref().is_some_and(|secret| secret.len() > 40));
    let id = added.client.client_id.as_str();
    assert!(
        matches!(records.add_client(&add).await, Err(ClientError::Refused(refusal)) if refusal.message.contains("already"))
    );
    assert_eq!(records.show_client(id).await.unwrap(), added.client);
    assert_eq!(records.list_clients(None, 10).await.unwrap().clients, std::slice::from_ref(&added.client));
    assert!(!records.enable_client(id, false).await.unwrap().enabled);
    let rotated = records.rotate_client(id, &RotateClient { client_secret: None, keep_old_seconds: 60 }).await.unwrap();
    assert_ne!(rotated.client_secret, added.client_secret);
    assert_eq!(rotated.client.secrets, 2);
    records.delete_client(id).await.unwrap();
    assert!(records.show_client(id).await.is_err());
}

#[tokio::test]
async fn what_cannot_be_registered() {
    let node = TestNode::start(&[SAY]).await;
    let records = Records::Node(client(&node));
    let text = |text: &str| Some(text.to_owned());
    let plain = AddClient::default;
    for (request, word) in [
        (AddClient { grant_types: vec![String::from("client_credential")], ..plain() }, "client_credential"),
        (AddClient { scope: String::from("a\"b"), ..plain() }, "scopes"),
        (AddClient { client_id: text(""), ..plain() }, "client id"),
        (AddClient { client_id: text("a b"), ..plain() }, "client id"),
        (AddClient { client_secret: text("short"), ..plain() }, "secret"),
        (AddClient { token_endpoint_auth_method: text("basic"), ..plain() }, "basic"),
        (AddClient { token_endpoint_auth_method: text("private_key_jwt"), ..plain() }, "not there yet"),
        (
            AddClient {
                token_endpoint_auth_method: text("none"),
                grant_types: vec![String::from("client_credentials")],
                ..plain()
            },
            "public client",
        ),
        (
            AddClient { token_endpoint_auth_method: text("none"), client_secret: text("long enough"), ..plain() },
            "public client",
        ),
    ] {
        match records.add_client(&request).await {
            Err(ClientError::Refused(refusal)) => {
                assert!(refusal.message.contains(word), "{}", refusal.message);
                assert!(refusal.help.is_some());
            }
            other => panic!("{word}: {other:?}"),
        }
    }
}
