//! One connection to an upstream, driven by whoever uses it.
//!
//! The usual way is a task for each connection and channels between it and the request. Here the request's own task polls the
//! connection: nothing is woken across tasks, a client that goes away takes its connection along, and an idle connection is
//! looked at (is it closed?) when it is taken out of the pool, and by a sweep now and then.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use store::alarm::Alarm;
use tokio::time::Instant;

use super::bounded::{Bound, Bounded};
use super::deaf::Deaf;
use super::head::{self, SendError, Turn};
use super::sent::{Sent, Watch};
use super::slots::Slot;
use super::stream::Stream;
use crate::joined::Joined;
use crate::tunnel::Tunnel;

/// The most bytes of an answer's head, of all that comes before it, and of what is read at once.
const MOST_READ: usize = 256 * 1024;

/// What the bytes go through.
type Transport = Bounded<Deaf<Joined<Stream>>>;

/// A connection and the handle that sends on it.
pub(super) struct Link {
    sender: SendRequest<Sent>,
    /// Nothing once it has ended before an answer.
    connection: Option<Connection<TokioIo<Transport>, Sent>>,
    finished: bool,
    /// The upstream has stopped reading: no other request may go on it.
    deaf: Arc<AtomicBool>,
    bound: Bound,
    /// Of the last request, for the next.
    alarm: Alarm,
    _slot: Slot,
}

impl Link {
    /// HTTP/1.1 over this stream.
    pub(super) async fn over(stream: Stream, slot: Slot) -> hyper::Result<Box<Link>> {
        let (stream, deaf) = Deaf::new(Joined::new(stream));
        let (stream, bound) = Bounded::new(stream);
        let (sender, connection) = Builder::new().max_buf_size(MOST_READ).handshake(TokioIo::new(stream)).await?;
        let alarm = Alarm::at(Instant::now());
        let connection = Some(connection);
        Ok(Box::new(Link { sender, connection, finished: false, deaf, bound, alarm, _slot: slot }))
    }

    /// Sends a request and gives the head of its answer; the body comes while [`drive`](Self::drive) is called.
    pub(super) async fn send(
        &mut self,
        request: Request<Sent>,
        limit: Duration,
        watch: Option<&Watch>,
    ) -> Result<Response<Incoming>, SendError> {
        let Link { sender, connection, finished, alarm, bound, .. } = self;
        bound.set(MOST_READ);
        let answer = sender.try_send_request(request);
        // The answer's error says more than the connection's, so the connection's own end is only noted.
        let turn = |turn: Turn<'_, '_>| {
            match turn {
                Turn::Drive(cx) => drive(connection, finished, cx),
                Turn::Drop => *connection = None,
            }
            *finished
        };
        let head = head::of(answer, turn, alarm, limit, watch).await;
        match (bound.lift(), head) {
            (true, Err(SendError::Broken(_))) => Err(SendError::Flood),
            (_, head) => head,
        }
    }

    /// Moves bytes. The waker is woken when there is more to do.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.connection, &mut self.finished, cx);
    }

    /// Whether nothing moves on it any more.
    pub(super) fn has_ended(&self) -> bool {
        self.finished
    }

    /// The connection after it switched protocols; None where it broke first. `held` lasts as long as it does.
    pub(super) async fn into_tunnel(self: Box<Self>, held: impl Send + 'static) -> Option<Tunnel> {
        let Link { connection, finished, _slot: slot, .. } = *self;
        let mut connection = connection?;
        if !finished {
            // Nothing is waited for: hyper lets go of it right behind the head.
            Pin::new(&mut connection).await.ok()?;
        }
        let parts = connection.into_parts();
        Some(Tunnel::new(parts.read_buf, parts.io.into_inner().into_inner().into_inner(), (slot, held)))
    }

    /// Whether it is still open and free for another request, looked at without waiting.
    pub(super) fn is_idle(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.is_open() && self.sender.is_ready()
    }

    /// Lets the connection settle after an answer's end, within the task that used it, and says whether it can be kept.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        self.is_open() && matches!(self.sender.poll_ready(cx), Poll::Ready(Ok(())))
    }

    fn is_open(&self) -> bool {
        !self.finished && !self.deaf.load(Ordering::Relaxed)
    }
}

/// Moves bytes, and notes the end.
fn drive(connection: &mut Option<impl Future + Unpin>, finished: &mut bool, cx: &mut Context<'_>) {
    if let Some(connection) = connection
        && !*finished
    {
        *finished = Pin::new(connection).poll(cx).is_ready();
    }
}
