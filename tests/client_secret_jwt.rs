//! Clients that sign by their secret (`client_secret_jwt`): what is kept of it, the commands, and a change of `[encryption] keys`.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::folder::{Client, text};
use crate::harness::{Folder, Node, Response, portcullis, wait_until};

const BY_SECRET: &str = "client_secret_jwt";

/// The shipped configuration, whose token endpoint takes what secrets signed, too.
fn folder() -> Folder {
    let folder = Folder::shipped();
    let methods = "[\"client_secret_basic\", \"client_secret_post\"]";
    let and_by_secret = "[\"client_secret_basic\", \"client_secret_jwt\", \"client_secret_post\"]";
    for policy in ["token", "metadata"] {
        folder.edit(&format!("policies/oauth/{policy}.toml"), methods, and_by_secret);
    }
    folder
}

/// RFC 2104 with SHA-256, by nothing of the program.
fn hmac(secret: &[u8], signed: &[u8]) -> Vec<u8> {
    let hash = |parts: &[&[u8]]| Sha256::digest(parts.concat()).to_vec();
    let key = if secret.len() > 64 { hash(&[secret]) } else { secret.to_vec() };
    let pad = |byte: u8| (0..64).map(|at| key.get(at).unwrap_or(&0) ^ byte).collect::<Vec<u8>>();
    hash(&[&pad(0x5c), &hash(&[&pad(0x36), signed])])
}

fn assertion(node: &Node, client: &Client, id: &str) -> String {
    let issuer = text(&node.get("/.well-known/oauth-authorization-server").send().json(), "issuer");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({ "iss": client.id, "sub": client.id, "aud": issuer, "exp": now + 60, "iat": now, "jti": id });
    let encode = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", encode(json!({ "alg": "HS256", "typ": "JWT" })), encode(claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac(client.secret.as_bytes(), signed.as_bytes())))
}

fn present(node: &Node, assertion: &str) -> Response {
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let form = [("grant_type", "client_credentials"), ("client_assertion_type", kind), ("client_assertion", assertion)];
    node.post("/api/oauth/token").form(&form).send()
}

fn sign(node: &Node, client: &Client, id: &str) -> Response {
    present(node, &assertion(node, client, id))
}

fn is_kept_in_clear(folder: &Folder, secret: &str) -> bool {
    let kept =
        ["var/portcullis.db", "var/portcullis.db-wal"].map(|file| std::fs::read(folder.at(file)).unwrap_or_default());
    String::from_utf8_lossy(&kept.concat()).contains(secret)
}

#[test]
fn a_client_signs_by_its_secret() {
    let folder = folder();
    folder.run(["check", "--deny", "warnings"]).code(0);
    let signer = folder.client("signer", "a", &["--auth-method", BY_SECRET]);
    assert!(signer.secret.len() >= 64, "HS512 wants as many: {}", signer.secret.len());
    let node = Node::start(&folder);
    let told = node.get("/.well-known/oauth-authorization-server").send().json();
    assert!(told["token_endpoint_auth_methods_supported"].as_array().unwrap().contains(&json!(BY_SECRET)), "{told}");
    assert_eq!(told["token_endpoint_auth_signing_alg_values_supported"], json!(["HS256", "HS384", "HS512"]));

    let first = assertion(&node, &signer, "1");
    present(&node, &first).status(200);
    present(&node, &first).error(401, "invalid_client");
    // The secret itself is never sent; nor does another client's do.
    node.ask_token(&signer, &[]).error(401, "invalid_client");
    let basic = folder.client("basic", "a", &[]);
    node.token(&basic);
    sign(&node, &basic, "2").error(401, "invalid_client");
    sign(&node, &Client { id: "signer".into(), ..basic }, "3").error(401, "invalid_client");

    // Nobody reads it: not in the registry, nor from a command.
    assert!(!is_kept_in_clear(&folder, &signer.secret));
    for shown in [
        folder.run(["client", "show", "signer", "--json"]).code(0).stdout,
        folder.run(["client", "list", "--json"]).code(0).stdout,
        node.command(&["client", "show", "signer"]).code(0).stdout,
        folder.run(["client", "export", "--with-secrets"]).code(0).stdout,
    ] {
        assert!(!shown.contains(&signer.secret) && !shown.contains("sha256:"), "{shown}");
    }
    assert!(!node.log().contains(&signer.secret));
}

