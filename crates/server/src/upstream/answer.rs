//! The body of an upstream's answer, with the connection that it comes over.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use policy::Body;
use policy::exchange::BoxError;
use store::alarm::Alarm;
use tokio::time::Instant;

use super::Going;
use super::eject::Ending;
use super::endpoint::Carrier;
use crate::idle::IdleLimit;
use crate::trailers;

/// A body that comes while it is asked for, and gives its connection back at its end.
struct Answer {
    first: Option<Frame<Bytes>>,
    failure: Option<BoxError>,
    incoming: Incoming,
    /// What it comes over, and who is told how it ended; nothing once it has.
    under_way: Option<(Carrier, Going)>,
    idle: IdleLimit,
    whole: Option<Alarm>,
    ending: Ending,
}

/// What bounds a body in time.
pub(super) struct Bounds {
    /// Between two pieces.
    pub(super) idle: Duration,
    /// The end of all.
    pub(super) until: Option<Instant>,
}

/// Makes the body: in memory where all of it is there already, which spares small answers a stream. `ending` is what is said of the
/// target where all of it comes.
pub(super) async fn body(incoming: Incoming, carrier: Carrier, going: Going, bounds: Bounds, ending: Ending) -> Body {
    let idle = IdleLimit::new(bounds.idle);
    let whole = bounds.until.map(Alarm::at);
    let under_way = Some((carrier, going));
    let mut answer = Answer { first: None, failure: None, incoming, under_way, idle, whole, ending };
    let complete = std::future::poll_fn(|cx| Poll::Ready(answer.take_what_is_there(cx))).await;
    match complete {
        Some(bytes) => bytes.into(),
        None => Body::stream(Shared { size: answer.size_hint(), ended: false, answer: Mutex::new(answer) }),
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
                if self.incoming.is_end_stream() && frame.is_data() {
                    self.give_back(cx);
                    return frame.into_data().ok();
                }
                self.first = Some(frame);
                None
            }
            Poll::Ready(Some(Err(e))) => {
                self.broke(e.into());
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
        if let Some((Carrier::Link(link), _)) = &mut self.under_way {
            link.drive(cx);
        }
        Pin::new(&mut self.incoming).poll_frame(cx)
    }

    /// All of it came.
    fn give_back(&mut self, cx: &mut Context<'_>) {
        let Some((carrier, going)) = self.under_way.take() else { return };
        if let Carrier::Link(mut link) = carrier
            && link.settle(cx)
        {
            going.keep(link);
        }
        going.ended(self.ending);
    }

    /// Not all of it came, and that is the upstream's fault. What it came over goes.
    fn broke(&mut self, why: BoxError) {
        self.failure = Some(why);
        if let Some((_, going)) = self.under_way.take() {
            going.ended(Ending::Fault);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(first) = self.first.take().and_then(passed_on) {
            return Poll::Ready(Some(Ok(first)));
        }
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        if self.under_way.is_some() && self.whole.as_mut().is_some_and(|whole| whole.poll(cx).is_ready()) {
            self.under_way = None;
            return Poll::Ready(Some(Err("the upstream did not come to an end: `timeouts.whole` passed".into())));
        }
        match self.poll_incoming(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.idle.moved();
                if self.incoming.is_end_stream() || frame.is_trailers() {
                    self.give_back(cx);
                }
                match passed_on(frame) {
                    Some(frame) => Poll::Ready(Some(Ok(frame))),
                    // Trailers of which nothing is left, and they were the last.
                    None => Poll::Ready(None),
                }
            }
            Poll::Ready(Some(Err(e))) => {
                // Told at the next poll: an error makes hyper drop what it has not written yet, and the client is to have all that
                // came before.
                self.broke(e.into());
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.give_back(cx);
                Poll::Ready(None)
            }
            // What is not there now does not come any more, whatever hyper waits for.
            Poll::Pending if self.is_cut_off() => {
                self.broke("the connection ended in the middle of the answer".into());
                Poll::Ready(self.failure.take().map(Err))
            }
            Poll::Pending if self.idle.passed(cx) => {
                self.broke("the upstream sent nothing more: `timeouts.idle` passed".into());
                Poll::Ready(self.failure.take().map(Err))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_cut_off(&self) -> bool {
        matches!(&self.under_way, Some((Carrier::Link(link), _)) if link.has_ended())
    }

    /// Whether there is nothing more to tell, trailers included.
    fn has_ended(&self) -> bool {
        self.under_way.is_none() && self.first.is_none() && self.failure.is_none()
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
        this.size = answer.size_hint();
        this.ended = answer.has_ended();
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}
