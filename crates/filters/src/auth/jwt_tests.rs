//! `auth.jwt`, over an issuer that can change its keys and fall silent.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value as Json, json};

use ::oauth::jose::{Algorithm, KeySet, PrivateKey};
use policy::Body;
use policy::engine::Program;
use policy::ports::{BoxFuture, UPSTREAM, Upstream, UpstreamError, UpstreamHandle};
use policy::testing::{Fixture, Ran};

use crate::fixture::{answer, get, told, world};

const ISSUER: &str = "https://as.example";

/// An issuer: what it answers by path, and how often it was asked.
#[derive(Default)]
struct Issuer {
    documents: Mutex<Vec<(String, u16, String)>>,
    asked: AtomicUsize,
    down: AtomicBool,
}

/// The upstream that it is behind.
struct Way(Arc<Issuer>);

impl Upstream for Way {
    fn send(&self, request: http::Request<Body>) -> BoxFuture<'_, Result<http::Response<Body>, UpstreamError>> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        let path = request.uri().to_string();
        let documents = self.0.documents.lock().expect("no panic");
        let found = documents.iter().find(|(of, ..)| *of == path);
        let (status, body) = found.map_or((404, String::new()), |(_, status, body)| (*status, body.clone()));
        let down = self.0.down.load(Ordering::Relaxed);
        Box::pin(std::future::ready(match down {
            true => Err(UpstreamError::Unreachable("refused".into())),
            false => Ok(answer(status, &[("content-type", "application/json")], body)),
        }))
    }
}

struct World {
    fixture: Fixture,
    issuer: Arc<Issuer>,
    /// Each request is served by policies compiled anew: what is remembered outlives that as long as somebody has it.
    _serves: Option<Arc<Program>>,
}

impl World {
    fn new(more: &str) -> World {
        World::with(&format!("jwks = \"/keys\"\n{more}"), "[[filter]]\nuse = \"respond\"\ntext = \"${subject.id}\"\n")
    }

    fn with(settings: &str, then: &str) -> World {
        let issuer = Arc::new(Issuer::default());
        let policy = format!(
            "route = \"/**\"\n\n[[filter]]\nuse = \"auth.jwt\"\nissuer = \"{ISSUER}\"\naudience = [\"https://api.example\"]\n\
             upstream = \"as\"\n{settings}\n\n{then}"
        );
        let upstream = UpstreamHandle(Arc::new(Way(issuer.clone())));
        World::over(world().resource(UPSTREAM, "as", upstream).policy("tested", &policy), issuer)
    }

    fn over(fixture: Fixture, issuer: Arc<Issuer>) -> World {
        let serves = fixture.problems().is_empty().then(|| fixture.program());
        World { fixture, issuer, _serves: serves }
    }

    /// What the issuer answers at this path from now on.
    fn says(&self, path: &str, status: u16, body: impl ToString) {
        let mut documents = self.issuer.documents.lock().expect("no panic");
        documents.retain(|(of, ..)| of != path);
        documents.push((path.to_owned(), status, body.to_string()));
    }

    fn publishes(&self, keys: &[(&str, &PrivateKey)]) {
        let keys = keys.iter().map(|(kid, key)| key.public(kid)).collect();
        self.says("/keys", 200, KeySet::new(keys).to_json());
    }

    fn now(&self) -> u64 {
        self.fixture.environment().clock.unix_millis() / 1_000
    }

    fn later(&self, seconds: u64) {
        self.fixture.clock().advance(Duration::from_secs(seconds));
    }

    fn asked(&self) -> usize {
        self.issuer.asked.load(Ordering::Relaxed)
    }

    fn token(&self, (kid, key): (&str, &PrivateKey), change: impl FnOnce(&mut Json)) -> String {
        let now = self.now();
        let mut claims = json!({
            "iss": ISSUER, "aud": "https://api.example", "sub": "anna", "client_id": "app", "scope": "a b",
            "exp": now + 60, "iat": now, "jti": "1",
        });
        change(&mut claims);
        key.sign(kid, "at+jwt", &claims).expect("signed")
    }

