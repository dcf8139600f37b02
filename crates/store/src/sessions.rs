//! The `sessions` store: who logged in with which browser.
//!
//! The browser holds a token in a cookie; a session's row has the expiry and the SHA-256 of it as its key. Ending a session takes
//! the row away, and no node finds it any more. When it was used last stands in the row, so that nodes share that too; it is
//! written at most once a minute, and not with every request.

use std::sync::Arc;

use oauth::token::{Token, TokenKind};
use serde::{Deserialize, Serialize};

use crate::codec::{SWAPS, decode, encode, seconds, too_busy};
use crate::source::{DataSource, Row, StoreError};
use crate::successor::{Succeeded, Successor, remove_all};
use crate::tables::USER_SESSION;

/// How often it is written, in seconds, that a session is used.
const TOUCHED: u64 = 60;
/// The place of the subject among the table's index columns.
const SUBJECT: usize = 0;

/// A session of somebody's with a browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Who.
    pub subject: String,
    /// When the subject proved who it is, Unix seconds.
    pub authenticated_at: u64,
    /// How it did, by the words of RFC 8176: `pwd`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Which class of proof that is (`acr` of OpenID Connect), where somebody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// Unix seconds.
    pub created_at: u64,
    /// When it ends however much it is used, Unix seconds.
    pub expires_at: u64,
    /// When it was used last, to a minute, Unix seconds.
    pub seen_at: u64,
}

/// Sessions over a data source. Kept: SHA-256 only.
pub struct Sessions {
    source: Arc<dyn DataSource>,
    successor: Successor<Sessions>,
}

impl Succeeded for Sessions {
    fn successor(&self) -> &Successor<Self> {
        &self.successor
    }
}

impl Sessions {
    /// The store over this source.
    pub fn new(source: Arc<dyn DataSource>) -> Self {
        Sessions { source, successor: Successor::default() }
    }

    /// The source behind it.
    pub fn source(&self) -> &Arc<dyn DataSource> {
        &self.source
    }

    /// Keeps a session whose token was just minted; answered once it is durable.
    pub async fn start(&self, token: &Token, session: &Session) -> Result<(), StoreError> {
        if token.kind() != TokenKind::Session || token.expires_at() != session.expires_at {
            return Err(StoreError::Broken("a token and its session say different things of it".into()));
        }
        let row = Row {
            key: token.key().to_bytes().to_vec(),
            version: 1,
            expires_at: Some(seconds(session.expires_at)),
            indexes: vec![Some(session.subject.clone())],
            record: encode(&USER_SESSION, session)?,
        };
        match self.latest().source.insert(&USER_SESSION, row).await? {
            true => Ok(()),
            // 256 random bits twice: the randomness is broken, and the session is somebody else's.
            false => {
                Err(StoreError::Broken("a token that was just made exists already: is the randomness broken?".into()))
            }
        }
    }

    /// The session that the text of a cookie stands for, where it is neither over at `now` (Unix seconds) nor was left unused for
    /// `idle` seconds. It counts as used then.
    pub async fn find(&self, cookie: &str, now: u64, idle: u64) -> Result<Option<Session>, StoreError> {
        let Some(key) = key(cookie, now) else { return Ok(None) };
        loop {
            let store = self.latest();
            let found = store.find_here(&key, now, idle).await?;
            // What it said where another took its place meanwhile may be of neither.
            if std::ptr::eq(store, self.latest()) {
                return Ok(found);
            }
        }
    }

    async fn find_here(&self, key: &[u8], now: u64, idle: u64) -> Result<Option<Session>, StoreError> {
        for _ in 0..SWAPS {
            let Some(row) = self.source.get(&USER_SESSION, key).await? else { return Ok(None) };
            let mut session: Session = decode(&USER_SESSION, &row)?;
            // Another node's clock may be ahead.
            let unused = now.saturating_sub(session.seen_at);
            if session.expires_at <= now || unused >= idle {
                return Ok(None);
            }
            // Where a session lasts less than two minutes unused, it is written more often.
            if unused < TOUCHED.min(idle / 2) {
                return Ok(Some(session));
            }
            session.seen_at = now;
            let (version, record) = (row.version, encode(&USER_SESSION, &session)?);
            if self.source.replace(&USER_SESSION, Row { record, ..row }, version).await? {
                return Ok(Some(session));
            }
            // Used by another request too, or ended.
        }
        Err(too_busy(&USER_SESSION))
    }

