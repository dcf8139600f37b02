//! A request's body as it comes: a client that stops sending does not hold the request for ever.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use policy::Body;
use policy::exchange::BoxError;

use crate::idle::IdleLimit;

struct Received {
    incoming: Incoming,
    // `Sync`, which bodies must be; only `get_mut` is used, so nothing is ever waited for.
    idle: Mutex<IdleLimit>,
}

/// The request's body. `limit`: how long the client may send nothing in the middle of it.
pub(crate) fn receive(incoming: Incoming, limit: Duration) -> Body {
    if incoming.is_end_stream() {
        return Body::Empty;
    }
    Body::stream(Received { incoming, idle: Mutex::new(IdleLimit::new(limit)) })
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let idle = this.idle.get_mut().unwrap_or_else(PoisonError::into_inner);
        loop {
            return match Pin::new(&mut this.incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    idle.moved();
                    // Trailers are never believed: nothing of them was checked.
                    if !frame.is_data() {
                        continue;
                    }
                    Poll::Ready(Some(Ok(frame)))
                }
                Poll::Ready(other) => Poll::Ready(other.map(|frame| frame.map_err(Into::into))),
                Poll::Pending if idle.passed(cx) => Poll::Ready(Some(Err("the client sent nothing more".into()))),
                Poll::Pending => Poll::Pending,
            };
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
