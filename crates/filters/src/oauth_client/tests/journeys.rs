//! A person goes to the provider and comes back.

use ::oauth::jose::{Algorithm, KeySet, PrivateKey};
use ::oauth::pkce;

use super::*;

/// `/go` sends a person away, `/back` takes them back, `/use` calls the API with their token, `/forget` nothing else.
const POLICIES: &str = "
[[filter]]
use = 'switch'
on = '${request.path}'
case = { '/go' = 'go', '/back' = 'back', '/use' = 'use' }
else = 'fail'

[[chain.go]]
use = 'oauth-client.redirect'
provider = 'partner'
scopes = '${request.query.scope ?? stock}'
for = '${request.query.user ??}'
redirect_uri = 'https://gw.example/back'
return_to = '${request.query.then ??}'
parameters = { prompt = 'consent', login_hint = '${request.query.user ??}' }

[[chain.back]]
use = 'oauth-client.callback'
provider = 'partner'

[[chain.back]]
use = 'respond'
json = { to = '${journey.return_to ?? none}', who = '${journey.subject ?? nobody}' }

[[chain.use]]
use = 'oauth-client.get-token'
provider = 'partner'
scopes = '${request.query.scope ?? stock}'
for = '${request.query.user ??}'

[[chain.use]]
use = 'proxy'
upstream = 'api'
token = 'partner'
";

/// What a browser has after it was sent away: its cookie, and the parameters that it goes to the provider with.
struct Away {
    cookie: String,
    query: Vec<(String, String)>,
}

impl Away {
    fn get(&self, name: &str) -> &str {
        self.query.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }
}

fn away(world: &World, path: &str) -> Away {
    let ran = world.fixture.run(get(path, &[]));
    assert_eq!((ran.status, ran.header("cache-control")), (303, "no-store"), "{}", ran.text());
    let cookie = ran.header("set-cookie");
    for attribute in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age=600"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(cookie.starts_with("__Host-portcullis-journey-") && !cookie.contains("Domain"));
    let (endpoint, query) = ran.header("location").split_once("?tenant=1&").expect("its own query stays");
    assert_eq!(endpoint, "http://127.0.0.1:9/authorize");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    Away { cookie, query: form_urlencoded::parse(query.as_bytes()).into_owned().collect() }
}

fn back(world: &World, cookie: &str, query: &str) -> Ran {
    world.fixture.run(get(&format!("/back?{query}"), &[("cookie", &format!("a=1; {cookie}; b=2"))]))
}

#[test]
fn rfc6749_4_1_a_person_goes_and_comes_back_and_their_token_is_kept() {
    let world = changed(POLICIES, |_| {});
    let away = away(&world, "/go?user=alice&then=/orders?a=1");
    assert_eq!((away.get("prompt"), away.get("login_hint"), away.get("scope")), ("consent", "alice", "stock"));
    let state = away.get("state");
    let ran = back(&world, &away.cookie, &format!("code=c1&state={state}"));
    assert_eq!(ran.json(), json!({ "to": "/orders?a=1", "who": "nobody" }), "{}", ran.text());
    assert!(ran.header("set-cookie").starts_with(&format!("__Host-portcullis-journey-{}=; Max-Age=0", &state[..8])));
    // What was sent proves that the code is ours.
    let sent = world.partner.sent().pop().unwrap();
    let form: Vec<(String, String)> =
        form_urlencoded::parse(sent.trim_start_matches("POST /token ").as_bytes()).into_owned().collect();
    let field =
        |name: &str| form.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone()).unwrap_or_default();
    assert_eq!((field("code"), field("redirect_uri")), ("c1".into(), "https://gw.example/back".into()));
    let challenge =
        pkce::Challenge::read(Some(away.get("code_challenge")), Some(away.get("code_challenge_method")), false);
    assert!(pkce::verify(challenge.unwrap().as_ref(), Some(&field("code_verifier"))).is_ok());

    assert_eq!(told(&world.fixture.get("/use?user=alice")), "200");
    assert_eq!(world.api.seen(), ["Bearer t1"]);
    assert_eq!(told(&world.fixture.get("/use?user=bob")), "403 authorization-needed");
    assert_eq!(told(&world.fixture.get("/use?user=alice&scope=other")), "403 authorization-needed");
}

