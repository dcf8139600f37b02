//! One connection to an upstream, driven by whoever uses it.
//!
//! The usual way is a task for each connection and channels between it and the request. Here the request's own task polls the
//! connection: nothing is woken across tasks, a client that goes away takes its connection along, and an idle connection is
//! looked at (is it closed?) when it is taken out of the pool, and by a sweep now and then.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use store::alarm::Alarm;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::deaf::Deaf;
use super::sent::{Sent, Watch};
use crate::joined::Joined;
use crate::tunnel::Tunnel;

/// A connection and the handle that sends on it.
pub(super) struct Link {
    sender: SendRequest<Sent>,
    connection: Connection<TokioIo<Deaf<Joined<TcpStream>>>, Sent>,
    finished: bool,
    /// The upstream has stopped reading: no other request may go on it.
    deaf: Arc<AtomicBool>,
    /// Of the last request, for the next.
    alarm: Alarm,
}

/// Why there is no head of an answer.
pub(super) enum SendError {
    /// The upstream was silent for the whole limit.
    Late,
    /// The connection broke, or spoke no HTTP.
    Broken(Box<Broken>),
}

/// How an exchange on a link broke before the head of the answer.
pub(super) struct Broken {
    /// The error as hyper has it; its text is for the log.
    pub(super) error: hyper::Error,
    /// The request, where not one byte of it was written.
    pub(super) unsent: Option<Request<Sent>>,
}

impl Link {
    /// HTTP/1.1 over this stream.
    pub(super) async fn over(stream: TcpStream) -> hyper::Result<Box<Link>> {
        let (stream, deaf) = Deaf::new(Joined::new(stream));
        let (sender, connection) = Builder::new().handshake(TokioIo::new(stream)).await?;
        Ok(Box::new(Link { sender, connection, finished: false, deaf, alarm: Alarm::at(Instant::now()) }))
    }

    /// Sends a request and gives the head of its answer; the body comes while [`drive`](Self::drive) is called. The limit is the
    /// upstream's: it starts anew whenever a piece of a watched body goes, and how long the client may pause is for its listener
    /// to say.
    pub(super) async fn send(
        &mut self,
        request: Request<Sent>,
        limit: Duration,
        watch: Option<&Watch>,
    ) -> Result<Response<Incoming>, SendError> {
        let Link { sender, connection, finished, alarm, .. } = self;
        let mut answer = pin!(sender.try_send_request(request));
        let mut steps = watch.map(Watch::steps);
        alarm.set(Instant::now() + limit);
        std::future::poll_fn(|cx| {
            // The answer's error says more than the connection's, so the connection's own end is only noted.
            if !*finished {
                *finished = Pin::new(&mut *connection).poll(cx).is_ready();
            }
            if let Poll::Ready(answered) = answer.as_mut().poll(cx) {
                return Poll::Ready(answered.map_err(|mut failed| {
                    let unsent = failed.take_message();
                    SendError::Broken(Box::new(Broken { unsent, error: failed.into_error() }))
                }));
            }
            let before = std::mem::replace(&mut steps, watch.map(Watch::steps));
            if before != steps {
                alarm.set(Instant::now() + limit);
            }
            while alarm.poll(cx).is_ready() {
                if !watch.is_some_and(Watch::waits_for_the_client) {
                    return Poll::Ready(Err(SendError::Late));
                }
                alarm.set(Instant::now() + limit);
            }
            Poll::Pending
        })
        .await
    }

    /// Moves bytes. The waker is woken when there is more to do.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.finished {
            self.finished = Pin::new(&mut self.connection).poll(cx).is_ready();
        }
    }

    /// The connection after it switched protocols; None where it broke first.
    pub(super) async fn into_tunnel(self: Box<Self>) -> Option<Tunnel> {
        let Link { mut connection, finished, .. } = *self;
        if !finished {
            // Nothing is waited for: hyper lets go of it right behind the head.
            Pin::new(&mut connection).await.ok()?;
        }
        let parts = connection.into_parts();
        Some(Tunnel::new(parts.read_buf, parts.io.into_inner().into_inner()))
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
