use std::collections::BTreeMap;
use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use oauth::{GrantId, Scopes};

use super::*;
use crate::access_tokens::Whose;
use crate::authz_codes::AuthzCodes;
use crate::record::{AuthzCode, EpochsThen};
use crate::source::DataSource;
use crate::sources::memory::Memory;
use crate::tables::TOKEN_GRANT;
use crate::testing::Hooked;

mod model;

pub(super) const NOW: u64 = 1_800_000_000;
const LATER: u64 = NOW + 43_200;

pub(super) fn id() -> GrantId {
    GrantId::mint(NOW * 1000, [7; 16])
}

pub(super) fn grant() -> TokenGrant {
    TokenGrant {
        client_id: ClientId::new("app"),
        subject: "ann".into(),
        scope: Scopes::parse("a b").unwrap(),
        grant_type: "authorization_code".into(),
        granted_at: NOW,
        authentication: None,
        claims: None,
        expires_at: LATER,
        revoked_at: None,
    }
}

/// The access token and the refresh token with this number.
pub(super) fn tokens(number: u8) -> Tokens {
    let access = AccessToken {
        client_id: ClientId::new("app"),
        subject: Some("ann".into()),
        scope: Scopes::parse("a").unwrap(),
        grant_id: id(),
        grant_type: "authorization_code".into(),
        issued_at: NOW,
        expires_at: NOW + 3600,
        revoked_at: None,
        audience: vec![],
        properties: BTreeMap::new(),
    };
    let refresh =
        RefreshToken { client_id: ClientId::new("app"), grant_id: id(), issued_at: NOW, expires_at: LATER, used: None };
    Tokens {
        access: (Token::mint(TokenKind::Access, NOW + 3600, [number; 32]), access),
        refresh: Some((Token::mint(TokenKind::Refresh, LATER, [number; 32]), refresh)),
    }
}

/// A code, used or not, that begins the grant.
pub(super) async fn code(codes: &AuthzCodes) -> Token {
    let code = Token::mint(TokenKind::Code, NOW + 60, [1; 32]);
    let record = AuthzCode {
        client_id: ClientId::new("app"),
        subject: "ann".into(),
        scope: Scopes::parse("a b").unwrap(),
        grant_id: id(),
        redirect_uri: None,
        challenge: None,
        authentication: None,
        nonce: None,
        claims: None,
        epochs: EpochsThen::default(),
        issued_at: NOW,
        expires_at: NOW + 60,
        used_at: None,
    };
    codes.insert(&code, &record).await.unwrap();
    code
}

pub(super) fn text(tokens: &Tokens) -> &str {
    tokens.refresh.as_ref().unwrap().0.expose()
}

pub(super) async fn is_good(store: &AccessTokens, tokens: &Tokens) -> bool {
    store.find(tokens.access.0.expose(), NOW).await.unwrap().is_some()
}

async fn present(store: &AccessTokens, tokens: &Tokens, grace: u64, now: u64) -> Option<Presented> {
    store.present(text(tokens), &ClientId::new("app"), grace, now).await.unwrap()
}

/// Two nodes over one source, and a grant with its first tokens.
async fn begun() -> (Arc<dyn DataSource>, AccessTokens, AccessTokens, Tokens) {
    let source: Arc<dyn DataSource> = Arc::new(Memory::new());
    let (store, other) = (AccessTokens::new(source.clone()), AccessTokens::new(source.clone()));
    let first = tokens(1);
    assert_eq!(store.begin(&id(), &grant(), EpochsThen::default(), &first).await, Ok(true));
    (source, store, other, first)
}

/// D23, D8: revoking a grant refuses all of its tokens at once, on every node.
#[tokio::test]
async fn rfc7009_2_1_a_revoked_grant_takes_its_tokens_along() {
    let (_, store, other, first) = begun().await;
    assert!(is_good(&other, &first).await && present(&other, &first, 0, NOW).await.is_some());
    assert_eq!(store.grants_page("ann", None, 9, NOW).await, Ok((vec![(id(), grant())], None)));
    assert_eq!(store.grants_page("ann", None, 1, NOW).await.unwrap().1, Some(id()), "there may be more");
    assert_eq!(store.revoke_grant(&id(), NOW).await, Ok(true));
    assert_eq!(store.revoke_grant(&id(), NOW).await, Ok(false));
    assert!(!is_good(&other, &first).await && present(&other, &first, 0, NOW).await.is_none());
    assert_eq!(store.grants_page("ann", None, 9, NOW).await, Ok((vec![], None)));
    let told = store.inspect(first.access.0.expose()).await.unwrap().unwrap();
    assert_eq!(told.revoked_at, Some(NOW));
}

