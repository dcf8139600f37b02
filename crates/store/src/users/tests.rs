use std::path::Path;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};

use oauth::credential::hash_generated;

use super::*;
use crate::source::BoxFuture;
use crate::sources::file::{Contents, File};
use crate::testing::Hooked;

const NOW: u64 = 1_800_000_000;
const FAILURES: u32 = Lockout::DEFAULT.tries;
const WINDOW: u64 = Lockout::DEFAULT.within;
const LOCKED: u64 = Lockout::DEFAULT.lasts;

fn secret(text: &str) -> Secret {
    Secret::new(text.into())
}

fn user(name: &str, password: Option<String>) -> User {
    User { name: name.into(), enabled: true, password, claims: Map::new(), created_at: NOW }
}

/// Ann, whose password is `right`, by a hash that is fast to check.
fn ann() -> User {
    user("ann", Some(hash_generated(&secret("right"))))
}

/// Two nodes over one source.
async fn nodes(users: &[User]) -> (Users, Users) {
    let source = Arc::new(Hooked::default());
    let store = Users::new(source.clone());
    for user in users {
        assert_eq!(store.add(user).await, Ok(true));
    }
    (store, Users::new(source))
}

async fn tries(store: &Users, name: &str, password: &str, now: u64) -> Proof {
    store.authenticate(name, &secret(password), Lockout::DEFAULT, now).await.unwrap()
}

fn is_right(proof: &Proof) -> bool {
    matches!(proof, Proof::Right(_))
}

#[tokio::test]
async fn only_an_enabled_user_with_the_right_password_is_let_in() {
    let ann = user("ann", Some(hash_chosen(&secret("right")).await.unwrap()));
    let (store, other) = nodes(&[ann.clone(), user("guest", None)]).await;
    assert_eq!(tries(&store, "ann", "right", NOW).await, Proof::Right(Box::new(ann)));
    for (name, password) in [
        ("ann", "wrong"),
        ("ann", ""),
        ("Ann", "right"),
        ("nobody", "right"),
        ("guest", ""),
        ("", "right"),
        ("ann ", "right"),
    ] {
        assert_eq!(tries(&store, name, password, NOW).await, Proof::Wrong, "{name} {password}");
    }
    // Also the node that remembers the password.
    other.update("ann", |user| user.enabled = false).await.unwrap();
    assert_eq!(tries(&store, "ann", "right", NOW).await, Proof::Wrong);
    other.update("ann", |user| user.enabled = true).await.unwrap();
    let another = hash_chosen(&secret("another")).await.unwrap();
    other.update("ann", |user| user.password = Some(another.clone())).await.unwrap();
    assert_eq!(tries(&store, "ann", "right", NOW).await, Proof::Wrong);
    assert!(is_right(&tries(&store, "ann", "another", NOW).await));
}

#[tokio::test]
async fn after_so_many_failures_on_any_node_nobody_gets_in_for_a_while() {
    let (store, other) = nodes(&[ann()]).await;
    for round in 1..FAILURES {
        let node = if round % 2 == 0 { &store } else { &other };
        assert_eq!(tries(node, "ann", "wrong", NOW).await, Proof::Wrong, "{round}");
    }
    let until = NOW + 1 + LOCKED;
    assert_eq!(tries(&store, "ann", "wrong", NOW + 1).await, Proof::Locked(until));
    for node in [&store, &other] {
        assert_eq!(tries(node, "ann", "right", NOW + 2).await, Proof::Locked(until), "the right one neither");
        assert_eq!(
            tries(node, "ann", "wrong", until - 1).await,
            Proof::Locked(until),
            "and it gets no longer by trying"
        );
        assert_eq!(node.locked_until("ann", until - 1).await, Ok(Some(until)));
    }
    assert_eq!(tries(&other, "ann", "wrong", until).await, Proof::Wrong, "it begins anew");
    assert!(is_right(&tries(&other, "ann", "right", until).await));
}

