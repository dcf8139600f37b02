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

use super::deaf::Deaf;
use super::head::{self, SendError};
use super::sent::{Sent, Watch};
use super::slots::Slot;
use super::stream::Stream;
use crate::joined::Joined;
use crate::tunnel::Tunnel;

/// The most bytes of an answer's head, and of what is read at once.
const MOST_READ: usize = 256 * 1024;

/// A connection and the handle that sends on it.
pub(super) struct Link {
    sender: SendRequest<Sent>,
    connection: Connection<TokioIo<Deaf<Joined<Stream>>>, Sent>,
    finished: bool,
    /// The upstream has stopped reading: no other request may go on it.
    deaf: Arc<AtomicBool>,
    /// Of the last request, for the next.
    alarm: Alarm,
    _slot: Slot,
}

impl Link {
    /// HTTP/1.1 over this stream.
    pub(super) async fn over(stream: Stream, slot: Slot) -> hyper::Result<Box<Link>> {
        let (stream, deaf) = Deaf::new(Joined::new(stream));
        let (sender, connection) = Builder::new().max_buf_size(MOST_READ).handshake(TokioIo::new(stream)).await?;
        let alarm = Alarm::at(Instant::now());
        Ok(Box::new(Link { sender, connection, finished: false, deaf, alarm, _slot: slot }))
    }

    /// Sends a request and gives the head of its answer; the body comes while [`drive`](Self::drive) is called.
    pub(super) async fn send(
        &mut self,
        request: Request<Sent>,
        limit: Duration,
        watch: Option<&Watch>,
    ) -> Result<Response<Incoming>, SendError> {
        let Link { sender, connection, finished, alarm, .. } = self;
        let answer = sender.try_send_request(request);
        // The answer's error says more than the connection's, so the connection's own end is only noted.
        let drive = |cx: &mut Context<'_>| {
            if !*finished {
                *finished = Pin::new(&mut *connection).poll(cx).is_ready();
            }
        };
        head::of(answer, drive, alarm, limit, watch).await
    }

    /// Moves bytes. The waker is woken when there is more to do.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.finished {
            self.finished = Pin::new(&mut self.connection).poll(cx).is_ready();
        }
    }

    /// The connection after it switched protocols; None where it broke first. `held` lasts as long as it does.
    pub(super) async fn into_tunnel(self: Box<Self>, held: impl Send + 'static) -> Option<Tunnel> {
        let Link { mut connection, finished, _slot: slot, .. } = *self;
        if !finished {
            // Nothing is waited for: hyper lets go of it right behind the head.
            Pin::new(&mut connection).await.ok()?;
        }
        let parts = connection.into_parts();
        Some(Tunnel::new(parts.read_buf, parts.io.into_inner().into_inner(), (slot, held)))
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
