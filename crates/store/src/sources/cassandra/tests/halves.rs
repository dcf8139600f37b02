//! Writes that end half-way, and rows that go by themselves: the lists never say anything that the table does not.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::*;
use crate::tables::{ACCESS_TOKEN, CLIENT};

/// The keys of `access_token`: by the list of all, by the index, by expiry.
async fn listed(source: &Cassandra) -> [Vec<Vec<u8>>; 3] {
    let keys = |rows: Vec<Row>| rows.into_iter().map(|row| row.key).collect::<Vec<_>>();
    let all = keys(source.list(&ACCESS_TOKEN, None, 999).await.unwrap());
    let of = keys(source.find(&ACCESS_TOKEN, 0, "app", None, 999).await.unwrap());
    let part = Part { list: List::Expiring, after: Vec::new(), below: None, limit: 999 };
    let mut expiring = keys(source.walk(&ACCESS_TOKEN, part).await.unwrap().into_iter().map(|s| s.row).collect());
    expiring.sort();
    [all, of, expiring]
}

/// A node that dies between the entries and the row: nothing is found, and the key is as free as before.
#[tokio::test(flavor = "multi_thread")]
async fn entries_without_a_row_lead_to_nothing() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    let half = Stored { row: row("k"), entry: source.fresh_name().unwrap() };
    let now = source.now().await.unwrap();
    source.enlist(&ACCESS_TOKEN, &half, 1000, now).await.unwrap();
    assert_eq!(listed(&source).await, [(); 3].map(|()| Vec::<Vec<u8>>::new()));
    assert_eq!(source.remove(&ACCESS_TOKEN, 0, "app", 9).await, Ok(0));
    assert_eq!(source.sweep(&ACCESS_TOKEN, i64::MAX, 9).await, Ok(0));
    // Another row of that key is found once, beside what was left behind, on pages of one row too.
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    assert!(source.insert(&ACCESS_TOKEN, row("l")).await.unwrap());
    assert_eq!(listed(&source).await, [(); 3].map(|()| vec![b"k".to_vec(), b"l".to_vec()]));
    let first = source.list(&ACCESS_TOKEN, None, 1).await.unwrap();
    let second = source.list(&ACCESS_TOKEN, Some(&first[0].key), 1).await.unwrap();
    assert_eq!((&first[0].key[..], &second[0].key[..]), (&b"k"[..], &b"l"[..]));
}

/// A row that is replaced between the reading of a list and of the row is found all the same: it was there all the time.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_the_row_before_leads_to_the_row_of_now() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    let before = Stored { row: row("k"), entry: source.fresh_name().unwrap() };
    let now = source.now().await.unwrap();
    source.enlist(&ACCESS_TOKEN, &before, 1000, now).await.unwrap();
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    let stored = source.read(&ACCESS_TOKEN, b"k").await.unwrap().unwrap();
    source.delist(&ACCESS_TOKEN, &stored).await;
    assert_eq!(listed(&source).await, [(); 3].map(|()| vec![b"k".to_vec()]));
    // But not where the row of now does not belong.
    let moved = Row { expires_at: Some(11), indexes: vec![Some("other".into()), None, None], ..row("k") };
    assert!(source.replace(&ACCESS_TOKEN, moved, 1).await.unwrap());
    let none = Vec::<Vec<u8>>::new();
    assert_eq!(listed(&source).await, [vec![b"k".to_vec()], none, vec![b"k".to_vec()]]);
    assert_eq!(source.sweep(&ACCESS_TOKEN, 11, 9).await, Ok(0));
}

/// More of them than a page holds.
#[tokio::test(flavor = "multi_thread")]
async fn many_entries_without_a_row_do_not_hide_the_row_behind_them() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    let now = source.now().await.unwrap();
    for _ in 0..PAGE + 20 {
        let half = Stored { row: row("k"), entry: source.fresh_name().unwrap() };
        source.enlist(&ACCESS_TOKEN, &half, 1000, now).await.unwrap();
    }
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    assert!(source.insert(&ACCESS_TOKEN, row("l")).await.unwrap());
    assert_eq!(source.find(&ACCESS_TOKEN, 0, "app", None, 9).await.unwrap().len(), 2);
    assert_eq!(source.find(&ACCESS_TOKEN, 0, "app", Some(b"k"), 9).await.unwrap().len(), 1);
}

