//! A bounded queue from tasks to a source's threads, which wakes a thread once for all that a turn of the runtime has to ask.
//!
//! A thread that is woken by the first of several questions takes the processor from the task that would have asked the next
//! one: it answers one, sleeps, and is woken again. So who queues the first item promises to wake ([`Wake`]) and does so after
//! the other tasks that are ready have run. A thread at work needs no waking: it looks at the queue again.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

struct Inner<T> {
    items: VecDeque<T>,
    /// Threads that wait.
    idle: usize,
    /// Threads that are at work and soon look again.
    busy: usize,
    /// Somebody has promised to wake a thread.
    promised: bool,
    /// With so many items the thread that gathers goes on; 0 where none gathers.
    gathered: usize,
    /// One of the sides is gone.
    closed: bool,
    takers: usize,
}

struct Shared<T> {
    inner: Mutex<Inner<T>>,
    wake: Condvar,
    bound: usize,
    batch: usize,
}

impl<T> Shared<T> {
    /// No code that can panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an item was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many wait as may.
    Full,
    /// No thread is left.
    Ended,
}

/// The side of the tasks. When it is dropped, the threads end once the queue is empty.
pub(super) struct Queue<T>(Arc<Shared<T>>);

impl<T> Queue<T> {
    /// A queue that holds at most `bound` items, of which a thread takes at most `batch` at a time.
    pub(super) fn new(bound: usize, batch: usize) -> Self {
        let inner =
            Inner { items: VecDeque::new(), idle: 0, busy: 0, promised: false, gathered: 0, closed: false, takers: 0 };
        Queue(Arc::new(Shared { inner: Mutex::new(inner), wake: Condvar::new(), bound, batch }))
    }

    /// What a thread takes items by.
    pub(super) fn taker(&self) -> Taker<T> {
        self.0.lock().takers += 1;
        Taker { shared: self.0.clone(), busy: false }
    }

    /// Queues an item. A promise that comes back is to be kept by letting other tasks
    /// run and then dropping it.
    pub(super) fn push(&self, item: T) -> Result<Option<Wake<'_, T>>, Refused> {
        let mut inner = self.0.lock();
        if inner.closed {
            return Err(Refused::Ended);
        }
        if inner.items.len() >= self.0.bound {
            return Err(Refused::Full);
        }
        inner.items.push_back(item);
        if inner.gathered != 0 && inner.items.len() >= inner.gathered {
            inner.gathered = 0;
            drop(inner);
            self.0.wake.notify_one();
            return Ok(None);
        }
        if inner.idle == 0 {
            return Ok(None);
        }
        if inner.items.len().is_multiple_of(self.0.batch) {
            // Enough for one more thread, now.
            drop(inner);
            self.0.wake.notify_one();
            return Ok(None);
        }
        let promise = inner.busy == 0 && !inner.promised;
        inner.promised |= promise;
        drop(inner);
        Ok(promise.then(|| Wake(&self.0)))
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.wake.notify_all();
    }
}

/// A promise to wake a thread, which is kept when it is dropped.
pub(super) struct Wake<'a, T>(&'a Shared<T>);

impl<T> Drop for Wake<'_, T> {
    fn drop(&mut self) {
        self.0.lock().promised = false;
        self.0.wake.notify_one();
    }
}

/// The side of a thread.
pub(super) struct Taker<T> {
    shared: Arc<Shared<T>>,
    /// Counted as busy.
    busy: bool,
}

impl<T> Taker<T> {
    /// Waits for items and takes a batch; `false` at the end.
    pub(super) fn take(&mut self, batch: &mut Vec<T>) -> bool {
        let mut inner = self.shared.lock();
        if std::mem::take(&mut self.busy) {
            inner.busy -= 1;
        }
        while inner.items.is_empty() {
            if inner.closed {
                return false;
            }
            inner.idle += 1;
            inner = self.shared.wake.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.idle -= 1;
        }
        let count = inner.items.len().min(self.shared.batch);
        batch.extend(inner.items.drain(..count));
        inner.busy += 1;
        self.busy = true;
        true
    }

    /// Waits until `count` more items are there, or as many as a batch holds, but not longer than `at_most`. For the only taker
    /// of a queue, while it counts as busy.
    pub(super) fn gather(&mut self, count: usize, at_most: Duration) {
        let mut inner = self.shared.lock();
        let wanted = (inner.items.len() + count).min(self.shared.batch);
        if inner.items.len() < wanted && !inner.closed {
            inner.gathered = wanted;
            let waits = |inner: &mut Inner<T>| inner.gathered != 0 && !inner.closed;
            let waited = self.shared.wake.wait_timeout_while(inner, at_most, waits);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
            inner.gathered = 0;
        }
    }

    /// What was taken takes long: another thread is to be woken for what comes meanwhile.
    pub(super) fn takes_long(&mut self) {
        if std::mem::take(&mut self.busy) {
            self.shared.lock().busy -= 1;
            self.shared.wake.notify_one();
        }
    }
}

