//! Answers from a source's thread to the tasks that wait for them, a whole batch with one wake-up.
//!
//! Waking a task from another thread costs more than a read: a system call, and on a busy processor a switch to the woken
//! thread, which runs one task and sleeps again, for each answer anew. So a batch wakes only its first task. That one, which
//! runs on a thread of the runtime, wakes the others, which there is a push to a queue. The list of those it has to wake (the
//! baton) acts when it is dropped: a first task that was given up wakes the others all the same.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::source::StoreError;

/// The result of an operation.
pub(super) type Outcome<T> = Result<T, StoreError>;

/// A promise with its outcome.
pub(super) type Answered<T> = (Promise<T>, Outcome<T>);

struct State<T> {
    outcome: Option<Outcome<T>>,
    /// The promise was dropped without an outcome.
    abandoned: bool,
    waker: Option<Waker>,
    baton: Option<Baton>,
}

struct Slot<T>(Mutex<State<T>>);

impl<T> Slot<T> {
    /// No code that can panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes these when it is dropped.
struct Baton(Vec<Waker>);

impl Drop for Baton {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

/// The side of the thread. Dropped without an answer, it ends the waiting.
pub(super) struct Promise<T>(Arc<Slot<T>>);

/// The side of the task: a future of the outcome; none where the thread has ended.
pub(super) struct Pending<T>(Arc<Slot<T>>);

/// Both sides of an answer.
pub(super) fn promise<T>() -> (Promise<T>, Pending<T>) {
    let state = State { outcome: None, abandoned: false, waker: None, baton: None };
    let slot = Arc::new(Slot(Mutex::new(state)));
    (Promise(slot.clone()), Pending(slot))
}

impl<T> Promise<T> {
    /// Whether nobody waits any more.
    pub(super) fn is_unwanted(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Answers this one alone.
    pub(super) fn answer(self, outcome: Outcome<T>) {
        deliver([(self, outcome)]);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.outcome.is_none() {
            state.abandoned = true;
        }
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

/// Answers a batch, with one wake-up.
pub(super) fn deliver<T>(answers: impl IntoIterator<Item = Answered<T>>) {
    let mut first: Option<(Arc<Slot<T>>, Waker)> = None;
    let mut others = Vec::new();
    for (promise, outcome) in answers {
        let waker = {
            let mut state = promise.0.lock();
            state.outcome = Some(outcome);
            state.waker.take()
        };
        match (waker, &first) {
            (None, _) => {} // It has not looked yet, or nobody waits any more.
            (Some(waker), Some(_)) => others.push(waker),
            (Some(waker), None) => first = Some((promise.0.clone(), waker)),
        }
    }
    if let Some((slot, waker)) = first {
        if !others.is_empty() {
            slot.lock().baton = Some(Baton(others));
        }
        waker.wake();
        // Where that task is gone already, this was the last owner of the slot, and drops the baton with it.
    }
}

impl<T> Future for Pending<T> {
    type Output = Option<Outcome<T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        let baton = state.baton.take();
        let outcome = state.outcome.take();
        let abandoned = state.abandoned;
        if outcome.is_none() && !abandoned && !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        drop(state);
        drop(baton);
        match outcome {
            Some(outcome) => Poll::Ready(Some(outcome)),
            None if abandoned => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        let baton = self.0.lock().baton.take();
        drop(baton);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn poll<T>(pending: &mut Pending<T>, count: &Arc<Count>) -> Poll<Option<Outcome<T>>> {
        Pin::new(pending).poll(&mut Context::from_waker(&Waker::from(count.clone())))
    }

    type Task = (Pending<usize>, Arc<Count>);

    /// So many answers that are waited for, each with its own count of wake-ups.
    fn waiting(count: usize) -> (Vec<Answered<usize>>, Vec<Task>) {
        let made = (0..count).map(|number| {
            let (promise, mut pending) = promise();
            let count = Arc::new(Count::default());
            assert!(poll(&mut pending, &count).is_pending());
            ((promise, Ok(number)), (pending, count))
        });
        made.unzip()
    }

    fn wakes(tasks: &[Task]) -> Vec<usize> {
        tasks.iter().map(|(_, count)| count.get()).collect()
    }

    #[test]
    fn one_task_is_woken_and_wakes_the_others() {
        let (promises, mut tasks) = waiting(3);
        deliver(promises);
        assert_eq!(wakes(&tasks), [1, 0, 0]);
        for number in 0..3 {
            let (pending, count) = &mut tasks[number];
            assert_eq!(poll(pending, count), Poll::Ready(Some(Ok(number))));
            assert_eq!(wakes(&tasks), [1, 1, 1]);
        }
    }

    #[test]
    fn a_task_that_is_given_up_wakes_the_others_all_the_same() {
        let (promises, mut tasks) = waiting(3);
        deliver(promises);
        drop(tasks.remove(0));
        assert_eq!(wakes(&tasks), [1, 1]);
        let (promises, mut tasks) = waiting(3);
        drop(tasks.remove(0));
        assert!(promises[0].0.is_unwanted() && !promises[1].0.is_unwanted());
        deliver(promises);
        assert_eq!(wakes(&tasks), [1, 1], "given up before the answer");
    }

    #[test]
    fn an_answer_that_comes_before_anybody_looks_is_found() {
        let (promise, mut pending) = promise();
        promise.answer(Ok(7));
        assert_eq!(poll(&mut pending, &Arc::default()), Poll::Ready(Some(Ok(7))));
    }

    #[test]
    fn a_promise_that_is_dropped_ends_the_waiting() {
        let (promises, mut tasks) = waiting(1);
        drop(promises);
        let (pending, count) = &mut tasks[0];
        assert_eq!(count.get(), 1);
        assert_eq!(poll(pending, count), Poll::Ready(None));
    }
}
