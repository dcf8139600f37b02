//! Clients whose keys are where they say (`jwks_uri`): what is fetched, from where, and what is not. That a key which was fetched lets its
//! client in is tested beside the filter: here nobody can sign.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::folder::text;
use crate::harness::upstream::Upstream;
use crate::harness::{Folder, Node, Response};

/// The shipped configuration with `private_key_jwt`, and keys from one place.
fn folder(keys: &Upstream) -> Folder {
    let folder = Folder::shipped();
    let methods = "[\"client_secret_basic\", \"client_secret_post\"]";
    for policy in ["token", "metadata"] {
        let more = methods.replace("_post\"]", "_post\", \"private_key_jwt\"]");
        folder.edit(&format!("policies/oauth/{policy}.toml"), methods, &more);
    }
    let timeouts = "timeouts = { connect = \"1s\", first_byte = \"10s\", idle = \"60s\" }\n";
    folder.write("node.toml", &format!("{}{timeouts}", keys.toml("partner-keys")));
    folder.append("policies/oauth/server.toml", "\n[client_keys]\n\"https://keys.example\" = \"partner-keys\"\n");
    folder
}

/// A set with the key of RFC 7515, appendix A.3.
fn key_set() -> String {
    let key = json!({
        "kty": "EC", "crv": "P-256", "kid": "k1",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    json!({ "keys": [key] }).to_string()
}

/// An assertion in the name of a client, which nobody signed.
fn forge(node: &Node, client: &str) -> Response {
    let encode = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let header = encode(json!({ "alg": "ES256", "kid": "k1" }));
    let assertion = format!("{header}.{}.{}", encode(json!({ "sub": client })), URL_SAFE_NO_PAD.encode([7; 64]));
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
    ];
    node.post("/api/oauth/token").form(&form).send()
}

fn add(folder: &Folder, id: &str, uri: &str) {
    folder
        .run([
            "client",
            "add",
            "--id",
            id,
            "--grant",
            "client_credentials",
            "--auth-method",
            "private_key_jwt",
            "--jwks-uri",
            uri,
        ])
        .code(0);
}

#[test]
fn keys_are_fetched_through_the_upstream_that_is_named() {
    let keys = Upstream::start(|incoming| {
        incoming.answer("200 OK", &[("Content-Type", "application/json")], key_set().as_bytes());
        true
    });
    let folder = folder(&keys);
    folder.run(["check", "--deny", "warnings"]).code(0);
    add(&folder, "app", "https://keys.example/app/jwks.json?v=1");
    add(&folder, "elsewhere", "https://keys.example.evil.example/app/jwks.json");
    add(&folder, "metadata", "http://127.0.0.1/app/jwks.json");
    let node = Node::start(&folder);
    for client in ["elsewhere", "metadata", "nobody"] {
        forge(&node, client).error(401, "invalid_client");
    }
    assert!(keys.heads().is_empty(), "{:?}", keys.heads());
    for _ in 0..3 {
        forge(&node, "app").error(401, "invalid_client");
    }
    let heads = keys.heads();
    assert_eq!(heads.len(), 1, "once: {heads:?}");
    assert_eq!(heads[0][0], "GET /app/jwks.json?v=1 HTTP/1.1");
    assert!(heads[0].iter().any(|line| line.eq_ignore_ascii_case("host: keys.example")), "{heads:?}");
    for hidden in ["authorization", "cookie"] {
        assert!(!heads[0].iter().any(|line| line.to_ascii_lowercase().starts_with(hidden)), "{heads:?}");
    }
}

/// D92: nobody is sent on, and what is too large or comes too slowly is none.
#[test]
fn what_is_no_key_set_is_a_fault() {
    let other = Upstream::echo();
    let to = format!("http://{}/", other.address);
    let keys = Upstream::start(move |incoming| {
        let large = " ".repeat(300 * 1024);
        match incoming.lines[0].split(' ').nth(1) {
            Some("/moved") => incoming.answer("302 Found", &[("Location", &to)], b""),
            Some("/large") => incoming.answer("200 OK", &[], large.as_bytes()),
            // Nothing comes: it is waited for, though not for long.
            Some("/slow") => std::thread::park(),
            _ => incoming.answer("200 OK", &[], b"<html>"),
        }
        false
    });
    let folder = folder(&keys);
    for place in ["moved", "large", "slow", "page"] {
        add(&folder, place, &format!("https://keys.example/{place}"));
    }
    let node = Node::start(&folder);
    for place in ["moved", "large", "slow", "page"] {
        let answer = forge(&node, place).error(503, "temporarily_unavailable");
        assert!(answer.header("retry-after").is_some());
    }
    assert!(other.heads().is_empty(), "{:?}", other.heads());
    node.get("/.well-known/oauth-authorization-server").send().status(200);
}

/// RFC 7591: who registers itself chooses nothing that is fetched.
#[test]
fn a_client_that_registers_itself_names_a_place_that_is_known() {
    let keys = Upstream::echo();
    let folder = folder(&keys);
    folder.edit("policies/oauth/register.toml", "routes      = []", "route = \"POST /api/oauth/register\"");
    folder.append(
        "policies/oauth/server.toml",
        "[registration]\ngrant_types = [\"client_credentials\"]\nauth_methods = [\"private_key_jwt\"]\n",
    );
    let registrar = folder.client("registrar", "clients:register", &[]);
    let node = Node::on(&folder).arg("--no-tests").start();
    let initial = node.token(&registrar);
    let register = |uri: &str| {
        let asked = json!({ "grant_types": ["client_credentials"], "jwks_uri": uri });
        let request = node.post("/api/oauth/register").bearer(&initial).header("Content-Type", "application/json");
        request.body(asked.to_string()).send()
    };
    for wrong in [
        "https://keys.example.evil.example/jwks",
        "https://keys.example@10.0.0.1/jwks",
        "https://10.0.0.1/jwks",
        "http://169.254.169.254/latest",
        "http://localhost/jwks",
        "jwks",
    ] {
        register(wrong).error(400, "invalid_client_metadata");
    }
    let told = register("https://keys.example/jwks").status(201).json();
    assert_eq!((text(&told, "jwks_uri").as_str(), told.get("client_secret")), ("https://keys.example/jwks", None));
    assert!(keys.heads().is_empty(), "nothing is fetched before somebody signs: {:?}", keys.heads());
}
