//! Clients that prove themselves by an assertion (RFC 7523, section 2.2; RFC 10070).

use super::*;
use ::oauth::client_assertion::TYPE;
use ::oauth::jose::{Algorithm, KeySet, PrivateKey};
use serde_json::{Value as Json, json};

const ISSUER: &str = "http://127.0.0.1:8080";

/// The token endpoint with `private_key_jwt`, the client `signer` that is registered for it with this key.
struct Keyed {
    world: World,
    key: PrivateKey,
}

impl Keyed {
    fn new() -> Keyed {
        Keyed::over(Arc::new(Memory::new()))
    }

    fn over(source: Arc<dyn DataSource>) -> Keyed {
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let (_, text) = SHIPPED.iter().find(|(name, _)| *name == "oauth/token").expect("it ships");
        let methods = "\"client_secret_basic\", \"client_secret_post\"";
        let (before, after) = text.split_once(methods).expect("the methods of the shipped policy");
        let world =
            World::over(source).policy("oauth/token", &format!("{before}{methods}, \"private_key_jwt\"{after}"));
        Keyed { world, key }
    }

    fn with_clients(mut self) -> Keyed {
        let jwks = KeySet::new(vec![self.key.public("k1")]).to_json();
        self.world = self.world.client("signer", |client| {
            client.token_endpoint_auth_method = Some("private_key_jwt".into());
            client.secrets.clear();
            client.metadata.jwks = Some(jwks);
        });
        self
    }

    fn now(&self) -> u64 {
        self.world.fixture.environment().clock.unix_millis() / 1000
    }

    /// An assertion of `signer`, changed.
    fn assertion(&self, change: impl FnOnce(&mut Json)) -> String {
        let mut claims = json!({ "iss": "signer", "sub": "signer", "aud": ISSUER, "exp": self.now() + 60, "jti": "1" });
        change(&mut claims);
        self.key.sign("k1", "client-authentication+jwt", &claims).expect("signed")
    }

    fn ask(&self, assertion: &str, more: &str) -> Ran {
        let kind = TYPE.replace(':', "%3A");
        let form =
            format!("grant_type=client_credentials&client_assertion_type={kind}&client_assertion={assertion}{more}");
        self.world.post(TOKEN, &[], &form)
    }
}

fn error(ran: &Ran) -> (u16, String) {
    (ran.status, ran.json()["error"].as_str().unwrap_or_default().to_owned())
}

fn refused() -> (u16, String) {
    (401, "invalid_client".to_owned())
}

#[test]
fn rfc7523_2_2_a_key_proves_its_client() {
    let keyed = Keyed::new().with_clients();
    let ran = keyed.ask(&keyed.assertion(|_| {}), "");
    assert_eq!(ran.status, 200, "{}", ran.text());
    let ran = keyed.ask(&keyed.assertion(|claims| claims["jti"] = json!("2")), "&client_id=signer");
    assert_eq!(ran.status, 200, "{}", ran.text());
}

/// D74: an assertion is used once; another one of the same client is another one.
#[test]
fn rfc7523_3_an_assertion_is_used_once() {
    let keyed = Keyed::new().with_clients();
    let first = keyed.assertion(|_| {});
    assert_eq!(keyed.ask(&first, "").status, 200);
    assert_eq!(error(&keyed.ask(&first, "")), refused());
    // The same identifier, signed anew.
    assert_eq!(error(&keyed.ask(&keyed.assertion(|claims| claims["exp"] = json!(keyed.now() + 61)), "")), refused());
    assert_eq!(keyed.ask(&keyed.assertion(|claims| claims["jti"] = json!("2")), "").status, 200);
}

/// One that is refused for something else is not used up by that.
#[test]
fn rfc7523_3_what_is_refused_is_not_used_up() {
    let keyed = Keyed::new().with_clients();
    assert_eq!(
        error(&keyed.ask(&keyed.assertion(|claims| claims["aud"] = json!("https://other.example")), "")),
        refused()
    );
    assert_eq!(keyed.ask(&keyed.assertion(|_| {}), "").status, 200);
}

