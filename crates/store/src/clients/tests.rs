use std::path::Path;
use std::time::Duration;

use oauth::Scopes;
use oauth::credential::{client_secret, hash_generated};
use tokio::time::advance;

use super::*;
use crate::seal::{Encryption, Key};
use crate::sources::memory::Memory;
use crate::testing::{Gate, Hooked};

const NOW: u64 = 1_800_000_000;

fn client(id: &str, hashes: &[&str]) -> Client {
    Client {
        client_name: Some("An app".into()),
        grant_types: vec!["client_credentials".into()],
        scope: Scopes::parse("a b").unwrap(),
        secrets: hashes.iter().map(|hash| hashed(hash)).collect(),
        created_at: 1_800_000_000,
        ..Client::new(ClientId::new(id))
    }
}

fn hashed(hash: &str) -> ClientSecret {
    ClientSecret::hashed(hash.to_owned())
}

/// Keys of these digits; the first one seals.
fn sealer(digits: &[&str]) -> Arc<Sealer> {
    let key = |digit: &&str| Key::parse(digit, &digit.repeat(64)).unwrap();
    Arc::new(Sealer::new(&Encryption::Keys(digits.iter().map(key).collect()), Path::new("")))
}

fn id(text: &str) -> ClientId {
    ClientId::new(text)
}

fn chosen(text: &str) -> Secret {
    Secret::new(text.into())
}

/// Two nodes over one source.
fn nodes() -> (Clients, Clients) {
    let source: Arc<dyn DataSource> = Arc::new(Memory::new());
    (Clients::new(source.clone(), sealer(&["a"])), Clients::new(source, sealer(&["a"])))
}

#[tokio::test]
async fn a_client_is_added_once_and_comes_back() {
    let (here, there) = nodes();
    let app = client("app", &["sha256:x"]);
    assert_eq!(here.add(&app).await, Ok(true));
    assert_eq!(there.add(&client("app", &[])).await, Ok(false));
    assert_eq!(here.get(&id("app")).await.unwrap().as_deref(), Some(&app));
    assert_eq!(here.get(&id("ap")).await, Ok(None));
}

