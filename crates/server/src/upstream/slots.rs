//! How many connections to one address are open, and who waits for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// The count of one address.
#[derive(Default)]
pub(super) struct Slots {
    open: AtomicU32,
    waiting: AtomicU32,
    freed: Notify,
}

/// The place of an open connection; it is free again when this goes.
pub(super) struct Slot(Arc<Slots>);

impl Slots {
    /// A place for one more connection, where there are fewer than this.
    pub(super) fn take(self: &Arc<Self>, limit: u32) -> Option<Slot> {
        let more = |open| (open < limit).then_some(open + 1);
        self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok().map(|_| Slot(self.clone()))
    }

    pub(super) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// A connection is free for another request.
    pub(super) fn free(&self) {
        // Whoever waits says so before it looks once more: so it is seen here, or sees what is free.
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_one();
        }
    }

    /// Waits until `look` finds something, and is asked again whenever a connection may be free.
    pub(super) async fn wait<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let _waiting = Waiting::new(&self.waiting);
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if let Some(found) = look() {
                // A connection that many share may have room for the next one, too.
                self.free();
                return found;
            }
            freed.await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
        self.0.free();
    }
}

/// Counted for as long as it waits, however that ends.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_gets_what_becomes_free() {
        let slots = Arc::<Slots>::default();
        let first = slots.take(1).unwrap();
        assert!(slots.take(1).is_none());
        let waits = slots.wait(|| slots.take(1));
        let frees = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        let (second, ()) = tokio::join!(waits, frees);
        assert_eq!(slots.open(), 1);
        drop(second);
        assert_eq!((slots.open(), slots.waiting.load(Ordering::SeqCst)), (0, 0));
    }

    #[tokio::test]
    async fn one_that_gives_up_waits_no_longer() {
        let slots = Arc::<Slots>::default();
        let _first = slots.take(1).unwrap();
        let limit = std::time::Duration::from_millis(1);
        assert!(tokio::time::timeout(limit, slots.wait(|| slots.take(1))).await.is_err());
        assert_eq!(slots.waiting.load(Ordering::SeqCst), 0);
    }
}
