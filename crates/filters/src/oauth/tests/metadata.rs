//! Metadata (RFC 8414).

use super::*;
use serde_json::json;

const PATH: &str = "/.well-known/oauth-authorization-server";

/// D37: the endpoints and methods of the policies that are loaded, and nothing else.
#[test]
fn rfc8414_2_what_is_shipped() {
    let ran = World::shipped().get(PATH, &[]);
    assert_eq!((ran.status, ran.header("content-type")), (200, "application/json"));
    let methods = json!(["client_secret_basic", "client_secret_post"]);
    let document = ran.json();
    assert!(document["claims_supported"].as_array().expect("a list").contains(&json!("email")), "{document}");
    assert_eq!(
        document,
        json!({
            "issuer": "http://127.0.0.1:8080",
            "token_endpoint": "http://127.0.0.1:8080/api/oauth/token",
            "token_endpoint_auth_methods_supported": methods,
            "grant_types_supported": [
                "authorization_code",
                "client_credentials",
                "refresh_token",
                "urn:ietf:params:oauth:grant-type:device_code",
            ],
            "jwks_uri": "http://127.0.0.1:8080/api/oauth/jwks",
            "userinfo_endpoint": "http://127.0.0.1:8080/api/oauth/userinfo",
            "id_token_signing_alg_values_supported": ["ES256"],
            "subject_types_supported": ["public"],
            "claims_supported": document["claims_supported"],
            "introspection_endpoint": "http://127.0.0.1:8080/api/oauth/introspect",
            "introspection_endpoint_auth_methods_supported": methods,
            "revocation_endpoint": "http://127.0.0.1:8080/api/oauth/revoke",
            "revocation_endpoint_auth_methods_supported": methods,
        })
    );
    let text = SHIPPED.iter().find(|(name, _)| *name == "oauth/metadata").expect("it ships").1;
    let alone = World::over(Arc::new(Memory::new())).policy("oauth/metadata", text);
    assert_eq!(alone.get(PATH, &[]).json(), json!({ "issuer": "http://127.0.0.1:8080" }));
}

#[test]
fn rp_initiated_logout_2_1_the_metadata_says_where() {
    let text = include_str!("../../../../../policies/oauth/logout.toml");
    let document = World::shipped().policy("oauth/logout", text).get(PATH, &[]).json();
    assert_eq!(document["end_session_endpoint"], "http://127.0.0.1:8080/api/oauth/logout");
    assert_eq!(World::shipped().get(PATH, &[]).json().get("end_session_endpoint"), None);
}

/// D35, D36: the issuer of the file, byte for byte, at its own path only.
#[test]
fn rfc8414_3_1_an_issuer_with_a_path() {
    let mut world = World::shipped();
    world.fixture =
        world.fixture.file("policies/oauth/server.toml", "issuer = \"https://login.example.com/tenant/one\"\n");
    let ran = world.get(&format!("{PATH}/tenant/one"), &[("host", "evil.example.com")]);
    assert_eq!(ran.json()["issuer"], "https://login.example.com/tenant/one");
    assert_eq!(ran.json()["token_endpoint"], "https://login.example.com/api/oauth/token");
    for path in [PATH.to_owned(), format!("{PATH}/tenant"), format!("/tenant/one{PATH}"), format!("{PATH}/tenant/one/")]
    {
        assert_eq!(world.get(&path, &[]).status, 404, "{path}");
    }
}

/// D35: OpenID Connect's path stands behind the issuer's; RFC 8414 would have it before. The document is the same.
#[test]
fn openid_discovery_4_the_path_is_appended() {
    let mut world = World::shipped();
    world.fixture = world.fixture.file("policies/oauth/server.toml", "issuer = \"https://login.example.com/tenant\"\n");
    let world = world.policy(
        "openid",
        "route = \"GET /tenant/.well-known/openid-configuration\"\n\n[[filter]]\nuse = \"oauth.metadata\"\n",
    );
    let document = world.get(&format!("{PATH}/tenant"), &[]).json();
    assert_eq!(document["issuer"], "https://login.example.com/tenant");
    for path in ["/tenant/.well-known/openid-configuration", "/.well-known/openid-configuration/tenant"] {
        assert_eq!(world.get(path, &[]).json(), document, "{path}");
    }
    for path in ["/.well-known/openid-configuration", "/.well-known/openid-configuration/other"] {
        assert_eq!(world.get(path, &[]).status, 404, "{path}");
    }
}