#[tokio::test]
async fn a_miss_is_not_remembered() {
    let (here, there) = nodes();
    assert_eq!(here.get(&id("app")).await, Ok(None));
    there.add(&client("app", &[])).await.unwrap();
    assert!(here.get(&id("app")).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_another_node_changed_is_honoured_within_a_second() {
    let (here, there) = nodes();
    here.add(&client("app", &[])).await.unwrap();
    let enabled = || async { here.get(&id("app")).await.unwrap().map(|client| client.enabled) };
    assert_eq!(enabled().await, Some(true));
    there.update(&id("app"), |client| client.enabled = false).await.unwrap();
    advance(FRESH).await;
    assert_eq!(enabled().await, Some(true), "remembered for a second");
    advance(Duration::from_millis(1)).await;
    assert_eq!(enabled().await, Some(false));
    there.delete(&id("app")).await.unwrap();
    advance(FRESH).await;
    assert_eq!(enabled().await, Some(false));
    advance(Duration::from_millis(1)).await;
    assert_eq!(enabled().await, None);
    assert_eq!(enabled().await, None, "and what was remembered is forgotten");
}

/// A source that answers slowly: what it says is as old as the question.
#[tokio::test(start_paused = true)]
async fn the_age_counts_from_the_question() {
    let memory = Hooked { after_get: Box::new(|_| Box::pin(tokio::time::sleep(FRESH))), ..Default::default() };
    let source: Arc<dyn DataSource> = Arc::new(memory);
    let (here, there) = (Clients::new(source.clone(), sealer(&["a"])), Clients::new(source, sealer(&["a"])));
    here.add(&client("app", &[])).await.unwrap();
    assert!(here.get(&id("app")).await.unwrap().unwrap().enabled);
    there.update(&id("app"), |client| client.enabled = false).await.unwrap();
    assert!(!here.get(&id("app")).await.unwrap().unwrap().enabled);
}

#[tokio::test]
async fn what_this_node_wrote_it_knows_at_once() {
    let (here, _) = nodes();
    here.add(&client("app", &[])).await.unwrap();
    assert!(here.get(&id("app")).await.unwrap().unwrap().enabled);
    here.update(&id("app"), |client| client.enabled = false).await.unwrap();
    assert!(!here.get(&id("app")).await.unwrap().unwrap().enabled);
    assert_eq!(here.delete(&id("app")).await, Ok(true));
    assert_eq!(here.get(&id("app")).await, Ok(None));
    assert_eq!(here.delete(&id("app")).await, Ok(false));
    assert_eq!(here.update(&id("app"), |_| ()).await, Ok(None));
}

/// A request has read the client, and has its answer only after this node changed it.
#[tokio::test]
async fn a_read_that_began_before_a_write_is_not_remembered() {
    let gate = Gate::new();
    let here = Clients::new(Arc::new(Hooked { after_get: gate.hook(&CLIENT), ..Default::default() }), sealer(&["a"]));
    here.add(&client("app", &[])).await.unwrap();
    let closed = gate.close().await;
    let app = id("app");
    let mut early = Box::pin(here.get(&app));
    let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(early.as_mut().poll(cx).is_pending())).await;
    assert!(waits, "it has read, and waits for the answer");
    assert_eq!(here.delete(&app).await, Ok(true));
    drop(closed);
    assert!(early.await.unwrap().is_some(), "as it was when it was read");
    assert_eq!(here.get(&app).await, Ok(None), "what the early read found was remembered");
}

#[tokio::test]
async fn an_update_keeps_the_id_and_loses_no_other_update() {
    let here = Arc::new(nodes().0);
    here.add(&client("app", &[])).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..20 {
        let here = here.clone();
        tasks.spawn(async move { here.update(&id("app"), |c| c.grant_types.push(format!("g{number}"))).await });
    }
    assert!(tasks.join_all().await.iter().all(Result::is_ok));
    let changed = here.update(&id("app"), |client| client.client_id = id("other")).await.unwrap().unwrap();
    assert_eq!((changed.client_id.as_str(), changed.grant_types.len()), ("app", 21));
}

#[tokio::test]
async fn clients_are_listed_in_order() {
    let (here, _) = nodes();
    for name in ["c", "a", "b"] {
        here.add(&client(name, &[])).await.unwrap();
    }
    let names = |list: Vec<Client>| list.iter().map(|client| client.client_id.to_string()).collect::<Vec<_>>();
    assert_eq!(names(here.list(None, 2).await.unwrap()), ["a", "b"]);
    assert_eq!(names(here.list(Some(&id("b")), 2).await.unwrap()), ["c"]);
}

#[tokio::test]
async fn a_generated_secret_authenticates() {
    let (here, _) = nodes();
    let (right, wrong) = (client_secret([1; 32]), client_secret([2; 32]));
    here.add(&client("app", &[&hash_generated(&right)])).await.unwrap();
    here.add(&client("public", &[])).await.unwrap();
    let authenticates = |name: &'static str, secret: Secret| {
        let here = &here;
        async move { here.authenticate(&id(name), &secret, NOW).await.unwrap().is_some() }
    };
    assert!(authenticates("app", right.clone()).await);
    for secret in [wrong, chosen(""), chosen(&hash_generated(&right))] {
        assert!(!authenticates("app", secret).await);
    }
    assert!(!authenticates("unknown", right.clone()).await);
    assert!(!authenticates("public", right.clone()).await);
    assert!(!authenticates("public", chosen("")).await);
    here.update(&id("app"), |client| client.enabled = false).await.unwrap();
    assert!(!authenticates("app", right).await, "disabled");
}

