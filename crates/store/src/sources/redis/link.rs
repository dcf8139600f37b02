//! The connection: one, on which the commands of all callers travel at once, and a gate that keeps requests from storming a server
//! that is down.
//!
//! One is enough, since the server runs one command at a time. A caller that goes away leaves its answer to be dropped, and
//! nothing waits behind it.

#![allow(
    clippy::disallowed_methods,
    reason = "an attempt to connect is a task of this source, and ends within seconds"
)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, Shared};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::{explain, explain_login};
use super::server;
use super::url::Place;
use crate::source::StoreError;

/// After an attempt to connect failed, callers fail at once for so long; then one of them tries again.
const PAUSE: Duration = Duration::from_millis(500);

/// The connection of one source.
pub(super) struct Link(Arc<Inner>);

struct Inner {
    client: Client,
    place: Place,
    title: String,
    /// What one attempt may take: TCP connection, log-in, and the question for its role.
    attempt: Duration,
    state: Mutex<State>,
}

/// A connection with its number, so that whoever lost it ends no later one.
type Connection = (u64, MultiplexedConnection);

type Attempt = Shared<BoxFuture<'static, Result<Connection, StoreError>>>;

struct State {
    now: Now,
    /// The number of the last attempt.
    attempts: u64,
}

enum Now {
    Apart,
    Connecting(Attempt),
    Up(Connection),
    /// Shut after an attempt failed.
    Shut {
        until: Instant,
        why: StoreError,
    },
}

impl Link {
    /// Makes it, without any I/O. `title` says which server, in errors.
    pub(super) fn new(place: Place, title: String, attempt: Duration) -> Result<Self, StoreError> {
        let client = place.address().and_then(Client::open).map_err(|error| explain(&title, &error))?;
        let state = Mutex::new(State { now: Now::Apart, attempts: 0 });
        Ok(Link(Arc::new(Inner { client, place, title, attempt, state })))
    }

    /// The connection, a new one, or at once the reason why the last attempt failed, where that is not long ago.
    pub(super) async fn connection(&self, deadline: Instant) -> Result<Connection, StoreError> {
        let attempt = {
            let mut state = self.0.lock();
            match &state.now {
                Now::Up(connection) => return Ok(connection.clone()),
                Now::Shut { until, why } if Instant::now() < *until => return Err(why.clone()),
                Now::Connecting(attempt) => attempt.clone(),
                Now::Apart | Now::Shut { .. } => {
                    state.attempts += 1;
                    let attempt = begin(self.0.clone(), state.attempts);
                    state.now = Now::Connecting(attempt.clone());
                    attempt
                }
            }
        };
        let late = || StoreError::Unavailable(format!("{}: no connection yet", self.0.title));
        timeout_at(deadline, attempt).await.unwrap_or_else(|_| Err(late()))
    }

    /// Gives up a connection that broke off, did not answer, or leads to the wrong server.
    pub(super) fn lose(&self, number: u64) {
        let mut state = self.0.lock();
        if matches!(&state.now, Now::Up((up, _)) if *up == number) {
            state.now = Now::Apart;
        }
    }
}

/// An attempt, in a task of its own, so that it ends in a connection or a reason though its caller goes away.
fn begin(inner: Arc<Inner>, number: u64) -> Attempt {
    let stopping = StoreError::Unavailable(format!("{}: the node is stopping", inner.title));
    let task = tokio::spawn(async move {
        let late = || StoreError::Unavailable(format!("{}: no connection within {:?}", inner.title, inner.attempt));
        let outcome = timeout(inner.attempt, connect(&inner)).await.unwrap_or_else(|_| Err(late()));
        let outcome = outcome.map(|connection| (number, connection));
        inner.lock().now = match &outcome {
            Ok(connection) => Now::Up(connection.clone()),
            Err(why) => Now::Shut { until: Instant::now() + PAUSE, why: why.clone() },
        };
        outcome
    });
    task.map(move |ended| ended.unwrap_or(Err(stopping))).boxed().shared()
}

/// Connects, logs in, and asks whether it is a primary: after a fail-over the address may lead to a replica, whose reads would be
/// late. The log-in is ours and not the driver's, which says of every refusal that the password was wrong.
async fn connect(inner: &Inner) -> Result<MultiplexedConnection, StoreError> {
    // Time limits are the callers' and the attempt's own.
    let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let failed = |error| explain(&inner.title, &error);
    let mut connection = inner.client.get_multiplexed_async_connection_with_config(&config).await.map_err(failed)?;
    if let Some(login) = inner.place.login() {
        login.exec_async(&mut connection).await.map_err(|error| explain_login(&inner.title, &error))?;
    }
    if inner.place.database != 0 {
        redis::cmd("SELECT").arg(inner.place.database).exec_async(&mut connection).await.map_err(failed)?;
    }
    server::ask_role(&inner.title, &mut connection).await?;
    Ok(connection)
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
