//! Both phases pass the conformance suite as any source does; what a move is for is shown here, and proved in `explore.rs`.

use std::sync::Arc;

use super::*;
use crate::conformance::Fresh;
use crate::sources::memory::Memory;
use crate::tables::{ACCESS_TOKEN, CLIENT, KPS};

mod explore;

fn moving(phase: Phase) -> Fresh {
    Fresh::new(Arc::new(Moving::new(Arc::new(Memory::new()), Arc::new(Memory::new()), phase)))
}

crate::conformance!(next, async { moving(Phase::Next) });
crate::conformance!(previous, async { moving(Phase::Previous) });
crate::conformance!(alone, async { Fresh::new(Arc::new(Alone::new(Arc::new(Memory::new())))) });

fn row(key: &str, record: &str) -> Row {
    Row { key: key.into(), version: 1, expires_at: None, indexes: Vec::new(), record: record.into() }
}

fn token(key: &str, client: &str) -> Row {
    Row { indexes: vec![Some(client.into()), None, None], expires_at: Some(90), ..row(key, "{}") }
}

/// Two sources, and what stands over them in each phase.
struct Pair {
    old: Arc<Memory>,
    new: Arc<Memory>,
    before: Alone,
    next: Moving,
    previous: Moving,
    after: Alone,
}

impl Pair {
    fn new() -> Pair {
        let (old, new) = (Arc::new(Memory::new()), Arc::new(Memory::new()));
        Pair {
            before: Alone::new(old.clone()),
            next: Moving::new(old.clone(), new.clone(), Phase::Next),
            previous: Moving::new(old.clone(), new.clone(), Phase::Previous),
            after: Alone::new(new.clone()),
            old,
            new,
        }
    }

    async fn change(&self, of: &dyn DataSource, key: &str, record: &str) -> bool {
        let found = of.get(&CLIENT, key.as_bytes()).await.unwrap().unwrap();
        of.replace(&CLIENT, row(key, record), found.version).await.unwrap()
    }
}

