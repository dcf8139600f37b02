//! Whether anything came.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether anything came on a connection, before its HTTP begins.
#[derive(Clone, Default)]
pub(super) struct Begun(Arc<AtomicBool>);

impl Begun {
    /// Whether bytes came.
    pub(super) fn has(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, begun: bool) {
        self.0.store(begun, Ordering::Relaxed);
    }
}
