//! The time limit on a request's head, for hyper, which starts and stops it once for every request of a connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use store::alarm::Alarm;

/// A timer for one connection, which waits for one thing at a time: all its sleeps share one alarm.
pub(super) struct HeaderTimer(Arc<Mutex<Alarm>>);

struct Waiting(Arc<Mutex<Alarm>>);

impl HeaderTimer {
    pub(super) fn new() -> Self {
        HeaderTimer(Arc::new(Mutex::new(Alarm::at(tokio::time::Instant::now()))))
    }
}

impl Timer for HeaderTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).set(deadline.into());
        Box::pin(Waiting(self.0.clone()))
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
