//! The body of an upstream's answer, with the connection that it comes over.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use policy::Body;
use policy::exchange::BoxError;
use policy::ports::Clock;

use super::link::Link;
use super::pool::Pool;
use crate::idle::IdleLimit;
use crate::trailers;

/// A body that comes while it is asked for, and gives its connection back at its end.
struct Answer {
    first: Option<Frame<Bytes>>,
    failure: Option<BoxError>,
    incoming: Incoming,
    link: Option<Box<Link>>,
    home: Home,
    idle: IdleLimit,
}

/// Where the connection goes at the end.
pub(super) struct Home {
    pub(super) pool: Arc<Pool>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Makes the body: in memory where all of it is there already, which spares small answers a stream.
pub(super) async fn body(incoming: Incoming, link: Box<Link>, home: Home, idle: Duration) -> Body {
    let mut answer =
        Answer { first: None, failure: None, incoming, link: Some(link), home, idle: IdleLimit::new(idle) };
    let complete = std::future::poll_fn(|cx| Poll::Ready(answer.take_what_is_there(cx))).await;
    match complete {
        Some(bytes) => bytes.into(),
        None => {
            Body::stream(Shared { size: answer.size_hint(), ended: answer.has_ended(), answer: Mutex::new(answer) })
        }
    }
}

impl Answer {
    /// The whole body, where it has come already; else what came is kept as the first frame.
    fn take_what_is_there(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        if self.incoming.is_end_stream() {
            self.give_back(cx);
            return Some(Bytes::new());
        }
        match self.poll_incoming(cx) {
            Poll::Ready(None) => {
                self.give_back(cx);
                Some(Bytes::new())
            }
            Poll::Ready(Some(Ok(frame))) => {
                let frame = match frame.into_data() {
                    Ok(data) if self.incoming.is_end_stream() => {
                        self.give_back(cx);
                        return Some(data);
                    }
                    Ok(data) => Frame::data(data),
                    Err(other) => other,
                };
                self.first = Some(frame);
                None
            }
            Poll::Ready(Some(Err(e))) => {
                self.link = None;
                self.failure = Some(e.into());
                None
            }
            Poll::Pending => None,
        }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // The body must be asked first: that is what makes the connection read on.
        if let ready @ Poll::Ready(_) = Pin::new(&mut self.incoming).poll_frame(cx) {
            return ready;
        }
        if let Some(link) = &mut self.link {
            link.drive(cx);
        }
        Pin::new(&mut self.incoming).poll_frame(cx)
    }

    fn give_back(&mut self, cx: &mut Context<'_>) {
        if let Some(mut link) = self.link.take()
            && link.settle(cx)
        {
            self.home.pool.give(link, self.home.clock.monotonic_nanos());
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(first) = self.first.take() {
            if let Some(frame) = passed_on(first) {
                return Poll::Ready(Some(Ok(frame)));
            }
        }
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        loop {
            match self.poll_incoming(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.idle.moved();
                    let Some(frame) = passed_on(frame) else { continue };
                    if self.incoming.is_end_stream() {
                        self.give_back(cx);
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Some(Err(e))) => {
                    // Told at the next poll: an error makes hyper drop what it has not written yet, and the client is to have
                    // all that came before.
                    self.link = None;
                    self.failure = Some(e.into());
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(None) => {
                    self.give_back(cx);
                    return Poll::Ready(None);
                }
                Poll::Pending if self.idle.passed(cx) => {
                    self.link = None;
                    return Poll::Ready(Some(Err("the upstream sent nothing more: `timeouts.idle` passed".into())));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Whether nothing comes any more, trailers neither.
    fn has_ended(&self) -> bool {
        self.first.is_none() && self.failure.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.incoming.size_hint();
        let first = self.first.as_ref().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + first);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + first);
        }
        hint
    }
}

/// A piece of a body as it goes on; none where nothing of it may.
fn passed_on(frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
    match frame.into_trailers() {
        Ok(mut fields) => {
            trailers::clean(&mut fields);
            (!fields.is_empty()).then(|| Frame::trailers(fields))
        }
        Err(data) => Some(data),
    }
}

/// hyper's connection is not `Sync`, which bodies must be. The lock is never waited for: only `get_mut` is used.
struct Shared {
    answer: Mutex<Answer>,
    size: SizeHint,
    ended: bool,
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let answer = this.answer.get_mut().unwrap_or_else(PoisonError::into_inner);
        let polled = answer.poll(cx);
        (this.size, this.ended) = (answer.size_hint(), answer.has_ended());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}
