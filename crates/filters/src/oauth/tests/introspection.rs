//! Introspection (RFC 7662).

use std::time::Duration;

use super::*;
use serde_json::json;
use store::Introspects;

const INACTIVE: &str = r#"{"active":false}"#;

fn world() -> World {
    World::shipped()
        .client("other", |_| {})
        .client("api", |client| client.introspect = Introspects::Any)
        .client("orders", |client| client.introspect = Introspects::Audiences(vec!["orders".into()]))
        .client("off", |client| client.enabled = false)
}

fn ask(world: &World, caller: &str, token: &str) -> Ran {
    world.post(INTROSPECT, &[("authorization", &basic(caller, "right"))], &format!("token={token}"))
}

/// D25: nobody asks without authenticating.
#[test]
fn rfc7662_2_1_the_caller_authenticates() {
    let world = world();
    let token = world.token(|_| {});
    for headers in [&[][..], &[("authorization", "Basic !!!")], &[("authorization", basic("api", "wrong").as_str())]] {
        let ran = world.post(INTROSPECT, headers, &format!("token={token}"));
        assert_eq!(error(&ran), refused(401, "invalid_client"));
        assert!(ran.header("www-authenticate").starts_with("Basic "));
    }
    assert_eq!(ask(&world, "off", &token).status, 401);
}

/// D27: what is told, and its types.
#[test]
fn rfc7662_2_2_an_active_token() {
    let world = world();
    let now = world.fixture.environment().clock.unix_millis() / 1000;
    let ran = ask(&world, "app", &world.token(|_| {}));
    assert_eq!(
        (ran.status, ran.header("cache-control"), ran.header("content-type")),
        (200, "no-store", "application/json")
    );
    assert_eq!(
        ran.json(),
        json!({
            "active": true, "client_id": "app", "sub": "app", "scope": "a b", "token_type": "Bearer",
            "iat": now, "exp": now + 3600,
        })
    );
}

/// D26: unknown, expired, revoked and not the caller's are exactly `{"active":false}`.
#[test]
fn rfc7662_2_2_inactive_tells_nothing_else() {
    let world = world();
    let short = world.token(|token| token.expires_at = token.issued_at + 10);
    let revoked = world.token(|token| token.revoked_at = Some(token.issued_at));
    let of_disabled = world.token(|token| token.client_id = ClientId::new("off"));
    let good = world.token(|_| {});
    let for_orders = world.token(|token| token.audience = vec!["orders".into()]);
    world.fixture.clock().advance(Duration::from_secs(10));
    for (caller, token, active) in [
        ("api", "unknown", false),
        ("api", &short, false),
        ("api", &revoked, false),
        ("api", &of_disabled, false),
        ("other", &good, false),
        ("orders", &good, false),
        ("other", &for_orders, false),
        ("orders", &for_orders, true),
        ("api", &good, true),
        ("app", &good, true),
    ] {
        let ran = ask(&world, caller, token);
        assert_eq!(ran.status, 200);
        assert_eq!(ran.text() == INACTIVE, !active, "{caller}: {}", ran.text());
    }
}

/// D29: a public client sees no token but its own.
#[test]
fn rfc7662_4_public_clients_see_their_own_only() {
    let text = SHIPPED[0].1.replace("\"client_secret_basic\", \"client_secret_post\"", "\"none\"");
    let world = World::over(Arc::new(Memory::new())).policy("oauth/introspect", &text).client("app", |_| {}).client(
        "public",
        |client| {
            client.token_endpoint_auth_method = Some("none".into());
            client.secrets.clear();
            client.introspect = Introspects::Any;
        },
    );
    let ask = |token: &str| world.post(INTROSPECT, &[], &format!("client_id=public&token={token}"));
    assert_eq!(ask(&world.token(|_| {})).text(), INACTIVE);
    let own = world.token(|token| token.client_id = ClientId::new("public"));
    assert_eq!(ask(&own).json()["active"], true);
}

#[test]
fn rfc7662_2_1_the_token_is_required() {
    let world = world();
    let header = basic("api", "right");
    for form in ["", "token=", "token=a&token=a"] {
        assert_eq!(
            error(&world.post(INTROSPECT, &[("authorization", &header)], form)),
            refused(400, "invalid_request")
        );
    }
}
