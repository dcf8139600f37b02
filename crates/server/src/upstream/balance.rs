//! Which address gets a request.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use smallvec::SmallVec;

use super::endpoint::Endpoint;
use super::settings::Balance;

/// The addresses of an upstream, with their shares.
#[derive(Default)]
pub(super) struct Lineup {
    pub(super) seats: Vec<Seat>,
    /// The order of round robin: each seat as often as its weight says, spread out.
    order: Vec<u16>,
}

/// An address in it.
#[derive(Clone)]
pub(super) struct Seat {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) weight: u32,
    /// Of the target and the address: the same on every node.
    hash: u64,
}

impl Seat {
    pub(super) fn new(endpoint: Arc<Endpoint>, weight: u32) -> Seat {
        let hash = hash(format!("{} {}", endpoint.url, endpoint.address).as_bytes());
        Seat { endpoint, weight, hash }
    }
}

impl Lineup {
    pub(super) fn new(seats: Vec<Seat>) -> Lineup {
        let order = order(&seats.iter().map(|seat| seat.weight).collect::<Vec<_>>());
        Lineup { seats, order }
    }
}

/// What choices of one upstream have in common.
pub(super) struct Chooser {
    turn: AtomicUsize,
    dice: AtomicU64,
}

/// What a choice is made by.
pub(super) struct Wish<'a> {
    pub(super) balance: Balance,
    /// The key of `hash`.
    pub(super) key: Option<&'a str>,
    /// Those that this request was sent to before.
    pub(super) tried: &'a [Arc<Endpoint>],
    pub(super) now: u64,
    pub(super) slow_start: Duration,
}

impl Default for Chooser {
    fn default() -> Self {
        // No secret: nodes that start together must not choose alike.
        Chooser { turn: AtomicUsize::new(0), dice: AtomicU64::new(RandomState::new().hash_one(0)) }
    }
}

impl Chooser {
    /// The address for a request. Where no address is usable, all are used: checks that err must not take down what may still
    /// answer. `None` where there are none at all.
    pub(super) fn choose(&self, lineup: &Lineup, wish: &Wish<'_>) -> Option<Arc<Endpoint>> {
        let seats = &lineup.seats;
        if let [] | [_] = seats.as_slice() {
            return seats.first().map(|seat| seat.endpoint.clone());
        }
        let untried = |seat: &Seat| !wish.tried.iter().any(|tried| Arc::ptr_eq(tried, &seat.endpoint));
        let share = |seat: &Seat| match seat.endpoint.is_usable(wish.now) && untried(seat) {
            true => seat.weight * seat.endpoint.record.warmth(wish.now, wish.slow_start),
            false => 0,
        };
        let mut shares: Shares = seats.iter().map(share).collect();
        if shares.iter().all(|share| *share == 0) {
            shares = seats.iter().map(|seat| if untried(seat) { seat.weight * 100 } else { 0 }).collect();
        }
        if shares.iter().all(|share| *share == 0) {
            shares = seats.iter().map(|seat| seat.weight * 100).collect();
        }
        let at = match (wish.balance, wish.key) {
            (Balance::RoundRobin, _) => self.next(lineup, &shares),
            (Balance::Hash, Some(key)) => by_hash(seats, &shares, hash(key.as_bytes())),
            (Balance::LeastRequests | Balance::Hash, _) => self.freer_of_two(seats, &mut shares),
        };
        Some(seats[at].endpoint.clone())
    }

    fn next(&self, lineup: &Lineup, shares: &Shares) -> usize {
        // As many turns as bring everybody in; one that is being warmed up lets some of its turns go by.
        for _ in 0..lineup.order.len() * 10 {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % lineup.order.len();
            let at = usize::from(lineup.order[turn]);
            let whole = lineup.seats[at].weight * 100;
            if shares[at] == whole || (shares[at] > 0 && self.roll(whole) < shares[at]) {
                return at;
            }
        }
        shares.iter().position(|share| *share > 0).unwrap_or(0)
    }

