//! Token information in Oracle API Gateway's form.

use std::time::Duration;

use super::*;
use serde_json::json;

fn ask(world: &World, token: &str) -> Ran {
    world.post(TOKEN_INFO, &[], &format!("access_token={token}"))
}

#[test]
fn oag_shape() {
    let world = World::shipped();
    let ran = ask(&world, &world.token(|_| {}));
    assert_eq!((ran.status, ran.header("cache-control")), (200, "no-store"));
    assert_eq!(ran.json(), json!({"audience": "app", "user_id": "app", "scope": "a b", "expires_in": 3600}));
    let ran = ask(&world, &world.token(|token| token.subject = Some("alice".into())));
    assert_eq!(ran.json()["user_id"], "alice");
}

#[test]
fn properties_are_told_only_where_asked() {
    let token = |token: &mut AccessToken| {
        token.properties.insert("tenant".into(), "t1".into());
        token.properties.insert("internal".into(), "x".into());
    };
    let world = World::shipped();
    assert!(ask(&world, &world.token(token)).json().get("tenant").is_none());
    let world = world.policy(
        "oauth/tokeninfo",
        &SHIPPED[4].1.replace("\"oauth.token-info\"", "\"oauth.token-info\"\nshow = [\"tenant\", \"no\"]"),
    );
    let json = ask(&world, &world.token(token)).json();
    assert_eq!((&json["tenant"], json.get("internal"), json.get("no")), (&json!("t1"), None, None));
}

#[test]
fn what_is_not_good_is_400() {
    let world = World::shipped().client("off", |client| client.enabled = false);
    let good = world.token(|_| {});
    let of_disabled = world.token(|token| token.client_id = ClientId::new("off"));
    let of_unknown = world.token(|token| token.client_id = ClientId::new("gone"));
    let short = world.token(|token| token.expires_at = token.issued_at + 10);
    let revoked = world.token(|token| token.revoked_at = Some(token.issued_at));
    world.fixture.clock().advance(Duration::from_secs(10));
    for token in
        [of_disabled.as_str(), &of_unknown, &short, &revoked, "unknown", &good.replace("pca_", "pcr_"), &good[..59]]
    {
        assert_eq!(error(&ask(&world, token)), refused(400, "invalid_token"), "{token}");
    }
    assert_eq!(ask(&world, &good).json()["expires_in"], 3590);
    assert_eq!(error(&ask(&world, "")), refused(400, "invalid_request"));
    assert_eq!(error(&ask(&world, &format!("{good}&access_token={good}"))), refused(400, "invalid_request"));
    let in_query = world.post(&format!("{TOKEN_INFO}?access_token={good}"), &[], "");
    assert_eq!(error(&in_query), refused(400, "invalid_request"));
    assert_eq!(world.get(TOKEN_INFO, &[]).status, 405);
}
