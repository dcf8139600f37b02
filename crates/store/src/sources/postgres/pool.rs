//! Connections: a bounded pool, a gate that keeps requests from storming a server that is down, and the notice of a pooler.

#![allow(
    clippy::disallowed_methods,
    reason = "the tasks of this source: connections, and what outlives a caller by seconds"
)]

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, PoolError, RecyclingMethod, Runtime, Timeouts};
use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::{Config, Error, NoTls};

use super::error::explain;
use crate::source::StoreError;
use crate::sources::gate::Gate;

/// How long a statement whose caller went away may still run before it is stopped.
const GRACE: Duration = Duration::from_secs(1);

/// The connections of one source.
#[derive(Clone)]
pub(super) struct Pool(Arc<Shared>);

struct Shared {
    pool: deadpool_postgres::Pool,
    /// One turn a connection. Waited for here and not in the pool, so that the gate is looked at after the wait: what queued up
    /// before it was shut must not try one by one.
    turns: Arc<Semaphore>,
    /// What one attempt may take: TCP connection, start-up and log-in.
    attempt: Duration,
    gate: Gate<Problem>,
    /// What the settings say about naming statements.
    named: Option<bool>,
    /// Set once a pooler was noticed.
    pooler: Arc<AtomicBool>,
}

/// A connection on loan.
///
/// Its caller may go away at any time: a client hangs up, a time limit ends. Then a statement may still run on it, and the next one
/// would wait behind it; so it goes back to the pool only once that has ended.
pub(super) struct Client {
    /// `None` only while it is given back.
    connection: Option<Object>,
    turn: Option<OwnedSemaphorePermit>,
    busy: bool,
    pool: Pool,
}

impl Client {
    /// To be called before something is sent ...
    pub(super) fn begin(&mut self) {
        self.busy = true;
    }

    /// ... and once it was answered.
    pub(super) fn end(&mut self) {
        self.busy = false;
    }

    /// Takes the connection out of the pool for good.
    pub(super) fn discard(mut self) {
        self.connection.take().map(Object::take);
    }

    /// Gives up a connection that did not answer in time, and the idle ones with it, which may be as dead.
    pub(super) fn abandon(mut self) {
        if let Some(connection) = self.connection.take() {
            tokio::spawn(stop(connection, self.pool.0.attempt));
        }
        self.pool.drop_idle();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let (true, Some(connection)) = (self.busy, self.connection.take()) {
            let (turn, limit) = (self.turn.take(), self.pool.0.attempt);
            tokio::spawn(async move {
                // An empty query is answered after what was sent before it.
                if !matches!(timeout(GRACE, connection.simple_query("")).await, Ok(Ok(_))) {
                    stop(connection, limit).await;
                }
                drop(turn);
            });
        }
    }
}

/// Ends a connection, and asks the server to stop what runs on it, so that it holds no locks for nobody.
async fn stop(connection: Object, limit: Duration) {
    let cancel = connection.cancel_token();
    drop(Object::take(connection));
    // Whether that worked nobody waits to hear.
    let _ = timeout(limit, cancel.cancel_query(NoTls)).await;
}

impl Deref for Client {
    type Target = Object;
    fn deref(&self) -> &Object {
        self.connection.as_ref().expect("it is taken only by what takes the client")
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Object {
        self.connection.as_mut().expect("it is taken only by what takes the client")
    }
}

/// Why there is no connection.
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
    pub(super) fn new(config: Config, max_connections: u32, named: Option<bool>) -> Self {
        let pooler = Arc::new(AtomicBool::new(false));
        let attempt = config.get_connect_timeout().copied().unwrap_or(Duration::from_secs(2)) + Duration::from_secs(1);
        let connect = Noticing { pooler: pooler.clone(), look: named.is_none() };
        // Fast: a connection is used again unless it was seen to close. No round trip before each statement.
        let how = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = deadpool_postgres::Pool::builder(Manager::from_connect(config, connect, how))
            .max_size(max_connections as usize)
            .runtime(Runtime::Tokio1)
            .build()
            .expect("only time limits without a runtime are refused, and the runtime is named");
        let turns = Arc::new(Semaphore::new(max_connections as usize));
        let gate = Gate::new(attempt);
        Pool(Arc::new(Shared { pool, turns, attempt, gate, named, pooler }))
    }

