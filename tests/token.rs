//! The token endpoint: RFC 6749, with client credentials. D2 ... are the items of the standards' checklist.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::harness::folder::{Client, text};
use crate::harness::http::encode;
use crate::harness::wire::Wire;
use crate::harness::{Folder, Node, Response, wait_until};

const TOKEN: &str = "/api/oauth/token";
const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// D6: every answer of the token endpoint is JSON that nobody keeps.
#[track_caller]
fn kept_by_nobody(response: &Response) {
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let media = response.header("content-type").expect("a content type");
    assert!(media == "application/json" || media.eq_ignore_ascii_case("application/json;charset=utf-8"), "{media}");
    assert!(response.json().is_object());
}

#[test]
fn a_client_gets_a_token_by_basic_and_by_form() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a b", &[]);
    let node = Node::start(&folder);
    let basic = node.ask_token(&client, &[]).status(200);
    let form = [GRANT, ("client_id", "app"), ("client_secret", client.secret.as_str())];
    let post = node.post(TOKEN).form(&form).send().status(200);
    for response in [&basic, &post] {
        kept_by_nobody(response);
        let json = response.json();
        assert_eq!(json["token_type"], "Bearer");
        assert_eq!(json["expires_in"], 3600, "as the shipped policies say");
        assert!(json.get("refresh_token").is_none(), "none with client credentials (RFC 6749, section 4.4.3)");
        let token = text(&json, "access_token");
        assert!(token.starts_with("pca_"), "{token}");
        node.tokeninfo(&token).status(200);
    }
    assert_ne!(basic.json()["access_token"], post.json()["access_token"]);
}

/// D14: 256 random bits; no two alike, and their random parts share no prefix worth guessing from.
#[test]
fn tokens_cannot_be_guessed() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let tokens: Vec<_> = (0..20).map(|_| node.token(&client)).collect();
    for (at, token) in tokens.iter().enumerate() {
        assert!(token.len() >= "pca_".len() + 43, "256 bits need 43 characters of base64: {token}");
        let differs = |other: &String| token.chars().zip(other.chars()).filter(|(a, b)| a != b).count() >= 30;
        assert!(tokens[..at].iter().all(differs), "{tokens:?}");
    }
}

/// D2: a repeated parameter is refused, an empty one is absent, an unknown one is nothing.
#[test]
fn repeated_empty_and_unknown_parameters() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a b", &[]);
    let node = Node::start(&folder);
    let ask = |more: &[(&str, &str)]| node.ask_token(&client, more);
    ask(&[GRANT]).error(400, "invalid_request");
    ask(&[("scope", "a"), ("scope", "b")]).error(400, "invalid_request");
    ask(&[("scope", "a"), ("scope", "a")]).error(400, "invalid_request");
    ask(&[("colour", "red"), ("colour", "blue")]).error(400, "invalid_request");
    let all = ask(&[("scope", "")]).status(200).json();
    assert_eq!(node.tokeninfo(&text(&all, "access_token")).json()["scope"], "a b", "an empty scope is none");
    ask(&[("colour", "red")]).status(200);
    node.post(TOKEN).basic("app", &client.secret).form(&[("grant_type", "")]).send().error(400, "invalid_request");
    let empty = [GRANT, ("client_id", ""), ("client_secret", "")];
    node.post(TOKEN).basic("app", &client.secret).form(&empty).send().status(200);
}

/// D3: in Basic, id and secret are form-encoded before base64.
#[test]
fn secrets_with_every_character() {
    let folder = Folder::shipped();
    let secrets = ["with:colon:", "a+b+c+d+e", "100%25%25%", "two words", "größe-値-🔑", "\"quoted\\\"", "&=?#&=?#"];
    let clients: Vec<_> = secrets
        .iter()
        .enumerate()
        .map(|(at, secret)| folder.client(&format!("app{at}"), "a", &["--secret", secret]))
        .collect();
    let node = Node::start(&folder);
    for client in &clients {
        assert!(secrets.contains(&client.secret.as_str()));
        node.ask_token(client, &[]).status(200);
        let form = [GRANT, ("client_id", client.id.as_str()), ("client_secret", client.secret.as_str())];
        node.post(TOKEN).form(&form).send().status(200);
    }
    // Not encoded, the plus is a space: another secret.
    let raw = STANDARD.encode(format!("{}:a+b+c+d+e", clients[1].id));
    let raw = node.post(TOKEN).header("Authorization", &format!("Basic {raw}")).form(&[GRANT]).send();
    raw.error(401, "invalid_client");
}

/// D4: more than one way to authenticate is refused, also where both are right.
#[test]
fn one_way_to_authenticate_at_a_time() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let (id, secret) = (client.id.as_str(), client.secret.as_str());
    let ask = |form: &[(&str, &str)]| node.post(TOKEN).basic(id, secret).form(form).send();
    ask(&[GRANT, ("client_id", id), ("client_secret", secret)]).error(400, "invalid_request");
    ask(&[GRANT, ("client_secret", secret)]).error(400, "invalid_request");
    let twice = node.post(TOKEN).basic(id, secret).basic(id, secret).form(&[GRANT]).send();
    twice.error(400, "invalid_request");
    ask(&[GRANT, ("client_id", "other")]).error(400, "invalid_request");
    ask(&[GRANT, ("client_id", id)]).status(200);
}

