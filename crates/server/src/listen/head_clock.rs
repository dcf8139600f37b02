//! The time limits on a request's head, for hyper, which starts and stops one limit for every request of a connection. Here there are
//! two: for how long nothing may come, and then how long the head may take.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use store::alarm::Alarm;

use super::body::Unread;

/// The clock of one connection, which waits for one thing at a time: all its sleeps share one alarm.
///
/// What begins is noted, and timed from the next look at it: a look comes in the same turn of the connection's task where something has still
/// to be waited for, and most heads are there whole, so that the time is hardly ever asked for.
#[derive(Clone)]
pub(super) struct HeadClock(Arc<Clock>);

struct Clock {
    /// Something else is waited for than when the alarm was set.
    turned: AtomicBool,
    /// A head has begun to come, and its end is waited for.
    in_head: AtomicBool,
    /// There was one before.
    had_one: AtomicBool,
    // Only the connection's own task asks for it, so nothing is ever waited for.
    alarm: Mutex<Alarm>,
    first: Duration,
    idle: Duration,
    head: Duration,
}

impl HeadClock {
    /// `first`: until the first request begins. `idle`: until another one does. `head`: from there to the end of its head.
    pub(super) fn new(first: Duration, idle: Duration, head: Duration) -> Self {
        let alarm = Mutex::new(Alarm::at(tokio::time::Instant::now() + first));
        let [turned, in_head, had_one] = [const { AtomicBool::new(false) }; 3];
        HeadClock(Arc::new(Clock { turned, in_head, had_one, alarm, first, idle, head }))
    }

    /// A head begins to come.
    pub(super) fn begins(&self) {
        self.turns(true);
        self.0.had_one.store(true, Ordering::Relaxed);
    }

    /// A head is waited for.
    fn waits(&self) {
        self.turns(false);
    }

    fn turns(&self, in_head: bool) {
        self.0.in_head.store(in_head, Ordering::Relaxed);
        self.0.turned.store(true, Ordering::Relaxed);
    }

    /// Ready once what is waited for takes too long.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Clock { turned, in_head, had_one, alarm, first, idle, head } = &*self.0;
        let mut alarm = alarm.lock().unwrap_or_else(PoisonError::into_inner);
        if turned.load(Ordering::Relaxed) {
            turned.store(false, Ordering::Relaxed);
            let limit = match (in_head.load(Ordering::Relaxed), had_one.load(Ordering::Relaxed)) {
                (true, _) => head,
                (false, true) => idle,
                (false, false) => first,
            };
            alarm.set(tokio::time::Instant::now() + *limit);
        }
        alarm.poll(cx)
    }
}

/// The clock as hyper asks it: it starts where a head is waited for, and all before that was read then.
pub(super) struct HeadTimer {
    clock: HeadClock,
    unread: Unread,
    /// When the connection began.
    began: Instant,
}

struct Waiting(HeadClock);

impl HeadTimer {
    pub(super) fn new(clock: HeadClock, unread: Unread) -> Self {
        HeadTimer { clock, unread, began: tokio::time::Instant::now().into_std() }
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

    /// hyper counts its limit from here, which is not looked at.
    fn now(&self) -> Instant {
        self.began
    }
}

impl Sleep for Waiting {}

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(cx)
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
