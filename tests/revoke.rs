//! Revocation: RFC 7009. (D24, a store that is down, stands with the outages.)

use crate::harness::folder::Client;
use crate::harness::{Folder, Node, Response, wait_until};

const REVOKE: &str = "/api/oauth/revoke";

fn revoke(node: &Node, caller: &Client, form: &[(&str, &str)]) -> Response {
    node.post(REVOKE).basic(&caller.id, &caller.secret).form(form).send()
}

/// D20: it is dead at once; and what is unknown or dead already is no error.
#[test]
fn a_token_is_revoked_at_once_and_again_without_error() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    let other = node.token(&client);
    let done = revoke(&node, &client, &[("token", &token)]).status(200);
    assert!(done.body.is_empty(), "{}", done.text());
    node.tokeninfo(&token).error(400, "invalid_token");
    node.tokeninfo(&other).status(200);
    for again in [token.as_str(), "nonsense", "pca_unknown"] {
        assert!(revoke(&node, &client, &[("token", again)]).status(200).body.is_empty());
    }
}

/// D21: a wrong hint does not hide a token.
#[test]
fn a_wrong_hint() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    for hint in ["refresh_token", "access_token", "saml"] {
        let token = node.token(&client);
        revoke(&node, &client, &[("token", &token), ("token_type_hint", hint)]).status(200);
        node.tokeninfo(&token).error(400, "invalid_token");
    }
}

/// D22: another client's token stays good.
#[test]
fn another_clients_token() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let other = folder.client("other", "a", &["--introspect", "any"]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    let refused = revoke(&node, &other, &[("token", &token)]);
    assert!(refused.status == 400, "refused: {} {}", refused.status, refused.text());
    assert!(refused.json()["error"].is_string());
    node.tokeninfo(&token).status(200);
}

#[test]
fn who_asks_proves_it_and_asks_well() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    node.post(REVOKE).form(&[("token", &token)]).send().error(401, "invalid_client");
    node.post(REVOKE).basic("app", "wrong").form(&[("token", &token)]).send().error(401, "invalid_client");
    node.post(REVOKE).form(&[("token", &token), ("client_id", "app")]).send().error(401, "invalid_client");
    revoke(&node, &client, &[]).error(400, "invalid_request");
    revoke(&node, &client, &[("token", "")]).error(400, "invalid_request");
    revoke(&node, &client, &[("token", &token), ("token", "other")]).error(400, "invalid_request");
    node.post(&format!("{REVOKE}?token={token}"))
        .basic("app", &client.secret)
        .form(&[])
        .send()
        .error(400, "invalid_request");
    node.get(REVOKE).send().status(405);
    node.tokeninfo(&token).status(200);
}

#[test]
fn everything_of_a_client_from_the_command_line() {
    let folder = Folder::shipped();
    let (client, other) = (folder.client("app", "a", &[]), folder.client("other", "a", &[]));
    let node = Node::start(&folder);
    let (first, second, others) = (node.token(&client), node.token(&client), node.token(&other));
    folder.run(["token", "revoke", "--client", "app"]).code(0).says("app");
    wait_until("both are dead", || node.tokeninfo(&first).status == 400 && node.tokeninfo(&second).status == 400);
    node.tokeninfo(&others).status(200);
    // What is issued from then on is good: "until now" is a matter of seconds.
    wait_until("a new one is good", || node.tokeninfo(&node.token(&client)).status == 200);
    node.tokeninfo(&first).error(400, "invalid_token");
}
