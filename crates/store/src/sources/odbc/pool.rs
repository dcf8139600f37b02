//! Threads: ODBC calls block, so that each connection has a thread of its own. A bounded number of threads, a bounded queue before them,
//! and a gate that keeps requests from storming a database that is down.
//!
//! A call that does not come back, as to a host that vanished, cannot be ended from outside. Its thread is given up, so that another may
//! take its place, and ends by itself should the call ever return; of those there may be as many again as connections.

#![allow(
    clippy::disallowed_methods,
    reason = "the threads of this source: one a connection, which ends with the source"
)]

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use odbc_api::Connection;
use tokio::sync::oneshot;

use super::connection::Secret;
use super::dialect::Dialect;
use super::error::Told;
use super::schema;
use super::session::{Reply, Session, open};
use super::statement::{Statement, Statements, Value};
use crate::source::StoreError;
use crate::sources::gate::Gate;

/// How long a call may take beyond its time before its thread is given up.
const PAUSE: Duration = Duration::from_millis(500);

/// What one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(3);

/// A connection that lay idle for longer is asked whether it stands: the database or somebody between may have closed it.
const IDLE: Duration = Duration::from_secs(10);

/// How many verbs may wait for each connection.
const WAITING: usize = 32;

/// The connections of one source; they end with it.
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    name: String,
    title: String,
    dialect: &'static Dialect,
    secret: Secret,
    size: usize,
    gate: Gate<StoreError>,
    state: Mutex<State>,
    /// Told when something is queued, and at the end.
    more: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// Threads that work or wait for work.
    threads: usize,
    /// Of these, those that wait.
    idle: usize,
    /// What threads work on, by the number of the job: until when, at most.
    running: HashMap<u64, Instant>,
    /// Threads that were given up and have not come back.
    lost: usize,
    jobs: u64,
    /// When a connection was lost last: those that were not used since may be as dead.
    lost_at: Option<Instant>,
    ended: bool,
}

/// What is to be done.
pub(super) enum Work {
    /// A statement of a verb.
    Send(Statement, Vec<Value>),
    /// The health statement.
    Health(Statement),
    /// Check the database, migrate, check the tables.
    Prepare(Arc<Vec<Statements>>),
}

struct Job {
    work: Work,
    until: Instant,
    answer: oneshot::Sender<Result<Reply, StoreError>>,
    /// It was sent once over a connection that was lost.
    tried: bool,
}

impl Pool {
    /// Makes it, without any I/O and without any thread.
    pub(super) fn new(name: &str, title: &str, dialect: &'static Dialect, secret: Secret, size: u32) -> Self {
        let (gate, state, more) = (Gate::new(ATTEMPT), Mutex::default(), Condvar::new());
        let (name, title, size) = (name.to_owned(), title.to_owned(), usize::try_from(size).unwrap_or(usize::MAX));
        Pool(Arc::new(Shared { name, title, dialect, secret, size, gate, state, more }))
    }

    /// Queues work, which is begun before `until` or not at all; the receiver gives its answer.
    pub(super) fn queue(
        &self,
        work: Work,
        until: Instant,
    ) -> Result<oneshot::Receiver<Result<Reply, StoreError>>, StoreError> {
        let shared = &self.0;
        let unavailable = |why: &str| StoreError::Unavailable(format!("{}: {why}", shared.title));
        let (answer, receiver) = oneshot::channel();
        let mut state = shared.lock();
        if state.give_up_late_ones(shared.size) {
            // The database may be gone: one new connection is tried, not all.
            shared.gate.shut(unavailable("it left calls without an answer"));
        }
        // Whoever waited here and went away makes room.
        state.queue.retain(|job| !job.answer.is_closed());
        if state.queue.len() >= shared.size * WAITING {
            return Err(unavailable("all connections are busy, and too many verbs wait for one (max_connections)"));
        }
        if state.threads >= shared.size && state.late().count() == state.threads {
            return Err(unavailable("the ODBC driver has not come back from any of its calls"));
        }
        state.queue.push_back(Job { work, until, answer, tried: false });
        if state.queue.len() > state.idle && state.threads < shared.size {
            let own = shared.clone();
            let started = std::thread::Builder::new().name(format!("odbc {}", shared.name)).spawn(move || serve(&own));
            match started {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    state.queue.pop_back();
                    return Err(unavailable(&format!("a thread cannot be started: {error}")));
                }
                Err(_) => {}
            }
        }
        drop(state);
        shared.more.notify_one();
        Ok(receiver)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        state.queue.clear();
        drop(state);
        self.0.more.notify_all();
    }
}

impl State {
    /// The jobs whose time is over though a thread works on them.
    fn late(&self) -> impl Iterator<Item = u64> {
        let now = Instant::now();
        self.running.iter().filter(move |(_, until)| **until + PAUSE < now).map(|(job, _)| *job)
    }

