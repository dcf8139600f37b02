//! What is kept, in bounded memory, and who fetches what is not.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use futures_util::lock::Mutex as Turn;
use http::{HeaderMap, StatusCode};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::rules::{self, Varying};
use crate::http::cache_control::Directives;
use crate::weighed::weighed;

const SECOND: u64 = 1_000_000_000;

/// How many URLs are told apart when one of them is written to. Where two fall together, something good is forgotten.
const WRITTEN: usize = 4_096;

/// How many keys are remembered whose responses are not worth waiting for.
const PASSED: usize = 10_000;

/// Under what responses are kept: the URL and what the policy adds to it.
pub(super) type Key = Arc<str>;

/// A response that is kept.
pub(super) struct Entry {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) said: Directives,
    pub(super) varying: Varying,
    /// Seconds that it is fresh, from when it was made.
    pub(super) lifetime: u64,
    /// Seconds that it was old when it came.
    pub(super) initial_age: u64,
    /// When it was asked for, and when it came, by the monotonic clock.
    pub(super) asked_at: u64,
    pub(super) came_at: u64,
}

impl Entry {
    /// Seconds since it was made.
    pub(super) fn age(&self, now: u64) -> u64 {
        self.initial_age.saturating_add(now.saturating_sub(self.came_at) / SECOND)
    }

    fn weight(&self) -> u64 {
        let fields: usize = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum();
        // What clients sent and `Vary` names: they choose how long it is.
        let lines = |lines: &[Vec<u8>]| lines.iter().map(|line| line.len() + 24).sum::<usize>();
        let varying = self.varying.iter().map(|(name, value)| name.as_str().len() + lines(value) + 64);
        (self.body.len() + fields + varying.sum::<usize>() + 512) as u64
    }
}

/// The responses of one key, which differ by what `Vary` names; the newest last.
type Variants = Arc<[Arc<Entry>]>;

#[derive(Clone)]
struct ByWeight;

impl Weighter<Key, Variants> for ByWeight {
    fn weight(&self, key: &Key, variants: &Variants) -> u64 {
        key.len() as u64 + variants.iter().map(|entry| entry.weight()).sum::<u64>()
    }
}

/// All that one `cache` keeps. It outlives a reload.
pub(super) struct Shelf {
    kept: Cache<Key, Variants, ByWeight>,
    most_variants: usize,
    /// Held while the variants of a key are read, changed and put back.
    changing: Mutex<()>,
    /// Until when nobody waits for the response to a key. By its hash: keys are as long as clients want, and of two that meet one waits less.
    passed: Cache<u64, u64>,
    /// Held by whoever fetches.
    turns: Mutex<HashMap<Key, Weak<Turn<()>>>>,
    /// When URLs were last written to, by their hash: what was asked for before that is not used.
    written: Box<[AtomicU64]>,
    /// So that nobody outside can aim at another one's.
    seed: RandomState,
}

/// What there is for a request.
pub(super) enum Found {
    Entry(Arc<Entry>),
    /// Only what `Vary` says was for other requests.
    Others,
    Nothing,
}

impl Shelf {
    pub(super) fn new(size: u64, largest: u64, most_variants: usize) -> Self {
        Shelf {
            kept: weighed(size, largest, ByWeight),
            most_variants,
            changing: Mutex::default(),
            passed: Cache::new(PASSED),
            turns: Mutex::default(),
            written: (0..WRITTEN).map(|_| AtomicU64::new(0)).collect(),
            seed: RandomState::new(),
        }
    }

    pub(super) fn find(&self, key: &Key, url: &str, request: &HeaderMap) -> Found {
        let Some(variants) = self.kept.get(key) else { return Found::Nothing };
        let written = self.stamp(url).load(Ordering::Acquire);
        let mut good = variants.iter().filter(|entry| entry.asked_at > written).peekable();
        if good.peek().is_none() {
            return Found::Nothing;
        }
        // Of several that fit, the newest (RFC 9111, section 4).
        match good.rfind(|entry| rules::selects(&entry.varying, request)) {
            Some(entry) => Found::Entry(entry.clone()),
            None => Found::Others,
        }
    }

    /// Keeps it in place of what would be found for the same request.
    pub(super) fn keep(&self, key: &Key, request: &HeaderMap, entry: Entry) {
        self.change(key, request, Some(Arc::new(entry)));
    }

    /// Forgets what would be found for this request.
    pub(super) fn forget(&self, key: &Key, request: &HeaderMap) {
        self.change(key, request, None);
    }

