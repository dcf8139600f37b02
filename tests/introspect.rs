//! Introspection: RFC 7662.

use serde_json::json;

use crate::harness::folder::Client;
use crate::harness::{Folder, Node, Response, wait_until};

const INTROSPECT: &str = "/api/oauth/introspect";

fn ask(node: &Node, caller: &Client, token: &str) -> Response {
    node.post(INTROSPECT).basic(&caller.id, &caller.secret).form(&[("token", token)]).send()
}

#[track_caller]
fn inactive(response: Response) {
    assert_eq!(response.status(200).json(), json!({ "active": false }), "exactly this");
}

/// D27: what is told, and its types.
#[test]
fn a_client_sees_its_own_tokens() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a b", &[]);
    let node = Node::start(&folder);
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let token = node.token(&client);
    let response = ask(&node, &client, &token).status(200);
    let json = response.json();
    assert_eq!(json["active"], true);
    assert_eq!(json["client_id"], "app");
    assert_eq!(json["scope"], "a b");
    assert_eq!(json["token_type"], "Bearer");
    let (iat, exp) = (json["iat"].as_u64().expect("an integer"), json["exp"].as_u64().expect("an integer"));
    assert_eq!(exp - iat, 3600);
    assert!((before..before + 10).contains(&iat), "{iat} {before}");
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert!(response.header("content-type").is_some_and(|t| t.starts_with("application/json")));
    // D21 of RFC 7009 holds here too: a hint is a hint.
    let hinted = [("token", token.as_str()), ("token_type_hint", "refresh_token")];
    assert_eq!(node.post(INTROSPECT).basic("app", &client.secret).form(&hinted).send().json()["active"], true);
}

/// D25, D29: nobody asks without proving who asks.
#[test]
fn the_caller_authenticates() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    folder.run(["client", "add", "--id", "public", "--auth-method", "none"]).code(0);
    let node = Node::start(&folder);
    let token = node.token(&client);
    let form = [("token", token.as_str())];
    let refused = node.post(INTROSPECT).form(&form).send().error(401, "invalid_client");
    assert!(refused.header("www-authenticate").is_some_and(|c| c.starts_with("Basic ")));
    node.post(INTROSPECT).basic("app", "wrong").form(&form).send().error(401, "invalid_client");
    node.post(INTROSPECT).bearer(&token).form(&form).send().error(401, "invalid_client");
    let public = [("token", token.as_str()), ("client_id", "public")];
    node.post(INTROSPECT).form(&public).send().error(401, "invalid_client");
    node.get(&format!("{INTROSPECT}?token={token}")).basic("app", &client.secret).send().status(405);
    node.post(INTROSPECT).basic("app", &client.secret).form(&[]).send().error(400, "invalid_request");
    let twice = [("token", token.as_str()), ("token", token.as_str())];
    node.post(INTROSPECT).basic("app", &client.secret).form(&twice).send().error(400, "invalid_request");
    let query = node.post(&format!("{INTROSPECT}?token={token}")).basic("app", &client.secret).form(&[]).send();
    query.error(400, "invalid_request");
}

/// D26: of everything else no more than that it is not active.
#[test]
fn all_else_is_inactive() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let other = folder.client("other", "a", &[]);
    let any = folder.client("api", "", &["--introspect", "any"]);
    let orders = folder.client("orders-api", "", &["--introspect", "orders"]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    assert_eq!(ask(&node, &any, &token).status(200).json()["active"], true, "this one may see all");
    inactive(ask(&node, &other, &token));
    inactive(ask(&node, &orders, &token));
    // Another last letter than it has.
    let changed = format!("{}{}", &token[..token.len() - 1], if token.ends_with('x') { 'y' } else { 'x' });
    for bad in ["nonsense", "pca_", &changed, "ü", &"x".repeat(5000)] {
        inactive(ask(&node, &any, bad));
    }
    folder.run(["token", "revoke", &token]).code(0);
    wait_until("revoked", || ask(&node, &client, &token).json()["active"] == false);
    inactive(ask(&node, &any, &token));
    let token = node.token(&client);
    folder.run(["client", "disable", "app"]).code(0);
    wait_until("its client is disabled", || ask(&node, &any, &token).json()["active"] == false);
    inactive(ask(&node, &any, &token));
}
