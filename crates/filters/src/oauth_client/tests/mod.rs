//! The filters over a provider that answers what a test says.

mod journeys;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use http::{Method, Request as HttpRequest, Response};
use serde_json::{Value as Json, json};

use ::oauth::provider::Provider;
use ::oauth::{Issuer, Scopes};
use policy::Body;
use policy::ports::{Background, BoxFuture, PROVIDER, Reached, UPSTREAM, Upstream, UpstreamError, UpstreamHandle};
use policy::testing::{Fixture, Ran, request};
use store::client_access_tokens::Holding;
use store::sources::memory::Memory;
use store::{ClientAccessTokens, StoreHandle};

use crate::fixture::{Nobody, answer, get, held, provider, told, world};

/// A provider: it notes what it is sent, and answers in order; after that with tokens that it counts.
#[derive(Default)]
struct Partner {
    answers: Mutex<VecDeque<Option<(u16, String)>>>,
    sent: Mutex<Vec<String>>,
    given: AtomicU32,
}

impl Partner {
    fn answers(&self, status: u16, json: Json) {
        self.answers.lock().unwrap().push_back(Some((status, json.to_string())));
    }

    fn is_down(&self) {
        self.answers.lock().unwrap().push_back(None);
    }

    /// What it was sent since the last look.
    fn sent(&self) -> Vec<String> {
        std::mem::take(&mut *self.sent.lock().unwrap())
    }
}

impl Upstream for Partner {
    fn send(&self, request: HttpRequest<Body>) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = String::from_utf8(body.collect(10_000).await.unwrap().to_vec()).unwrap();
            let mut sent = self.sent.lock().unwrap();
            sent.push(format!("{} {} {body}", head.method, head.uri).trim_end().to_owned());
            assert_eq!(head.headers["host"], "127.0.0.1:9");
            match self.answers.lock().unwrap().pop_front() {
                Some(Some((status, body))) => Ok(answer(status, &[], body)),
                Some(None) => Err(UpstreamError::Unreachable("refused".into())),
                None => {
                    let json = tokens(&format!("t{}", self.given.fetch_add(1, Ordering::Relaxed) + 1), None);
                    Ok(answer(200, &[], json.to_string()))
                }
            }
        })
    }
}

/// The API behind: it notes the credential and the body of each request, and refuses the tokens that it is told to.
#[derive(Default)]
struct Api {
    seen: Mutex<Vec<String>>,
    refused: Mutex<Vec<&'static str>>,
}

impl Api {
    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

impl Upstream for Api {
    fn send(&self, request: HttpRequest<Body>) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = String::from_utf8(body.collect(10_000).await.unwrap().to_vec()).unwrap();
            let all: Vec<_> = head.headers.get_all("authorization").iter().map(|v| v.to_str().unwrap()).collect();
            let token = all.join(" and ");
            self.seen.lock().unwrap().push(format!("{token} {body}").trim_end().to_owned());
            match self.refused.lock().unwrap().iter().any(|refused| token == format!("Bearer {refused}")) {
                true => Ok(answer(401, &[("www-authenticate", "Bearer error=\"invalid_token\"")], "no".into())),
                false => Ok(answer(200, &[], "yes".into())),
            }
        })
    }
}