/// A thread that ends before the tasks do has panicked; what the last one leaves is given up, not waited for.
impl<T> Drop for Taker<T> {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        inner.busy -= usize::from(self.busy);
        inner.takers -= 1;
        if inner.takers == 0 {
            inner.closed = true;
            let left = std::mem::take(&mut inner.items);
            drop(inner);
            drop(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Waits until a thread waits for items.
    fn until_idle<T>(queue: &Queue<T>) {
        while queue.0.lock().idle == 0 {
            thread::yield_now();
        }
    }

    /// A thread that takes batches until the end, and gives their sizes.
    fn sizes(queue: &Queue<u32>) -> thread::JoinHandle<Vec<usize>> {
        let mut taker = queue.taker();
        thread::spawn(move || {
            let (mut sizes, mut batch) = (Vec::new(), Vec::new());
            while taker.take(&mut batch) {
                sizes.push(batch.len());
                batch.clear();
            }
            sizes
        })
    }

    #[test]
    fn what_is_asked_before_the_promise_is_kept_is_one_batch() {
        let queue = Queue::new(99, 10);
        let thread = sizes(&queue);
        until_idle(&queue);
        let promise = queue.push(1).unwrap();
        assert!(promise.is_some());
        assert!(queue.push(2).unwrap().is_none() && queue.push(3).unwrap().is_none());
        drop(promise);
        while !queue.0.lock().items.is_empty() {
            thread::yield_now();
        }
        drop(queue);
        assert_eq!(thread.join().unwrap(), [3]);
    }

    #[test]
    fn a_full_batch_wakes_at_once() {
        let queue = Queue::new(99, 2);
        let thread = sizes(&queue);
        until_idle(&queue);
        let promise = queue.push(1).unwrap();
        assert!(queue.push(2).unwrap().is_none());
        while !queue.0.lock().items.is_empty() {
            thread::yield_now();
        }
        drop(promise);
        drop(queue);
        assert_eq!(thread.join().unwrap(), [2]);
    }

    #[test]
    fn a_full_queue_refuses() {
        let queue = Queue::new(2, 10);
        let _taker = queue.taker();
        assert!(queue.push(1).is_ok() && queue.push(2).is_ok());
        assert_eq!(queue.push(3).err(), Some(Refused::Full));
    }

    #[test]
    fn what_no_thread_will_take_is_given_up() {
        let queue = Queue::new(9, 10);
        let (one, other) = (queue.taker(), queue.taker());
        let item = Arc::new(());
        assert!(queue.push(item.clone()).is_ok());
        drop(one);
        assert_eq!(Arc::strong_count(&item), 2);
        drop(other);
        assert_eq!(Arc::strong_count(&item), 1);
        assert_eq!(queue.push(item).err(), Some(Refused::Ended));
    }

    #[test]
    fn what_was_queued_is_taken_before_the_end() {
        let queue = Queue::new(99, 2);
        let _taker = queue.taker();
        for number in 0..5 {
            drop(queue.push(number).unwrap());
        }
        let thread = sizes(&queue);
        drop(queue);
        assert_eq!(thread.join().unwrap(), [2, 2, 1]);
    }

    #[test]
    fn a_thread_at_work_needs_no_waking_unless_it_takes_long() {
        let queue = Queue::new(99, 10);
        let (mut taker, mut batch) = (queue.taker(), Vec::new());
        let other = sizes(&queue);
        until_idle(&queue);
        // This thread is at work, that one waits.
        queue.0.lock().items.push_back(0);
        assert!(taker.take(&mut batch));
        assert!(queue.push(1).unwrap().is_none());
        taker.takes_long();
        while !queue.0.lock().items.is_empty() {
            thread::yield_now();
        }
        until_idle(&queue);
        assert!(queue.push(2).unwrap().is_some());
        drop(queue);
        assert_eq!(other.join().unwrap(), [1, 1]);
    }

    #[test]
    fn a_thread_gathers_what_comes_back_and_goes_on_without_what_does_not() {
        let queue = Queue::new(99, 4);
        let mut taker = queue.taker();
        let mut batch = Vec::new();
        let mut take = |taker: &mut Taker<u32>| {
            batch.clear();
            assert!(taker.take(&mut batch));
            batch.len()
        };
        let long = Duration::from_secs(60);
        queue.push(1).unwrap();
        queue.push(2).unwrap();
        assert_eq!(take(&mut taker), 2);
        // One waits, two were answered: three are waited for.
        queue.push(3).unwrap();
        thread::scope(|scope| {
            let gathers = scope.spawn(|| {
                taker.gather(2, long);
                take(&mut taker)
            });
            while queue.0.lock().gathered == 0 {
                thread::yield_now();
            }
            queue.push(4).unwrap();
            queue.push(5).unwrap();
            assert_eq!(gathers.join().unwrap(), 3);
        });
        // A batch holds four: no more are waited for.
        (0..4).for_each(|item| drop(queue.push(item).unwrap()));
        taker.gather(4, long);
        // And nobody comes back: the time passes.
        let mut all = Vec::new();
        assert!(taker.take(&mut all));
        taker.gather(1, Duration::from_millis(1));
        // The end of the tasks is not slept through.
        drop(queue);
        taker.gather(1, long);
        assert!(!taker.take(&mut all));
    }
}
