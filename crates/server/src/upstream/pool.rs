//! Idle connections to one upstream, the most recently used first.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::keep::SWEEP;
use super::link::Link;

/// How many are kept: more than any usual load leaves idle at once.
const MOST: usize = 512;

/// For how many sweeps a connection may lie idle: 30 s, less than the time after which servers commonly close.
const LONGEST: u32 = (30 / SWEEP.as_secs()) as u32;

/// The pool. The lock is held for a push or a pop, never across an await.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<Idle>>,
    /// Time is counted in sweeps: no clock is read for each request.
    sweeps: AtomicU32,
}

struct Idle {
    link: Box<Link>,
    /// In which sweep it came.
    since: u32,
}

impl Pool {
    /// An open connection that nobody uses. The upstream may be about to close it.
    pub(super) fn take(&self) -> Option<Box<Link>> {
        loop {
            let mut idle = self.idle().pop()?;
            if idle.link.is_idle() {
                return Some(idle.link);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn give(&self, link: Box<Link>) {
        let since = self.sweeps.load(Ordering::Relaxed);
        let mut idle = self.idle();
        if idle.len() < MOST {
            idle.push(Idle { link, since });
        }
    }

    /// Drops what the other side closed and what lay idle for too long.
    pub(super) fn sweep(&self) {
        let now = self.sweeps.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let mut all = std::mem::take(&mut *self.idle());
        all.retain_mut(|idle| now.wrapping_sub(idle.since) <= LONGEST && idle.link.is_idle());
        let mut kept = self.idle();
        // What came back meanwhile is the freshest and stays on top.
        all.append(&mut kept);
        *kept = all;
    }

    /// How many lie idle.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.idle().len()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