/// A source that commits what waits for it commits them at once, whatever one commit costs.
#[tokio::test]
async fn what_is_issued_together_is_written_at_once() {
    let inserts = Arc::new(AtomicU64::new(0));
    let counter = inserts.clone();
    let waits = move |_| -> crate::source::BoxFuture<'static, ()> {
        counter.fetch_add(1, Ordering::Relaxed);
        Box::pin(future::pending())
    };
    let store = AccessTokens::new(Arc::new(Hooked { before_insert: Box::new(waits), ..Default::default() }));
    assert!(store.begin(&id(), &grant(), EpochsThen::default(), &tokens(1)).now_or_never().is_none());
    assert_eq!(inserts.swap(0, Ordering::Relaxed), 3, "the grant and both tokens");
    assert!(store.complete(&tokens(2)).now_or_never().is_none());
    assert_eq!(inserts.load(Ordering::Relaxed), 2, "both tokens");
}

/// A replay that comes before the first use has begun the grant: what is still to be written is revoked.
#[tokio::test]
async fn a_grant_that_was_revoked_before_it_began_does_not_begin() {
    let source: Arc<dyn DataSource> = Arc::new(Memory::new());
    let store = AccessTokens::new(source.clone());
    assert_eq!(store.revoke_grant(&id(), NOW).await, Ok(true));
    let first = tokens(1);
    assert_eq!(store.begin(&id(), &grant(), EpochsThen::default(), &first).await, Ok(false));
    assert!(!is_good(&store, &first).await);
    assert_eq!(store.live_grant(&id(), NOW).await, Ok(None));
    // And goes by itself.
    assert!(source.list(&TOKEN_GRANT, None, 9).await.unwrap()[0].expires_at.is_some());
}

/// A token whose grant is gone is good no longer: whoever lost rows refuses.
#[tokio::test]
async fn a_token_without_its_grant_is_refused() {
    let (source, store, _, first) = begun().await;
    source.take(&TOKEN_GRANT, &id().key().unwrap()).await.unwrap();
    assert!(!is_good(&store, &first).await && present(&store, &first, 0, NOW).await.is_none());
}

#[tokio::test]
async fn a_refresh_token_is_for_its_client_until_it_expires() {
    let (_, store, _, first) = begun().await;
    assert!(store.present(text(&first), &ClientId::new("other"), 9, NOW).await.unwrap().is_none());
    assert!(present(&store, &first, 0, LATER - 1).await.is_some());
    assert!(present(&store, &first, 0, LATER).await.is_none());
    for text in [first.access.0.expose(), "pcr_", "", Token::mint(TokenKind::Refresh, LATER, [9; 32]).expose()] {
        assert!(store.present(text, &ClientId::new("app"), 0, NOW).await.unwrap().is_none(), "{text}");
    }
    let presented = present(&store, &first, 0, NOW).await.unwrap();
    assert_eq!((presented.grant, presented.again.is_none()), (grant(), true));
}

/// D45: a second use, of one of the two who have it, ends the family.
#[tokio::test]
async fn rfc9700_4_14_2_reuse_revokes_the_family() {
    let (_, store, other, first) = begun().await;
    let (one, two) = (present(&store, &first, 0, NOW).await.unwrap(), present(&other, &first, 0, NOW).await.unwrap());
    let second = tokens(2);
    assert!(matches!(store.rotate(&one, &second, NOW).await, Ok(Rotated::Won)));
    assert!(matches!(other.rotate(&two, &tokens(3), NOW).await, Ok(Rotated::Lost)));
    assert!(is_good(&other, &second).await && !is_good(&other, &tokens(3)).await);
    assert!(present(&other, &first, 0, NOW).await.is_none(), "without a grace the second use is a reuse");
    assert!(!is_good(&store, &second).await && !is_good(&store, &first).await);
    assert!(present(&store, &second, 0, NOW).await.is_none());
}

