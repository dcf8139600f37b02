//! HTTP/2 (RFC 9113): streams, and what bounds them.
//!
//! hyper gives each stream a task. A client that takes nothing of an answer, or opens a connection and asks nothing, is for us to
//! end: the limits that HTTP/1.1 has on its one connection are on each stream here, and on a connection without any.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::{Executor, Read, Write};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use policy::exchange::BoxError;
use tokio::task_local;

use super::Stream;
use super::body::Unread;
use super::client::Client;
use super::connection::{Finish, Opened};
use super::in_flight::Sent;
use super::serve::serve;
use super::stream::Blocked;
use super::wire::Transport;
use crate::idle::IdleLimit;
use crate::settings::ClientLimits;
use crate::tasks;

/// What a client may send of one body, and of all together, before we took it.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What is held of one answer that the client does not take.
const SEND_BUFFER: usize = 64 * 1024;

/// How many streams a client may have reset that nobody began to serve, before its connection is ended (rapid reset).
const RESETS: usize = 50;

/// How long a connection that was told to go may still take to have its last bytes taken.
const LONGEST_GOODBYE: Duration = Duration::from_secs(600);

task_local! {
    static STREAM: Arc<Handed>;
}

/// Whether the last piece of a stream's answer was handed to hyper, which waits for the client to take it.
#[derive(Default)]
struct Handed(AtomicBool);

/// The streams of a connection that are served.
#[derive(Default)]
struct Streams {
    open: AtomicUsize,
    /// The connection's, for when the last one ends.
    connection: AtomicWaker,
}

/// Runs the streams of one connection.
#[derive(Clone)]
struct Runs {
    streams: Arc<Streams>,
    write_timeout: Duration,
}

/// Counted among the streams until it is dropped.
struct Open(Arc<Streams>);

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.connection.wake();
        }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Runs {
    fn execute(&self, stream: F) {
        self.streams.open.fetch_add(1, Ordering::AcqRel);
        let open = Open(self.streams.clone());
        let limit = self.write_timeout;
        let handed = Arc::<Handed>::default();
        let served = STREAM.scope(handed.clone(), store::guard::connection(stream));
        tasks::spawn(async move {
            let _open = open;
            // Dropped, the stream is reset.
            taken(served, &handed, limit).await;
        });
    }
}

/// Runs a stream to its end, or until the client has taken nothing of its answer for so long.
async fn taken<F: Future>(stream: F, handed: &Handed, limit: Duration) -> Option<F::Output> {
    let mut stream = pin!(stream);
    let mut stalled = IdleLimit::new(limit);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(done) = stream.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        match handed.0.load(Ordering::Relaxed) {
            true if stalled.passed(cx) => Poll::Ready(None),
            true => Poll::Pending,
            false => {
                stalled.moved();
                Poll::Pending
            }
        }
    })
    .await
}

/// The largest piece that is handed over at once: that one is taken is what shows that the client reads.
const PIECE: usize = 16 * 1024;

