use std::path::Path;

use super::*;
use crate::seal::{Encryption, Key};
use crate::source::StoreError;
use crate::sources::memory::Memory;
use crate::testing::Hooked;

const NOW: u64 = 1_000_000;

fn sealer(digit: char) -> Arc<Sealer> {
    let key = Key::parse("test", &digit.to_string().repeat(64)).unwrap();
    Arc::new(Sealer::new(&Encryption::Keys(vec![key]), Path::new("")))
}

fn store() -> ClientAccessTokens {
    ClientAccessTokens::new(Arc::new(Memory::new()), sealer('a'))
}

fn holding(subject: Option<&str>, scopes: &str) -> Holding {
    Holding {
        provider: "partner".into(),
        client_id: ClientId::new("gateway"),
        subject: subject.map(str::to_owned),
        scopes: Scopes::parse(scopes).unwrap(),
    }
}

fn tokens(access: &str) -> Tokens {
    Tokens {
        access: Secret::new(access.into()),
        refresh: Some(Secret::new(format!("refresh of {access}"))),
        id_token: None,
        granted: Scopes::parse("a").unwrap(),
        obtained_at: NOW,
        expires_at: NOW + 60,
        refresh_until: Some(NOW + 3_600),
    }
}

fn lease(id: &str, until: u64) -> Lease {
    Lease { id: id.into(), until: until * 1_000 }
}

async fn claim(store: &ClientAccessTokens, id: &str, now: u64) -> Claim {
    store.claim(&holding(None, "a"), lease(id, now + 10), now * 1_000, |tokens| tokens.expires_at > now).await.unwrap()
}

async fn mine(store: &ClientAccessTokens, id: &str, now: u64) -> Claimed {
    match claim(store, id, now).await {
        Claim::Mine(claimed) => claimed,
        other => panic!("{other:?}"),
    }
}

/// OAG RDAPI-19849: the cache of client tokens ignored scopes and users.
#[tokio::test]
async fn another_user_provider_application_or_scope_is_another_token() {
    let store = store();
    let ours = holding(Some("alice"), "a b");
    store.save(&ours, &tokens("ours")).await.unwrap();
    assert_eq!(store.find(&holding(Some("alice"), "b a")).await.unwrap(), Some(tokens("ours")), "a set has no order");
    for other in [
        holding(None, "a b"),
        holding(Some("bob"), "a b"),
        holding(Some(""), "a b"),
        holding(Some("alice"), "a"),
        holding(Some("alice"), "a b c"),
        Holding { provider: "other".into(), ..ours.clone() },
        Holding { client_id: ClientId::new("other"), ..ours.clone() },
        // The same letters, cut elsewhere.
        Holding { provider: "partnerg".into(), client_id: ClientId::new("ateway"), ..ours.clone() },
    ] {
        assert_eq!(store.find(&other).await.unwrap(), None, "{other:?}");
    }
    assert_ne!(holding(None, "").key(), holding(Some(""), "").key());
}

#[tokio::test]
async fn of_two_who_claim_one_gets_it_and_the_other_finds_what_he_got() {
    let store = store();
    let first = mine(&store, "1", NOW).await;
    let Claim::Others(waiting) = claim(&store, "2", NOW).await else { panic!("both got it") };
    assert!(!store.changed(&waiting, Duration::from_millis(1)).await.unwrap());
    assert!(store.finish(&first, &tokens("new")).await.unwrap());
    assert!(store.changed(&waiting, Duration::from_secs(60)).await.unwrap());
    match claim(&store, "2", NOW).await {
        Claim::There(found) => assert_eq!(found, tokens("new")),
        other => panic!("{other:?}"),
    }
    // Once it has expired, whoever claims sees the refresh token.
    let later = mine(&store, "3", NOW + 60).await;
    assert_eq!(later.tokens, Some(tokens("new")));
}

#[tokio::test]
async fn a_claim_runs_out_and_then_comes_to_nothing() {
    let store = store();
    let dead = mine(&store, "dead", NOW).await;
    assert!(matches!(claim(&store, "2", NOW + 9).await, Claim::Others(_)));
    let alive = mine(&store, "2", NOW + 10).await;
    assert!(!store.finish(&dead, &tokens("late")).await.unwrap());
    store.give_up(&dead, None).await.unwrap();
    assert!(store.finish(&alive, &tokens("new")).await.unwrap());
    assert_eq!(store.find(&holding(None, "a")).await.unwrap(), Some(tokens("new")));
}