#[tokio::test]
async fn a_rotation_keeps_the_old_secret_for_the_stated_time() {
    let (here, _) = nodes();
    let [first, second, third] = [1, 2, 3].map(|seed| client_secret([seed; 32]));
    here.add(&client("app", &[&hash_generated(&first)])).await.unwrap();
    let now = NOW;
    here.rotate(&id("app"), &hashed(&hash_generated(&second)), None, now + 60, now).await.unwrap().unwrap();
    let valid = |at: u64| {
        let (here, secrets) = (&here, [first.clone(), second.clone(), third.clone()]);
        async move {
            let mut valid = Vec::new();
            for secret in &secrets {
                valid.push(here.authenticate(&id("app"), secret, at).await.unwrap().is_some());
            }
            valid
        }
    };
    assert_eq!(valid(now).await, [true, true, false]);
    assert_eq!(valid(now + 59).await, [true, true, false]);
    assert_eq!(valid(now + 60).await, [false, true, false]);
    // A second rotation does not prolong what the first one ended, and drops what has ended.
    here.rotate(&id("app"), &hashed(&hash_generated(&third)), None, now + 3600, now + 30).await.unwrap().unwrap();
    assert_eq!(valid(now + 30).await, [true, true, true]);
    assert_eq!(valid(now + 60).await, [false, true, true]);
    let client = here.rotate(&id("app"), &hashed(&hash_generated(&third)), None, now, now + 61).await.unwrap().unwrap();
    assert_eq!(client.secrets.len(), 1, "with no time to stay, the old ones go at once");
    assert_eq!(here.rotate(&id("none"), &hashed("sha256:x"), None, now, now).await, Ok(None));
}

