//! Whether something came.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a request's head has begun to come: of a connection whose time is up, hyper does not tell whether it was late with a
/// request or just lay idle. And before HTTP, whether anything came at all.
#[derive(Clone, Default)]
pub(super) struct Begun(Arc<AtomicBool>);

impl Begun {
    /// Whether bytes came since the last answer.
    pub(super) fn has(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, begun: bool) {
        self.0.store(begun, Ordering::Relaxed);
    }
}
