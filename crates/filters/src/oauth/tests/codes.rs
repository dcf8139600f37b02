//! Codes and refresh tokens at the token endpoint: what the policy's own tests cannot show, since it is about several at once or about what
//! stands in a store.

use ::oauth::pkce::{Challenge, Method as Pkce};
use store::record::{AuthzCode, EpochsThen};

use super::*;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

impl World {
    /// A code of `app` for `ann` with the scopes `a b`, good for a minute.
    pub(super) fn code(&self, change: impl FnOnce(&mut AuthzCode)) -> String {
        let environment = self.fixture.environment();
        let now = environment.clock.unix_millis() / 1000;
        let mut random = [0; 32];
        environment.random.fill(&mut random);
        let mut record = AuthzCode {
            client_id: ClientId::new("app"),
            subject: "ann".into(),
            scope: scopes("a b"),
            grant_id: GrantId::mint(now * 1000, random[..16].try_into().expect("16 bytes")),
            redirect_uri: None,
            challenge: Challenge::of(VERIFIER, Pkce::S256),
            authentication: None,
            nonce: None,
            claims: None,
            epochs: EpochsThen::default(),
            issued_at: now,
            expires_at: now + 60,
            used_at: None,
        };
        change(&mut record);
        let code = Token::mint(TokenKind::Code, record.expires_at, random);
        block_on(self.codes.insert(&code, &record)).expect("memory");
        code.expose().to_owned()
    }

    pub(super) fn redeem(&self, code: &str, more: &str) -> Ran {
        let form = format!("grant_type=authorization_code&code={code}&code_verifier={VERIFIER}{more}");
        self.post(TOKEN, &[("authorization", &basic("app", "right"))], &form)
    }

    pub(super) fn refresh(&self, token: &str, more: &str) -> Ran {
        let form = format!("grant_type=refresh_token&refresh_token={token}{more}");
        self.post(TOKEN, &[("authorization", &basic("app", "right"))], &form)
    }
}

pub(super) fn registered() -> World {
    let grants = ["authorization_code", "refresh_token", "client_credentials"].map(str::to_owned);
    let world = World::over(Arc::new(Memory::new()));
    let world = SHIPPED.iter().fold(world, |world, (name, text)| world.policy(name, text));
    world.client("app", |client| client.grant_types = grants.to_vec())
}

