//! The client that sends its body: the time it takes for that is its own, and not that of whatever reads the body.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use policy::exchange::{BoxError, RequestBody};
use policy::ports::Clock;
use policy::{Body, Exchange};

/// When nothing more was to be waited for from the client. Times are the clock's monotonic nanoseconds.
pub(super) struct Sending {
    clock: Arc<dyn Clock>,
    /// When its last piece came.
    since: AtomicU64,
    /// The next piece was asked for, and has not come.
    waits: AtomicBool,
}

impl Sending {
    /// From here on, the body of this request is looked at as it comes.
    pub(super) fn of(exchange: &mut Exchange) -> Arc<Sending> {
        let clock = exchange.environment().clock.clone();
        let since = AtomicU64::new(clock.monotonic_nanos());
        let sending = Arc::new(Sending { clock, since, waits: AtomicBool::new(false) });
        if let RequestBody::Stream(body) = &mut exchange.request.body
            && !body.is_end_stream()
        {
            *body = Body::stream(Watched { body: std::mem::take(body), sending: sending.clone() });
        }
        sending
    }

    /// For how long the client has had no part in it that a request takes.
    pub(super) fn others_take(&self) -> u64 {
        match self.waits.load(Ordering::Relaxed) {
            true => 0,
            false => self.clock.monotonic_nanos().saturating_sub(self.since.load(Ordering::Relaxed)),
        }
    }
}

struct Watched {
    body: Body,
    sending: Arc<Sending>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let Sending { clock, since, waits } = &*self.sending;
        // Only after it was waited for: whoever takes his time before he asks for what is there already is not the client.
        if waits.swap(polled.is_pending(), Ordering::Relaxed) && polled.is_ready() {
            since.store(clock.monotonic_nanos(), Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
