//! Clients that register themselves (RFC 7591), and manage what they registered (RFC 7592).

use serde_json::{Value, json};

use crate::fuzz_endpoints::rules::well_described;
use crate::harness::dice::Dice;
use crate::harness::folder::{Client, text};
use crate::harness::{Folder, Node, Request, Response, wait_until};

const REGISTER: &str = "/api/oauth/register";

/// The shipped configuration with registration open, for the grants and scopes of `[registration]`.
fn open() -> Folder {
    let folder = Folder::shipped();
    folder.edit("policies/oauth/register.toml", "routes      = []", "route = \"POST /api/oauth/register\"");
    let routes = ["GET", "PUT", "DELETE"].map(|method| format!("\"{method} {REGISTER}/{{client}}\"")).join(", ");
    folder.edit("policies/oauth/registration.toml", "routes      = []", &format!("routes = [{routes}]"));
    let granted =
        "\n[registration]\ngrant_types = [\"authorization_code\", \"client_credentials\"]\nscopes = [\"a\", \"b\"]\n";
    folder.append("policies/oauth/server.toml", granted);
    folder
}

/// A node, and the initial access token of somebody who may register clients.
fn start(folder: &Folder) -> (Node, String) {
    let registrar = folder.client("registrar", "clients:register", &[]);
    let node = Node::start(folder);
    let initial = node.token(&registrar);
    (node, initial)
}

fn json_to(request: Request, body: &Value) -> Response {
    request.header("Content-Type", "application/json").body(body.to_string()).send()
}

fn register(node: &Node, initial: &str, asked: &Value) -> Response {
    json_to(node.post(REGISTER).bearer(initial), asked)
}

/// Where the client is managed, as a path of this node.
fn at(registered: &Value) -> String {
    let uri = text(registered, "registration_client_uri");
    let path = uri.find("/api/").map(|start| uri[start..].to_owned());
    path.unwrap_or_else(|| panic!("{uri}"))
}

#[test]
fn it_is_off_until_somebody_opens_it() {
    let folder = Folder::shipped();
    folder.run(["check", "--deny", "warnings"]).code(0);
    let (node, initial) = start(&folder);
    register(&node, &initial, &json!({ "redirect_uris": ["https://app.example.com/cb"] })).status(404);
    let metadata = node.get("/.well-known/oauth-authorization-server").send().json();
    assert_eq!(metadata.get("registration_endpoint"), None, "{metadata}");
}

/// D88, D49: all that counts is told, the client did not choose who it is, and what it got works.
#[test]
fn a_client_registers_itself_and_gets_a_token() {
    let folder = open();
    folder.run(["check", "--deny", "warnings"]).code(0);
    let (node, initial) = start(&folder);
    let metadata = node.get("/.well-known/oauth-authorization-server").send().json();
    let endpoint = text(&metadata, "registration_endpoint");
    assert!(endpoint.ends_with(REGISTER), "{endpoint}");
    assert_eq!(metadata.get("registration_endpoint_auth_methods_supported"), None);

    let asked =
        json!({ "client_id": "registrar", "grant_types": ["client_credentials"], "client_name": "App", "scope": "a" });
    let answer = register(&node, &initial, &asked).status(201);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let registered = answer.json();
    let client = Client { id: text(&registered, "client_id"), secret: text(&registered, "client_secret") };
    assert_ne!(client.id, "registrar");
    assert_eq!(registered["client_secret_expires_at"], 0);
    assert_eq!(registered["response_types"], json!([]));
    assert_eq!(registered["token_endpoint_auth_method"], "client_secret_basic");
    assert!(registered["client_id_issued_at"].is_u64());
    let token = node.token(&client);
    node.tokeninfo(&token).status(200);
    // It is a client like any other, and nobody sees its secrets.
    let shown = folder.run(["client", "show", &client.id, "--json"]).code(0);
    assert_eq!((&shown.json()["self_registered"], &shown.json()["owner"]), (&json!(true), &json!("registrar")));
    for hidden in ["sha256:", "pcm_", "pcs_"] {
        assert!(!shown.stdout.contains(hidden), "{}", shown.stdout);
    }
    folder.run(["client", "show", &client.id]).code(0).says("by itself");
    // What it is held to, as any client.
    assert_eq!(node.ask_token(&client, &[("scope", "b")]).status(400).json()["error"], "invalid_scope");
}

