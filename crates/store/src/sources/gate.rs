//! A gate that keeps requests from storming a server that is down: after an attempt to connect failed, all fail at once for a while;
//! then one tries again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// After an attempt failed, others fail at once for so long.
const PAUSE: Duration = Duration::from_millis(500);

/// The gate before the attempts of one source. `P` is why the last one failed.
pub(super) struct Gate<P> {
    /// What one attempt may take.
    attempt: Duration,
    shut: Mutex<Option<(Instant, P)>>,
}

impl<P: Clone> Gate<P> {
    /// An open one.
    pub(super) fn new(attempt: Duration) -> Self {
        Gate { attempt, shut: Mutex::new(None) }
    }

    /// Leave to try, or why the last attempt failed, where that is not long ago.
    pub(super) fn pass(&self) -> Result<(), P> {
        match &mut *self.lock() {
            None => Ok(()),
            Some((until, why)) if Instant::now() < *until => Err(why.clone()),
            // This caller tries; the others go on failing until it knows more.
            Some((until, _)) => {
                *until = Instant::now() + self.attempt;
                Ok(())
            }
        }
    }

    /// An attempt succeeded.
    pub(super) fn open(&self) {
        *self.lock() = None;
    }

    /// An attempt failed.
    pub(super) fn shut(&self, why: P) {
        *self.lock() = Some((Instant::now() + PAUSE, why));
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, P)>> {
        self.shut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_one_tries_at_a_time() {
        let attempt = Duration::from_secs(3);
        let gate = Gate::new(attempt);
        assert_eq!((gate.pass(), gate.pass()), (Ok(()), Ok(())));
        gate.shut("down");
        assert_eq!(gate.pass(), Err("down"));
        tokio::time::advance(PAUSE).await;
        assert_eq!((gate.pass(), gate.pass()), (Ok(()), Err("down")), "one of them tries");
        tokio::time::advance(attempt).await;
        assert_eq!(gate.pass(), Ok(()), "whoever tried is gone");
        gate.open();
        assert_eq!((gate.pass(), gate.pass()), (Ok(()), Ok(())));
    }
}
