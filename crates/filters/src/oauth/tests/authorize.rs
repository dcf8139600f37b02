//! The authorization endpoint: what a request brings that was forged, or is another user's, and what the policy's own tests do not compare.

use super::codes::registered;
use super::*;
use ::oauth::redirect_uri::OUT_OF_BAND;
use serde_json::json;
use store::Session;

const AUTHORIZE: &str = "/api/oauth/authorize";
const CALLBACK: &str = "https://app.example/cb";
const PKCE: &str = "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const POLICY: &str = include_str!("../../../../../policies/oauth/authorize.toml");
const LOG_IN: &str = include_str!("../../../../../policies/oauth/log-in.toml");

/// The shipped policy with these settings, and the client `web` beside `app`.
fn with(authorize: &str, consent: &str) -> World {
    let set = |text: String, filter: &str, settings: &str| {
        let stands = format!("use = \"{filter}\"\n");
        assert!(text.contains(&stands), "{filter} ships");
        text.replace(&stands, &format!("{stands}{settings}\n"))
    };
    let text = set(set(POLICY.to_owned(), "oauth.authorize", authorize), "oauth.consent", consent);
    registered().policy("oauth/authorize", &text).policy("oauth/log-in", LOG_IN).client("web", |client| {
        client.grant_types = vec!["authorization_code".into()];
        client.metadata.redirect_uris = vec![CALLBACK.into(), OUT_OF_BAND.into()];
    })
}

impl World {
    /// The cookie of a browser in which this user logged in just now.
    fn browser(&self, subject: &str) -> String {
        let environment = self.fixture.environment();
        let now = environment.clock.unix_millis() / 1000;
        let session = Session {
            subject: subject.into(),
            authenticated_at: now,
            methods: vec!["pwd".into()],
            acr: None,
            created_at: now,
            expires_at: now + 36_000,
            seen_at: now,
        };
        let mut random = [0; 32];
        environment.random.fill(&mut random);
        let token = Token::mint(TokenKind::Session, session.expires_at, random);
        block_on(self.sessions.start(&token, &session)).expect("memory");
        format!("__Host-portcullis-session={}", token.expose())
    }

    fn authorize(&self, browser: &str, more: &str) -> Ran {
        let path = format!("{AUTHORIZE}?response_type=code&client_id=web&redirect_uri={CALLBACK}{more}");
        self.get(&path, &[("cookie", browser)])
    }

    fn answer(&self, browser: &str, form: &str) -> Ran {
        self.post(AUTHORIZE, &[("cookie", browser)], form)
    }
}

/// The form of a page, with what the user decides.
fn filled(page: &Ran, more: &str) -> String {
    let after = page.text().split("name=\"resume\" value=\"").nth(1);
    let after = after.unwrap_or_else(|| panic!("no form in {}", page.text()));
    let resume = after.split('"').next().unwrap_or_default().replace("&#x2f;", "/");
    format!("resume={}{more}", form_urlencoded::byte_serialize(resume.as_bytes()).collect::<String>())
}

/// The cookie that a page gave the browser.
fn given(page: &Ran) -> String {
    page.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
}

