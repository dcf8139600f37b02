//! The cases. Their names stand in [`conformance!`](crate::conformance!).

#![allow(missing_docs, reason = "a case's name says what it asks for")]

use std::sync::Arc;

use super::Verdict;
use super::fixture::*;
use crate::source::{DataSource, Row, StoreError, Table};
use crate::tables::{ACCESS_TOKEN, CLIENT as CLIENT_TABLE, EPOCH};

type Source = Arc<dyn DataSource>;

pub async fn an_absent_key_is_none(source: Source) -> Verdict {
    put(&source, [row("aa"), row("ac")]).await?;
    is("get", ok(source.get(&ACCESS_TOKEN, b"ab").await)?, None)?;
    is("get of a prefix", ok(source.get(&ACCESS_TOKEN, b"a").await)?, None)?;
    if !writable(&source) {
        return Ok(());
    }
    is("take", ok(source.take(&ACCESS_TOKEN, b"ab").await)?, None)
}

pub async fn a_row_comes_back_as_it_was_inserted(source: Source) -> Verdict {
    let full = row("full").indexed(CLIENT, "app").indexed(SUBJECT, "").indexed(GRANT, "g 1").expiring(1_900_000_000);
    let full = Row { version: 7, ..full }.saying(r#"{"a": [1, 2.50, null]}"#);
    let bare = row("bare").quoting("");
    let extreme = Row { version: i64::MAX, expires_at: Some(i64::MIN), ..row("extreme") };
    put(&source, [full.clone(), bare.clone(), extreme.clone()]).await?;
    for row in [full, bare, extreme] {
        is("get", ok(source.get(&ACCESS_TOKEN, &row.key).await)?, Some(row))?;
    }
    Ok(())
}

pub async fn a_second_insert_changes_nothing(source: Source) -> Verdict {
    let first = row("k").indexed(CLIENT, "first").expiring(10);
    put(&source, [first.clone()]).await?;
    let second = row("k").indexed(CLIENT, "second").expiring(20).saying("2");
    is("the second insert", ok(source.insert(&ACCESS_TOKEN, second).await)?, false)?;
    is("get", ok(source.get(&ACCESS_TOKEN, b"k").await)?, Some(first))?;
    is("found by the second's index", ok(source.find(&ACCESS_TOKEN, CLIENT, "second", None, 9).await)?, vec![])
}

pub async fn keys_are_bytes(source: Source) -> Verdict {
    let keys: [&[u8]; 6] = [&[0], &[0, 0], &[0, 255], &[39, 0, 34], &[195, 40], &[255; 64]];
    put(&source, keys.map(row)).await?;
    for key in keys {
        is("get", ok(source.get(&ACCESS_TOKEN, key).await)?.map(|row| row.key), Some(key.to_vec()))?;
    }
    let listed: Vec<Vec<u8>> = ok(source.list(&ACCESS_TOKEN, None, 9).await)?.into_iter().map(|row| row.key).collect();
    is("list", listed, keys.map(<[u8]>::to_vec).to_vec())?;
    is("list after a key", ok(source.list(&ACCESS_TOKEN, Some(&[0]), 9).await)?.len(), 5)?;
    if !writable(&source) {
        return Ok(());
    }
    is("take", ok(source.take(&ACCESS_TOKEN, &[0, 0]).await)?.map(|row| row.key), Some(vec![0, 0]))?;
    is("what remains", ok(source.list(&ACCESS_TOKEN, Some(&[0]), 9).await)?.len(), 4)
}

pub async fn text_is_unicode(source: Source) -> Verdict {
    for (number, text) in
        ["Zoë", "漢字", "🦀", "e\u{301}", "' OR 1=1 --", "%", "a_b", "\\", "\t\r\n", " "].into_iter().enumerate()
    {
        let given = row([number as u8]).indexed(SUBJECT, text).quoting(text);
        put(&source, [given.clone()]).await?;
        is("get", ok(source.get(&ACCESS_TOKEN, &given.key).await)?, Some(given.clone()))?;
        is("find", ok(source.find(&ACCESS_TOKEN, SUBJECT, text, None, 9).await)?, vec![given])?;
    }
    is("find by another normal form", ok(source.find(&ACCESS_TOKEN, SUBJECT, "\u{e9}", None, 9).await)?, vec![])?;
    is("find by another case", ok(source.find(&ACCESS_TOKEN, SUBJECT, "ZOË", None, 9).await)?, vec![])
}

pub async fn a_record_of_a_mebibyte_fits(source: Source) -> Verdict {
    let large = row("large").quoting(&"0123456789abcdeé".repeat(61_681));
    let small = row("small");
    put(&source, [large.clone(), small.clone()]).await?;
    is("it came back", ok(source.get(&ACCESS_TOKEN, b"large").await)? == Some(large.clone()), true)?;
    is("its neighbour", ok(source.get(&ACCESS_TOKEN, b"small").await)?, Some(small.clone()))?;
    if !writable(&source) {
        return Ok(());
    }
    is("replace", ok(source.replace(&ACCESS_TOKEN, large, 1).await)?, true)?;
    is("its neighbour after it", ok(source.get(&ACCESS_TOKEN, b"small").await)?, Some(small))
}

pub async fn tables_are_apart(source: Source) -> Verdict {
    let token = row("k").expiring(1);
    put(&source, [token.clone()]).await?;
    let epoch = plain("k").expiring(1).quoting("epoch");
    is("the same key in another table", ok(source.insert(&EPOCH, epoch.clone()).await)?, true)?;
    is("get there", ok(source.get(&EPOCH, b"k").await)?, Some(epoch.clone()))?;
    is("get in a third", ok(source.get(&CLIENT_TABLE, b"k").await)?, None)?;
    is("get here", ok(source.get(&ACCESS_TOKEN, b"k").await)?, Some(token.clone()))?;
    if !writable(&source) {
        return Ok(());
    }
    is("sweep there", ok(source.sweep(&EPOCH, 2, 9).await)?, 1)?;
    is("get here after it", ok(source.get(&ACCESS_TOKEN, b"k").await)?, Some(token))
}

pub async fn a_replace_compares_the_version(source: Source) -> Verdict {
    let first = row("k").saying("1").expiring(10);
    put(&source, [first.clone(), row("other")]).await?;
    for wrong in [0, 2, -1] {
        let change = Row { version: 2, ..row("k").quoting("wrong") };
        is("a replace of another version", ok(source.replace(&ACCESS_TOKEN, change, wrong).await)?, false)?;
    }
    is("get", ok(source.get(&ACCESS_TOKEN, b"k").await)?, Some(first))?;
    let change = Row { version: 99, ..row("k").saying("2").indexed(CLIENT, "c") };
    is("a replace", ok(source.replace(&ACCESS_TOKEN, change.clone(), 1).await)?, true)?;
    is("get", ok(source.get(&ACCESS_TOKEN, b"k").await)?, Some(Row { version: 2, ..change.clone() }))?;
    is("a replace of the version before", ok(source.replace(&ACCESS_TOKEN, change, 1).await)?, false)?;
    is("its neighbour", ok(source.get(&ACCESS_TOKEN, b"other").await)?, Some(row("other")))
}

pub async fn a_replace_of_an_absent_key_changes_nothing(source: Source) -> Verdict {
    for expected in [0, 1] {
        is("replace", ok(source.replace(&ACCESS_TOKEN, row("k"), expected).await)?, false)?;
    }
    is("list", ok(source.list(&ACCESS_TOKEN, None, 9).await)?, vec![])
}

pub async fn a_replace_moves_the_index_entries(source: Source) -> Verdict {
    put(&source, [row("k").indexed(CLIENT, "old").indexed(GRANT, "g").expiring(10)]).await?;
    let change = row("k").indexed(CLIENT, "new").indexed(SUBJECT, "s").expiring(100);
    is("replace", ok(source.replace(&ACCESS_TOKEN, change, 1).await)?, true)?;
    for (index, value, expected) in [(CLIENT, "old", 0), (CLIENT, "new", 1), (GRANT, "g", 0), (SUBJECT, "s", 1)] {
        is(value, ok(source.find(&ACCESS_TOKEN, index, value, None, 9).await)?.len(), expected)?;
    }
    is("a sweep by the old expiry", ok(source.sweep(&ACCESS_TOKEN, 11, 9).await)?, 0)?;
    is("a sweep by the new one", ok(source.sweep(&ACCESS_TOKEN, 101, 9).await)?, 1)
}

pub async fn a_take_gives_the_row_and_deletes_it(source: Source) -> Verdict {
    let given = row("k").indexed(CLIENT, "c").expiring(10).quoting("taken");
    put(&source, [given.clone(), row("other")]).await?;
    is("take", ok(source.take(&ACCESS_TOKEN, b"k").await)?, Some(given.clone()))?;
    is("a second take", ok(source.take(&ACCESS_TOKEN, b"k").await)?, None)?;
    is("get", ok(source.get(&ACCESS_TOKEN, b"k").await)?, None)?;
    is("find", ok(source.find(&ACCESS_TOKEN, CLIENT, "c", None, 9).await)?, vec![])?;
    is("its neighbour", ok(source.get(&ACCESS_TOKEN, b"other").await)?, Some(row("other")))?;
    is("an insert after it", ok(source.insert(&ACCESS_TOKEN, given).await)?, true)
}

pub async fn a_find_looks_at_one_index(source: Source) -> Verdict {
    let rows = [
        row("1").indexed(CLIENT, "x").indexed(SUBJECT, "y").indexed(GRANT, "z"),
        row("2").indexed(CLIENT, "y").indexed(SUBJECT, "z").indexed(GRANT, "x"),
        row("3").indexed(CLIENT, "x"),
        row("4"),
    ];
    put(&source, rows.clone()).await?;
    for (index, value, expected) in [
        (CLIENT, "x", vec![0, 2]),
        (CLIENT, "y", vec![1]),
        (CLIENT, "z", vec![]),
        (SUBJECT, "y", vec![0]),
        (SUBJECT, "z", vec![1]),
        (GRANT, "x", vec![1]),
        (GRANT, "z", vec![0]),
        (GRANT, "", vec![]),
        (CLIENT, "null", vec![]),
    ] {
        let expected: Vec<Row> = expected.into_iter().map(|at: usize| rows[at].clone()).collect();
        let column = ACCESS_TOKEN.indexes[index];
        is(column, ok(source.find(&ACCESS_TOKEN, index, value, None, 9).await)?, expected)?;
    }
    Ok(())
}

pub async fn index_values_are_compared_by_their_bytes(source: Source) -> Verdict {
    // What collations of databases like to take for the same.
    let values = ["a", "A", "a ", " a", "\u{e1}", "a\u{301}"];
    put(&source, values.map(|value| row(value).indexed(SUBJECT, value))).await?;
    for value in values {
        let found = ok(source.find(&ACCESS_TOKEN, SUBJECT, value, None, 9).await)?;
        is(&format!("the keys of the rows with {value:?}"), keys(&found), vec![value.to_owned()])?;
    }
    Ok(())
}

pub async fn a_find_is_ordered_and_goes_on_after_a_key(source: Source) -> Verdict {
    let names = ["e", "a", "c", "b", "d"];
    put(&source, names.map(|name| row(name).indexed(CLIENT, "mine"))).await?;
    put(&source, ["aa", "bb", "f"].map(|name| row(name).indexed(CLIENT, "other"))).await?;
    for (after, limit, expected) in [
        (None, 9, vec!["a", "b", "c", "d", "e"]),
        (None, 2, vec!["a", "b"]),
        (Some("b"), 2, vec!["c", "d"]),
        (Some("aa"), 9, vec!["b", "c", "d", "e"]),
        (Some("e"), 9, vec![]),
        (None, usize::MAX, vec!["a", "b", "c", "d", "e"]),
    ] {
        let found = ok(source.find(&ACCESS_TOKEN, CLIENT, "mine", after.map(str::as_bytes), limit).await)?;
        is(
            &format!("find after {after:?}, at most {limit}"),
            keys(&found),
            expected.iter().map(|k| k.to_string()).collect(),
        )?;
    }
    Ok(())
}

pub async fn a_list_is_ordered_and_goes_on_after_a_key(source: Source) -> Verdict {
    put(&source, ["e", "a", "c", "b", "d"].map(row)).await?;
    for (after, limit, expected) in [
        (None, 9, vec!["a", "b", "c", "d", "e"]),
        (None, 2, vec!["a", "b"]),
        (Some("b"), 2, vec!["c", "d"]),
        (Some("bb"), 9, vec!["c", "d", "e"]),
        (Some("e"), 9, vec![]),
        (None, usize::MAX, vec!["a", "b", "c", "d", "e"]),
    ] {
        let found = ok(source.list(&ACCESS_TOKEN, after.map(str::as_bytes), limit).await)?;
        is(
            &format!("list after {after:?}, at most {limit}"),
            keys(&found),
            expected.iter().map(|k| k.to_string()).collect(),
        )?;
    }
    Ok(())
}

pub async fn a_remove_takes_what_matches_up_to_the_limit(source: Source) -> Verdict {
    put(&source, ["a", "b", "c", "d", "e"].map(|name| row(name).indexed(GRANT, "g").indexed(CLIENT, "h"))).await?;
    put(&source, [row("other").indexed(GRANT, "h").indexed(CLIENT, "g"), row("null")]).await?;
    for expected in [2, 2, 1, 0] {
        is("remove", ok(source.remove(&ACCESS_TOKEN, GRANT, "g", 2).await)?, expected)?;
    }
    is("what remains", keys(&ok(source.list(&ACCESS_TOKEN, None, 9).await)?), vec!["null".into(), "other".into()])
}

pub async fn a_sweep_takes_what_has_expired(source: Source) -> Verdict {
    let expiries = [("before", 99), ("at", 100), ("after", 101), ("zero", 0), ("negative", -5)];
    put(&source, expiries.map(|(name, at)| row(name).expiring(at))).await?;
    put(&source, [row("never")]).await?;
    is("sweep", ok(source.sweep(&ACCESS_TOKEN, 100, 9).await)?, 3)?;
    let remaining = keys(&ok(source.list(&ACCESS_TOKEN, None, 9).await)?);
    is("what remains", remaining, ["after", "at", "never"].map(String::from).to_vec())?;
    is("sweep of all", ok(source.sweep(&ACCESS_TOKEN, i64::MAX, 9).await)?, 2)?;
    is("what never expires", keys(&ok(source.list(&ACCESS_TOKEN, None, 9).await)?), vec!["never".into()])
}

pub async fn a_sweep_takes_no_more_than_its_limit(source: Source) -> Verdict {
    put(&source, (0..10u8).map(|n| row([n]).expiring(n.into()))).await?;
    for expected in [4, 4, 2, 0] {
        is("sweep", ok(source.sweep(&ACCESS_TOKEN, 100, 4).await)?, expected)?;
    }
    is("what remains", ok(source.list(&ACCESS_TOKEN, None, 99).await)?, vec![])
}

pub async fn a_limit_of_zero_does_nothing(source: Source) -> Verdict {
    put(&source, [row("k").indexed(CLIENT, "c").expiring(1)]).await?;
    is("find", ok(source.find(&ACCESS_TOKEN, CLIENT, "c", None, 0).await)?, vec![])?;
    is("list", ok(source.list(&ACCESS_TOKEN, None, 0).await)?, vec![])?;
    if !writable(&source) {
        return Ok(());
    }
    is("remove", ok(source.remove(&ACCESS_TOKEN, CLIENT, "c", 0).await)?, 0)?;
    is("sweep", ok(source.sweep(&ACCESS_TOKEN, 2, 0).await)?, 0)?;
    is("what remains", ok(source.list(&ACCESS_TOKEN, None, 9).await)?.len(), 1)
}

pub async fn an_answered_write_is_seen(source: Source) -> Verdict {
    for number in 0..100u8 {
        let (key, text) = ([number], number.to_string());
        put(&source, [row(key).indexed(CLIENT, &text)]).await?;
        is("get after insert", ok(source.get(&ACCESS_TOKEN, &key).await)?.map(|row| row.version), Some(1))?;
        is("find after insert", ok(source.find(&ACCESS_TOKEN, CLIENT, &text, None, 9).await)?.len(), 1)?;
        is("replace", ok(source.replace(&ACCESS_TOKEN, row(key), 1).await)?, true)?;
        is("get after replace", ok(source.get(&ACCESS_TOKEN, &key).await)?.map(|row| row.version), Some(2))?;
        is("take", ok(source.take(&ACCESS_TOKEN, &key).await)?.map(|row| row.version), Some(2))?;
        is("get after take", ok(source.get(&ACCESS_TOKEN, &key).await)?, None)?;
    }
    Ok(())
}

pub async fn one_of_fifty_inserts_wins(source: Source) -> Verdict {
    for round in 0..4u8 {
        let outcomes = at_once(&source, 50, |source, number| async move {
            let won = ok(source.insert(&ACCESS_TOKEN, row([round]).saying(&number.to_string())).await)?;
            Ok(won.then_some(number))
        });
        let winners: Vec<usize> = outcomes.await?.into_iter().flatten().collect();
        is("winners", winners.len(), 1)?;
        let kept = ok(source.get(&ACCESS_TOKEN, &[round]).await)?.map(|row| row.record);
        is("whose row it is", kept, Some(winners[0].to_string()))?;
    }
    Ok(())
}

pub async fn one_of_fifty_replaces_wins(source: Source) -> Verdict {
    put(&source, [row("k")]).await?;
    for version in 1..4 {
        let outcomes = at_once(&source, 50, |source, number| async move {
            let won = ok(source.replace(&ACCESS_TOKEN, row("k").saying(&number.to_string()), version).await)?;
            Ok(won.then_some(number))
        });
        let winners: Vec<usize> = outcomes.await?.into_iter().flatten().collect();
        is("winners", winners.len(), 1)?;
        let kept = ok(source.get(&ACCESS_TOKEN, b"k").await)?.map(|row| (row.record, row.version));
        is("whose row it is", kept, Some((winners[0].to_string(), version + 1)))?;
    }
    Ok(())
}

pub async fn one_of_fifty_takes_wins(source: Source) -> Verdict {
    for _ in 0..4 {
        put(&source, [row("k"), row("other")]).await?;
        let taken = at_once(&source, 50, |source, _| async move { ok(source.take(&ACCESS_TOKEN, b"k").await) });
        is("winners", taken.await?.into_iter().flatten().count(), 1)?;
        is("its neighbour", ok(source.take(&ACCESS_TOKEN, b"other").await)?.is_some(), true)?;
    }
    Ok(())
}

pub async fn no_update_is_lost(source: Source) -> Verdict {
    put(&source, [row("k").saying("0")]).await?;
    at_once(&source, 10, |source, _| async move {
        for _ in 0..10 {
            count_up(&source).await?;
        }
        Ok(())
    })
    .await?;
    let end = ok(source.get(&ACCESS_TOKEN, b"k").await)?.map(|row| (row.record, row.version));
    is("the count and the version", end, Some(("100".into(), 101)))
}

/// Adds one to the number in the record, as often as it takes.
async fn count_up(source: &Source) -> Verdict {
    for _ in 0..10_000 {
        let Some(found) = ok(source.get(&ACCESS_TOKEN, b"k").await)? else { return Err("the row is gone".into()) };
        let count: u32 = found.record.parse().map_err(|_| format!("the record is `{}`", found.record))?;
        let version = found.version;
        if ok(source.replace(&ACCESS_TOKEN, found.saying(&(count + 1).to_string()), version).await)? {
            return Ok(());
        }
    }
    Err("no replace succeeded".into())
}

pub async fn a_refusal_leaves_its_neighbours_alone(source: Source) -> Verdict {
    put(&source, (0..25).map(|n| row(format!("{n:02}")))).await?;
    // The even ones are new, the odd ones exist: written at once, each gets its own answer.
    let outcomes = at_once(&source, 50, |source, number| async move {
        let name = if number % 2 == 0 { format!("new {number}") } else { format!("{:02}", number / 2) };
        Ok((number % 2 == 0, ok(source.insert(&ACCESS_TOKEN, row(name)).await)?))
    });
    for (expected, inserted) in outcomes.await? {
        is("an insert", inserted, expected)?;
    }
    is("all rows", ok(source.list(&ACCESS_TOKEN, None, 99).await)?.len(), 50)
}

pub async fn what_is_unknown_is_an_error(source: Source) -> Verdict {
    static UNKNOWN: Table = Table { name: "no_such_table", indexes: &["column"] };
    let broken = |result: Result<(), StoreError>| matches!(result, Err(StoreError::Broken(_)));
    is("get in an unknown table", broken(source.get(&UNKNOWN, b"k").await.map(drop)), true)?;
    is("insert into an unknown table", broken(source.insert(&UNKNOWN, row("k")).await.map(drop)), true)?;
    is("find by an unknown index", broken(source.find(&ACCESS_TOKEN, 3, "x", None, 9).await.map(drop)), true)?;
    is("remove by an unknown index", broken(source.remove(&EPOCH, 0, "x", 9).await.map(drop)), true)
}

pub async fn preparing_again_keeps_the_rows(source: Source) -> Verdict {
    put(&source, [row("k")]).await?;
    ok(source.prepare().await)?;
    is("get", ok(source.get(&ACCESS_TOKEN, b"k").await)?, Some(row("k")))?;
    is("health knows its version", ok(source.health().await)?.version.is_empty(), false)
}

/// For sources that are read-only: `make` gives one that holds these rows.
pub async fn every_write_is_refused(make: impl Fn(Vec<(&'static Table, Row)>) -> Source) -> Verdict {
    let row = row("k").indexed(CLIENT, "c").expiring(1);
    let source = make(vec![(&ACCESS_TOKEN, row.clone())]);
    is("it says so", source.capabilities().read_only, true)?;
    let outcomes = [
        ("insert", source.insert(&ACCESS_TOKEN, self::row("other")).await.map(drop)),
        ("replace", source.replace(&ACCESS_TOKEN, row.clone(), 1).await.map(drop)),
        ("take", source.take(&ACCESS_TOKEN, b"k").await.map(drop)),
        ("take of an absent key", source.take(&ACCESS_TOKEN, b"other").await.map(drop)),
        ("remove", source.remove(&ACCESS_TOKEN, CLIENT, "c", 9).await.map(drop)),
        ("sweep", source.sweep(&ACCESS_TOKEN, 2, 9).await.map(drop)),
    ];
    for (verb, outcome) in outcomes {
        let clear = matches!(&outcome, Err(StoreError::Broken(why)) if why.contains("is read-only; "));
        is(&format!("{verb} is refused ({outcome:?})"), clear, true)?;
    }
    is("what is there", ok(source.list(&ACCESS_TOKEN, None, 9).await)?, vec![row])
}
