use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;
use oauth::jose::{Claims, Jws};
use serde_json::json;

use super::*;
use crate::seal::{Encryption, Key};
use crate::testing::Hooked;

const NOW: u64 = 1_795_892_725;
const ES: Algorithm = Algorithm::Es256;

fn sealer(keys: &[(&str, char)]) -> Arc<Sealer> {
    let key = |(id, digit): &(&str, char)| Key::parse(id, &digit.to_string().repeat(64)).unwrap();
    Arc::new(Sealer::new(&Encryption::Keys(keys.iter().map(key).collect()), Path::new("")))
}

fn on(source: &Arc<Hooked>) -> SigningKeys {
    SigningKeys::new("keys", source.clone(), sealer(&[("k", 'a')]))
}

async fn signed(store: &SigningKeys, now: u64) -> String {
    store.sign(ES, "JWT", json!({ "iss": "us" }), now + 3_600, now).await.unwrap()
}

fn verified(token: &str, keys: &KeySet) -> Option<Claims> {
    Jws::parse(token).unwrap().verify(keys, &[ES]).ok()
}

fn schedule() -> Schedule {
    Schedule { algorithms: vec![ES], rotate: 30 * 86_400, publish: 86_400 }
}

#[tokio::test]
async fn whoever_comes_first_makes_the_key_and_all_use_it() {
    let source = Arc::new(Hooked::default());
    let nodes: Vec<SigningKeys> = (0..8).map(|_| on(&source)).collect();
    let tokens = join_all(nodes.iter().map(|node| signed(node, NOW))).await;
    let kept = nodes[0].list().await.unwrap();
    assert_eq!(kept.iter().map(|key| key.kid.as_str()).collect::<Vec<_>>(), ["es256-20261128T190500Z"]);
    assert_eq!((kept[0].active_from, kept[0].created_at, kept[0].longest), (NOW - 25, NOW, 3_600));
    for node in &nodes {
        let published = node.published(&[ES], NOW).await.unwrap();
        assert_eq!(published.keys().len(), 1);
        for token in &tokens {
            assert_eq!(verified(token, &published).unwrap().text("iss"), Some("us"));
        }
    }
    // Kept is no clear text of the key.
    assert!(kept[0].private.starts_with("sealed:1:k:"), "{}", kept[0].private);
}

#[tokio::test]
async fn each_algorithm_has_its_own_key() {
    let store = on(&Arc::default());
    for algorithm in Algorithm::SIGNING {
        let token = store.sign(algorithm, "JWT", json!({}), NOW + 1, NOW).await.unwrap();
        let keys = store.published(&Algorithm::SIGNING, NOW).await.unwrap();
        assert!(Jws::parse(&token).unwrap().verify(&keys, &[algorithm]).is_ok(), "{algorithm}");
    }
    assert_eq!(store.list().await.unwrap().len(), 3);
    let refused = store.sign(Algorithm::Hs256, "JWT", json!({}), NOW + 1, NOW).await;
    assert!(matches!(refused, Err(StoreError::Broken(_))), "{refused:?}");
}

#[tokio::test]
async fn a_rotation_loses_no_token() {
    let source = Arc::new(Hooked::default());
    let (one, two) = (on(&source), on(&source));
    let old = signed(&one, NOW).await;
    let start = NOW - 25;
    // A day before its end, the next key is published; both nodes keep the schedule, and it is made once.
    let soon = start + 29 * 86_400;
    let steps = join_all([one.keep_schedule(&schedule(), soon), two.keep_schedule(&schedule(), soon)]).await;
    assert_eq!(steps.iter().map(|steps| steps.as_ref().unwrap().len()).sum::<usize>(), 1, "{steps:?}");
    let both = one.published(&[ES], soon).await.unwrap();
    assert_eq!(
        both.keys().iter().filter_map(Jwk::kid).collect::<Vec<_>>(),
        ["es256-20261128T190500Z", "es256-20261228T190500Z"]
    );
    assert!(verified(&old, &both).is_some());
    let kid = |token: &str| Jws::parse(token).unwrap().kid().unwrap().to_owned();
    assert_eq!(kid(&signed(&two, soon).await), "es256-20261128T190500Z");

    let turned = start + 30 * 86_400;
    let new = signed(&two, turned).await;
    assert_eq!(kid(&new), "es256-20261228T190500Z");
    assert!(verified(&new, &both).is_some(), "what was read a day ago knows it");
    one.keep_schedule(&schedule(), turned).await.unwrap();
    // What the old key signed last lives for an hour, and it is published until then.
    let published = |at| async move { on(&source.clone()).published(&[ES], at).await.unwrap() };
    let published = &published;
    let keys = published.clone()(turned + 3_600).await;
    assert_eq!(
        keys.keys().iter().filter_map(Jwk::kid).next(),
        Some("es256-20261228T190500Z"),
        "the one that signs is first"
    );
    assert!(verified(&old, &keys).is_some() && verified(&new, &keys).is_some());
}

#[tokio::test]
async fn a_retired_key_goes_when_its_tokens_are_gone() {
    let source = Arc::new(Hooked::default());
    let store = on(&source);
    let old = signed(&store, NOW).await;
    let kid = store.list().await.unwrap()[0].kid.clone();
    assert!(store.retire(&kid, false, NOW + 100).await.unwrap().is_some());
    assert_eq!(store.retire(&kid, false, NOW + 200).await.unwrap(), None, "it is done once");
    assert_eq!(store.retire("nobody", false, NOW).await.unwrap(), None);
    let new = signed(&store, NOW + 100).await;
    assert!(verified(&new, &store.published(&[], NOW + 100).await.unwrap()).is_some());
    let last = NOW + 100 + 3_600 + MARGIN;
    assert!(verified(&old, &store.published(&[], last - 1).await.unwrap()).is_some());
    assert!(verified(&old, &store.published(&[], last).await.unwrap()).is_none());
    assert_eq!(source.sweep(&SIGNING_KEY, seconds(last) + 1, 10).await, Ok(1));
}

