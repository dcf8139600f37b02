//! ID tokens and UserInfo (OpenID Connect Core).

use super::codes::registered;
use super::*;
use ::oauth::jose::{Algorithm, Claims, Jws, KeySet};
use serde_json::{Value as Json, json};
use store::record::Authentication;

const USER_INFO: &str = "/api/oauth/userinfo";

/// The shipped policies, with this `server.toml`, and the user `ann`.
fn world(settings: &str) -> World {
    let mut world = registered();
    world.fixture = world.fixture.file("policies/oauth/server.toml", settings);
    let claims = json!({ "name": "Ann Example", "email": "ann@example.com", "salary": 1 });
    let user = store::User {
        name: "ann".into(),
        enabled: true,
        password: None,
        claims: claims.as_object().expect("an object").clone(),
        created_at: 0,
    };
    assert!(block_on(world.users.add(&user)).expect("memory"));
    world
}

impl World {
    fn id_token(&self, ran: &Ran, pinned: &[Algorithm]) -> Claims {
        let keys = KeySet::parse(&self.get("/api/oauth/jwks", &[]).json()).expect("a key set");
        let json = ran.json();
        let token = json["id_token"].as_str().unwrap_or_else(|| panic!("no ID token in {}", ran.text()));
        let parsed = Jws::parse(token).expect("a token");
        assert!(parsed.is_typed("JWT") && parsed.kid().is_some());
        parsed.verify(&keys, pinned).expect("signed by a published key")
    }
}

#[test]
fn openid_core_2_and_3_1_3_3_an_id_token_is_signed_by_a_published_key() {
    let world = world("");
    let code = world.code(|code| {
        code.scope = scopes("openid a");
        code.nonce = Some("n-1".into());
        code.authentication = Some(Authentication { at: 77, methods: vec!["pwd".into()], acr: Some("silver".into()) });
    });
    let ran = world.redeem(&code, "");
    let claims = world.id_token(&ran, &[Algorithm::Es256]);
    let now = world.fixture.environment().clock.unix_millis() / 1000;
    for (name, value) in [
        ("iss", json!("http://127.0.0.1:8080")),
        ("sub", json!("ann")),
        ("aud", json!("app")),
        ("nonce", json!("n-1")),
        ("auth_time", json!(77)),
        ("amr", json!(["pwd"])),
        ("acr", json!("silver")),
        ("iat", json!(now)),
        ("exp", json!(now + 300)),
    ] {
        assert_eq!(claims.all().get(name), Some(&value), "{name}");
    }
    assert!(claims.text("at_hash").is_some() && claims.text("email").is_none());
}

/// Without `openid`, and where nobody logged in, there is none.
#[test]
fn openid_core_3_1_2_1_only_with_openid() {
    let world = world("");
    let ran = world.redeem(&world.code(|_| {}), "");
    assert_eq!((ran.status, ran.json().get("id_token")), (200, None));
    let ran = world.post(TOKEN, &[("authorization", &basic("app", "right"))], "grant_type=client_credentials");
    assert_eq!((ran.status, ran.json().get("id_token")), (200, None));
}

/// Section 12.2: that of a refresh has the time of the log-in that it goes back to, and no nonce.
#[test]
fn openid_core_12_2_a_refresh() {
    let world = world("");
    let code = world.code(|code| {
        code.scope = scopes("openid offline_access");
        code.nonce = Some("n-1".into());
        code.authentication = Some(Authentication { at: 77, methods: Vec::new(), acr: None });
    });
    let first = world.redeem(&code, "");
    let refresh = first.json()["refresh_token"].as_str().expect("a refresh token").to_owned();
    let ran = world.refresh(&refresh, "");
    let claims = world.id_token(&ran, &[Algorithm::Es256]);
    assert_eq!((claims.all().get("auth_time"), claims.all().get("nonce")), (Some(&json!(77)), None));
    assert_eq!(claims.text("sub"), Some("ann"));
}

#[test]
fn openid_core_15_1_other_algorithms() {
    let world = world("[keys]\nalgorithms = [\"EdDSA\", \"ES256\"]\n");
    let code = world.code(|code| code.scope = scopes("openid"));
    world.id_token(&world.redeem(&code, ""), &[Algorithm::EdDsa]);
    let metadata = world.get("/.well-known/openid-configuration", &[]).json();
    assert_eq!(metadata["id_token_signing_alg_values_supported"], json!(["EdDSA"]));
    assert_eq!(metadata["subject_types_supported"], json!(["public"]));
    assert_eq!(metadata["userinfo_endpoint"], "http://127.0.0.1:8080/api/oauth/userinfo");
}

/// Section 5.5: what is asked for by name stands in the ID token, where a scope covers it.
#[test]
fn openid_core_5_5_claims_in_the_id_token() {
    let world = world("");
    let asked = json!({ "id_token": { "email": null, "name": null, "salary": null } });
    let code = world.code(|code| {
        code.scope = scopes("openid email");
        code.claims = Some(asked);
    });
    let claims = world.id_token(&world.redeem(&code, ""), &[Algorithm::Es256]);
    assert_eq!(claims.text("email"), Some("ann@example.com"));
    assert!(claims.text("name").is_none() && claims.all().get("salary").is_none());
}

#[test]
fn openid_core_5_3_user_info() {
    let world = world("");
    let of = |scope: &str, method: Method| {
        let token = world.token(|token| {
            token.subject = Some("ann".into());
            token.scope = scopes(scope);
        });
        world.call(method, USER_INFO, &[("authorization", &format!("Bearer {token}"))])
    };
    for method in [Method::GET, Method::POST] {
        assert_eq!(of("openid email", method).json(), json!({ "sub": "ann", "email": "ann@example.com" }));
    }
    assert_eq!(of("openid", Method::GET).json(), json!({ "sub": "ann" }));
    let ran = of("email", Method::GET);
    assert_eq!((ran.status, ran.json()["error"].clone()), (403, Json::from("insufficient_scope")));
    assert!(ran.header("www-authenticate").contains("scope=\"openid\""), "{}", ran.header("www-authenticate"));
    let ran = world.call(Method::GET, USER_INFO, &[]);
    assert_eq!((ran.status, ran.text()), (401, ""));
}

#[test]
fn settings_that_cannot_be_are_told() {
    let text = SHIPPED.iter().find(|(name, _)| *name == "oauth/token").expect("it ships").1;
    for (setting, word) in
        [("algorithm = \"RS256\"", "there is no key for `RS256`"), ("lifetime = \"10ms\"", "expired at once")]
    {
        let text = text.replace("use = \"oauth.id-token\"\n", &format!("use = \"oauth.id-token\"\n{setting}\n"));
        let told = World::over(Arc::new(Memory::new())).policy("oauth/token", &text).fixture.problems().join("\n");
        assert!(told.contains(word), "{setting}: {told}");
    }
}
