//! The connection to the cluster. The driver keeps connections to all its servers and restores them by itself; where it has none
//! left it waits longer and longer between its attempts, up to ten seconds, so a new one is made then, at most twice a second.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::PrepareError;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::Statement;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::Row as Columns;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::error::{explain, explain_connect, explain_keyspace};
use super::settings::{Consistency, Password, Settings};
use super::statement::{Kind, integer, string};
use crate::source::{StoreError, Table};
use crate::tables;

/// How long an attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(2);
/// The pause after an attempt that failed.
const PAUSE: Duration = Duration::from_millis(500);
/// How soon a connection that is silent counts as dead.
const SILENCE: Duration = Duration::from_secs(3);

/// What a server says of itself. The time is its own: rows expire by the servers' clocks, not by ours.
const SERVER: &str =
    "SELECT release_version, toUnixTimestamp(now()) AS unix_millis, data_center FROM system.local WHERE key = 'local'";

/// A connection, with what belongs to it.
pub(super) struct Connected {
    pub(super) session: Session,
    /// By the position of the table and the kind of statement.
    prepared: Vec<OnceCell<PreparedStatement>>,
    /// A server's clock, Unix milliseconds, and when it said so.
    clock: (i64, Instant),
}

impl Connected {
    /// The Unix second, by the servers' clock: the last that was heard, and what has passed since.
    pub(super) fn now(&self) -> i64 {
        let passed = i64::try_from(self.clock.1.elapsed().as_secs()).unwrap_or(i64::MAX);
        (self.clock.0 / 1000).saturating_add(passed)
    }

    /// A statement, prepared at its first use.
    pub(super) async fn prepared(
        &self,
        keyspace: &str,
        table: &Table,
        position: usize,
        kind: Kind,
    ) -> Result<&PreparedStatement, PrepareError> {
        let prepare = || async {
            let mut statement = Statement::new(kind.text(keyspace, table));
            statement.set_is_idempotent(kind.again());
            if !kind.again() {
                // The driver's own policy sends some again whatever they are.
                statement.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy)));
            }
            self.session.prepare(statement).await
        };
        self.prepared[position * Kind::ALL.len() + kind as usize].get_or_try_init(prepare).await
    }
}

/// What a server told.
pub(super) struct Server {
    pub(super) version: String,
    pub(super) unix_millis: i64,
}

/// Asks a server what it is, and its time.
pub(super) async fn ask_server(title: &str, session: &Session) -> Result<Server, StoreError> {
    let mut statement = Statement::new(SERVER);
    statement.set_is_idempotent(true);
    // Of the one server that is asked, which need not wait for others.
    statement.set_consistency(scylla::frame::types::Consistency::One);
    let result = session.query_unpaged(statement, ()).await.map_err(|error| explain(title, &error))?;
    let empty = || StoreError::Unavailable(format!("{title}: an answer that cannot be read"));
    let rows = result.into_rows_result().map_err(|_| empty())?;
    let columns: Columns = rows.maybe_first_row().map_err(|_| empty())?.ok_or_else(empty)?;
    let mut columns = columns.columns.into_iter();
    let version = string(columns.next().flatten()).ok_or_else(empty)?;
    let unix_millis = integer(columns.next().flatten()).ok_or_else(empty)?;
    Ok(Server { version, unix_millis })
}

struct State {
    current: Option<Arc<Connected>>,
    /// It has no connection left: a new one is to be made.
    lost: bool,
}

/// Connects, and connects anew where all connections are lost.
pub(super) struct Link {
    title: String,
    settings: Settings,
    state: Mutex<State>,
    /// When the last attempt failed, and with what; held by whoever makes the next.
    failed: tokio::sync::Mutex<Option<(Instant, StoreError)>>,
}