#[test]
fn methods_and_secrets_go_together() {
    let folder = folder();
    let node = Node::start(&folder);
    let basic = folder.client("app", "a", &[]);
    // Of its secret there is a hash, which signs nothing.
    for refused in [
        folder.run(["client", "set", "app", "--auth-method", BY_SECRET]),
        node.command(&["client", "set", "app", "--auth-method", BY_SECRET]),
    ] {
        refused.code(2).says("only a hash is kept").says("client rotate");
    }
    folder
        .run(["client", "rotate", "app", "--auth-method", BY_SECRET, "--secret", "of 31 characters, one too short"])
        .code(2);
    node.token(&basic);
    let rotated = folder.run(["client", "rotate", "app", "--auth-method", BY_SECRET, "--json"]).code(0).json();
    let signer = Client { id: "app".into(), secret: text(&rotated, "client_secret") };
    assert_eq!((&rotated["token_endpoint_auth_method"], &rotated["secrets"]), (&json!(BY_SECRET), &json!(1)));
    wait_until("it signs", || sign(&node, &signer, &format!("{:?}", SystemTime::now())).status == 200);
    node.ask_token(&basic, &[]).status(401);
    // Another one; both sign for a while.
    let next = node.command(&["client", "rotate", "app", "--keep", "1h", "--json"]).code(0).json();
    let next = Client { id: "app".into(), secret: text(&next, "client_secret") };
    for (id, client) in [("1", &signer), ("2", &next)] {
        sign(&node, client, id).status(200);
    }
    // Back to sending it: nothing is left that could be read.
    node.command(&["client", "set", "app", "--auth-method", "client_secret_basic"]).code(0);
    sign(&node, &next, "3").error(401, "invalid_client");
    node.token(&next);
    folder.run(["client", "set", "app", "--auth-method", BY_SECRET]).code(2).says("only a hash is kept");
    // Nor does a file say more than a hash.
    let hash = format!("sha256:{}", "A".repeat(43));
    let other = json!([{ "client_id": "other", "token_endpoint_auth_method": BY_SECRET, "secret_hash": hash }]);
    folder.write("hash.json", &other.to_string());
    folder.run(["client", "import", "hash.json"]).code(1).says("only a hash is kept");
}

#[test]
fn it_goes_from_one_registry_to_another() {
    let old = folder();
    let signer = old.client("signer", "a", &["--auth-method", BY_SECRET]);
    old.write("export.key", &"ab".repeat(32));
    let (file, key) = (old.at("clients.json").display().to_string(), old.at("export.key").display().to_string());
    old.run(["client", "export", "--out", &file, "--key-file", &key]).code(0);
    let new = folder();
    for words in ["1 clients added", "1 as they are"] {
        portcullis(new.path(), ["client", "import", &file, "--key-file", &key]).code(0).says(words);
    }
    assert!(!is_kept_in_clear(&new, &signer.secret));
    sign(&Node::start(&new), &signer, "1").status(200);
}