#[tokio::test]
async fn who_gives_up_leaves_what_was_there_unless_it_is_no_good() {
    let store = store();
    let here = holding(None, "a");
    store.save(&here, &tokens("old")).await.unwrap();
    let claimed = mine(&store, "1", NOW + 60).await;
    store.give_up(&claimed, claimed.tokens.as_ref()).await.unwrap();
    assert_eq!(store.find(&here).await.unwrap(), Some(tokens("old")));
    let claimed = mine(&store, "2", NOW + 60).await;
    store.give_up(&claimed, None).await.unwrap();
    assert_eq!(store.find(&here).await.unwrap(), None);
    assert_eq!(mine(&store, "3", NOW + 60).await.tokens, None);
}

#[tokio::test]
async fn what_a_person_just_agreed_to_is_not_overwritten_by_a_renewal() {
    let store = store();
    let claimed = mine(&store, "1", NOW).await;
    store.save(&holding(None, "a"), &tokens("agreed")).await.unwrap();
    assert!(!store.finish(&claimed, &tokens("renewed")).await.unwrap());
    assert_eq!(store.find(&holding(None, "a")).await.unwrap(), Some(tokens("agreed")));
}

#[tokio::test]
async fn what_is_deleted_is_given_once() {
    let store = store();
    let here = holding(Some("alice"), "");
    store.save(&here, &tokens("t")).await.unwrap();
    assert_eq!(store.delete(&here).await.unwrap(), Some(tokens("t")));
    assert_eq!((store.delete(&here).await.unwrap(), store.find(&here).await.unwrap()), (None, None));
}

#[tokio::test]
async fn a_row_shows_no_token_and_opens_nowhere_else() {
    let memory = Arc::new(Memory::new());
    let store = ClientAccessTokens::new(memory.clone(), sealer('a'));
    let here = holding(Some("alice"), "a");
    store.save(&here, &tokens("geheim")).await.unwrap();
    let row = memory.get(&CLIENT_ACCESS_TOKEN, &here.key().0).await.unwrap().unwrap();
    assert!(!row.record.contains("geheim") && row.record.contains("sealed:1:test:"), "{}", row.record);
    assert_eq!(row.indexes, [Some("partner".into()), Some("alice".into())]);
    assert_eq!(row.expires_at, Some((NOW + 3_600 + SLACK) as i64), "it is there as long as its refresh token");

    let there = holding(Some("bob"), "a");
    memory.insert(&CLIENT_ACCESS_TOKEN, Row { key: there.key().0.to_vec(), ..row }).await.unwrap();
    let moved = store.find(&there).await.unwrap_err();
    assert!(matches!(&moved, StoreError::Broken(why) if why.contains("moved here")), "{moved}");
    let other = ClientAccessTokens::new(memory, sealer('b')).find(&here).await.unwrap_err();
    assert!(matches!(other, StoreError::Broken(_)), "another key opens it");
}

