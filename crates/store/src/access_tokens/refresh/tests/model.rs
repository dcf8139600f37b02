//! Redeem, rotate and revoke by several nodes at once, in all orders that `shuttle` comes to: whatever the order of their steps, one wins,
//! and at most one family lives.

use shuttle::future::{block_on, spawn, yield_now};
use shuttle::sync::Mutex;

use super::*;

/// Orders that are tried of each model.
const ORDERS: usize = 3_000;

/// A source in which another task may go on before each step.
fn source() -> Arc<dyn DataSource> {
    let step = || -> crate::testing::Hook { Box::new(|_| Box::pin(yield_now())) };
    Arc::new(Hooked {
        before_get: step(),
        after_get: step(),
        before_replace: step(),
        before_insert: step(),
        ..Default::default()
    })
}

/// A node: a store of its own over the shared source.
fn node(source: &Arc<dyn DataSource>) -> AccessTokens {
    AccessTokens::new(source.clone())
}

/// What each of several callers was answered.
type Answers = Arc<Mutex<Vec<Tokens>>>;

/// What the token endpoint does with a code.
async fn redeem(source: Arc<dyn DataSource>, code: Token, number: u8, answers: Answers) {
    let (store, codes) = (node(&source), AuthzCodes::new(source));
    let found = codes.find(code.expose(), NOW).await.unwrap().unwrap();
    let tokens = tokens(number);
    if store.redeem(&codes, &found, &grant(), &tokens, NOW).await.unwrap() {
        answers.lock().unwrap().push(tokens);
    }
}

/// What the token endpoint does with a refresh token.
async fn refresh(source: Arc<dyn DataSource>, first: Tokens, number: u8, grace: u64, answers: Answers) {
    let store = node(&source);
    let issued = tokens(number);
    loop {
        let presented = store.present(text(&first), &ClientId::new("app"), grace, NOW).await.unwrap();
        let Some(presented) = presented else { return };
        if let Some(again) = presented.again {
            store.complete(&again).await.unwrap();
            answers.lock().unwrap().push(again);
            return;
        }
        if let Rotated::Won = store.rotate(&presented, &issued, NOW).await.unwrap() {
            answers.lock().unwrap().push(issued);
            return;
        }
    }
}

/// A grant that has begun, and so many who use its refresh token at once, with tokens of these numbers: the source, and the answers.
async fn refreshed(numbers: std::ops::RangeInclusive<u8>, grace: u64) -> (Arc<dyn DataSource>, Vec<Tokens>) {
    let source = source();
    let first = tokens(1);
    node(&source).begin(&id(), &grant(), EpochsThen::default(), &first).await.unwrap();
    let answers = Answers::default();
    let all: Vec<_> =
        numbers.map(|n| spawn(refresh(source.clone(), first.clone(), n, grace, answers.clone()))).collect();
    for one in all {
        one.await.unwrap();
    }
    let answers = answers.lock().unwrap().clone();
    (source, answers)
}

/// D8: of three who come with one code at most one is answered, and once a second one came nothing that was given lives.
#[test]
fn a_code_gives_once_and_a_replay_takes_it_back() {
    let model = || {
        block_on(async {
            let source = source();
            let code = code(&AuthzCodes::new(source.clone())).await;
            let answers = Answers::default();
            let all: Vec<_> =
                (1..=3).map(|n| spawn(redeem(source.clone(), code.clone(), n, answers.clone()))).collect();
            for one in all {
                one.await.unwrap();
            }
            assert!(answers.lock().unwrap().len() <= 1, "a code was answered twice");
            for number in 1..=3 {
                assert!(
                    !is_good(&node(&source), &tokens(number)).await,
                    "a code that was used again gave a live token"
                );
            }
        });
    };
    shuttle::check_random(model, ORDERS);
}

/// D45: without a grace, of two with one refresh token at most one is answered, and nothing lives afterwards.
#[test]
fn a_refresh_token_that_is_used_twice_ends_the_family() {
    let model = || {
        block_on(async {
            let (source, answers) = refreshed(2..=3, 0).await;
            assert!(answers.len() <= 1, "a refresh token was answered twice");
            for number in 1..=3 {
                assert!(!is_good(&node(&source), &tokens(number)).await, "the family lives on");
            }
        });
    };
    shuttle::check_random(model, ORDERS);
}

/// Within the grace all are answered the same, which is kept and good.
#[test]
fn within_the_grace_all_who_ask_at_once_get_the_same() {
    let model = || {
        block_on(async {
            let (source, answers) = refreshed(2..=4, 30).await;
            assert_eq!(answers.len(), 3);
            assert!(answers.iter().all(|tokens| text(tokens) == text(&answers[0])), "two families live");
            assert!(is_good(&node(&source), &answers[0]).await);
        });
    };
    shuttle::check_random(model, ORDERS);
}

/// A grant that is revoked while its code is redeemed, or its refresh token rotated, gives nothing that lives.
#[test]
fn what_is_revoked_meanwhile_does_not_live() {
    let model = || {
        block_on(async {
            let source = source();
            let code = code(&AuthzCodes::new(source.clone())).await;
            let answers = Answers::default();
            let redeeming = spawn(redeem(source.clone(), code, 1, answers.clone()));
            let refreshing = spawn(refresh(source.clone(), tokens(1), 2, 30, answers.clone()));
            let revoking = {
                let store = node(&source);
                spawn(async move { store.revoke_grant(&id(), NOW).await.unwrap() })
            };
            redeeming.await.unwrap();
            refreshing.await.unwrap();
            revoking.await.unwrap();
            for number in 1..=2 {
                assert!(!is_good(&node(&source), &tokens(number)).await, "a revoked grant gave a live token");
            }
        });
    };
    shuttle::check_random(model, ORDERS);
}
