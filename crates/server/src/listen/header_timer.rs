//! The time limit on a request's head, for hyper, which starts and stops it once for every request of a connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use store::alarm::Alarm;

use super::body::Unread;

/// A timer for one connection, which waits for one thing at a time: all its sleeps share one alarm.
///
/// It starts where a head is waited for, and all before that was read then.
pub(super) struct HeaderTimer {
    alarm: Arc<Mutex<Alarm>>,
    unread: Unread,
}

struct Waiting(Arc<Mutex<Alarm>>);

impl HeaderTimer {
    pub(super) fn new(unread: Unread) -> Self {
        HeaderTimer { alarm: Arc::new(Mutex::new(Alarm::at(tokio::time::Instant::now()))), unread }
    }
}

impl Timer for HeaderTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.unread.set(false);
        self.alarm.lock().unwrap_or_else(PoisonError::into_inner).set(deadline.into());
        Box::pin(Waiting(self.alarm.clone()))
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

impl Sleep for Waiting {}

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).poll(cx)
    }
}
