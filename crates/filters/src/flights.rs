//! One piece of work a key, however many wait for it.
//!
//! Whoever comes first begins it, the others join. It is handed to the background as well, so that it goes to its end though all who wait
//! are gone: what a provider has given must be kept.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::Shared;

use policy::ports::{Background, BoxFuture};

/// What is under way, by key.
pub(crate) struct Flights<K, T: Clone>(Mutex<HashMap<K, Flight<T>>>);

type Flight<T> = Shared<BoxFuture<'static, T>>;

impl<K, T: Clone> Default for Flights<K, T> {
    fn default() -> Self {
        Flights(Mutex::default())
    }
}

impl<K, T> Flights<K, T>
where
    K: Eq + Hash + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// The work for this key that is under way; else this, which begins now.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: K,
        background: &dyn Background,
        work: impl FnOnce() -> BoxFuture<'static, T>,
    ) -> Flight<T> {
        let mut flights = self.lock();
        if let Some(flight) = flights.get(&key) {
            return flight.clone();
        }
        let (work, landing) = (work(), Landing { flights: self.clone(), key: key.clone() });
        let landed = async move {
            let _landing = landing;
            work.await
        };
        let flight = landed.boxed().shared();
        flights.insert(key, flight.clone());
        drop(flights);
        background.run(flight.clone().map(drop).boxed());
        flight
    }
}

impl<K, T: Clone> Flights<K, T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Flight<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a flight off once it is over, also where the work panics: the next one begins anew.
struct Landing<K: Eq + Hash, T: Clone> {
    flights: Arc<Flights<K, T>>,
    key: K,
}

impl<K: Eq + Hash, T: Clone> Drop for Landing<K, T> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Poll, Waker};

    /// Keeps the work, and does it when it is told to.
    #[derive(Default)]
    struct Later(Mutex<Vec<BoxFuture<'static, ()>>>);

    impl Background for Later {
        fn run(&self, work: BoxFuture<'static, ()>) {
            self.0.lock().expect("no panic").push(work);
        }
    }

    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        future.poll_unpin(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn those_of_one_key_share_one_piece_of_work_and_the_next_begins_anew() {
        let (flights, later, begun) = (Arc::new(Flights::default()), Later::default(), Arc::new(AtomicU32::new(0)));
        let (open, gate) = gate();
        let join = |key: u8| {
            let (begun, gate) = (begun.clone(), gate.clone());
            flights.join(key, &later, move || {
                let number = begun.fetch_add(1, Ordering::Relaxed);
                async move {
                    gate.await;
                    number
                }
                .boxed()
            })
        };
        let (mut one, mut same, mut other) = (join(1), join(1), join(2));
        assert!(poll(&mut one).is_pending() && poll(&mut same).is_pending() && poll(&mut other).is_pending());
        open();
        assert_eq!(
            (poll(&mut same), poll(&mut one), poll(&mut other)),
            (Poll::Ready(0), Poll::Ready(0), Poll::Ready(1))
        );
        assert_eq!(poll(&mut join(1)), Poll::Ready(2));
    }

    #[test]
    fn work_goes_on_though_nobody_waits() {
        let (flights, later, done) = (Arc::new(Flights::default()), Later::default(), Arc::new(AtomicU32::new(0)));
        let noted = done.clone();
        drop(flights.join((), &later, move || async move { noted.store(1, Ordering::Relaxed) }.boxed()));
        let mut work = later.0.lock().expect("no panic").pop().expect("it was handed over");
        assert_eq!((poll(&mut work), done.load(Ordering::Relaxed)), (Poll::Ready(()), 1));
    }

    #[test]
    fn after_a_panic_the_next_begins_anew() {
        let (flights, later) = (Arc::new(Flights::default()), Later::default());
        let mut broken = flights.join((), &later, || async { panic!("as it happens") }.boxed());
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut broken))).is_err());
        let mut next = flights.join((), &later, || async { 7 }.boxed());
        assert_eq!(poll(&mut next), Poll::Ready(7));
    }

    type Gate = Shared<BoxFuture<'static, ()>>;

    /// What opens it, and what waits until it is open.
    fn gate() -> (impl FnOnce(), Gate) {
        let opened = Arc::new(AtomicU32::new(0));
        let seen = opened.clone();
        let wait = futures_util::future::poll_fn(move |_| match seen.load(Ordering::Relaxed) {
            0 => Poll::Pending,
            _ => Poll::Ready(()),
        });
        (move || opened.store(1, Ordering::Relaxed), wait.boxed().shared())
    }
}