/// D73, D74, and who may use it: all are the same `invalid_client`.
#[test]
fn rfc10070_what_is_not_for_us_is_refused() {
    let keyed = Keyed::new().with_clients();
    type Change = fn(&mut Json);
    let changes: [Change; 8] = [
        |claims| claims["aud"] = json!(format!("{ISSUER}/api/oauth/token")),
        |claims| claims["aud"] = json!([ISSUER, "https://other.example"]),
        |claims| claims["iss"] = json!("app"),
        |claims| claims["sub"] = json!("app"),
        |claims| claims["sub"] = json!("nobody"),
        |claims| drop(claims.as_object_mut().expect("claims").remove("jti")),
        |claims| drop(claims.as_object_mut().expect("claims").remove("exp")),
        |claims| claims["exp"] = json!(4_000_000_000_u64),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert_eq!(error(&keyed.ask(&keyed.assertion(change), "")), refused(), "{number}");
    }
    // A key that is not registered; a client that is registered for something else, though the key would be right.
    let other = PrivateKey::generate(Algorithm::Es256).expect("a key");
    let claims = json!({ "iss": "signer", "sub": "signer", "aud": ISSUER, "exp": keyed.now() + 60, "jti": "1" });
    for kid in ["k1", "k2"] {
        let forged = other.sign(kid, "JWT", &claims).expect("signed");
        assert_eq!(error(&keyed.ask(&forged, "")), refused(), "{kid}");
    }
    let jwks = KeySet::new(vec![keyed.key.public("k1")]).to_json();
    let world = keyed.world.client("basic", |client| client.metadata.jwks = Some(jwks));
    let keyed = Keyed { world, ..keyed };
    let of_basic = keyed.assertion(|claims| (claims["iss"], claims["sub"]) = (json!("basic"), json!("basic")));
    assert_eq!(error(&keyed.ask(&of_basic, "")), refused());
    // And who is registered for it comes in by nothing else.
    let ran = keyed.world.post(TOKEN, &[], "grant_type=client_credentials&client_id=signer&client_secret=right");
    assert_eq!(error(&ran), refused());
    assert_eq!(keyed.ask(&keyed.assertion(|_| {}), "").status, 200, "nothing of this used it up");
}

#[test]
fn rfc7521_4_2_a_policy_that_does_not_list_it_does_not_take_it() {
    let keyed = Keyed { world: World::shipped(), ..Keyed::new() }.with_clients();
    let ran = keyed.ask(&keyed.assertion(|_| {}), "");
    assert_eq!(error(&ran), refused());
    assert!(ran.text().contains("not supported here"), "{}", ran.text());
}

/// Whether an identifier was used cannot be told where its store is down: nobody comes in.
#[test]
fn rfc7523_3_a_store_that_is_down_lets_nobody_in() {
    let keyed = Keyed::over(Arc::new(Down));
    let ran = keyed.ask(&keyed.assertion(|_| {}), "");
    assert_eq!(error(&ran), (503, "temporarily_unavailable".to_owned()));
}

#[test]
fn algorithms_that_cannot_be_are_refused_where_they_stand() {
    let problems = World::over(Arc::new(Memory::new()))
        .policy("p", "route = \"POST /p\"\n\n[[filter]]\nuse = \"oauth.authenticate-client\"\nmethods = [\"private_key_jwt\"]\nalgorithms = [\"HS256\"]\n\n[[filter]]\nuse = \"oauth.fail\"\nerror = \"invalid_request\"\n")
        .fixture
        .problems()
        .join("\n");
    assert!(problems.contains("no token is signed with `HS256`"), "{problems}");
}

const SECRET: &str = "a secret of sixty-four characters, as long as the longest hash ..";

/// The token endpoint with every method, and the clients `hmac` that signs by [`SECRET`], `signer` that signs by a key, and `basic`.
struct Signing {
    world: World,
    jwks: Json,
}

impl Signing {
    fn new() -> Signing {
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let jwks = KeySet::new(vec![key.public("k1")]).to_json();
        let methods = "\"client_secret_basic\", \"client_secret_post\"";
        let all = format!("{methods}, \"client_secret_jwt\", \"private_key_jwt\"");
        let world = SHIPPED.iter().fold(World::over(Arc::new(Memory::new())), |world, (name, text)| {
            let text = if *name == "oauth/token" { text.replace(methods, &all) } else { text.to_string() };
            world.policy(name, &text)
        });
        let sealed = |id: &str| world.clients.seal(&ClientId::new(id), &Secret::new(SECRET.into())).expect("sealed");
        let kept = |id: &str| ClientSecret { sealed: Some(sealed(id)), ..secret(SECRET) };
        let (hmac, basic) = (kept("hmac"), kept("basic"));
        let world = world
            .client("hmac", |client| {
                client.token_endpoint_auth_method = Some("client_secret_jwt".into());
                client.secrets = vec![hmac];
            })
            // As no registration would leave it: what is sealed there counts for nothing.
            .client("basic", |client| {
                client.token_endpoint_auth_method = Some("client_secret_basic".into());
                client.secrets = vec![basic];
            })
            .client("signer", |client| {
                client.token_endpoint_auth_method = Some("private_key_jwt".into());
                client.secrets = vec![secret(SECRET)];
                client.metadata.jwks = Some(jwks.clone());
            });
        Signing { world, jwks }
    }

    fn ask(&self, client: &str, secret: &str, change: impl FnOnce(&mut Json)) -> Ran {
        let now = self.world.fixture.environment().clock.unix_millis() / 1000;
        let mut claims = json!({ "iss": client, "sub": client, "aud": ISSUER, "exp": now + 60, "jti": "1" });
        change(&mut claims);
        let kind = TYPE.replace(':', "%3A");
        let assertion = crate::fixture::hs256(secret.as_bytes(), &claims);
        let form = format!("grant_type=client_credentials&client_assertion_type={kind}&client_assertion={assertion}");
        self.world.post(TOKEN, &[], &form)
    }
}

