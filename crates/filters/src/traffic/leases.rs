//! What several nodes count together, without asking the store for each request.
//!
//! A node takes some of what is left on account, by one compare and swap on the key's row, and lets so many requests through before it
//! asks again. How many is what the last account showed of the demand, and never more than [`Budget::batch`]: what a node could hold
//! back from the others, or let through late, is a small part of the limit. What it did not need within a second it gives back when it
//! asks next. Where nothing is left, the node knows until when, and says no by itself. So a busy key asks a few dozen times a second
//! however busy it is, and an idle one takes no more than it needs.
//!
//! Requests of one key that find the account empty ask once: the first asks for all who wait with it.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::lock::Mutex;
use futures_util::pin_mut;
use serde::Serialize;
use serde::de::DeserializeOwned;

use policy::ports::Clock;
use store::counters::{Change, CounterKey, Seen};
use store::{Counters, StoreError};

use super::gcra::Verdict;
use super::keyed::{Entry, Keyed};

/// Nanoseconds for which an account is good, and after which a key that was used up is asked for again.
const LIFE: u64 = 1_000_000_000;

/// Nanoseconds after which one request looks whether a store that failed answers again.
const RETRY: u64 = 1_000_000_000;

/// How a limit gives away what is left of it: arithmetic, without a store or a clock.
pub(super) trait Budget: Sync {
    /// What the nodes keep of a key together.
    type State: Clone + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Grants some, where the key's row says this, at this time (Unix milliseconds).
    fn grant(&self, state: Option<&Self::State>, ask: &Ask, now: u64) -> Grant<Self::State>;

    /// How many a node takes on account, at most.
    fn batch(&self) -> u32;

    /// Nanoseconds for which a key is left alone that had less than was asked for: until then there is little more.
    fn pause(&self) -> u64;
}

/// What a node asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// So many, or as many as there are.
    pub(super) wanted: u32,
    /// So many are left of what it got before.
    pub(super) back: u32,
    /// When it got that, in Unix milliseconds.
    pub(super) since: u64,
}

/// What it gets.
#[derive(Clone, Debug)]
pub(super) struct Grant<S> {
    /// What the row is to say, and until when (Unix seconds); none = it stays as it is.
    pub(super) next: Option<(S, u64)>,
    /// How many.
    pub(super) count: u32,
    /// How many more are there, for whoever asks next.
    pub(super) left: u64,
    /// Nanoseconds until there is one, where there is none.
    pub(super) retry_in: u64,
    /// Nanoseconds until all are there again.
    pub(super) full_in: u64,
}

/// Where the nodes count together.
pub(super) struct Together<'a> {
    pub(super) store: &'a Counters,
    /// Which limit it is, on all nodes.
    pub(super) limit: &'a str,
    /// How long a request may wait for the store.
    pub(super) patience: Duration,
    /// What becomes of requests while it gives no answer, for the log.
    pub(super) meanwhile: &'static str,
    pub(super) clock: &'a dyn Clock,
}

impl Together<'_> {
    /// Tells the log that the nodes count together no longer, or again. What a test of a policy says of its stores is no news.
    fn tell(&self, answer: &Result<Verdict, StoreError>) {
        let Some(source) = self.store.source().name() else { return };
        let (limit, meanwhile) = (self.limit, self.meanwhile);
        match answer {
            Ok(_) => tracing::info!(limit, source, "the nodes count together again"),
            Err(why) => tracing::warn!(limit, source, "the nodes do not count together, {meanwhile}: {why}"),
        }
    }
}

/// The accounts of this node.
pub(super) struct Leases<S> {
    keys: Keyed<Lease<S>>,
    /// From when on one request may look whether a store that failed answers again (monotonic nanoseconds); 0: it answers.
    look_at: AtomicU64,
}

/// The account of a key.
struct Lease<S> {
    /// So many may still pass, before `until`.
    tokens: u32,
    until: u64,
    /// When they were got, in Unix milliseconds.
    since: u64,
    /// How many are asked for next, should nobody wait.
    step: u32,
    /// What the key's row said last.
    seen: Option<Seen<S>>,
    /// What else there was then, and when all will be there again.
    left: u64,
    full_at: u64,
    /// The store is not asked before.
    ask_at: u64,
    /// There was nothing until then.
    empty_until: u64,
    /// What those need who wait.
    waiting: u64,
    turn: Arc<Mutex<()>>,
}