#[tokio::test]
async fn a_chosen_secret_authenticates_and_is_then_remembered() {
    let (here, _) = nodes();
    let hash = crate::hash_chosen(&chosen("correct horse")).await.unwrap();
    here.add(&client("app", &[&hash])).await.unwrap();
    let right = chosen("correct horse");
    assert!(here.authenticate(&id("app"), &right, NOW).await.unwrap().is_some());
    // So many failures that nothing is checked any more: what is let in now was remembered.
    for _ in 0..10 {
        assert!(here.authenticate(&id("app"), &chosen("wrong"), NOW).await.unwrap().is_none());
    }
    assert_eq!(here.verifier.slow_checks(&id("app")), 10);
    assert!(here.authenticate(&id("app"), &right, NOW).await.unwrap().is_some());
    // Another secret: the pair that was remembered says nothing any more.
    let other = crate::hash_chosen(&chosen("other")).await.unwrap();
    here.rotate(&id("app"), &hashed(&other), None, 0, NOW).await.unwrap();
    assert!(here.authenticate(&id("app"), &right, NOW).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn failures_against_a_slow_hash_are_limited() {
    let (here, _) = nodes();
    let hash = crate::hash_chosen(&chosen("right")).await.unwrap();
    here.add(&client("app", &[&hash])).await.unwrap();
    here.add(&client("other", &[&hash])).await.unwrap();
    let authenticates = |name: &'static str, secret: &'static str| {
        let here = &here;
        async move { here.authenticate(&id(name), &chosen(secret), NOW).await.unwrap().is_some() }
    };
    for _ in 0..9 {
        assert!(!authenticates("app", "wrong").await);
    }
    assert!(authenticates("app", "right").await, "one that is right is no failure");
    assert!(!authenticates("app", "wrong").await);
    here.rotate(&id("app"), &hashed(&crate::hash_chosen(&chosen("new")).await.unwrap()), None, 0, NOW).await.unwrap();
    assert!(!authenticates("app", "new").await, "after ten failures nothing is checked");
    assert!(authenticates("other", "right").await, "others are not concerned");
    advance(Duration::from_secs(60)).await;
    assert!(authenticates("app", "new").await, "the window has passed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_with_the_right_chosen_secret_are_all_right() {
    let here = Arc::new(nodes().0);
    here.add(&client("app", &[&crate::hash_chosen(&chosen("right")).await.unwrap()])).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let here = here.clone();
        tasks.spawn(async move { here.authenticate(&id("app"), &chosen("right"), NOW).await.unwrap().is_some() });
    }
    assert!(tasks.join_all().await.into_iter().all(|right| right));
}

#[tokio::test]
async fn a_right_secret_among_several_is_no_failure() {
    let (here, _) = nodes();
    here.add(&client("app", &[&crate::hash_chosen(&chosen("old")).await.unwrap()])).await.unwrap();
    let new = crate::hash_chosen(&chosen("new")).await.unwrap();
    here.rotate(&id("app"), &hashed(&new), None, NOW + 3600, NOW).await.unwrap();
    for _ in 0..12 {
        assert!(here.authenticate(&id("app"), &chosen("old"), NOW).await.unwrap().is_some());
    }
    assert!(here.authenticate(&id("app"), &chosen("new"), NOW).await.unwrap().is_some());
    // One wrong secret is one failure, however many hashes it was held against.
    for _ in 0..9 {
        assert!(here.authenticate(&id("app"), &chosen("wrong"), NOW).await.unwrap().is_none());
    }
    let third = crate::hash_chosen(&chosen("third")).await.unwrap();
    here.rotate(&id("app"), &hashed(&third), None, NOW + 3600, NOW).await.unwrap();
    assert!(here.authenticate(&id("app"), &chosen("third"), NOW).await.unwrap().is_some());
}

#[tokio::test]
async fn failures_against_a_slow_hash_do_not_stop_a_generated_secret() {
    let (here, _) = nodes();
    let generated = client_secret([1; 32]);
    let hash = crate::hash_chosen(&chosen("right")).await.unwrap();
    here.add(&client("app", &[&hash, &hash_generated(&generated)])).await.unwrap();
    for _ in 0..11 {
        assert!(here.authenticate(&id("app"), &chosen("wrong"), NOW).await.unwrap().is_none());
    }
    assert!(here.authenticate(&id("app"), &generated, NOW).await.unwrap().is_some());
    assert!(here.authenticate(&id("app"), &chosen("right"), NOW).await.unwrap().is_none());
}

/// An unknown client, a disabled one and a wrong secret cost the same reads and the same slow work, whatever hash a client has; what is
/// measured of it is told by tests/timing.
#[tokio::test]
async fn who_is_unknown_costs_as_much_as_who_is_wrong() {
    let (here, _, reads) = counted();
    let generated = hash_generated(&client_secret([1; 32]));
    here.add(&client("generated", &[&generated])).await.unwrap();
    here.add(&Client { enabled: false, ..client("closed", &[&generated]) }).await.unwrap();
    here.add(&client("public", &[])).await.unwrap();
    let refused = async |name: &str| {
        reads();
        let before = crate::lane::worked();
        assert!(here.authenticate(&id(name), &chosen("wrong"), NOW).await.unwrap().is_none());
        (reads(), crate::lane::worked() - before)
    };
    // Where all secrets were generated nothing is slow. Once it was seen that one is not, everybody costs a slow hash, ten times a minute.
    for name in ["generated", "closed", "public", "unknown"] {
        for _ in 0..2 {
            assert_eq!(refused(name).await, (1, 0), "{name}");
        }
    }
    let hash = crate::hash_chosen(&chosen("right")).await.unwrap();
    here.add(&client("app", &[&hash])).await.unwrap();
    here.add(&Client { enabled: false, ..client("disabled", &[&hash]) }).await.unwrap();
    here.get(&id("app")).await.unwrap();
    for name in ["app", "unknown", "disabled", "generated", "closed", "public"] {
        for time in 0..12 {
            assert_eq!(refused(name).await, (1, u64::from(time < 10)), "{name}");
        }
        assert_eq!(here.verifier.slow_checks(&id(name)), 10, "{name}");
    }
    assert!(here.authenticate(&id("disabled"), &chosen("right"), NOW).await.unwrap().is_none());
}

/// A registry whose reads are counted, and another process's over the same source.
fn counted() -> (Clients, Clients, impl Fn() -> usize) {
    let reads = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counting = reads.clone();
    let before_get = move |_| -> crate::source::BoxFuture<'static, ()> {
        counting.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {})
    };
    let source: Arc<dyn DataSource> = Arc::new(Hooked { before_get: Box::new(before_get), ..Default::default() });
    (Clients::new(source.clone(), sealer(&["a"])), Clients::new(source, sealer(&["a"])), move || {
        reads.swap(0, Ordering::Relaxed)
    })
}