/// An answer's body, which notes what is handed over.
struct Answered {
    body: Sent,
    /// Of the last piece, what is yet to be handed over.
    rest: Bytes,
    handed: Arc<Handed>,
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.rest.is_empty() {
            let polled = Pin::new(&mut self.body).poll_frame(cx);
            self.handed.0.store(polled.is_ready(), Ordering::Relaxed);
            match polled {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return other,
            }
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (left, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut all = SizeHint::new();
        all.set_lower(left.lower() + rest);
        if let Some(upper) = left.upper() {
            all.set_upper(upper + rest);
        }
        all
    }
}

/// Serves a connection to its end.
pub(super) async fn serve_connection(client: Client, opened: &Opened, limits: &ClientLimits, transport: Transport) {
    let client = Arc::new(client);
    let stream = Stream::new(transport, limits.write_timeout);
    let blocked = stream.blocked();
    if let Some(Err(why)) = opened.drive(connection(client.clone(), limits, TokioIo::new(stream), blocked)).await {
        tracing::debug!(peer = %client.caller.peer, "connection ended: {why}");
    }
}

fn connection<T>(
    client: Arc<Client>,
    limits: &ClientLimits,
    io: T,
    blocked: Blocked,
) -> impl Finish<Output = hyper::Result<()>>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let streams = Arc::<Streams>::default();
    let runs = Runs { streams: streams.clone(), write_timeout: limits.write_timeout };
    let service = service_fn(move |request: Request<Incoming>| {
        let client = client.clone();
        async move { Ok::<_, Infallible>(answer(&client, request).await) }
    });
    let header_list = u32::try_from(limits.headers).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(runs)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(header_list)
        .max_pending_accept_reset_streams(RESETS)
        .max_send_buf_size(SEND_BUFFER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .serve_connection(io, service);
    Bounded {
        connection: Box::pin(connection),
        streams,
        blocked,
        idle: IdleLimit::new(limits.idle_timeout),
        silent: IdleLimit::new(limits.write_timeout),
        gone: None,
    }
}

async fn answer(client: &Client, request: Request<Incoming>) -> Response<Answered> {
    let handed = STREAM.try_with(Arc::clone).unwrap_or_default();
    let answer = serve(client, &Unread::default(), request).await;
    handed.0.store(true, Ordering::Relaxed);
    answer.map(|body| Answered { body, rest: Bytes::new(), handed })
}

/// hyper's connection, which is told to go where no stream is open for too long.
struct Bounded<C> {
    connection: Pin<Box<C>>,
    streams: Arc<Streams>,
    blocked: Blocked,
    idle: IdleLimit,
    /// Since it was told to go, with nothing on its way to it: a client that has heard of it answers.
    silent: IdleLimit,
    /// Since it was told to go: how long it may take in all.
    gone: Option<IdleLimit>,
}

impl<C: Finish<Output = hyper::Result<()>>> Future for Bounded<C> {
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.streams.connection.register(cx.waker());
        if let Poll::Ready(ended) = this.connection.as_mut().poll(cx) {
            return Poll::Ready(ended);
        }
        let open = this.streams.open.load(Ordering::Acquire) > 0;
        if let Some(gone) = &mut this.gone {
            if open || this.blocked.is() {
                this.silent.moved();
            } else if this.silent.passed(cx) {
                return Poll::Ready(Ok(()));
            }
            return if gone.passed(cx) { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        if open {
            this.idle.moved();
        } else if this.idle.passed(cx) {
            // What is still on its way to the client goes on; a client that takes none of it meets the limit on writes, and one
            // that takes all of it and never answers that it has gone is waited for no longer than that.
            this.connection.as_mut().finish();
            this.gone = Some(IdleLimit::new(LONGEST_GOODBYE));
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<C: Finish<Output = hyper::Result<()>>> Finish for Bounded<C> {
    fn finish(mut self: Pin<&mut Self>) {
        self.connection.as_mut().finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_stream_whose_answer_nobody_takes_ends_and_one_that_waits_for_it_does_not() {
        let handed = Handed::default();
        let slow = async { tokio::time::sleep(3 * LIMIT).await };
        assert!(taken(slow, &handed, LIMIT).await.is_some(), "the upstream is slow");
        let start = tokio::time::Instant::now();
        let stalled = async {
            handed.0.store(true, Ordering::Relaxed);
            std::future::pending::<()>().await;
        };
        assert!(taken(stalled, &handed, LIMIT).await.is_none());
        assert_eq!(start.elapsed(), LIMIT);
    }

    /// A connection whose client never says that it has heard of its end.
    struct Deaf;
    impl Future for Deaf {
        type Output = hyper::Result<()>;
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Pending
        }
    }
    impl Finish for Deaf {
        fn finish(self: Pin<&mut Self>) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_goodbye_that_nobody_answers_ends() {
        let ends_after = async |blocked: bool, open: bool| {
            let (streams, waits) = (Arc::<Streams>::default(), Blocked::default());
            waits.set(blocked);
            let (idle, silent) = (IdleLimit::new(LIMIT), IdleLimit::new(LIMIT));
            let connection = Box::pin(Deaf);
            let told = Bounded { connection, streams: streams.clone(), blocked: waits, idle, silent, gone: None };
            let start = tokio::time::Instant::now();
            let begins = async {
                // Between the goodbye and when the client hears of it.
                tokio::time::sleep(3 * LIMIT / 2).await;
                streams.open.fetch_add(usize::from(open), Ordering::AcqRel);
                streams.connection.wake();
            };
            let (ended, ()) = tokio::join!(told, begins);
            ended.unwrap();
            start.elapsed()
        };
        assert_eq!(ends_after(false, false).await, 2 * LIMIT);
        assert_eq!(ends_after(true, false).await, LIMIT + LONGEST_GOODBYE, "its last bytes are on their way");
        assert_eq!(ends_after(false, true).await, LIMIT + LONGEST_GOODBYE, "it asked for something more");
    }
}
