//! Clients whose keys are where they say (`jwks_uri`; RFC 7591, section 2; D92), over hosts that can change them and fall silent.

use std::sync::Mutex;

use super::*;
use ::oauth::client_assertion::TYPE;
use ::oauth::jose::{Algorithm, KeySet, PrivateKey};
use policy::Body;
use policy::engine::Program;
use policy::ports::{BoxFuture, DOCUMENTS, Upstream, UpstreamError};
use serde_json::{Value as Json, json};

const URI: &str = "https://keys.example/app/jwks.json";

/// What is behind an upstream: its answer, and what was asked of it, each request as `HOST PATH`.
#[derive(Default)]
struct Host {
    answer: Mutex<Option<(u16, String)>>,
    asked: Mutex<Vec<String>>,
}

/// The upstream that it is behind.
struct Way(Arc<Host>);

impl Upstream for Way {
    fn send(&self, request: http::Request<Body>) -> BoxFuture<'_, Result<http::Response<Body>, UpstreamError>> {
        let host = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        self.0.asked.lock().expect("no panic").push(format!("{host} {}", request.uri()));
        let answer = self.0.answer.lock().expect("no panic").clone();
        let location = [("location", "http://169.254.169.254/latest/")];
        Box::pin(std::future::ready(match answer {
            Some((status, body)) => Ok(crate::fixture::answer(status, &location, body)),
            None => Err(UpstreamError::Timeout("whole")),
        }))
    }
}

/// The token endpoint with `private_key_jwt`, and the client `app` whose keys are at [`URI`].
struct Named {
    world: World,
    host: Arc<Host>,
    key: PrivateKey,
    /// Each request is served by policies compiled anew: what is remembered outlives that as long as somebody has it.
    _serves: Arc<Program>,
}

impl Named {
    fn new() -> Named {
        Named::over("[client_keys]\n\"https://keys.example\" = \"partner-keys\"\n", URI)
    }

    fn over(settings: &str, uri: &str) -> Named {
        let (host, key) = (Arc::new(Host::default()), PrivateKey::generate(Algorithm::Es256).expect("a key"));
        let (_, text) = SHIPPED.iter().find(|(name, _)| *name == "oauth/token").expect("it ships");
        let text = text.replace("\"client_secret_post\"]", "\"client_secret_post\", \"private_key_jwt\"]");
        let mut world = World::over(Arc::new(Memory::new())).policy("oauth/token", &text).client("app", |client| {
            client.token_endpoint_auth_method = Some("private_key_jwt".into());
            client.secrets.clear();
            client.metadata.jwks_uri = Some(uri.into());
        });
        world.fixture = world
            .fixture
            .resource(DOCUMENTS, "partner-keys", policy::ports::UpstreamHandle(Arc::new(Way(host.clone()))))
            .file("policies/oauth/server.toml", settings);
        let program = world.fixture.program();
        let named = Named { world, host, key, _serves: program };
        named.publishes(&[("k1", &named.key)]);
        named
    }

    fn says(&self, answer: Option<(u16, String)>) {
        *self.host.answer.lock().expect("no panic") = answer;
    }

    fn publishes(&self, keys: &[(&str, &PrivateKey)]) {
        let keys = keys.iter().map(|(kid, key)| key.public(kid)).collect();
        self.says(Some((200, KeySet::new(keys).to_json().to_string())));
    }

    fn asked(&self) -> Vec<String> {
        self.host.asked.lock().expect("no panic").clone()
    }

    fn later(&self, seconds: u64) {
        self.world.fixture.clock().advance(std::time::Duration::from_secs(seconds));
    }

    /// The status that an assertion of `app` gets, each with an identifier of its own.
    fn sign(&self, kid: &str, key: &PrivateKey) -> u16 {
        let now = self.world.fixture.environment().clock.unix_millis() / 1000;
        let id = format!("{}", self.world.fixture.environment().clock.monotonic_nanos());
        self.later(1);
        let claims: Json =
            json!({ "iss": "app", "sub": "app", "aud": "http://127.0.0.1:8080", "exp": now + 60, "jti": id });
        let assertion = key.sign(kid, "JWT", &claims).expect("signed");
        let kind = TYPE.replace(':', "%3A");
        let form = format!("grant_type=client_credentials&client_assertion_type={kind}&client_assertion={assertion}");
        self.world.post(TOKEN, &[], &form).status
    }
}

/// They are fetched by the path, in the name of the host, and remembered.
#[test]
fn rfc7591_2_keys_are_where_the_client_says() {
    let named = Named::new();
    for _ in 0..3 {
        assert_eq!(named.sign("k1", &named.key), 200);
    }
    assert_eq!(named.asked(), ["keys.example /app/jwks.json"]);
}

