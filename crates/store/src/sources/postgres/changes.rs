//! The channel of changes: one connection that listens (`LISTEN`) to what every node's statements tell with their commits
//! ([`CHANNEL`]). It is opened when the first cache watches, over `listen_url` where a pooler stands between: a pooler that deals
//! connections out by the transaction delivers no notices.

#![allow(
    clippy::disallowed_methods,
    reason = "the tasks of this source: the channel, which ends with its last watcher"
)]

use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Config, NoTls};

use super::error::explain;
use super::pool::{Pool, is_pooled};
use super::statement::CHANNEL;
use super::url::{self, Url};
use crate::hex::unhex;
use crate::source::StoreError;
use crate::watch::{Change, KeyHash, Watcher, Watchers};

/// How often it is looked whether the channel still answers.
const EVERY: Duration = Duration::from_secs(2);
/// How long it may take to open, and to answer.
const LIMIT: Duration = Duration::from_secs(3);

/// What a word begins with that a listener tells itself; no name of a table does.
const ECHO: &str = "echo ";
const TELL: &str = "SELECT pg_notify('portcullis', $1)";

/// The channel of one source.
pub(super) struct Listener {
    name: String,
    title: String,
    config: Result<Config, String>,
    /// The connections over which changes are made.
    pool: Option<Pool>,
    watchers: Arc<Watchers>,
}

impl Listener {
    pub(super) fn new(name: &str, url: &Url, pool: Option<Pool>) -> Arc<Self> {
        let config = url.parse();
        let title = config.as_ref().map_or_else(|_| "PostgreSQL".into(), |c| format!("PostgreSQL {}", url::address(c)));
        Arc::new(Listener { name: name.to_owned(), title, config, pool, watchers: Arc::default() })
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
    pub(super) async fn listen(&self) -> Result<(), StoreError> {
        let config = self.config.clone().map_err(StoreError::Broken)?;
        let failed = |error| explain(&self.title, &error);
        let (client, mut connection) =
            timeout(LIMIT, config.connect(NoTls)).await.map_err(|_| self.late())?.map_err(failed)?;
        let watchers = self.watchers.clone();
        let (echo, mut echoes) = mpsc::unbounded_channel();
        // What comes is passed on at once, also while an answer is waited for.
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                let AsyncMessage::Notification(notice) = message else { continue };
                match change(notice.payload()) {
                    Some(change) => drop(watchers.tell(change)),
                    None if notice.payload().starts_with(ECHO) => drop(echo.send(notice.payload().to_owned())),
                    None => {}
                }
            }
        });
        let mut driver = Ends(driver);
        let open = async {
            if is_pooled(&client).await.map_err(failed)? {
                let why = "a pooler stands between, which delivers no notices: let `listen_url` name the server itself";
                return Err(StoreError::Broken(format!("{}: {why}", self.title)));
            }
            client.batch_execute(&format!("LISTEN {CHANNEL}")).await.map_err(failed)
        };
        timeout(LIMIT, open).await.map_err(|_| self.late())??;
        self.hear_ourselves(&mut echoes).await?;
        self.watchers.up(&self.name);
        while !self.watchers.abandoned() {
            // A connection that ended is noticed at once, one that leads nowhere by its silence.
            let _ = timeout(EVERY, &mut driver.0).await;
            timeout(LIMIT, client.simple_query("")).await.map_err(|_| self.late())?.map_err(failed)?;
        }
        Ok(())
    }
}

impl Listener {
    fn late(&self) -> StoreError {
        StoreError::Unavailable(format!("{}: no answer within {LIMIT:?}", self.title))
    }

    /// Whether what is told where changes are made is heard here: `listen_url` may lead to another database, or to the primary of before.
    async fn hear_ourselves(&self, echoes: &mut mpsc::UnboundedReceiver<String>) -> Result<(), StoreError> {
        let Some(pool) = &self.pool else { return Ok(()) };
        let word = format!("{ECHO}{:016x}", RandomState::new().hash_one(()));
        let telling = async {
            let mut client = pool.client(Instant::now() + LIMIT).await.map_err(|problem| problem.of(&self.title))?;
            client.begin();
            let told = client.query_typed(TELL, &[(&word, Type::TEXT)]).await;
            client.end();
            told.map_err(|error| explain(&self.title, &error))
        };
        timeout(LIMIT, telling).await.map_err(|_| self.late())??;
        let hearing = async { while echoes.recv().await.is_some_and(|heard| heard != word) {} };
        let deaf = |_| {
            let why = "what is told over `url` is not heard here: let `listen_url` name the same database, on the same server";
            StoreError::Broken(format!("{}: {why}", self.title))
        };
        timeout(LIMIT, hearing).await.map_err(deaf)
    }
}

/// A task that ends with whoever waits for it.
struct Ends(tokio::task::JoinHandle<()>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a notice tells: `TABLE:HASH`, `TABLE:*`. What cannot be read, somebody else's or a later version's, may mean anything.
fn change(payload: &str) -> Option<Change<'_>> {
    let (table, hash) = payload.split_once(':')?;
    Some(unhex(hash).map_or(Change::Any, |hash: KeyHash| Change::Row(table, hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_names_a_row_or_may_mean_any() {
        let hash = crate::watch::key_hash(b"k");
        let hex = crate::hex(hash);
        assert_eq!(change(&format!("access_token:{hex}")), Some(Change::Row("access_token", hash)));
        for any in ["access_token:*", "access_token:", &format!("access_token:{}", "x".repeat(64))] {
            assert_eq!(change(any), Some(Change::Any), "{any}");
        }
        assert_eq!(change("of another program"), None);
    }
}