#[tokio::test]
async fn what_is_known_by_heart_does_not_open_what_is_locked() {
    let (store, other) = nodes(&[ann()]).await;
    assert!(is_right(&tries(&store, "ann", "right", NOW).await));
    for _ in 0..FAILURES {
        tries(&other, "ann", "wrong", NOW).await;
    }
    assert_eq!(tries(&store, "ann", "right", NOW).await, Proof::Locked(NOW + LOCKED));
}

#[tokio::test]
async fn a_name_that_nobody_has_is_locked_like_one_that_somebody_has() {
    let (store, _) = nodes(&[ann()]).await;
    for name in ["ann", "nobody", "", "a name\nthat nobody can have"] {
        for _ in 1..FAILURES {
            assert_eq!(tries(&store, name, "wrong", NOW).await, Proof::Wrong, "{name}");
        }
        assert_eq!(tries(&store, name, "wrong", NOW).await, Proof::Locked(NOW + LOCKED), "{name}");
    }
    let rows = store.source().list(&USER_ACCOUNT, None, 99).await.unwrap();
    assert!(
        rows.iter().filter(|row| !Users::is_user(row)).all(|row| row.expires_at.is_some()),
        "they go by themselves"
    );
    assert!(!format!("{rows:?}").contains("nobody"), "what was typed is kept");
    assert_eq!(store.list(None, 9).await.unwrap(), [ann()], "a count is no user");
}

#[tokio::test]
async fn failures_of_long_ago_and_those_before_a_right_password_do_not_count() {
    let (store, other) = nodes(&[ann()]).await;
    for now in [NOW, NOW + WINDOW] {
        for _ in 1..FAILURES {
            assert_eq!(tries(&store, "ann", "wrong", now).await, Proof::Wrong);
        }
    }
    assert!(is_right(&tries(&other, "ann", "right", NOW + WINDOW).await));
    for _ in 1..FAILURES {
        assert_eq!(tries(&store, "ann", "wrong", NOW + WINDOW).await, Proof::Wrong);
    }
}

#[tokio::test]
async fn an_operator_unlocks() {
    let (store, other) = nodes(&[ann()]).await;
    for _ in 0..FAILURES {
        tries(&store, "ann", "wrong", NOW).await;
    }
    assert_eq!(other.unlock("ann").await, Ok(true));
    assert_eq!(other.unlock("ann").await, Ok(false));
    assert!(is_right(&tries(&store, "ann", "right", NOW).await));
}

#[tokio::test]
async fn failures_at_once_are_all_counted() {
    let (store, other) = nodes(&[ann()]).await;
    let (store, other) = (Arc::new(store), Arc::new(other));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..FAILURES {
        let node = if number % 2 == 0 { store.clone() } else { other.clone() };
        tasks.spawn(async move { tries(&node, "ann", &format!("wrong {number}"), NOW).await });
    }
    assert!(tasks.join_all().await.iter().all(|proof| *proof == Proof::Wrong));
    assert_eq!(tries(&store, "ann", "wrong", NOW).await, Proof::Locked(NOW + LOCKED), "the last one that was left");
}

#[tokio::test]
async fn a_right_password_that_was_being_checked_while_the_name_was_locked_is_refused() {
    // Others lock the name before the third read: the first two are of the count and of the user.
    let source = Arc::new_cyclic(|source: &Weak<Hooked>| {
        let (source, reads) = (source.clone(), AtomicU64::new(0));
        let before_get = move |_: &'static _| -> BoxFuture<'static, ()> {
            let (source, third) = (source.upgrade().unwrap(), reads.fetch_add(1, Ordering::Relaxed) == 2);
            Box::pin(async move {
                let others = Failures::new(source);
                for _ in 0..if third { FAILURES } else { 0 } {
                    others.count("ann", Lockout::DEFAULT, NOW).await.unwrap();
                }
            })
        };
        Hooked { before_get: Box::new(before_get), ..Default::default() }
    });
    let store = Users::new(source);
    store.add(&ann()).await.unwrap();
    assert_eq!(tries(&store, "ann", "right", NOW).await, Proof::Locked(NOW + LOCKED));
}

