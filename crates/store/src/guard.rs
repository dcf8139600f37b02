//! A data source behind a guard: every verb has a time limit, and none runs before the source was prepared.
//!
//! The first verb that gets no answer in time marks the source as strained, and while it is strained the limit is short: requests
//! fail fast, and do not pile up. The first answer ends that. `health` has the whole limit always, so that a source that has
//! become slow, but answers, is used again.
//!
//! A request has several verbs, each of which may be slow: what it waits for all of them together is bounded, where its task
//! says with [`begin_request`] that it begins.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::task_local;
use tokio::time::{Instant, timeout};

use crate::alarm::Alarm;
use crate::source::{Capabilities, DataSource, Health, Row, StoreError, Table, Verb};

/// What a request may wait for its sources, all verbs together: it is answered within 5 s.
const BUDGET: Duration = Duration::from_millis(4500);
/// The limit of one verb.
const LIMIT: Duration = Duration::from_secs(4);
/// The limit while the source is strained.
const STRAINED_LIMIT: Duration = Duration::from_millis(500);
/// A verb that fails after this time strained the source, also where the source has a limit of its own and says so itself.
const SLOW: Duration = Duration::from_secs(1);
/// The limit of preparing: a migration of many rows takes its time.
const PREPARE_LIMIT: Duration = Duration::from_secs(30);

task_local! {
    static PATIENCE: Patience;
}

/// How long the requests of one task wait.
struct Patience {
    /// What is left of the budget of the request that is served now.
    left: Cell<Duration>,
    /// The alarm of the last verb, for the next.
    alarm: Cell<Option<Alarm>>,
}

/// Serves requests, one after the other, as a connection does: each has a budget of 4.5 s for all its verbs together, from
/// [`begin_request`] on.
pub fn connection<F: Future>(serving: F) -> impl Future<Output = F::Output> {
    PATIENCE.scope(Patience { left: Cell::new(BUDGET), alarm: Cell::new(None) }, serving)
}

/// A request begins on this task's [`connection`]. Where there is none, nobody waits for a request.
pub fn begin_request() {
    let _ = PATIENCE.try_with(|patience| patience.left.set(BUDGET));
}

/// How often verbs ended in which way, since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Verbs that were asked for.
    pub verbs: AtomicU64,
    /// Of these, how many got no answer in time.
    pub late: AtomicU64,
    /// How many the source could not do for now (late ones are not counted here).
    pub unavailable: AtomicU64,
    /// How many the source refused for good.
    pub broken: AtomicU64,
}

/// A data source behind a guard.
pub struct Guarded {
    name: String,
    source: Arc<dyn DataSource>,
    prepared: AtomicBool,
    strained: AtomicBool,
    /// Why it is not prepared.
    why: Mutex<String>,
    counters: Counters,
}

impl Guarded {
    /// Puts the source with this name behind a guard.
    pub fn new(name: &str, source: Arc<dyn DataSource>) -> Self {
        Guarded {
            name: name.into(),
            source,
            prepared: AtomicBool::new(false),
            strained: AtomicBool::new(false),
            why: Mutex::new("nothing has opened it yet".into()),
            counters: Counters::default(),
        }
    }

    /// Its name in the mapping.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it was prepared once, so that verbs reach it.
    pub fn prepared(&self) -> bool {
        self.prepared.load(Relaxed)
    }

    /// Whether a verb got no answer in time, and none was answered since.
    pub fn strained(&self) -> bool {
        self.strained.load(Relaxed)
    }

    /// How verbs ended.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A verb of a request, with what is left of the request's budget.
    async fn limited<T>(&self, verb: Verb<'_, T>) -> Result<T, StoreError> {
        let limit = if self.strained() { STRAINED_LIMIT } else { LIMIT };
        let started = Instant::now();
        let patience = PATIENCE.try_with(|patience| (patience.left.get(), patience.alarm.take())).ok();
        let (left, alarm) = patience.unwrap_or((limit, None));
        let mut alarm = alarm.unwrap_or_else(|| Alarm::at(started));
        let outcome = self.within(limit.min(left), &mut alarm, started, verb).await;
        let _ = PATIENCE.try_with(|patience| {
            patience.left.set(left.saturating_sub(started.elapsed()));
            patience.alarm.set(Some(alarm));
        });
        outcome
    }

