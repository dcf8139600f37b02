//! How much a verb asks of the server: what it touches, never all that is there. And pages longer than one script.

use std::collections::BTreeMap;

use super::*;
use crate::migration;
use crate::tables::{self, ACCESS_TOKEN};

const ROWS: usize = 1200;

/// Rows by which every index and the order of keys can be told.
async fn fill(source: &Redis) {
    for number in 0..ROWS {
        let row = Row { expires_at: Some(number as i64), ..row(&format!("{number:05}")) };
        assert!(source.insert(&ACCESS_TOKEN, row).await.unwrap());
    }
}

/// How often each command was called since the last time, by scripts too.
async fn calls(url: &str) -> BTreeMap<String, u64> {
    let info: String = ask(url, &["INFO", "commandstats"]).await;
    let _: Value = ask(url, &["CONFIG", "RESETSTAT"]).await;
    let line = |line: &str| {
        let (name, told) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), told.split(',').next()?.parse().ok()?))
    };
    info.lines().filter_map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_verb_looks_at_more_than_it_touches() {
    let server = Server::start(&[]).await;
    let scratch = Scratch::on(&server.url);
    let source = scratch.opened().await;
    fill(&source).await;
    let known =
        ["evalsha", "eval", "hmget", "hset", "zadd", "zrem", "zrangebylex", "zrangebyscore", "del", "expireat", "time"];
    calls(&server.url).await;
    for verb in ["get", "insert", "replace", "take", "find", "list", "remove", "sweep"] {
        match verb {
            "get" => drop(source.get(&ACCESS_TOKEN, b"00600").await.unwrap()),
            "insert" => drop(source.insert(&ACCESS_TOKEN, row("new")).await.unwrap()),
            "replace" => drop(source.replace(&ACCESS_TOKEN, row("new"), 1).await.unwrap()),
            "take" => drop(source.take(&ACCESS_TOKEN, b"new").await.unwrap()),
            "find" => drop(source.find(&ACCESS_TOKEN, 0, "app", Some(b"00600"), 3).await.unwrap()),
            "list" => drop(source.list(&ACCESS_TOKEN, Some(b"00600"), 3).await.unwrap()),
            "remove" => drop(source.remove(&ACCESS_TOKEN, 0, "app", 1).await.unwrap()),
            _ => drop(source.sweep(&ACCESS_TOKEN, 600, 1).await.unwrap()),
        }
        let mut asked = calls(&server.url).await;
        asked.retain(|name, _| !matches!(name.as_str(), "info" | "config|resetstat" | "client|setinfo"));
        assert!(!asked.is_empty(), "{verb}");
        for (name, count) in &asked {
            assert!(known.contains(&name.as_str()), "{verb}: {asked:?}");
            assert!(*count <= 4, "{verb}: {asked:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_removals_go_on_beyond_one_script() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    fill(&source).await;
    for limit in [ROWS - 1, ROWS, usize::MAX] {
        for rows in [
            source.list(&ACCESS_TOKEN, None, limit).await.unwrap(),
            source.find(&ACCESS_TOKEN, 2, "grant", None, limit).await.unwrap(),
        ] {
            assert_eq!(rows.len(), limit.min(ROWS));
            assert!(rows.is_sorted_by(|a, b| a.key < b.key));
        }
    }
    assert_eq!(source.sweep(&ACCESS_TOKEN, 550, usize::MAX).await, Ok(550));
    assert_eq!(source.remove(&ACCESS_TOKEN, 0, "app", 600).await, Ok(600));
    assert_eq!(source.list(&ACCESS_TOKEN, None, usize::MAX).await.unwrap().len(), ROWS - 1150);
    assert_eq!(source.remove(&ACCESS_TOKEN, 0, "app", usize::MAX).await, Ok(50));
    assert_eq!(scratch.keys().await, ["{schema}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_records_come_in_several_answers() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    let record = format!("\"{}\"", "x".repeat(1 << 20));
    for number in 0..7 {
        assert!(
            source.insert(&ACCESS_TOKEN, Row { record: record.clone(), ..row(&number.to_string()) }).await.unwrap()
        );
    }
    for limit in [6, 7, 8] {
        assert_eq!(source.list(&ACCESS_TOKEN, None, limit).await.unwrap().len(), limit.min(7));
    }
}

/// The file for administrators names every key that there is, and its type.
#[tokio::test(flavor = "multi_thread")]
async fn the_schema_file_names_every_key() {
    let scratch = Scratch::new();
    let source = scratch.opened().await;
    let full = Row { indexes: vec![Some("a".into()), Some("b".into()), Some("c".into())], ..row("k") };
    assert!(source.insert(&ACCESS_TOKEN, full).await.unwrap());
    let plain: Vec<_> = tables::ALL.iter().filter(|table| table.indexes.is_empty()).collect();
    for table in &plain {
        assert!(source.insert(table, Row { indexes: Vec::new(), ..row("k") }).await.unwrap());
    }
    let keys = scratch.keys().await;
    // The index entries of one table, three keys a table without indexes, and the schema's.
    assert_eq!(keys.len(), 6 + 3 * plain.len() + 1, "{keys:?}");
    for key in keys {
        let kind: String = ask(&scratch.url, &["TYPE", &scratch.key(&key)]).await;
        let name = key.replacen('{', "{portcullis:", 1);
        let name = tables::ALL.iter().fold(name, |name, table| name.replace(&format!(":{}}}", table.name), ":TABLE}"));
        let name = name.split_once(":by:").map_or(name.clone(), |(start, _)| format!("{start}:by:COLUMN:VALUE"));
        let name = name.replace(":row:k", ":row:KEY");
        let line = migration::REDIS.lines().find(|line| line.trim_start().starts_with(&format!("{name} ")));
        let line = line.unwrap_or_else(|| panic!("{name} is not in stores/schema/redis.txt"));
        assert!(line.contains(if kind == "zset" { "sorted set" } else { "hash" }), "{line}: {kind}");
    }
    let noted: Vec<String> = ask(&scratch.url, &["ZRANGE", &scratch.key("{access_token}:expiry"), "0", "0"]).await;
    assert_eq!(noted, ["1:k1:a1:b1:c"]);
}
