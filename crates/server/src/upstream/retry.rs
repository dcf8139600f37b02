//! When a request is sent once more: where that cannot do anything twice, or the settings say that it may; and only for a part of
//! all requests, so that an upstream in trouble is not sent twice as much.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use http::{Method, StatusCode};

use super::settings::Retries;

/// Why there was no answer, as far as another try is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Nothing was sent, or nothing was taken up.
    Unsent,
    /// The connection broke under the request.
    Reset,
    /// The upstream was silent.
    Timeout,
    /// Another try would end in the same.
    Other,
}

impl Retries {
    /// Whether a request with this method may be done twice (RFC 9110, section 9.2.2, or declared).
    pub(super) fn may_repeat(&self, method: &Method) -> bool {
        matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE)
            || self.methods.contains(method)
    }

    /// Whether this is tried once more.
    pub(super) fn after(&self, cause: Cause) -> bool {
        match cause {
            Cause::Unsent => self.connect,
            Cause::Reset => self.reset,
            Cause::Timeout => self.timeout,
            Cause::Other => false,
        }
    }

    /// Whether an answer with this status is.
    pub(super) fn after_answer(&self, status: StatusCode) -> bool {
        self.statuses.contains(&status)
    }
}

/// Thousandths of a retry.
const ONE: i64 = 1_000;

/// The most that is saved up.
const MOST: i64 = 100 * ONE;

/// What there is at the beginning, and what comes in every second without any request: where there are few, a percentage is nothing.
const FEW: i64 = 10 * ONE;

/// What may be spent on further tries.
pub(super) struct Budget {
    saved: AtomicI64,
    /// When somebody looked last, in seconds.
    looked: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { saved: AtomicI64::new(FEW), looked: AtomicU64::new(0) }
    }
}

impl Budget {
    /// A request comes in, and this percentage of a further try with it.
    pub(super) fn earn(&self, percent: u32) {
        if self.saved.load(Ordering::Relaxed) < MOST {
            self.saved.fetch_add(i64::from(percent) * ONE / 100, Ordering::Relaxed);
        }
    }

    /// Whether there is enough for one more try, at this time in seconds; then it is spent.
    pub(super) fn spend(&self, percent: u32, seconds: u64) -> bool {
        if percent == 0 {
            return false;
        }
        let enough = |saved| (saved >= ONE).then_some(saved - ONE);
        let spent = || self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough).is_ok();
        if spent() {
            return true;
        }
        if self.looked.swap(seconds, Ordering::Relaxed) != seconds {
            self.saved.fetch_add(FEW, Ordering::Relaxed);
        }
        spent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_done_twice() {
        let retries = Retries { methods: vec![Method::POST], ..Retries::default() };
        for (method, twice) in [(Method::GET, true), (Method::PUT, true), (Method::POST, true), (Method::PATCH, false)]
        {
            assert_eq!(retries.may_repeat(&method), twice, "{method}");
        }
        assert!(!Retries::default().may_repeat(&Method::POST));
    }

    #[test]
    fn a_budget_is_a_part_of_the_requests_and_a_few() {
        let budget = Budget::default();
        let spent = |seconds, most: u32| (0..most).filter(|_| budget.spend(20, seconds)).count();
        assert_eq!(spent(0, 100), 10, "the few at the beginning");
        assert_eq!(spent(1, 100), 10, "and those of a second");
        (0..100).for_each(|_| budget.earn(20));
        assert_eq!(spent(1, 100), 20);
        (0..100_000).for_each(|_| budget.earn(20));
        assert_eq!(spent(1, 1_000), 100, "what is saved has a bound");
        assert!(!Budget::default().spend(0, 0));
    }
}
