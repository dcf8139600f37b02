//! Each race on its own, over memory with hooks; and that a cache changes nothing about what a source must do.

use std::sync::Arc;

use tokio::time::advance;

use super::*;
use crate::conformance::Fresh;
use crate::sources::memory::Memory as InMemory;
use crate::tables::{ACCESS_TOKEN, EPOCH};
use crate::testing::{Gate, Hooked};
use crate::watch::Watchers;

const AGE: Duration = Duration::from_secs(1);

fn settings(entries: usize) -> CacheSettings {
    CacheSettings { entries, max_age: AGE }
}

fn cached(source: Hooked) -> (Arc<Hooked>, Arc<Cached>) {
    let source = Arc::new(source);
    let cached = Cached::new(source.clone(), settings(1000), &[&ACCESS_TOKEN]);
    (source, Arc::new(cached))
}

/// A source that tells of changes when the test does.
fn telling() -> Hooked {
    Hooked { watchers: Some(Watchers::default()), ..Hooked::default() }
}

fn tell(source: &Hooked, change: Change<'_>) {
    source.watchers.as_ref().unwrap().tell(change);
}

fn row(key: &str, record: &str) -> Row {
    Row { key: key.into(), version: 1, expires_at: None, indexes: vec![None; 3], record: record.into() }
}

/// Somebody else writes: past the cache.
async fn other_writes(source: &Hooked, key: &str, record: &str) {
    let found = source.memory.get(&ACCESS_TOKEN, key.as_bytes()).await.unwrap();
    let done = match found {
        Some(found) => source.memory.replace(&ACCESS_TOKEN, row(key, record), found.version).await,
        None => source.memory.insert(&ACCESS_TOKEN, row(key, record)).await,
    };
    assert_eq!(done, Ok(true));
}

async fn record(cached: &Cached, key: &str) -> Option<String> {
    cached.get(&ACCESS_TOKEN, key.as_bytes()).await.unwrap().map(|row| row.record)
}

async fn is(cached: &Cached, record: &str) {
    assert_eq!(self::record(cached, "k").await.as_deref(), Some(record));
}

fn changed(key: &str) -> Change<'static> {
    Change::Row("access_token", key_hash(key.as_bytes()))
}