#[tokio::test]
async fn a_secret_that_another_process_has_just_given_is_known_at_once() {
    let (here, there, reads) = counted();
    let [first, second] = [1, 2].map(|seed| client_secret([seed; 32]));
    here.add(&client("app", &[&hash_generated(&first)])).await.unwrap();
    assert!(here.authenticate(&id("app"), &first, NOW).await.unwrap().is_some());
    there.rotate(&id("app"), &hashed(&hash_generated(&second)), None, NOW + 60, NOW).await.unwrap();
    reads();
    let found = here.authenticate(&id("app"), &second, NOW).await.unwrap().unwrap();
    assert_eq!((found.secrets.len(), reads()), (2, 1));
    for secret in [&first, &second] {
        assert!(here.authenticate(&id("app"), secret, NOW).await.unwrap().is_some());
    }
    assert_eq!(reads(), 0, "what was read is remembered");
    // The same for a chosen one, for a client that was disabled, and for one that is so by now.
    let hash = crate::hash_chosen(&chosen("third")).await.unwrap();
    there.rotate(&id("app"), &hashed(&hash), None, NOW + 60, NOW).await.unwrap();
    assert!(here.authenticate(&id("app"), &chosen("third"), NOW).await.unwrap().is_some());
    there.update(&id("app"), |client| client.enabled = false).await.unwrap();
    assert!(here.authenticate(&id("app"), &chosen("wrong"), NOW).await.unwrap().is_none());
    there.update(&id("app"), |client| client.enabled = true).await.unwrap();
    assert!(here.authenticate(&id("app"), &chosen("third"), NOW).await.unwrap().is_some());
}

#[tokio::test]
async fn what_was_just_read_is_not_read_again() {
    let (here, _, reads) = counted();
    let secret = client_secret([1; 32]);
    here.add(&client("app", &[&hash_generated(&secret)])).await.unwrap();
    reads();
    for (name, expected) in [("app", 1), ("app", 1), ("unknown", 1), ("unknown", 1)] {
        assert!(here.authenticate(&id(name), &chosen("wrong"), NOW).await.unwrap().is_none());
        assert_eq!(reads(), expected, "{name}");
    }
    assert!(here.authenticate(&id("app"), &secret, NOW).await.unwrap().is_some());
    assert_eq!(reads(), 0);
}

/// A remembered record and the one that is read after it are one check: one failure, one slow hash.
#[tokio::test]
async fn reading_again_makes_no_failure_and_no_slow_work_of_its_own() {
    let (here, there, reads) = counted();
    let [old, new] =
        [crate::hash_chosen(&chosen("old")).await.unwrap(), crate::hash_chosen(&chosen("new")).await.unwrap()];
    here.add(&client("app", &[&old])).await.unwrap();
    for round in 1..=9 {
        here.get(&id("app")).await.unwrap();
        assert!(here.authenticate(&id("app"), &chosen("wrong"), NOW).await.unwrap().is_none());
        assert_eq!(here.verifier.slow_checks(&id("app")), round);
    }
    // A right one that was remembered is not read for; and the tenth failure ends it, whatever another process does.
    assert!(here.authenticate(&id("app"), &chosen("old"), NOW).await.unwrap().is_some());
    reads();
    assert!(here.authenticate(&id("app"), &chosen("old"), NOW).await.unwrap().is_some());
    assert_eq!(reads(), 0);
    there.rotate(&id("app"), &hashed(&new), None, NOW + 60, NOW).await.unwrap();
    assert!(here.authenticate(&id("app"), &chosen("new"), NOW).await.unwrap().is_some(), "no failure before it");
    assert!(here.authenticate(&id("app"), &chosen("wrong"), NOW).await.unwrap().is_none());
    let last = crate::hash_chosen(&chosen("last")).await.unwrap();
    there.rotate(&id("app"), &hashed(&last), None, NOW + 60, NOW).await.unwrap();
    assert!(here.authenticate(&id("app"), &chosen("last"), NOW).await.unwrap().is_none());
    assert_eq!(here.verifier.slow_checks(&id("app")), 10);
}

