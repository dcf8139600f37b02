//! A data source behind a guard: every verb has a time limit, and none runs before the source was prepared.
//!
//! The first verb that gets no answer in time strains the source, for its kind: a file that another process has locked is read as
//! before, and answers to reads say nothing of writes. While a kind is strained its limit is short (see `strain.rs`). `health` has
//! the whole limit always, and its answer ends the strain of reads; that it fails strains nothing, since a source may read and
//! write for it, and it does not say which of them got no answer.
//!
//! A request has several verbs, each of which may be slow: what it waits for all of them together is bounded, where its task
//! says with [`begin_request`] that it begins.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::task_local;
use tokio::time::{Instant, timeout};

use crate::alarm::Alarm;
use crate::foreign::{ForeignTables, Query};
use crate::source::{Capabilities, DataSource, Health, Row, StoreError, Table, Verb};
use crate::strain::{LIMIT, Strain};
use crate::watch::Watcher;

/// What a request may wait for its sources, all verbs together: it is answered within 5 s.
const BUDGET: Duration = Duration::from_millis(4500);
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
    reads: Strain,
    writes: Strain,
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
            reads: Strain::new("reads"),
            writes: Strain::new("writes"),
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

    /// Whether a read or a write got no answer in time, and none of its kind was answered since.
    pub fn strained(&self) -> bool {
        self.reads.strained() || self.writes.strained()
    }

    /// How verbs ended.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A verb of a request, with what is left of the request's budget.
    async fn limited<T>(&self, strain: &Strain, verb: Verb<'_, T>) -> Result<T, StoreError> {
        let started = Instant::now();
        let patience = PATIENCE.try_with(|patience| (patience.left.get(), patience.alarm.take())).ok();
        let (left, alarm) = patience.unwrap_or((LIMIT, None));
        let limit = strain.limit(started, left).min(left);
        let mut alarm = alarm.unwrap_or_else(|| Alarm::at(started));
        let outcome = self.within(limit, &mut alarm, started, verb).await;
        match outcome {
            // Where it ran late itself, it waited no longer than it was to.
            Err(StoreError::Unavailable(_)) => strain.unanswered(&self.name, started.elapsed().min(limit)),
            // To refuse is to answer.
            Ok(_) | Err(StoreError::Broken(_)) => strain.answered(&self.name),
        }
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
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => {
                let count = match error {
                    StoreError::Unavailable(_) => &self.counters.unavailable,
                    StoreError::Broken(_) => &self.counters.broken,
                };
                count.fetch_add(1, Relaxed);
                Err(self.named(error))
            }
            None => {
                self.counters.late.fetch_add(1, Relaxed);
                Err(self.named(StoreError::Unavailable(format!("no answer within {limit:?}"))))
            }
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
        Box::pin(self.limited(&self.reads, self.source.get(table, key)))
    }

    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        Box::pin(self.limited(&self.writes, self.source.insert(table, row)))
    }

    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        Box::pin(self.limited(&self.writes, self.source.replace(table, row, expected)))
    }

    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(self.limited(&self.writes, self.source.take(table, key)))
    }

    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        Box::pin(self.limited(&self.reads, self.source.find(table, index, value, after, limit)))
    }

    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        Box::pin(self.limited(&self.reads, self.source.list(table, after, limit)))
    }

    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        Box::pin(self.limited(&self.writes, self.source.remove(table, index, value, limit)))
    }

    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        Box::pin(self.limited(&self.writes, self.source.sweep(table, before, limit)))
    }

    fn health(&self) -> Verb<'_, Health> {
        Box::pin(async {
            let started = Instant::now();
            let outcome = self.within(LIMIT, &mut Alarm::at(started), started, self.source.health()).await;
            if !matches!(outcome, Err(StoreError::Unavailable(_))) {
                self.reads.answered(&self.name);
            }
            outcome
        })
    }

    fn foreign(&self) -> Option<&dyn ForeignTables> {
        self.source.foreign().map(|_| self as &dyn ForeignTables)
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) -> bool {
        self.source.watch(watcher)
    }
}

impl ForeignTables for Guarded {
    fn look_up(&self, query: Query) -> Verb<'_, Vec<String>> {
        Box::pin(async move {
            match self.source.foreign() {
                Some(tables) => self.limited(&self.reads, tables.look_up(query)).await,
                None => Err(StoreError::Broken(format!("data source `{}` has no such tables", self.name))),
            }
        })
    }
}

#[cfg(test)]
mod tests;
