use std::future::pending;
use std::sync::atomic::AtomicU32;

use super::*;
use crate::source::BoxFuture;
use crate::sources::memory::Memory;
use crate::strain::{PROBE_EVERY, STRAINED_LIMIT};
use crate::tables::CLIENT;
use crate::testing::Hooked;

crate::conformance!(conformance, async {
    let guarded = Guarded::new("local", Arc::new(Memory::new()));
    guarded.prepare().await.unwrap();
    crate::conformance::Fresh::new(Arc::new(guarded))
});

#[tokio::test]
async fn nothing_runs_before_it_is_prepared() {
    let refusals = AtomicU32::new(1);
    let prepare = move || -> Verb<'static, ()> {
        let refused = refusals.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        Box::pin(async move { if refused { Err(StoreError::Broken("no rights".into())) } else { Ok(()) } })
    };
    let source = Hooked { prepare: Box::new(prepare), ..Default::default() };
    let guarded = Guarded::new("local", Arc::new(source));
    let why = |result: Result<Option<Row>, StoreError>| match result {
        Err(StoreError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(why(guarded.get(&CLIENT, b"k").await).contains("`local`"));
    assert_eq!(guarded.prepare().await, Err(StoreError::Broken("data source `local`: no rights".into())));
    assert!(why(guarded.get(&CLIENT, b"k").await).contains("no rights"), "it says why");
    assert!(guarded.health().await.is_err());
    guarded.prepare().await.unwrap();
    assert_eq!(guarded.get(&CLIENT, b"k").await, Ok(None));
    assert_eq!(guarded.counters().unavailable.load(Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_silent_source_is_given_up_and_used_again_when_it_answers() {
    let silent = Arc::new(AtomicBool::new(true));
    let is_silent = silent.clone();
    let source = Hooked {
        before_get: Box::new(move |_| match is_silent.load(Relaxed) {
            true => Box::pin(pending()),
            false => Box::pin(async {}),
        }),
        ..Default::default()
    };
    let guarded = Guarded::new("local", Arc::new(source));
    guarded.prepare().await.unwrap();
    let start = Instant::now();
    for limit in [LIMIT, STRAINED_LIMIT, STRAINED_LIMIT] {
        let start = Instant::now();
        assert!(matches!(guarded.get(&CLIENT, b"k").await, Err(StoreError::Unavailable(_))));
        assert!(start.elapsed() >= limit && start.elapsed() < limit + Duration::from_millis(10), "{limit:?}");
    }
    assert!(start.elapsed() <= Duration::from_secs(5), "three verbs of one request");
    assert!(guarded.strained());
    silent.store(false, Relaxed);
    assert_eq!(guarded.get(&CLIENT, b"k").await, Ok(None));
    assert!(!guarded.strained());
    assert_eq!(guarded.counters().late.load(Relaxed), 3);
    assert_eq!(guarded.counters().verbs.load(Relaxed), 4);
}

/// A source whose `get` takes so long.
async fn slow(takes: impl Fn() -> Duration + Send + Sync + 'static) -> Guarded {
    let source = Hooked { before_get: Box::new(move |_| Box::pin(tokio::time::sleep(takes()))), ..Default::default() };
    let guarded = Guarded::new("local", Arc::new(source));
    guarded.prepare().await.unwrap();
    guarded
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_all_its_verbs_together_no_longer_than_its_budget() {
    let guarded = slow(|| Duration::from_secs(1)).await;
    let start = Instant::now();
    connection(async {
        begin_request();
        let mut outcomes = Vec::new();
        for _ in 0..7 {
            outcomes.push(guarded.get(&CLIENT, b"k").await.is_ok());
        }
        assert_eq!(outcomes, [true, true, true, true, false, false, false]);
        assert!(start.elapsed() <= BUDGET + Duration::from_millis(10), "{:?}", start.elapsed());
        assert!(!guarded.strained(), "it answered each time, and the budget ran out");
        begin_request();
        assert!(guarded.get(&CLIENT, b"k").await.is_ok(), "the next request has a budget of its own");
    })
    .await;
    for _ in 0..7 {
        assert!(guarded.get(&CLIENT, b"k").await.is_ok(), "what is no request has none");
    }
}

#[tokio::test(start_paused = true)]
async fn health_has_the_whole_limit_and_finds_a_source_that_has_become_slow() {
    let silent = Arc::new(AtomicBool::new(true));
    let takes = |silent: &Arc<AtomicBool>| {
        let silent = silent.clone();
        move || if silent.load(Relaxed) { LIMIT * 2 } else { Duration::from_secs(2) }
    };
    let (health, get) = (takes(&silent), takes(&silent));
    let source = Hooked {
        before_health: Box::new(move || Box::pin(tokio::time::sleep(health()))),
        before_get: Box::new(move |_| Box::pin(tokio::time::sleep(get()))),
        before_insert: Box::new(|_| Box::pin(pending())),
        ..Default::default()
    };
    let guarded = Guarded::new("local", Arc::new(source));
    guarded.prepare().await.unwrap();
    assert!(guarded.health().await.is_err() && !guarded.strained(), "it does not say what got no answer");
    assert!(guarded.get(&CLIENT, b"k").await.is_err() && guarded.reads.strained());
    assert!(guarded.insert(&CLIENT, row("k")).await.is_err() && guarded.writes.strained());
    assert!(guarded.health().await.is_err() && guarded.reads.strained());
    silent.store(false, Relaxed);
    assert!(guarded.health().await.is_ok() && !guarded.reads.strained());
    assert!(guarded.writes.strained(), "it reads");
}

fn row(key: &str) -> Row {
    Row { key: key.into(), version: 1, expires_at: None, indexes: Vec::new(), record: "{}".into() }
}

/// How long it takes until the verb has failed.
async fn fails<T: std::fmt::Debug>(verb: Verb<'_, T>) -> Duration {
    let started = Instant::now();
    assert!(matches!(verb.await, Err(StoreError::Unavailable(_))));
    started.elapsed()
}

/// As with a file that another process has locked for writing.
#[tokio::test(start_paused = true)]
async fn answers_to_reads_say_nothing_of_writes() {
    let takes = Arc::new(Mutex::new(LIMIT * 2));
    let now_takes = takes.clone();
    let before_insert = move |_| -> BoxFuture<'static, ()> { Box::pin(tokio::time::sleep(*now_takes.lock().unwrap())) };
    let guarded =
        Guarded::new("local", Arc::new(Hooked { before_insert: Box::new(before_insert), ..Default::default() }));
    guarded.prepare().await.unwrap();
    assert!(fails(guarded.insert(&CLIENT, row("k"))).await >= LIMIT);
    let strained = Instant::now();
    while strained.elapsed() < PROBE_EVERY {
        assert!(guarded.get(&CLIENT, b"k").await.is_ok() && guarded.health().await.is_ok());
        assert!(guarded.strained());
        let waited = fails(guarded.insert(&CLIENT, row("k"))).await;
        assert!(waited < STRAINED_LIMIT * 2, "{waited:?}");
    }
    assert!(fails(guarded.insert(&CLIENT, row("k"))).await >= LIMIT, "one tries whether it is slow");
    assert!(fails(guarded.insert(&CLIENT, row("k"))).await < STRAINED_LIMIT * 2);
    // Slow by now, and answering: found, and used as before.
    *takes.lock().unwrap() = LIMIT / 2;
    tokio::time::advance(PROBE_EVERY).await;
    assert_eq!(guarded.insert(&CLIENT, row("1")).await, Ok(true));
    assert_eq!(guarded.insert(&CLIENT, row("2")).await, Ok(true));
    assert!(!guarded.strained());
}

#[tokio::test(start_paused = true)]
async fn each_verb_is_a_read_or_a_write() {
    let guarded = Guarded::new("local", Arc::new(Memory::new()));
    guarded.prepare().await.unwrap();
    let strained = || {
        guarded.reads.unanswered("local", LIMIT);
        guarded.writes.unanswered("local", LIMIT);
        assert!(guarded.reads.strained() && guarded.writes.strained());
    };
    let relaxed = || (!guarded.reads.strained(), !guarded.writes.strained());
    let table = &crate::tables::ACCESS_TOKEN;
    macro_rules! relaxes {
        ($expected:expr, $($verb:expr),+) => { $(strained(); $verb.await.unwrap(); assert_eq!(relaxed(), $expected, stringify!($verb));)+ };
    }
    relaxes!(
        (true, false),
        guarded.get(table, b"k"),
        guarded.find(table, 0, "app", None, 1),
        guarded.list(table, None, 1),
        guarded.health()
    );
    let row = Row { indexes: vec![None; 3], ..row("k") };
    relaxes!(
        (false, true),
        guarded.insert(table, row.clone()),
        guarded.replace(table, row.clone(), 1),
        guarded.take(table, b"k"),
        guarded.remove(table, 0, "app", 1),
        guarded.sweep(table, 1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_answer_and_a_late_one_to_be_unavailable_is_none() {
    let guarded = slow(|| LIMIT * 2).await;
    assert!(guarded.get(&CLIENT, b"k").await.is_err() && guarded.strained());
    let fails = |takes: Duration, error: StoreError| -> Verb<'static, ()> {
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            Err(error)
        })
    };
    let (broken, unavailable) = (StoreError::Broken("no".into()), StoreError::Unavailable("no".into()));
    assert!(
        guarded.limited(&guarded.reads, fails(Duration::ZERO, unavailable.clone())).await.is_err()
            && guarded.strained()
    );
    assert!(guarded.limited(&guarded.reads, fails(Duration::ZERO, broken)).await.is_err() && !guarded.strained());
    assert!(
        guarded.limited(&guarded.reads, fails(Duration::ZERO, unavailable.clone())).await.is_err()
            && !guarded.strained()
    );
    // A source with a limit of its own, shorter than ours.
    assert!(
        guarded.limited(&guarded.reads, fails(Duration::from_secs(3), unavailable)).await.is_err()
            && guarded.strained()
    );
}
