//! A body that must have ended by a time: `max_stream`.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use policy::Body;
use policy::exchange::BoxError;
use store::alarm::Alarm;
use tokio::time::Instant;

/// The body, broken off at this time: whoever reads it is not to take it for whole.
pub(super) fn until(body: Body, end: Instant) -> Body {
    match body {
        Body::Stream(_) => Body::stream(Until { body, end: Mutex::new(Alarm::at(end)) }),
        whole => whole,
    }
}

struct Until {
    body: Body,
    // `Sync`, which bodies must be; only `get_mut` is used, so nothing is ever waited for.
    end: Mutex<Alarm>,
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let end = self.end.get_mut().unwrap_or_else(PoisonError::into_inner);
        match end.poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err("the time of the stream is over: `max_stream`".into()))),
            Poll::Pending => Pin::new(&mut self.body).poll_frame(cx),
        }
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
    use std::time::Duration;

    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_streams_is_broken_off_at_its_time() {
        let events = futures_util::stream::unfold(0, |count| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"x"))), count + 1))
        });
        // `Sync` though the stream is not.
        let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(futures_util::StreamExt::for_each(events, move |event| {
            let _ = send.send(event);
            std::future::ready(())
        }));
        let events = futures_util::stream::poll_fn(move |cx| receive.poll_recv(cx));
        let mut body = until(Body::stream(StreamBody::new(events)), Instant::now() + Duration::from_millis(3500));
        let mut seen = 0;
        let last = loop {
            match body.frame().await {
                Some(Ok(_)) => seen += 1,
                other => break other,
            }
        };
        assert!(matches!(last, Some(Err(_))) && seen == 3, "{seen}");
        let whole = until(Body::from(String::from("all")), Instant::now());
        assert_eq!(whole.collect(10).await.ok(), Some(Bytes::from_static(b"all")));
    }
}
