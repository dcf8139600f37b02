//! Locks that somebody else holds, and deadlocks: tried again where nothing happened, for a bounded time.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::source::StoreError;
use crate::tables::ACCESS_TOKEN;

/// Until the query gives something that is such.
async fn until(conn: &mut Conn, sql: &str, such: impl Fn(i64) -> bool) -> i64 {
    let start = Instant::now();
    loop {
        let found: Option<i64> = conn.query_first(sql).await.unwrap();
        if let Some(found) = found.filter(|found| such(*found)) {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "nobody waits for a lock");
        // What InnoDB tells of its transactions is a copy, which is made anew only where nobody looked at it for 100 ms.
        sleep(Duration::from_millis(150)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_stays_locked_is_unavailable_and_a_read_does_not_mind() {
    let scratch = Scratch::new().await;
    let source = scratch.opened().await;
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    let mut other = connect(&scratch.url).await;
    other.query_drop("START TRANSACTION; SELECT * FROM access_token FOR UPDATE").await.unwrap();
    let refused = timeout(Duration::from_secs(10), source.replace(&ACCESS_TOKEN, row("k"), 1)).await.unwrap();
    assert!(matches!(&refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(source.get(&ACCESS_TOKEN, b"k").await, Ok(Some(row("k"))));
    other.query_drop("ROLLBACK").await.unwrap();
    // It was not carried out behind our back.
    assert_eq!(source.get(&ACCESS_TOKEN, b"k").await, Ok(Some(row("k"))));
    assert_eq!(source.replace(&ACCESS_TOKEN, row("k"), 1).await, Ok(true));
}

/// The lock is given up during the second wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_waited_in_vain_is_tried_again() {
    let scratch = Scratch::new().await;
    let source = Arc::new(scratch.opened().await);
    assert!(source.insert(&ACCESS_TOKEN, row("k")).await.unwrap());
    let mut other = connect(&scratch.url).await;
    other.query_drop("START TRANSACTION; SELECT * FROM access_token FOR UPDATE").await.unwrap();
    let mut watch = connect(&scratch.url).await;
    let replacing = tokio::spawn({
        let source = source.clone();
        async move { source.replace(&ACCESS_TOKEN, row("k"), 1).await }
    });
    let sql = "SELECT query_id FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'UPDATE %'";
    let first = until(&mut watch, sql, |_| true).await;
    until(&mut watch, sql, |query| query != first).await;
    other.query_drop("COMMIT").await.unwrap();
    assert_eq!(replacing.await.unwrap(), Ok(true));
    assert_eq!(source.get(&ACCESS_TOKEN, b"k").await.unwrap().map(|row| row.version), Some(2));
}

/// Another transaction wants what our statement has, and has what ours wants: the server undoes one. Ours is small, so it is ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_was_undone_to_end_a_deadlock_is_tried_again() {
    let scratch = Scratch::new().await;
    let source = Arc::new(scratch.opened().await);
    for key in ["a", "b"] {
        assert!(source.insert(&ACCESS_TOKEN, row(key)).await.unwrap());
    }
    let mut other = connect(&scratch.url).await;
    let mut watch = connect(&scratch.url).await;
    let many = "INSERT INTO lease (`key`, version, record) SELECT CONCAT('other ', seq), 1, '{}' FROM seq_1_to_500";
    other
        .query_drop(format!("START TRANSACTION; {many}; SELECT * FROM access_token WHERE `key` = 'b' FOR UPDATE"))
        .await
        .unwrap();
    // Locks `a`, then waits for `b`.
    let removing = tokio::spawn({
        let source = source.clone();
        async move { source.remove(&ACCESS_TOKEN, 0, "app", 9).await }
    });
    let sql = "SELECT 1 FROM information_schema.innodb_trx t JOIN information_schema.processlist p \
               ON p.id = t.trx_mysql_thread_id WHERE t.trx_state = 'LOCK WAIT' AND p.db = DATABASE()";
    until(&mut watch, sql, |_| true).await;
    let deadlocks = "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status \
                     WHERE variable_name = 'Innodb_deadlocks'";
    let before = number(&mut watch, deadlocks).await;
    let won = other.query_drop("SELECT * FROM access_token WHERE `key` = 'a' FOR UPDATE").await;
    assert_eq!(won.map_err(|why| why.to_string()), Ok(()), "the wrong one was undone");
    assert!(number(&mut watch, deadlocks).await > before, "there was no deadlock");
    other.query_drop("ROLLBACK").await.unwrap();
    assert_eq!(removing.await.unwrap(), Ok(2));
}

/// Removals and sweeps that meet all get an answer, and no row is counted twice.
#[tokio::test(flavor = "multi_thread")]
async fn removals_and_sweeps_meet() {
    let scratch = Scratch::new().await;
    let source = Arc::new(scratch.opened().await);
    for at in 0..100i64 {
        // The order of the expiries is not that of the keys.
        let expiring = Row { expires_at: Some(100 - at), ..row(&format!("{at:03}")) };
        assert!(source.insert(&ACCESS_TOKEN, expiring).await.unwrap());
    }
    let work = (0..8).map(|number| {
        let source = source.clone();
        tokio::spawn(async move {
            let mut removed = 0;
            for _ in 0..30 {
                removed += match number % 2 {
                    0 => source.remove(&ACCESS_TOKEN, 0, "app", 3).await.unwrap(),
                    _ => source.sweep(&ACCESS_TOKEN, 1000, 3).await.unwrap(),
                };
            }
            removed
        })
    });
    let mut removed = 0;
    for work in work.collect::<Vec<_>>() {
        removed += work.await.unwrap();
    }
    assert_eq!(removed, 100);
}