#[tokio::test]
async fn a_weak_hash_gets_stronger_with_the_first_log_in() {
    let weak = argon2::Argon2::new(
        argon2::Algorithm::Argon2id,
        argon2::Version::V0x13,
        argon2::Params::new(1_024, 1, 1, None).unwrap(),
    );
    let weak = argon2::password_hash::PasswordHasher::hash_password(&weak, b"right").unwrap().to_string();
    let (store, _) = nodes(&[user("ann", Some(weak.clone()))]).await;
    assert_eq!(tries(&store, "ann", "wrong", NOW).await, Proof::Wrong);
    let kept = async || store.get("ann").await.unwrap().unwrap().password.unwrap();
    assert_eq!(kept().await, weak);
    assert!(is_right(&tries(&store, "ann", "right", NOW).await));
    let strong = kept().await;
    assert!(strong != weak && !is_outdated(&strong), "{strong}");
    assert!(is_right(&tries(&store, "ann", "right", NOW).await));
    assert_eq!(kept().await, strong, "once");
}

#[tokio::test]
async fn users_of_a_file_are_counted_by_each_node() {
    let rows = vec![(&USER_ACCOUNT, Users::row(&ann()).unwrap())];
    let store = Users::new(Arc::new(File::new(Path::new("users.toml"), &Contents(rows.clone()))));
    let other = Users::new(Arc::new(File::new(Path::new("users.toml"), &Contents(rows))));
    assert!(is_right(&tries(&store, "ann", "right", NOW).await));
    for _ in 0..FAILURES {
        tries(&store, "ann", "wrong", NOW).await;
    }
    assert_eq!(tries(&store, "ann", "right", NOW).await, Proof::Locked(NOW + LOCKED));
    assert!(is_right(&tries(&other, "ann", "right", NOW).await));
    // What no longer counts is not kept for ever.
    for number in 0..300 {
        store.failures.count(&format!("{number}"), Lockout::DEFAULT, NOW + number * 2 * WINDOW).await.unwrap();
    }
    assert!(store.failures.kept().await < 10);
}

#[tokio::test]
async fn users_are_added_once_listed_in_order_changed_and_deleted() {
    let (store, other) = nodes(&[user("bob", None), ann()]).await;
    assert_eq!(other.add(&user("ann", None)).await, Ok(false));
    assert!(matches!(store.add(&user("no name", None)).await, Err(StoreError::Broken(_))));
    let names = async |after, limit| -> Vec<String> {
        store.list(after, limit).await.unwrap().into_iter().map(|user| user.name).collect()
    };
    assert_eq!(names(None, 9).await, ["ann", "bob"]);
    assert_eq!(names(None, 1).await, ["ann"]);
    assert_eq!(names(Some("ann"), 9).await, ["bob"]);
    let change = |user: &mut User| {
        user.name = "eve".into();
        user.claims.insert("email".into(), "ann@example.com".into());
    };
    let changed = store.update("ann", change).await.unwrap().unwrap();
    assert_eq!((changed.name.as_str(), changed.claims["email"].as_str()), ("ann", Some("ann@example.com")));
    assert_eq!(other.get("ann").await, Ok(Some(changed)));
    assert_eq!(store.update("nobody", |_| ()).await, Ok(None));
    assert_eq!((store.delete("ann").await, other.delete("ann").await), (Ok(true), Ok(false)));
    assert_eq!(other.get("ann").await, Ok(None));
}

#[tokio::test]
async fn a_record_that_is_another_s_is_nobody_s() {
    let (store, _) = nodes(&[ann()]).await;
    let row = Row { key: b"eve".to_vec(), ..Users::row(&ann()).unwrap() };
    store.source().insert(&USER_ACCOUNT, row).await.unwrap();
    assert!(matches!(
        store.authenticate("eve", &secret("right"), Lockout::DEFAULT, NOW).await,
        Err(StoreError::Broken(_))
    ));
}