    async fn within<T>(
        &self,
        limit: Duration,
        alarm: &mut Alarm,
        started: Instant,
        mut verb: Verb<'_, T>,
    ) -> Result<T, StoreError> {
        self.counters.verbs.fetch_add(1, Relaxed);
        if !self.prepared() {
            self.counters.unavailable.fetch_add(1, Relaxed);
            let why = self.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(self.named(StoreError::Unavailable(format!("it is not open yet: {why}"))));
        }
        alarm.set(started + limit);
        let answered = poll_fn(|cx| match verb.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => alarm.poll(cx).map(|()| None),
        });
        match answered.await {
            Some(Ok(answer)) => {
                self.relax();
                Ok(answer)
            }
            Some(Err(error)) => {
                match error {
                    StoreError::Unavailable(_) => {
                        self.counters.unavailable.fetch_add(1, Relaxed);
                        self.strain(started.elapsed());
                    }
                    // It refused: that is an answer.
                    StoreError::Broken(_) => {
                        self.counters.broken.fetch_add(1, Relaxed);
                        self.relax();
                    }
                }
                Err(self.named(error))
            }
            None => {
                self.counters.late.fetch_add(1, Relaxed);
                self.strain(limit);
                Err(self.named(StoreError::Unavailable(format!("no answer within {limit:?}"))))
            }
        }
    }

    fn relax(&self) {
        if self.strained() && self.strained.swap(false, Relaxed) {
            tracing::info!(source = self.name, "the data source answers again");
        }
    }

    /// After a verb that got no answer for this time. What was short, since little was left of a request's budget, says nothing.
    fn strain(&self, waited: Duration) {
        if waited >= SLOW && !self.strained.swap(true, Relaxed) {
            tracing::warn!(source = self.name, "the data source gave no answer within {waited:?}");
        }
    }

    fn named(&self, error: StoreError) -> StoreError {
        let named = |why| format!("data source `{}`: {why}", self.name);
        match error {
            StoreError::Unavailable(why) => StoreError::Unavailable(named(why)),
            StoreError::Broken(why) => StoreError::Broken(named(why)),
        }
    }

    async fn prepare_limited(&self) -> Result<(), StoreError> {
        let result = match timeout(PREPARE_LIMIT, self.source.prepare()).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Unavailable(format!("opening it took longer than {PREPARE_LIMIT:?}"))),
        };
        match result {
            Ok(()) => {
                self.prepared.store(true, Relaxed);
                Ok(())
            }
            Err(error) => {
                *self.why.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
                Err(self.named(error))
            }
        }
    }
}

impl DataSource for Guarded {
    fn capabilities(&self) -> Capabilities {
        self.source.capabilities()
    }

    fn prepare(&self) -> Verb<'_, ()> {
        Box::pin(self.prepare_limited())
    }

    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(self.limited(self.source.get(table, key)))
    }

    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        Box::pin(self.limited(self.source.insert(table, row)))
    }

    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        Box::pin(self.limited(self.source.replace(table, row, expected)))
    }

    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(self.limited(self.source.take(table, key)))
    }

    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        Box::pin(self.limited(self.source.find(table, index, value, after, limit)))
    }

    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        Box::pin(self.limited(self.source.list(table, after, limit)))
    }

    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        Box::pin(self.limited(self.source.remove(table, index, value, limit)))
    }

    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        Box::pin(self.limited(self.source.sweep(table, before, limit)))
    }

    fn health(&self) -> Verb<'_, Health> {
        Box::pin(async {
            let started = Instant::now();
            self.within(LIMIT, &mut Alarm::at(started), started, self.source.health()).await
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::AtomicU32;

    use super::*;
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
        let source =
            Hooked { before_get: Box::new(move |_| Box::pin(tokio::time::sleep(takes()))), ..Default::default() };
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
        let is_silent = silent.clone();
        let health = move || -> BoxFuture<'static, ()> {
            let takes = if is_silent.load(Relaxed) { LIMIT * 2 } else { Duration::from_secs(2) };
            Box::pin(tokio::time::sleep(takes))
        };
        let source = Hooked { before_health: Box::new(health), ..Default::default() };
        let guarded = Guarded::new("local", Arc::new(source));
        guarded.prepare().await.unwrap();
        assert!(guarded.health().await.is_err() && guarded.strained());
        silent.store(false, Relaxed);
        assert!(guarded.health().await.is_ok() && !guarded.strained());
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
        assert!(guarded.limited(fails(Duration::ZERO, unavailable.clone())).await.is_err() && guarded.strained());
        assert!(guarded.limited(fails(Duration::ZERO, broken)).await.is_err() && !guarded.strained());
        assert!(guarded.limited(fails(Duration::ZERO, unavailable.clone())).await.is_err() && !guarded.strained());
        // A source with a limit of its own, shorter than ours.
        assert!(guarded.limited(fails(Duration::from_secs(3), unavailable)).await.is_err() && guarded.strained());
    }
}
