//! Limits of bodies: how much may be read into memory, and how much may stream by.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{Body, BoxError, Exchange, RequestBody};
use crate::outcome::{Abort, BAD_RESPONSE, BODY_TOO_LARGE, Reason};

/// How much of a body may still come. Whoever asked for the limit and the body that streams share it: a later limit holds from then
/// on, and that the body outgrew it is known also where an upstream's client sees an error and no more.
#[derive(Debug)]
pub(super) struct Allowance {
    limit: AtomicU64,
    outgrown: AtomicBool,
}

/// A body that ends with an error where it outgrows its allowance: what it already gave cannot be taken back.
struct Limited {
    body: Body,
    seen: u64,
    allowance: Arc<Allowance>,
}

impl Allowance {
    fn over(body: Body, limit: u64) -> (Arc<Allowance>, Body) {
        let allowance = Arc::new(Allowance { limit: AtomicU64::new(limit), outgrown: AtomicBool::new(false) });
        (allowance.clone(), Body::stream(Limited { body, seen: 0, allowance }))
    }
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            this.seen = this.seen.saturating_add(data.len() as u64);
            if this.seen > this.allowance.limit.load(Ordering::Relaxed) {
                this.allowance.outgrown.store(true, Ordering::Release);
                // Nothing more of it is read: whoever sends it learns that by the close.
                this.body = Body::Empty;
                return Poll::Ready(Some(Err("the body is larger than its limit".into())));
            }
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

impl Exchange {
    /// How many bytes of a request's body the engine reads into memory for filters.
    pub fn body_limit(&self) -> usize {
        self.body_limit
    }

    /// The same of a response's body.
    pub fn response_body_limit(&self) -> usize {
        self.response_body_limit
    }

    /// Another limit for the request's body, where filters read it and where it streams by. A body that is known to be larger is
    /// refused at once; one that turns out to be larger while it streams breaks off, and the filter that sent it on fails with
    /// [`BODY_TOO_LARGE`].
    pub fn limit_request_body(&mut self, bytes: u64) -> Result<(), Reason> {
        self.body_limit = in_memory(bytes);
        let (known, streams) = match &self.request.body {
            RequestBody::Buffered(body) => (body.len() as u64, false),
            RequestBody::Stream(body) => (body.size_hint().lower(), matches!(body, Body::Stream(_))),
            RequestBody::Taken => (0, false),
        };
        if known > bytes {
            return Err(too_large(bytes));
        }
        match &self.request.allowance {
            Some(allowance) => allowance.limit.store(bytes, Ordering::Relaxed),
            None if streams => {
                let (allowance, body) = Allowance::over(self.request.take_body(), bytes);
                self.request.body = RequestBody::Stream(body);
                self.request.allowance = Some(allowance);
            }
            None => {}
        }
        Ok(())
    }

    /// Another limit for the response's body. One that is known to be larger is a fault of whoever sent it; one that turns out to be
    /// larger while it streams is cut.
    pub fn limit_response_body(&mut self, bytes: u64) -> Result<(), Abort> {
        self.response_body_limit = in_memory(bytes);
        let Some(response) = &mut self.response else { return Ok(()) };
        if response.body.size_hint().lower() > bytes {
            let message = format!("the response's body is larger than {bytes} bytes");
            return Err(Abort::new(BAD_RESPONSE, StatusCode::BAD_GATEWAY, message));
        }
        if let Body::Stream(_) = &response.body {
            let (_, body) = Allowance::over(std::mem::take(&mut response.body), bytes);
            response.body = body;
        }
        Ok(())
    }

    /// Why the filter that read the body or sent it on came to nothing, where that is its size: told once.
    pub(crate) fn outgrown(&self) -> Option<Reason> {
        let allowance = self.request.allowance.as_ref()?;
        allowance.outgrown.swap(false, Ordering::AcqRel).then(|| too_large(allowance.limit.load(Ordering::Relaxed)))
    }
}

/// The client's body is larger than this: 413.
pub(super) fn too_large(limit: u64) -> Reason {
    Reason::new(BODY_TOO_LARGE, format!("the body is larger than {limit} bytes"))
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

/// More than memory can hold is no limit at all.
fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