async fn keys(source: &dyn DataSource, table: &'static Table, limit: usize) -> String {
    let rows = source.list(table, None, limit).await.unwrap();
    rows.iter().map(|row| String::from_utf8_lossy(&row.key).into_owned()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn what_is_changed_in_the_last_phase_stands_in_the_new_source() {
    let pair = Pair::new();
    for key in ["a", "b", "c"] {
        assert!(pair.before.insert(&CLIENT, row(key, "1")).await.unwrap());
    }
    assert!(pair.change(&pair.previous, "a", "2").await);
    assert_eq!(pair.previous.take(&CLIENT, b"b").await.unwrap().unwrap().record, "1");
    assert_eq!(keys(&pair.after, &CLIENT, 9).await, "a", "a row that is only read stays where it is");
    for source in [&pair.next as &dyn DataSource, &pair.previous] {
        assert_eq!(keys(source, &CLIENT, 9).await, "a c");
        assert_eq!(source.get(&CLIENT, b"a").await.unwrap().unwrap().record, "2");
        assert_eq!(source.get(&CLIENT, b"b").await.unwrap(), None);
        assert!(!source.insert(&CLIENT, row("c", "9")).await.unwrap());
    }
    // Of the same id once more: delete and add.
    assert!(pair.next.insert(&CLIENT, row("b", "3")).await.unwrap());
    assert_eq!(keys(&pair.before, &CLIENT, 9).await, "b c", "`next` makes rows in the old source");
    assert_eq!(pair.previous.take(&CLIENT, b"a").await.unwrap().unwrap().record, "2");
    assert!(pair.next.insert(&CLIENT, row("a", "4")).await.unwrap(), "its key was handed over");
    assert_eq!(pair.after.get(&CLIENT, b"a").await.unwrap().unwrap().record, "4");
}

#[tokio::test]
async fn a_copy_counts_only_once_the_old_source_says_so() {
    let pair = Pair::new();
    for key in ["a", "b", "c"] {
        pair.before.insert(&CLIENT, row(key, "1")).await.unwrap();
        assert!(pair.next.sides.copy(&CLIENT, key.as_bytes()).await.unwrap().is_some());
    }
    // A node that knows the old source alone deletes one and changes another.
    pair.before.take(&CLIENT, b"a").await.unwrap().unwrap();
    assert!(pair.change(&pair.before, "b", "2").await);
    for source in [&pair.next as &dyn DataSource, &pair.previous] {
        assert_eq!(keys(source, &CLIENT, 9).await, "b c");
        assert_eq!(source.get(&CLIENT, b"a").await.unwrap(), None);
        assert_eq!(source.get(&CLIENT, b"b").await.unwrap().unwrap().record, "2");
    }
    // Where the others are handed over, each by its own way, a copy of what was deleted is left, and the move is not over.
    let both_are_needed = async || Remains::of_move(pair.old.clone(), pair.new.clone(), &[&CLIENT]).await.unwrap();
    assert!(both_are_needed().await);
    for key in ["b", "c"] {
        pair.previous.sides.settle(&CLIENT, key.as_bytes()).await.unwrap();
    }
    assert_eq!(keys(&pair.before, &CLIENT, 9).await, "", "the old source has handed everything over");
    assert_eq!(
        keys(&pair.after, &CLIENT, 9).await,
        "a b c",
        "and one who knows the new one alone would see what is gone"
    );
    assert!(both_are_needed().await);
    pair.previous.sides.settle(&CLIENT, b"a").await.unwrap();
    assert!(!both_are_needed().await);
    assert_eq!(keys(&pair.after, &CLIENT, 9).await, "b c");
    assert_eq!(pair.new.get(&CLIENT, b"b").await.unwrap().unwrap().record, "2");
}

/// From one source to another and back, and then to a third one, where a move that was given up left a copy: what was deleted in the
/// second one stays deleted, and is made again where all nodes look.
#[tokio::test]
async fn what_an_earlier_move_left_says_nothing_in_the_next() {
    let [first, second, third] = [(); 3].map(|()| Arc::new(Memory::new()));
    let on_first = Alone::new(first.clone());
    assert!(on_first.insert(&CLIENT, row("a", "1")).await.unwrap());
    let copy = async |old: &Arc<Memory>, new: &Arc<Memory>, hand_over| {
        let copier = Copier::new(old.clone(), new.clone(), hand_over, true);
        assert!(copier.run(&CLIENT, &mut |_, _| {}).await.unwrap().ok());
        Remains::of_move(old.clone(), new.clone(), &[&CLIENT]).await.unwrap()
    };
    assert!(copy(&first, &third, false).await, "begun, and given up in `next`");
    assert!(!copy(&first, &second, true).await);
    assert!(Alone::new(second.clone()).take(&CLIENT, b"a").await.unwrap().is_some());
    let back = Remains::of_move(second.clone(), first.clone(), &[&CLIENT]).await.unwrap();
    assert!(back, "the first one still says that another source decides");
    assert!(!copy(&second, &first, true).await);
    let [next, previous] = [Phase::Next, Phase::Previous].map(|phase| Moving::new(first.clone(), third.clone(), phase));
    for source in [&on_first as &dyn DataSource, &next, &previous] {
        assert_eq!(source.get(&CLIENT, b"a").await.unwrap(), None);
        assert_eq!(keys(source, &CLIENT, 9).await, "");
    }
    assert!(next.insert(&CLIENT, row("a", "2")).await.unwrap());
    assert!(!on_first.insert(&CLIENT, row("a", "3")).await.unwrap(), "`next` makes rows where nodes before look");
    assert!(!copy(&first, &third, true).await);
    assert_eq!(Alone::new(third).get(&CLIENT, b"a").await.unwrap().unwrap().record, "2");
}

/// Deleted and made again under the same version, while somebody copied: the version alone would say that the copy is good.
#[tokio::test]
async fn a_copy_of_another_row_of_the_same_version_is_not_taken_for_it() {
    let pair = Pair::new();
    for record in ["1", "2"] {
        pair.before.take(&CLIENT, b"a").await.unwrap();
        pair.before.insert(&CLIENT, row("a", record)).await.unwrap();
        pair.next.sides.copy(&CLIENT, b"a").await.unwrap().unwrap();
    }
    pair.previous.sides.settle(&CLIENT, b"a").await.unwrap();
    assert_eq!(pair.after.get(&CLIENT, b"a").await.unwrap().unwrap().record, "2");
}

#[tokio::test]
async fn what_is_gone_stays_gone_when_the_old_source_is_taken_out() {
    let pair = Pair::new();
    pair.before.insert(&ACCESS_TOKEN, token("k", "app")).await.unwrap();
    pair.next.sides.copy(&ACCESS_TOKEN, b"k").await.unwrap().unwrap();
    assert!(pair.previous.take(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    for source in [&pair.before as &dyn DataSource, &pair.next, &pair.previous, &pair.after] {
        assert_eq!(source.get(&ACCESS_TOKEN, b"k").await.unwrap(), None);
        assert_eq!(source.list(&ACCESS_TOKEN, None, 9).await.unwrap(), vec![]);
        assert_eq!(source.find(&ACCESS_TOKEN, 0, "app", None, 9).await.unwrap(), vec![]);
        assert_eq!(source.remove(&ACCESS_TOKEN, 0, "app", 9).await.unwrap(), 0);
        assert_eq!(source.take(&ACCESS_TOKEN, b"k").await.unwrap(), None);
    }
    let hidden = pair.old.get(&ACCESS_TOKEN, b"k").await.unwrap();
    assert_eq!(hidden.map(|row| row.expires_at), None, "`before` has taken what said that it is gone");
}

#[tokio::test]
async fn lists_of_both_sides_are_ordered_bounded_and_whole() {
    let pair = Pair::new();
    for number in 0..40 {
        let key = format!("{number:02}");
        let to: &dyn DataSource = if number % 3 == 0 { &pair.previous } else { &pair.before };
        assert!(to.insert(&ACCESS_TOKEN, token(&key, "app")).await.unwrap());
        match number % 5 {
            1 => pair.previous.sides.settle(&ACCESS_TOKEN, key.as_bytes()).await.unwrap(),
            2 => drop(pair.previous.take(&ACCESS_TOKEN, key.as_bytes()).await.unwrap()),
            3 => drop(pair.previous.sides.copy(&ACCESS_TOKEN, key.as_bytes()).await.unwrap()),
            _ => {}
        }
    }
    let expected: Vec<String> = (0..40).filter(|n| n % 5 != 2).map(|n| format!("{n:02}")).collect();
    for source in [&pair.next as &dyn DataSource, &pair.previous] {
        for limit in [1, 2, 7, 32, 100] {
            for by_index in [false, true] {
                let (mut found, mut after): (Vec<String>, Option<Vec<u8>>) = (Vec::new(), None);
                loop {
                    let page = match by_index {
                        false => source.list(&ACCESS_TOKEN, after.as_deref(), limit).await.unwrap(),
                        true => source.find(&ACCESS_TOKEN, 0, "app", after.as_deref(), limit).await.unwrap(),
                    };
                    found.extend(page.iter().map(|row| String::from_utf8_lossy(&row.key).into_owned()));
                    after = page.last().map(|row| row.key.clone());
                    if page.len() < limit {
                        break;
                    }
                }
                assert_eq!(found, expected, "{limit} {by_index}");
            }
        }
    }
    assert_eq!(pair.next.remove(&ACCESS_TOKEN, 0, "app", 7).await.unwrap(), 7);
    assert_eq!(pair.previous.remove(&ACCESS_TOKEN, 0, "app", 100).await.unwrap(), 25);
    assert_eq!(keys(&pair.next, &ACCESS_TOKEN, 9).await, "");
}

/// A version that was read on one side never stands for one of the other side.
#[tokio::test]
async fn a_version_read_before_a_key_was_handed_over_is_another_one() {
    let pair = Pair::new();
    pair.before.insert(&CLIENT, row("a", "1")).await.unwrap();
    let stale = pair.previous.get(&CLIENT, b"a").await.unwrap().unwrap();
    pair.previous.sides.settle(&CLIENT, b"a").await.unwrap();
    assert!(pair.change(&pair.previous, "a", "2").await);
    assert!(!pair.previous.replace(&CLIENT, row("a", "9"), stale.version).await.unwrap());
    assert_eq!(pair.previous.get(&CLIENT, b"a").await.unwrap().unwrap().record, "2");
}

#[tokio::test]
async fn an_old_source_that_is_down_is_never_not_found() {
    let memory = Arc::new(Memory::new());
    let down: Arc<dyn DataSource> = Arc::new(crate::guard::Guarded::new("old", Arc::new(Memory::new())));
    let previous = Moving::new(down.clone(), memory.clone(), Phase::Previous);
    assert!(previous.insert(&ACCESS_TOKEN, token("k", "app")).await.unwrap(), "a token is made without it");
    assert!(previous.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    let unavailable = |why: Result<(), StoreError>| assert!(matches!(why, Err(StoreError::Unavailable(_))), "{why:?}");
    unavailable(previous.get(&ACCESS_TOKEN, b"x").await.map(drop));
    unavailable(previous.take(&ACCESS_TOKEN, b"x").await.map(drop));
    unavailable(previous.insert(&CLIENT, row("x", "1")).await.map(drop));
    unavailable(previous.find(&ACCESS_TOKEN, 0, "app", None, 9).await.map(drop));
    unavailable(previous.health().await.map(drop));
    let next = Moving::new(memory, down, Phase::Next);
    unavailable(next.get(&ACCESS_TOKEN, b"x").await.map(drop));
    assert!(next.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some(), "the old source decides about its own");
}

/// Many rows in every state, copied and handed over; the second time there is nothing to do.
#[tokio::test]
async fn a_copier_brings_everything_that_counts_and_nothing_else() {
    for hand_over in [false, true] {
        let pair = Pair::new();
        for number in 0..2_000 {
            let key = format!("{number:04}");
            assert!(pair.before.insert(&ACCESS_TOKEN, token(&key, "app")).await.unwrap());
            match number % 10 {
                1 | 2 => drop(pair.next.sides.copy(&ACCESS_TOKEN, key.as_bytes()).await.unwrap().unwrap()),
                3 => drop(pair.next.take(&ACCESS_TOKEN, key.as_bytes()).await.unwrap().unwrap()),
                4 if hand_over => pair.previous.sides.settle(&ACCESS_TOKEN, key.as_bytes()).await.unwrap(),
                5 if hand_over => {
                    pair.previous.take(&ACCESS_TOKEN, key.as_bytes()).await.unwrap().unwrap();
                }
                _ => {}
            }
            if number % 10 == 2 {
                pair.before.take(&ACCESS_TOKEN, key.as_bytes()).await.unwrap().unwrap();
            }
        }
        let expected = keys(&pair.previous, &ACCESS_TOKEN, 9_999).await;
        let copier = Copier::new(pair.old.clone(), pair.new.clone(), hand_over, hand_over);
        let mut gone_through = 0;
        let copied = copier.run(&ACCESS_TOKEN, &mut |_, rows| gone_through += rows).await.unwrap();
        assert!(copied.ok(), "{copied:?}");
        assert_eq!(copied.from.rows, if hand_over { 1_200 } else { 1_600 }, "{copied:?}");
        assert_eq!(copied.dropped, 200);
        assert!(gone_through >= 4_000);
        assert_eq!(keys(&pair.after, &ACCESS_TOKEN, 9_999).await, expected);
        assert_eq!(keys(&pair.before, &ACCESS_TOKEN, 9_999).await, if hand_over { "" } else { &expected });
        let again = copier.run(&ACCESS_TOKEN, &mut |_, _| {}).await.unwrap();
        assert_eq!((again.copied, again.dropped, again.handed_over, again.ok()), (0, 0, 0, true), "{again:?}");
        assert_eq!(Remains::new(pair.old.clone(), vec![&ACCESS_TOKEN]).any().await, Ok(!hand_over));
    }
}

#[tokio::test]
async fn a_copier_tells_what_differs() {
    let pair = Pair::new();
    for (key, old, new) in [("a", Some("1"), Some("1")), ("b", Some("1"), Some("2")), ("c", None, Some("1"))] {
        for (source, record) in [(&pair.before, old), (&pair.after, new)] {
            if let Some(record) = record {
                source.insert(&CLIENT, row(key, record)).await.unwrap();
            }
        }
    }
    let strict = Copier::new(pair.old.clone(), pair.new.clone(), false, false);
    let copied = strict.run(&CLIENT, &mut |_, _| {}).await.unwrap();
    assert_eq!((copied.ok(), copied.differ, copied.named), (false, 2, vec![b"b".to_vec(), b"c".to_vec()]));
    let theirs = Copier::new(pair.old.clone(), pair.new.clone(), false, true);
    let copied = theirs.run(&CLIENT, &mut |_, _| {}).await.unwrap();
    assert_eq!((copied.ok(), copied.own, copied.from.rows), (true, 1, 1), "{copied:?}");
    assert_eq!(pair.after.get(&CLIENT, b"b").await.unwrap().unwrap().record, "2");
}

#[tokio::test]
async fn a_copier_below_a_prefix_leaves_the_others_alone() {
    let pair = Pair::new();
    let names = ["a", "partner", "partners", "partners0", "partnersx"];
    let kept = |name: &str, number: usize| {
        let key = [name.as_bytes(), b"\0", format!("{number:04}").as_bytes()].concat();
        Row { key, version: 1, expires_at: None, indexes: vec![Some(name.into()), None], record: "{}".into() }
    };
    for name in names {
        for number in 0..700 {
            assert!(pair.before.insert(&KPS, kept(name, number)).await.unwrap());
        }
    }
    assert!(pair.after.insert(&KPS, kept("others", 1)).await.unwrap());
    let copier = Copier::new(pair.old.clone(), pair.new.clone(), false, false).below(crate::kps::prefix("partners"));
    let copied = copier.run(&KPS, &mut |_, _| {}).await.unwrap();
    assert_eq!((copied.ok(), copied.copied, copied.from.rows), (true, 700, 700), "{copied:?}");
    assert_eq!(pair.after.list(&KPS, None, 9_999).await.unwrap().len(), 701);
}
