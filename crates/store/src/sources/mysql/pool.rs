//! Connections: a bounded pool, and a gate that keeps requests from storming a server that is down.
//!
//! The driver's own pool is not used: it resets a connection each time, and what was prepared on it is then gone.

#![allow(clippy::disallowed_methods, reason = "the tasks of this source: connections that end")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Error, Opts};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::explain;
use super::session::Session;
use crate::source::StoreError;
use crate::sources::gate::Gate;

/// What one attempt may take: TCP connection, log-in, settings.
const ATTEMPT: Duration = Duration::from_secs(3);

/// A connection that lay idle for longer is asked whether it stands: the server or somebody between may have closed it.
const IDLE: Duration = Duration::from_secs(10);

/// What the answer to that may take.
const PING: Duration = Duration::from_millis(500);

/// The connections of one source.
#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    opts: Opts,
    size: u32,
    /// One turn a connection.
    turns: Arc<Semaphore>,
    /// The one that was used last is last: it is used first, and what is prepared on it stays warm.
    idle: Mutex<Vec<(Session, Instant)>>,
    /// How often the idle ones were ended; what was on loan then ends when it comes back.
    turn: AtomicU64,
    gate: Gate<Problem>,
}

/// Why there is no answer.
#[derive(Clone)]
pub(super) enum Problem {
    /// The driver's or server's word, as `explain` has it.
    Refused(Arc<Error>),
    /// Ours.
    Ours(String),
}

impl Problem {
    /// As a store's error. `title` says which server.
    pub(super) fn of(&self, title: &str) -> StoreError {
        match self {
            Problem::Refused(error) => explain(title, error),
            Problem::Ours(why) => StoreError::Unavailable(format!("{title}: {why}")),
        }
    }
}

impl Pool {
    /// Makes it, without any I/O.
    pub(super) fn new(opts: Opts, size: u32) -> Self {
        let turns = Arc::new(Semaphore::new(size as usize));
        Pool(Arc::new(Shared {
            opts,
            size,
            turns,
            idle: Mutex::default(),
            turn: AtomicU64::new(0),
            gate: Gate::new(ATTEMPT),
        }))
    }

    /// Waits for a turn: whoever holds one may have one connection.
    pub(super) async fn turn(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Problem> {
        match timeout_at(deadline, self.0.turns.clone().acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Problem::Ours(format!("all {} connections are busy (max_connections)", self.0.size))),
        }
    }

    /// A connection, or at once the reason why the last attempt failed, where that is not long ago. What is idle needs no attempt: with
    /// a server that has no connections left for us, we live on ours.
    pub(super) async fn session(&self) -> Result<Session, Problem> {
        while let Some((mut session, since)) = self.latest() {
            if since.elapsed() < IDLE || matches!(timeout(PING, session.conn.ping()).await, Ok(Ok(()))) {
                return Ok(session);
            }
            end(session);
        }
        self.0.gate.pass()?;
        let turn = self.0.turn.load(Ordering::Acquire);
        let problem = match timeout(ATTEMPT, Session::open(self.0.opts.clone())).await {
            Ok(Ok(session)) => {
                self.0.gate.open();
                return Ok(Session { turn, ..session });
            }
            Ok(Err(error)) => Problem::Refused(Arc::new(error)),
            Err(_) => Problem::Ours(format!("no connection within {ATTEMPT:?}")),
        };
        self.0.gate.shut(problem.clone());
        Err(problem)
    }

    /// Gives a connection back that was answered.
    pub(super) fn give_back(&self, session: Session) {
        match session.spoiled || session.turn != self.0.turn.load(Ordering::Acquire) {
            true => end(session),
            false => self.idle().push((session, Instant::now())),
        }
    }

    /// Gives up a connection that was lost or did not answer in time, and the idle ones with it, which may be as dead.
    pub(super) fn abandon(&self, session: Session) {
        end(session);
        self.drop_idle();
    }

    /// Ends the connections that nobody uses now, and the others when they come back: they lead to a server that is none for us any more.
    pub(super) fn drop_idle(&self) {
        self.0.turn.fetch_add(1, Ordering::AcqRel);
        let idle = std::mem::take(&mut *self.idle());
        idle.into_iter().for_each(|(session, _)| end(session));
    }

    fn latest(&self) -> Option<(Session, Instant)> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Session, Instant)>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a connection, with a word to the server where that goes out at once.
pub(super) fn end(session: Session) {
    tokio::spawn(timeout(Duration::from_secs(1), session.conn.disconnect()));
}