/// Polls `write` so often, and lets go of it then: a caller that goes away while one of its requests is under way.
async fn given_up<T>(polls: usize, write: impl Future<Output = T>) {
    let mut write = pin!(write);
    let mut left = polls;
    std::future::poll_fn(|context| {
        let Some(fewer) = left.checked_sub(1) else { return Poll::Ready(()) };
        left = fewer;
        match write.as_mut().poll(context) {
            Poll::Pending if left > 0 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
    .await;
}

/// Callers that go away at any request: what is there is in every list, what is not is in none.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_given_up_leaves_rows_and_lists_in_agreement() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    let keys: Vec<Vec<u8>> = (0..60).map(|number| format!("{number:03}").into_bytes()).collect();
    for (number, key) in keys.iter().enumerate() {
        let inserted = row(&format!("{number:03}"));
        let moved = Row { expires_at: Some(1000 + number as i64), ..inserted.clone() };
        // From a call that never began to more polls than any write takes, each for all three.
        let polls = number / 3;
        given_up(polls, source.insert(&ACCESS_TOKEN, inserted)).await;
        match number % 3 {
            1 => given_up(polls, source.replace(&ACCESS_TOKEN, moved, 1)).await,
            2 => given_up(polls, source.take(&ACCESS_TOKEN, key)).await,
            _ => {}
        }
    }
    // What was on its way when it was given up may still arrive, and what does not agree then never will.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let mut there = Vec::new();
        let mut last = None;
        for key in &keys {
            if let Some(row) = source.get(&ACCESS_TOKEN, key).await.unwrap() {
                there.push(key.clone());
                last = row.expires_at;
            }
        }
        assert!(!keys[..3].iter().any(|key| there.contains(key)), "of the first three none began");
        assert!(
            there.ends_with(&keys[57..59]) && last == Some(1058),
            "the last were inserted, replaced and taken: {last:?}"
        );
        let lists = listed(&source).await;
        if lists.iter().all(|listed| *listed == there) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{there:?} are there, and listed are {lists:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A replace that moves nothing leaves the entries as they are, and one that does takes the old ones out.
#[tokio::test(flavor = "multi_thread")]
async fn entries_do_not_pile_up() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    let count = || async {
        let found = scratch.ask(&format!("SELECT list, bucket FROM {}.access_token_entry", scratch.name), ()).await;
        // Without the marks of buckets, which have no bucket themselves.
        found.iter().filter(|row| !matches!(&row.columns[1], Some(CqlValue::Blob(bucket)) if bucket.is_empty())).count()
    };
    let far = Row { expires_at: Some(2_000_000_000), ..row("k") };
    assert!(source.insert(&ACCESS_TOKEN, far.clone()).await.unwrap());
    assert_eq!(count().await, 4, "all, client_id, grant_id, expires_at");
    assert!(!source.insert(&ACCESS_TOKEN, far.clone()).await.unwrap());
    assert!(source.replace(&ACCESS_TOKEN, Row { record: "[]".into(), ..far.clone() }, 1).await.unwrap());
    assert!(!source.replace(&ACCESS_TOKEN, row("k"), 1).await.unwrap());
    assert_eq!(count().await, 4);
    assert!(source.replace(&ACCESS_TOKEN, Row { indexes: vec![None, None, None], ..far }, 2).await.unwrap());
    assert_eq!(count().await, 2, "all, expires_at");
    assert!(source.take(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    assert_eq!(count().await, 0);
}

/// The TTL that the server has for a column.
async fn lasts(scratch: &Scratch, table: &str, column: &str) -> Option<i64> {
    let found = scratch.ask(&format!("SELECT TTL({column}) FROM {}.{table}", scratch.name), ()).await;
    integer_of(&found)
}

fn integer_of(found: &[Columns]) -> Option<i64> {
    statement::integer(found.first()?.columns.first()?.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_goes_by_itself_an_hour_after_it_expired() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    let now = source.now().await.unwrap();
    let near =
        |lasts: Option<i64>, expected: i64| lasts.is_some_and(|lasts| (expected - 60..=expected).contains(&lasts));
    assert!(source.insert(&ACCESS_TOKEN, Row { expires_at: Some(now + 1000), ..row("k") }).await.unwrap());
    assert!(near(lasts(&scratch, "access_token", "record").await, 4600));
    assert!(source.replace(&ACCESS_TOKEN, Row { expires_at: Some(now + 10), ..row("k") }, 1).await.unwrap());
    assert!(near(lasts(&scratch, "access_token", "version").await, 3610));
    assert!(source.replace(&ACCESS_TOKEN, Row { expires_at: None, ..row("k") }, 2).await.unwrap());
    assert_eq!(lasts(&scratch, "access_token", "record").await, None);
    assert!(source.insert(&CLIENT, Row { expires_at: None, indexes: Vec::new(), ..row("c") }).await.unwrap());
    assert_eq!(lasts(&scratch, "client", "record").await, None);
}

/// Nothing of a row is left whose life a replace made shorter, and its key is free: see `INSERT` in `statement.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_life_was_shortened_goes_whole() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    let mut kept = Stored { row: row("k"), entry: b"name".to_vec() };
    assert!(source.transact(&ACCESS_TOKEN, Kind::Insert, b"k", values(&kept, 1000, true)).await.unwrap());
    kept.row.version = 2;
    let mut given = values(&kept, 1, false);
    given.extend([number(1), blob(b"name")]);
    assert!(source.transact(&ACCESS_TOKEN, Kind::Replace, b"k", given).await.unwrap());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some() {
        assert!(tokio::time::Instant::now() < deadline, "it does not go");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
}

/// A row that went and came back has the same version, and is another row.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_came_back_is_not_taken_for_the_one_before() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    let before = source.read(&ACCESS_TOKEN, b"k").await.unwrap().unwrap();
    assert!(source.take(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    assert!(!source.delete(&ACCESS_TOKEN, &before).await.unwrap());
    assert!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().is_some());
}
