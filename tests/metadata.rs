//! The authorization server's metadata: RFC 8414.

use serde_json::Value;

use crate::harness::{Folder, Node};

const METADATA: &str = "/.well-known/oauth-authorization-server";

fn list(json: &Value, name: &str) -> Vec<String> {
    let items = json[name].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| item.as_str().expect("text").to_owned()).collect()
}

/// D37: what is stated is what is there.
#[test]
fn it_states_what_the_policies_do() {
    let folder = Folder::shipped();
    let node = Node::start(&folder);
    let response = node.get(METADATA).send().status(200);
    assert!(response.header("content-type").is_some_and(|t| t.starts_with("application/json")));
    let json = response.json();
    let issuer = json["issuer"].as_str().expect("an issuer");
    assert_eq!(
        issuer,
        format!("http://{}", node.address),
        "the single loopback listener, where server.toml says nothing"
    );
    for (name, path) in [
        ("token_endpoint", "/api/oauth/token"),
        ("introspection_endpoint", "/api/oauth/introspect"),
        ("revocation_endpoint", "/api/oauth/revoke"),
        ("authorization_endpoint", "/api/oauth/authorize"),
        ("device_authorization_endpoint", "/api/oauth/device"),
        ("userinfo_endpoint", "/api/oauth/userinfo"),
        ("jwks_uri", "/api/oauth/jwks"),
    ] {
        assert_eq!(json[name], format!("{issuer}{path}"));
        assert_ne!(node.post(path).form(&[]).send().status, 404, "{name} is there");
    }
    let grants =
        ["authorization_code", "client_credentials", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"];
    assert_eq!(list(&json, "grant_types_supported"), grants);
    for name in ["token_endpoint", "introspection_endpoint", "revocation_endpoint"] {
        let mut methods = list(&json, &format!("{name}_auth_methods_supported"));
        methods.sort();
        assert_eq!(methods, ["client_secret_basic", "client_secret_post"], "{name}");
    }
    for (name, value) in json.as_object().unwrap() {
        assert_ne!(value, &serde_json::json!([]), "{name}: empty lists are left out");
    }
    assert_eq!(list(&json, "code_challenge_methods_supported"), ["S256"]);
    assert_eq!(json["authorization_response_iss_parameter_supported"], true);
    assert!(json.get("registration_endpoint").is_none(), "it has no route as it ships");
    let refused = node.post(METADATA).send().status(405);
    assert_eq!(refused.header("allow").map(|allow| allow.contains("GET")), Some(true));
}

/// D37: an endpoint that is taken away is not stated any more, nor a method.
#[test]
fn it_follows_the_policies() {
    let folder = Folder::shipped();
    let node = Node::on(&folder).arg("--no-tests").start();
    std::fs::remove_file(folder.at("policies/oauth/revoke.toml")).unwrap();
    folder.edit(
        "policies/oauth/token.toml",
        "[\"client_secret_basic\", \"client_secret_post\"]",
        "[\"client_secret_post\"]",
    );
    node.reload();
    let json = node.get(METADATA).send().status(200).json();
    assert_eq!(json.get("revocation_endpoint"), None);
    assert_eq!(list(&json, "token_endpoint_auth_methods_supported"), ["client_secret_post"]);
}

/// D36: the issuer is the one that was configured, byte for byte, and never what `Host` says.
#[test]
fn the_issuer_is_configured() {
    let folder = Folder::shipped();
    folder.write("policies/oauth/server.toml", "issuer = \"https://login.example.com\"\n");
    let node = Node::start(&folder);
    for host in ["login.example.com", "evil.example", "127.0.0.1"] {
        let json = node.get(METADATA).header("Host", host).send().status(200).json();
        assert_eq!(json["issuer"], "https://login.example.com");
        assert_eq!(json["token_endpoint"], "https://login.example.com/api/oauth/token");
    }
    for bad in ["http://login.example.com", "https://login.example.com?x=1", "https://login.example.com#x", "login", ""]
    {
        folder.write("policies/oauth/server.toml", &format!("issuer = \"{bad}\"\n"));
        folder.run(["check", "--no-tests"]).code(1).says("policies/oauth/server.toml:1:");
    }
}

/// D35: the well-known part stands between host and path.
#[test]
fn an_issuer_with_a_path() {
    let folder = Folder::shipped();
    folder.write("policies/oauth/server.toml", "issuer = \"https://login.example.com/tenant\"\n");
    let node = Node::start(&folder);
    let json = node.get(&format!("{METADATA}/tenant")).send().status(200).json();
    assert_eq!(json["issuer"], "https://login.example.com/tenant");
    node.get(METADATA).send().status(404);
    node.get(&format!("{METADATA}/other")).send().status(404);
}
