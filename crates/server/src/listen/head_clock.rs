//! The time limits on a request's head, for hyper, which starts and stops one limit for every request of a connection. Here there are
//! two: for how long nothing may come, and then how long the head may take.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use store::alarm::Alarm;

use super::body::Unread;

/// The clock of one connection, which waits for one thing at a time: all its sleeps share one alarm.
#[derive(Clone)]
pub(super) struct HeadClock(Arc<Mutex<Clock>>);

struct Clock {
    alarm: Alarm,
    /// For how long nothing may come: before the first request, and then between two.
    silence: Duration,
    idle: Duration,
    /// How long a head may take.
    head: Duration,
}

impl HeadClock {
    /// `first`: until the first request begins. `idle`: until another one does. `head`: from there to the end of its head.
    pub(super) fn new(first: Duration, idle: Duration, head: Duration) -> Self {
        let now = tokio::time::Instant::now();
        HeadClock(Arc::new(Mutex::new(Clock { alarm: Alarm::at(now + first), silence: first, idle, head })))
    }

    /// A head begins to come.
    pub(super) fn begins(&self) {
        let mut clock = self.clock();
        let deadline = tokio::time::Instant::now() + clock.head;
        clock.alarm.set(deadline);
        clock.silence = clock.idle;
    }

    /// A head is waited for.
    fn waits(&self) {
        let mut clock = self.clock();
        let deadline = tokio::time::Instant::now() + clock.silence;
        clock.alarm.set(deadline);
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock as hyper asks it: it starts where a head is waited for, and all before that was read then.
pub(super) struct HeadTimer {
    clock: HeadClock,
    unread: Unread,
}

struct Waiting(HeadClock);

impl HeadTimer {
    pub(super) fn new(clock: HeadClock, unread: Unread) -> Self {
        HeadTimer { clock, unread }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    /// Until the clock rings, whatever limit hyper has.
    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        self.unread.set(false);
        self.clock.waits();
        Box::pin(Waiting(self.clock.clone()))
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

impl Sleep for Waiting {}

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.clock().alarm.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn rings_after(clock: &HeadClock) -> Duration {
        let start = tokio::time::Instant::now();
        Waiting(clock.clone()).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_heads_have_their_limits() {
        let clock = HeadClock::new(2 * SECOND, 5 * SECOND, SECOND);
        let timer = HeadTimer::new(clock.clone(), Unread::default());
        drop(timer.sleep(60 * SECOND));
        assert_eq!(rings_after(&clock).await, 2 * SECOND, "nothing comes at first");
        clock.begins();
        assert_eq!(rings_after(&clock).await, SECOND, "a head that does not end");
        drop(timer.sleep(60 * SECOND));
        assert_eq!(rings_after(&clock).await, 5 * SECOND, "nothing comes after an answer");
    }
}