fn counts(cached: &Cached) -> [u64; 4] {
    let counters = cached.counters();
    [&counters.hits, &counters.misses, &counters.bypassed, &counters.invalidations].map(|c| c.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn a_row_is_believed_for_max_age_and_no_longer() {
    let (source, cached) = cached(Hooked::default());
    other_writes(&source, "k", "1").await;
    is(&cached, "1").await;
    other_writes(&source, "k", "2").await;
    advance(AGE).await;
    is(&cached, "1").await;
    advance(Duration::from_millis(1)).await;
    is(&cached, "2").await;
    assert_eq!(counts(&cached), [1, 2, 0, 0]);
}

/// The age counts from before the row was asked for: a slow answer is no younger.
#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_as_old_as_its_question() {
    let slow = Box::new(|_| -> crate::source::BoxFuture<'static, ()> { Box::pin(tokio::time::sleep(AGE * 2)) });
    let (source, cached) = cached(Hooked { after_get: slow, ..Hooked::default() });
    other_writes(&source, "k", "1").await;
    is(&cached, "1").await;
    other_writes(&source, "k", "2").await;
    is(&cached, "2").await;
}

#[tokio::test(start_paused = true)]
async fn a_record_is_read_once_until_its_row_is_another() {
    async fn read(cached: &Cached) -> Arc<u64> {
        let kept = cached.get_kept(&ACCESS_TOKEN, b"k").await.unwrap().expect("a row");
        crate::codec::decode_kept(&ACCESS_TOKEN, &kept).expect("a number")
    }
    let (source, cached) = cached(Hooked::default());
    other_writes(&source, "k", "1").await;
    let first = read(&cached).await;
    assert!(Arc::ptr_eq(&first, &read(&cached).await));
    assert_eq!(cached.replace(&ACCESS_TOKEN, row("k", "2"), 1).await, Ok(true));
    assert_eq!((*first, *read(&cached).await), (1, 2));
    // As something else it is read anew, and an unreadable one is told each time.
    let kept = cached.get_kept(&ACCESS_TOKEN, b"k").await.unwrap().expect("a row");
    assert_eq!(crate::codec::decode_kept::<f64>(&ACCESS_TOKEN, &kept).map(|read| *read), Ok(2.0));
    assert!(crate::codec::decode_kept::<bool>(&ACCESS_TOKEN, &kept).is_err());
    assert_eq!(counts(&cached), [2, 2, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_miss_is_not_remembered() {
    let (source, cached) = cached(Hooked::default());
    assert_eq!(record(&cached, "k").await, None);
    other_writes(&source, "k", "1").await;
    is(&cached, "1").await;
}

#[tokio::test(start_paused = true)]
async fn what_this_node_writes_it_knows_at_once() {
    let (source, cached) = cached(Hooked::default());
    assert_eq!(cached.insert(&ACCESS_TOKEN, row("k", "1")).await, Ok(true));
    is(&cached, "1").await;
    assert_eq!(cached.replace(&ACCESS_TOKEN, row("k", "2"), 1).await, Ok(true));
    is(&cached, "2").await;
    // One that failed, since somebody else was first: that is seen too.
    other_writes(&source, "k", "3").await;
    assert_eq!(cached.replace(&ACCESS_TOKEN, row("k", "4"), 2).await, Ok(false));
    is(&cached, "3").await;
    assert!(cached.take(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    assert_eq!(record(&cached, "k").await, None);
    let indexed = Row { indexes: vec![Some("app".into()), None, None], ..row("k", "5") };
    assert_eq!(cached.insert(&ACCESS_TOKEN, indexed).await, Ok(true));
    is(&cached, "5").await;
    assert_eq!(cached.remove(&ACCESS_TOKEN, 0, "app", 9).await, Ok(1));
    assert_eq!(record(&cached, "k").await, None);
}

/// What is read while a write is on its way is the row as it was.
#[tokio::test(start_paused = true)]
async fn a_row_that_was_read_during_a_write_goes_with_its_end() {
    let gate = Gate::new();
    let (source, cached) = cached(Hooked { before_replace: gate.hook(&ACCESS_TOKEN), ..Hooked::default() });
    other_writes(&source, "k", "1").await;
    let closed = gate.close().await;
    let writing = tokio::spawn({
        let cached = cached.clone();
        async move { cached.replace(&ACCESS_TOKEN, row("k", "2"), 1).await }
    });
    tokio::task::yield_now().await;
    is(&cached, "1").await;
    drop(closed);
    assert_eq!(writing.await.unwrap(), Ok(true));
    is(&cached, "2").await;
}

/// The caller went away: nobody knows what became of the write.
#[tokio::test(start_paused = true)]
async fn a_write_that_nobody_waited_for_is_one() {
    let (source, cached) = cached(Hooked::default());
    other_writes(&source, "k", "1").await;
    is(&cached, "1").await;
    let writing = cached.replace(&ACCESS_TOKEN, row("k", "2"), 1);
    drop(writing);
    other_writes(&source, "k", "3").await;
    is(&cached, "3").await;
}

#[tokio::test(start_paused = true)]
async fn a_row_goes_when_its_change_is_told() {
    let (source, cached) = cached(telling());
    for key in ["k", "other"] {
        other_writes(&source, key, "1").await;
    }
    is(&cached, "1").await;
    tell(&source, Change::Up);
    for key in ["k", "other"] {
        assert_eq!(record(&cached, key).await.as_deref(), Some("1"));
        other_writes(&source, key, "2").await;
    }
    tell(&source, changed("k"));
    is(&cached, "2").await;
    assert_eq!(record(&cached, "other").await.as_deref(), Some("1"), "it was told of another row");
    tell(&source, Change::Row("client", key_hash(b"other")));
    assert_eq!(record(&cached, "other").await.as_deref(), Some("1"), "it was told of another table");
    tell(&source, Change::Any);
    assert_eq!(record(&cached, "other").await.as_deref(), Some("2"));
    assert_eq!(counts(&cached)[3], 3);
}

/// Begins a read, and holds it back between the reading of the row and the answer, until `meanwhile` is done.
async fn during_a_fill(source: Hooked, meanwhile: impl AsyncFnOnce(&Hooked, &Cached)) {
    let gate = Gate::new();
    let (source, cached) = cached(Hooked { after_get: gate.hook(&ACCESS_TOKEN), ..source });
    other_writes(&source, "k", "1").await;
    assert_eq!(record(&cached, "none").await, None, "the cache watches");
    tell_if(&source, Change::Up);
    let closed = gate.close().await;
    let reading = tokio::spawn({
        let cached = cached.clone();
        async move { record(&cached, "k").await }
    });
    // It has read the row, and waits.
    while cached.counters().misses.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    other_writes(&source, "k", "2").await;
    meanwhile(&source, &cached).await;
    drop(closed);
    assert_eq!(reading.await.unwrap().as_deref(), Some("1"), "the fill read the row as it was");
    is(&cached, "2").await;
}

fn tell_if(source: &Hooked, change: Change<'_>) {
    if source.watchers.is_some() {
        tell(source, change);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_began_before_a_change_was_told_is_dropped() {
    during_a_fill(telling(), async |source, _| tell(source, changed("k"))).await;
    during_a_fill(telling(), async |source, _| tell(source, Change::Any)).await;
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_began_before_a_write_of_this_node_is_dropped() {
    during_a_fill(Hooked::default(), async |_, cached| {
        // The gate holds reads back, not writes.
        assert_eq!(cached.replace(&ACCESS_TOKEN, row("k", "3"), 9).await, Ok(false));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_fill_over_which_the_channel_was_lost_is_dropped() {
    during_a_fill(telling(), async |source, _| {
        tell(source, Change::Lost);
        tell(source, Change::Up);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn while_the_channel_is_lost_every_read_goes_to_the_source() {
    let (source, cached) = cached(telling());
    other_writes(&source, "k", "1").await;
    is(&cached, "1").await;
    other_writes(&source, "k", "2").await;
    is(&cached, "2").await;
    assert_eq!((counts(&cached), cached.in_use()), ([0, 2, 2, 0], false), "before it is up for the first time");
    tell(&source, Change::Up);
    is(&cached, "2").await;
    is(&cached, "2").await;
    tell(&source, Change::Lost);
    for written in ["3", "4"] {
        other_writes(&source, "k", written).await;
        is(&cached, written).await;
    }
    assert_eq!((counts(&cached), cached.in_use()), ([1, 5, 4, 1], false));
    // What was remembered before is not believed again.
    tell(&source, Change::Up);
    other_writes(&source, "k", "5").await;
    is(&cached, "5").await;
    assert!(cached.in_use());
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_comes_later_hears_that_the_channel_is_up() {
    let (source, first) = cached(telling());
    assert_eq!(record(&first, "k").await, None);
    tell(&source, Change::Up);
    let second = Cached::new(source.clone(), settings(9), &[&ACCESS_TOKEN]);
    assert_eq!(record(&second, "k").await, None);
    assert!(second.in_use());
    let watchers = source.watchers.as_ref().unwrap();
    assert!(!watchers.ended() && watchers.keep_nothing());
    other_writes(&source, "k", "1").await;
    is(&second, "1").await;
    assert!(!watchers.keep_nothing());
    drop((first, second));
    assert!(watchers.ended(), "nobody watches any more");
}

#[tokio::test(start_paused = true)]
async fn it_is_bounded_by_entries_and_size() {
    let source = Arc::new(Hooked::default());
    let cached = Cached::new(source.clone(), settings(100), &[&ACCESS_TOKEN]);
    for number in 0..1000 {
        let key = number.to_string();
        other_writes(&source, &key, "1").await;
        assert_eq!(record(&cached, &key).await.as_deref(), Some("1"));
    }
    assert!(cached.memory.rows.len() <= 100, "{}", cached.memory.rows.len());
    let large = format!("\"{}\"", "x".repeat(LARGEST));
    other_writes(&source, "k", &large).await;
    is(&cached, &large).await;
    other_writes(&source, "k", "small").await;
    is(&cached, "small").await;
}

#[tokio::test(start_paused = true)]
async fn other_tables_are_read_anew() {
    let (source, cached) = cached(Hooked::default());
    let epoch = |record: &str| Row { indexes: Vec::new(), ..row("k", record) };
    assert_eq!(source.memory.insert(&EPOCH, epoch("1")).await, Ok(true));
    assert_eq!(cached.get(&EPOCH, b"k").await.unwrap().unwrap().record, "1");
    assert_eq!(source.memory.replace(&EPOCH, epoch("2"), 1).await, Ok(true));
    assert_eq!(cached.get(&EPOCH, b"k").await.unwrap().unwrap().record, "2");
}

/// While a store moves, both of its sources must tell.
#[tokio::test(start_paused = true)]
async fn a_store_that_moves_is_told_by_both_sources() {
    use crate::moving::{Alone, Moving, Phase};
    let (old, new) = (Arc::new(telling()), Arc::new(telling()));
    let over = |new: Arc<Hooked>| Arc::new(Moving::new(old.clone(), new, Phase::Previous));
    let cached = Cached::new(over(new.clone()), settings(9), &[&ACCESS_TOKEN]);
    other_writes(&new, "k", "{\"n\":1}").await;
    is(&cached, "{\"n\":1}").await;
    for (source, other) in [(&old, &new), (&new, &old)] {
        tell(source, Change::Up);
        assert!(!cached.in_use(), "one of them is up");
        tell(other, Change::Up);
        assert!(cached.in_use());
        is(&cached, "{\"n\":1}").await;
        let invalidations = counts(&cached)[3];
        tell(source, changed("k"));
        assert_eq!(counts(&cached)[3], invalidations + 1);
        tell(source, Change::Lost);
        assert!(!cached.in_use(), "one of them is lost");
        tell(other, Change::Lost);
    }
    // One that tells nothing: the age is all there is.
    let cached = Cached::new(over(Arc::new(Hooked::default())), settings(9), &[&ACCESS_TOKEN]);
    assert_eq!(record(&cached, "k").await, None);
    assert!(cached.in_use());
    tell(&old, Change::Lost);
    assert!(cached.in_use(), "it does not hang on the one that does tell");
    // On one source it is told as without.
    let cached = Cached::new(Arc::new(Alone::new(new.clone())), settings(9), &[&ACCESS_TOKEN]);
    is(&cached, "{\"n\":1}").await;
    assert!(!cached.in_use());
    tell(&new, Change::Up);
    assert!(cached.in_use());
}

crate::conformance!(conformance, async {
    let source = Arc::new(InMemory::new());
    Fresh::new(Arc::new(Cached::new(source, settings(1000), &[&ACCESS_TOKEN])))
});
