//! Answers whose time is to tell nothing: they wait for the end of a step, to some microseconds.
//!
//! A timer of the runtime rings whole milliseconds after it was set, and so it tells when that was, which is just what is not to be told. So a
//! thread of its own rings here, at the very time.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// An answer that is held is sent after so many nanoseconds, or twice as many, and so on: longer than it takes to read one row or another, so
/// that what differs by some microseconds takes the same time. It is the work that is counted, not the request, whose body could be sent so
/// that a step ends while the work is done.
const STEP: u64 = 2_000_000;

/// Who waits until when.
type Waiting = (Instant, oneshot::Sender<()>);

#[allow(clippy::disallowed_methods, reason = "one thread for the process, which waits and does nothing else")]
static RINGS: LazyLock<Option<Sender<Waiting>>> = LazyLock::new(|| {
    let (send, waiting) = channel();
    match thread::Builder::new().name("held".to_owned()).spawn(move || ring(&waiting)) {
        Ok(_) => Some(send),
        Err(why) => {
            tracing::error!("no thread for answers that are held: they are sent by the runtime's timers: {why}");
            None
        }
    }
});

/// Waits until the end of a step, for an answer whose work took so many nanoseconds.
#[allow(clippy::disallowed_methods, reason = "the clock that threads wait by")]
pub(super) async fn hold(took: u64) {
    let rest = Duration::from_nanos(until_a_step(took));
    let (wake, woken) = oneshot::channel();
    let rings = RINGS.as_ref().is_some_and(|rings| rings.send((Instant::now() + rest, wake)).is_ok());
    if !rings || woken.await.is_err() {
        tokio::time::sleep(rest).await;
    }
}

/// What is left of a step.
fn until_a_step(took: u64) -> u64 {
    took.max(1).next_multiple_of(STEP) - took
}

#[allow(clippy::disallowed_methods, reason = "the clock that threads wait by")]
fn ring(waiting: &Receiver<Waiting>) {
    let mut all: BTreeMap<(Instant, u64), oneshot::Sender<()>> = BTreeMap::new();
    for number in 0_u64.. {
        let next = match all.first_key_value() {
            None => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(((first, _), _)) => waiting.recv_timeout(first.saturating_duration_since(Instant::now())),
        };
        match next {
            Ok((at, wake)) => drop(all.insert((at, number), wake)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        while let Some(first) = all.first_entry().filter(|first| first.key().0 <= now) {
            // Whoever went away waits no more.
            let _ = first.remove().send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_held_is_sent_after_whole_steps() {
        let all = [(0, STEP), (1, STEP - 1), (57_000, STEP - 57_000), (STEP - 1, 1), (STEP, 0), (STEP + 1, STEP - 1)];
        for (took, left) in all {
            assert_eq!(until_a_step(took), left, "{took}");
        }
    }

    #[tokio::test]
    async fn all_who_wait_are_woken_and_not_before_their_time() {
        let began = Instant::now();
        let waiting = (0..100).map(|number| tokio::spawn(hold(number * 10_000)));
        for waiting in waiting.collect::<Vec<_>>() {
            waiting.await.expect("it was woken");
        }
        assert!(began.elapsed() >= Duration::from_nanos(STEP));
    }
}
