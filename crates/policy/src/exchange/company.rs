//! What goes along with an exchange until its answer was sent: a place among the requests in flight, an eye on how it ends.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::Exchange;
use super::body::{Body, BoxError};
use crate::engine::Decision;

/// Goes along with an exchange. It is dropped once the answer was sent to its end, or as soon as nobody waits for it any more: a client
/// that goes away, a panic, a body that breaks off.
pub trait Companion: Send + Sync + 'static {
    /// The policy has ended, and its answer will have this status; the response side and the sending are still to come. Where the client
    /// goes away before, there is no such call.
    fn ended(&mut self, decision: &Decision, status: StatusCode) {
        let _ = (decision, status);
    }
}

/// Those who go along with one exchange.
#[derive(Default)]
pub struct Company(Vec<Box<dyn Companion>>);

impl Exchange {
    /// From here on this one goes along.
    pub fn accompany(&mut self, companion: impl Companion) {
        self.company.0.push(Box::new(companion));
    }
}

impl Company {
    pub(crate) fn ended(&mut self, decision: &Decision, status: StatusCode) {
        self.0.iter_mut().for_each(|companion| companion.ended(decision, status));
    }

    /// These go along, too.
    pub(crate) fn join(&mut self, mut others: Company) {
        self.0.append(&mut others.0);
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Body {
    /// The same body; the company stays until it was read to its end, or is dropped.
    pub fn accompanied(self, company: Company) -> Body {
        match self {
            Body::Empty => Body::Empty,
            body if company.is_empty() => body,
            body => Body::stream(Accompanied { body, company }),
        }
    }
}

struct Accompanied {
    body: Body,
    company: Company,
}

impl HttpBody for Accompanied {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            drop(mem::take(&mut self.company));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;
    use crate::testing::block_on;

    struct Here(#[allow(dead_code, reason = "it is there to be counted")] Arc<()>);

    impl Companion for Here {}

    fn company(count: &Arc<()>) -> Company {
        Company(vec![Box::new(Here(count.clone()))])
    }

    #[test]
    fn it_stays_until_the_body_was_read_or_is_dropped() {
        let count = Arc::new(());
        let mut body = Body::from(Bytes::from_static(b"all")).accompanied(company(&count));
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(3), false));
        let frame = block_on(body.frame()).expect("a frame").expect("it is whole");
        assert_eq!(frame.into_data().expect("data"), "all");
        assert_eq!(Arc::strong_count(&count), 2, "the end is still to be read");
        assert!(block_on(body.frame()).is_none());
        assert_eq!(Arc::strong_count(&count), 1, "it was read, and is still held");
        drop(Body::from(Bytes::from_static(b"all")).accompanied(company(&count)));
        assert_eq!(Arc::strong_count(&count), 1);
        let empty = Body::Empty.accompanied(company(&count));
        assert_eq!(Arc::strong_count(&count), 1, "there is nothing to send");
        assert!(empty.is_end_stream());
    }
}
