//! A request's body as it comes: a client that stops sending does not hold the request for ever.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use policy::Body;
use policy::exchange::BoxError;

use crate::idle::IdleLimit;
use crate::metrics::ListenerMetrics;
use crate::{tasks, trailers};

/// Whether something of a request's body was left unread, for the close of its connection: known once nobody wants the body
/// any more, until the head of another request is waited for.
#[derive(Clone, Default)]
pub(crate) struct Unread(Arc<Known>);

#[derive(Default)]
struct Known {
    unread: AtomicBool,
    switched: AtomicBool,
}

impl Unread {
    pub(super) fn get(&self) -> bool {
        self.0.unread.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, unread: bool) {
        self.0.unread.store(unread, Ordering::Relaxed);
    }

    /// The connection switches protocols: what comes on it is no request any more, and whoever it is joined to wants all of it.
    pub(super) fn switches(&self) {
        self.0.switched.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_switched(&self) -> bool {
        self.0.switched.load(Ordering::Relaxed)
    }
}

/// What is left of a body that nobody reads is read and thrown away, up to so much and for so long: then its connection can be used
/// again. It would else close behind the answer, perhaps under the next request.
const REST: usize = 64 * 1024;
/// See [`REST`].
const PATIENCE: Duration = Duration::from_secs(2);

struct Received {
    /// Until it goes.
    incoming: Option<Incoming>,
    ended: bool,
    /// What is left of it may be thrown away.
    empties: bool,
    unread: Unread,
    /// Where what comes is counted.
    counters: Option<Arc<ListenerMetrics>>,
    // `Sync`, which bodies must be; only `get_mut` is used, so nothing is ever waited for.
    idle: Mutex<IdleLimit>,
}

/// The request's body. `limit`: how long the client may send nothing in the middle of it.
pub(crate) fn receive(incoming: Incoming, limit: Duration) -> Body {
    receive_and_tell(incoming, limit, false, &Unread::default(), None)
}

/// The request's body, which tells where it was not read to its end. `empties`: what is left of it comes in any case, on a connection
/// that has another request behind it.
pub(super) fn receive_and_tell(
    incoming: Incoming,
    limit: Duration,
    empties: bool,
    unread: &Unread,
    counters: Option<&Arc<ListenerMetrics>>,
) -> Body {
    if incoming.is_end_stream() {
        return Body::Empty;
    }
    let (idle, counters) = (Mutex::new(IdleLimit::new(limit)), counters.cloned());
    Body::stream(Received { incoming: Some(incoming), ended: false, empties, unread: unread.clone(), counters, idle })
}

async fn throw_away(mut incoming: Incoming) {
    let mut left = REST;
    let all = async {
        while let Some(Ok(frame)) = incoming.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(fewer) => left = fewer,
                None => return,
            }
        }
    };
    // Either way it is over: the connection closes where something is left.
    let _ = tokio::time::timeout(PATIENCE, all).await;
}

impl Drop for Received {
    fn drop(&mut self) {
        if !self.ended && !self.is_end_stream() {
            self.unread.set(true);
            if let Some(incoming) = self.incoming.take().filter(|_| self.empties) {
                tasks::spawn_if_running(throw_away(incoming));
            }
        }
    }
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        let idle = this.idle.get_mut().unwrap_or_else(PoisonError::into_inner);
        loop {
            return match Pin::new(&mut *incoming).poll_frame(cx) {
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
        self.incoming.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint)
    }
}
