//! Open connections: how they are told to finish.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::task::AtomicWaker;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use policy::exchange::BoxError;
use tokio::sync::Notify;

/// All open connections of one listener.
#[derive(Default)]
pub(crate) struct Connections {
    open: Mutex<Open>,
    count: AtomicUsize,
    next: AtomicU64,
    changed: Notify,
}

/// The connections, and what they were told last: one that was accepted just before that, and opens just after, is told too.
#[derive(Default)]
struct Open {
    all: HashMap<u64, Arc<Signal>>,
    told: u8,
}

/// What one connection is told: a number that it looks at whenever it is polled, and a waker so that it is.
#[derive(Default)]
struct Signal {
    told: AtomicU8,
    waker: AtomicWaker,
}

impl Signal {
    fn tell(&self, what: u8) {
        self.told.fetch_max(what, Ordering::Release);
        self.waker.wake();
    }
}

const GO_ON: u8 = 0;
const FINISH: u8 = 1;
const END: u8 = 2;

/// Tells one connection to finish what it has begun.
pub(super) struct Word(Arc<Signal>);

impl Word {
    /// Tells it.
    pub(super) fn finish(&self) {
        self.0.tell(FINISH);
    }

    /// Whether it was told to, by whomever.
    pub(super) fn is_given(&self) -> bool {
        self.0.told.load(Ordering::Relaxed) != GO_ON
    }
}

/// One open connection; counted until it is dropped.
pub(crate) struct Opened {
    connections: Arc<Connections>,
    key: u64,
    signal: Arc<Signal>,
}

/// A connection that can be asked to finish: hyper's.
pub(crate) trait Finish: Future {
    /// Answers what has begun, says `Connection: close`, and closes; at once where nothing has begun.
    fn finish(self: Pin<&mut Self>);
}

impl<I, S, B> Finish for http1::Connection<I, S>
where
    I: Read + Write + Unpin,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body + 'static,
    B::Error: Into<BoxError>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B> Finish for http1::UpgradeableConnection<I, S>
where
    I: Read + Write + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body + 'static,
    B::Error: Into<BoxError>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B, E> Finish for http2::Connection<I, S, E>
where
    I: Read + Write + Unpin,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body + 'static,
    B::Error: Into<BoxError>,
    E: Http2ServerConnExec<S::Future, B>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl Connections {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts one more. To be called where it is accepted: whoever waits for all to be gone must not overlook it.
    pub(crate) fn open(self: &Arc<Self>) -> Opened {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        let signal = {
            let mut open = self.locked();
            let signal = Arc::new(Signal { told: AtomicU8::new(open.told), waker: AtomicWaker::new() });
            open.all.insert(key, signal.clone());
            signal
        };
        self.count.fetch_add(1, Ordering::Relaxed);
        Opened { connections: self.clone(), key, signal }
    }

    /// Tells all to finish what they have begun.
    pub(crate) fn finish(&self) {
        self.tell(FINISH);
    }

    /// Ends all at once.
    pub(crate) fn end(&self) {
        self.tell(END);
    }

    /// Whether all were ended, whatever had begun on them.
    pub(crate) fn ended(&self) -> bool {
        self.locked().told == END
    }

    /// Waits until there is none.
    pub(crate) async fn gone(&self) {
        loop {
            let changed = self.changed.notified();
            if self.count() == 0 {
                return;
            }
            changed.await;
        }
    }

    fn tell(&self, what: u8) {
        let mut open = self.locked();
        open.told = open.told.max(what);
        open.all.values().for_each(|signal| signal.tell(what));
    }

    fn locked(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opened {
    /// How it is told to finish.
    pub(super) fn word(&self) -> Word {
        Word(self.signal.clone())
    }

    /// Runs a connection to its end, or until it is told to end.
    pub(crate) async fn drive<C: Finish>(&self, connection: C) -> Option<C::Output> {
        let mut connection = pin!(connection);
        let mut told = GO_ON;
        poll_fn(|cx| {
            // Before it is looked at: a word that comes later finds the waker.
            self.signal.waker.register(cx.waker());
            let now = self.signal.told.load(Ordering::Acquire);
            if now == END {
                return Poll::Ready(None);
            }
            if now != told {
                told = now;
                // What came just now is read first: hyper closes a connection that it knows to be idle.
                if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                    return Poll::Ready(Some(ended));
                }
                connection.as_mut().finish();
            }
            connection.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.connections.locked().all.remove(&self.key);
        if self.connections.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.connections.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Context;
    use std::time::Duration;

    /// Ends once it is asked to.
    struct Patient(bool);
    impl Future for Patient {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            if self.0 { Poll::Ready(()) } else { Poll::Pending }
        }
    }
    impl Finish for Patient {
        fn finish(mut self: Pin<&mut Self>) {
            self.0 = true;
        }
    }
    /// Never ends.
    struct Stubborn;
    impl Future for Stubborn {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }
    impl Finish for Stubborn {
        fn finish(self: Pin<&mut Self>) {}
    }

    fn spawned<C>(connections: &Arc<Connections>, connection: C) -> tokio::task::JoinHandle<Option<()>>
    where
        C: Finish<Output = ()> + Send + 'static,
    {
        let opened = connections.open();
        tokio::spawn(async move { opened.drive(connection).await })
    }

    #[tokio::test]
    async fn connections_finish_when_they_are_told() {
        let connections = Arc::<Connections>::default();
        let patient = spawned(&connections, Patient(false));
        let stubborn = spawned(&connections, Stubborn);
        tokio::task::yield_now().await;
        assert_eq!(connections.count(), 2);
        connections.finish();
        assert_eq!(patient.await.unwrap(), Some(()));
        assert!(tokio::time::timeout(Duration::from_millis(20), connections.gone()).await.is_err());
        connections.end();
        let ended = tokio::time::timeout(Duration::from_secs(5), stubborn).await.expect("it is told twice");
        assert_eq!(ended.unwrap(), None);
        connections.gone().await;
    }

    #[tokio::test]
    async fn one_that_opens_after_the_word_has_it_too() {
        let connections = Arc::<Connections>::default();
        connections.finish();
        let patient = spawned(&connections, Patient(false));
        let finished = tokio::time::timeout(Duration::from_secs(5), patient).await.expect("it is told to finish");
        assert_eq!(finished.unwrap(), Some(()));
        connections.end();
        connections.finish();
        let stubborn = spawned(&connections, Stubborn);
        let ended = tokio::time::timeout(Duration::from_secs(5), stubborn).await.expect("it is told to end");
        assert_eq!(ended.unwrap(), None);
    }
}
