//! A data source behind a guard, so that what is wrong with it stays there.
//!
//! - No verb runs before the source was prepared, and each has a **time limit**, which a store may shorten ([`FailurePolicy`]).
//! - A request has several verbs, each of which may be slow: what it waits for all of them together is bounded, where its task
//!   says with [`begin_request`] that it begins.
//! - **Circuit breakers**, one for reads and one for writes: a file that another process has locked is read as before, and answers
//!   to reads say nothing of writes. `health` has the whole limit always, and its answer closes the one of reads; that it fails
//!   opens none, since a source may read and write for it, and it does not say which of them got no answer.
//! - A **bulkhead**: no more than `WAITING` verbs wait for one source. Whoever needs another is not held by them.
//! - **Retries** of reads that the source could not do for now, a few, after a pause of random length. Never of a write: it may
//!   have been carried out.

use std::cell::Cell;
use std::future::{Future, poll_fn, ready};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::task_local;
use tokio::time::{Instant, sleep, timeout};

use crate::alarm::Alarm;
use crate::breaker::{Breaker, LIMIT};
use crate::foreign::{ForeignTables, Query};
use crate::migration::CURRENT;
use crate::seldom::Seldom;
use crate::source::{Capabilities, DataSource, Health, Row, StoreError, Table, Verb};
use crate::watch::Watcher;

/// What a request may wait for its sources, all verbs together: it is answered within 5 s.
const BUDGET: Duration = Duration::from_millis(4500);
/// The limit of preparing: a migration of many rows takes its time.
const PREPARE_LIMIT: Duration = Duration::from_secs(30);
/// The most verbs that wait for one source at once: beyond, one fails at once. It bounds memory, not work: a healthy source that
/// does 10,000 verbs a second has this many waiting where 4,000 requests come in 400 ms.
const WAITING: usize = 4096;
/// What failed within this time may be tried again: the request has waited for little yet.
const QUICKLY: Duration = Duration::from_millis(100);
/// The shortest and the longest pause before a retry.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(50));

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

/// What a store does where its source fails: `[store.NAME] timeout`, `retries`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePolicy {
    /// The most that one verb may take.
    pub timeout: Duration,
    /// How often a read is tried again.
    pub retries: u32,
}

impl FailurePolicy {
    /// The bounds of `timeout`.
    pub const TIMEOUT: (Duration, Duration) = (Duration::from_millis(50), LIMIT);
    /// The most `retries`.
    pub const RETRIES: u32 = 3;
}

impl Default for FailurePolicy {
    fn default() -> Self {
        FailurePolicy { timeout: LIMIT, retries: 1 }
    }
}

/// A data source behind a guard, as seen with one failure policy. All that is known of the source is shared.
pub struct Guarded {
    state: Arc<State>,
    policy: FailurePolicy,
}

struct State {
    name: String,
    source: Arc<dyn DataSource>,
    prepared: AtomicBool,
    reads: Breaker,
    writes: Breaker,
    waiting: AtomicUsize,
    /// Why it is not prepared.
    why: Mutex<String>,
    /// The version of its schema, and the one that a program must know to work with it, as they were looked at last.
    schema: AtomicU32,
    readable_by: AtomicU32,
    counters: Counters,
    /// Refusals that are logged.
    told: Seldom,
}