    fn with_token(&self, token: &str) -> Ran {
        self.fixture.run(get("/", &[("authorization", &format!("Bearer {token}"))]))
    }

    fn good(&self, signer: (&str, &PrivateKey)) -> Ran {
        self.with_token(&self.token(signer, |_| {}))
    }
}

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256).expect("a key")
}

#[test]
fn rfc9068_4_a_good_token_lets_in() {
    let then = "[[filter]]\nuse = \"respond\"\n[filter.json]\nsubject = \"${subject.id}\"\nclient = \"${token.client_id}\"\nscopes = \"${token.scopes}\"\ntenant = \"${vars.claims.tenant}\"\nis_client = \"${subject.is_client}\"\n";
    let world = World::with("jwks = \"/keys\"\ninto = \"claims\"", then);
    let one = key();
    world.publishes(&[("1", &one)]);
    let ran = world.with_token(&world.token(("1", &one), |claims| claims["tenant"] = json!("north")));
    assert_eq!(ran.status, 200, "{}", ran.text());
    assert_eq!(
        ran.json(),
        json!({ "subject": "anna", "client": "app", "scopes": ["a", "b"], "tenant": "north", "is_client": false })
    );
    let ran = world.with_token(&world.token(("1", &one), |claims| {
        claims["sub"] = json!("app");
        claims["tenant"] = json!("north");
    }));
    assert_eq!(ran.json()["is_client"], json!(true), "{}", ran.text());
}

#[test]
fn rfc6750_3_refusals() {
    let (world, one, other) = (World::new(""), key(), key());
    world.publishes(&[("1", &one)]);
    let ran = world.fixture.run(get("/", &[]));
    assert_eq!((told(&ran).as_str(), ran.header("www-authenticate")), ("401 no-token", "Bearer realm=\"api\""));
    type Change = fn(&mut Json);
    let changes: [Change; 4] = [
        |claims| claims["aud"] = json!("https://other.example"),
        |claims| claims["exp"] = json!(1),
        |claims| drop(claims.as_object_mut().expect("claims").remove("jti")),
        |claims| claims["sub"] = json!(7),
    ];
    for change in changes {
        let ran = world.with_token(&world.token(("1", &one), change));
        assert_eq!(told(&ran), "401 invalid_token");
        assert!(ran.header("www-authenticate").contains("error=\"invalid_token\""));
    }
    assert_eq!(told(&world.good(("1", &other))), "401 invalid_token");
    assert_eq!(told(&world.with_token("pca_opaque")), "401 invalid_token");
    // One of another issuer is none, so that `any` goes on to the filter of that one.
    let ran = world.with_token(&world.token(("1", &one), |claims| claims["iss"] = json!("https://other.example")));
    assert_eq!(told(&ran), "401 no-token");
    let twice = world.fixture.run(get("/", &[("authorization", "Bearer a"), ("authorization", "Bearer b")]));
    assert_eq!(told(&twice), "400 invalid_request");
}

#[test]
fn any_of_two_issuers_lets_in() {
    let (one, two) = (key(), key());
    let chain = |issuer: &str, upstream: &str| {
        format!(
            "[[chain.{upstream}]]\nuse = \"auth.jwt\"\nissuer = \"{issuer}\"\naudience = [\"https://api.example\"]\n\
             upstream = \"{upstream}\"\njwks = \"/keys\"\n\n"
        )
    };
    let policy = format!(
        "route = \"/**\"\n\n[[filter]]\nuse = \"any\"\nof = [\"as\", \"bs\"]\n\n[[filter]]\nuse = \"respond\"\ntext = \"${{subject.id}}\"\n\n{}{}",
        chain(ISSUER, "as"),
        chain("https://bs.example", "bs")
    );
    let issuers = [(&one, "as"), (&two, "bs")].map(|(key, name)| {
        let issuer = Arc::new(Issuer::default());
        let keys = KeySet::new(vec![key.public("1")]).to_json().to_string();
        issuer.documents.lock().expect("no panic").push(("/keys".into(), 200, keys));
        (issuer, name)
    });
    let fixture = issuers.iter().fold(world(), |world, (issuer, name)| {
        world.resource(UPSTREAM, name, UpstreamHandle(Arc::new(Way(issuer.clone()))))
    });
    let world = World::over(fixture.policy("tested", &policy), issuers[0].0.clone());
    assert_eq!(world.good(("1", &one)).status, 200);
    let of_bs = |claims: &mut Json| claims["iss"] = json!("https://bs.example");
    assert_eq!(world.with_token(&world.token(("1", &two), of_bs)).status, 200);
    assert_eq!(told(&world.with_token(&world.token(("1", &one), of_bs))), "401 invalid_token");
}