/// RFC 6749, section 10.12, and RFC 9700, section 4.7: nobody's code is slipped into another browser.
#[test]
fn a_code_counts_in_the_browser_that_was_sent_away_alone_and_not_for_ever() {
    let world = changed(POLICIES, |_| {});
    let (mine, other) = (away(&world, "/go?user=alice"), away(&world, "/go?user=mallory"));
    let (state, others) = (mine.get("state"), other.get("state"));
    assert_ne!(state, others);
    for (cookie, query) in [
        ("", format!("code=c&state={state}")),
        (mine.cookie.as_str(), format!("code=c&state={others}")),
        // His sealed journey under her state's name: it opens, and is for another state.
        (
            &format!("__Host-portcullis-journey-{}={}", &state[..8], other.cookie.split_once('=').unwrap().1),
            format!("code=c&state={state}"),
        ),
        (&format!("{}x", mine.cookie), format!("code=c&state={state}")),
        (mine.cookie.as_str(), "code=c".into()),
        (mine.cookie.as_str(), "code=c&state=".into()),
        (mine.cookie.as_str(), format!("code=c&state={}", &state[..42])),
    ] {
        let ran = back(&world, cookie, &query);
        assert_eq!(told(&ran), "400 unknown-journey", "{query}");
    }
    assert!(world.partner.sent().is_empty(), "no code is redeemed");
    let twice = back(&world, &mine.cookie, &format!("code=c&code=d&state={state}"));
    assert_eq!(told(&twice), "400 bad-request");
    world.advance(600);
    assert_eq!(told(&back(&world, &mine.cookie, &format!("code=c&state={state}"))), "400 unknown-journey");
}

