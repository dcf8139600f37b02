//! The channel of changes: one connection that the server tells of every key of a row that was changed (client tracking in
//! broadcasting mode), whoever changed it, by whatever command. It is opened when the first cache watches.
//!
//! New rows are told as well, which costs a look at a cache that does not have them. What the scripts would have to publish
//! themselves is told by the server, so that writes need no further right and cannot fail for it.

#![allow(clippy::disallowed_methods, reason = "the task of this source: the channel, which ends with its last watcher")]

use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, Value};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::error::{explain, explain_login};
use super::script::Keys;
use super::server;
use super::url::Place;
use crate::source::StoreError;
use crate::tables;
use crate::watch::{Change, Watcher, Watchers, key_hash};

/// How often it is looked whether the channel still answers.
const EVERY: Duration = Duration::from_secs(2);
/// How long it may take to open, and to answer.
const LIMIT: Duration = Duration::from_secs(3);

/// The channel of one source.
pub(super) struct Listener {
    name: String,
    title: String,
    place: Result<Place, String>,
    /// What the keys of rows begin with, by table.
    tables: Vec<(&'static str, Vec<u8>)>,
    watchers: Arc<Watchers>,
}

impl Listener {
    pub(super) fn new(name: &str, place: &Result<Place, String>, prefix: &str) -> Arc<Self> {
        let told = tables::ALL.iter().filter(|table| tables::is_told(table));
        Arc::new(Listener {
            name: name.to_owned(),
            title: place.as_ref().map_or_else(|_| String::from("Redis"), |place| format!("Redis {place}")),
            place: place.clone(),
            tables: told.map(|table| (table.name, Keys::new(prefix, table.name).row(b""))).collect(),
            watchers: Arc::default(),
        })
    }

    /// One more watcher; the first opens the channel.
    pub(super) fn watch(self: &Arc<Self>, watcher: Weak<dyn Watcher>) {
        if self.watchers.add(watcher) {
            tokio::spawn(self.clone().run());
        }
    }

    async fn run(self: Arc<Self>) {
        self.watchers.keep(&self.name, || self.listen()).await;
    }

    /// Listens until the channel is lost, or nobody watches any more.
    async fn listen(self: &Arc<Self>) -> Result<(), StoreError> {
        let place = self.place.as_ref().map_err(|why| StoreError::Broken(why.clone()))?;
        let late = |_| self.late();
        let failed = |error| explain(&self.title, &error);
        let client = place.pushing().and_then(Client::open).map_err(failed)?;
        let (ended, mut end) = mpsc::unbounded_channel();
        // What comes is passed on at once, by whoever reads the connection.
        let hearing = self.clone();
        let hear = move |message: PushInfo| -> Result<(), mpsc::error::SendError<()>> {
            match message.kind {
                PushKind::Invalidate => hearing.told(&message.data),
                PushKind::Disconnection => return ended.send(()),
                _ => {}
            }
            Ok(())
        };
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None).set_push_sender(hear);
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection =
            timeout(LIMIT, connecting).await.map_err(late)?.map_err(|error| explain_login(&self.title, &error))?;
        self.check_role(&mut connection).await?;
        let mut track = redis::cmd("CLIENT");
        track.arg("TRACKING").arg("ON").arg("BCAST");
        for (_, prefix) in &self.tables {
            track.arg("PREFIX").arg(prefix);
        }
        timeout(LIMIT, track.exec_async(&mut connection)).await.map_err(late)?.map_err(failed)?;
        self.watchers.up(&self.name);
        while !self.watchers.abandoned() {
            // A connection that ended is noticed at once, one that leads nowhere by its silence.
            let _ = timeout(EVERY, end.recv()).await;
            self.check_role(&mut connection).await?;
        }
        Ok(())
    }

    fn late(&self) -> StoreError {
        StoreError::Unavailable(format!("{}: no answer within {LIMIT:?}", self.title))
    }

    /// An answer within the limit, and from a primary: after a fail-over the old one tells of no change that others make.
    async fn check_role(&self, connection: &mut MultiplexedConnection) -> Result<(), StoreError> {
        timeout(LIMIT, server::ask_role(&self.title, connection)).await.map_err(|_| self.late())?
    }

    /// What the server tells: a list of keys, or nothing, where all were deleted.
    fn told(&self, data: &[Value]) {
        for value in data {
            let Value::Array(keys) = value else {
                self.watchers.tell(Change::Any);
                continue;
            };
            for key in keys {
                let row = |key: &[u8]| {
                    let found =
                        self.tables.iter().find_map(|(table, prefix)| Some((*table, key.strip_prefix(&prefix[..])?)));
                    found.map(|(table, key)| Change::Row(table, key_hash(key)))
                };
                let change = match key {
                    Value::BulkString(key) => row(key),
                    Value::SimpleString(key) => row(key.as_bytes()),
                    _ => None,
                };
                self.watchers.tell(change.unwrap_or(Change::Any));
            }
        }
    }
}
