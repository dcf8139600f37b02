//! The node's clock and randomness: the only place that reads the machine's.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use policy::ports::{BoxFuture, Clock, Environment, Random};

/// The machine's clocks.
pub(crate) struct SystemClock {
    started: Instant,
}

/// The operating system's random bytes.
pub(crate) struct SystemRandom;

impl SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn new() -> Self {
        SystemClock { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn unix_millis(&self) -> u64 {
        // Before 1970: a machine that keeps no time.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
    }

    fn monotonic_nanos(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Tokens without randomness must never be: there is nothing to fall back on.
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// The real environment.
pub(crate) fn environment() -> Environment {
    Environment { clock: Arc::new(SystemClock::new()), random: Arc::new(SystemRandom) }
}