/// Within the grace whoever sends it again gets the same tokens, until the new one is used.
#[tokio::test]
async fn within_the_grace_a_retry_gets_the_same_until_the_new_one_is_used() {
    let (source, store, other, first) = begun().await;
    let second = tokens(2);
    let presented = present(&store, &first, 30, NOW).await.unwrap();
    assert!(matches!(store.rotate(&presented, &second, NOW).await, Ok(Rotated::Won)));
    let again = present(&other, &first, 30, NOW + 29).await.unwrap().again.unwrap();
    assert_eq!((text(&again), again.access.0.expose()), (text(&second), second.access.0.expose()));
    assert_eq!(again.access.1, second.access.1);
    other.complete(&again).await.unwrap();
    // Nothing of it stands in the source but sealed.
    for row in source.list(&REFRESH_TOKEN, None, 9).await.unwrap() {
        assert!(!row.record.contains(&text(&second)[8..20]) && !row.record.contains(&second.access.0.expose()[8..20]));
    }
    let presented = present(&other, &second, 30, NOW + 29).await.unwrap();
    assert!(matches!(other.rotate(&presented, &tokens(3), NOW + 29).await, Ok(Rotated::Won)));
    assert!(present(&store, &first, 30, NOW + 29).await.is_none(), "the window is closed");
    assert!(!is_good(&store, &tokens(3)).await);
}

#[tokio::test]
async fn after_the_grace_a_second_use_is_a_reuse() {
    let (_, store, _, first) = begun().await;
    let presented = present(&store, &first, 30, NOW).await.unwrap();
    store.rotate(&presented, &tokens(2), NOW).await.unwrap();
    assert!(present(&store, &first, 30, NOW + 30).await.is_none());
    assert!(!is_good(&store, &tokens(2)).await);
}

/// The node died between the two: the retry keeps what was not kept.
#[tokio::test]
async fn a_retry_completes_what_a_node_left_that_died() {
    let (source, store, _, first) = begun().await;
    let presented = present(&store, &first, 30, NOW).await.unwrap();
    let second = tokens(2);
    store.rotate(&presented, &second, NOW).await.unwrap();
    for (table, key) in [
        (&crate::tables::ACCESS_TOKEN, second.access.0.key()),
        (&REFRESH_TOKEN, second.refresh.as_ref().unwrap().0.key()),
    ] {
        assert!(source.take(table, &key.to_bytes()).await.unwrap().is_some());
    }
    assert!(!is_good(&store, &second).await);
    let again = present(&store, &first, 30, NOW + 1).await.unwrap().again.unwrap();
    store.complete(&again).await.unwrap();
    assert!(is_good(&store, &second).await && present(&store, &second, 30, NOW + 1).await.is_some());
}

/// What the client or the subject was granted before its epoch was raised gives nothing any more.
#[tokio::test]
async fn an_epoch_ends_grants_and_codes_from_before_it() {
    for whose in [Whose::Client(ClientId::new("app")), Whose::Subject("ann".into())] {
        let (source, store, _, first) = begun().await;
        store.revoke_all(&whose, NOW).await.unwrap();
        assert!(!is_good(&store, &first).await && present(&store, &first, 0, NOW).await.is_none());
        assert_eq!(store.live_grant(&id(), NOW).await, Ok(None));
        // A code from before begins nothing; one from after does.
        let codes = AuthzCodes::new(source.clone());
        let found = codes.find(code(&codes).await.expose(), NOW).await.unwrap().unwrap();
        let another = GrantId::mint(NOW * 1000, [8; 16]);
        assert_eq!(store.begin(&another, &grant(), found.record.epochs, &tokens(4)).await, Ok(false));
        let now = store.epochs(&ClientId::new("app"), Some("ann")).await.unwrap();
        assert_eq!(store.begin(&another, &grant(), now, &tokens(5)).await, Ok(true));
    }
}

/// What was damaged is no answer.
#[tokio::test]
async fn a_damaged_answer_is_a_fault() {
    let (source, store, _, first) = begun().await;
    let presented = present(&store, &first, 30, NOW).await.unwrap();
    store.rotate(&presented, &tokens(2), NOW).await.unwrap();
    let key = first.refresh.as_ref().unwrap().0.key().to_bytes();
    let row = source.get(&REFRESH_TOKEN, &key).await.unwrap().unwrap();
    let record = row.record.replace("\"answer\":\"sealed:1:refresh-token:", "\"answer\":\"sealed:1:refresh-token:AAAA");
    let version = row.version;
    assert_eq!(source.replace(&REFRESH_TOKEN, Row { record, ..row }, version).await, Ok(true));
    let told = store.present(text(&first), &ClientId::new("app"), 30, NOW).await;
    assert!(matches!(told, Err(StoreError::Broken(_))));
}