    /// Ends the session that the text of a cookie stands for, at once for every node; `false` where there is none.
    pub async fn end(&self, cookie: &str) -> Result<bool, StoreError> {
        let Some(key) = key(cookie, 0) else { return Ok(false) };
        loop {
            let store = self.latest();
            let ended = store.source.take(&USER_SESSION, &key).await?.is_some();
            if ended || std::ptr::eq(store, self.latest()) {
                return Ok(ended);
            }
        }
    }

    /// Ends all sessions of a subject; how many.
    pub async fn end_all(&self, subject: &str) -> Result<u64, StoreError> {
        remove_all(self, Sessions::source, &USER_SESSION, SUBJECT, subject).await
    }
}

/// The key of a session that may be in the store: the text is a well-formed token of one that ends after `now`.
fn key(cookie: &str, now: u64) -> Option<[u8; 40]> {
    let token = Token::parse(cookie)?;
    let may_be = token.kind() == TokenKind::Session && token.expires_at() > now;
    may_be.then(|| token.key().to_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::source::BoxFuture;
    use crate::testing::Hooked;

    const NOW: u64 = 1_800_000_000;
    const IDLE: u64 = 1_800;

    fn session(subject: &str) -> Session {
        Session {
            subject: subject.into(),
            authenticated_at: NOW,
            methods: vec!["pwd".into()],
            acr: None,
            created_at: NOW,
            expires_at: NOW + 36_000,
            seen_at: NOW,
        }
    }

    async fn started(store: &Sessions, number: u8, session: &Session) -> Token {
        let token = Token::mint(TokenKind::Session, session.expires_at, [number; 32]);
        store.start(&token, session).await.unwrap();
        token
    }

    /// Two nodes over one source, and how often that was written after a session was started.
    fn nodes() -> (Arc<AtomicU64>, Sessions, Sessions) {
        let writes = Arc::new(AtomicU64::new(0));
        let counting = writes.clone();
        let before_replace = move |_: &'static _| -> BoxFuture<'static, ()> {
            counting.fetch_add(1, Ordering::Relaxed);
            Box::pin(async {})
        };
        let source = Arc::new(Hooked { before_replace: Box::new(before_replace), ..Default::default() });
        (writes, Sessions::new(source.clone()), Sessions::new(source))
    }

    #[tokio::test]
    async fn a_session_lasts_to_its_end_however_much_it_is_used() {
        let (_, store, other) = nodes();
        let token = started(&store, 1, &session("ann")).await;
        let mut now = NOW;
        while now < NOW + 36_000 {
            let found = other.find(token.expose(), now, IDLE).await.unwrap().expect("it is used all the time");
            assert_eq!((found.subject.as_str(), found.authenticated_at), ("ann", NOW));
            now += IDLE - 1;
        }
        assert_eq!(store.find(token.expose(), NOW + 36_000, u64::MAX).await, Ok(None));
    }

    #[tokio::test]
    async fn one_that_is_left_unused_is_over_on_every_node() {
        let (_, store, other) = nodes();
        let token = started(&store, 1, &session("ann")).await;
        assert!(store.find(token.expose(), NOW + 100, IDLE).await.unwrap().is_some());
        assert!(
            other.find(token.expose(), NOW + 100 + IDLE - 1, IDLE).await.unwrap().is_some(),
            "what one saw, the other knows"
        );
        assert_eq!(store.find(token.expose(), NOW + 100 + 2 * IDLE - 1, IDLE).await, Ok(None));
    }

    #[tokio::test]
    async fn that_it_is_used_is_written_once_a_minute() {
        let (writes, store, _) = nodes();
        let token = started(&store, 1, &session("ann")).await;
        for second in 0..=180 {
            assert!(store.find(token.expose(), NOW + second, IDLE).await.unwrap().is_some());
        }
        assert_eq!(writes.load(Ordering::Relaxed), 3);
        // One that ends after ten seconds unused is written in time for that.
        for second in (180..220).step_by(6) {
            assert!(store.find(token.expose(), NOW + second, 10).await.unwrap().is_some(), "{second}");
        }
    }

    #[tokio::test]
    async fn what_is_ended_is_ended_for_every_node_also_while_it_is_used() {
        let (_, store, other) = nodes();
        let (one, two) = (started(&store, 1, &session("ann")).await, started(&store, 2, &session("ann")).await);
        assert_eq!(store.end(one.expose()).await, Ok(true));
        assert_eq!(store.end(one.expose()).await, Ok(false));
        assert_eq!(other.find(one.expose(), NOW, IDLE).await, Ok(None));
        assert!(other.find(two.expose(), NOW, IDLE).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn one_that_ends_while_its_use_is_being_written_does_not_live_again() {
        let session = session("ann");
        let token = Token::mint(TokenKind::Session, session.expires_at, [3; 32]);
        let text = token.expose().to_owned();
        // Between the reading and the writing.
        let source = Arc::new_cyclic(|source: &Weak<Hooked>| {
            let source = source.clone();
            let before_replace = move |_: &'static _| -> BoxFuture<'static, ()> {
                let (source, text) = (source.upgrade().unwrap(), text.clone());
                Box::pin(async move { assert_eq!(Sessions::new(source).end(&text).await, Ok(true)) })
            };
            Hooked { before_replace: Box::new(before_replace), ..Default::default() }
        });
        let store = Sessions::new(source.clone());
        store.start(&token, &session).await.unwrap();
        assert_eq!(store.find(token.expose(), NOW + TOUCHED, IDLE).await, Ok(None));
        assert_eq!(source.list(&USER_SESSION, None, 9).await, Ok(vec![]));
    }

    #[tokio::test]
    async fn all_of_a_subject_end_and_no_others() {
        let (_, store, other) = nodes();
        let mut anns = Vec::new();
        for number in 0..3 {
            anns.push(started(&store, number, &session("ann")).await);
        }
        let bob = started(&store, 9, &session("bob")).await;
        assert_eq!(other.end_all("ann").await, Ok(3));
        for token in &anns {
            assert_eq!(store.find(token.expose(), NOW, IDLE).await, Ok(None));
        }
        assert!(store.find(bob.expose(), NOW, IDLE).await.unwrap().is_some());
        assert_eq!(store.end_all("ann").await, Ok(0));
    }

    #[tokio::test]
    async fn only_the_hash_of_a_session_s_own_token_is_kept_and_found() {
        let (_, store, _) = nodes();
        let token = started(&store, 1, &session("ann")).await;
        let rows = store.source().list(&USER_SESSION, None, 9).await.unwrap();
        assert_eq!(rows[0].key, token.key().to_bytes());
        assert!(!format!("{rows:?}").contains(&token.expose()[4..]), "the token is kept");
        let access = Token::mint(TokenKind::Access, NOW + 36_000, [1; 32]);
        assert!(matches!(store.start(&access, &session("ann")).await, Err(StoreError::Broken(_))));
        let short = Token::mint(TokenKind::Session, NOW + 1, [1; 32]);
        assert!(matches!(store.start(&short, &session("ann")).await, Err(StoreError::Broken(_))));
        assert!(matches!(store.start(&token, &session("bob")).await, Err(StoreError::Broken(_))));
        for no_session in ["", "pcw_", access.expose(), short.expose()] {
            assert_eq!(store.find(no_session, NOW, IDLE).await, Ok(None), "{no_session}");
            assert_eq!(store.end(no_session).await, Ok(false), "{no_session}");
        }
    }
}
