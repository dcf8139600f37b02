//! The time limits on a request's head, for hyper, which starts and stops one limit for every request of a connection. Here there are
//! two: for how long nothing may come, and then how long the head may take.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use store::alarm::Alarm;

use super::body::Unread;

/// The clock of one connection, which waits for one thing at a time: all its sleeps share one alarm.
///
/// What is waited for is noted, and timed with the next look at the clock: hyper looks in the same turn of the connection's task wherever
/// something has still to come. So the time is asked for once a request, and by a head that is there as soon as it is wanted not at all.
#[derive(Clone)]
pub(super) struct HeadClock(Arc<Clock>);

struct Clock {
    /// [`FIRST`], [`IDLE`] or [`HEAD`].
    awaited: AtomicU8,
    /// The alarm is that of what is waited for.
    timed: AtomicBool,
    // Only the connection's own task asks for it, so nobody ever waits for the other.
    alarm: Mutex<Alarm>,
    /// How long each may take, by its number.
    limits: [Duration; 3],
}

/// The first request.
const FIRST: u8 = 0;
/// Another one.
const IDLE: u8 = 1;
/// The end of a head that has begun to come.
const HEAD: u8 = 2;

impl HeadClock {
    /// `first`: until the first request begins. `idle`: until another one does. `head`: from there to the end of its head.
    pub(super) fn new(first: Duration, idle: Duration, head: Duration) -> Self {
        let alarm = Mutex::new(Alarm::at(tokio::time::Instant::now() + first));
        let (awaited, timed) = (AtomicU8::new(FIRST), AtomicBool::new(true));
        HeadClock(Arc::new(Clock { awaited, timed, alarm, limits: [first, idle, head] }))
    }

    /// Something came. It is of a head, unless one is there and nothing else is waited for yet.
    pub(super) fn comes(&self) {
        if !self.is_in_head() {
            self.awaits(HEAD);
        }
    }

    /// Whether a head has begun to come and is not whole: of a connection whose time is up, hyper does not tell whether it was late with a
    /// request or just lay idle.
    pub(super) fn is_in_head(&self) -> bool {
        self.0.awaited.load(Ordering::Relaxed) == HEAD
    }

    /// A head is waited for. What came until now belongs to the request before, of whose body something may have been left.
    fn waits(&self) {
        self.awaits(if self.0.awaited.load(Ordering::Relaxed) == FIRST { FIRST } else { IDLE });
    }

    fn awaits(&self, what: u8) {
        self.0.awaited.store(what, Ordering::Relaxed);
        self.0.timed.store(false, Ordering::Relaxed);
    }

    /// Ready once what is waited for takes too long.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Clock { awaited, timed, alarm, limits } = &*self.0;
        let mut alarm = alarm.lock().unwrap_or_else(PoisonError::into_inner);
        if !timed.load(Ordering::Relaxed) {
            timed.store(true, Ordering::Relaxed);
            alarm.set(tokio::time::Instant::now() + limits[usize::from(awaited.load(Ordering::Relaxed))]);
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
        assert!(!clock.is_in_head());
        clock.comes();
        assert_eq!(rings_after(&clock).await, SECOND, "a head that does not end");
        assert!(clock.is_in_head());
        drop(timer.sleep(60 * SECOND));
        assert_eq!(rings_after(&clock).await, 5 * SECOND, "nothing comes after an answer");
    }

    /// It has one limit, however often something more of it comes.
    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_is_timed_from_its_first_byte() {
        let clock = HeadClock::new(2 * SECOND, 5 * SECOND, SECOND);
        clock.comes();
        let start = tokio::time::Instant::now();
        for _ in 0..3 {
            assert!(tokio::time::timeout(SECOND / 4, Waiting(clock.clone())).await.is_err());
            clock.comes();
        }
        Waiting(clock.clone()).await;
        assert_eq!(start.elapsed(), SECOND);
    }

    /// Late bytes of a body that nobody read are no late request.
    #[tokio::test(start_paused = true)]
    async fn what_comes_before_a_head_is_waited_for_is_none_of_it() {
        let clock = HeadClock::new(2 * SECOND, 5 * SECOND, SECOND);
        let timer = HeadTimer::new(clock.clone(), Unread::default());
        clock.comes();
        clock.comes();
        drop(timer.sleep(60 * SECOND));
        assert!(!clock.is_in_head());
        assert_eq!(rings_after(&clock).await, 5 * SECOND);
        clock.comes();
        assert_eq!((clock.is_in_head(), rings_after(&clock).await), (true, SECOND));
    }
}