    fn freer_of_two(&self, seats: &[Seat], shares: &mut Shares) -> usize {
        let first = self.draw(shares);
        let first_share = std::mem::take(&mut shares[first]);
        if shares.iter().all(|share| *share == 0) {
            return first;
        }
        let second = self.draw(shares);
        let busy = |at: usize| u64::from(seats[at].endpoint.active.load(Ordering::Relaxed));
        // Requests in flight for each part of a share. Of two that are idle it is the one that was drawn first, as the shares are.
        if busy(second) * u64::from(first_share) < busy(first) * u64::from(shares[second]) { second } else { first }
    }

    /// One at random, as its share is.
    fn draw(&self, shares: &Shares) -> usize {
        let mut left = self.roll(shares.iter().sum());
        for (at, share) in shares.iter().enumerate() {
            if left < *share {
                return at;
            }
            left -= share;
        }
        0
    }

    /// A number below this one. `SplitMix64`: a step is one atomic addition.
    fn roll(&self, below: u32) -> u32 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let random = mix(self.dice.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP));
        // The upper half, scaled: even enough for numbers this small.
        (((random >> 32) * u64::from(below)) >> 32) as u32
    }

    /// A time between nothing and this.
    pub(super) fn jitter(&self, most: Duration) -> Duration {
        most.mul_f64(f64::from(self.roll(1 << 20)) / f64::from(1 << 20))
    }
}

/// Percent of the weights.
type Shares = SmallVec<[u32; 16]>;

/// Rendezvous hashing, weighted: every seat draws a number from the key and the highest wins, so a seat that goes moves nobody's keys
/// but its own.
fn by_hash(seats: &[Seat], shares: &Shares, key: u64) -> usize {
    let score = |(seat, share): (&Seat, &u32)| {
        let drawn = (mix(seat.hash ^ key) >> 11) as f64 + 0.5;
        let unit = drawn / (1_u64 << 53) as f64;
        // The whole weight also of one that is being warmed up: its keys are its own.
        if *share == 0 { f64::NEG_INFINITY } else { f64::from(seat.weight) / -unit.ln() }
    };
    let scores = seats.iter().zip(shares).map(score).enumerate();
    scores.max_by(|(_, one), (_, other)| one.total_cmp(other)).map_or(0, |(at, _)| at)
}

/// FNV-1a, and a good last stir: the same on all nodes and in all versions.
fn hash(bytes: &[u8]) -> u64 {
    mix(bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)))
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Smooth weighted round robin: each in the order of who has waited longest for its share.
fn order(weights: &[u32]) -> Vec<u16> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0_i64; weights.len()];
    let turns = (0..total).map(|_| {
        credit.iter_mut().zip(&weights).for_each(|(credit, weight)| *credit += weight);
        // The first of equals.
        let at = credit.iter().enumerate().rev().max_by_key(|(_, credit)| **credit).map_or(0, |(at, _)| at);
        credit[at] -= total;
        u16::try_from(at).unwrap_or(u16::MAX)
    });
    turns.collect()
}

