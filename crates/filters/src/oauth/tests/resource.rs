//! Protected resources (RFC 6750).

use std::time::Duration;

use super::*;
use crate::fixture::sent;

const VALIDATE: &str = "[[filter]]\nuse = \"oauth.validate-token\"\n";
const RESPOND: &str = "[[filter]]\nuse = \"respond\"\ntext = \"${client.id} ${subject.id} ${token.scopes}\"\n";
const PROXY: &str = "[[filter]]\nuse = \"proxy\"\nupstream = \"orders\"\n";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn challenge(ran: &Ran) -> (u16, &str) {
    (ran.status, ran.header("www-authenticate"))
}

#[test]
fn rfc6750_2_1_a_good_token_passes() {
    let world = World::protecting(&format!("{VALIDATE}{RESPOND}"));
    let token = world.token(|_| {});
    for header in [bearer(&token), format!("bearer {token}"), format!("BEARER   {token}")] {
        let ran = world.get("/", &[("authorization", &header)]);
        assert_eq!((ran.status, ran.text()), (200, "app app a b"));
    }
    let of_alice = world.token(|token| token.subject = Some("alice".into()));
    assert_eq!(world.get("/", &[("authorization", &bearer(&of_alice))]).text(), "app alice a b");
}

/// D16: no credentials are 401 without an error code, and without a body that has one.
#[test]
fn rfc6750_3_1_no_credentials() {
    let world = World::protecting(&format!("{VALIDATE}{RESPOND}"));
    for headers in [&[][..], &[("authorization", "Basic YTpi")]] {
        let ran = world.get("/", headers);
        assert_eq!(challenge(&ran), (401, "Bearer realm=\"api\""));
        assert_eq!(ran.text(), "");
    }
}

/// What a `require` misses has no challenge: a client with a good token is told what it did wrong, in the API's language.
#[test]
fn a_parameter_that_is_missing_is_no_missing_token() {
    let require = "[[filter]]\nuse = \"require\"\nthat = 'request.query.version == \"2\"'\n";
    let world = World::protecting(&format!("{VALIDATE}{require}{RESPOND}"));
    let ran = world.get("/", &[("authorization", &bearer(&world.token(|_| {})))]);
    assert_eq!((ran.status, ran.header("content-type")), (400, "application/problem+json"));
    assert_eq!(challenge(&world.get("/", &[])), (401, "Bearer realm=\"api\""));
}

/// D17: a token that is not good is 401 `invalid_token`.
#[test]
fn rfc6750_3_1_invalid_token() {
    let world = World::protecting(&format!("{VALIDATE}{RESPOND}")).client("off", |client| client.enabled = false);
    let short = world.token(|token| token.expires_at = token.issued_at + 10);
    let revoked = world.token(|token| token.revoked_at = Some(token.issued_at));
    let of_disabled = world.token(|token| token.client_id = ClientId::new("off"));
    let of_unknown = world.token(|token| token.client_id = ClientId::new("gone"));
    let good = world.token(|_| {});
    world.fixture.clock().advance(Duration::from_secs(10));
    for token in ["x", &short, &revoked, &of_disabled, &of_unknown, &good[1..], &good.to_uppercase(), "a,b"] {
        let ran = world.get("/", &[("authorization", &bearer(token))]);
        let (status, challenge) = challenge(&ran);
        assert_eq!((status, ran.json()["error"].as_str()), (401, Some("invalid_token")), "{token}");
        assert!(challenge.starts_with("Bearer realm=\"api\", error=\"invalid_token\""), "{challenge}");
        assert_eq!(ran.header("cache-control"), "no-store");
    }
}