/// What the redirect URI is told.
fn told(ran: &Ran, name: &str) -> Option<String> {
    let (_, query) = ran.header("location").split_once('?')?;
    form_urlencoded::parse(query.as_bytes()).find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// What a code gives to `web`.
fn redeemed(world: &World, code: &str, redirect_uri: &str) -> Ran {
    let form =
        format!("grant_type=authorization_code&code={code}&redirect_uri={redirect_uri}&code_verifier={VERIFIER}");
    world.post(TOKEN, &[("authorization", &basic("web", "right"))], &form)
}

/// D13, D41, D46: the state byte for byte and the issuer, with a code and with an error, by 303.
#[test]
fn rfc9207_2_state_and_issuer_go_with_codes_and_with_errors() {
    let world = with("", "without = [\"web\"]");
    let browser = world.browser("ann");
    let state = "a&b=c d+é%20\"<\r\nx-other: 1";
    let sent: String = form_urlencoded::byte_serialize(state.as_bytes()).collect();
    for (more, is) in
        [("&scope=a", "code"), ("&scope=c", "error"), ("&request=x", "error"), ("&scope=a&scope=b", "error")]
    {
        let ran = world.authorize(&browser, &format!("{PKCE}&state={sent}{more}"));
        assert_eq!((ran.status, told(&ran, "state").as_deref()), (303, Some(state)), "{more}");
        assert_eq!(told(&ran, "iss").as_deref(), Some("http://127.0.0.1:8080"), "{more}");
        assert!(ran.header("location").starts_with("https://app.example/cb?") && told(&ran, is).is_some(), "{more}");
        assert_eq!(ran.header("referrer-policy"), "no-referrer", "{more}");
    }
}

/// D1, D52: a page for the user, and no way to where no client is registered. D47: no other site's page reads it.
#[test]
fn rfc9700_4_11_nobody_is_sent_to_what_is_not_registered() {
    let world = with("", "").client("off", |client| {
        client.enabled = false;
        client.grant_types = vec!["authorization_code".into()];
        client.metadata.redirect_uris = vec![CALLBACK.into()];
    });
    for query in [
        "client_id=nobody&redirect_uri=https://evil.example/cb",
        "client_id=off&redirect_uri=https://app.example/cb",
        "client_id=web&redirect_uri=https://evil.example/cb",
        "client_id=web&redirect_uri=https://app.example/cb&redirect_uri=https://evil.example/cb",
        "client_id=web&client_id=nobody&redirect_uri=https://app.example/cb",
        "client_id=web",
        "redirect_uri=https://app.example/cb",
    ] {
        let ran =
            world.get(&format!("{AUTHORIZE}?response_type=code{PKCE}&{query}"), &[("origin", "https://evil.example")]);
        assert_eq!((ran.status, ran.header("location")), (400, ""), "{query}");
        assert_eq!(ran.header("x-frame-options"), "DENY", "{query}");
        assert_eq!(ran.header("access-control-allow-origin"), "", "{query}");
        assert!(!ran.text().contains("evil.example"), "{query}");
    }
}

/// D31: whom the policy excepts may come without a challenge; a public client has nothing else to prove itself with.
#[test]
fn rfc9700_2_1_1_a_public_client_is_never_excepted_from_pkce() {
    let world =
        with("without_pkce = [\"web\", \"public\"]", "without = [\"web\", \"public\"]").client("public", |client| {
            client.grant_types = vec!["authorization_code".into()];
            client.secrets.clear();
            client.token_endpoint_auth_method = Some("none".into());
            client.metadata.redirect_uris = vec![CALLBACK.into()];
        });
    let browser = world.browser("ann");
    let of = |client: &str, more: &str| {
        let path = format!("{AUTHORIZE}?response_type=code&client_id={client}&redirect_uri={CALLBACK}{more}");
        let ran = world.get(&path, &[("cookie", &browser)]);
        (told(&ran, "code").is_some(), told(&ran, "error"))
    };
    assert_eq!(of("web", ""), (true, None));
    assert_eq!(of("public", ""), (false, Some("invalid_request".into())));
    assert_eq!(of("public", PKCE), (true, None));
    let strict = with("", "");
    assert_eq!(told(&strict.authorize("", ""), "error").as_deref(), Some("invalid_request"));
}

/// RFC 9700, section 4.7: what one user was shown is no decision of another one, nor of whoever sends the form from elsewhere.
#[test]
fn a_decision_is_that_of_the_user_who_was_asked_in_the_browser_that_was_asked() {
    let world = with("", "");
    let (ann, bob) = (world.browser("ann"), world.browser("bob"));
    let page = world.authorize(&ann, PKCE);
    let form = filled(&page, "&decision=allow&scope.0=a");
    let both = |session: &str| format!("{}; {session}", given(&page));
    let asked = world.answer(&both(&bob), &form);
    assert_eq!((asked.status, asked.header("location")), (200, ""));
    assert!(asked.text().contains("<strong>bob</strong>"), "{}", asked.text());
    for cookies in [ann.clone(), format!("__Host-portcullis-form={}; {ann}", "A".repeat(43))] {
        let ran = world.answer(&cookies, &form);
        assert_eq!((ran.status, ran.refused()), (400, Some("form-expired")));
    }
    assert!(told(&world.answer(&both(&ann), &form), "code").is_some());
    // Bob was asked, and has not answered.
    assert_eq!(
        told(&world.authorize(&bob, &format!("{PKCE}&prompt=none")), "error").as_deref(),
        Some("consent_required")
    );
    // Ann has agreed to a part.
    assert!(told(&world.authorize(&ann, &format!("{PKCE}&prompt=none&scope=a")), "code").is_some());
    assert_eq!(
        told(&world.authorize(&ann, &format!("{PKCE}&prompt=none&scope=b")), "error").as_deref(),
        Some("consent_required")
    );
}

/// What was not asked for is not granted, whatever the form says.
#[test]
fn rfc6749_3_3_a_form_grants_no_more_than_was_asked() {
    let world = with("", "");
    let ann = world.browser("ann");
    let page = world.authorize(&ann, &format!("{PKCE}&scope=a"));
    let browser = format!("{}; {ann}", given(&page));
    let ran = world.answer(&browser, &filled(&page, "&decision=allow&scope.0=a&scope.1=b&scope=b&client_id=app"));
    let code = told(&ran, "code").expect("a code");
    let token = redeemed(&world, &code, CALLBACK);
    assert_eq!((token.status, &token.json()["scope"]), (200, &"a".into()));
}

/// A form may be left open for half an hour.
#[test]
fn a_form_expires() {
    let world = with("", "");
    let page = world.get(&format!("{AUTHORIZE}?response_type=code&client_id=web&redirect_uri={CALLBACK}{PKCE}"), &[]);
    let form = filled(&page, "");
    let seconds = |n| world.fixture.clock().advance(std::time::Duration::from_secs(n));
    seconds(1_799);
    assert_eq!(world.answer(&given(&page), &form).status, 200);
    seconds(1);
    assert_eq!(world.answer(&given(&page), &form).refused(), Some("form-expired"));
}

/// OpenID Connect Core, section 3.1.2.1: a log-in that is older than `max_age` does not do.
#[test]
fn openid_core_3_1_2_1_max_age() {
    let world = with("", "without = [\"web\"]");
    let browser = world.browser("ann");
    world.fixture.clock().advance(std::time::Duration::from_secs(61));
    assert!(told(&world.authorize(&browser, &format!("{PKCE}&max_age=61")), "code").is_some());
    let ran = world.authorize(&browser, &format!("{PKCE}&max_age=60"));
    assert_eq!((ran.status, ran.path().last().map(String::as_str)), (200, Some("oauth.login:answered")));
    let ran = world.authorize(&browser, &format!("{PKCE}&max_age=60&prompt=none"));
    assert_eq!(told(&ran, "error").as_deref(), Some("login_required"));
}

/// OpenID Connect Core, section 3.1.2.1: a log-in for another request, while the page that asks for one is open, is not the one that is asked for.
#[test]
fn openid_core_3_1_2_1_prompt_login_is_for_this_request() {
    let world = with("", "without = [\"web\"]");
    for more in ["&prompt=login", "&max_age=0"] {
        let page = world.authorize("", &format!("{PKCE}{more}"));
        world.fixture.clock().advance(std::time::Duration::from_secs(2));
        let browser = format!("{}; {}", given(&page), world.browser("ann"));
        let ran = world.answer(&browser, &filled(&page, ""));
        assert_eq!(
            ran.path().last().map(String::as_str),
            Some("oauth.login:answered"),
            "{more}: {}",
            ran.header("location")
        );
    }
}

/// Out of band, as in Oracle API Gateway: a page shows the code, and an error.
#[test]
fn a_code_to_copy_is_shown_on_a_page() {
    let world = with("", "without = [\"web\"]");
    let browser = world.browser("ann");
    let uri = OUT_OF_BAND.replace(':', "%3A");
    let of = |more: &str| {
        let path = format!("{AUTHORIZE}?response_type=code&client_id=web&redirect_uri={uri}{PKCE}{more}");
        world.get(&path, &[("cookie", &browser)])
    };
    let page = of("");
    assert_eq!((page.status, page.header("location"), page.header("cache-control")), (200, "", "no-store"));
    let after = page.text().split("<code>").nth(1).unwrap_or_else(|| panic!("no code in {}", page.text()));
    let code = after.split('<').next().unwrap_or_default();
    assert_eq!(redeemed(&world, code, &uri).status, 200);
    let page = of("&scope=c");
    assert_eq!((page.status, page.header("location"), page.refused()), (400, "", Some("invalid_scope")));
}

/// D41, D37: the flag, and what the endpoint takes.
#[test]
fn rfc9207_3_the_metadata_says_what_the_endpoint_takes() {
    let document = with("", "").get("/.well-known/oauth-authorization-server", &[]).json();
    for (name, value) in [
        ("authorization_endpoint", json!("http://127.0.0.1:8080/api/oauth/authorize")),
        ("authorization_response_iss_parameter_supported", json!(true)),
        ("response_types_supported", json!(["code"])),
        ("response_modes_supported", json!(["query"])),
        ("code_challenge_methods_supported", json!(["S256"])),
        ("request_uri_parameter_supported", json!(false)),
    ] {
        assert_eq!(document[name], value, "{name}");
    }
}

/// OpenID Connect Core, section 3.1.2.2: an answer is never about another user than the hint's, also where nobody is asked to agree.
#[test]
fn openid_core_3_1_2_2_an_id_token_hint_refuses_another_user() {
    let world = with("", "without = [\"web\"]");
    // {"sub":"ann"}
    let hint = format!("{PKCE}&id_token_hint=e30.eyJzdWIiOiJhbm4ifQ.x");
    assert!(told(&world.authorize(&world.browser("ann"), &hint), "code").is_some());
    let bob = world.browser("bob");
    let ran = world.authorize(&bob, &hint);
    assert_eq!((ran.status, ran.path().last().map(String::as_str)), (200, Some("oauth.login:answered")));
    let ran = world.authorize(&bob, &format!("{hint}&prompt=none"));
    assert_eq!((told(&ran, "error").as_deref(), told(&ran, "code")), (Some("login_required"), None));
}

/// OpenID Connect Core, sections 3.1.2.1 and 5.5.1.1: who wishes for a class of log-in that there is gets it, by a log-in; who demands one that
/// nobody reaches gets nothing. What the log-in was is in the code.
#[test]
fn openid_core_5_5_1_1_classes_of_log_ins() {
    let world = with("", "without = [\"web\"]");
    let classed = with("", "without = [\"web\"]").policy(
        "oauth/log-in",
        &LOG_IN.replace("use = \"session.start\"\n", "use = \"session.start\"\nacr = \"gold\"\n"),
    );
    let user = store::User {
        name: "ann".into(),
        enabled: true,
        password: Some(::oauth::credential::hash_generated(&::oauth::Secret::new("right horse".into()))),
        claims: Default::default(),
        created_at: 0,
    };
    assert!(block_on(classed.users.add(&user)).expect("memory"));
    let demand = |class: &str| {
        let claims = json!({ "id_token": { "acr": { "essential": true, "value": class } } }).to_string();
        format!("{PKCE}&claims={}", form_urlencoded::byte_serialize(claims.as_bytes()).collect::<String>())
    };
    let logs_in = |ran: &Ran| ran.path().last().map(String::as_str) == Some("oauth.login:answered");
    // No log-in is of a class: a wish is nothing, and a demand is refused.
    let (weak, known) = (world.browser("ann"), classed.browser("ann"));
    assert!(told(&world.authorize(&weak, &format!("{PKCE}&acr_values=gold")), "code").is_some());
    let unmet = Some("unmet_authentication_requirements".to_owned());
    assert_eq!(told(&world.authorize(&weak, &demand("gold")), "error"), unmet);
    // A log-in is.
    assert_eq!(told(&classed.authorize(&known, &demand("platinum")), "error"), unmet);
    assert!(told(&classed.authorize(&known, &format!("{PKCE}&acr_values=gold&prompt=none")), "code").is_some());
    assert!(logs_in(&classed.authorize(&known, &demand("gold"))));
    classed.fixture.clock().advance(std::time::Duration::from_secs(1));
    let page = classed.authorize(&known, &format!("{PKCE}&acr_values=platinum+gold"));
    assert!(logs_in(&page));
    let browser = format!("{}; {known}", given(&page));
    let ran = classed.answer(&browser, &filled(&page, "&username=ann&password=right+horse"));
    let code = told(&ran, "code").unwrap_or_else(|| panic!("no code in {}", ran.header("location")));
    let found = block_on(classed.codes.find(&code, 0)).expect("memory").expect("a code");
    assert_eq!(found.record.authentication.and_then(|proved| proved.acr).as_deref(), Some("gold"));
    let strong = ran.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    assert!(told(&classed.authorize(&strong, &demand("gold")), "code").is_some());
    // The chains of the log-in hear of a demand as of a wish.
    let gold = "when = \"'gold' in authorization.acr_values\"\n";
    let chosen = "use = \"session.start\"\nacr = \"gold\"\n".to_owned() + gold;
    let choosing =
        with("", "without = [\"web\"]").policy("oauth/log-in", &LOG_IN.replace("use = \"session.start\"\n", &chosen));
    assert!(block_on(choosing.users.add(&user)).expect("memory"));
    let page = choosing.authorize("", &demand("gold"));
    let ran = choosing.answer(&given(&page), &filled(&page, "&username=ann&password=right+horse"));
    assert!(told(&ran, "code").is_some(), "{}", ran.header("location"));
    let document = classed.get("/.well-known/openid-configuration", &[]).json();
    assert_eq!(
        (&document["acr_values_supported"], &document["claims_parameter_supported"]),
        (&json!(["gold"]), &json!(true))
    );
}

#[test]
fn rfc8252_8_6_a_public_native_client_is_asked_about_each_time() {
    const NATIVE: &str = "http://127.0.0.1/cb";
    let world = |consent: &str| {
        with("", consent).client("native", |client| {
            client.grant_types = vec!["authorization_code".into()];
            client.secrets.clear();
            client.token_endpoint_auth_method = Some("none".into());
            client.metadata.redirect_uris = vec![NATIVE.into(), CALLBACK.into()];
        })
    };
    let asked_again = |world: &World, uri: &str| {
        let path = format!("{AUTHORIZE}?response_type=code&client_id=native&redirect_uri={uri}{PKCE}&scope=a");
        let ann = world.browser("ann");
        let page = world.get(&path, &[("cookie", &ann)]);
        let browser = format!("{}; {ann}", given(&page));
        assert!(told(&world.answer(&browser, &filled(&page, "&decision=allow&scope.0=a")), "code").is_some());
        told(&world.get(&path, &[("cookie", &ann)]), "code").is_none()
    };
    assert!(asked_again(&world(""), "http://127.0.0.1:4711/cb"));
    assert!(!asked_again(&world(""), CALLBACK));
    assert!(!asked_again(&world("remember = true"), "http://127.0.0.1:4711/cb"));
    assert!(asked_again(&world("remember = false"), CALLBACK));
}

/// There is one page for all.
#[test]
fn openid_core_3_1_2_1_what_asks_for_another_page_is_ignored() {
    let world = with("", "without = [\"web\"]");
    let ran =
        world.authorize(&world.browser("ann"), &format!("{PKCE}&display=popup&ui_locales=nl-NL+fr&claims_locales=nl"));
    assert!(told(&ran, "code").is_some());
}
