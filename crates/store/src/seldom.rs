//! What the log is told now and then, though it happens hundreds of times a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often at most.
const EVERY: Duration = Duration::from_secs(10);

/// When something was told last.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    pub(crate) const fn new() -> Self {
        Seldom(Mutex::new(None))
    }

    /// Whether it may be told now, and then it is.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let mut told_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told_at.is_none_or(|at| now.saturating_duration_since(at) >= EVERY);
        if due {
            *told_at = Some(now);
        }
        due
    }
}