fn gcd(one: u32, other: u32) -> u32 {
    if other == 0 { one } else { gcd(other, one % other) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::settings::{Ejection, Target, Way};
    use super::*;

    fn lineup(weights: &[u32]) -> Lineup {
        let seat = |(at, weight): (usize, &u32)| {
            let port = 9000 + u16::try_from(at).unwrap();
            let way = Arc::<Way>::default();
            let target = Target { way, host: String::from("127.0.0.1"), port, weight: *weight };
            Seat::new(Arc::new(Endpoint::new(&target, ([127, 0, 0, 1], port).into())), *weight)
        };
        Lineup::new(weights.iter().enumerate().map(seat).collect())
    }

    fn wish(balance: Balance, key: Option<&str>) -> Wish<'_> {
        Wish { balance, key, tried: &[], now: 1, slow_start: Duration::ZERO }
    }

    fn chosen(chooser: &Chooser, lineup: &Lineup, wish: &Wish<'_>) -> u16 {
        chooser.choose(lineup, wish).unwrap().address.port() - 9000
    }

    fn counts(lineup: &Lineup, balance: Balance, times: u32) -> BTreeMap<u16, u32> {
        let chooser = Chooser::default();
        let mut counts = BTreeMap::new();
        (0..times).for_each(|_| *counts.entry(chosen(&chooser, lineup, &wish(balance, None))).or_default() += 1);
        counts
    }

    #[test]
    fn round_robin_is_in_turn_and_by_weight() {
        assert_eq!(order(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(order(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(order(&[20, 40]), order(&[1, 2]));
        assert_eq!(counts(&lineup(&[3, 1]), Balance::RoundRobin, 400), BTreeMap::from([(0, 300), (1, 100)]));
    }

    #[test]
    fn the_freer_of_two_gets_it() {
        let two = lineup(&[1, 1]);
        two.seats[0].endpoint.active.store(3, Ordering::Relaxed);
        assert_eq!(counts(&two, Balance::LeastRequests, 50), BTreeMap::from([(1, 50)]));
        // Three times the weight may have three times the requests.
        let weighted = lineup(&[4, 1]);
        weighted.seats[0].endpoint.active.store(2, Ordering::Relaxed);
        weighted.seats[1].endpoint.active.store(1, Ordering::Relaxed);
        assert_eq!(counts(&weighted, Balance::LeastRequests, 50), BTreeMap::from([(0, 50)]));
        let shares = counts(&lineup(&[3, 1]), Balance::LeastRequests, 4_000);
        assert!((2_700..3_300).contains(&shares[&0]), "{shares:?}");
        let idle = counts(&lineup(&[1, 1, 1, 1]), Balance::LeastRequests, 4_000);
        assert!(idle.values().all(|count| (700..1_300).contains(count)), "{idle:?}");
    }

    #[test]
    fn a_key_stays_where_it_is_though_another_target_goes() {
        let (chooser, four) = (Chooser::default(), lineup(&[1, 1, 2, 1]));
        let three =
            Lineup::new(four.seats.iter().enumerate().filter(|(at, _)| *at != 1).map(|(_, s)| s.clone()).collect());
        let mut counts = [0; 4];
        for number in 0..5_000 {
            let key = format!("user-{number}");
            let before = chosen(&chooser, &four, &wish(Balance::Hash, Some(&key)));
            let after = chosen(&chooser, &three, &wish(Balance::Hash, Some(&key)));
            counts[usize::from(before)] += 1;
            assert!(before == after || before == 1, "{key} moved from {before} to {after}");
        }
        assert!((800..1_200).contains(&counts[0]) && (1_800..2_200).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn who_is_out_or_was_tried_is_left_out_while_there_is_another() {
        let three = lineup(&[1, 1, 1]);
        three.seats[0].endpoint.down.store(true, Ordering::Relaxed);
        three.seats[1].endpoint.record.eject(1, &Ejection::default());
        for balance in [Balance::RoundRobin, Balance::LeastRequests] {
            assert_eq!(counts(&three, balance, 20), BTreeMap::from([(2, 20)]));
        }
        let tried = [three.seats[2].endpoint.clone()];
        let again = Wish { tried: &tried, ..wish(Balance::RoundRobin, None) };
        assert_ne!(
            chosen(&Chooser::default(), &three, &again),
            2,
            "one that is out is better than one that just failed"
        );
        three.seats[2].endpoint.down.store(true, Ordering::Relaxed);
        assert_eq!(counts(&three, Balance::RoundRobin, 30).len(), 3, "all are out: all are used");
    }

    #[test]
    fn one_that_comes_back_gets_little_at_first() {
        let two = lineup(&[1, 1]);
        two.seats[1].endpoint.record.comes_back(1);
        let chooser = Chooser::default();
        for balance in [Balance::RoundRobin, Balance::LeastRequests] {
            let slow = |now| Wish { now, slow_start: Duration::from_nanos(1_000), ..wish(balance, None) };
            let count = |now| (0..1_000).filter(|_| chosen(&chooser, &two, &slow(now)) == 1).count();
            let (early, late) = (count(2), count(2_000));
            assert!(early < 300 && (350..650).contains(&late), "{balance:?}: {early}, {late}");
        }
    }
}