/// A row that somebody copied by hand: the secret of the one would get tokens of the other.
#[tokio::test]
async fn a_record_of_another_client_is_refused() {
    let source: Arc<dyn DataSource> = Arc::new(Memory::new());
    let row = Clients::row(&client("one", &[])).unwrap();
    assert!(source.insert(&CLIENT, Row { key: b"two".to_vec(), ..row }).await.unwrap());
    let clients = Clients::new(source, sealer(&["a"]));
    for found in
        [clients.get(&id("two")).await.map(drop), clients.authenticate(&id("two"), &chosen("x"), NOW).await.map(drop)]
    {
        assert!(matches!(&found, Err(StoreError::Broken(why)) if why.contains("`two`")), "{found:?}");
    }
    clients.update(&id("two"), |_| {}).await.unwrap();
    assert_eq!(clients.get(&id("two")).await.unwrap().unwrap().client_id, id("two"));
}

/// A hash of another system is good, and is replaced by one of ours when the secret is first seen; the secret stays what it is.
#[tokio::test]
async fn a_weak_hash_is_replaced_when_its_secret_is_seen() {
    let (here, there) = nodes();
    let foreign = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";
    let other = "$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0c2FsdHNhbHQ";
    let mut app = client("app", &[foreign, other]);
    app.secrets[0].expires_at = Some(NOW + 60);
    here.add(&app).await.unwrap();
    assert_eq!(here.authenticate(&id("app"), &chosen("wrong"), NOW).await, Ok(None));
    assert_eq!(here.read(&id("app")).await.unwrap().as_ref(), Some(&app), "nothing is changed for a wrong one");
    assert!(here.authenticate(&id("app"), &chosen("correct horse"), NOW).await.unwrap().is_some());
    let kept = there.read(&id("app")).await.unwrap().unwrap();
    assert!(kept.secrets[0].hash.starts_with("$argon2id$"), "{:?}", kept.secrets);
    assert_eq!((kept.secrets[0].expires_at, &kept.secrets[1]), (Some(NOW + 60), &app.secrets[1]));
    for node in [&here, &there] {
        assert!(node.authenticate(&id("app"), &chosen("correct horse"), NOW).await.unwrap().is_some());
        assert_eq!(node.authenticate(&id("app"), &chosen("correct horsf"), NOW).await, Ok(None));
    }
    assert_eq!(
        there.authenticate(&id("app"), &chosen("correct horse"), NOW + 60).await,
        Ok(None),
        "it ends when it was to end"
    );
}

/// A client that signs by its secret: that is sealed in its record, and opens there alone.
fn signer(store: &Clients, name: &str, secret: &str) -> Client {
    let sealed = Some(store.seal(&id(name), &chosen(secret)).unwrap());
    Client {
        token_endpoint_auth_method: Some("client_secret_jwt".into()),
        secrets: vec![ClientSecret { sealed, ..hashed("sha256:x") }],
        ..client(name, &[])
    }
}

fn texts(secrets: Result<Vec<Secret>, StoreError>) -> Vec<String> {
    secrets.unwrap().iter().map(|secret| secret.expose().to_owned()).collect()
}