impl<S> Default for Lease<S> {
    fn default() -> Self {
        Lease {
            tokens: 0,
            until: 0,
            since: 0,
            step: 1,
            seen: None,
            left: 0,
            full_at: 0,
            ask_at: 0,
            empty_until: 0,
            waiting: 0,
            turn: Arc::default(),
        }
    }
}

impl<S> Entry for Lease<S> {
    fn free_at(&self) -> u64 {
        // One that is forgotten is read again: nothing is allowed by it but what is still on account.
        self.until.max(self.empty_until)
    }
}

impl<S> Lease<S> {
    /// What is known without asking.
    fn spend(&mut self, cost: u32, now: u64) -> Option<Verdict> {
        let full_in = self.full_at.saturating_sub(now);
        if cost <= self.tokens && now < self.until {
            self.tokens -= cost;
            return Some(Verdict::Pass { remaining: self.left + u64::from(self.tokens), full_in });
        }
        (now < self.ask_at).then(|| Verdict::Wait { retry_in: self.ask_at.max(self.empty_until) - now, full_in })
    }

    /// What to ask for. It is taken off: should the answer never come, it is gone, and nothing passes that was not counted.
    fn ask(&mut self, batch: u32, now: u64) -> (Ask, Option<Seen<S>>) {
        let back = mem::take(&mut self.tokens);
        self.step = match back {
            0 if now < self.until => self.step.saturating_mul(2),
            0 => self.step,
            _ => self.step / 2,
        };
        self.step = self.step.clamp(1, batch.max(1));
        let wanted = u32::try_from(self.waiting).unwrap_or(u32::MAX).max(self.step);
        (Ask { wanted, back, since: self.since }, self.seen.take())
    }

    fn got(&mut self, grant: &Grant<S>, seen: Option<Seen<S>>, wanted: u32, pause: u64, now: u64, unix_millis: u64) {
        (self.tokens, self.until, self.since) = (grant.count, now.saturating_add(LIFE), unix_millis);
        (self.left, self.full_at, self.seen) = (grant.left, now.saturating_add(grant.full_in), seen);
        if grant.count < wanted {
            self.ask_at = now.saturating_add(grant.retry_in.max(pause).min(LIFE));
            self.empty_until = now.saturating_add(grant.retry_in);
        }
    }
}

/// Somebody who waits, until they have an answer or go away.
struct Waiting<'a, S> {
    keys: &'a Keyed<Lease<S>>,
    key: &'a str,
    cost: u32,
    now: u64,
}

impl<'a, S> Waiting<'a, S> {
    fn begin(keys: &'a Keyed<Lease<S>>, key: &'a str, cost: u32, now: u64) -> (Self, Arc<Mutex<()>>) {
        let turn = keys.with(key, now, |lease| {
            lease.waiting += u64::from(cost);
            lease.turn.clone()
        });
        (Waiting { keys, key, cost, now }, turn)
    }
}

impl<S> Drop for Waiting<'_, S> {
    fn drop(&mut self) {
        // Where the key was forgotten meanwhile, nobody is known to wait for it.
        self.keys.with(self.key, self.now, |lease| lease.waiting = lease.waiting.saturating_sub(self.cost.into()));
    }
}

impl<S: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Leases<S> {
    /// For at most about so many keys at a time.
    pub(super) fn new(keys: usize) -> Self {
        Leases { keys: Keyed::new(keys), look_at: AtomicU64::new(0) }
    }