/// D91: the token opens its own registration alone; PUT replaces all of it; DELETE ends it, and its tokens.
#[test]
fn a_client_manages_what_it_registered() {
    let folder = open();
    let (node, initial) = start(&folder);
    let asked = json!({ "grant_types": ["client_credentials"], "client_name": "App", "logo_uri": "https://app.example.com/l.png" });
    let registered = register(&node, &initial, &asked).status(201).json();
    let other = register(&node, &initial, &asked).status(201).json();
    let (path, own) = (at(&registered), text(&registered, "registration_access_token"));
    let client = Client { id: text(&registered, "client_id"), secret: text(&registered, "client_secret") };
    let token = node.token(&client);

    let read = node.get(&path).bearer(&own).send().status(200).json();
    assert_eq!((&read["logo_uri"], &read["client_name"]), (&asked["logo_uri"], &asked["client_name"]));
    assert_eq!((read["registration_access_token"].as_str(), read.get("client_secret")), (Some(own.as_str()), None));
    for wrong in [
        text(&other, "registration_access_token"),
        initial.clone(),
        token.clone(),
        String::from("x"),
        format!("{own}x"),
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let refused = node.request(method, &path).bearer(&wrong).send().error(401, "invalid_token");
            assert!(refused.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer ")));
        }
    }
    node.get(&path).send().status(401);
    node.get(&format!("{REGISTER}/registrar")).bearer(&own).send().error(401, "invalid_token");
    node.post(&path).bearer(&own).send().status(405);

    let put = json!({ "client_id": client.id, "grant_types": ["client_credentials"], "scope": "b" });
    let replaced = json_to(node.request("PUT", &path).bearer(&own), &put).status(200).json();
    assert_eq!((replaced.get("logo_uri"), replaced.get("client_name"), &replaced["scope"]), (None, None, &json!("b")));
    assert_eq!(node.ask_token(&client, &[]).status(200).json()["scope"], "b", "and its secret is what it was");
    for (name, value, error) in [
        ("client_id", json!("registrar"), "invalid_client_metadata"),
        ("client_secret", json!("chosen by the client"), "invalid_client_metadata"),
        ("registration_access_token", json!(own), "invalid_request"),
        ("scope", json!("clients:register"), "invalid_client_metadata"),
        ("grant_types", json!(["password"]), "invalid_client_metadata"),
    ] {
        let mut put = put.clone();
        put[name] = value;
        json_to(node.request("PUT", &path).bearer(&own), &put).error(400, error);
    }

    // A client that was disabled is managed by nobody but people.
    folder.run(["client", "disable", &client.id]).code(0);
    wait_until("it is disabled", || node.get(&path).bearer(&own).send().status == 401);
    folder.run(["client", "enable", &client.id]).code(0);
    wait_until("it is enabled", || node.get(&path).bearer(&own).send().status == 200);

    let gone = node.request("DELETE", &path).bearer(&own).send().status(204);
    assert_eq!(gone.text(), "");
    node.get(&path).bearer(&own).send().error(401, "invalid_token");
    assert_ne!(node.tokeninfo(&token).status, 200);
    node.ask_token(&client, &[]).error(401, "invalid_client");
    folder.run(["client", "show", &client.id]).code(1);
    // Nobody's registration was touched but its own.
    let at_other = node.get(&at(&other)).bearer(&text(&other, "registration_access_token")).send();
    at_other.status(200);
}

