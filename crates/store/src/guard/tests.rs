use std::future::pending;
use std::sync::atomic::AtomicU32;

use super::*;
use crate::breaker::{LONG_LOOK_EVERY, LOOK};
use crate::source::BoxFuture;
use crate::sources::memory::Memory;
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
        Box::pin(async move { if refused { Err(StoreError::Broken("no\n  rights".into())) } else { Ok(()) } })
    };
    let source = Hooked { prepare: Box::new(prepare), ..Default::default() };
    let guarded = Guarded::new("local", Arc::new(source));
    let why = |result: Result<Option<Row>, StoreError>| match result {
        Err(StoreError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(why(guarded.get(&CLIENT, b"k").await).contains("`local`"));
    assert_eq!(guarded.prepare().await, Err(StoreError::Broken("data source `local`: no rights".into())));
    assert_eq!(why(guarded.get(&CLIENT, b"k").await), "data source `local`: it is not open yet: no rights");
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
    for limit in [LIMIT, Duration::ZERO, Duration::ZERO] {
        let waited = fails(guarded.get(&CLIENT, b"k")).await;
        assert!(waited >= limit && waited < limit + Duration::from_millis(10), "{waited:?}, {limit:?}");
    }
    assert!(broken_off(&guarded));
    sleep(LOOK).await;
    let looks = fails(guarded.get(&CLIENT, b"k")).await;
    assert!(looks >= LOOK && looks < LOOK * 2, "one looks: {looks:?}");
    silent.store(false, Relaxed);
    assert_eq!(guarded.get(&CLIENT, b"k").await, Ok(None));
    assert!(!broken_off(&guarded));
    assert_eq!(guarded.counters().late.load(Relaxed), 2);
    assert_eq!(guarded.counters().verbs.load(Relaxed), 5);
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
        assert!(!broken_off(&guarded), "it answered each time, and the budget ran out");
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
    assert!(guarded.health().await.is_err() && !broken_off(&guarded), "it does not say what got no answer");
    assert!(guarded.get(&CLIENT, b"k").await.is_err() && guarded.state.reads.is_open());
    assert!(guarded.insert(&CLIENT, row("k")).await.is_err() && guarded.state.writes.is_open());
    assert!(guarded.health().await.is_err() && guarded.state.reads.is_open());
    silent.store(false, Relaxed);
    assert!(guarded.health().await.is_ok() && !guarded.state.reads.is_open());
    assert!(guarded.state.writes.is_open(), "it reads");
}

fn row(key: &str) -> Row {
    Row { key: key.into(), version: 1, expires_at: None, indexes: Vec::new(), record: "{}".into() }
}

/// Whether one of its breakers is open.
fn broken_off(guarded: &Guarded) -> bool {
    guarded.open_breakers().iter().any(|(_, open)| *open)
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
    let opened = Instant::now();
    while opened.elapsed() < LONG_LOOK_EVERY - LOOK * 2 {
        assert!(guarded.get(&CLIENT, b"k").await.is_ok() && guarded.health().await.is_ok());
        assert!(broken_off(&guarded));
        let waited = fails(guarded.insert(&CLIENT, row("k"))).await;
        assert!(waited < LOOK * 2, "{waited:?}");
        sleep(LOOK / 4).await;
    }
    sleep(LONG_LOOK_EVERY - opened.elapsed()).await;
    assert!(fails(guarded.insert(&CLIENT, row("k"))).await >= LIMIT, "one tries whether it is slow");
    assert!(fails(guarded.insert(&CLIENT, row("k"))).await < LOOK * 2);
    // Slow by now, and answering: found, and used as before.
    *takes.lock().unwrap() = LIMIT / 2;
    tokio::time::advance(LONG_LOOK_EVERY).await;
    assert_eq!(guarded.insert(&CLIENT, row("1")).await, Ok(true));
    assert_eq!(guarded.insert(&CLIENT, row("2")).await, Ok(true));
    assert!(!broken_off(&guarded));
}

#[tokio::test(start_paused = true)]
async fn each_verb_is_a_read_or_a_write() {
    let guarded = Guarded::new("local", Arc::new(Memory::new()));
    guarded.prepare().await.unwrap();
    let opened = || {
        guarded.state.reads.unanswered("local", LIMIT, LIMIT);
        guarded.state.writes.unanswered("local", LIMIT, LIMIT);
        assert!(guarded.state.reads.is_open() && guarded.state.writes.is_open());
    };
    let closed = || (!guarded.state.reads.is_open(), !guarded.state.writes.is_open());
    let table = &crate::tables::ACCESS_TOKEN;
    macro_rules! closes {
        ($expected:expr, $($verb:expr),+) => { $(
            opened();
            tokio::time::advance(LOOK).await;
            $verb.await.unwrap();
            assert_eq!(closed(), $expected, stringify!($verb));
        )+ };
    }
    closes!(
        (true, false),
        guarded.get(table, b"k"),
        guarded.find(table, 0, "app", None, 1),
        guarded.list(table, None, 1),
        guarded.health()
    );
    let row = Row { indexes: vec![None; 3], ..row("k") };
    closes!(
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
    assert!(guarded.get(&CLIENT, b"k").await.is_err() && broken_off(&guarded));
    let fails = |takes: Duration, error: StoreError| -> Verb<'static, ()> {
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            Err(error)
        })
    };
    let (broken, unavailable) = (StoreError::Broken("no".into()), StoreError::Unavailable("no".into()));
    for (takes, error, stays_open) in [
        (Duration::ZERO, unavailable.clone(), true),
        (Duration::ZERO, broken, false),
        (Duration::ZERO, unavailable.clone(), false),
        // A source with a limit of its own, shorter than ours.
        (Duration::from_secs(3), unavailable, true),
    ] {
        sleep(LOOK).await;
        assert!(guarded.limited(&guarded.state.reads, fails(takes, error.clone())).await.is_err());
        assert_eq!(broken_off(&guarded), stays_open, "{takes:?} {error}");
    }
}

