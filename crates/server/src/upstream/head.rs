//! The wait for the head of an answer.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use store::alarm::Alarm;
use tokio::time::Instant;

use super::sent::{Sent, Watch};

/// Why there is no head of an answer.
pub(super) enum SendError {
    /// The upstream was silent for the whole limit.
    Late,
    /// It sent too much that was no answer.
    Flood,
    /// The connection broke, or spoke no HTTP.
    Broken(Box<Broken>),
}

/// How an exchange broke before the head of the answer.
pub(super) struct Broken {
    /// The error as hyper has it; its text is for the log.
    pub(super) error: hyper::Error,
    /// The request, where not one byte of it was written.
    pub(super) unsent: Option<Request<Sent>>,
}

/// What is done with the connection while an answer is waited for.
pub(super) enum Turn<'a, 'w> {
    /// It moves what there is to move, and says whether it has ended.
    Drive(&'a mut Context<'w>),
    /// It has ended, and goes.
    Drop,
}

/// The head. The limit is the upstream's: it starts anew whenever a piece of a watched body goes, and how long the client may pause
/// is for its listener to say.
pub(super) async fn of(
    answer: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Sent>>>>,
    mut connection: impl FnMut(Turn<'_, '_>) -> bool,
    alarm: &mut Alarm,
    limit: Duration,
    watch: Option<&Watch>,
) -> Result<Response<Incoming>, SendError> {
    let mut answer = pin!(answer);
    let mut steps = watch.map(Watch::steps);
    alarm.set(Instant::now() + limit);
    std::future::poll_fn(|cx| {
        let ended = connection(Turn::Drive(cx));
        let mut answered = answer.as_mut().poll(cx);
        if ended && answered.is_pending() {
            // An end that it reads behind the request is no error to hyper, and no answer comes any more. When the connection goes, its
            // request is given back, or told that it has failed.
            connection(Turn::Drop);
            answered = answer.as_mut().poll(cx);
        }
        if let Poll::Ready(answered) = answered {
            return Poll::Ready(answered.map_err(|mut failed| {
                let unsent = failed.take_message();
                SendError::Broken(Box::new(Broken { unsent, error: failed.into_error() }))
            }));
        }
        let before = std::mem::replace(&mut steps, watch.map(Watch::steps));
        if before != steps {
            alarm.set(Instant::now() + limit);
        }
        while alarm.poll(cx).is_ready() {
            if !watch.is_some_and(Watch::waits_for_the_client) {
                return Poll::Ready(Err(SendError::Late));
            }
            alarm.set(Instant::now() + limit);
        }
        Poll::Pending
    })
    .await
}
