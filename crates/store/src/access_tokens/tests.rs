use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oauth::{GrantId, Scopes};

use super::*;
use crate::tables::EPOCH;
use crate::testing::{Gate, Hooked};

const NOW: u64 = 1_800_000_000;

fn record(client: &str, subject: Option<&str>, issued_at: u64) -> AccessToken {
    AccessToken {
        client_id: ClientId::new(client),
        subject: subject.map(str::to_owned),
        scope: Scopes::parse("a b").unwrap(),
        grant_id: GrantId::new("g1"),
        grant_type: "client_credentials".into(),
        issued_at,
        expires_at: issued_at + 3600,
        revoked_at: None,
        audience: vec!["https://api.example".into()],
        properties: BTreeMap::from([("tenant".into(), "7 \"x\"".into())]),
    }
}

async fn issue(store: &AccessTokens, number: u8, record: &AccessToken) -> Token {
    let token = Token::mint(TokenKind::Access, record.expires_at, [number; 32]);
    store.insert(&token, record).await.unwrap();
    token
}

async fn good(store: &AccessTokens, token: &Token, now: u64) -> bool {
    store.find(token.expose(), now).await.unwrap().is_some()
}

/// How often rows of tokens and of epochs were read.
#[derive(Clone, Default)]
struct Reads {
    tokens: Arc<AtomicU64>,
    epochs: Arc<AtomicU64>,
}

/// Two nodes over one source, and how often that was read.
fn counted() -> (Reads, AccessTokens, AccessTokens) {
    let reads = Reads::default();
    let counting = reads.clone();
    let count = move |table: &'static crate::source::Table| -> crate::source::BoxFuture<'static, ()> {
        let counter = if std::ptr::eq(table, &EPOCH) { &counting.epochs } else { &counting.tokens };
        counter.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {})
    };
    let source = Arc::new(Hooked { before_get: Box::new(count), ..Default::default() });
    (reads, AccessTokens::new(source.clone()), AccessTokens::new(source))
}

fn stores() -> (Arc<dyn DataSource>, AccessTokens, AccessTokens) {
    let (_, store, other) = counted();
    (store.source().clone(), store, other)
}

#[tokio::test]
async fn a_token_is_found_until_it_expires() {
    let (_, store, _) = stores();
    let record = record("app", Some("ann"), NOW);
    let token = issue(&store, 1, &record).await;
    assert_eq!(store.find(token.expose(), NOW).await, Ok(Some(Arc::new(record.clone()))));
    assert_eq!(store.find(token.expose(), record.expires_at - 1).await, Ok(Some(Arc::new(record.clone()))));
    assert_eq!(store.find(token.expose(), record.expires_at).await, Ok(None));
    assert_eq!(store.inspect(token.expose()).await, Ok(Some(record)));
}

#[tokio::test]
async fn only_its_hash_is_kept() {
    let (source, store, _) = stores();
    let of_code = AccessToken { grant_type: "authorization_code".into(), ..record("app", Some("ann"), NOW) };
    let token = issue(&store, 1, &of_code).await;
    let rows = source.list(&ACCESS_TOKEN, None, 9).await.unwrap();
    assert_eq!(rows[0].key, token.key().to_bytes());
    assert_eq!(rows[0].expires_at, Some(NOW as i64 + 3600));
    assert_eq!(rows[0].indexes, ["app", "ann", "g1"].map(|value| Some(value.to_owned())));
    assert!(!rows[0].record.contains(&token.expose()[8..20]));
    assert!(!rows[0].record.contains("epoch"), "{}", rows[0].record);
}

