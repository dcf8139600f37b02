//! The channel of changes: one connection that listens (`LISTEN`) to what every node's statements tell with their commits
//! ([`CHANNEL`]). It is opened when the first cache watches, over `listen_url` where a pooler stands between: a pooler that deals
//! connections out by the transaction delivers no notices.

#![allow(
    clippy::disallowed_methods,
    reason = "the tasks of this source: the channel, which ends with its last watcher"
)]

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Config, NoTls};

use super::error::explain;
use super::pool::is_pooled;
use super::statement::CHANNEL;
use super::url::{self, Url};
use crate::source::StoreError;
use crate::watch::{Change, KeyHash, Watcher, Watchers};

/// How often it is looked whether the channel still answers.
const EVERY: Duration = Duration::from_secs(2);
/// How long it may take to open, and to answer.
const LIMIT: Duration = Duration::from_secs(3);

/// The channel of one source.
pub(super) struct Listener {
    name: String,
    title: String,
    config: Result<Config, String>,
    watchers: Arc<Watchers>,
}

impl Listener {
    pub(super) fn new(name: &str, url: &Url) -> Arc<Self> {
        let config = url.parse();
        let title = config.as_ref().map_or_else(|_| "PostgreSQL".into(), |c| format!("PostgreSQL {}", url::address(c)));
        Arc::new(Listener { name: name.to_owned(), title, config, watchers: Arc::default() })
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
    async fn listen(&self) -> Result<(), StoreError> {
        let config = self.config.clone().map_err(StoreError::Broken)?;
        let late = |_| StoreError::Unavailable(format!("{}: no answer within {LIMIT:?}", self.title));
        let failed = |error| explain(&self.title, &error);
        let (client, mut connection) = timeout(LIMIT, config.connect(NoTls)).await.map_err(late)?.map_err(failed)?;
        let watchers = self.watchers.clone();
        // What comes is passed on at once, also while an answer is waited for.
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(notice) = message
                    && let Some(change) = change(notice.payload())
                {
                    watchers.tell(change);
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
        timeout(LIMIT, open).await.map_err(late)??;
        self.watchers.up(&self.name);
        while !self.watchers.abandoned() {
            // A connection that ended is noticed at once, one that leads nowhere by its silence.
            let _ = timeout(EVERY, &mut driver.0).await;
            timeout(LIMIT, client.simple_query("")).await.map_err(late)?.map_err(failed)?;
        }
        Ok(())
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
    let mut bytes: KeyHash = [0; 32];
    if hash.len() != 64 || !hash.is_ascii() {
        return Some(Change::Any);
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        let Ok(read) = u8::from_str_radix(&hash[2 * at..2 * at + 2], 16) else { return Some(Change::Any) };
        *byte = read;
    }
    Some(Change::Row(table, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_names_a_row_or_may_mean_any() {
        let hash = crate::watch::key_hash(b"k");
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(change(&format!("access_token:{hex}")), Some(Change::Row("access_token", hash)));
        for any in ["access_token:*", "access_token:", &format!("access_token:{}", "x".repeat(64))] {
            assert_eq!(change(any), Some(Change::Any), "{any}");
        }
        assert_eq!(change("of another program"), None);
    }
}