/// An unknown key is asked for once in 30 s; who has one that is not published is not let in by asking.
#[test]
fn rfc7591_2_a_new_key_is_found_and_asking_is_bounded() {
    let named = Named::new();
    let next = PrivateKey::generate(Algorithm::Es256).expect("a key");
    assert_eq!(named.sign("k1", &named.key), 200);
    named.publishes(&[("k1", &named.key), ("k2", &next)]);
    assert_eq!(named.sign("k2", &next), 200);
    assert_eq!(named.asked().len(), 2);
    for _ in 0..5 {
        assert_eq!(named.sign("k3", &next), 401);
    }
    assert_eq!(named.asked().len(), 2, "not again so soon");
    named.later(30);
    assert_eq!(named.sign("k3", &next), 401);
    assert_eq!(named.asked().len(), 3);
}

#[test]
fn rfc7591_2_a_key_that_was_taken_off_counts_no_more() {
    let named = Named::new();
    assert_eq!(named.sign("k1", &named.key), 200);
    named.publishes(&[]);
    assert_eq!(named.sign("k1", &named.key), 200, "it is remembered");
    named.later(300);
    assert_eq!(named.sign("k1", &named.key), 401);
}

/// Where they cannot be had nobody can tell: that is no refusal, and no way in.
#[test]
fn rfc7591_2_a_host_that_is_silent_is_a_fault() {
    let named = Named::new();
    named.says(None);
    assert_eq!(named.sign("k1", &named.key), 503);
    assert_eq!(named.sign("k1", &named.key), 503);
    assert_eq!(named.asked().len(), 1, "it is not asked again at once");
    named.publishes(&[("k1", &named.key)]);
    named.later(2);
    assert_eq!(named.sign("k1", &named.key), 200);
    // What was fetched counts for an hour, and then no longer.
    named.says(None);
    named.later(1_800);
    assert_eq!(named.sign("k1", &named.key), 200);
    named.later(1_800);
    assert_eq!(named.sign("k1", &named.key), 503);
}

/// D92: nothing is fetched from a place that the operator did not name, and nobody is sent on from one.
#[test]
fn rfc7591_5_nothing_is_fetched_from_anywhere_else() {
    let listed = "[client_keys]\n\"https://keys.example\" = \"partner-keys\"\n";
    for (settings, uri) in [
        ("", URI),
        (listed, "https://keys.example:8443/app/jwks.json"),
        (listed, "https://keys.example.evil.example/jwks.json"),
        (listed, "https://evil.keys.example/jwks.json"),
        (listed, "https://keys.example@evil.example/jwks.json"),
        (listed, "https://keys.example./jwks.json"),
        (listed, "http://keys.example/app/jwks.json"),
        (listed, "http://127.0.0.1/jwks.json"),
        (listed, "http://169.254.169.254/latest/meta-data"),
        (listed, "https://[::ffff:127.0.0.1]/jwks.json"),
        (listed, "file:///etc/passwd"),
    ] {
        let named = Named::over(settings, uri);
        assert_eq!(named.sign("k1", &named.key), 401, "{uri}");
        assert!(named.asked().is_empty(), "{uri}: {:?}", named.asked());
    }
    for status in [301, 302, 303, 307, 308, 404, 500] {
        let named = Named::new();
        named.says(Some((status, String::new())));
        assert_eq!(named.sign("k1", &named.key), 503, "{status}");
        assert_eq!(named.asked(), ["keys.example /app/jwks.json"], "{status}");
    }
    for body in ["", "{}", "[]", "{\"keys\":1}", "not json"] {
        let named = Named::new();
        named.says(Some((200, body.into())));
        assert_eq!(named.sign("k1", &named.key), 503, "{body}");
    }
}

/// D56: what stands there is public keys; a symmetric one counts for nothing.
#[test]
fn rfc8725_3_5_no_secret_is_taken_from_there() {
    let named = Named::new();
    named.says(Some((200, json!({ "keys": [{ "kty": "oct", "kid": "k1", "k": "AAAA" }] }).to_string())));
    assert_eq!(named.sign("k1", &named.key), 401);
}

/// D92: it is the operator who names the places, and how each is reached.
#[test]
fn places_of_keys_are_checked_where_they_stand() {
    for (settings, told) in [
        (
            "[client_keys]\n\"https://keys.example/jwks\" = \"partner-keys\"\n",
            "policies/oauth/server.toml:2:1: error[P0103]",
        ),
        ("[client_keys]\n\"http://keys.example\" = \"partner-keys\"\n", "policies/oauth/server.toml:2:1: error[P0103]"),
        ("[client_keys]\n\"*\" = \"partner-keys\"\n", "policies/oauth/server.toml:2:1: error[P0103]"),
        ("[client_keys]\n\"https://keys.example\" = \"nobody\"\n", "policies/oauth/server.toml:2:26: error[P01"),
    ] {
        let mut world = Named::new().world;
        world.fixture = world.fixture.file("policies/oauth/server.toml", settings);
        let problems = world.fixture.problems();
        assert!(problems.iter().any(|problem| problem.starts_with(told)), "{settings}: {problems:?}");
    }
}
