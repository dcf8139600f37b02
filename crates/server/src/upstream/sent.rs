//! A request's body on its way to an upstream: watched, so that a client that stops sending is not blamed on the upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body::{Body as HttpBody, Frame, SizeHint};
use policy::Body;
use policy::exchange::BoxError;

/// The body that is sent.
#[derive(Default)]
pub(super) struct Sent {
    body: Body,
    watch: Option<Arc<Watch>>,
    announced: Vec<HeaderName>,
}

/// What is known of a streaming body while it goes.
#[derive(Default)]
pub(super) struct Watch {
    steps: AtomicU64,
    waiting: AtomicBool,
    failed: AtomicBool,
}

impl Watch {
    /// How many pieces went so far; its end is one too.
    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Whether the next piece has been asked for and has not come: then the client is waited for, and else the upstream.
    pub(super) fn waits_for_the_client(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether it broke off on the client's side.
    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn polled<T>(&self, polled: &Poll<Option<Result<T, BoxError>>>) {
        self.waiting.store(polled.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(piece) = polled {
            self.steps.fetch_add(1, Ordering::Relaxed);
            if matches!(piece, Some(Err(_))) {
                self.failed.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl Sent {
    /// Wraps a body; one that streams is watched.
    pub(super) fn new(body: Body) -> (Sent, Option<Arc<Watch>>) {
        let watch = matches!(body, Body::Stream(_)).then(Arc::default);
        (Sent { body, watch: watch.clone(), announced: Vec::new() }, watch)
    }

    /// The trailers that may come after it: no others go.
    pub(super) fn announces(&mut self, names: Vec<HeaderName>) {
        self.announced = names;
    }

    /// A piece as it goes; none where nothing of it may.
    fn passed_on(&self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let fields = match frame.into_trailers() {
            Ok(fields) => fields,
            Err(data) => return Some(data),
        };
        let mut left = HeaderMap::new();
        for name in &self.announced {
            for value in fields.get_all(name) {
                left.append(name, value.clone());
            }
        }
        (!left.is_empty()).then(|| Frame::trailers(left))
    }

    /// Whether something may come after its last byte: it streams, and nobody knows for how long.
    pub(super) fn may_have_trailers(&self) -> bool {
        matches!(self.body, Body::Stream(_)) && self.body.size_hint().exact().is_none()
    }

    /// A second copy, where the body is in memory: for one more try.
    pub(super) fn copy(&self) -> Option<Sent> {
        let body = match &self.body {
            Body::Empty => Body::Empty,
            Body::Full(bytes) => Body::Full(bytes.clone()),
            Body::Stream(_) => return None,
        };
        Some(Sent { body, watch: None, announced: Vec::new() })
    }
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let polled = Pin::new(&mut self.body).poll_frame(cx);
            if let Some(watch) = &self.watch {
                watch.polled(&polled);
            }
            let Poll::Ready(Some(Ok(frame))) = polled else { return polled };
            if let Some(frame) = self.passed_on(frame) {
                return Poll::Ready(Some(Ok(frame)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
