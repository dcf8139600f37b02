//! One HTTP/1.1 connection to an upstream, driven by whoever uses it (RFC 9112).
//!
//! The request's own task writes and reads: nothing is woken across tasks, a client that goes away takes its connection along, and
//! an idle connection is looked at (is it closed?) when it is taken out of the pool, and by a sweep now and then. It holds no buffer
//! while it lies idle. Why it is not hyper's: [decision 57](../../../../docs/decisions/0057-a-connection-to-an-upstream-of-our-own.md).
//!
//! [`output`] writes a request, [`input`] reads its answer, [`parse`] knows what a head says.

mod input;
mod output;
mod parse;

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use policy::exchange::BoxError;
use store::alarm::Alarm;
use tokio::time::Instant;

use self::input::Input;
use self::output::Output;
use super::head::{self, SendError};
use super::outgoing::{Aim, Outgoing};
use super::slots::Slot;
use super::stream::Stream;
use crate::tunnel::Tunnel;

/// A connection.
pub(super) struct Link {
    stream: Stream,
    output: Output,
    input: Input,
    /// Of the last request, for the next.
    alarm: Alarm,
    slot: Slot,
}

impl Link {
    /// HTTP/1.1 over this stream.
    pub(super) fn over(stream: Stream, slot: Slot) -> Box<Link> {
        let (output, input) = (Output::default(), Input::default());
        Box::new(Link { stream, output, input, alarm: Alarm::at(Instant::now()), slot })
    }

    /// Sends a request and gives the head of its answer. Its body is there afterwards where nothing of the request was written.
    pub(super) async fn send(&mut self, request: &mut Outgoing, aim: Aim<'_>) -> Result<Response<()>, SendError> {
        // It may have been closed since it was looked at.
        if !self.is_quiet() {
            let why = String::from("the connection was closed before the request");
            return Err(SendError::Broken { why, unsent: true });
        }
        let Link { stream, output, input, alarm, .. } = self;
        input.expect(&request.parts.method);
        output.begin(request, aim);
        let answer = |cx: &mut Context<'_>| {
            if let Err(why) = output.poll(cx, stream) {
                let why = format!("the request could not be written: {why}");
                return Poll::Ready(Err(SendError::Broken { why, unsent: !output.has_begun() }));
            }
            let head = ready!(input.poll_head(cx, stream));
            Poll::Ready(head.map_err(|error| match error {
                // The other side closed before it could read anything.
                SendError::Broken { why, .. } if !output.has_begun() => SendError::Broken { why, unsent: true },
                error => error,
            }))
        };
        head::of(answer, alarm, aim).await
    }

    /// The next piece of the answer's body; what is left of the request goes meanwhile.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Link { stream, output, input, .. } = self;
        if let Err(why) = output.poll(cx, stream) {
            return Poll::Ready(Some(Err(why)));
        }
        input.poll_frame(cx, stream)
    }

    /// Whether all of the answer was given.
    pub(super) fn is_end_stream(&self) -> bool {
        self.input.is_end_stream()
    }

    /// How much of its body is to come.
    pub(super) fn size_hint(&self) -> SizeHint {
        self.input.size_hint()
    }

    /// The connection after it switched protocols. `held` lasts as long as it does.
    pub(super) fn into_tunnel(self: Box<Self>, held: impl Send + 'static) -> Tunnel {
        let Link { stream, input, slot, .. } = *self;
        Tunnel::new(input.into_rest(), stream, (slot, held))
    }

    /// Whether it is still open and free for another request, looked at without waiting.
    pub(super) fn is_idle(&mut self) -> bool {
        self.is_free() && self.is_quiet()
    }

    /// Whether nothing has come unasked and the other side has not closed.
    fn is_quiet(&mut self) -> bool {
        self.input.is_empty() && self.stream.is_silent()
    }

    /// Whether it can be kept for the next request, behind an answer's end.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>) -> bool {
        self.output.poll(cx, &mut self.stream).is_ok() && self.is_free()
    }

    fn is_free(&self) -> bool {
        self.output.is_free() && self.input.is_free()
    }
}