#[test]
fn keys_are_fetched_once_and_anew_in_time() {
    let (world, one) = (World::new("renew = \"5m\"\nkeep = \"1h\""), key());
    world.publishes(&[("1", &one)]);
    for _ in 0..5 {
        assert_eq!(world.good(("1", &one)).status, 200);
    }
    assert_eq!(world.asked(), 1);
    world.later(301);
    assert_eq!(world.good(("1", &one)).status, 200);
    assert_eq!(world.asked(), 2);
}

/// A new key of the issuer is found at once; nobody can make us ask all the time.
#[test]
fn an_unknown_key_is_looked_for_once() {
    let (world, one, two, three) = (World::new(""), key(), key(), key());
    world.publishes(&[("1", &one)]);
    assert_eq!(world.good(("1", &one)).status, 200);
    world.publishes(&[("1", &one), ("2", &two)]);
    assert_eq!(world.good(("2", &two)).status, 200, "the new key is fetched");
    assert_eq!(world.asked(), 2);
    for _ in 0..5 {
        assert_eq!(told(&world.good(("3", &three))), "401 invalid_token");
    }
    assert_eq!(world.asked(), 2, "not again at once");
    world.later(31);
    world.publishes(&[("3", &three)]);
    assert_eq!(world.good(("3", &three)).status, 200);
    assert_eq!(world.asked(), 3);
    assert_eq!(told(&world.good(("1", &one))), "401 invalid_token", "what was taken back counts no more");
}

#[test]
fn a_key_that_was_taken_back_counts_no_more_once_the_keys_are_renewed() {
    let (world, one, two) = (World::new("renew = \"5m\""), key(), key());
    world.publishes(&[("1", &one), ("2", &two)]);
    assert_eq!(world.good(("1", &one)).status, 200);
    world.publishes(&[("2", &two)]);
    world.later(299);
    assert_eq!(world.good(("1", &one)).status, 200);
    world.later(2);
    assert_eq!(told(&world.good(("1", &one))), "401 invalid_token");
    assert_eq!(world.good(("2", &two)).status, 200);
}

/// Where the issuer is silent, what is known counts until it is too old; then it is 503, and not a word about the token.
#[test]
fn good_keys_outlive_an_issuer_that_is_silent_for_a_while() {
    let (world, one) = (World::new("renew = \"5m\"\nkeep = \"1h\""), key());
    world.issuer.down.store(true, Ordering::Relaxed);
    let ran = world.good(("1", &one));
    assert_eq!((told(&ran).as_str(), ran.header("retry-after")), ("503 issuer-keys-unavailable", "5"));
    assert_eq!(told(&world.good(("1", &one))), "503 issuer-keys-unavailable");
    assert_eq!(world.asked(), 1, "an issuer that is down is not asked by every request");
    world.later(3);
    world.issuer.down.store(false, Ordering::Relaxed);
    world.publishes(&[("1", &one)]);
    assert_eq!(world.good(("1", &one)).status, 200);

    world.issuer.down.store(true, Ordering::Relaxed);
    world.later(3_500);
    assert_eq!(world.good(("1", &one)).status, 200, "known keys count");
    world.says("/keys", 200, "no json");
    world.issuer.down.store(false, Ordering::Relaxed);
    world.later(3);
    assert_eq!(world.good(("1", &one)).status, 200, "an answer that is no key set takes nothing away");
    world.later(100);
    assert_eq!(told(&world.good(("1", &one))), "503 issuer-keys-unavailable");
    world.publishes(&[("1", &one)]);
    world.later(3);
    assert_eq!(world.good(("1", &one)).status, 200);
}

