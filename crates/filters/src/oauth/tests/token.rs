//! The token endpoint (RFC 6749, sections 2.3, 3.2, 4.4 and 5).

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";
const GRANT: &str = "grant_type=client_credentials";

fn ask(world: &World, form: &str) -> Ran {
    world.post(TOKEN, &[("authorization", &basic("app", "right"))], form)
}

/// D6: a success and an error are JSON that no cache keeps.
#[test]
fn rfc6749_5_1_a_token_is_json_and_never_cached() {
    let world = World::shipped();
    let ran = ask(&world, "grant_type=client_credentials&scope=a");
    assert_eq!(ran.status, 200, "{}", ran.text());
    let wrong = ask(&world, "grant_type=password");
    for ran in [&ran, &wrong] {
        assert_eq!((ran.header("content-type"), ran.header("cache-control")), ("application/json", "no-store"));
        assert_eq!(ran.header("pragma"), "no-cache");
    }
    let json = ran.json();
    let names: Vec<_> = json.as_object().expect("object").keys().cloned().collect();
    assert_eq!((&json["token_type"], &json["expires_in"]), (&"Bearer".into(), &3600.into()));
    assert_eq!(names, ["access_token", "expires_in", "token_type"]);
    assert!(world.is_good(json["access_token"].as_str().expect("text")));
    assert_eq!(ran.path().last().map(String::as_str), Some("oauth.token-response:answered"));
}

/// D11: what was granted is told where it is not what was asked.
#[test]
fn rfc6749_3_3_a_scope_that_differs_is_told() {
    let world = World::shipped();
    assert_eq!(ask(&world, GRANT).json()["scope"], "a b");
    assert!(ask(&world, "grant_type=client_credentials&scope=b+a").json().get("scope").is_none());
}

/// D2: a repeated parameter is refused, an empty one is absent, an unknown one is nothing.
#[test]
fn rfc6749_3_2_repeated_empty_and_unknown_parameters() {
    let world = World::shipped();
    for form in [
        "grant_type=client_credentials&grant_type=client_credentials",
        "grant_type=client_credentials&scope=a&scope=a",
        "grant_type=client_credentials&unknown=1&unknown=2",
    ] {
        assert_eq!(error(&ask(&world, form)), refused(400, "invalid_request"), "{form}");
    }
    assert_eq!(ask(&world, "grant_type=client_credentials&scope=").json()["scope"], "a b");
    assert_eq!(ask(&world, "grant_type=client_credentials&client_secret=&unknown=1").status, 200);
    assert_eq!(error(&ask(&world, "grant_type=&scope=a")), refused(400, "invalid_request"));
    assert_eq!(error(&ask(&world, "")), refused(400, "invalid_request"));
}

/// D2 for what selectors read, which on other policies take the first.
#[test]
fn rfc6749_3_1_a_selector_reads_no_repeated_parameter() {
    let set = "[[filter]]\nuse = \"set\"\n[filter.vars]\nx = \"${request.query.x}\"\n";
    let endpoint = format!("route = \"POST /x\"\n{set}[[filter]]\nuse = \"oauth.token-info\"");
    let world = World::over(Arc::new(Memory::new())).policy("endpoint", &endpoint).client("app", |_| {});
    let form = format!("access_token={}", world.token(|_| {}));
    assert_eq!(world.post("/x?x=1", &[], &form).status, 200);
    assert_eq!(error(&world.post("/x?x=1&x=2", &[], &form)), refused(400, "invalid_request"));
}

/// D3: id and secret are form-encoded before base64.
#[test]
fn rfc6749_2_3_1_basic_with_any_character() {
    for (id, text) in [("app:1", "a:b"), ("app+1", "1+1=2 %41"), ("äpp", "påss ☃")] {
        let world = World::shipped().client(id, |client| client.secrets = vec![super::secret(text)]);
        assert_eq!(world.post(TOKEN, &[("authorization", &basic(id, text))], GRANT).status, 200, "{id}");
    }
}

/// D4: two ways to authenticate in one request are refused.
#[test]
fn rfc6749_2_3_one_way_only() {
    let world = World::shipped();
    let both = ask(&world, "grant_type=client_credentials&client_id=app&client_secret=right");
    assert_eq!(error(&both), refused(400, "invalid_request"));
    let header = basic("app", "right");
    let twice = world.post(TOKEN, &[("authorization", &header), ("authorization", &header)], GRANT);
    assert_eq!(error(&twice), refused(400, "invalid_request"));
    assert_eq!(ask(&world, "grant_type=client_credentials&client_id=app").status, 200);
}

