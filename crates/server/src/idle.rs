//! A time limit between two pieces of a body.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::Sleep;

/// The limit. Armed only while there is something to wait for, and looked at again when it fires: it passes after one to two
/// times the limit without a piece, and costs nothing while they come.
pub(crate) struct IdleLimit {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    moved: bool,
}

impl IdleLimit {
    pub(crate) fn new(limit: Duration) -> Self {
        IdleLimit { limit, timer: None, moved: false }
    }

    /// A piece came.
    pub(crate) fn moved(&mut self) {
        self.moved = true;
    }

    /// There is nothing now: whether that has lasted too long. Wakes the task when it has to ask again.
    pub(crate) fn passed(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let limit = self.limit;
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
            if timer.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.timer = None;
            if !std::mem::take(&mut self.moved) {
                return true;
            }
        }
    }
}