/// D15: a token sent in more than one way is 400 `invalid_request`.
#[test]
fn rfc6750_2_one_way_only() {
    let everywhere = "[[filter]]\nuse = \"oauth.validate-token\"\nfrom = [\"header\", \"form\", \"query\"]\n";
    let world = World::protecting(&format!("{everywhere}{RESPOND}"));
    let token = world.token(|_| {});
    let header = bearer(&token);
    let in_query = format!("/?access_token={token}");
    let in_form = format!("access_token={token}");
    for ran in [
        world.get(&in_query, &[("authorization", &header)]),
        world.post("/", &[("authorization", &header)], &in_form),
        world.post(&in_query, &[], &in_form),
        world.get("/", &[("authorization", &header), ("authorization", &header)]),
        world.get(&format!("{in_query}&access_token={token}"), &[]),
    ] {
        assert_eq!(error(&ran), refused(400, "invalid_request"));
        assert!(ran.header("www-authenticate").contains("error=\"invalid_request\""));
    }
    // Also where the query is not looked at.
    let world = World::protecting(&format!("{VALIDATE}{RESPOND}"));
    let header = bearer(&world.token(|_| {}));
    assert_eq!(world.get("/?access_token=x", &[("authorization", &header)]).status, 400);
}

/// D19: form and query only where asked to, a form only in a body of that type and not with GET.
#[test]
fn rfc6750_2_2_and_2_3_form_and_query_are_off() {
    let world = World::protecting(&format!("{VALIDATE}{RESPOND}"));
    let token = world.token(|_| {});
    assert_eq!(challenge(&world.get(&format!("/?access_token={token}"), &[])), (401, "Bearer realm=\"api\""));
    assert_eq!(world.post("/", &[], &format!("access_token={token}")).status, 401);

    let form = VALIDATE.to_owned() + "from = [\"form\"]\n" + RESPOND;
    let world = World::protecting(&form);
    let token = world.token(|_| {});
    let body = format!("access_token={token}");
    let send =
        |method, content_type| world.fixture.run(request(method, "/", &[("content-type", content_type)], &body)).status;
    assert_eq!(send(Method::POST, FORM.1), 200);
    assert_eq!(send(Method::GET, FORM.1), 401);
    assert_eq!(send(Method::POST, "multipart/form-data"), 401);
    assert_eq!(send(Method::POST, "text/plain"), 401);
    for two in [&[FORM, ("content-type", "text/plain")][..], &[("content-type", "text/plain"), FORM]] {
        let ran = world.fixture.run(request(Method::POST, "/", two, &body));
        assert_eq!(error(&ran), refused(400, "invalid_request"), "{two:?}");
        assert!(ran.header("www-authenticate").contains("error=\"invalid_request\""));
    }

    let world = World::protecting(&(VALIDATE.to_owned() + "from = [\"query\"]\n" + RESPOND));
    let ran = world.get(&format!("/?access_token={}", world.token(|_| {})), &[]);
    assert_eq!((ran.status, ran.header("cache-control")), (200, "private"));
}

/// D17: a token without the scope is 403 `insufficient_scope`, with the scope that would do.
#[test]
fn rfc6750_3_1_insufficient_scope() {
    let scope = "[[filter]]\nuse = \"oauth.check-scope\"\nby = \"${request.method}\"\nasked = { GET = [\"a\"], POST = [\"a\", \"w\"] }\nallowed = \"${token.scopes}\"\n";
    let world = World::protecting(&format!("{VALIDATE}{scope}{RESPOND}"));
    let header = bearer(&world.token(|_| {}));
    let call = |method| world.call(method, "/", &[("authorization", &header)]);
    assert_eq!(call(Method::GET).status, 200);
    assert_eq!(call(Method::HEAD).status, 200);
    let ran = call(Method::POST);
    assert_eq!(error(&ran), refused(403, "insufficient_scope"));
    let told = ran.header("www-authenticate");
    assert!(told.starts_with("Bearer error=\"insufficient_scope\"") && told.ends_with("scope=\"a w\""), "{told}");
    // A method without an entry is refused, and no scope would help.
    let ran = call(Method::DELETE);
    assert_eq!(error(&ran), refused(403, "insufficient_scope"));
    assert!(!ran.header("www-authenticate").contains("scope=\""), "{}", ran.header("www-authenticate"));
}