/// D5: nothing secret in the query; the endpoint takes POST only.
#[test]
fn rfc6749_2_3_1_no_credentials_in_the_query() {
    let world = World::shipped();
    let ran = world.post(&format!("{TOKEN}?client_id=app&client_secret=right"), &[], GRANT);
    assert_eq!(error(&ran), refused(400, "invalid_request"));
    let header = basic("app", "right");
    let ran = world.post(&format!("{TOKEN}?client%5Fsecret=right"), &[("authorization", &header)], GRANT);
    assert_eq!(error(&ran), refused(400, "invalid_request"));
    assert_eq!(world.post(&format!("{TOKEN}?tenant=1"), &[("authorization", &header)], GRANT).status, 200);
    let ran = world.get(TOKEN, &[("authorization", &header)]);
    assert_eq!((ran.status, ran.header("allow")), (405, "POST, OPTIONS"));
}

/// D7: `invalid_client` is 401 with a challenge of the scheme that is taken; who it was, is not told.
#[test]
fn rfc6749_5_2_invalid_client() {
    let world = World::shipped().client("off", |client| client.enabled = false);
    let by_form = "grant_type=client_credentials&client_id=app&client_secret=wrong";
    let mut told = Vec::new();
    for ran in [
        world.post(TOKEN, &[("authorization", &basic("app", "wrong"))], GRANT),
        world.post(TOKEN, &[("authorization", &basic("nobody", "right"))], GRANT),
        world.post(TOKEN, &[("authorization", &basic("off", "right"))], GRANT),
        world.post(TOKEN, &[("authorization", "Basic !!!")], GRANT),
        world.post(TOKEN, &[], by_form),
    ] {
        assert_eq!(error(&ran), refused(401, "invalid_client"));
        assert_eq!(ran.header("www-authenticate"), "Basic realm=\"oauth\", charset=\"UTF-8\"");
        told.push(ran.text().to_owned());
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    // Where a client was looked up, the time of the answer tells nothing either.
    for (id, secret, is_held) in
        [("app", "wrong", true), ("nobody", "right", true), ("off", "right", true), ("app", "right", false)]
    {
        assert_eq!(
            world.post(TOKEN, &[("authorization", &basic(id, secret))], GRANT).is_held,
            is_held,
            "{id} {secret}"
        );
    }
    for ran in [
        world.post(TOKEN, &[], GRANT),
        world.post(TOKEN, &[("authorization", "Bearer abc")], GRANT),
        world.post(TOKEN, &[], "grant_type=client_credentials&client_id=app"),
    ] {
        assert_eq!(error(&ran), refused(401, "invalid_client"));
        assert!(!ran.header("www-authenticate").is_empty());
    }
}

/// A method that the policy does not list is refused before anything is looked up.
#[test]
fn rfc6749_2_3_a_method_that_is_not_listed() {
    let text = SHIPPED[3].1.replace("\"client_secret_basic\", \"client_secret_post\"", "\"client_secret_post\"");
    let world = World::over(Arc::new(Down)).policy("oauth/token", &text);
    assert_eq!(error(&ask(&world, GRANT)), refused(401, "invalid_client"));
    let listed = "grant_type=client_credentials&client_id=app&client_secret=right";
    assert_eq!(error(&world.post(TOKEN, &[], listed)), refused(503, "temporarily_unavailable"));
}

#[test]
fn rfc6749_5_2_grants_and_scopes() {
    let world = World::shipped()
        .client("none", |client| client.grant_types.clear())
        .client("post", |client| client.token_endpoint_auth_method = Some("client_secret_post".into()))
        .client("public", |client| {
            client.token_endpoint_auth_method = Some("none".into());
            client.secrets.clear();
        });
    assert_eq!(error(&ask(&world, "grant_type=password")), refused(400, "unsupported_grant_type"));
    assert_eq!(error(&ask(&world, "scope=a")), refused(400, "invalid_request"));
    for form in ["scope=a+x", "scope=x", "scope=a%22b", "scope=a%0Ab"] {
        assert_eq!(error(&ask(&world, &format!("{GRANT}&{form}"))), refused(400, "invalid_scope"), "{form}");
    }
    let other = |id: &str| error(&world.post(TOKEN, &[("authorization", &basic(id, "right"))], GRANT));
    assert_eq!(other("none"), refused(400, "unauthorized_client"));
    assert_eq!(other("post"), refused(401, "invalid_client"));
    assert_eq!(other("public"), refused(401, "invalid_client"));
}

/// A public client authenticates where `none` is listed, and still gets nothing by client credentials.
#[test]
fn rfc6749_4_4_confidential_clients_only() {
    let text =
        SHIPPED[3].1.replace("\"client_secret_basic\", \"client_secret_post\"", "\"client_secret_basic\", \"none\"");
    let world = World::over(Arc::new(Memory::new())).policy("oauth/token", &text).client("app", |_| {}).client(
        "public",
        |client| {
            client.token_endpoint_auth_method = Some("none".into());
            client.secrets.clear();
        },
    );
    let ran = world.post(TOKEN, &[], "grant_type=client_credentials&client_id=public");
    assert_eq!(error(&ran), refused(400, "unauthorized_client"));
    // A client with a secret does not come in by its name alone.
    let ran = world.post(TOKEN, &[], "grant_type=client_credentials&client_id=app");
    assert_eq!(error(&ran), refused(401, "invalid_client"));
}

#[test]
fn malformed_bodies_are_invalid_requests() {
    let world = World::shipped();
    for form in ["grant_type=%zz", "grant_type=%FF", "%"] {
        assert_eq!(error(&ask(&world, form)), refused(400, "invalid_request"), "{form}");
    }
    let header = basic("app", "right");
    let json = [("content-type", "application/json"), ("authorization", header.as_str())];
    let ran = world.fixture.run(request(Method::POST, TOKEN, &json, "{\"grant_type\":\"client_credentials\"}"));
    assert_eq!(error(&ran), refused(400, "invalid_request"));
    assert!(ran.text().contains("application/x-www-form-urlencoded"), "{}", ran.text());
    let large = format!("{GRANT}&x={}", "x".repeat(2 << 20));
    assert_eq!(error(&ask(&world, &large)), refused(413, "invalid_request"));
    let many = "a&".repeat(100_000);
    assert_eq!(error(&ask(&world, &many)), refused(400, "invalid_request"));
}

/// RFC 9110, section 8.3: a body has one type. Two readers of a request with two must not see two requests.
#[test]
fn rfc9110_8_3_a_body_of_two_types_is_read_under_neither() {
    let world = World::shipped();
    let header = basic("app", "right");
    let form = format!("{GRANT}&token=x&access_token=x");
    for endpoint in [TOKEN, INTROSPECT, REVOKE, TOKEN_INFO] {
        for types in [
            &[FORM, "application/json"][..],
            &["application/json", FORM],
            &[FORM, FORM],
            &["application/x-www-form-urlencoded, application/json"],
            &["application/x-www-form-urlencoded;a=\"b\", text/plain"],
        ] {
            for body in [form.as_str(), ""] {
                let types = types.iter().map(|value| ("content-type", *value));
                let headers: Vec<_> = types.chain([("authorization", header.as_str())]).collect();
                let ran = world.fixture.run(request(Method::POST, endpoint, &headers, body));
                assert_eq!(error(&ran), refused(400, "invalid_request"), "{endpoint} {headers:?}");
                assert!(ran.text().contains("Content-Type"), "{}", ran.text());
            }
        }
    }
    let quoted = [("content-type", "application/x-www-form-urlencoded;a=\"b, \\\"c\""), ("authorization", &header)];
    assert_eq!(world.fixture.run(request(Method::POST, TOKEN, &quoted, GRANT)).status, 200);
}

/// D24 for the token endpoint: a store that is down is 503, and nothing of it is told.
#[test]
fn rfc6749_a_store_that_is_down_issues_nothing() {
    let world = World::over(Arc::new(Down)).policy("oauth/token", SHIPPED[3].1);
    let ran = ask(&world, GRANT);
    assert_eq!(error(&ran), refused(503, "temporarily_unavailable"));
    assert_eq!(ran.header("retry-after"), "5");
    assert!(!ran.text().contains("db-7"), "{}", ran.text());
}

/// What other filters refuse is told in the nearest OAuth word, and their messages stay in the log.
#[test]
fn refusals_of_other_filters_are_oauth_errors_too() {
    for (status, told) in
        [(403, "access_denied"), (429, "temporarily_unavailable"), (500, "server_error"), (418, "invalid_request")]
    {
        let require = format!(
            "use = \"require\"\nthat = \"request.path == '/'\"\nstatus = {status}\nmessage = \"internal-name\""
        );
        let text = format!("route = \"POST {REVOKE}\"\n[[filter]]\n{require}\n[[filter]]\nuse = \"oauth.token-info\"");
        let world = World::over(Arc::new(Memory::new())).policy("endpoint", &text);
        let ran = world.post(REVOKE, &[], "");
        assert_eq!(error(&ran), refused(status, told));
        assert!(!ran.text().contains("internal-name"));
    }
}