#[test]
fn what_the_provider_refuses_ends_the_journey() {
    let world = changed(POLICIES, |_| {});
    let away = away(&world, "/go?user=alice");
    let state = away.get("state");
    let refused = back(&world, &away.cookie, &format!("error=access_denied&error_description=x&state={state}"));
    assert_eq!(told(&refused), "403 authorization-refused");
    assert!(refused.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(told(&back(&world, &away.cookie, &format!("state={state}"))), "400 bad-request");
    world.partner.answers(400, json!({ "error": "invalid_grant" }));
    assert_eq!(told(&back(&world, &away.cookie, &format!("code=used&state={state}"))), "403 authorization-needed");
    world.partner.is_down();
    assert_eq!(told(&back(&world, &away.cookie, &format!("code=c&state={state}"))), "503 provider-unavailable");
    assert_eq!(told(&world.fixture.get("/use?user=alice")), "403 authorization-needed");
}

/// D52: no open redirector.
#[test]
fn the_way_back_leads_to_no_other_host() {
    let world = changed(POLICIES, |_| {});
    for then in ["//evil.example", "https://evil.example", "/%5Cevil.example", "evil"] {
        assert_eq!(told(&world.fixture.get(&format!("/go?then={then}"))), "400 bad-request", "{then}");
    }
}

#[test]
fn what_the_filter_writes_itself_is_not_for_a_policy_to_say() {
    let problems = changed(
        "[[filter]]\nuse = 'oauth-client.redirect'\nprovider = 'partner'\nredirect_uri = 'https://gw/'\nparameters = { state = 'x' }",
        |_| {},
    )
    .fixture
    .problems();
    assert!(problems.len() == 1 && problems[0].contains("`state` is not for a policy to say"), "{problems:?}");
}

/// A provider that says who the user is.
struct OpenId {
    world: World,
    key: PrivateKey,
}

const LOG_IN: &str = "
[[filter]]
use = 'switch'
on = '${request.path}'
case = { '/go' = 'go', '/back' = 'back' }
else = 'fail'

[[chain.go]]
use = 'oauth-client.redirect'
provider = 'partner'
scopes = ['openid', 'stock']
redirect_uri = 'https://gw.example/back'

[[chain.back]]
use = 'oauth-client.callback'
provider = 'partner'
log_in = 'email'

[[chain.back]]
use = 'oauth-client.save-token'
for = '${journey.subject}'

[[chain.back]]
use = 'respond'
json = { who = '${subject.id}', sub = '${journey.subject}', claims = '${journey.claims}', kept = '${held.subject}' }
";

impl OpenId {
    fn new() -> OpenId {
        OpenId::of(LOG_IN)
    }

    fn of(policy: &str) -> OpenId {
        let world = changed(policy, |provider| {
            provider.issuer = Issuer::parse(ISSUER);
            provider.endpoints.jwks = Some("http://127.0.0.1:9/jwks".into());
        });
        OpenId { world, key: PrivateKey::generate(Algorithm::Es256).unwrap() }
    }

    fn metadata(&self) {
        self.world
            .partner
            .answers(200, json!({ "issuer": ISSUER, "authorization_response_iss_parameter_supported": true }));
    }

    fn claims(&self, nonce: &str) -> Json {
        let now = self.world.fixture.environment().clock.unix_millis() / 1_000;
        json!({ "iss": ISSUER, "aud": "gateway", "sub": "7", "email": "alice@example.com", "nonce": nonce, "iat": now, "exp": now + 60 })
    }

    fn token(&self, claims: Option<&Json>) {
        let mut answer = tokens("a", Some("r"));
        if let Some(claims) = claims {
            answer["id_token"] = json!(self.key.sign("1", "JWT", claims).unwrap());
        }
        self.world.partner.answers(200, answer);
    }

    fn keys(&self, kid: &str) {
        self.world.partner.answers(200, KeySet::new(vec![self.key.public(kid)]).to_json());
    }
}

#[test]
fn openid_core_3_1_a_user_of_the_provider_is_logged_in() {
    let op = OpenId::new();
    op.metadata();
    let sent = away(&op.world, "/go");
    assert_eq!((sent.get("scope"), sent.get("nonce").len()), ("openid stock", 43));
    let claims = op.claims(sent.get("nonce"));
    op.token(Some(&claims));
    op.keys("1");
    let query = format!("code=c&state={}&iss=http%3A%2F%2F127.0.0.1%3A9%2Ftenant", sent.get("state"));
    let ran = back(&op.world, &sent.cookie, &query);
    let who = json!({ "who": "partner:alice@example.com", "sub": "7", "claims": claims, "kept": "7" });
    assert_eq!((ran.status, ran.json()), (200, who), "{:?}", ran.decision);
    let kept = Holding {
        provider: "partner".into(),
        client_id: ::oauth::ClientId::new("gateway"),
        subject: Some("7".into()),
        scopes: Scopes::parse("openid stock").unwrap(),
    };
    assert_eq!(op.world.store.find(&kept).now_or_never().unwrap().unwrap().unwrap().access.expose(), "a");
    // The keys are known now; and one that is not is looked for once more.
    let again = away(&op.world, "/go");
    op.token(Some(&op.claims(again.get("nonce"))));
    let query = |away: &Away| format!("code=c&state={}&iss=http%3A%2F%2F127.0.0.1%3A9%2Ftenant", away.get("state"));
    assert_eq!(told(&back(&op.world, &again.cookie, &query(&again))), "200");
    assert_eq!(op.world.partner.sent().len(), 4, "metadata, token, keys, token");
}

#[test]
fn an_id_token_that_is_not_proved_logs_nobody_in() {
    type Case = (&'static str, fn(&OpenId, &Away), &'static str);
    let cases: [Case; 6] = [
        ("another journey's", |op, _| (op.token(Some(&op.claims("x"))), op.keys("1")).1, "403 bad-id-token"),
        ("none", |op, _| op.token(None), "403 bad-id-token"),
        (
            "of a key that is not the provider's",
            |op, away| (op.token(Some(&op.claims(away.get("nonce")))), op.keys("2")).1,
            "403 bad-id-token",
        ),
        (
            "without the claim",
            |op, away| {
                let mut claims = op.claims(away.get("nonce"));
                claims.as_object_mut().unwrap().remove("email");
                op.token(Some(&claims));
                op.keys("1");
            },
            "403 bad-id-token",
        ),
        (
            "no keys to be had",
            |op, away| (op.token(Some(&op.claims(away.get("nonce")))), op.world.partner.answers(500, json!({}))).1,
            "503 provider-unavailable",
        ),
        (
            "keys that are none",
            |op, away| (op.token(Some(&op.claims(away.get("nonce")))), op.world.partner.answers(200, json!([]))).1,
            "502 provider-malformed",
        ),
    ];
    for (name, prepare, expected) in cases {
        let op = OpenId::new();
        op.metadata();
        let away = away(&op.world, "/go");
        prepare(&op, &away);
        let query = format!("code=c&state={}&iss=http%3A%2F%2F127.0.0.1%3A9%2Ftenant", away.get("state"));
        assert_eq!(told(&back(&op.world, &away.cookie, &query)), expected, "{name}");
    }
}

/// D41: the mix-up of two providers.
#[test]
fn rfc9207_2_4_a_code_of_another_issuer_is_never_redeemed() {
    for iss in ["", "&iss=https%3A%2F%2Fevil.example"] {
        let op = OpenId::new();
        op.metadata();
        let away = away(&op.world, "/go");
        op.world.partner.sent();
        let ran = back(&op.world, &away.cookie, &format!("code=c&state={}{iss}", away.get("state")));
        assert_eq!(told(&ran), "400 other-issuer");
        assert!(op.world.partner.sent().is_empty());
    }
}

/// Anybody's link begins a journey, and what a browser carries along must not grow until its heads are refused.
#[test]
fn journeys_that_were_never_ended_are_taken_off_a_browser() {
    let world = changed(POLICIES, |_| {});
    let sent = |size: usize| {
        let cookie: Vec<String> =
            (0..8).map(|number| format!("__Host-portcullis-journey-abcdefg{number}={}", "x".repeat(size))).collect();
        let cookie = format!("__Host-portcullis-journey-x\"=1; own=1; {}", cookie.join("; "));
        world.fixture.run(get("/go?user=alice", &[("cookie", &cookie)]))
    };
    let set = |ran: &Ran| {
        let all = ran.headers.get_all("set-cookie").iter();
        all.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(set(&sent(1_000)).len(), 1, "some tabs that were left are no harm");
    let all = set(&sent(2_000));
    let cleared = all.iter().filter(|cookie| cookie.contains("-abcdefg") && cookie.contains("=; Max-Age=0;")).count();
    assert_eq!((all.len(), cleared), (9, 8), "{all:?}");
}

/// A person who says no at the provider goes back to where they were: whoever waits there must hear of it.
#[test]
fn a_person_who_says_no_goes_back_to_where_they_were() {
    let taken = "provider = 'partner'\non_failure = 'no'\n\n[[chain.no]]\nuse = 'respond'\nstatus = 303\n\
                 headers = { location = '${journey.return_to ?? /}' }\n\n[[chain.back]]\nuse = 'respond'";
    let world = changed(&POLICIES.replace("provider = 'partner'\n\n[[chain.back]]\nuse = 'respond'", taken), |_| {});
    let away = away(&world, "/go?user=alice&then=/orders?a=1");
    let query = format!("error=access_denied&state={}&iss=http%3A%2F%2F127.0.0.1%3A9%2Ftenant", away.get("state"));
    let ran = back(&world, &away.cookie, &query);
    assert_eq!((ran.status, ran.header("location")), (303, "/orders?a=1"));
    let ran = back(&world, "", &query);
    assert_eq!((ran.status, ran.header("location")), (303, "/"), "nobody knows where this one was");
}

/// A provider that says no at once, and a page of ours that no client asked for: the browser is not sent to and fro without end.
#[test]
fn a_page_that_was_come_back_to_in_vain_sends_nobody_away_again() {
    let opened = "[[chain.go]]\nuse = 'oauth.open-form'\n\n[[chain.go]]\nuse = 'oauth-client.redirect'";
    let taken = "provider = 'partner'\nlog_in = 'email'\non_failure = 'no'\n\n[[chain.no]]\nuse = 'respond'\nstatus = 303\n\
                 headers = { location = '${journey.return_to ?? /}' }";
    let policy = LOG_IN
        .replace("[[chain.go]]\nuse = 'oauth-client.redirect'", opened)
        .replace("provider = 'partner'\nlog_in = 'email'", taken);
    let world = changed(&policy, |_| {});
    let cookies = |ran: &Ran| {
        let all =
            ran.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().split(';').next().unwrap());
        all.collect::<Vec<_>>().join("; ")
    };
    let sent = world.fixture.run(get("/go", &[]));
    let (browser, location) = (cookies(&sent), sent.header("location"));
    let state = location.split("&state=").nth(1).unwrap().split('&').next().unwrap();
    let query = format!("error=access_denied&state={state}&iss=http%3A%2F%2F127.0.0.1%3A9%2Ftenant");
    let ran = back(&world, &browser, &query);
    assert!(ran.header("location").starts_with("/go?resume="), "{}", ran.header("location"));
    let ran = world.fixture.run(get(ran.header("location"), &[("cookie", &browser)]));
    assert_eq!(told(&ran), "400 login_required");
}

/// OpenID Connect Core, section 3.1.3.7, step 13: a provider that is asked for a log-in of some age says how old it is.
#[test]
fn openid_core_3_1_3_7_13_a_log_in_of_some_age_says_its_age() {
    let to_back = "redirect_uri = 'https://gw.example/back'\n";
    let op = OpenId::of(&LOG_IN.replacen(to_back, &format!("{to_back}parameters = {{ max_age = '60' }}\n"), 1));
    op.metadata();
    for (auth_time, expected) in [(false, "bad-id-token"), (true, "200")] {
        let sent = away(&op.world, "/go");
        assert_eq!(sent.get("max_age"), "60");
        let mut claims = op.claims(sent.get("nonce"));
        if auth_time {
            claims["auth_time"] = claims["iat"].clone();
        }
        op.token(Some(&claims));
        if !auth_time {
            op.keys("1");
        }
        let query = format!("code=c&state={}&iss=http%3A%2F%2F127.0.0.1%3A9%2Ftenant", sent.get("state"));
        assert!(told(&back(&op.world, &sent.cookie, &query)).ends_with(expected), "{auth_time}");
    }
}

/// A browser drops a cookie of more than 4,096 bytes without a word, and nobody could come back.
#[test]
fn a_journey_that_fits_into_no_cookie_is_not_begun() {
    let world = changed(POLICIES, |_| {});
    let go = |size: usize| world.fixture.run(get(&format!("/go?user=alice&then=/{}", "x".repeat(size)), &[]));
    let fits = go(2_000);
    assert_eq!(fits.status, 303);
    assert!(fits.header("set-cookie").split(';').next().unwrap().len() <= 4_096);
    assert_eq!(told(&go(3_000)), "400 bad-request");
}