    fn change(&self, key: &Key, request: &HeaderMap, entry: Option<Arc<Entry>>) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.kept.get(key);
        let others = before.iter().flat_map(|variants| variants.iter());
        let others = others.filter(|other| !rules::selects(&other.varying, request)).cloned();
        let mut after: Vec<Arc<Entry>> = others.chain(entry).collect();
        if after.len() > self.most_variants {
            after.drain(..after.len() - self.most_variants);
        }
        if after.is_empty() {
            self.kept.remove(key);
        } else {
            self.kept.insert(key.clone(), after.into());
        }
    }

    /// Something was written to this URL: whatever was asked for until now is not used any more (section 4.4).
    pub(super) fn written(&self, url: &str, now: u64) {
        self.stamp(url).fetch_max(now, Ordering::AcqRel);
    }

    fn stamp(&self, url: &str) -> &AtomicU64 {
        &self.written[self.seed.hash_one(url) as usize % WRITTEN]
    }

    /// Nobody waits for the response to this key until then: it is not kept, or not for long enough.
    pub(super) fn pass(&self, key: &Key, until: u64) {
        self.passed.insert(self.seed.hash_one(key), until);
    }

    pub(super) fn passes(&self, key: &Key, now: u64) -> bool {
        self.passed.get(&self.seed.hash_one(key)).is_some_and(|until| now < until)
    }

    /// Whoever holds this fetches the response to the key.
    pub(super) fn turn(&self, key: &Key) -> Arc<Turn<()>> {
        let mut turns = self.turns();
        if let Some(turn) = turns.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        // As many as there are requests under way, and as many again.
        if turns.len() >= 64 && turns.len().is_power_of_two() {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::<Turn<()>>::default();
        turns.insert(key.clone(), Arc::downgrade(&turn));
        turn
    }

    fn turns(&self) -> MutexGuard<'_, HashMap<Key, Weak<Turn<()>>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn request(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::header::ACCEPT, HeaderValue::from_str(accept).unwrap())])
    }

    fn entry(body: &'static str, accept: &str, asked_at: u64) -> Entry {
        let vary = HeaderMap::from_iter([(http::header::VARY, HeaderValue::from_static("accept"))]);
        Entry {
            status: StatusCode::OK,
            varying: rules::varying(&vary, &request(accept)),
            headers: vary,
            body: Bytes::from_static(body.as_bytes()),
            said: Directives::default(),
            lifetime: 1,
            initial_age: 0,
            asked_at,
            came_at: asked_at,
        }
    }

    fn found(shelf: &Shelf, key: &Key, accept: &str) -> String {
        match shelf.find(key, "url", &request(accept)) {
            Found::Entry(entry) => String::from_utf8_lossy(&entry.body).into_owned(),
            Found::Others => "others".into(),
            Found::Nothing => "nothing".into(),
        }
    }

    #[test]
    fn each_variant_is_kept_once_and_the_oldest_goes_first() {
        let (shelf, key) = (Shelf::new(1 << 20, 1 << 16, 2), Key::from("k"));
        assert_eq!(found(&shelf, &key, "a"), "nothing");
        shelf.keep(&key, &request("a"), entry("1", "a", 1));
        assert_eq!((found(&shelf, &key, "a"), found(&shelf, &key, "b")), ("1".into(), "others".into()));
        shelf.keep(&key, &request("b"), entry("2", "b", 1));
        shelf.keep(&key, &request("a"), entry("3", "a", 1));
        assert_eq!((found(&shelf, &key, "a"), found(&shelf, &key, "b")), ("3".into(), "2".into()));
        shelf.keep(&key, &request("c"), entry("4", "c", 1));
        assert_eq!((found(&shelf, &key, "a"), found(&shelf, &key, "b")), ("3".into(), "others".into()));
        shelf.forget(&key, &request("a"));
        shelf.forget(&key, &request("c"));
        assert_eq!(found(&shelf, &key, "c"), "nothing");
    }

    #[test]
    fn what_was_asked_for_before_a_write_is_not_used_whenever_it_comes() {
        let (shelf, key) = (Shelf::new(1 << 20, 1 << 16, 2), Key::from("k"));
        shelf.keep(&key, &request("a"), entry("1", "a", 5));
        shelf.written("url", 7);
        assert_eq!(found(&shelf, &key, "a"), "nothing");
        shelf.keep(&key, &request("a"), entry("late", "a", 7));
        assert_eq!(found(&shelf, &key, "a"), "nothing");
        shelf.keep(&key, &request("a"), entry("2", "a", 8));
        assert_eq!(found(&shelf, &key, "a"), "2");
    }

    #[test]
    fn memory_is_bounded() {
        let (size, body) = (1 << 20, "x".repeat(10_000).leak() as &'static str);
        let shelf = Shelf::new(size, 1 << 16, 2);
        for number in 0..1_000 {
            shelf.keep(&Key::from(number.to_string()), &request("a"), entry(body, "a", 1));
        }
        assert!(shelf.kept.weight() <= size && shelf.kept.weight() > size / 2, "{}", shelf.kept.weight());
    }

    /// A client chooses the length of a header that `Vary` names, as it does that of a URL.
    #[test]
    fn what_a_response_varies_by_counts() {
        let accept = "a".repeat(10_000);
        assert!(entry("", &accept, 1).weight() > 10_000);
        let key = Key::from("k".repeat(10_000));
        assert!(ByWeight.weight(&key, &Vec::new().into()) >= 10_000);
    }

    #[test]
    fn one_has_the_turn_of_a_key_and_those_of_nobody_go() {
        let shelf = Shelf::new(1 << 20, 1 << 16, 2);
        let turn = shelf.turn(&Key::from("k"));
        assert!(Arc::ptr_eq(&turn, &shelf.turn(&Key::from("k"))));
        (0..1_000).for_each(|number| drop(shelf.turn(&Key::from(number.to_string()))));
        assert!(shelf.turns().len() < 200, "{}", shelf.turns().len());
        assert!(Arc::ptr_eq(&turn, &shelf.turn(&Key::from("k"))));
    }
}