#[tokio::test]
async fn who_presents_one_password_all_the_time_pays_for_one_check() {
    let slow = hash_chosen(&secret("right")).await.unwrap();
    let (store, _) = nodes(&[user("ann", Some(slow))]).await;
    let store = Arc::new(store);
    let mut tasks = tokio::task::JoinSet::new();
    // More than the lane has places for.
    for _ in 0..100 {
        let store = store.clone();
        tasks.spawn(async move { store.authenticate("ann", &secret("right"), Lockout::DEFAULT, NOW).await });
    }
    assert!(tasks.join_all().await.iter().all(|proof| proof.as_ref().is_ok_and(is_right)));
}

#[tokio::test]
async fn all_who_are_refused_cost_the_same_reads_and_writes() {
    let (reads, writes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counting = |counter: &Arc<AtomicU64>| {
        let counter = counter.clone();
        move |_: &'static crate::source::Table| -> BoxFuture<'static, ()> {
            counter.fetch_add(1, Ordering::Relaxed);
            Box::pin(async {})
        }
    };
    let source = Arc::new(Hooked {
        before_get: Box::new(counting(&reads)),
        before_insert: Box::new(counting(&writes)),
        before_replace: Box::new(counting(&writes)),
        ..Default::default()
    });
    let store = Users::new(source);
    let slow = hash_chosen(&secret("right")).await.unwrap();
    store.add(&user("slow", Some(slow.clone()))).await.unwrap();
    store.add(&User { enabled: false, ..user("disabled", Some(slow)) }).await.unwrap();
    store.add(&user("fast", ann().password)).await.unwrap();
    store.add(&user("none", None)).await.unwrap();
    for name in ["slow", "disabled", "fast", "none", "nobody"] {
        for _ in 0..2 {
            reads.store(0, Ordering::Relaxed);
            writes.store(0, Ordering::Relaxed);
            let before = crate::lane::worked();
            assert_eq!(tries(&store, name, "wrong", NOW).await, Proof::Wrong);
            assert_eq!(crate::lane::worked() - before, 1, "the slow work of {name}");
            assert_eq!((reads.load(Ordering::Relaxed), writes.load(Ordering::Relaxed)), (3, 1), "{name}");
        }
    }
}

#[tokio::test]
async fn how_many_and_for_how_long_is_a_setting() {
    let (store, _) = nodes(&[ann()]).await;
    let lockout = Lockout { tries: 3, within: 60, lasts: 3_600 };
    let tries =
        async |password: &str, now: u64| store.authenticate("ann", &secret(password), lockout, now).await.unwrap();
    for now in [NOW, NOW + 59, NOW + 60, NOW + 61] {
        assert_eq!(tries("wrong", now).await, Proof::Wrong, "the first ones count no more");
    }
    assert_eq!(tries("wrong", NOW + 62).await, Proof::Locked(NOW + 62 + 3_600));
    assert_eq!(tries("right", NOW + 62 + 3_599).await, Proof::Locked(NOW + 62 + 3_600));
    assert!(is_right(&tries("right", NOW + 62 + 3_600).await));
}

/// D84. The counts of both nodes are one, and another user's is another.
#[tokio::test]
async fn rfc8628_5_1_a_user_types_so_many_codes_in_so_long_a_time() {
    let (here, there) = nodes(&[ann()]).await;
    let limit = Lockout { tries: 5, within: 600, lasts: 600 };
    for (at, store) in [&here, &there, &here, &there, &here].into_iter().enumerate() {
        assert_eq!(store.typed_code("ann", limit, NOW + at as u64 * 599).await, Ok(None));
    }
    let sixth = NOW + 5 * 599;
    assert_eq!(there.typed_code("ann", limit, sixth).await, Ok(Some(sixth + 600)));
    assert_eq!(here.typed_code("ann", limit, sixth + 599).await, Ok(Some(sixth + 600)), "it is not prolonged");
    assert_eq!(here.typed_code("eve", limit, sixth).await, Ok(None));
    assert!(is_right(&tries(&here, "ann", "right", sixth).await), "it is no wrong password");
    for at in [600, 1_199] {
        assert_eq!(here.typed_code("ann", limit, sixth + at).await, Ok(None));
    }
}
