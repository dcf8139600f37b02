//! One HTTP/2 connection to an upstream, shared by the requests on it. It has a task of its own: no request can drive what others
//! wait for as well.

use std::error::Error;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use policy::exchange::BoxError;
use store::alarm::Alarm;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::head::{self, SendError};
use super::outgoing::{Aim, Outgoing};
use super::sent::Sent;
use super::slots::{Slot, Slots};
use super::stream::Stream;
use crate::tasks;

/// While requests wait, a connection that is silent for this long is asked whether it is still there, and given up after as long again.
const PING: Duration = Duration::from_secs(10);

/// Bytes of one answer that may be under way; of all answers on a connection, four times as many.
const WINDOW: u32 = 256 * 1024;

/// The most bytes of an answer's header fields.
const MOST_HEADERS: u32 = 64 * 1024;

/// For how long a connection may lie idle, in nanoseconds: 60 s.
const LONGEST: u64 = 60_000_000_000;

/// A connection.
pub(super) struct Session {
    sender: SendRequest<Sent>,
    /// Requests on it.
    streams: AtomicU32,
    /// The most that the other side takes at once, as far as it is known.
    theirs: Arc<AtomicU32>,
    last: AtomicU64,
    slots: Arc<Slots>,
}

/// The place of one request on it.
pub(super) struct Place {
    session: Arc<Session>,
    /// The body of its answer, once there is one.
    incoming: Option<Incoming>,
}

impl Session {
    /// HTTP/2 over this stream, begun without asking.
    async fn over(stream: Stream, slot: Slot, slots: Arc<Slots>) -> hyper::Result<Arc<Session>> {
        let mut builder = Builder::new(Tasks);
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(4 * WINDOW)
            .max_header_list_size(MOST_HEADERS);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let theirs = Arc::new(AtomicU32::new(u32::MAX));
        let noted = theirs.clone();
        tasks::spawn(async move {
            let mut connection = pin!(connection);
            // Whoever waits for an answer on it is told of its end.
            std::future::poll_fn(|cx| {
                let polled = connection.as_mut().poll(cx).map(|_| ());
                let most = u32::try_from(connection.current_max_send_streams()).unwrap_or(u32::MAX);
                noted.store(most, Ordering::Relaxed);
                polled
            })
            .await;
            drop(slot);
        });
        Ok(Arc::new(Session { sender, streams: AtomicU32::new(0), theirs, last: AtomicU64::new(0), slots }))
    }

    /// A place for one more request: there are fewer than this, and than the other side takes.
    fn place(self: &Arc<Self>, limit: u32) -> Option<Place> {
        // The other side takes no further request once it has said so (GOAWAY), and hyper closes this side then.
        if self.sender.is_closed() {
            return None;
        }
        let limit = limit.min(self.theirs.load(Ordering::Relaxed));
        let more = |streams| (streams < limit).then_some(streams + 1);
        self.streams
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more)
            .ok()
            .map(|_| Place { session: self.clone(), incoming: None })
    }
}

impl Place {
    /// Sends a request and gives the head of its answer. Its body is there afterwards where nothing of the request was sent.
    pub(super) async fn send(&mut self, request: &mut Outgoing, aim: Aim<'_>) -> Result<Response<()>, SendError> {
        let mut sender = self.session.sender.clone();
        let mut answer = pin!(sender.try_send_request(spoken(request, aim)));
        let polled = |cx: &mut Context<'_>| {
            answer.as_mut().poll(cx).map_err(|mut failed: TrySendError<Request<Sent>>| {
                request.body = failed.take_message().map(Request::into_body);
                broken(&failed.into_error(), request.body.is_some())
            })
        };
        let (head, incoming) = head::of(polled, &mut Alarm::at(Instant::now()), aim).await?.into_parts();
        self.incoming = Some(incoming);
        Ok(Response::from_parts(head, ()))
    }

    /// The next piece of the answer's body.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(cx).map_err(BoxError::from),
            None => Poll::Ready(None),
        }
    }

    /// Whether all of the answer was given.
    pub(super) fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    /// How much of its body is to come.
    pub(super) fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}

/// A request as HTTP/2 has it (RFC 9113, section 8.3.1). It takes the body along.
fn spoken(request: &mut Outgoing, aim: Aim<'_>) -> Request<Sent> {
    let parts = &request.parts;
    let body = request.body.take().unwrap_or_default();
    let mut spoken = Request::new(body);
    let path = parts.uri.path_and_query().cloned();
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    if let Ok(authority) = Authority::try_from(aim.host.as_bytes()) {
        uri.scheme = Scheme::try_from(aim.scheme).ok();
        uri.authority = Some(authority);
    }
    *spoken.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
    *spoken.version_mut() = Version::HTTP_2;
    *spoken.method_mut() = parts.method.clone();
    *spoken.headers_mut() = parts.headers.clone();
    spoken.headers_mut().extend(request.fields.iter());
    // What comes after a body is passed on (section 8.2.2 lets `te` say this and nothing else).
    spoken.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
    spoken
}

/// What went wrong. `unsent`: the request was given back.
fn broken(error: &hyper::Error, unsent: bool) -> SendError {
    let why = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    match error.is_parse() {
        true => SendError::Malformed(why),
        false => SendError::Broken { why, unsent: unsent || is_refused(error) },
    }
}

/// Whether the other side says that it has not looked at the request (RFC 9113, section 8.7).
fn is_refused(error: &hyper::Error) -> bool {
    let error = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    error.is_some_and(|error| {
        error.is_remote()
            && (error.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR)))
    })
}

impl Drop for Place {
    fn drop(&mut self) {
        self.session.streams.fetch_sub(1, Ordering::SeqCst);
        self.session.slots.free();
    }
}

/// The connections to one address.
pub(super) struct Sessions {
    open: Mutex<Vec<Arc<Session>>>,
    /// One at a time is made: those who come meanwhile share it.
    making: Semaphore,
}

impl Default for Sessions {
    fn default() -> Self {
        Sessions { open: Mutex::default(), making: Semaphore::new(1) }
    }
}

impl Sessions {
    /// A place on an open connection.
    pub(super) fn place(&self, limit: u32) -> Option<Place> {
        self.open().iter().find_map(|session| session.place(limit))
    }

    /// Held while a connection is made.
    pub(super) async fn making(&self) -> Option<SemaphorePermit<'_>> {
        self.making.acquire().await.ok()
    }

    /// A place on a new connection over this stream.
    pub(super) async fn begin(&self, stream: Stream, slot: Slot, slots: &Arc<Slots>) -> Result<Place, String> {
        let session = Session::over(stream, slot, slots.clone()).await.map_err(|why| why.to_string())?;
        let place = session.place(u32::MAX).ok_or("it was closed at once")?;
        self.open().push(session);
        slots.free();
        Ok(place)
    }

    /// Forgets what is closed and what lay idle for too long: its last request ends it.
    pub(super) fn sweep(&self, now: u64) {
        self.open().retain(|session| {
            if session.streams.load(Ordering::Relaxed) > 0 || session.last.load(Ordering::Relaxed) == 0 {
                session.last.store(now, Ordering::Relaxed);
            }
            !session.sender.is_closed() && now.saturating_sub(session.last.load(Ordering::Relaxed)) <= LONGEST
        });
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// hyper's own tasks are tasks like any other.
#[derive(Clone)]
struct Tasks;

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, work: F) {
        tasks::spawn(work);
    }
}
