//! The body of an upstream's answer, with the connection that it comes over.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
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
///
/// # Errors
///
/// It is broken already, and nobody was told of the answer's head yet.
pub(super) fn body(carrier: Carrier, going: Going, bounds: Bounds, ending: Ending) -> Result<Body, BoxError> {
    let idle = IdleLimit::new(bounds.idle);
    let whole = bounds.until.map(Alarm::at);
    let under_way = Some((carrier, going));
    let mut answer = Answer { first: None, failure: None, under_way, idle, whole, ending };
    // Without waiting: where something is still to come, whoever reads the body asks again.
    Ok(match answer.take_what_is_there(&mut Context::from_waker(Waker::noop()))? {
        Some(bytes) => bytes.into(),
        None => Body::stream(answer),
    })
}

impl Answer {
    /// The whole body, where it has come already; else what came is kept as the first frame.
    fn take_what_is_there(&mut self, cx: &mut Context<'_>) -> Result<Option<Bytes>, BoxError> {
        if self.is_complete() {
            self.give_back(cx);
            return Ok(Some(Bytes::new()));
        }
        match self.poll_carrier(cx) {
            Poll::Ready(None) => {
                self.give_back(cx);
                Ok(Some(Bytes::new()))
            }
            Poll::Ready(Some(Ok(frame))) => {
                if self.is_complete() && frame.is_data() {
                    self.give_back(cx);
                    return Ok(frame.into_data().ok());
                }
                self.first = Some(frame);
                Ok(None)
            }
            Poll::Ready(Some(Err(why))) => {
                self.breaks();
                Err(why)
            }
            Poll::Pending => Ok(None),
        }
    }

    fn poll_carrier(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.under_way {
            Some((carrier, _)) => carrier.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    /// Whether nothing more comes.
    fn is_complete(&self) -> bool {
        self.under_way.as_ref().is_none_or(|(carrier, _)| carrier.is_end_stream())
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

    /// Not all of it came: whoever reads it is told.
    fn broke(&mut self, why: BoxError) {
        self.failure = Some(why);
        self.breaks();
    }

    /// Not all of it comes, and that is the upstream's fault. What it came over goes.
    fn breaks(&mut self) {
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
        match self.poll_carrier(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.idle.moved();
                if self.is_complete() || frame.is_trailers() {
                    self.give_back(cx);
                }
                match passed_on(frame) {
                    Some(frame) => Poll::Ready(Some(Ok(frame))),
                    // Trailers of which nothing is left, and they were the last.
                    None => Poll::Ready(None),
                }
            }
            Poll::Ready(Some(Err(why))) => {
                // Told at the next poll: an error makes hyper drop what it has not written yet, and the client is to have all that
                // came before.
                self.broke(why);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.give_back(cx);
                Poll::Ready(None)
            }
            Poll::Pending if self.idle.passed(cx) => {
                self.broke("the upstream sent nothing more: `timeouts.idle` passed".into());
                Poll::Ready(self.failure.take().map(Err))
            }
            Poll::Pending => Poll::Pending,
        }
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

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.poll(cx)
    }

    /// Whether there is nothing more to tell, trailers included.
    fn is_end_stream(&self) -> bool {
        self.under_way.is_none() && self.first.is_none() && self.failure.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.failure.is_some() {
            // How long it would have been is not known, and what came is not all of it.
            return SizeHint::new();
        }
        let rest = self.under_way.as_ref().map_or(SizeHint::with_exact(0), |(carrier, _)| carrier.size_hint());
        let first = self.first.as_ref().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + first);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + first);
        }
        hint
    }
}