    /// Gives up threads whose time is over, as long as there are not too many of them; whether there were any.
    fn give_up_late_ones(&mut self, most: usize) -> bool {
        let late: Vec<u64> = self.late().take(most.saturating_sub(self.lost)).collect();
        for job in &late {
            self.running.remove(job);
        }
        if !late.is_empty() {
            self.lost_at = Some(Instant::now());
        }
        self.lost += late.len();
        self.threads -= late.len();
        !late.is_empty()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job that somebody still waits for, and its number; `None` at the end.
    fn next(&self) -> Option<(u64, Job)> {
        let mut state = self.lock();
        loop {
            if state.ended {
                state.threads -= 1;
                return None;
            }
            match state.queue.pop_front() {
                Some(job) if job.answer.is_closed() => {}
                // Answered rather than begun: its caller is told so by now, and must not be wrong.
                Some(job) if job.until <= Instant::now() => {
                    job.answer(Err(self.busy()));
                }
                Some(job) => {
                    state.jobs += 1;
                    let number = state.jobs;
                    state.running.insert(number, job.until);
                    return Some((number, job));
                }
                None => {
                    state.idle += 1;
                    state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.idle -= 1;
                }
            }
        }
    }

    /// After a job: whether the thread goes on, or was given up meanwhile.
    fn done(&self, number: u64) -> bool {
        let mut state = self.lock();
        if state.running.remove(&number).is_some() {
            return true;
        }
        state.lost -= 1;
        false
    }

    /// Whether a connection that was used last at this time must be asked whether it stands.
    fn doubts(&self, used: Instant) -> bool {
        used.elapsed() > IDLE || self.lock().lost_at.is_some_and(|lost| lost > used)
    }

    /// A connection, or at once the reason why the last attempt failed, where that is not long ago.
    fn connect(&self) -> Result<Connection<'static>, StoreError> {
        self.gate.pass()?;
        let connected = caught(|| open(&self.secret, self.dialect)).map_err(|told| self.explain(&told));
        match &connected {
            Ok(_) => self.gate.open(),
            Err(why) => self.gate.shut(why.clone()),
        }
        connected
    }

    fn busy(&self) -> StoreError {
        StoreError::Unavailable(format!("{}: all {} connections are busy (max_connections)", self.title, self.size))
    }

    fn explain(&self, told: &Told) -> StoreError {
        told.explain(&self.title, self.dialect)
    }
}

/// What became of a job; it was answered unless it is to be done again.
enum Done {
    /// The connection may be used again.
    Kept,
    /// It may not.
    Lost,
    /// It may not, and the job is to be done over another one.
    Again(Job),
}

/// Why a connection is ended.
enum End {
    /// There is no more work for this thread.
    Over,
    /// It was lost with the job of this number.
    Lost(u64),
    /// It was lost, and the job is to be done over another one.
    Again(u64, Job),
}

/// A thread: job by job, over one connection after the other.
fn serve(shared: &Shared) {
    let mut next = shared.next();
    while let Some((number, job)) = next {
        next = with_connection(shared, number, job);
    }
}

/// The life of one connection, from the job that needs it; what is to be done with the next one.
fn with_connection(shared: &Shared, number: u64, job: Job) -> Option<(u64, Job)> {
    let end = match shared.connect() {
        Ok(connection) => {
            let mut session = Session::new(&connection, shared.dialect, &shared.secret);
            let end = work(shared, &mut session, number, job);
            // The binding takes it for a mistake of the program where a connection that was lost cannot be closed.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(session)));
            let _ = catch_unwind(AssertUnwindSafe(|| drop(connection)));
            end
        }
        Err(why) => {
            job.answer(Err(why));
            End::Lost(number)
        }
    };
    match end {
        End::Again(number, job) => Some((number, job)),
        End::Lost(number) if shared.done(number) => shared.next(),
        End::Lost(_) | End::Over => None,
    }
}

/// Job by job over one connection.
fn work(shared: &Shared, session: &mut Session<'_>, mut number: u64, mut job: Job) -> End {
    let mut used = Instant::now();
    loop {
        if shared.doubts(used) && !stands(session) {
            return End::Again(number, job);
        }
        match job.perform(shared, session) {
            Done::Again(job) => return End::Again(number, job),
            Done::Lost => return End::Lost(number),
            Done::Kept if !shared.done(number) => return End::Over,
            Done::Kept => {}
        }
        used = Instant::now();
        match shared.next() {
            Some(next) => (number, job) = next,
            None => return End::Over,
        }
    }
}

fn stands(session: &mut Session<'_>) -> bool {
    let ping = session.dialect().ping();
    caught(|| session.ask(&ping)).is_ok()
}

/// Calls the driver. A panic of the binding is an error like another one.
fn caught<T>(call: impl FnOnce() -> Result<T, Told>) -> Result<T, Told> {
    let panicked = |_| Err(Told::ours("the ODBC driver answered what it may not"));
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(panicked)
}

impl Job {
    fn answer(self, outcome: Result<Reply, StoreError>) {
        // Nobody may be waiting any more.
        let _ = self.answer.send(outcome);
    }

    fn perform(mut self, shared: &Shared, session: &mut Session<'_>) -> Done {
        if Instant::now() >= self.until {
            self.answer(Err(shared.busy()));
            return Done::Kept;
        }
        let outcome = match &self.work {
            Work::Send(statement, values) => caught(|| session.send(statement, values, self.until)),
            Work::Health(statement) => caught(|| session.tell(statement).map(|rows| Reply { rows, count: 0 })),
            Work::Prepare(statements) => {
                let prepared = caught(|| Ok(schema::prepare(session, &shared.title, statements)));
                let prepared = prepared.unwrap_or_else(|told| Err(shared.explain(&told)));
                self.answer(prepared.map(|()| Reply::default()));
                // With the connection goes the lock, and what was set for migrations.
                return Done::Lost;
            }
        };
        let told = match outcome {
            Ok(reply) => {
                self.answer(Ok(reply));
                return Done::Kept;
            }
            Err(told) => told,
        };
        let keep = told.leaves_the_connection(shared.dialect);
        if !keep {
            shared.lock().lost_at = Some(Instant::now());
        }
        if !keep && !told.is_late() && self.work.only_reads() && !std::mem::replace(&mut self.tried, true) {
            return Done::Again(self);
        }
        self.answer(Err(shared.explain(&told)));
        if keep { Done::Kept } else { Done::Lost }
    }
}

impl Work {
    fn only_reads(&self) -> bool {
        match self {
            Work::Send(statement, _) | Work::Health(statement) => statement.only_reads(),
            Work::Prepare(_) => false,
        }
    }
}