/// One of the verbs that wait; its caller may go away.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Place(waiting);
        (waiting.fetch_add(1, Relaxed) < WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Guarded {
    /// Puts the source with this name behind a guard.
    pub fn new(name: &str, source: Arc<dyn DataSource>) -> Self {
        let state = State {
            name: name.into(),
            source,
            prepared: AtomicBool::new(false),
            reads: Breaker::new("reads"),
            writes: Breaker::new("writes"),
            waiting: AtomicUsize::new(0),
            why: Mutex::new("nothing has opened it yet".into()),
            schema: AtomicU32::new(0),
            readable_by: AtomicU32::new(0),
            counters: Counters::default(),
            told: Seldom::new(),
        };
        Guarded { state: Arc::new(state), policy: FailurePolicy::default() }
    }

    /// The same source, for a store with this policy.
    pub fn with(&self, policy: FailurePolicy) -> Guarded {
        Guarded { state: self.state.clone(), policy }
    }

    /// Its name in the mapping.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Whether it was prepared once, so that verbs reach it.
    pub fn prepared(&self) -> bool {
        self.state.prepared.load(Relaxed)
    }

    /// Its circuit breakers, of reads and of writes, and whether they are open: one got no answer in time, and none of its kind was
    /// answered since.
    pub fn open_breakers(&self) -> [(&'static str, bool); 2] {
        [("reads", self.state.reads.is_open()), ("writes", self.state.writes.is_open())]
    }

    /// How verbs ended.
    pub fn counters(&self) -> &Counters {
        &self.state.counters
    }

    /// A read, tried again where the source said quickly that it cannot do it for now.
    async fn read<'a, T>(&'a self, verb: impl Fn(&'a dyn DataSource) -> Verb<'a, T>) -> Result<T, StoreError> {
        let state = &*self.state;
        for _ in 0..self.policy.retries {
            let started = Instant::now();
            let outcome = self.limited(&state.reads, verb(&*state.source)).await;
            let again = matches!(outcome, Err(StoreError::Unavailable(_))) && started.elapsed() < QUICKLY;
            let pause = pause();
            let time_is_left = PATIENCE.try_with(|patience| patience.left.get() > pause).unwrap_or(true);
            if !again || !time_is_left || !self.prepared() || state.reads.is_open() {
                return outcome;
            }
            sleep(pause).await;
            let _ = PATIENCE.try_with(|patience| patience.left.set(patience.left.get().saturating_sub(pause)));
        }
        self.limited(&state.reads, verb(&*state.source)).await
    }

    /// A write, once.
    async fn write<T>(&self, verb: Verb<'_, T>) -> Result<T, StoreError> {
        self.limited(&self.state.writes, verb).await
    }

    /// A verb, with what is left of the budget of the request that it belongs to.
    async fn limited<T>(&self, breaker: &Breaker, verb: Verb<'_, T>) -> Result<T, StoreError> {
        let state = &*self.state;
        if let Some(why) = self.too_new() {
            return Err(self.refused(&why));
        }
        let started = Instant::now();
        let patience = PATIENCE.try_with(|patience| (patience.left.get(), patience.alarm.take())).ok();
        let (left, alarm) = patience.unwrap_or((LIMIT, None));
        let Some(limit) = breaker.admit(started, left.min(self.policy.timeout)) else {
            return Err(self.refused("it gives no answers; whether it does again is looked at twice a second"));
        };
        let Some(_place) = Place::take(&state.waiting) else {
            return Err(self.refused("4096 verbs wait for it already"));
        };
        let mut alarm = alarm.unwrap_or_else(|| Alarm::at(started));
        let outcome = self.within(limit, &mut alarm, started, verb).await;
        match outcome {
            // Where it ran late itself, it waited no longer than it was to.
            Err(StoreError::Unavailable(_)) => {
                breaker.unanswered(&state.name, started.elapsed().min(limit), self.policy.timeout)
            }
            // To refuse is to answer.
            Ok(_) | Err(StoreError::Broken(_)) => breaker.answered(&state.name),
        }
        let _ = PATIENCE.try_with(|patience| {
            patience.left.set(left.saturating_sub(started.elapsed()));
            patience.alarm.set(Some(alarm));
        });
        outcome
    }

    /// Logs what the source refused, at most once in 10 s: who asked hears no more than 503 or 500.
    fn tell(&self, now: Instant, error: &StoreError) {
        let state = &*self.state;
        if state.told.is_due(now) {
            tracing::warn!(
                source = state.name,
                "the data source refused what was asked: {}",
                one_line(&error.to_string())
            );
        }
    }

    /// Why nothing is asked of it, where a newer program has migrated its schema meanwhile: what that one keeps elsewhere, a
    /// revocation perhaps, this one would not see.
    fn too_new(&self) -> Option<String> {
        let needed = self.state.readable_by.load(Relaxed);
        (needed > CURRENT).then(|| {
            format!(
                "its schema was migrated to version {}, which needs a program that knows version {needed}; this one knows {CURRENT}. \
                 Run the newer portcullis here",
                self.state.schema.load(Relaxed)
            )
        })
    }

    /// Notes what the schema is by now.
    fn schema_is(&self, health: &Health) {
        let state = &*self.state;
        state.readable_by.store(health.readable_by, Relaxed);
        let before = state.schema.swap(health.schema, Relaxed);
        if health.schema < before {
            tracing::error!(
                source = state.name,
                "its schema went from version {before} to {}: it was emptied or restored, or another one is in its place, and \
                 records that it held are unknown now",
                health.schema
            );
        }
    }

    /// A verb that the source never saw.
    fn refused(&self, why: &str) -> StoreError {
        self.state.counters.verbs.fetch_add(1, Relaxed);
        self.state.counters.unavailable.fetch_add(1, Relaxed);
        self.named(StoreError::Unavailable(why.to_owned()))
    }

    async fn within<T>(
        &self,
        limit: Duration,
        alarm: &mut Alarm,
        started: Instant,
        mut verb: Verb<'_, T>,
    ) -> Result<T, StoreError> {
        if !self.prepared() {
            let why = self.state.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(self.refused(&format!("it is not open yet: {why}")));
        }
        let counters = &self.state.counters;
        counters.verbs.fetch_add(1, Relaxed);
        alarm.set(started + limit);
        let answered = poll_fn(|cx| match verb.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => alarm.poll(cx).map(|()| None),
        });
        match answered.await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => {
                let count = match error {
                    StoreError::Unavailable(_) => &counters.unavailable,
                    StoreError::Broken(_) => &counters.broken,
                };
                count.fetch_add(1, Relaxed);
                self.tell(started, &error);
                Err(self.named(error))
            }
            None => {
                counters.late.fetch_add(1, Relaxed);
                Err(self.named(StoreError::Unavailable(format!("no answer within {limit:?}"))))
            }
        }
    }

    fn named(&self, error: StoreError) -> StoreError {
        let named = |why: String| format!("data source `{}`: {}", self.state.name, one_line(&why));
        match error {
            StoreError::Unavailable(why) => StoreError::Unavailable(named(why)),
            StoreError::Broken(why) => StoreError::Broken(named(why)),
        }
    }

    async fn prepare_limited(&self) -> Result<(), StoreError> {
        let result = match timeout(PREPARE_LIMIT, self.state.source.prepare()).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Unavailable(format!("opening it took longer than {PREPARE_LIMIT:?}"))),
        };
        match result {
            Ok(()) => {
                self.state.schema.fetch_max(CURRENT, Relaxed);
                self.state.prepared.store(true, Relaxed);
                Ok(())
            }
            Err(error) => {
                *self.state.why.lock().unwrap_or_else(PoisonError::into_inner) = error.why().to_owned();
                Err(self.named(error))
            }
        }
    }
}