#[tokio::test]
async fn a_source_that_is_down_is_never_a_token_that_is_not_there() {
    let down = Hooked {
        refuse: Box::new(|| Box::pin(async { Err(StoreError::Unavailable("down".into())) })),
        ..Hooked::default()
    };
    let store = ClientAccessTokens::new(Arc::new(down), sealer('a'));
    let here = holding(None, "a");
    assert!(store.find(&here).await.is_err() && store.save(&here, &tokens("t")).await.is_err());
    assert!(store.claim(&here, lease("1", NOW), 0, |_| true).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_was_got_is_kept_though_the_source_is_down_for_a_moment() {
    use std::sync::atomic::{AtomicU32, Ordering};
    let refusals = Arc::new(AtomicU32::new(0));
    let left = refusals.clone();
    let source = Hooked {
        refuse_replace: Box::new(move || {
            let down = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            Box::pin(async move { if down { Err(StoreError::Unavailable("down".into())) } else { Ok(()) } })
        }),
        ..Hooked::default()
    };
    let store = ClientAccessTokens::new(Arc::new(source), sealer('a'));
    let claimed = mine(&store, "1", NOW).await;
    refusals.store(4, Ordering::Relaxed);
    assert!(store.finish(&claimed, &tokens("new")).await.unwrap());
    let claimed = mine(&store, "2", NOW + 60).await;
    refusals.store(5, Ordering::Relaxed);
    assert!(store.finish(&claimed, &tokens("newer")).await.is_err(), "not for ever");
}

#[tokio::test]
async fn eight_who_claim_at_once_are_one_and_seven() {
    let store = Arc::new(store());
    let claims = (0..8).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { matches!(claim(&store, &n.to_string(), NOW).await, Claim::Mine(_)) })
    });
    let mut winners = 0;
    for claim in claims.collect::<Vec<_>>() {
        winners += u32::from(claim.await.unwrap());
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn a_journey_opens_for_its_provider_alone() {
    let store = store();
    let sealed = store.seal_journey("partner", b"state").unwrap();
    assert_eq!(&**store.open_journey("partner", &sealed).unwrap(), b"state");
    assert!(store.open_journey("other", &sealed).is_none() && store.open_journey("partner", "x").is_none());
}

#[tokio::test]
async fn what_is_held_is_sealed_anew() {
    let source: Arc<dyn DataSource> = Arc::new(Memory::new());
    let keys = |digits: &[char]| {
        let key = |digit: &char| Key::parse(&format!("key-{digit}"), &digit.to_string().repeat(64)).unwrap();
        let encryption = Encryption::Keys(digits.iter().map(key).collect());
        ClientAccessTokens::new(source.clone(), Arc::new(Sealer::new(&encryption, Path::new(""))))
    };
    let old = keys(&['a']);
    for subject in [None, Some("alice")] {
        old.save(&holding(subject, "a"), &tokens("geheim")).await.unwrap();
    }
    // Claimed, and nothing in it yet.
    let claim = old.claim(&holding(Some("bob"), "a"), lease("x", NOW + 10), NOW * 1_000, |_| true).await.unwrap();
    assert!(matches!(claim, Claim::Mine(_)));
    let done = keys(&['b', 'a']).reencrypt().await.unwrap();
    assert_eq!((done.records, done.sealed, done.refused.len()), (2, 2, 0));
    let last = keys(&['b']);
    let found = last.find(&holding(Some("alice"), "a")).await.unwrap().unwrap();
    assert_eq!(found.access.expose(), "geheim");
    let refused = keys(&['c']).reencrypt().await.unwrap().refused;
    assert_eq!(refused.len(), 2);
    let told = format!("{refused:?}");
    assert!(told.contains("gateway at partner for alice") && !told.contains("geheim"), "{told}");
}

fn which(provider: Option<&str>, client: Option<&str>, subject: Option<Option<&str>>) -> Which {
    Which {
        provider: provider.map(str::to_owned),
        client_id: client.map(ClientId::new),
        subject: subject.map(|subject| subject.map(str::to_owned)),
    }
}

#[tokio::test]
async fn what_is_held_is_listed_and_deleted_by_what_is_named() {
    let store = store();
    let others = Holding { provider: "other".into(), ..holding(Some("alice"), "a") };
    let kept = [
        holding(None, "a"),
        holding(Some("alice"), "a"),
        holding(Some("alice"), "b"),
        holding(Some("bob"), "a"),
        others,
    ];
    for holding in &kept {
        store.save(holding, &tokens("geheim")).await.unwrap();
    }
    // Claimed, and nothing in it yet.
    assert!(matches!(
        store.claim(&holding(Some("eve"), "a"), lease("x", NOW + 10), NOW * 1_000, |_| true).await,
        Ok(Claim::Mine(_))
    ));
    let count = async |which: &Which| store.list(which, None, 100).await.unwrap().held.len();
    for (which, expected) in [
        (which(None, None, None), 5),
        (which(Some("partner"), None, None), 4),
        (which(None, Some("gateway"), None), 5),
        (which(None, Some("other"), None), 0),
        (which(None, None, Some(Some("alice"))), 3),
        (which(Some("partner"), Some("gateway"), Some(Some("alice"))), 2),
        (which(None, None, Some(None)), 1),
        (which(Some("nobody"), None, None), 0),
    ] {
        assert_eq!(count(&which).await, expected, "{which:?}");
    }
    // A row at a time.
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(&Which::default(), after, 1).await.unwrap();
        assert!(!format!("{page:?}").contains("geheim"), "{page:?}");
        seen.extend(page.held);
        match page.next {
            Some(next) => after = HoldingKey::parse(&next.to_text()),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|held| kept.contains(&held.holding) && held.key == held.holding.key()));
    assert_eq!((seen[0].expires_at, seen[0].refresh_until), (NOW + 60, Some(NOW + 3_600)));

    assert_eq!(store.delete_all(&which(Some("partner"), None, Some(Some("alice")))).await, Ok(2));
    assert_eq!(count(&Which::default()).await, 3);
    assert_eq!(store.delete_all(&which(None, None, Some(None))).await, Ok(1));
    assert_eq!(store.delete_all(&Which::default()).await, Ok(2));
    assert_eq!(store.source.list(&CLIENT_ACCESS_TOKEN, None, 10).await.unwrap(), [], "and no claim is left");
}

/// Whoever was renewing what is deleted keeps nothing by that.
#[tokio::test]
async fn what_is_deleted_while_it_is_renewed_stays_deleted() {
    let store = store();
    store.save(&holding(None, "a"), &tokens("old")).await.unwrap();
    let mine = mine(&store, "x", NOW + 100).await;
    assert_eq!(store.delete_all(&Which::default()).await, Ok(1));
    assert!(!store.finish(&mine, &tokens("new")).await.unwrap());
    assert_eq!(store.find(&holding(None, "a")).await.unwrap().map(|found| found.obtained_at), None);
}
