//! A request's body as it comes: a client that stops sending does not hold the request for ever.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use policy::Body;
use policy::exchange::BoxError;

use crate::idle::IdleLimit;
use crate::metrics::ListenerMetrics;
use crate::trailers;

/// Whether something of a request's body was left unread, for the close of its connection: known once nobody wants the body
/// any more, until the head of another request is waited for.
#[derive(Clone, Default)]
pub(crate) struct Unread(Arc<AtomicBool>);

impl Unread {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, unread: bool) {
        self.0.store(unread, Ordering::Relaxed);
    }
}

struct Received {
    incoming: Incoming,
    ended: bool,
    unread: Unread,
    /// Where what comes is counted.
    counters: Option<Arc<ListenerMetrics>>,
    // `Sync`, which bodies must be; only `get_mut` is used, so nothing is ever waited for.
    idle: Mutex<IdleLimit>,
}

/// The request's body. `limit`: how long the client may send nothing in the middle of it.
pub(crate) fn receive(incoming: Incoming, limit: Duration) -> Body {
    receive_and_tell(incoming, limit, &Unread::default(), None)
}

/// The request's body, which tells where it was not read to its end.
pub(super) fn receive_and_tell(
    incoming: Incoming,
    limit: Duration,
    unread: &Unread,
    counters: Option<Arc<ListenerMetrics>>,
) -> Body {
    if incoming.is_end_stream() {
        return Body::Empty;
    }
    let idle = Mutex::new(IdleLimit::new(limit));
    Body::stream(Received { incoming, ended: false, unread: unread.clone(), counters, idle })
}

impl Drop for Received {
    fn drop(&mut self) {
        if !self.ended && !self.incoming.is_end_stream() {
            self.unread.set(true);
        }
    }
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
                    match frame.into_trailers() {
                        Ok(mut fields) => {
                            trailers::clean(&mut fields);
                            if fields.is_empty() {
                                continue;
                            }
                            Poll::Ready(Some(Ok(Frame::trailers(fields))))
                        }
                        Err(data) => {
                            if let Some(counters) = &this.counters {
                                counters.received(data.data_ref().map_or(0, |data| data.len() as u64));
                            }
                            Poll::Ready(Some(Ok(data)))
                        }
                    }
                }
                Poll::Ready(other) => {
                    this.ended = other.is_none();
                    Poll::Ready(other.map(|frame| frame.map_err(Into::into)))
                }
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
