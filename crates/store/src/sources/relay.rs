//! For tests of outages: a relay between a source and its server, which the test can cut, silence, or let lose an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::source::{DataSource, StoreError};
use crate::tables::ACCESS_TOKEN;

/// What a relay does with its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Both ways.
    Through,
    /// Every connection is closed, also those that come.
    Cut,
    /// Connections stand, nothing goes through.
    Silent,
    /// What we send arrives; the answer is dropped with the connection, once. Then it goes through.
    NoAnswer,
}

/// Stands between a source and its server.
pub(super) struct Relay {
    /// `host:port`, where it listens.
    pub(super) address: String,
    line: watch::Sender<Line>,
    attempts: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Before the server at this `host:port`.
    pub(super) async fn to(server: &str) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let line = watch::Sender::new(Line::Through);
        let attempts = Arc::new(AtomicU32::new(0));
        let (server, seen, counted) = (server.to_owned(), line.clone(), attempts.clone());
        let task = tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(connection(near, server.clone(), seen.clone()));
            }
        });
        Relay { address, line, attempts, task }
    }

    /// Counts for what is sent from now on, on connections that stand as well.
    pub(super) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }

    /// How many connections came.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The line once it is not silent; `None` where it is cut.
async fn open(line: &mut watch::Receiver<Line>) -> Option<Line> {
    let state = *line.wait_for(|state| *state != Line::Silent).await.ok()?;
    (state != Line::Cut).then_some(state)
}

async fn connection(mut near: TcpStream, server: String, set: watch::Sender<Line>) {
    let mut line = set.subscribe();
    let mut far = TcpStream::connect(server).await.unwrap();
    let (mut asked, mut told) = (vec![0; 65536], vec![0; 65536]);
    while open(&mut line).await.is_some() {
        // What the line is when something was read counts: it may have changed while nothing came.
        tokio::select! {
            count = near.read(&mut asked) => {
                let (Ok(count @ 1..), Some(_)) = (count, open(&mut line).await) else { return };
                // Of several connections one loses an answer.
                let lost = set.send_if_modified(|line| {
                    let lost = *line == Line::NoAnswer;
                    if lost {
                        *line = Line::Through;
                    }
                    lost
                });
                if far.write_all(&asked[..count]).await.is_err() {
                    return;
                }
                if lost {
                    // Until the server has answered, so that it has carried it out.
                    let _ = far.read(&mut told).await;
                    return;
                }
            }
            count = far.read(&mut told) => {
                let (Ok(count @ 1..), Some(_)) = (count, open(&mut line).await) else { return };
                if near.write_all(&told[..count]).await.is_err() {
                    return;
                }
            }
            _ = line.changed() => {}
        }
    }
}

/// The verb could not be done for now.
#[track_caller]
pub(super) fn is_unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
}

/// Why the log-in is refused, for as long as it is.
pub(super) async fn refused_login(source: &dyn DataSource) -> String {
    match source.prepare().await {
        Err(StoreError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Until the source answers again.
pub(super) async fn recovery(source: &dyn DataSource) {
    let start = Instant::now();
    while source.get(&ACCESS_TOKEN, b"k").await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(5), "not used again within 5 s");
        sleep(Duration::from_millis(20)).await;
    }
}
