//! The time that a request may take in all, where the operator set one.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use policy::Body;
use policy::exchange::BoxError;
use store::alarm::Alarm;
use tokio::time::Instant;

/// Until when; none = for ever.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    end: Option<Instant>,
    /// What whoever reads a body that breaks off is told.
    why: &'static str,
}

impl Deadline {
    /// So long from now.
    pub(super) fn after(limit: Option<Duration>) -> Self {
        let end = limit.map(|limit| Instant::now() + limit);
        Deadline { end, why: "the request took longer than `request_timeout`" }
    }

    /// This time, for this reason.
    pub(super) fn at(end: Instant, why: &'static str) -> Self {
        Deadline { end: Some(end), why }
    }

    /// What comes of it; `None` where it takes too long. It is lent and not given: a future is copied wherever it is moved, and has room for
    /// each place that it is moved to.
    pub(super) async fn keep<F: Future>(self, work: Pin<&mut F>) -> Option<F::Output> {
        match self.end {
            Some(end) => tokio::time::timeout_at(end, work).await.ok(),
            None => Some(work.await),
        }
    }

    /// The body, which breaks off where it takes too long.
    pub(super) fn end(self, body: Body) -> Body {
        match self.end {
            Some(end) if !body.is_end_stream() => {
                Body::stream(Until { body, end: Mutex::new(Alarm::at(end)), why: self.why })
            }
            _ => body,
        }
    }
}

struct Until {
    body: Body,
    // `Sync`, which bodies must be; only `get_mut` is used, so nothing is ever waited for.
    end: Mutex<Alarm>,
    why: &'static str,
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let end = self.end.get_mut().unwrap_or_else(PoisonError::into_inner);
        if end.poll(cx).is_ready() {
            return Poll::Ready(Some(Err(self.why.into())));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    /// A piece a second.
    struct Slow(Pin<Box<tokio::time::Sleep>>, usize);

    impl HttpBody for Slow {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            if self.1 == 0 {
                return Poll::Ready(None);
            }
            std::task::ready!(self.0.as_mut().poll(cx));
            self.0 = Box::pin(tokio::time::sleep(Duration::from_secs(1)));
            self.1 -= 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    async fn received(pieces: usize, limit: Option<Duration>) -> Result<usize, String> {
        let slow = Slow(Box::pin(tokio::time::sleep(Duration::ZERO)), pieces);
        let body = Deadline::after(limit).end(Body::stream(slow));
        body.collect(100).await.map(|all| all.len()).map_err(|why| format!("{why:?}"))
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_breaks_off() {
        assert_eq!(received(3, Some(LIMIT)).await, Ok(3));
        assert_eq!(received(30, None).await, Ok(30));
        assert!(received(30, Some(LIMIT)).await.unwrap_err().contains("request_timeout"));
        assert_eq!(Deadline::after(Some(LIMIT)).keep(pin!(std::future::pending::<()>())).await, None);
        assert_eq!(Deadline::after(None).keep(pin!(async { 1 })).await, Some(1));
    }
}
