//! The admin address of a running node, through the command line's client and without it.

use std::time::Duration;

use serde_json::json;
use store::oauth::token::{Token, TokenKind};
use store::oauth::{ClientId, GrantId, Scopes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{TestNode, eventually, read_all, status};
use crate::admin::api::{
    AddClient, ClientSettings, InspectToken, RefusalKind, ReloadOutcome, RevokeTokens, RotateClient,
};
use crate::admin::{Client, ClientError, MOST_CONNECTIONS};
use crate::records::{Records, Stores};

const SAY: (&str, &str) = ("policies/say.toml", "route = \"GET /say\"\n[[filter]]\nuse = \"say\"\ntext = \"hello\"\n");

fn settings(json: serde_json::Value) -> ClientSettings {
    serde_json::from_value(json).unwrap()
}

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
        "portcullis_source_breaker_open{source=\"memory\",verbs=\"reads\"} 0",
        "portcullis_request_duration_seconds_count{policy=\"say\"} 1",
        "portcullis_reloads_total{outcome=\"refused\"} 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
}

/// Who reaches the address, and has no credential, takes no more than a few descriptors; the others have their turn.
#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let node = TestNode::start(&[SAY]).await;
    let silent = (0..3 * MOST_CONNECTIONS).map(|_| TcpStream::connect(node.running.started.admin));
    let silent = futures_util::future::try_join_all(silent).await.unwrap();
    let open = || node.running.admin.count();
    eventually("the limit is reached", async || open() > MOST_CONNECTIONS).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(open(), MOST_CONNECTIONS + 1, "one waits for a place, the others in the backlog");
    let head = "GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n";
    let waiting = raw(&node, head);
    let (answer, ()) = tokio::join!(waiting, async { drop(silent) });
    assert_eq!(status(&answer), "200");
    eventually("all are gone", async || open() == 0).await;
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

/// What is refused anyway is not waited for.
#[tokio::test]
async fn a_body_that_is_too_large_is_refused_by_its_length() {
    let node = TestNode::start(&[SAY]).await;
    let token = std::fs::read_to_string(node.folder.path().join("var/admin.token")).unwrap();
    let head = format!(
        "POST /clients HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {}\r\ncontent-length: 65537\r\n",
        token.trim()
    );
    let answer = raw(&node, &head).await;
    assert!(status(&answer) == "400" && answer.contains("larger than 65536 bytes\""), "{answer}");
}

