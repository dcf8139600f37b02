//! A time limit between two pieces of a body.

use std::task::Context;
use std::time::Duration;

use store::alarm::Alarm;
use tokio::time::Instant;

/// The limit. The time counts from where there is something to wait for; while pieces come it costs nothing.
pub(crate) struct IdleLimit {
    limit: Duration,
    alarm: Option<Alarm>,
    waiting: bool,
}

impl IdleLimit {
    pub(crate) fn new(limit: Duration) -> Self {
        IdleLimit { limit, alarm: None, waiting: false }
    }

    /// A piece came.
    pub(crate) fn moved(&mut self) {
        self.waiting = false;
    }

    /// There is nothing now: whether that has lasted too long. Wakes the task when it has to ask again.
    pub(crate) fn passed(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.waiting {
            let deadline = Instant::now() + self.limit;
            self.alarm.get_or_insert_with(|| Alarm::at(deadline)).set(deadline);
            self.waiting = true;
        }
        self.alarm.as_mut().is_some_and(|alarm| alarm.poll(cx).is_ready())
    }
}
