//! The wait for the head of an answer.

use std::task::{Context, Poll};

use store::alarm::Alarm;
use tokio::time::Instant;

use super::outgoing::Aim;
use super::sent::Watch;

/// Why there is no head of an answer.
#[derive(Debug)]
pub(super) enum SendError {
    /// The upstream was silent for the whole limit.
    Late,
    /// What came is no answer. The text is for the log.
    Malformed(String),
    /// The connection broke.
    Broken {
        /// For the log.
        why: String,
        /// The other side has not looked at the request.
        unsent: bool,
    },
}

/// The head. The limit is the upstream's: it starts anew whenever a piece of a watched body goes, and how long the client may pause
/// is for its listener to say.
pub(super) async fn of<T>(
    mut answer: impl FnMut(&mut Context<'_>) -> Poll<Result<T, SendError>>,
    alarm: &mut Alarm,
    Aim { limit, watch, .. }: Aim<'_>,
) -> Result<T, SendError> {
    let mut steps = watch.map(Watch::steps);
    alarm.set(Instant::now() + limit);
    std::future::poll_fn(|cx| {
        if let answered @ Poll::Ready(_) = answer(cx) {
            return answered;
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