#[tokio::test]
async fn a_secret_that_signs_is_sealed_in_its_record_and_opens_there_alone() {
    let (here, there) = nodes();
    here.add(&signer(&here, "app", "geheim")).await.unwrap();
    let row = here.source.get(&CLIENT, b"app").await.unwrap().unwrap();
    assert!(row.record.contains("sealed:1:a:") && !row.record.contains("geheim"), "{}", row.record);
    let app = there.get(&id("app")).await.unwrap().unwrap();
    assert_eq!(texts(there.signing_secrets(&app, NOW)), ["geheim"]);
    // In the record of another it does not open.
    let stolen = Client { client_id: id("thief"), ..(*app).clone() };
    assert!(matches!(there.signing_secrets(&stolen, NOW), Err(StoreError::Broken(_))));
}

#[tokio::test]
async fn only_who_is_held_to_it_signs_by_its_secret() {
    let (here, _) = nodes();
    let app = signer(&here, "app", "geheim");
    for method in [None, Some("client_secret_basic"), Some("client_secret_post"), Some("private_key_jwt"), Some("none")]
    {
        let mut other = Client { token_endpoint_auth_method: method.map(str::to_owned), ..app.clone() };
        assert!(texts(here.signing_secrets(&other, NOW)).is_empty(), "{method:?}");
        other.authenticate_by(method.map(str::to_owned));
        assert_eq!(other.secrets, [hashed("sha256:x")], "{method:?}: what could be read is gone");
    }
    let mut same = app.clone();
    same.authenticate_by(app.token_endpoint_auth_method.clone());
    assert_eq!(same, app);
}

#[tokio::test]
async fn secrets_that_sign_are_rotated() {
    let (here, _) = nodes();
    let sealed = |secret: &str| ClientSecret {
        sealed: Some(here.seal(&id("app"), &chosen(secret)).unwrap()),
        ..hashed("sha256:y")
    };
    here.add(&signer(&here, "app", "old")).await.unwrap();
    let app = here.rotate(&id("app"), &sealed("new"), None, NOW + 60, NOW).await.unwrap().unwrap();
    assert_eq!(texts(here.signing_secrets(&app, NOW + 59)), ["new", "old"]);
    assert_eq!(texts(here.signing_secrets(&app, NOW + 60)), ["new"]);
    // From another method to this one: a hash is of no use there.
    here.add(&client("basic", &["sha256:x"])).await.unwrap();
    let sealed = ClientSecret { sealed: Some(here.seal(&id("basic"), &chosen("new")).unwrap()), ..hashed("sha256:y") };
    let method = Some("client_secret_jwt");
    let basic = here.rotate(&id("basic"), &sealed, method, NOW + 60, NOW).await.unwrap().unwrap();
    assert_eq!(basic.token_endpoint_auth_method.as_deref(), method);
    assert_eq!(texts(here.signing_secrets(&basic, NOW)), ["new"]);
    assert_eq!(basic.secrets.len(), 1);
}

#[tokio::test]
async fn secrets_that_sign_are_sealed_anew() {
    let source: Arc<dyn DataSource> = Arc::new(Memory::new());
    let with = |digits: &[&str]| Clients::new(source.clone(), sealer(digits));
    let old = with(&["a"]);
    for name in ["app", "other"] {
        old.add(&signer(&old, name, "geheim")).await.unwrap();
    }
    old.add(&client("basic", &["sha256:x"])).await.unwrap();
    old.add(&Client { client_id: id("broken"), ..signer(&old, "elsewhere", "geheim") }).await.unwrap();
    let turned = with(&["b", "a"]);
    let done = turned.reencrypt().await.unwrap();
    assert_eq!((done.records, done.sealed, done.refused.len()), (3, 2, 1));
    assert_eq!(done.refused[0].0, "broken");
    assert_eq!(turned.reencrypt().await.unwrap().sealed, 0, "it is done once");
    let last = with(&["b"]);
    let app = last.get(&id("app")).await.unwrap().unwrap();
    assert_eq!(texts(last.signing_secrets(&app, NOW)), ["geheim"]);
    assert_eq!(app.secrets[0].hash, "sha256:x", "all else stays");
}