    /// Takes so much for a request of this key; an error where the store did not say, soon enough, whether there is that much.
    pub(super) async fn take<B: Budget<State = S>>(
        &self,
        budget: &B,
        key: &str,
        cost: u32,
        together: &Together<'_>,
    ) -> Result<Verdict, StoreError> {
        let now = together.clock.monotonic_nanos();
        if let Some(verdict) = self.keys.with(key, now, |lease| lease.spend(cost, now)) {
            return Ok(verdict);
        }
        self.may_ask(now)?;
        let asking = self.ask(budget, key, cost, together);
        let patience = together.clock.sleep(together.patience);
        pin_mut!(asking);
        let answer = match select(asking, patience).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                Err(StoreError::Unavailable(format!("the counters gave no answer within {:?}", together.patience)))
            }
        };
        let next_look = if answer.is_ok() { 0 } else { together.clock.monotonic_nanos().saturating_add(RETRY).max(1) };
        if self.is_news(next_look) {
            together.tell(&answer);
        }
        answer
    }

    /// Notes whether the store answers; whether it did not before, or did, so that only the first request tells of it.
    fn is_news(&self, next_look: u64) -> bool {
        let before = self.look_at.swap(next_look, Relaxed);
        (before == 0) != (next_look == 0)
    }

    /// After a failure requests do not wait; one a second looks.
    fn may_ask(&self, now: u64) -> Result<(), StoreError> {
        let at = self.look_at.load(Relaxed);
        let may = at == 0 || (now >= at && self.look_at.compare_exchange(at, now + RETRY, Relaxed, Relaxed).is_ok());
        may.then_some(()).ok_or_else(|| StoreError::Unavailable("the counters did not answer a moment ago".into()))
    }

    async fn ask<B: Budget<State = S>>(
        &self,
        budget: &B,
        key: &str,
        cost: u32,
        together: &Together<'_>,
    ) -> Result<Verdict, StoreError> {
        let clock = together.clock;
        let (_waiting, turn) = Waiting::begin(&self.keys, key, cost, clock.monotonic_nanos());
        let _turn = turn.lock().await;
        let now = clock.monotonic_nanos();
        // Whoever had the turn before has asked for all who waited.
        let known = self.keys.with(key, now, |lease| match lease.spend(cost, now) {
            Some(verdict) => Err(verdict),
            None => Ok(lease.ask(budget.batch(), now)),
        });
        let (ask, seen) = match known {
            Err(verdict) => return Ok(verdict),
            Ok(asked) => asked,
        };
        let unix_millis = clock.unix_millis();
        let change = |state: Option<&S>| {
            let mut grant = budget.grant(state, &ask, unix_millis);
            Change { next: grant.next.take(), answer: grant }
        };
        let (grant, seen) = together.store.change(&CounterKey::new(together.limit, key), seen, change).await?;
        Ok(self.keys.with(key, now, |lease| {
            lease.got(&grant, seen, ask.wanted, budget.pause(), now, unix_millis);
            let full_in = grant.full_in;
            // Where there is some, and less than this one costs, nobody knows how soon there is enough.
            let retry_in = if grant.count > 0 { full_in } else { lease.ask_at.max(lease.empty_until) - now };
            lease.spend(cost, now).unwrap_or(Verdict::Wait { retry_in, full_in })
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::AtomicU32;
    use std::task::{Context, Poll, Waker};

    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use policy::ports::BoxFuture;
    use policy::testing::block_on;

    use super::*;
    use crate::fixture::Watched;

    /// So many for ever.
    struct UpTo {
        limit: u64,
        batch: u32,
    }

    impl Budget for UpTo {
        type State = u64;

        fn grant(&self, state: Option<&u64>, ask: &Ask, _: u64) -> Grant<u64> {
            let used = state.copied().unwrap_or(0) - u64::from(ask.back);
            let count = (self.limit - used).min(ask.wanted.into());
            let (used, left) = (used + count, self.limit - used - count);
            let next = (count > 0 || ask.back > 0).then_some((used, 2_000_000_000));
            Grant { next, count: count as u32, left, retry_in: 10 * LIFE, full_in: 10 * LIFE }
        }

        fn batch(&self) -> u32 {
            self.batch
        }

        fn pause(&self) -> u64 {
            0
        }
    }

    /// A clock by hand; nobody's patience ends, or everybody's at once.
    #[derive(Default)]
    struct ByHand {
        nanos: AtomicU64,
        impatient: AtomicU32,
    }

    impl Clock for ByHand {
        fn unix_millis(&self) -> u64 {
            self.nanos.load(Relaxed) / 1_000_000
        }
        fn monotonic_nanos(&self) -> u64 {
            self.nanos.load(Relaxed)
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'_, ()> {
            if self.impatient.load(Relaxed) > 0 { Box::pin(async {}) } else { Box::pin(pending()) }
        }
    }

    struct Node {
        watched: Arc<Watched>,
        store: Counters,
        clock: ByHand,
        leases: Leases<u64>,
    }

    impl Node {
        fn new(watched: &Arc<Watched>) -> Node {
            let clock = ByHand::default();
            clock.nanos.store(LIFE, Relaxed);
            let store = Counters::new(watched.clone());
            Node { watched: watched.clone(), store, clock, leases: Leases::new(128) }
        }

        async fn take(&self, budget: &UpTo) -> Result<bool, StoreError> {
            let together = Together {
                store: &self.store,
                limit: "l",
                patience: Duration::ZERO,
                meanwhile: "",
                clock: &self.clock,
            };
            let verdict = self.leases.take(budget, "k", 1, &together).await;
            verdict.map(|verdict| matches!(verdict, Verdict::Pass { .. }))
        }

        fn passed(&self, budget: &UpTo, requests: usize) -> usize {
            let all = block_on(join_all((0..requests).map(|_| self.take(budget))));
            all.into_iter().filter(|passed| passed == &Ok(true)).count()
        }

        fn later(&self) {
            self.clock.nanos.fetch_add(2 * LIFE, Relaxed);
        }
    }

    #[test]
    fn those_who_come_together_ask_together() {
        let watched = Arc::new(Watched::default());
        watched.set_slow();
        let node = Node::new(&watched);
        assert_eq!(node.passed(&UpTo { limit: 20, batch: 1 }, 50), 20);
        assert!(node.watched.writes() <= 3, "{}", node.watched.writes());
        assert_eq!(node.passed(&UpTo { limit: 20, batch: 1 }, 50), 0);
        assert!(node.watched.writes() <= 3, "that nothing is left is known");
    }

    #[test]
    fn more_is_taken_on_account_as_it_is_needed_and_given_back_as_it_is_not() {
        let watched = Arc::new(Watched::default());
        let (one, two) = (Node::new(&watched), Node::new(&watched));
        let budget = UpTo { limit: 100, batch: 16 };
        // 1, 2, 4, 8, 16, 16: for 40 requests.
        assert_eq!((0..40).map(|_| one.passed(&budget, 1)).sum::<usize>(), 40);
        assert_eq!(watched.writes(), 6);
        assert_eq!((0..60).map(|_| two.passed(&budget, 1)).sum::<usize>(), 53, "7 are on the other's account");
        one.later();
        assert_eq!(
            (0..9).map(|_| one.passed(&budget, 1)).sum::<usize>(),
            7,
            "it gave them back, and took what was left"
        );
    }

    /// Clients that go away at any moment: nobody waits for ever after them, and nothing passes that was not counted.
    #[test]
    fn who_goes_away_holds_nobody_up() {
        for polls in 0..12 {
            let watched = Arc::new(Watched::default());
            watched.set_slow();
            let (node, budget) = (Node::new(&watched), UpTo { limit: 10, batch: 2 });
            {
                let (mut first, mut second) = (Box::pin(node.take(&budget)), Box::pin(node.take(&budget)));
                let mut context = Context::from_waker(Waker::noop());
                let is_done = (0..polls).any(|_| matches!(first.poll_unpin(&mut context), Poll::Ready(_)));
                let _ = second.poll_unpin(&mut context);
                if is_done {
                    continue;
                }
            }
            let passed: usize = (0..20).map(|_| node.passed(&budget, 1)).sum();
            assert!((8..=10).contains(&passed), "after {polls}: {passed}");
        }
    }

    #[test]
    fn that_the_store_fails_and_that_it_answers_again_is_news_once() {
        let leases = Leases::<u64>::new(128);
        let next_looks = [0, 0, 7, 8, 9, 0, 0, 7, 0];
        let news = [false, false, true, false, false, true, false, true, true];
        assert_eq!(next_looks.map(|next_look| leases.is_news(next_look)), news);
    }

    #[test]
    fn patience_has_an_end_and_then_nobody_waits_for_a_second() {
        let watched = Arc::new(Watched::default());
        watched.set_slow();
        let (node, budget) = (Node::new(&watched), UpTo { limit: 10, batch: 2 });
        node.clock.impatient.store(1, Relaxed);
        let late = block_on(node.take(&budget)).expect_err("it was silent");
        assert!(late.why().contains("gave no answer within"), "{late}");
        let soon = block_on(node.take(&budget)).expect_err("it was silent a moment ago");
        assert!(soon.why().contains("a moment ago"), "{soon}");
        node.clock.impatient.store(0, Relaxed);
        assert!(block_on(node.take(&budget)).is_err(), "one looks after a second, and none before");
        node.later();
        assert_eq!(node.passed(&budget, 20), 1, "one looks, the others do not wait for it");
        assert_eq!(node.passed(&budget, 20), 9);
    }
}