/// What a driver tells may have several lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Random, so that nodes and requests that failed at once do not come back at once.
fn pause() -> Duration {
    let (shortest, longest) = PAUSE;
    let random = RandomState::new().hash_one(()) % 1000;
    shortest + (longest - shortest) * u32::try_from(random).unwrap_or(0) / 1000
}

impl DataSource for Guarded {
    fn name(&self) -> Option<&str> {
        Some(&self.state.name)
    }

    fn capabilities(&self) -> Capabilities {
        self.state.source.capabilities()
    }

    fn prepare(&self) -> Verb<'_, ()> {
        Box::pin(self.prepare_limited())
    }

    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(self.read(move |source| source.get(table, key)))
    }

    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        Box::pin(self.write(self.state.source.insert(table, row)))
    }

    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        Box::pin(self.write(self.state.source.replace(table, row, expected)))
    }

    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(self.write(self.state.source.take(table, key)))
    }

    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        Box::pin(self.read(move |source| source.find(table, index, value, after, limit)))
    }

    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        Box::pin(self.read(move |source| source.list(table, after, limit)))
    }

    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        Box::pin(self.write(self.state.source.remove(table, index, value, limit)))
    }

    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        Box::pin(self.write(self.state.source.sweep(table, before, limit)))
    }

    fn health(&self) -> Verb<'_, Health> {
        Box::pin(async {
            let started = Instant::now();
            let outcome = self.within(LIMIT, &mut Alarm::at(started), started, self.state.source.health()).await;
            if !matches!(outcome, Err(StoreError::Unavailable(_))) {
                self.state.reads.answered(&self.state.name);
            }
            let health = outcome?;
            self.schema_is(&health);
            match self.too_new() {
                Some(why) => Err(self.named(StoreError::Broken(why))),
                None => Ok(health),
            }
        })
    }

    fn foreign(&self) -> Option<&dyn ForeignTables> {
        self.state.source.foreign().map(|_| self as &dyn ForeignTables)
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) -> bool {
        self.state.source.watch(watcher)
    }
}

impl ForeignTables for Guarded {
    fn look_up(&self, query: Query) -> Verb<'_, Vec<String>> {
        Box::pin(self.read(move |source| match source.foreign() {
            Some(tables) => tables.look_up(query.clone()),
            None => Box::pin(ready(Err(StoreError::Broken("it has no tables of a database".into())))),
        }))
    }
}

#[cfg(test)]
mod tests;