    /// Ends the connections that nobody uses now: they lead to a server that is none for us any more.
    pub(super) fn drop_idle(&self) {
        self.0.pool.retain(|_, _| false);
    }

    /// Whether statements are prepared and used by name.
    pub(super) fn names_statements(&self) -> bool {
        self.0.named.unwrap_or_else(|| !self.0.pooler.load(Ordering::Relaxed))
    }

    /// A connection, or at once the reason why the last attempt failed, where that is not long ago.
    pub(super) async fn client(&self, deadline: Instant) -> Result<Client, Problem> {
        let Ok(Ok(turn)) = timeout_at(deadline, self.0.turns.clone().acquire_owned()).await else {
            let size = self.0.pool.status().max_size;
            return Err(Problem::Ours(format!("all {size} connections are busy (max_connections)")));
        };
        // What is idle in the pool needs no attempt: with a server that has no connections left for us, we live on ours.
        if self.0.pool.status().available > 0 {
            return self.clone().connect(turn).await;
        }
        self.0.gate.pass()?;
        // In a task of its own, so that it ends in a connection or a reason though its caller goes away: callers in a hurry would
        // never get a connection to a slow server, and others never hear that it is down.
        match timeout_at(deadline, tokio::spawn(self.clone().connect(turn))).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Problem::Ours("the node is stopping".to_owned())),
            Err(_) => Err(Problem::Ours("no connection yet".to_owned())),
        }
    }

    async fn connect(self, turn: OwnedSemaphorePermit) -> Result<Client, Problem> {
        let attempt = self.0.attempt;
        let limits = Timeouts { wait: Some(attempt), create: Some(attempt), recycle: None };
        let problem = match self.0.pool.timeout_get(&limits).await {
            Ok(connection) => {
                self.0.gate.open();
                return Ok(Client { connection: Some(connection), turn: Some(turn), busy: false, pool: self });
            }
            Err(PoolError::Backend(error)) => Problem::Refused(Arc::new(error)),
            Err(PoolError::Timeout(_)) => Problem::Ours(format!("no connection within {attempt:?}")),
            Err(other) => Problem::Ours(other.to_string()),
        };
        self.0.gate.shut(problem.clone());
        Err(problem)
    }
}

/// Connects, and notices a pooler.
struct Noticing {
    pooler: Arc<AtomicBool>,
    look: bool,
}

type Connected = Result<(tokio_postgres::Client, JoinHandle<()>), Error>;

impl Connect for Noticing {
    fn connect(&self, config: &Config) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        let config = config.clone();
        Box::pin(async move {
            let (client, connection) = config.connect(NoTls).await?;
            let driver = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a PostgreSQL connection ended");
                }
            });
            if self.look && !self.pooler.load(Ordering::Relaxed) && is_pooled(&client).await? {
                tracing::info!("a pooler stands before PostgreSQL: statements go unnamed");
                self.pooler.store(true, Ordering::Relaxed);
            }
            Ok((client, driver))
        })
    }
}

/// Whether somebody stands between us and the server. With the key to cancel a statement the server tells its process; a pooler,
/// which deals out server connections as it likes, must give keys of its own. The key is read from a cancel request that is
/// written into memory and never sent.
///
/// It matters because the driver names statements `s0`, `s1` ... in every process: behind a pooler that does not know about
/// names, one node's `s4` may be another node's, and a look-up could run as a delete.
pub(super) async fn is_pooled(client: &tokio_postgres::Client) -> Result<bool, Error> {
    let (near, mut far) = tokio::io::duplex(64);
    client.cancel_token().cancel_query_raw(near, NoTls).await?;
    // Its length, its code, the process, the rest of the key.
    let mut request = [0; 12];
    if far.read_exact(&mut request).await.is_err() {
        return Ok(true);
    }
    let told = i32::from_be_bytes([request[8], request[9], request[10], request[11]]);
    let process: i32 = client.query_typed_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
    Ok(told != process)
}
