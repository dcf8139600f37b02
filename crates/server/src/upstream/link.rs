//! One connection to an upstream, driven by whoever uses it.
//!
//! The usual way is a task for each connection and channels between it and the request. Here the request's own task polls the
//! connection: nothing is woken across tasks, a client that goes away takes its connection along, and an idle connection is
//! looked at (is it closed?) when it is taken out of the pool, and by a sweep now and then.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::sent::Sent;

/// A connection and the handle that sends on it.
pub(super) struct Link {
    sender: SendRequest<Sent>,
    connection: Connection<TokioIo<TcpStream>, Sent>,
    finished: bool,
}

/// Why an exchange on a link failed before the head of the answer.
pub(super) struct SendFailure {
    /// The error as hyper has it; its text is for the log.
    pub(super) error: hyper::Error,
    /// The request, where not one byte of it was written.
    pub(super) unsent: Option<Request<Sent>>,
}

impl Link {
    /// HTTP/1.1 over this stream.
    pub(super) async fn over(stream: TcpStream) -> hyper::Result<Box<Link>> {
        let (sender, connection) = Builder::new().handshake(TokioIo::new(stream)).await?;
        Ok(Box::new(Link { sender, connection, finished: false }))
    }

    /// Sends a request and gives the head of its answer; the body comes while [`drive`](Self::drive) is called.
    pub(super) async fn send(&mut self, request: Request<Sent>) -> Result<Response<Incoming>, SendFailure> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let (connection, finished) = (&mut self.connection, &mut self.finished);
        std::future::poll_fn(|cx| {
            // The answer's error says more than the connection's, so the connection's own end is only noted.
            if !*finished {
                *finished = Pin::new(&mut *connection).poll(cx).is_ready();
            }
            answer.as_mut().poll(cx).map_err(|mut e| SendFailure { unsent: e.take_message(), error: e.into_error() })
        })
        .await
    }

    /// Moves bytes. The waker is woken when there is more to do.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.finished {
            self.finished = Pin::new(&mut self.connection).poll(cx).is_ready();
        }
    }

    /// Whether it is still open and free for another request, looked at without waiting.
    pub(super) fn is_idle(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.finished && self.sender.is_ready()
    }

    /// Lets the connection settle after an answer's end, within the task that used it, and says whether it can be kept.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        !self.finished && matches!(self.sender.poll_ready(cx), Poll::Ready(Ok(())))
    }
}