/// D5: nothing secret in the query, and POST only.
#[test]
fn the_query_carries_no_credentials_and_get_no_tokens() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let secret = encode(&client.secret);
    let target = format!("{TOKEN}?client_id=app&client_secret={secret}");
    node.post(&target).form(&[GRANT]).send().error(400, "invalid_request");
    node.post(&target).basic("app", &client.secret).form(&[GRANT]).send().error(400, "invalid_request");
    let token = node.token(&client);
    let with_token =
        node.post(&format!("{TOKEN}?access_token={token}")).basic("app", &client.secret).form(&[GRANT]).send();
    with_token.error(400, "invalid_request");
    for method in ["GET", "PUT", "DELETE"] {
        let target = format!("{target}&grant_type=client_credentials");
        let refused = node.request(method, &target).send().status(405);
        assert_eq!(refused.header("allow"), Some("POST, OPTIONS"));
        assert!(!refused.text().contains("pca_"));
    }
}

/// D7: who is not let in is told how to come in, and nothing about why.
#[test]
fn a_client_that_does_not_prove_itself() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    folder.client("off", "a", &["--secret", "rightright"]);
    folder.run(["client", "disable", "off"]).code(0);
    let public = folder.run(["client", "add", "--id", "public", "--auth-method", "none"]);
    public.code(0);
    // Client credentials are for clients that keep a secret (RFC 6749, section 4.4).
    let grant = ["client", "add", "--id", "x", "--grant", "client_credentials", "--auth-method", "none"];
    folder.run(grant).code(2);
    let post_only = folder.client("post", "a", &["--auth-method", "client_secret_post"]);
    let node = Node::start(&folder);
    let basic = |id: &str, secret: &str| node.post(TOKEN).basic(id, secret).form(&[GRANT]).send();
    let mut bodies = Vec::new();
    for (id, secret) in
        [("app", "wrong"), ("nobody", client.secret.as_str()), ("off", "rightright"), ("app", ""), ("public", "")]
    {
        let refused = basic(id, secret).error(401, "invalid_client");
        kept_by_nobody(&refused);
        let challenge = refused.header("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with("Basic "), "{challenge}");
        bodies.push(refused.text());
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "the same answer to all: {bodies:?}");
    let form = |pairs: &[(&str, &str)]| node.post(TOKEN).form(&[&[GRANT], pairs].concat()).send();
    form(&[("client_id", "app"), ("client_secret", "wrong")]).error(401, "invalid_client");
    form(&[("client_id", "public")]).error(401, "invalid_client");
    form(&[("client_id", "app")]).error(401, "invalid_client");
    form(&[]).error(401, "invalid_client");
    basic("post", &post_only.secret).error(401, "invalid_client");
    form(&[("client_id", "post"), ("client_secret", &post_only.secret)]).status(200);
    node.post(TOKEN).bearer("app").form(&[GRANT]).send().error(401, "invalid_client");
}

#[test]
fn grants_that_are_not_there_or_not_for_this_client() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let added = folder.run(["client", "add", "--id", "none", "--json", "--scope", "a"]).code(0).json();
    let without = Client { id: "none".into(), secret: text(&added, "client_secret") };
    let node = Node::start(&folder);
    let ask = |client: &Client, grant: &str| {
        node.post(TOKEN).basic(&client.id, &client.secret).form(&[("grant_type", grant)]).send()
    };
    for grant in ["password", "implicit", "urn:example:other", "CLIENT_CREDENTIALS", "client_credentials "] {
        kept_by_nobody(&ask(&client, grant).error(400, "unsupported_grant_type"));
    }
    node.post(TOKEN).basic("app", &client.secret).form(&[("scope", "a")]).send().error(400, "invalid_request");
    kept_by_nobody(&ask(&without, "client_credentials").error(400, "unauthorized_client"));
}

/// D11: what is granted is what was asked for within what is allowed; all of it where nothing is asked for.
#[test]
fn scopes() {
    let folder = Folder::shipped();
    let client = folder.client("app", "orders:read orders:write", &[]);
    let bare = folder.client("bare", "", &[]);
    let node = Node::start(&folder);
    let granted = |asked: &str| {
        let json = node.ask_token(&client, &[("scope", asked)]).status(200).json();
        let info = node.tokeninfo(&text(&json, "access_token")).status(200).json();
        if let Some(scope) = json.get("scope") {
            assert_eq!(scope, &info["scope"]);
        }
        (text(&info, "scope"), json.get("scope").is_some())
    };
    assert_eq!(granted("").0, "orders:read orders:write");
    assert!(granted("").1, "what the client did not ask for, it is told");
    assert_eq!(granted("orders:read").0, "orders:read");
    assert_eq!(granted("orders:write orders:read orders:write").0.split(' ').count(), 2);
    for bad in ["admin", "orders:read admin", "Orders:read", "a\"b", "ö", "a\\b", " orders:read x"] {
        kept_by_nobody(&node.ask_token(&client, &[("scope", bad)]).error(400, "invalid_scope"));
    }
    node.ask_token(&bare, &[("scope", "orders:read")]).error(400, "invalid_scope");
}