/// A source that cannot do as many verbs as the number says, and takes so long to say so.
async fn flaky(takes: Duration) -> (Guarded, Arc<AtomicU32>) {
    let left = Arc::new(AtomicU32::new(0));
    let failures = left.clone();
    let refuse = move || -> Verb<'static, ()> {
        let refused = failures.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        Box::pin(async move {
            if refused {
                sleep(takes).await;
                return Err(StoreError::Unavailable("not now".into()));
            }
            Ok(())
        })
    };
    let guarded = Guarded::new("local", Arc::new(Hooked { refuse: Box::new(refuse), ..Hooked::default() }));
    guarded.prepare().await.unwrap();
    (guarded, left)
}

#[tokio::test(start_paused = true)]
async fn a_read_that_failed_quickly_is_tried_again_and_a_write_is_not() {
    let (guarded, left) = flaky(Duration::ZERO).await;
    let patient = guarded.with(FailurePolicy { retries: 2, ..FailurePolicy::default() });
    let hasty = guarded.with(FailurePolicy { retries: 0, ..FailurePolicy::default() });
    let (shortest, longest) = PAUSE;
    let started = Instant::now();
    for (policy, failures, found) in
        [(&patient, 2, true), (&patient, 3, false), (&guarded, 1, true), (&hasty, 1, false)]
    {
        left.store(failures, Relaxed);
        assert_eq!(policy.get(&CLIENT, b"k").await.is_ok(), found, "{failures} failures");
    }
    // Five tries again, each after a pause.
    let waited = started.elapsed();
    assert!(waited >= shortest * 5 && waited <= longest * 6, "{waited:?}");
    left.store(1, Relaxed);
    assert!(patient.insert(&CLIENT, row("k")).await.is_err());
    assert_eq!(patient.get(&CLIENT, b"k").await, Ok(None), "nothing was written");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_took_its_time_to_fail_is_not_tried_again() {
    let (guarded, left) = flaky(QUICKLY).await;
    left.store(1, Relaxed);
    assert!(guarded.get(&CLIENT, b"k").await.is_err());
    assert!(guarded.get(&CLIENT, b"k").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_store_may_wait_for_less() {
    let guarded = slow(|| Duration::from_millis(300)).await;
    let hasty = guarded.with(FailurePolicy { timeout: Duration::from_millis(200), retries: 0 });
    assert_eq!(fails(hasty.get(&CLIENT, b"k")).await.as_millis(), 200);
    assert!(broken_off(&guarded), "the breaker is of the source");
    sleep(LOOK).await;
    assert!(guarded.get(&CLIENT, b"k").await.is_ok() && !broken_off(&guarded));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_wait_for_one_source_and_another_does_not_mind() {
    let source = Hooked { before_get: Box::new(|_| Box::pin(pending())), ..Default::default() };
    let (stuck, other) = (Guarded::new("stuck", Arc::new(source)), Guarded::new("other", Arc::new(Memory::new())));
    stuck.prepare().await.unwrap();
    other.prepare().await.unwrap();
    let stuck = Arc::new(stuck);
    let waiting: Vec<_> = (0..WAITING)
        .map(|_| {
            let stuck = stuck.clone();
            tokio::spawn(async move { stuck.get(&CLIENT, b"k").await.is_err() })
        })
        .collect();
    while stuck.state.waiting.load(Relaxed) < WAITING {
        tokio::task::yield_now().await;
    }
    let started = Instant::now();
    let refused = stuck.with(FailurePolicy { retries: 0, ..FailurePolicy::default() }).get(&CLIENT, b"k").await;
    assert!(
        matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("wait for it already")),
        "{refused:?}"
    );
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(other.get(&CLIENT, b"k").await, Ok(None));
    for one in waiting {
        assert!(one.await.unwrap());
    }
    assert_eq!(stuck.state.waiting.load(Relaxed), 0);
}

/// A newer program migrated it while this one ran: what it keeps elsewhere would not be seen here.
#[tokio::test]
async fn nothing_is_asked_of_a_source_whose_schema_became_too_new() {
    let source = Hooked::default();
    let readable_by = source.readable_by.clone();
    let guarded = Guarded::new("db", Arc::new(source));
    guarded.prepare().await.unwrap();
    for needed in [CURRENT, CURRENT + 1, CURRENT + 2, 1] {
        readable_by.store(needed, Relaxed);
        let fits = needed <= CURRENT;
        match guarded.health().await {
            Ok(_) => assert!(fits),
            Err(StoreError::Broken(why)) => {
                assert!(!fits && why.contains("`db`") && why.contains("newer portcullis"), "{why}")
            }
            Err(other) => panic!("{other}"),
        }
        let row = Row { key: b"k".into(), version: 1, expires_at: None, indexes: Vec::new(), record: "{}".into() };
        let (read, written) = (guarded.get(&CLIENT, b"x").await, guarded.insert(&CLIENT, row).await);
        assert_eq!((read.is_ok(), written.is_ok()), (fits, fits), "{read:?}, {written:?}");
        assert!(
            fits || matches!(read, Err(StoreError::Unavailable(why)) if why.contains(&format!("knows version {needed}")))
        );
    }
}

#[tokio::test]
async fn what_a_source_tells_is_one_line_in_the_log() {
    assert_eq!(
        one_line("unavailable: Parse error at 0\n  Unexpected end\n"),
        "unavailable: Parse error at 0 Unexpected end"
    );
}