/// D35, D36: the issuer's metadata says where the keys are; that of another issuer says nothing.
#[test]
fn rfc8414_3_keys_by_the_issuers_metadata() {
    let one = key();
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let world = World::with("", "[[filter]]\nuse = \"respond\"\ntext = \"in\"\n");
        world.publishes(&[("1", &one)]);
        world.says(path, 200, json!({ "issuer": ISSUER, "jwks_uri": format!("{ISSUER}/keys") }));
        assert_eq!(world.good(("1", &one)).status, 200, "{path}");
    }
    for metadata in [
        json!({ "issuer": "https://other.example", "jwks_uri": format!("{ISSUER}/keys") }),
        json!({ "issuer": ISSUER, "jwks_uri": "https://other.example/keys" }),
        json!({ "issuer": ISSUER, "jwks_uri": "https://as.example.evil.example/keys" }),
        json!({ "issuer": ISSUER }),
        json!({}),
    ] {
        let world = World::with("", "[[filter]]\nuse = \"respond\"\ntext = \"in\"\n");
        world.publishes(&[("1", &one)]);
        world.says("/.well-known/oauth-authorization-server", 200, &metadata);
        assert_eq!(told(&world.good(("1", &one))), "503 issuer-keys-unavailable", "{metadata}");
    }
}

/// D50: no upstream sees the token, unless it is to.
#[test]
fn the_token_is_taken_off() {
    for (more, sent) in [("", false), ("keep_credential = true", true)] {
        let world =
            World::with(&format!("jwks = \"/keys\"\n{more}"), "[[filter]]\nuse = \"proxy\"\nupstream = \"orders\"\n");
        let one = key();
        world.publishes(&[("1", &one)]);
        let ran = world.good(("1", &one));
        assert_eq!(crate::fixture::sent(&ran)["headers"].get("authorization").is_some(), sent, "{more}");
    }
}

#[test]
fn plain_tokens_and_algorithms_are_a_matter_of_settings() {
    let one = key();
    let plain = |world: &World| {
        world.publishes(&[("1", &one)]);
        let claims = json!({ "iss": ISSUER, "aud": ["https://api.example"], "sub": "anna", "exp": world.now() + 60, "azp": "app" });
        told(&world.with_token(&one.sign("1", "JWT", &claims).expect("signed")))
    };
    assert_eq!(plain(&World::new("plain = true")), "200");
    assert_eq!(plain(&World::new("")), "401 invalid_token");
    assert_eq!(plain(&World::new("plain = true\nrequired = [\"azp\"]")), "200");
    assert_eq!(plain(&World::new("plain = true\nrequired = [\"email\"]")), "401 invalid_token");
    assert_eq!(plain(&World::new("plain = true\nalgorithms = [\"RS256\"]")), "401 invalid_token");
}

#[test]
fn settings_that_cannot_be_are_told() {
    let problems = |settings: &str| {
        World::with(settings, "[[filter]]\nuse = \"respond\"\ntext = \"in\"\n").fixture.problems().join("\n")
    };
    for (settings, word) in [
        ("jwks = \"https://as.example/keys\"", "no path"),
        ("algorithms = [\"HS256\"]", "no token is signed with `HS256`"),
        ("algorithms = [\"none\"]", "no token is signed with `none`"),
        ("renew = \"2h\"", "fetched anew"),
    ] {
        let told = problems(settings);
        assert!(told.contains(word), "{settings}: {told}");
    }
    assert_eq!(problems(""), "");
}