impl Link {
    pub(super) fn new(title: &str, settings: &Settings) -> Self {
        Link {
            title: title.to_owned(),
            settings: settings.clone(),
            state: Mutex::new(State { current: None, lost: false }),
            failed: tokio::sync::Mutex::new(None),
        }
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut State) -> T) -> T {
        use_it(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn usable(&self) -> Option<Arc<Connected>> {
        self.with(|state| state.current.clone().filter(|_| !state.lost))
    }

    /// The connection that is in use, or a new one where there is none: one is made at a time, whoever else needs it waits for it.
    pub(super) async fn current(&self) -> Result<Arc<Connected>, StoreError> {
        if let Some(usable) = self.usable() {
            return Ok(usable);
        }
        let mut failed = self.failed.lock().await;
        if let Some(usable) = self.usable() {
            return Ok(usable);
        }
        if let Some((at, error)) = &*failed
            && at.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        let connecting = async {
            let connected = self.connect().await?;
            self.use_keyspace(&connected).await?;
            Ok(connected)
        };
        match connecting.await {
            Ok(connected) => {
                *failed = None;
                Ok(self.take(connected))
            }
            Err(error) => {
                *failed = Some((Instant::now(), error));
                let error = failed.as_ref().map(|(_, error)| error.clone());
                Err(error.unwrap_or_else(|| StoreError::Unavailable(self.title.clone())))
            }
        }
    }

    /// This connection is the one in use from now on.
    pub(super) fn take(&self, connected: Connected) -> Arc<Connected> {
        let connected = Arc::new(connected);
        self.with(|state| *state = State { current: Some(connected.clone()), lost: false });
        connected
    }

    /// This connection has none to any server any more.
    pub(super) fn lost(&self, connected: &Arc<Connected>) {
        self.with(|state| {
            if state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, connected)) {
                state.lost = true;
            }
        });
    }

    /// Connects, to no keyspace yet.
    pub(super) async fn connect(&self) -> Result<Connected, StoreError> {
        let mut policy = DefaultPolicy::builder().token_aware(true);
        if let Some(datacenter) = &self.settings.datacenter {
            policy = policy.prefer_datacenter(datacenter.clone());
        }
        // No time limit of its own: every verb has one, which counts the waits for a connection too.
        let profile = ExecutionProfile::builder()
            .consistency(self.settings.consistency.level())
            .serial_consistency(Some(self.settings.consistency.serial()))
            .load_balancing_policy(policy.build())
            .request_timeout(None)
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(self.settings.servers())
            .default_execution_profile_handle(profile.into_handle())
            .connection_timeout(CONNECT)
            .keepalive_interval(SILENCE)
            .keepalive_timeout(SILENCE)
            .schema_agreement_interval(Duration::from_millis(50))
            // Which replicas our keyspace has, for the way of a statement to them; not the tables.
            .keyspaces_to_fetch([&self.settings.keyspace])
            .fetch_full_schema_metadata(false);
        if let Some(user) = &self.settings.user {
            builder = builder.user(user, self.settings.password.as_ref().map_or("", Password::expose));
        }
        let connecting = tokio::time::timeout(CONNECT, builder.build());
        let session = match connecting.await {
            Ok(session) => session.map_err(|error| explain_connect(&self.title, &error))?,
            Err(_) => return Err(StoreError::Unavailable(format!("{}: no connection within 2 s", self.title))),
        };
        self.check_datacenter(&session)?;
        let server = ask_server(&self.title, &session).await?;
        let prepared = (0..tables::ALL.len() * Kind::ALL.len()).map(|_| OnceCell::new()).collect();
        Ok(Connected { session, prepared, clock: (server.unix_millis, Instant::now()) })
    }

    /// With a datacenter that is not there no server would be asked at all.
    fn check_datacenter(&self, session: &Session) -> Result<(), StoreError> {
        let state = session.get_cluster_state();
        let datacenters: BTreeSet<&str> =
            state.get_nodes_info().iter().filter_map(|node| node.datacenter.as_deref()).collect();
        let named = datacenters.iter().copied().collect::<Vec<_>>().join(", ");
        let why = match &self.settings.datacenter {
            Some(ours) if !datacenters.contains(ours.as_str()) => {
                format!("there is no datacenter `{ours}`; the cluster has {named}")
            }
            None if datacenters.len() > 1 && self.settings.consistency == Consistency::LocalQuorum => format!(
                "the cluster has the datacenters {named}: write `datacenter = ...` in stores.toml, the same on every node, or \
                 `consistency = \"quorum\"`"
            ),
            _ => return Ok(()),
        };
        Err(StoreError::Broken(format!("{}: {why}", self.title)))
    }

    /// Statements that name no keyspace, as those of the schema file, mean ours.
    pub(super) async fn use_keyspace(&self, connected: &Connected) -> Result<(), StoreError> {
        let used = connected.session.use_keyspace(&self.settings.keyspace, false).await;
        used.map_err(|error| explain_keyspace(&self.title, &error))
    }
}