/// OpenID Connect Core, section 9; D74: and it is used once.
#[test]
fn rfc7523_2_2_a_secret_proves_its_client() {
    let signing = Signing::new();
    let ran = signing.ask("hmac", SECRET, |_| {});
    assert_eq!(ran.status, 200, "{}", ran.text());
    assert_eq!(error(&signing.ask("hmac", SECRET, |_| {})), refused());
    assert_eq!(
        error(&signing.ask("hmac", SECRET, |claims| claims["exp"] = json!(claims["exp"].as_u64().map(|at| at + 1)))),
        refused()
    );
    assert_eq!(signing.ask("hmac", SECRET, |claims| claims["jti"] = json!("2")).status, 200);
}

/// D73, D74: the same rules as for keys.
#[test]
fn rfc10070_what_a_secret_signed_for_others_is_refused() {
    let signing = Signing::new();
    type Change = fn(&mut Json);
    let changes: [Change; 7] = [
        |claims| claims["aud"] = json!(format!("{ISSUER}/api/oauth/token")),
        |claims| claims["aud"] = json!([ISSUER, "https://other.example"]),
        |claims| claims["iss"] = json!("basic"),
        |claims| claims["sub"] = json!("basic"),
        |claims| drop(claims.as_object_mut().expect("claims").remove("jti")),
        |claims| drop(claims.as_object_mut().expect("claims").remove("exp")),
        |claims| claims["exp"] = json!(4_000_000_000_u64),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert_eq!(error(&signing.ask("hmac", SECRET, change)), refused(), "{number}");
    }
    assert_eq!(signing.ask("hmac", SECRET, |_| {}).status, 200, "nothing of this used it up");
}

/// D56, D73: neither a method nor a kind of key stands for another.
#[test]
fn rfc8725_2_1_secrets_keys_and_methods_are_not_mixed_up() {
    let signing = Signing::new();
    // A wrong secret, none at all, and clients that are held to something else though they know the secret.
    for (client, secret) in [("hmac", "wrong"), ("hmac", ""), ("basic", SECRET), ("signer", SECRET), ("nobody", SECRET)]
    {
        assert_eq!(error(&signing.ask(client, secret, |_| {})), refused(), "{client} {secret}");
    }
    // A public key is no secret, in whatever form.
    let (set, key) = (signing.jwks.to_string(), signing.jwks["keys"][0].to_string());
    for public in [set.as_str(), key.as_str(), signing.jwks["keys"][0]["x"].as_str().expect("x")] {
        for client in ["signer", "hmac"] {
            assert_eq!(error(&signing.ask(client, public, |_| {})), refused(), "{client}");
        }
    }
    // Who signs by it does not send it.
    let post = format!("grant_type=client_credentials&client_id=hmac&client_secret={}", SECRET.replace(' ', "+"));
    assert_eq!(error(&signing.world.post(TOKEN, &[], &post)), refused());
    // The others come in as they are held to.
    let world = &signing.world;
    let basic = |id: &str| {
        let credentials = format!("{id}:{}", SECRET.replace(' ', "+"));
        let header =
            format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, credentials));
        world.post(TOKEN, &[("authorization", &header)], "grant_type=client_credentials").status
    };
    assert_eq!((basic("basic"), basic("hmac"), basic("signer")), (200, 401, 401));
    assert_eq!(signing.ask("hmac", SECRET, |_| {}).status, 200);
}

/// What was sealed by a key that this node does not have is a fault of ours, and nobody is let in by it.
#[test]
fn what_does_not_open_lets_nobody_in() {
    let signing = Signing::new();
    let foreign = signing.world.clients.seal(&ClientId::new("another"), &Secret::new(SECRET.into())).expect("sealed");
    let world = signing.world.client("broken", |client| {
        client.token_endpoint_auth_method = Some("client_secret_jwt".into());
        client.secrets = vec![ClientSecret { sealed: Some(foreign), ..secret(SECRET) }];
    });
    let ran = Signing { world, ..signing }.ask("broken", SECRET, |_| {});
    assert_eq!(ran.status, 500, "{}", ran.text());
    assert!(!ran.text().contains(SECRET));
}

/// D38: the metadata names the method, and what it signs with.
#[test]
fn rfc8414_2_hmac_is_named_where_it_is_taken() {
    let signing = Signing::new();
    let told = signing.world.get("/.well-known/oauth-authorization-server", &[]).json();
    let methods = told["token_endpoint_auth_methods_supported"].as_array().expect("methods").clone();
    assert!(methods.contains(&json!("client_secret_jwt")), "{told}");
    let algorithms = told["token_endpoint_auth_signing_alg_values_supported"].as_array().expect("algorithms");
    for algorithm in ["HS256", "HS384", "HS512", "ES256"] {
        assert!(algorithms.contains(&json!(algorithm)), "{told}");
    }
    assert!(!algorithms.contains(&json!("none")));
    assert_eq!(told.get("revocation_endpoint_auth_signing_alg_values_supported"), None, "it is not taken there");
}
