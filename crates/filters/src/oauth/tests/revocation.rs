//! Revocation (RFC 7009).

use super::*;

fn revoke(world: &World, caller: &str, form: &str) -> Ran {
    world.post(REVOKE, &[("authorization", &basic(caller, "right"))], form)
}

/// D21, D23: a token is revoked at once, whatever the hint says.
#[test]
fn rfc7009_2_1_revoked_at_once_whatever_the_hint() {
    let world = World::shipped();
    for hint in ["", "&token_type_hint=access_token", "&token_type_hint=refresh_token", "&token_type_hint=unheard-of"] {
        let token = world.token(|_| {});
        assert!(world.is_good(&token));
        let ran = revoke(&world, "app", &format!("token={token}{hint}"));
        assert_eq!((ran.status, ran.text(), ran.header("cache-control")), (200, "", "no-store"), "{hint}");
        assert!(!world.is_good(&token), "{hint}");
        let info = world.post(TOKEN_INFO, &[], &format!("access_token={token}"));
        assert_eq!(error(&info), refused(400, "invalid_token"));
    }
}

/// D20: what is unknown, expired or revoked already is a success.
#[test]
fn rfc7009_2_2_unknown_is_a_success() {
    let world = World::shipped();
    let expired = world.token(|token| token.expires_at = token.issued_at);
    let revoked = world.token(|token| token.revoked_at = Some(token.issued_at));
    for token in ["unknown", &expired, &revoked, &world.token(|_| {}).replace("pca_", "pcr_")] {
        let ran = revoke(&world, "app", &format!("token={token}"));
        assert_eq!((ran.status, ran.text()), (200, ""), "{token}");
    }
}

/// D22: another client's token is refused, and stays good.
#[test]
fn rfc7009_2_1_another_clients_token_stays_good() {
    let world = World::shipped().client("other", |_| {});
    let token = world.token(|_| {});
    assert_eq!(error(&revoke(&world, "other", &format!("token={token}"))), refused(400, "unauthorized_client"));
    assert_eq!(error(&world.post(REVOKE, &[], &format!("token={token}"))), refused(401, "invalid_client"));
    assert!(world.is_good(&token));
    assert_eq!(error(&revoke(&world, "app", "")), refused(400, "invalid_request"));
}

/// D24: a store that is down is 503, never a success.
#[test]
fn rfc7009_2_2_1_a_store_that_is_down_is_no_success() {
    // The clients are known, the tokens are not to be had.
    let mut world = World::shipped();
    let token = world.token(|_| {});
    let down = StoreHandle::AccessToken(Arc::new(AccessTokens::new(Arc::new(Down))));
    world.fixture = world.fixture.resource("store", "access-token", down);
    let ran = revoke(&world, "app", &format!("token={token}"));
    assert_eq!(error(&ran), refused(503, "temporarily_unavailable"));
    assert_eq!(ran.header("retry-after"), "5");
    assert!(!ran.text().contains("db-7"), "{}", ran.text());
}