#[tokio::test]
async fn a_withdrawn_key_is_no_key_at_once_and_another_one_signs() {
    let store = on(&Arc::default());
    let old = signed(&store, NOW).await;
    let kid = store.list().await.unwrap()[0].kid.clone();
    store.retire(&kid, true, NOW).await.unwrap();
    let keys = store.published(&[ES], NOW).await.unwrap();
    assert!(verified(&old, &keys).is_none());
    assert_eq!(keys.keys().iter().filter_map(Jwk::kid).collect::<Vec<_>>(), ["es256-20261128T190525Z"]);
    assert!(verified(&signed(&store, NOW).await, &keys).is_some());
}

#[tokio::test]
async fn a_key_made_by_hand_signs_when_all_know_it() {
    let store = on(&Arc::default());
    signed(&store, NOW).await;
    let made = store.rotate(ES, 0, NOW).await.unwrap();
    assert_eq!(made.active_from, NOW + KNOWN_AFTER);
    assert_eq!(store.rotate(ES, 0, NOW).await.unwrap(), made, "of two at once, one is made");
    let kid = |token: String| Jws::parse(&token).unwrap().kid().unwrap().to_owned();
    assert_ne!(kid(signed(&store, NOW + KNOWN_AFTER - 1).await), made.kid);
    assert_eq!(kid(signed(&store, NOW + KNOWN_AFTER).await), made.kid);
}

/// The source is asked at most every few seconds; what cannot be read anew signs nothing and is not published.
#[tokio::test(start_paused = true)]
async fn what_was_read_is_believed_for_seconds_and_no_longer() {
    let (down, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let refuse = {
        let (down, reads) = (down.clone(), reads.clone());
        move || -> crate::source::Verb<'static, ()> {
            reads.fetch_add(1, Ordering::Relaxed);
            let down = down.load(Ordering::Relaxed);
            Box::pin(async move { if down { Err(StoreError::Unavailable("down".into())) } else { Ok(()) } })
        }
    };
    let source = Arc::new(Hooked { refuse: Box::new(refuse), ..Hooked::default() });
    let store = on(&source);
    signed(&store, NOW).await;
    signed(&store, NOW).await;
    let before = reads.load(Ordering::Relaxed);
    for _ in 0..100 {
        signed(&store, NOW).await;
        store.published(&[ES], NOW).await.unwrap();
    }
    assert_eq!(reads.load(Ordering::Relaxed), before);
    down.store(true, Ordering::Relaxed);
    tokio::time::advance(FRESH).await;
    signed(&store, NOW).await;
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(matches!(store.sign(ES, "JWT", json!({}), NOW + 1, NOW).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.published(&[], NOW).await, Err(StoreError::Unavailable(_))));
    down.store(false, Ordering::Relaxed);
    signed(&store, NOW).await;
    // Whatever many ask for at once is read once.
    tokio::time::advance(FRESH * 2).await;
    let before = reads.load(Ordering::Relaxed);
    join_all((0..50).map(|_| signed(&store, NOW))).await;
    assert_eq!(reads.load(Ordering::Relaxed), before + 1);
}

#[tokio::test]
async fn a_node_without_the_sealing_key_publishes_and_signs_nothing() {
    let source = Arc::new(Hooked::default());
    let (with, without) = (on(&source), SigningKeys::new("keys", source.clone(), sealer(&[("other", 'b')])));
    let token = signed(&with, NOW).await;
    assert!(verified(&token, &without.published(&[ES], NOW).await.unwrap()).is_some());
    let refused = without.sign(ES, "JWT", json!({}), NOW + 1, NOW).await;
    assert!(
        matches!(&refused, Err(StoreError::Broken(why)) if why.contains("which this node does not have")),
        "{refused:?}"
    );
    // A key that was moved to another row, or swapped for another one, signs nothing.
    let mut rows = source.list(&SIGNING_KEY, None, 10).await.unwrap();
    let mut row = rows.remove(0);
    let mut record: SigningKey = decode(&SIGNING_KEY, &row).unwrap();
    record.public = PrivateKey::generate(ES).unwrap().public(&record.kid).to_json();
    row.record = encode(&SIGNING_KEY, &record).unwrap();
    assert!(source.replace(&SIGNING_KEY, row.clone(), row.version).await.unwrap());
    let refused = on(&source).sign(ES, "JWT", json!({}), NOW + 1, NOW).await;
    assert!(matches!(&refused, Err(StoreError::Broken(why)) if why.contains("damaged")), "{refused:?}");
}

#[tokio::test]
async fn keys_are_sealed_anew() {
    let source = Arc::new(Hooked::default());
    let token = signed(&on(&source), NOW).await;
    let turned = SigningKeys::new("keys", source.clone(), sealer(&[("new", 'b'), ("k", 'a')]));
    let done = |sealed| Ok(Resealed { records: 1, sealed, refused: Vec::new() });
    assert_eq!(turned.reencrypt().await, done(1));
    assert_eq!(turned.reencrypt().await, done(0));
    let last = SigningKeys::new("keys", source.clone(), sealer(&[("new", 'b')]));
    assert!(verified(&token, &last.published(&[ES], NOW).await.unwrap()).is_some());
    signed(&last, NOW).await;
    let stranger = SigningKeys::new("keys", source.clone(), sealer(&[("other", 'c')]));
    let refused = stranger.reencrypt().await.unwrap().refused;
    assert_eq!(refused.len(), 1);
    assert!(refused[0].1.why().contains("`new`"), "{refused:?}");
}