fn text(ran: &Ran, name: &str) -> String {
    ran.json()[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", ran.text())).to_owned()
}

/// D8: a replay ends what the first use gave, tokens that were rotated since included.
#[test]
fn rfc6749_4_1_2_a_replay_revokes_all_that_came_of_the_code() {
    let world = registered();
    let code = world.code(|_| {});
    let first = world.redeem(&code, "");
    let second = world.refresh(&text(&first, "refresh_token"), "");
    assert!(world.is_good(&text(&first, "access_token")) && world.is_good(&text(&second, "access_token")));
    assert_eq!(error(&world.redeem(&code, "")), refused(400, "invalid_grant"));
    for token in [&first, &second] {
        assert!(!world.is_good(&text(token, "access_token")));
        assert_eq!(error(&world.refresh(&text(token, "refresh_token"), "")), refused(400, "invalid_grant"));
    }
}

/// Somebody who has seen a used code, and cannot prove it is theirs, ends nobody's session.
#[test]
fn a_code_without_its_verifier_revokes_nothing() {
    let world = registered();
    let code = world.code(|_| {});
    let first = world.redeem(&code, "");
    let form = format!("grant_type=authorization_code&code={code}");
    let stolen = world.post(TOKEN, &[("authorization", &basic("app", "right"))], &form);
    assert_eq!(error(&stolen), refused(400, "invalid_grant"));
    assert!(world.is_good(&text(&first, "access_token")));
}

/// D10: the new refresh token keeps the scopes of the grant; D11: narrowed scopes are told.
#[test]
fn rfc6749_6_a_narrowed_answer_leaves_the_grant_as_it_was() {
    let world = registered();
    let first = world.redeem(&world.code(|_| {}), "");
    let narrowed = world.refresh(&text(&first, "refresh_token"), "&scope=a");
    assert_eq!(narrowed.json()["scope"], serde_json::Value::Null, "what was asked is what was granted");
    let whole = world.refresh(&text(&narrowed, "refresh_token"), "");
    assert_eq!(text(&whole, "scope"), "a b");
    let narrowed = world.redeem(&world.code(|_| {}), "&scope=a");
    assert_eq!(text(&world.refresh(&text(&narrowed, "refresh_token"), ""), "scope"), "a b", "nor with the code");
    let less = world.redeem(&world.code(|code| code.scope = scopes("a")), "");
    let more = world.refresh(&text(&less, "refresh_token"), "&scope=a+b");
    assert_eq!(error(&more), refused(400, "invalid_scope"), "whatever else the client may have");
}

/// RFC 6749, section 4.4.3.
#[test]
fn rfc6749_4_4_3_client_credentials_give_no_refresh_token() {
    let world = registered();
    let ran = world.post(TOKEN, &[("authorization", &basic("app", "right"))], "grant_type=client_credentials");
    assert_eq!((ran.status, ran.json().get("refresh_token")), (200, None));
}

/// OpenID Connect Core, section 11: with `openid` a refresh token is for who was granted `offline_access`.
#[test]
fn openid_core_11_offline_access() {
    let world = registered();
    for (granted, given) in [("openid", false), ("openid offline_access", true), ("a", true)] {
        let code = world.code(|code| code.scope = scopes(granted));
        assert_eq!(world.redeem(&code, "").json().get("refresh_token").is_some(), given, "{granted}");
    }
}

/// D45, D95: what a policy says of rotation and of lifetimes.
#[test]
fn rfc9700_4_14_rotation_and_lifetimes_are_the_policys() {
    let token = |rotation: &str, refresh: &str| {
        format!(
            "route = 'POST /t'\n[[filter]]\nuse = 'oauth.authenticate-client'\nmethods = ['client_secret_basic', 'none']\n\
             [[filter]]\nuse = 'switch'\non = '${{request.form.grant_type}}'\ncase = {{ authorization_code = 'code', refresh_token = 'refresh' }}\n\
             else = 'fail'\n[[filter]]\nuse = 'oauth.check-scope'\nasked = '${{request.form.scope ??}}'\nallowed = '${{grant.scopes}}'\n\
             [[filter]]\nuse = 'oauth.issue-token'\nrefresh = {{ {refresh} }}\n[[filter]]\nuse = 'oauth.token-response'\n\
             [[chain.code]]\nuse = 'oauth.redeem-code'\n[[chain.refresh]]\nuse = 'oauth.refresh-token'\n{rotation}\n"
        )
    };
    let world = |rotation, refresh| {
        let grants = ["authorization_code", "refresh_token"].map(str::to_owned).to_vec();
        let world = World::over(Arc::new(Memory::new())).policy("t", &token(rotation, refresh));
        let world = world.client("app", |client| client.grant_types = grants.clone());
        world.client("public", |client| {
            client.grant_types = grants.clone();
            client.secrets.clear();
            client.token_endpoint_auth_method = Some("none".into());
        })
    };
    let first = |world: &World, client: &str| {
        let code = world.code(|code| code.client_id = ClientId::new(client));
        let form = format!("grant_type=authorization_code&code={code}&code_verifier={VERIFIER}&client_id={client}");
        post(world, client, &form)
    };
    fn post(world: &World, client: &str, form: &str) -> Ran {
        let header = basic("app", "right");
        let headers = [("authorization", header.as_str())];
        world.post("/t", if client == "app" { &headers } else { &[] }, form)
    }
    let refresh = |world: &World, client: &str, token: &str| {
        post(world, client, &format!("grant_type=refresh_token&refresh_token={token}&client_id={client}"))
    };
    // Kept: the same token gives again and again, but not for a client that cannot prove who it is.
    let keeping = world("rotation = 'keep'", "lifetime = '12h'");
    let token = text(&first(&keeping, "app"), "refresh_token");
    for _ in 0..2 {
        let ran = refresh(&keeping, "app", &token);
        assert_eq!((ran.status, ran.json().get("refresh_token")), (200, None));
    }
    let token = text(&first(&keeping, "public"), "refresh_token");
    assert_ne!(text(&refresh(&keeping, "public", &token), "refresh_token"), token);
    // None: it gives once.
    let ending = world("rotation = 'none'\ngrace = '0s'", "lifetime = '12h'");
    let token = text(&first(&ending, "app"), "refresh_token");
    assert_eq!(refresh(&ending, "app", &token).json().get("refresh_token"), None);
    assert_eq!(error(&refresh(&ending, "app", &token)), refused(400, "invalid_grant"));
    // Idle and absolute.
    let idle = world("", "lifetime = '10m', idle = '4m'");
    let minutes = |n: u64| idle.fixture.clock().advance(std::time::Duration::from_secs(60 * n));
    let mut token = text(&first(&idle, "app"), "refresh_token");
    for _ in 0..3 {
        minutes(3);
        token = text(&refresh(&idle, "app", &token), "refresh_token");
    }
    minutes(1);
    assert_eq!(error(&refresh(&idle, "app", &token)), refused(400, "invalid_grant"), "ten minutes after the grant");
    let token = text(&first(&idle, "app"), "refresh_token");
    minutes(4);
    assert_eq!(error(&refresh(&idle, "app", &token)), refused(400, "invalid_grant"), "nobody used it for four minutes");
    // When: CEL.
    let never = world("", "when = 'false', lifetime = '10m'");
    assert_eq!(first(&never, "app").json().get("refresh_token"), None);
}

/// A file of users is edited, and no command revokes anything.
#[test]
fn whoever_is_disabled_gets_no_more_tokens() {
    let world = registered();
    let user =
        store::User { name: "ann".into(), enabled: true, password: None, claims: Default::default(), created_at: 0 };
    assert!(block_on(world.users.add(&user)).expect("memory"));
    let first = world.redeem(&world.code(|_| {}), "");
    let second = world.refresh(&text(&first, "refresh_token"), "");
    block_on(world.users.update("ann", |user| user.enabled = false)).expect("memory");
    assert_eq!(error(&world.refresh(&text(&second, "refresh_token"), "")), refused(400, "invalid_grant"));
}