#[tokio::test]
async fn what_cannot_be_there_costs_no_read() {
    let (reads, store, _) = counted();
    let expired = Token::mint(TokenKind::Access, NOW, [1; 32]);
    let refresh = Token::mint(TokenKind::Refresh, NOW + 10, [1; 32]);
    let forged = "pca_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for text in [expired.expose(), refresh.expose(), forged, "", "x", "pca_", "Zoë"] {
        assert_eq!(store.find(text, NOW).await, Ok(None), "{text}");
    }
    assert_eq!(reads.tokens.load(Ordering::Relaxed), 0);
    let unknown = Token::mint(TokenKind::Access, NOW + 10, [1; 32]);
    assert_eq!(store.find(unknown.expose(), NOW).await, Ok(None));
    assert_eq!(reads.tokens.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_costs_one_read_and_its_epochs_one_a_second() {
    let (reads, store, other) = counted();
    let token = issue(&store, 1, &record("app", Some("ann"), NOW)).await;
    for second in 0..3 {
        for _ in 0..5 {
            assert!(good(&other, &token, NOW + second).await);
        }
        tokio::time::advance(Duration::from_millis(1001)).await;
    }
    assert_eq!(reads.tokens.load(Ordering::Relaxed), 15);
    // Two to issue it, two in each of three seconds.
    assert_eq!(reads.epochs.load(Ordering::Relaxed), 2 + 6);
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once_on_every_node() {
    let (_, store, other) = stores();
    let token = issue(&store, 1, &record("app", None, NOW)).await;
    assert!(good(&other, &token, NOW).await);
    assert_eq!(store.revoke(token.expose(), NOW + 1).await, Ok(true));
    assert!(!good(&store, &token, NOW + 1).await);
    assert!(!good(&other, &token, NOW + 1).await);
    assert_eq!(other.revoke(token.expose(), NOW + 5).await, Ok(false), "a second time");
    assert_eq!(store.inspect(token.expose()).await.unwrap().unwrap().revoked_at, Some(NOW + 1));
    for text in ["", "nonsense", Token::mint(TokenKind::Access, NOW + 9, [9; 32]).expose()] {
        assert_eq!(store.revoke(text, NOW).await, Ok(false), "{text}");
    }
}

#[tokio::test]
async fn an_epoch_revokes_what_was_issued_before_and_nothing_else() {
    for (whose, other_record) in [
        (Whose::Client(ClientId::new("app")), record("other", Some("ann"), NOW)),
        (Whose::Subject("ann".into()), record("app", Some("bob"), NOW)),
    ] {
        let (_, store, _) = stores();
        let before = issue(&store, 1, &record("app", Some("ann"), NOW)).await;
        let others = issue(&store, 2, &other_record).await;
        store.revoke_all(&whose, NOW).await.unwrap();
        let after = issue(&store, 3, &record("app", Some("ann"), NOW)).await;
        assert!(!good(&store, &before, NOW).await, "{whose:?}");
        assert!(good(&store, &others, NOW).await, "{whose:?}");
        assert!(good(&store, &after, NOW).await, "{whose:?}: one of the same second, but after it");
        assert_eq!(store.inspect(before.expose()).await.unwrap().unwrap().revoked_at, Some(NOW));
        assert_eq!(store.inspect(after.expose()).await.unwrap().unwrap().revoked_at, None);
        store.revoke_all(&whose, NOW).await.unwrap();
        assert!(!good(&store, &after, NOW).await, "{whose:?}: a second time in the same second");
    }
}

/// Nothing of that client is let in, and people can still revoke, which mends it.
#[tokio::test]
async fn an_epoch_that_cannot_be_read_is_raised_all_the_same() {
    let (source, store, other) = stores();
    let whose = Whose::Client(ClientId::new("app"));
    let before = issue(&store, 1, &record("app", Some("ann"), NOW)).await;
    store.revoke_all(&whose, NOW).await.unwrap();
    let row = source.list(&EPOCH, None, 9).await.unwrap().remove(0);
    let version = row.version;
    assert!(source.replace(&EPOCH, Row { record: "damaged".into(), ..row }, version).await.unwrap());
    assert!(matches!(other.find(before.expose(), NOW).await, Err(StoreError::Broken(_))));
    other.revoke_all(&whose, NOW + 1).await.unwrap();
    assert!(!good(&other, &before, NOW + 1).await);
    let after = issue(&other, 2, &record("app", Some("ann"), NOW + 1)).await;
    assert!(good(&other, &after, NOW + 1).await);
    other.revoke_all(&whose, NOW + 1).await.unwrap();
    assert!(!good(&other, &after, NOW + 1).await);
}

#[tokio::test]
async fn an_epoch_counts_even_where_clocks_differ() {
    let (_, store, ahead) = stores();
    let token = issue(&ahead, 1, &record("app", None, NOW + 600)).await;
    store.revoke_all(&Whose::Client(ClientId::new("app")), NOW).await.unwrap();
    assert!(!good(&store, &token, NOW + 601).await);
    let behind = issue(&store, 2, &record("app", None, NOW - 600)).await;
    assert!(good(&store, &behind, NOW).await, "issued after it, by a clock that is behind");
}

#[tokio::test(start_paused = true)]
async fn another_node_honours_an_epoch_within_a_second() {
    let (_, store, other) = stores();
    let token = issue(&store, 1, &record("app", None, NOW)).await;
    assert!(good(&other, &token, NOW + 10).await);
    store.revoke_all(&Whose::Client(ClientId::new("app")), NOW + 10).await.unwrap();
    let stale = issue(&other, 2, &record("app", None, NOW + 10)).await;
    // The time that the callers say is not asked: it may be that of a request whose body took long, or a clock that went back.
    tokio::time::advance(Duration::from_millis(1001)).await;
    assert!(!good(&other, &token, NOW + 10).await);
    assert!(!good(&other, &stale, NOW + 10).await, "issued under the old epoch: refused, not accepted");
    let fresh = issue(&other, 3, &record("app", None, NOW + 11)).await;
    assert!(good(&other, &fresh, NOW + 11).await && good(&store, &fresh, NOW + 11).await);
}

#[tokio::test]
async fn a_client_and_a_subject_of_one_name_are_two() {
    let (_, store, _) = stores();
    let token = issue(&store, 1, &record("ann", Some("bob"), NOW)).await;
    store.revoke_all(&Whose::Subject("ann".into()), NOW).await.unwrap();
    assert!(good(&store, &token, NOW).await);
    store.revoke_all(&Whose::Client(ClientId::new("bob")), NOW).await.unwrap();
    assert!(good(&store, &token, NOW).await);
}

#[tokio::test]
async fn revoking_keeps_the_epoch_it_was_issued_under() {
    let (source, store, _) = stores();
    store.revoke_all(&Whose::Client(ClientId::new("app")), NOW).await.unwrap();
    let token = issue(&store, 1, &record("app", None, NOW)).await;
    store.revoke(token.expose(), NOW).await.unwrap();
    let row = source.get(&ACCESS_TOKEN, &token.key().to_bytes()).await.unwrap().unwrap();
    assert!(row.record.contains(&format!("\"client_epoch\":{NOW}")), "{}", row.record);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_an_error_and_no_token() {
    let (source, store, _) = stores();
    let token = issue(&store, 1, &record("app", None, NOW)).await;
    let row = source.get(&ACCESS_TOKEN, &token.key().to_bytes()).await.unwrap().unwrap();
    for text in ["", "{}", "null", r#"{"client_id": "secret words"}"#] {
        source.take(&ACCESS_TOKEN, &row.key).await.unwrap();
        source.insert(&ACCESS_TOKEN, Row { record: text.into(), ..row.clone() }).await.unwrap();
        let error = store.find(token.expose(), NOW).await.unwrap_err();
        assert!(matches!(&error, StoreError::Broken(why) if !why.contains("secret words")), "{error}");
    }
}

#[tokio::test]
async fn a_token_and_its_record_must_agree() {
    let (_, store, _) = stores();
    let record = record("app", None, NOW);
    for token in [
        Token::mint(TokenKind::Access, record.expires_at + 1, [1; 32]),
        Token::mint(TokenKind::Refresh, record.expires_at, [1; 32]),
    ] {
        assert!(matches!(store.insert(&token, &record).await, Err(StoreError::Broken(_))));
    }
    let token = issue(&store, 1, &record).await;
    assert!(matches!(store.insert(&token, &record).await, Err(StoreError::Broken(_))), "the same bits twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_revoke_a_token_one_does() {
    let store = Arc::new(stores().1);
    let token = issue(&store, 1, &record("app", None, NOW)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (store, text) = (store.clone(), token.expose().to_owned());
        tasks.spawn(async move { store.revoke(&text, NOW).await.unwrap() });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|done| *done).count(), 1);
}

/// A validation has read the epoch, and has its answer only after the epoch was raised.
#[tokio::test(start_paused = true)]
async fn a_read_that_began_before_a_revocation_brings_nothing_back() {
    let gate = Gate::new();
    let store = AccessTokens::new(Arc::new(Hooked { after_get: gate.hook(&EPOCH), ..Default::default() }));
    let token = issue(&store, 1, &record("app", None, NOW)).await;
    tokio::time::advance(Duration::from_secs(2)).await;
    let closed = gate.close().await;
    let mut early = Box::pin(store.find(token.expose(), NOW + 5));
    let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(early.as_mut().poll(cx).is_pending())).await;
    assert!(waits, "it has read, and waits for the answer");
    // The revocation's own read waits behind it, so the gate opens between its parts: both go on in turns.
    let whose = Whose::Client(ClientId::new("app"));
    let mut revoking = Box::pin(store.revoke_all(&whose, NOW + 5));
    let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(revoking.as_mut().poll(cx).is_pending())).await;
    assert!(waits);
    drop(closed);
    revoking.await.unwrap();
    early.await.unwrap();
    assert!(!good(&store, &token, NOW + 5).await, "what the early read found was remembered");
}