#[tokio::test]
async fn clients_are_registered_through_a_node() {
    let node = TestNode::start(&[SAY]).await;
    let records = Records::Node(client(&node));
    let add = AddClient {
        client_id: Some(String::from("a/b c").replace(' ', "%")),
        settings: settings(json!({ "grant_types": ["client_credentials"], "scope": "x y" })),
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
    let rotated =
        records.rotate_client(id, &RotateClient { keep_old_seconds: 60, ..RotateClient::default() }).await.unwrap();
    assert_ne!(rotated.client_secret, added.client_secret);
    assert_eq!(rotated.client.secrets, 2);
    records.delete_client(id).await.unwrap();
    assert!(records.show_client(id).await.is_err());
}

/// Anybody may ask: the address of a database, or the user it is asked as, is for those with the token.
#[tokio::test]
async fn readiness_names_the_source_and_not_why_it_is_down() {
    let stores = "default = \"tokens\"\n[source.tokens]\ntype = \"sqlite\"\npath = \"policies/say.toml/tokens.db\"\n";
    let node = TestNode::start(&[SAY, ("stores/stores.toml", stores)]).await;
    let shown = async || raw(&node, "GET /health/ready HTTP/1.1\r\nhost: 127.0.0.1\r\n").await;
    eventually("it was looked at", async || shown().await.ends_with("\r\n\r\nsource tokens is down\n")).await;
    assert_eq!(status(&shown().await), "503");
    let why = client(&node).status().await.unwrap().sources[0].why.clone();
    assert!(why.as_ref().is_some_and(|why| why.contains("tokens.db")), "the token's owner sees it: {why:?}");
}

/// Probes and scrapers ask by name, and have no token: where others than this machine can ask at all, they may.
#[tokio::test]
async fn what_is_open_is_open_by_any_name_where_the_address_is_no_loopback() {
    let folder = super::folder(&[SAY]);
    let options = crate::options::Options { admin: Some(([0, 0, 0, 0], 0).into()), ..super::options(&folder) };
    let running = crate::run::launch(options, std::sync::Arc::new(super::Quiet), crate::clock::environment()).await;
    let node = TestNode { running: running.unwrap_or_else(|why| panic!("{why}")), folder };
    for (head, expected) in [
        ("GET /health/live HTTP/1.1\r\nhost: gateway.internal:8090\r\n", "200"),
        ("GET /metrics HTTP/1.1\r\nhost: gateway.internal\r\n", "200"),
        ("GET /health/ready HTTP/1.0\r\n", "200"),
        ("GET /status HTTP/1.1\r\nhost: gateway.internal\r\n", "400"),
    ] {
        assert_eq!(status(&raw(&node, head).await), expected, "{head}");
    }
}

/// Its tokens would live again where the id is registered again: so nothing is deleted before they are revoked.
#[tokio::test]
async fn a_client_is_deleted_only_where_its_tokens_can_be_revoked() {
    let stores = "default = \"memory\"\n[source.memory]\ntype = \"memory\"\n[source.tokens]\ntype = \"sqlite\"\n\
                  path = \"tokens/tokens.db\"\n[store.access-token]\nsource = \"tokens\"\n";
    // A file where the folder should be: the source of tokens is down.
    let node = TestNode::start(&[SAY, ("stores/stores.toml", stores), ("tokens", "")]).await;
    let records = Records::Node(client(&node));
    let add = AddClient { client_id: Some(String::from("app")), ..AddClient::default() };
    records.add_client(&add).await.unwrap();
    assert!(matches!(
        records.delete_client("app").await,
        Err(ClientError::Refused(refusal)) if refusal.kind == RefusalKind::Unavailable
    ));
    records.show_client("app").await.expect("it is still there, for a second try");
}

/// The stores of a running node.
fn stores(node: &TestNode) -> Stores {
    let environment = crate::clock::environment();
    let audit = crate::audit::Audit::of_admin(node.folder.path(), environment.clone());
    Stores::of(&node.running.node.generation.load().stores, environment, audit).unwrap()
}

/// A token of the client `gone`, which nobody registered.
async fn issue(tokens: &store::AccessTokens, now: u64, number: u8) -> Token {
    let record = store::AccessToken {
        client_id: ClientId::new("gone"),
        subject: None,
        scope: Scopes::default(),
        grant_id: GrantId::new("grant"),
        grant_type: String::from("client_credentials"),
        issued_at: now,
        expires_at: now + 3_600,
        revoked_at: None,
        audience: Vec::new(),
        properties: Default::default(),
    };
    let token = Token::mint(TokenKind::Access, record.expires_at, [number; 32]);
    tokens.insert(&token, &record).await.unwrap();
    token
}

/// What can be revoked is, and what is said tells what was not.
#[tokio::test]
async fn one_store_of_tokens_that_is_down_keeps_no_other_from_being_revoked() {
    let mapping = "default = \"memory\"\n[source.memory]\ntype = \"memory\"\n[source.tokens]\ntype = \"sqlite\"\n\
                   path = \"tokens/tokens.db\"\n[store.access-token]\nsource = \"tokens\"\n\
                   [store.partner-tokens]\nkind = \"access-token\"\nsource = \"memory\"\n";
    let node = TestNode::start(&[SAY, ("stores/stores.toml", mapping), ("tokens", "")]).await;
    let (records, stores, now) = (Records::Node(client(&node)), stores(&node), node.running.node.now());
    let partners = &stores.access_tokens[1];
    let good = async |token: &Token| partners.find(token.expose(), now).await.unwrap().is_some();
    let (first, second) = (issue(partners, now, 1).await, issue(partners, now, 2).await);
    let shown = records.inspect_token(&InspectToken { token: first.expose().to_owned() }).await.unwrap();
    assert_eq!(shown.client_id, "gone");
    let revoke = RevokeTokens { token: Some(first.expose().to_owned()), ..RevokeTokens::default() };
    records.revoke_tokens(&revoke).await.unwrap();
    assert!(!good(&first).await && good(&second).await);
    let unavailable = async |revoke: &RevokeTokens| match records.revoke_tokens(revoke).await {
        Err(ClientError::Refused(refusal)) if refusal.kind == RefusalKind::Unavailable => refusal.message,
        other => panic!("{other:?}"),
    };
    // It may be in the store that is down.
    let other = Token::mint(TokenKind::Access, now + 3_600, [9; 32]);
    unavailable(&RevokeTokens { token: Some(other.expose().to_owned()), ..RevokeTokens::default() }).await;
    let all = RevokeTokens { client_id: Some(String::from("gone")), ..RevokeTokens::default() };
    let told = unavailable(&all).await;
    assert!(
        told.contains("`tokens`") && told.contains("in the other stores of access tokens they are revoked"),
        "{told}"
    );
    assert!(!good(&second).await);
}

#[tokio::test]
async fn tokens_of_an_id_that_is_not_registered_can_be_revoked() {
    let node = TestNode::start(&[SAY]).await;
    let (records, stores, now) = (Records::Node(client(&node)), stores(&node), node.running.node.now());
    let tokens = &stores.access_tokens[0];
    let good = async |token: &Token| tokens.find(token.expose(), now).await.unwrap().is_some();
    let token = issue(tokens, now, 1).await;
    assert!(good(&token).await);
    let revoke = RevokeTokens { client_id: Some(String::from("gone")), ..RevokeTokens::default() };
    let done = records.revoke_tokens(&revoke).await.unwrap();
    assert!(done.done.contains("no client `gone` is registered"), "a slip of the pen is seen: {}", done.done);
    assert!(!good(&token).await);
    // A delete that had failed half-way, tried again: it finds no client, and revokes.
    let token = issue(tokens, now, 2).await;
    assert!(good(&token).await);
    assert!(matches!(
        records.delete_client("gone").await,
        Err(ClientError::Refused(refusal)) if refusal.kind == RefusalKind::NotFound
    ));
    assert!(!good(&token).await);
}

#[tokio::test]
async fn what_cannot_be_registered() {
    let node = TestNode::start(&[SAY]).await;
    let records = Records::Node(client(&node));
    let text = |text: &str| Some(text.to_owned());
    let plain = AddClient::default;
    let said = |json| AddClient { settings: settings(json), ..plain() };
    for (request, word) in [
        (said(json!({ "grant_types": ["client_credential"] })), "client_credential"),
        (said(json!({ "scope": "a\"b" })), "scopes"),
        (AddClient { client_id: text(""), ..plain() }, "client id"),
        (AddClient { client_id: text("a b"), ..plain() }, "client id"),
        (AddClient { client_secret: text("short"), ..plain() }, "secret"),
        (said(json!({ "token_endpoint_auth_method": "basic" })), "basic"),
        (said(json!({ "token_endpoint_auth_method": "tls_client_auth" })), "not there yet"),
        (said(json!({ "token_endpoint_auth_method": "private_key_jwt" })), "has `jwks`"),
        (said(json!({ "token_endpoint_auth_method": "none", "grant_types": ["client_credentials"] })), "public client"),
        (
            AddClient { client_secret: text("long enough"), ..said(json!({ "token_endpoint_auth_method": "none" })) },
            "public client",
        ),
        (said(json!({ "grant_types": ["authorization_code"] })), "redirect URI"),
    ] {
        match records.add_client(&request).await {
            Err(ClientError::Refused(refusal)) => {
                assert!(refusal.message.contains(word), "{}", refusal.message);
                assert!(refusal.help.is_some());
            }
            other => panic!("{word}: {:?}", other.map(|added| added.client)),
        }
    }
}