/// What such a client may have at most is said once, for both; secrets can end.
#[test]
fn what_is_wrong_with_the_settings_is_told_at_its_place() {
    let folder = Folder::shipped();
    for (line, said) in [
        ("grant_types = [\"pasword\"]", "`pasword` is no grant type"),
        ("scopes = [\"a b\"]", "is no scope"),
        ("auth_methods = [\"client_secret\"]", "no way to authenticate"),
        ("secret_lifetime = \"1m\"", "of no use"),
        ("grants = []", "`grants` is not known here"),
    ] {
        let folder = Folder::shipped();
        folder.append("policies/oauth/server.toml", &format!("\n[registration]\n{line}\n"));
        folder.run(["check"]).code(1).says(said);
    }
    folder.append(
        "policies/oauth/server.toml",
        "\n[registration]\nsecret_lifetime = \"90d\"\nauth_methods = [\"client_secret_post\"]\n",
    );
    folder.edit("policies/oauth/register.toml", "routes      = []", "route = \"POST /api/oauth/register\"");
    let (node, initial) = start(&folder);
    let registered =
        register(&node, &initial, &json!({ "redirect_uris": ["https://app.example.com/cb"] })).status(201).json();
    let (issued, expires) =
        (registered["client_id_issued_at"].as_u64().unwrap(), registered["client_secret_expires_at"].as_u64().unwrap());
    assert_eq!(expires - issued, 90 * 86_400);
    assert_eq!(registered["token_endpoint_auth_method"], "client_secret_post");
}

/// D89: whatever is sent, the answer is a registration or an error that the RFC has; never a 5xx, and the node serves on.
#[test]
fn whatever_is_sent_the_answer_is_one_of_the_rfcs() {
    const NAMES: [&str; 22] = [
        "redirect_uris",
        "post_logout_redirect_uris",
        "grant_types",
        "response_types",
        "token_endpoint_auth_method",
        "scope",
        "client_name",
        "client_uri",
        "logo_uri",
        "tos_uri",
        "policy_uri",
        "contacts",
        "jwks",
        "jwks_uri",
        "application_type",
        "software_id",
        "software_version",
        "software_statement",
        "client_id",
        "client_secret",
        "registration",
        "secrets",
    ];
    let folder = open();
    // How many may register is another test's.
    folder.edit("policies/oauth/register.toml", "limit = \"30/1m\"", "limit = \"100000/1s\"\nburst = 100000");
    let (node, initial) = start(&folder);
    let whole =
        register(&node, &initial, &json!({ "redirect_uris": ["https://app.example.com/cb"] })).status(201).json();
    let (path, own) = (at(&whole), text(&whole, "registration_access_token"));
    let mut dice = Dice::new(1);
    let (mut good, mut bad) = (0, 0);
    for round in 0..600 {
        let mut asked = serde_json::Map::new();
        if dice.roll(2) == 0 {
            asked.insert("redirect_uris".into(), json!(["https://app.example.com/cb"]));
        }
        for _ in 0..dice.roll(4) {
            let name = *dice.pick(&NAMES);
            asked.insert(name.to_owned(), dice.json(3));
        }
        let update = dice.roll(4) == 0;
        if update && dice.roll(4) != 0 {
            asked.insert("client_id".into(), whole["client_id"].clone());
        }
        let mut body = Value::Object(asked).to_string().into_bytes();
        match dice.roll(8) {
            0 => body.truncate(dice.roll(body.len() + 1)),
            1 if !body.is_empty() => {
                let at = dice.roll(body.len());
                body[at] = dice.byte();
            }
            _ => {}
        }
        let request =
            if update { node.request("PUT", &path).bearer(&own) } else { node.post(REGISTER).bearer(&initial) };
        let answer = request.header("Content-Type", "application/json").body(body.clone()).send();
        let what = || format!("round {round}: {} {}", answer.status, body.escape_ascii());
        let told = answer.json();
        match answer.status {
            200 | 201 => {
                good += 1;
                assert!(told["client_id"].is_string() && told["grant_types"].is_array(), "{}", what());
                assert_ne!(told["client_id"], "registrar", "{}", what());
                assert!(!update || told.get("client_secret").is_none(), "{}", what());
            }
            400 => {
                bad += 1;
                let error = told["error"].as_str().unwrap_or_default();
                let known = ["invalid_redirect_uri", "invalid_client_metadata", "invalid_request"].contains(&error);
                assert!(known, "{} {told}", what());
                assert_eq!(well_described(&told), Ok(()), "{}", what());
            }
            _ => panic!("{} {told}", what()),
        }
    }
    assert!(good > 30 && bad > 200, "{good} {bad}: the bodies are not mixed");
    node.get(&path).bearer(&own).send().status(200);
}