/// D12: an error's description is printable ASCII without quotes, whatever was sent.
#[test]
fn descriptions_carry_nothing_that_was_sent() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let nasty = "\"<script>\\\r\nX: y ü";
    for response in [
        node.ask_token(&client, &[("scope", nasty)]),
        node.post(TOKEN).basic("app", &client.secret).form(&[("grant_type", nasty)]).send(),
        node.post(TOKEN).form(&[GRANT, ("client_id", nasty), ("client_secret", "x")]).send(),
    ] {
        let json = response.json();
        let description = json.get("error_description").and_then(|d| d.as_str()).unwrap_or_default();
        assert!(description.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)), "{description:?}");
        assert!(!response.text().contains("<script"), "{}", response.text());
    }
}

#[test]
fn a_client_that_is_registered_now_is_known_now() {
    let folder = Folder::shipped();
    let node = Node::start(&folder);
    for round in 0..3 {
        let id = format!("app{round}");
        node.post(TOKEN).basic(&id, "x").form(&[GRANT]).send().error(401, "invalid_client");
        let client = folder.client(&id, "a", &[]);
        node.ask_token(&client, &[]).status(200);
    }
}

#[test]
fn a_disabled_client_is_out_within_a_second_and_in_again() {
    let folder = Folder::shipped();
    let client = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let token = node.token(&client);
    folder.run(["client", "disable", "app"]).code(0);
    let start = std::time::Instant::now();
    wait_until("no token, and its tokens are refused", || {
        node.ask_token(&client, &[]).status == 401 && node.tokeninfo(&token).status == 400
    });
    assert!(start.elapsed() < std::time::Duration::from_millis(1500), "{:?}", start.elapsed());
    folder.run(["client", "enable", "app"]).code(0);
    wait_until("in again", || node.ask_token(&client, &[]).status == 200 && node.tokeninfo(&token).status == 200);
    folder.run(["client", "delete", "app"]).code(0);
    wait_until("gone for good", || node.ask_token(&client, &[]).status == 401 && node.tokeninfo(&token).status == 400);
}

#[test]
fn a_new_secret_beside_the_old_one_for_as_long_as_said() {
    let folder = Folder::shipped();
    let old = folder.client("app", "a", &[]);
    let node = Node::start(&folder);
    let rotated = folder.run(["client", "rotate", "app", "--keep", "1h", "--json"]).code(0).json();
    let new = Client { id: "app".into(), secret: text(&rotated, "client_secret") };
    assert_ne!(old.secret, new.secret);
    wait_until("the new one is good", || node.ask_token(&new, &[]).status == 200);
    node.ask_token(&old, &[]).status(200);
    let rotated = folder.run(["client", "rotate", "app", "--keep", "0s", "--json"]).code(0).json();
    let newest = Client { id: "app".into(), secret: text(&rotated, "client_secret") };
    wait_until("those before are dead", || {
        node.ask_token(&old, &[]).status == 401 && node.ask_token(&new, &[]).status == 401
    });
    node.ask_token(&newest, &[]).status(200);
    folder.run(["client", "rotate", "app", "--keep", "5s"]).code(0);
    node.ask_token(&newest, &[]).status(200);
    wait_until("the time of the old one is over", || node.ask_token(&newest, &[]).status == 401);
}

/// What is remembered of a client ages while a request's body is on its way: a client that trickles it gets no token for it.
#[test]
fn a_body_held_back_keeps_no_disabled_client_alive() {
    let (folder, other) = (Folder::shipped(), Folder::shipped());
    let client = folder.client("app", "a", &[]);
    let file = folder.at("var/portcullis.db");
    other.write(
        "stores/stores.toml",
        &format!("default = \"local\"\n[source.local]\ntype = \"sqlite\"\npath = {file:?}\n"),
    );
    let node = Node::start(&folder);
    let credentials = STANDARD.encode(format!("app:{}", client.secret));
    let body = "grant_type=client_credentials";
    let head = format!(
        "POST {TOKEN} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {credentials}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        node.address,
        body.len()
    );
    // The node remembers the client as it is while the request begins.
    let mut wire = Wire::open(node.address);
    node.token(&client);
    wire.send(&head).send(&body[..5]);
    other.run(["client", "disable", "app"]).code(0);
    // Time must pass here, since asking the node meanwhile would have it read the client anew.
    std::thread::sleep(Duration::from_secs(3));
    wire.send(&body[5..]);
    wire.answer().expect("an answer").error(401, "invalid_client");
}
