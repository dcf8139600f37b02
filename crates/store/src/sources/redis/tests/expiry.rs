//! Rows that the server lets go by itself, and what of them is left to sweep.

use super::*;
use crate::tables::ACCESS_TOKEN;

/// As the server does it when the time to live is over: the hash goes, and nobody is told.
async fn let_go(scratch: &Scratch, key: &str) {
    let gone: i64 = ask(&scratch.url, &["DEL", &scratch.key(&format!("{{access_token}}:row:{key}"))]).await;
    assert_eq!(gone, 1);
}

fn keys(rows: Vec<Row>) -> Vec<String> {
    rows.into_iter().map(|row| String::from_utf8(row.key).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_lives_an_hour_longer_than_its_expiry() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    let lives = async || -> i64 { ask(&scratch.url, &["EXPIRETIME", &scratch.key("{access_token}:row:k")]).await };
    let now: Vec<i64> = ask(&scratch.url, &["TIME"]).await;
    let long = Row { expires_at: Some(now[0] + 5000), ..row("k") };
    assert!(source.insert(&ACCESS_TOKEN, long).await.unwrap());
    assert_eq!(lives().await, now[0] + 5000 + 3600);
    // Written after its expiry: it must be there until it is swept.
    assert!(source.replace(&ACCESS_TOKEN, row("k"), 1).await.unwrap());
    assert!((now[0] + 3600..now[0] + 3720).contains(&lives().await));
    for (version, expires_at) in [(2, None), (3, Some(i64::MAX)), (4, Some(253_402_300_800))] {
        assert!(source.replace(&ACCESS_TOKEN, Row { expires_at, ..row("k") }, version).await.unwrap());
        assert_eq!(lives().await, -1, "{expires_at:?}");
        assert_eq!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().unwrap().expires_at, expires_at);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_went_by_itself_is_nowhere_and_its_entries_are_swept() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    for name in ["a", "b", "c"] {
        assert!(source.insert(&ACCESS_TOKEN, row(name)).await.unwrap());
    }
    let_go(&scratch, "a").await;
    let_go(&scratch, "b").await;
    assert_eq!(source.get(&ACCESS_TOKEN, b"a").await, Ok(None));
    assert_eq!(source.take(&ACCESS_TOKEN, b"a").await, Ok(None));
    assert_eq!(source.replace(&ACCESS_TOKEN, row("a"), 1).await, Ok(false));
    // A page is full though gone ones come first.
    assert_eq!(keys(source.list(&ACCESS_TOKEN, None, 1).await.unwrap()), ["c"]);
    assert_eq!(keys(source.find(&ACCESS_TOKEN, 0, "app", None, 1).await.unwrap()), ["c"]);
    assert_eq!(source.remove(&ACCESS_TOKEN, 2, "grant", 1).await, Ok(1));
    assert_eq!(source.get(&ACCESS_TOKEN, b"c").await, Ok(None));
    assert_eq!(source.sweep(&ACCESS_TOKEN, 11, 9).await, Ok(2));
    assert_eq!(scratch.keys().await, ["{schema}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_free_again_after_its_row_went_by_itself() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    let later = Row { expires_at: Some(100), ..row("k") };
    let other = Row { indexes: vec![Some("other".into()), Some("s".into()), None], ..later.clone() };
    let never = Row { expires_at: None, ..row("k") };
    for (second, swept) in [(later, 1), (other, 1), (never, 0)] {
        assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
        let_go(&scratch, "k").await;
        assert!(source.insert(&ACCESS_TOKEN, second.clone()).await.unwrap());
        // What is left of the first must neither be found nor take the second with it.
        let found = source.find(&ACCESS_TOKEN, 0, "app", None, 9).await.unwrap();
        assert_eq!(found.len(), usize::from(second.indexes[0].as_deref() == Some("app")));
        assert_eq!(source.sweep(&ACCESS_TOKEN, 11, 9).await, Ok(0));
        assert_eq!(source.get(&ACCESS_TOKEN, b"k").await, Ok(Some(second.clone())));
        assert_eq!(source.list(&ACCESS_TOKEN, None, 9).await, Ok(vec![second.clone()]));
        let value = second.indexes[0].clone().unwrap();
        assert_eq!(source.find(&ACCESS_TOKEN, 0, &value, None, 9).await.unwrap().len(), 1);
        assert_eq!(source.sweep(&ACCESS_TOKEN, 101, 9).await, Ok(swept));
        source.take(&ACCESS_TOKEN, b"k").await.unwrap();
        assert_eq!(scratch.keys().await, ["{schema}"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_behind_a_row() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    for expires_at in [Some(10), None] {
        let full = Row {
            indexes: vec![Some("-3:a".into()), Some(String::new()), Some("é".into())],
            expires_at,
            ..row("k:1-")
        };
        assert!(source.insert(&ACCESS_TOKEN, full.clone()).await.unwrap());
        assert!(source.replace(&ACCESS_TOKEN, row("k:1-"), 1).await.unwrap());
        assert!(source.replace(&ACCESS_TOKEN, full, 2).await.unwrap());
        assert!(source.take(&ACCESS_TOKEN, b"k:1-").await.unwrap().is_some());
        assert_eq!(scratch.keys().await, ["{schema}"]);
    }
}

/// Somebody else's key where a row was, and a note that is none of ours: else nothing that comes after would ever be swept.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_keeps_nothing_else_from_being_swept() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    for (name, at) in [("a", 10), ("b", 20)] {
        let row = Row { expires_at: Some(at), ..row(name) };
        assert!(source.insert(&ACCESS_TOKEN, row).await.unwrap());
    }
    let theirs = scratch.key("{access_token}:row:a");
    let _: Value = ask(&scratch.url, &["SET", &theirs, "theirs"]).await;
    let expiry = scratch.key("{access_token}:expiry");
    for note in ["rubbish", "99:short", "-"] {
        let _: i64 = ask(&scratch.url, &["ZADD", &expiry, "1", note]).await;
    }
    assert!(source.list(&ACCESS_TOKEN, None, 9).await.is_err(), "a row of another type is no row that is gone");
    assert_eq!(source.sweep(&ACCESS_TOKEN, 30, 9).await, Ok(2));
    assert_eq!(source.list(&ACCESS_TOKEN, None, 9).await, Ok(Vec::new()));
    let left: i64 = ask(&scratch.url, &["ZCARD", &expiry]).await;
    let kept: String = ask(&scratch.url, &["GET", &theirs]).await;
    assert_eq!((left, kept.as_str()), (0, "theirs"));
}