#[test]
fn any_of_the_scopes_and_computed_ones() {
    let any = "[[filter]]\nuse = \"oauth.check-scope\"\nasked = [\"x\", \"b\"]\nmatch = \"any\"\nallowed = \"${token.scopes}\"\n";
    let told = "[[filter]]\nuse = \"respond\"\ntext = \"${scopes.granted}\"\n";
    let world = World::protecting(&format!("{VALIDATE}{any}{told}"));
    let header = bearer(&world.token(|_| {}));
    assert_eq!(world.get("/", &[("authorization", &header)]).text(), "b");
    let other = bearer(&world.token(|token| token.scope = scopes("c")));
    assert_eq!(world.get("/", &[("authorization", &other)]).status, 403);

    let computed = "[[filter]]\nuse = \"oauth.check-scope\"\nasked = \"${request.query.need ??}\"\nallowed = \"${token.scopes}\"\n";
    let world = World::protecting(&format!("{VALIDATE}{computed}{told}"));
    let header = bearer(&world.token(|_| {}));
    let need = |query: &str| world.get(&format!("/?{query}"), &[("authorization", &header)]).status;
    assert_eq!((need("need=a"), need("need=x"), need("need="), need("other=1")), (200, 403, 403, 403));
}

/// D48: a token for another audience is refused where one is asked for.
#[test]
fn rfc9700_2_3_audience() {
    let world = World::protecting(&format!("{VALIDATE}audience = [\"orders\"]\n{RESPOND}"));
    for (audience, status) in [(&["orders", "x"][..], 200), (&["x"], 401), (&[], 401)] {
        let token = world.token(|token| token.audience = audience.iter().map(|of| of.to_string()).collect());
        assert_eq!(world.get("/", &[("authorization", &bearer(&token))]).status, status, "{audience:?}");
    }
}

/// The credential does not go upstream, unless it is to.
#[test]
fn the_credential_is_taken_off() {
    let everywhere = "[[filter]]\nuse = \"oauth.validate-token\"\nfrom = [\"header\", \"form\", \"query\"]\n";
    let world = World::protecting(&format!("{everywhere}{PROXY}"));
    let token = world.token(|_| {});
    for ran in [
        world.get("/x?a=1", &[("authorization", &bearer(&token))]),
        world.get(&format!("/x?a=1&access_token={token}&b=%zz"), &[]),
        world.post("/x", &[("content-length", "999")], &format!("a=1&access_token={token}&b=2")),
    ] {
        let sent = sent(&ran);
        assert!(!sent.to_string().contains(&token), "{sent}");
        assert!(sent["headers"].get("authorization").is_none());
    }
    let ran = sent(&world.get(&format!("/x?a=1&access_token={token}&b=2"), &[]));
    assert_eq!(ran["uri"], "/x?a=1&b=2");
    let ran = sent(&world.post("/x", &[], &format!("a=1&access_token={token}&b=2")));
    assert_eq!(ran["body"], "a=1&b=2");

    let world = World::protecting(&format!("{VALIDATE}keep_credential = true\n{PROXY}"));
    let header = bearer(&world.token(|_| {}));
    assert_eq!(sent(&world.get("/x", &[("authorization", &header)]))["headers"]["authorization"], header.as_str());
}

/// D24 for resources: nobody passes while the store is down.
#[test]
fn a_store_that_is_down_lets_nobody_pass() {
    let world = World::over(Arc::new(Down)).policy("api", &format!("route = \"/**\"\n{VALIDATE}{RESPOND}"));
    let random = Token::mint(TokenKind::Access, u64::MAX, [7; 32]);
    let ran = world.get("/", &[("authorization", &bearer(random.expose()))]);
    assert_eq!(error(&ran), refused(503, "temporarily_unavailable"));
    assert_eq!(ran.header("retry-after"), "5");
    assert!(!ran.text().contains("db-7"), "{}", ran.text());
}

/// What is no matter of tokens is told as problem details, as on any other API.
#[test]
fn other_refusals_are_problem_details() {
    let require = "[[filter]]\nuse = \"require\"\nthat = \"request.path == '/'\"\n";
    let world = World::protecting(&format!("{VALIDATE}{require}{RESPOND}"));
    let ran = world.get("/other", &[("authorization", &bearer(&world.token(|_| {})))]);
    assert_eq!((ran.status, ran.header("content-type")), (403, "application/problem+json"));
}