/// Work that waits until the test does it.
#[derive(Default)]
struct Later(Mutex<Vec<BoxFuture<'static, ()>>>);

impl Later {
    fn finish(&self) {
        for work in std::mem::take(&mut *self.0.lock().unwrap()) {
            work.now_or_never().expect("it waits for nothing here");
        }
    }
}

impl Background for Later {
    fn run(&self, work: BoxFuture<'static, ()>) {
        self.0.lock().unwrap().push(work);
    }
}

struct World {
    fixture: Fixture,
    partner: Arc<Partner>,
    api: Arc<Api>,
    later: Arc<Later>,
    store: Arc<ClientAccessTokens>,
}

impl World {
    fn run(&self) -> Ran {
        self.fixture.run(get("/a", &[("authorization", "Basic Y2xpZW50Og==")]))
    }

    fn post(&self, body: &str) -> Ran {
        let mut post = request(Method::POST, "/a", &[], "");
        post.body = policy::exchange::RequestBody::Buffered(body.to_owned().into());
        self.fixture.run(post)
    }

    fn advance(&self, seconds: u64) {
        self.fixture.clock().advance(Duration::from_secs(seconds));
    }
}

fn changed(filters: &str, change: impl FnOnce(&mut Provider)) -> World {
    let (partner, api, later) = (Arc::<Partner>::default(), Arc::<Api>::default(), Arc::<Later>::default());
    let store = held(Arc::new(Memory::new()));
    let mut reached = provider(partner.clone(), later.clone());
    change(Arc::get_mut(&mut reached.what).unwrap());
    let fixture = world()
        .resource(PROVIDER, "partner", reached)
        .resource(PROVIDER, "other", named("other"))
        .resource("store", "client-access-token", StoreHandle::ClientAccessToken(store.clone()))
        .resource(UPSTREAM, "api", UpstreamHandle(api.clone()))
        .policy("tested", &format!("route = '/**'\n{filters}"));
    World { fixture, partner, api, later, store }
}

fn named(name: &str) -> Reached<Provider> {
    let mut reached = provider(Arc::new(Partner::default()), Arc::new(Nobody));
    Arc::get_mut(&mut reached.what).unwrap().name = name.into();
    reached
}

const PROXY: &str = "\n[[filter]]\nuse = 'proxy'\nupstream = 'api'\ntoken = 'partner'\n";

fn getting(settings: &str) -> World {
    changed(&format!("[[filter]]\nuse = 'oauth-client.get-token'\nprovider = 'partner'\n{settings}{PROXY}"), |_| {})
}

fn tokens(access: &str, refresh: Option<&str>) -> Json {
    json!({ "access_token": access, "token_type": "Bearer", "expires_in": 600, "refresh_token": refresh })
}

#[test]
fn one_token_is_got_and_goes_with_every_call_in_place_of_what_the_client_sent() {
    let world = getting("");
    assert_eq!((told(&world.run()), told(&world.run())), ("200".into(), "200".into()));
    let form = "grant_type=client_credentials&scope=stock&client_id=gateway&client_secret=geheim";
    assert_eq!(world.partner.sent(), [format!("POST /token {form}")]);
    assert_eq!(world.api.seen(), ["Bearer t1", "Bearer t1"]);
}

#[test]
fn a_token_near_its_end_is_used_on_while_another_one_is_got() {
    let world = getting("renew_before = '2m'");
    world.run();
    world.advance(481);
    // The old one is used, however many come; one request is made for the next.
    world.run();
    world.run();
    assert_eq!(world.api.seen(), ["Bearer t1", "Bearer t1", "Bearer t1"]);
    world.later.finish();
    world.run();
    assert_eq!((world.api.seen(), world.partner.sent().len()), (vec!["Bearer t2".into()], 2));
}

#[test]
fn a_provider_that_is_down_does_no_harm_while_the_token_is_good() {
    let world = getting("");
    world.run();
    world.advance(550);
    world.partner.is_down();
    world.run();
    world.later.finish();
    // It rests a while before it is asked again, and is not needed yet.
    assert_eq!((told(&world.run()), world.partner.sent().len()), ("200".into(), 2));
    world.advance(46);
    world.partner.is_down();
    assert_eq!(told(&world.run()), "503 provider-unavailable");
    assert_eq!(told(&world.run()), "200");
}

#[test]
fn rfc6749_6_a_refresh_token_is_used_and_kept_where_there_is_no_new_one() {
    let world = getting("");
    world.partner.answers(200, tokens("a", Some("r1")));
    world.partner.answers(200, tokens("b", None));
    world.partner.answers(200, tokens("c", Some("r2")));
    world.partner.answers(200, tokens("d", None));
    for _ in 0..4 {
        world.run();
        world.advance(600);
    }
    let sent = world.partner.sent();
    let grants: Vec<_> =
        sent.iter().map(|form| form.split(['?', '&', ' ']).skip(2).take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        grants,
        [
            "grant_type=client_credentials scope=stock",
            "grant_type=refresh_token refresh_token=r1",
            "grant_type=refresh_token refresh_token=r1",
            "grant_type=refresh_token refresh_token=r2",
        ]
    );
    assert_eq!(world.api.seen(), ["Bearer a", "Bearer b", "Bearer c", "Bearer d"]);
}

/// OAG RDAPI-14556: where a refresh failed and the policy fell back, the new token was not there for the call.
#[test]
fn where_the_refresh_token_is_no_good_the_token_of_the_other_grant_goes_along() {
    let world = getting("");
    world.partner.answers(200, tokens("a", Some("r1")));
    world.run();
    world.advance(600);
    world.partner.answers(400, json!({ "error": "invalid_grant" }));
    world.partner.answers(200, tokens("b", None));
    assert_eq!(told(&world.run()), "200");
    assert_eq!(world.api.seen(), ["Bearer a", "Bearer b"]);
}

/// OAG RDAPI-18485: the message's body was lost where the token was renewed.
#[test]
fn a_token_that_the_api_refuses_is_renewed_once_and_the_body_goes_again() {
    let world = getting("");
    world.run();
    world.advance(60);
    *world.api.refused.lock().unwrap() = vec!["t1"];
    world.api.seen();
    assert_eq!(told(&world.post("body")), "200");
    assert_eq!(world.api.seen(), ["Bearer t1 body", "Bearer t2 body"]);
    // An API that refuses every token is not a reason to get one for each request.
    *world.api.refused.lock().unwrap() = vec!["t2", "t3"];
    assert_eq!(world.post("x").status, 401);
    assert_eq!((world.api.seen(), world.partner.sent().len()), (vec!["Bearer t2 x".into()], 2));
    world.advance(60);
    assert_eq!(world.post("x").status, 401);
    assert_eq!((world.api.seen(), world.partner.sent().len()), (vec!["Bearer t2 x".into(), "Bearer t3 x".into()], 1));
}

#[test]
fn where_the_body_was_streamed_the_next_request_has_another_token() {
    let world = getting("");
    world.run();
    world.advance(60);
    *world.api.refused.lock().unwrap() = vec!["t1"];
    let mut post = request(Method::POST, "/a", &[], "");
    let body = http_body_util::Full::new(bytes::Bytes::from_static(b"body"));
    post.body = policy::exchange::RequestBody::Stream(Body::stream(body));
    assert_eq!(world.fixture.run(post).status, 401);
    world.later.finish();
    assert_eq!(told(&world.run()), "200");
    assert_eq!(world.api.seen(), ["Bearer t1", "Bearer t1 body", "Bearer t2"]);
}

/// OAG RDAPI-14544: a malformed token was stored as null.
#[test]
fn what_is_no_token_is_neither_kept_nor_sent() {
    for (status, answer, expected) in [
        (200, json!({}), "502 provider-malformed"),
        (200, json!({ "access_token": null, "token_type": "Bearer" }), "502 provider-malformed"),
        (200, json!({ "access_token": "t", "token_type": "mac" }), "502 provider-malformed"),
        (302, json!({}), "502 provider-malformed"),
        (400, json!({ "error": "invalid_grant" }), "502 provider-malformed"),
        (401, json!({ "error": "invalid_client", "error_description": "geheim" }), "502 provider-refuses"),
        (400, json!({ "error": "invalid_scope" }), "502 provider-refuses"),
        (503, json!({}), "503 provider-unavailable"),
        (200, json!({ "access_token": "a".repeat(2_000), "token_type": "Bearer" }), "502 provider-malformed"),
    ] {
        let world = getting("");
        world.partner.answers(status, answer.clone());
        let ran = world.run();
        assert_eq!(told(&ran), expected, "{answer}");
        assert!(!format!("{:?}", ran.decision).contains("geheim"));
        assert!(world.api.seen().is_empty());
        assert_eq!(told(&world.run()), "200", "another try may go well");
    }
}

/// OAG RDAPI-19849: the cache of client tokens ignored users and scopes.
#[test]
fn a_users_token_is_theirs_and_for_those_scopes_alone() {
    let world = getting("for = '${request.query.user ??}'\nscopes = '${request.query.scope}'");
    let holding = |subject: &str, scopes: &str| Holding {
        provider: "partner".into(),
        client_id: ::oauth::ClientId::new("gateway"),
        subject: Some(subject.into()),
        scopes: Scopes::parse(scopes).unwrap(),
    };
    let given = ::oauth::provider::answer::Tokens {
        access: ::oauth::Secret::new("alices".into()),
        refresh: None,
        id_token: None,
        granted: Scopes::default(),
        obtained_at: 0,
        expires_at: u64::MAX,
        refresh_until: None,
    };
    world.store.save(&holding("alice", "a b"), &given).now_or_never().unwrap().unwrap();
    let told = |path| told(&world.fixture.run(get(path, &[])));
    assert_eq!(told("/?user=alice&scope=b%20a"), "200");
    assert_eq!(world.api.seen(), ["Bearer alices"]);
    for path in ["/?user=bob&scope=a%20b", "/?user=alice&scope=a", "/?user=&scope=a%20b", "/?scope=a%20b"] {
        assert_eq!(told(path), "403 authorization-needed", "{path}");
    }
    assert!(world.partner.sent().is_empty() && world.api.seen().is_empty());
}

#[test]
fn a_user_whose_refresh_token_is_no_good_has_to_go_to_the_provider_again() {
    let world = getting("for = 'alice'");
    let holding = Holding {
        provider: "partner".into(),
        client_id: ::oauth::ClientId::new("gateway"),
        subject: Some("alice".into()),
        scopes: Scopes::parse("stock").unwrap(),
    };
    let now = world.fixture.environment().clock.unix_millis() / 1_000;
    let given = ::oauth::provider::answer::Tokens {
        access: ::oauth::Secret::new("a".into()),
        refresh: Some(::oauth::Secret::new("r".into())),
        id_token: None,
        granted: Scopes::default(),
        obtained_at: now,
        expires_at: now + 600,
        refresh_until: Some(now + 6_000),
    };
    world.store.save(&holding, &given).now_or_never().unwrap().unwrap();
    world.advance(550);
    world.partner.answers(400, json!({ "error": "invalid_grant" }));
    assert_eq!(told(&world.run()), "200");
    world.later.finish();
    assert_eq!(told(&world.run()), "200", "the access token is good to its end");
    world.advance(50);
    assert_eq!(told(&world.run()), "403 authorization-needed");
    assert_eq!(world.partner.sent().len(), 1, "a refresh token that is no good is not used again");
}

#[test]
fn what_is_deleted_is_given_back_and_gone_though_the_provider_is_down() {
    let deleting = "[[filter]]\nuse = 'oauth-client.delete-token'\nprovider = 'partner'\n[[filter]]\nuse = 'respond'";
    let getting =
        "[[filter]]\nuse = 'oauth-client.get-token'\nprovider = 'partner'\nwhen = 'request.path == \"/get\"'\n";
    let world = changed(&format!("{getting}{deleting}"), |_| {});
    world.partner.answers(200, tokens("a", Some("r1")));
    assert_eq!(told(&world.fixture.get("/get")), "200");
    assert_eq!(
        world.partner.sent().pop().unwrap(),
        "POST /revoke token=r1&token_type_hint=refresh_token&client_id=gateway&client_secret=geheim"
    );
    assert_eq!(
        (told(&world.fixture.get("/")), world.partner.sent().len()),
        ("200".into(), 0),
        "there is nothing to delete"
    );
    for (status, expected) in [(503, "503 provider-unavailable"), (400, "502 provider-refuses")] {
        world.partner.answers(200, tokens("a", None));
        world.partner.answers(status, json!({}));
        assert_eq!(told(&world.fixture.get("/get")), expected);
        assert!(world.partner.sent().pop().unwrap().contains("token=a&token_type_hint=access_token"));
        assert_eq!((told(&world.fixture.get("/")), world.partner.sent().len()), ("200".into(), 0));
    }
}

#[test]
fn a_token_is_refreshed_before_its_time_where_a_policy_says_so() {
    let world = changed(
        &format!(
            "[[filter]]\nuse = 'oauth-client.get-token'\nprovider = 'partner'\nwhen = 'request.path == \"/get\"'\n\
             [[filter]]\nuse = 'oauth-client.refresh-token'\nprovider = 'partner'\n{PROXY}"
        ),
        |_| {},
    );
    world.partner.answers(200, tokens("a", Some("r1")));
    world.partner.answers(200, tokens("b", None));
    assert_eq!(told(&world.fixture.get("/get")), "200");
    world.partner.answers(200, tokens("c", None));
    assert_eq!(told(&world.fixture.get("/")), "200");
    assert_eq!(world.api.seen(), ["Bearer b", "Bearer c"]);
    world.partner.answers(400, json!({ "error": "invalid_grant" }));
    assert_eq!(told(&world.fixture.get("/")), "403 authorization-needed");
    assert_eq!(told(&world.fixture.get("/")), "403 authorization-needed");
    assert_eq!(world.partner.sent().len(), 4, "what is no good is not sent again");
}

#[test]
fn a_token_goes_to_no_call_that_names_another_provider() {
    let world = changed(
        "[[filter]]\nuse = 'oauth-client.get-token'\nprovider = 'partner'\n[[filter]]\nuse = 'proxy'\nupstream = 'api'\ntoken = 'other'",
        |_| {},
    );
    assert_eq!(told(&world.run()), "403 other-token");
    assert!(world.api.seen().is_empty());
}

#[test]
fn a_call_with_a_token_that_nothing_gets_is_refused_at_load() {
    let problems = changed(PROXY, |_| {}).fixture.problems();
    assert!(problems.len() == 1 && problems[0].contains("error[P0201]"), "{problems:?}");
}

const ISSUER: &str = "http://127.0.0.1:9/tenant";

fn discovering() -> World {
    changed(&format!("[[filter]]\nuse = 'oauth-client.get-token'\nprovider = 'partner'\n{PROXY}"), |provider| {
        provider.issuer = Issuer::parse(ISSUER);
        provider.endpoints = Default::default();
    })
}

#[test]
fn rfc8414_3_the_endpoints_are_looked_up_once() {
    let world = discovering();
    let metadata = json!({ "issuer": ISSUER, "token_endpoint": "http://127.0.0.1:9/t?x=1" });
    world.partner.answers(404, json!({}));
    world.partner.answers(200, metadata.clone());
    assert_eq!(told(&world.run()), "200");
    world.advance(600);
    assert_eq!(told(&world.run()), "200");
    let paths: Vec<_> = world.partner.sent().iter().map(|sent| sent.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(
        paths,
        [
            "/.well-known/oauth-authorization-server/tenant",
            "/tenant/.well-known/openid-configuration",
            "/t?x=1",
            "/t?x=1"
        ]
    );
    world.advance(3_600);
    world.partner.answers(200, metadata);
    assert_eq!((told(&world.run()), world.partner.sent().len()), ("200".into(), 2));
}

#[test]
fn rfc8414_3_3_nothing_is_sent_where_the_metadata_is_not_to_be_believed() {
    for (status, metadata, expected) in [
        (
            200,
            json!({ "issuer": "http://127.0.0.1:9/other", "token_endpoint": "http://127.0.0.1:9/t" }),
            "502 provider-malformed",
        ),
        (200, json!({ "issuer": ISSUER, "token_endpoint": "http://127.0.0.1:10/t" }), "502 provider-malformed"),
        (200, json!({ "issuer": ISSUER, "token_endpoint": "http://evil.example/t" }), "502 provider-malformed"),
        (200, json!({ "issuer": ISSUER }), "502 provider-malformed"),
        (301, json!({}), "502 provider-malformed"),
        (500, json!({}), "503 provider-unavailable"),
    ] {
        let world = discovering();
        world.partner.answers(status, metadata.clone());
        assert_eq!(told(&world.run()), expected, "{metadata}");
        assert_eq!(world.partner.sent().len(), 1);
    }
}