#[test]
fn sealed_anew_under_another_key() {
    let folder = folder();
    for (name, digit) in [("old.key", "a"), ("new.key", "b")] {
        folder.write_private(name, &digit.repeat(64));
    }
    let keys = |ids: &[&str]| {
        let keys: Vec<_> = ids.iter().map(|id| format!("{{ id = \"{id}\", file = \"{id}.key\" }}")).collect();
        folder.write("node.toml", &format!("[encryption]\nkeys = [{}]\n", keys.join(", ")));
    };
    keys(&["old"]);
    let signer = folder.client("signer", "a", &["--auth-method", BY_SECRET]);
    folder.client("basic", "a", &[]);
    keys(&["new", "old"]);
    let node = Node::start(&folder);
    sign(&node, &signer, "1").status(200);
    let done = json!({ "records": 1, "sealed": 1 });
    assert_eq!(node.command(&["client", "reencrypt", "--json"]).code(0).json(), done);
    folder.run(["client", "reencrypt"]).code(0).says("0 of 1 clients");
    keys(&["new"]);
    node.reload().code(0);
    sign(&node, &signer, "2").status(200);
    // Without the key that sealed it nobody is let in by it, and everybody else is.
    keys(&["old"]);
    node.reload().code(0);
    let broken = sign(&node, &signer, "3").status(500);
    assert!(!broken.text().contains("sealed"), "{}", broken.text());
    folder.run(["client", "reencrypt"]).code(1).says("`new`, which this node does not have").says("1 stay as they are");
}

/// RFC 7591: where that is open, a client registers itself with it, and turns to it later.
#[test]
fn a_client_that_registers_itself() {
    let folder = folder();
    folder.edit("policies/oauth/register.toml", "routes      = []", "route = \"POST /api/oauth/register\"");
    folder.edit(
        "policies/oauth/registration.toml",
        "routes      = []",
        &format!(
            "routes = [{}]",
            ["GET", "PUT", "DELETE"].map(|m| format!("\"{m} /api/oauth/register/{{client}}\"")).join(", ")
        ),
    );
    folder.append(
        "policies/oauth/server.toml",
        "\n[registration]\ngrant_types = [\"authorization_code\", \"client_credentials\"]\nscopes = [\"a\", \"b\"]\n\
         auth_methods = [\"client_secret_basic\", \"client_secret_post\", \"client_secret_jwt\", \"none\"]\n",
    );
    folder.run(["check", "--deny", "warnings"]).code(0);
    let registrar = folder.client("registrar", "clients:register", &[]);
    let node = Node::start(&folder);
    let initial = node.token(&registrar);
    let put = |method: &str, path: &str, token: &str, body: &Value| {
        let request = node.request(method, path).bearer(token).header("Content-Type", "application/json");
        request.body(body.to_string()).send()
    };
    let asked = json!({ "grant_types": ["client_credentials"], "token_endpoint_auth_method": BY_SECRET });
    let told = put("POST", "/api/oauth/register", &initial, &asked).status(201).json();
    assert_eq!(
        (&told["token_endpoint_auth_method"], &told["client_secret_expires_at"]),
        (&json!(BY_SECRET), &json!(0))
    );
    let signer = Client { id: text(&told, "client_id"), secret: text(&told, "client_secret") };
    sign(&node, &signer, "1").status(200);
    assert!(!is_kept_in_clear(&folder, &signer.secret));

    let asked = json!({ "grant_types": ["client_credentials"] });
    let told = put("POST", "/api/oauth/register", &initial, &asked).status(201).json();
    let basic = Client { id: text(&told, "client_id"), secret: text(&told, "client_secret") };
    node.token(&basic);
    let (path, own) = (format!("/api/oauth/register/{}", basic.id), text(&told, "registration_access_token"));
    let turned = json!({
        "client_id": basic.id, "client_secret": basic.secret, "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": BY_SECRET,
    });
    let told = put("PUT", &path, &own, &turned).status(200).json();
    let signer = Client { id: basic.id.clone(), secret: text(&told, "client_secret") };
    assert_ne!(signer.secret, basic.secret);
    sign(&node, &signer, "1").status(200);
    node.ask_token(&basic, &[]).status(401);
    // Said once more, its secret stays what it is.
    let mut same = turned;
    same["client_secret"] = json!(signer.secret);
    let told = put("PUT", &path, &own, &same).status(200).json();
    assert_eq!(told.get("client_secret"), None, "{told}");
    sign(&node, &signer, "2").status(200);
}
