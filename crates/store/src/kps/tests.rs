//! The store over memory, and over sources that do not answer.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::seal::{Encryption, Key};
use crate::sources::memory::Memory;

const NOW: u64 = 1_767_225_600;

fn column(of: ColumnType) -> Column {
    Column { of, encrypted: false, named: None }
}

fn settings(name: &str) -> Settings {
    let columns = BTreeMap::from([
        ("id".to_owned(), column(ColumnType::Text)),
        ("email".to_owned(), column(ColumnType::Text)),
        ("limit".to_owned(), column(ColumnType::Integer)),
        ("since".to_owned(), column(ColumnType::Time)),
        ("password".to_owned(), Column { encrypted: true, ..column(ColumnType::Text) }),
    ]);
    Settings {
        name: name.into(),
        key: "id".into(),
        second_key: Some("email".into()),
        columns,
        auto_id: false,
        ttl: None,
        table: None,
    }
}

fn sealer(id: &str, digit: &str) -> Arc<Sealer> {
    let key = Key::parse(id, &digit.repeat(64)).unwrap();
    Arc::new(Sealer::new(&Encryption::Keys(vec![key]), Path::new("nowhere")))
}

fn over(source: Arc<dyn DataSource>, settings: Settings) -> Kps {
    Kps::new(source, Arc::new(settings), sealer("k", "a"))
}

fn kps() -> Kps {
    over(Arc::new(Memory::new()), settings("partners"))
}

fn how(mode: Mode) -> Put {
    Put { mode, ttl: None, now: NOW, id: [7; 16] }
}

fn columns(json: Json) -> Columns {
    match json {
        Json::Object(columns) => columns,
        other => panic!("{other}"),
    }
}

async fn put(kps: &Kps, mode: Mode, row: Json) -> Result<Written, KpsError> {
    kps.put(columns(row), &how(mode)).await
}

async fn got(kps: &Kps, key: &str) -> Option<Json> {
    kps.get(key, NOW).await.unwrap().map(|found| Json::Object(found.columns))
}

#[tokio::test]
async fn a_row_is_put_read_and_deleted() {
    let kps = kps();
    assert_eq!(got(&kps, "acme").await, None);
    let row = json!({ "id": "acme", "email": "a@acme.example", "limit": "10", "since": "2026-01-31" });
    let written = put(&kps, Mode::Replace, row).await.unwrap();
    assert_eq!(written, Written { key: "acme".into(), created: true });
    let kept = json!({ "id": "acme", "email": "a@acme.example", "limit": 10, "since": "2026-01-31T00:00:00Z" });
    assert_eq!(got(&kps, "acme").await, Some(kept.clone()));
    let second = kps.get_second("a@acme.example", NOW).await.unwrap().unwrap();
    assert_eq!((second.key.as_str(), Json::Object(second.columns)), ("acme", kept));
    assert_eq!(kps.get_second("acme", NOW).await.unwrap(), None, "a key is no second key");
    assert!(!put(&kps, Mode::Replace, json!({ "id": "acme" })).await.unwrap().created);
    assert_eq!(got(&kps, "acme").await, Some(json!({ "id": "acme" })));
    assert_eq!(kps.get_second("a@acme.example", NOW).await.unwrap(), None, "the second key went with the column");
    assert_eq!(kps.delete("acme", NOW).await, Ok(true));
    assert_eq!(kps.delete("acme", NOW).await, Ok(false));
    assert_eq!(got(&kps, "acme").await, None);
}

#[tokio::test]
async fn what_does_not_fit_names_the_column() {
    let kps = kps();
    let long = "x".repeat(LONGEST_KEY + 1);
    for (row, told) in [
        (json!({ "id": "a", "limit": "ten" }), "column `limit`: it is to be a whole number, not this text"),
        (json!({ "id": "a", "limit": 1.5 }), "column `limit`: it is to be a whole number, not a number"),
        (
            json!({ "id": "a", "limit": u64::MAX }),
            "column `limit`: it is to be a whole number, not one above 9223372036854775807",
        ),
        (json!({ "id": "a", "no": 1 }), "column `no`: `kps.partners` has no such column; it has `email`, `id`"),
        (json!({ "id": "a", "no": null }), "column `no`: `kps.partners` has no such column"),
        (json!({ "limit": 1 }), "column `id`: it is the key, and is missing"),
        (json!({ "id": "" }), "column `id`: a key has from 1 to 255 bytes"),
        (json!({ "id": long }), "column `id`: a key has from 1 to 255 bytes"),
        (json!({ "id": "a\nb" }), "column `id`: a key has no control characters"),
        (json!({ "id": "a", "email": "\u{0}" }), "column `email`: text with a zero character cannot be kept"),
        (json!({ "id": "a", "email": 7 }), "column `email`: it is to be text, not a whole number"),
        (json!({ "id": "a", "~portcullis": null }), "column `~portcullis`: the name of a column does not begin with"),
    ] {
        let why = put(&kps, Mode::Replace, row.clone()).await.unwrap_err().to_string();
        assert!(why.starts_with(told), "{row}: {why}");
    }
    let much = "x".repeat(LARGEST_ROW);
    let open = Settings { columns: BTreeMap::new(), second_key: None, ..settings("any") };
    let open = over(Arc::new(Memory::new()), open);
    let why = put(&open, Mode::Replace, json!({ "id": "a", "much": much })).await.unwrap_err().to_string();
    assert!(why.contains("at most 262144 bytes"), "{why}");
    // A row that says `gone` is taken for one that moved away, and what nobody knows there is an error for the whole store.
    for mark in [json!("gone"), json!({ "locked": 1 })] {
        let why = put(&open, Mode::Replace, json!({ "id": "a", "~portcullis": mark })).await.unwrap_err();
        assert!(matches!(&why, KpsError::Unfit(unfit) if unfit.column.as_deref() == Some("~portcullis")), "{why}");
    }
    let anything = json!({ "id": "a", "list": [1], "table": { "x": null } });
    put(&open, Mode::Replace, anything.clone()).await.unwrap();
    assert_eq!(got(&open, "a").await, Some(anything));
}

#[tokio::test]
async fn a_second_key_is_one_rows() {
    let kps = kps();
    put(&kps, Mode::Replace, json!({ "id": "a", "email": "x" })).await.unwrap();
    let why = put(&kps, Mode::Replace, json!({ "id": "b", "email": "x" })).await.unwrap_err();
    assert!(matches!(&why, KpsError::Taken(why) if why.contains("row `a`")), "{why}");
    put(&kps, Mode::Replace, json!({ "id": "a", "email": "x", "limit": 1 })).await.unwrap();
    // Two that were put in one instant.
    let row = Kps::row(kps.settings(), columns(json!({ "id": "b", "email": "x" }))).unwrap();
    assert_eq!(kps.source().insert(&KPS, row).await, Ok(true));
    let why = kps.get_second("x", NOW).await.unwrap_err();
    assert!(matches!(&why, StoreError::Broken(why) if why.contains("`a` and `b`")), "{why}");
}

#[tokio::test]
async fn modes() {
    let kps = kps();
    put(&kps, Mode::Merge, json!({ "id": "a", "limit": 1, "email": "x" })).await.unwrap();
    put(&kps, Mode::Merge, json!({ "id": "a", "limit": 2, "email": null })).await.unwrap();
    assert_eq!(got(&kps, "a").await, Some(json!({ "id": "a", "limit": 2 })));
    let why = put(&kps, Mode::Insert, json!({ "id": "a" })).await.unwrap_err();
    assert!(matches!(why, KpsError::Taken(_)), "{why}");
    put(&kps, Mode::Insert, json!({ "id": "b" })).await.unwrap();
}

#[tokio::test]
async fn rows_that_expire() {
    let source: Arc<dyn DataSource> = Arc::new(Memory::new());
    let kps = over(source, Settings { ttl: Some(Duration::from_secs(60)), ..settings("partners") });
    let put = |mode, ttl: Option<u64>, now| Put { mode, ttl: ttl.map(Duration::from_secs), now, id: [0; 16] };
    let row = columns(json!({ "id": "a", "email": "x" }));
    kps.put(row.clone(), &put(Mode::Replace, None, NOW)).await.unwrap();
    assert_eq!(kps.get("a", NOW + 59).await.unwrap().unwrap().expires_at, Some(NOW + 60));
    assert_eq!(kps.get("a", NOW + 60).await.unwrap(), None);
    assert_eq!(kps.get_second("x", NOW + 60).await.unwrap(), None);
    assert_eq!(kps.list(None, 10, NOW + 60).await.unwrap(), []);
    // What expired is none, though it was not swept yet.
    let b = columns(json!({ "id": "b", "email": "x" }));
    kps.put(b, &put(Mode::Insert, Some(10), NOW + 60)).await.unwrap();
    assert!(kps.put(row, &put(Mode::Insert, Some(10), NOW + 100)).await.unwrap().created);
    assert_eq!(kps.delete("a", NOW + 110).await, Ok(false));
}

/// Rows that live for a short time, each with a key of its own: what expired may be there for an hour (Cassandra).
#[tokio::test]
async fn a_row_is_found_by_its_second_key_behind_any_number_of_expired_ones() {
    let kps = kps();
    let put = |id: String, now| {
        let row = columns(json!({ "id": id, "email": "x" }));
        let how = Put { ttl: Some(Duration::from_secs(10)), now, ..how(Mode::Insert) };
        let kps = &kps;
        async move { kps.put(row, &how).await }
    };
    for n in 0..250 {
        put(format!("{n:03}"), NOW + 10 * n).await.unwrap();
    }
    let found = kps.get_second("x", NOW + 2495).await.unwrap();
    assert_eq!(found.map(|row| row.key), Some("249".to_owned()));
    let why = put("250".to_owned(), NOW + 2495).await.unwrap_err();
    assert!(matches!(&why, KpsError::Taken(why) if why.contains("row `249`")), "{why}");
}

/// `docs/stores.md`: columns may be added and taken out at any time, and another key is of rows that are put from then on.
#[tokio::test]
async fn rows_of_other_settings_are_merged_into_and_sealed_anew() {
    let source: Arc<dyn DataSource> = Arc::new(Memory::new());
    let before = over(source.clone(), settings("partners"));
    put(&before, Mode::Replace, json!({ "id": "a", "email": "x", "limit": 1, "password": "geheim" })).await.unwrap();

    let mut fewer = settings("partners");
    fewer.columns.remove("limit");
    let keys = [("new", "b"), ("k", "a")].map(|(id, digit)| Key::parse(id, &digit.repeat(64)).unwrap());
    let both = Arc::new(Sealer::new(&Encryption::Keys(keys.to_vec()), Path::new("nowhere")));
    let after = Kps::new(source.clone(), Arc::new(fewer.clone()), both.clone());
    put(&after, Mode::Merge, json!({ "id": "a", "since": 0 })).await.unwrap();
    assert_eq!(after.reencrypt("a", NOW).await, Ok(true));
    let by_email = Settings { key: "email".into(), second_key: None, ..fewer };
    let by_email = Kps::new(source, Arc::new(by_email), both);
    assert_eq!(by_email.reencrypt("a", NOW).await, Ok(false), "it is sealed with the new key already");
    let row = json!({ "id": "a", "email": "x", "limit": 1, "password": "geheim", "since": "1970-01-01T00:00:00Z" });
    assert_eq!(got(&after, "a").await, Some(row));

    // Whoever changes something else needs no key to what is sealed.
    let without = Kps::new(after.source().clone(), after.settings().clone(), sealer("other", "c"));
    put(&without, Mode::Merge, json!({ "id": "a", "since": 60 })).await.unwrap();
    assert_eq!(got(&after, "a").await.unwrap()["password"], "geheim");
}

#[tokio::test]
async fn a_row_whose_key_is_another_column_by_now_is_sealed_anew() {
    let source: Arc<dyn DataSource> = Arc::new(Memory::new());
    let clear = Settings { columns: BTreeMap::new(), ..settings("partners") };
    put(&over(source.clone(), clear), Mode::Replace, json!({ "id": "a", "email": "x", "password": "geheim" }))
        .await
        .unwrap();
    let by_email = over(source, Settings { key: "email".into(), second_key: None, ..settings("partners") });
    assert_eq!(by_email.reencrypt("a", NOW).await, Ok(true));
    assert_eq!(got(&by_email, "a").await.unwrap()["password"], "geheim");
}

#[tokio::test]
async fn keys_by_themselves_and_by_number() {
    let numbers = Settings { auto_id: false, second_key: None, ..settings("numbers") };
    let columns = BTreeMap::from([("id".to_owned(), column(ColumnType::Integer))]);
    let numbers = over(Arc::new(Memory::new()), Settings { columns, ..numbers });
    put(&numbers, Mode::Replace, json!({ "id": 7 })).await.unwrap();
    assert_eq!(got(&numbers, "007").await, Some(json!({ "id": 7 })));
    assert_eq!(got(&numbers, "seven").await, None);
    let made = over(Arc::new(Memory::new()), Settings { auto_id: true, ..settings("made") });
    let written = put(&made, Mode::Replace, json!({ "limit": 1 })).await.unwrap();
    assert_eq!(written.key, "07070707-0707-4707-8707-070707070707");
    assert_eq!(got(&made, &written.key).await, Some(json!({ "id": written.key, "limit": 1 })));
    assert_eq!(put(&made, Mode::Insert, json!({ "id": "own" })).await.unwrap().key, "own");
}

#[tokio::test]
async fn stores_in_one_table_are_apart() {
    let source: Arc<dyn DataSource> = Arc::new(Memory::new());
    let (a, b) = (over(source.clone(), settings("a")), over(source, settings("a-b")));
    for (kps, limit) in [(&a, 1), (&b, 2)] {
        put(kps, Mode::Insert, json!({ "id": "x", "email": "e", "limit": limit })).await.unwrap();
        put(kps, Mode::Insert, json!({ "id": "y", "limit": limit })).await.unwrap();
    }
    let keys = |rows: Vec<Found>| rows.into_iter().map(|row| row.key).collect::<Vec<_>>();
    assert_eq!(keys(a.list(None, 10, NOW).await.unwrap()), ["x", "y"]);
    assert_eq!(keys(b.list(None, 1, NOW).await.unwrap()), ["x"]);
    assert_eq!(keys(b.list(Some("x"), 10, NOW).await.unwrap()), ["y"]);
    assert_eq!(a.get_second("e", NOW).await.unwrap().unwrap().columns["limit"], json!(1));
    assert_eq!(a.delete("x", NOW).await, Ok(true));
    assert!(b.get("x", NOW).await.unwrap().is_some());
}

#[tokio::test]
async fn sealed_columns_open_in_their_row_only() {
    let source: Arc<dyn DataSource> = Arc::new(Memory::new());
    let kps = over(source.clone(), settings("partners"));
    put(&kps, Mode::Replace, json!({ "id": "a", "password": "geheim" })).await.unwrap();
    let kept = kps.get_kept("a", NOW).await.unwrap().unwrap();
    let sealed = kept.columns["password"].clone();
    assert!(sealed.as_str().unwrap().starts_with("sealed:1:k:"), "{sealed}");
    assert_eq!(kps.list(None, 9, NOW).await.unwrap()[0].columns["password"], sealed);
    assert_eq!(got(&kps, "a").await, Some(json!({ "id": "a", "password": "geheim" })));
    // Given back as it was read: it stays what it is.
    put(&kps, Mode::Merge, json!({ "id": "a", "password": sealed, "limit": 1 })).await.unwrap();
    assert_eq!(got(&kps, "a").await, Some(json!({ "id": "a", "password": "geheim", "limit": 1 })));
    // In another row it is refused, and where somebody puts it there it does not open.
    let why = put(&kps, Mode::Replace, json!({ "id": "b", "password": sealed })).await.unwrap_err();
    assert!(matches!(&why, KpsError::Unfit(unfit) if unfit.column.as_deref() == Some("password")), "{why}");
    let moved = Kps::row(kps.settings(), columns(json!({ "id": "b", "password": sealed }))).unwrap();
    source.insert(&KPS, moved).await.unwrap();
    assert!(matches!(kps.get("b", NOW).await, Err(StoreError::Broken(_))));
    // In clear where it should be sealed: never taken for what it seems.
    let clear = Kps::row(kps.settings(), columns(json!({ "id": "c", "password": "clear" }))).unwrap();
    source.insert(&KPS, clear).await.unwrap();
    let why = kps.get("c", NOW).await.unwrap_err().to_string();
    assert!(why.contains("is not sealed") && !why.contains("clear`"), "{why}");
}

#[tokio::test]
async fn a_backup_is_restored_and_sealed_anew() {
    let kps = kps();
    put(&kps, Mode::Replace, json!({ "id": "a", "password": "geheim" })).await.unwrap();
    put(&kps, Mode::Replace, json!({ "id": "b" })).await.unwrap();
    let rows = kps.list(None, 10, NOW).await.unwrap();
    let keys = ["b", "a"].map(|digit| Key::parse(if digit == "a" { "k" } else { "new" }, &digit.repeat(64)).unwrap());
    let sealer = Arc::new(Sealer::new(&Encryption::Keys(keys.to_vec()), Path::new("nowhere")));
    let other = Kps::new(Arc::new(Memory::new()), kps.settings().clone(), sealer);
    for row in &rows {
        other.restore(row.clone(), NOW).await.unwrap();
    }
    assert_eq!(other.list(None, 10, NOW).await.unwrap(), rows);
    assert!(matches!(other.restore(rows[0].clone(), NOW).await, Err(KpsError::Taken(_))));
    assert_eq!(other.reencrypt("a", NOW).await, Ok(true));
    assert_eq!(other.reencrypt("a", NOW).await, Ok(false));
    assert_eq!(other.reencrypt("b", NOW).await, Ok(false));
    let sealed = other.get_kept("a", NOW).await.unwrap().unwrap().columns["password"].to_string();
    assert!(sealed.contains("sealed:1:new:"), "{sealed}");
    assert_eq!(got(&other, "a").await, Some(json!({ "id": "a", "password": "geheim" })));
}

#[tokio::test]
async fn what_is_only_read_refuses_writes() {
    let file = crate::sources::file::File::new(Path::new("rows.toml"), &Default::default());
    let kps = over(Arc::new(file), settings("partners"));
    for refused in [
        put(&kps, Mode::Replace, json!({ "id": "a" })).await.map(drop),
        kps.delete("a", NOW).await.map(drop),
        kps.reencrypt("a", NOW).await.map(drop),
    ] {
        assert!(matches!(refused, Err(KpsError::ReadOnly(_))), "{refused:?}");
    }
    assert_eq!(got(&kps, "a").await, None);
}

/// A table as a database may have had it for years: `{int}` and `{bool}` are its own words.
pub(crate) const OLD_TABLE: &str = "CREATE TABLE old_partners (PARTNER_ID VARCHAR(40) PRIMARY KEY, MAIL VARCHAR(80), MAX_CALLS INTEGER, \
     IS_ACTIVE {bool}, SINCE {time}, NUMBER BIGINT)";
pub(crate) const OLD_ROWS: &str = "INSERT INTO old_partners VALUES ('acme', 'a@acme.example', 10, {true}, '2026-01-31 12:00:00', 7), \
     ('beta', NULL, NULL, {false}, NULL, 8), ('twin', 'a@acme.example', 1, {true}, NULL, 8)";

/// What a store over that table finds; `folds`: whether the database gives names without quotes in lower case.
pub(crate) async fn reads_a_table_that_was_there(source: Arc<dyn DataSource>, folds: bool) {
    let of = |of, named: &str| {
        let named = if folds { named.to_lowercase() } else { named.to_owned() };
        Column { of, encrypted: false, named: Some(named) }
    };
    let columns = BTreeMap::from([
        ("id".to_owned(), of(ColumnType::Text, "PARTNER_ID")),
        ("email".to_owned(), of(ColumnType::Text, "MAIL")),
        ("limit".to_owned(), of(ColumnType::Integer, "MAX_CALLS")),
        ("active".to_owned(), of(ColumnType::Boolean, "IS_ACTIVE")),
        ("since".to_owned(), of(ColumnType::Time, "SINCE")),
        ("number".to_owned(), of(ColumnType::Integer, "NUMBER")),
    ]);
    let table = Some("old_partners".to_owned());
    let settings = Settings { columns, table, ..settings("old") };
    let kps = over(source.clone(), settings.clone());
    let row = json!({
        "id": "acme", "email": "a@acme.example", "limit": 10, "active": true, "since": "2026-01-31T12:00:00Z", "number": 7,
    });
    assert_eq!(got(&kps, "acme").await, Some(row));
    assert_eq!(got(&kps, "beta").await, Some(json!({ "id": "beta", "active": false, "number": 8 })));
    for none in ["nobody", "ACME", "acme ", "'; DROP TABLE old_partners"] {
        assert_eq!(got(&kps, none).await, None, "{none}");
    }
    let why = kps.get_second("a@acme.example", NOW).await.unwrap_err().to_string();
    assert!(why.contains("several rows of the table `old_partners`"), "{why}");
    let keys = |rows: Vec<Found>| rows.into_iter().map(|row| row.key).collect::<Vec<_>>();
    assert_eq!(keys(kps.list(None, 2, NOW).await.unwrap()), ["acme", "beta"]);
    assert_eq!(keys(kps.list(Some("beta"), 2, NOW).await.unwrap()), ["twin"]);
    let refused = put(&kps, Mode::Replace, json!({ "id": "acme" })).await.unwrap_err();
    assert!(matches!(&refused, KpsError::ReadOnly(why) if why.contains("old_partners")), "{refused}");
    // By a number, one row with it and two.
    let by_number = over(source.clone(), Settings { key: "number".into(), second_key: None, ..settings.clone() });
    assert_eq!(got(&by_number, "7").await.unwrap()["id"], "acme");
    assert!(by_number.get("8", NOW).await.is_err());
    // A table or a column that is not there, and a column of another type.
    let wrong = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings.clone();
        change(&mut settings);
        over(source.clone(), settings)
    };
    let nowhere = wrong(&|settings| settings.table = Some("no_such_table".into()));
    let column = wrong(&|settings| settings.columns.get_mut("limit").unwrap().named = Some("NO_SUCH".into()));
    let of_type = wrong(&|settings| settings.columns.get_mut("email").unwrap().of = ColumnType::Integer);
    for (kps, told) in [(nowhere, "no_such_table"), (column, "NO_SUCH"), (of_type, "column `email`")] {
        let why = kps.get("acme", NOW).await.unwrap_err();
        assert!(
            matches!(&why, StoreError::Broken(why) if why.contains("kps.old") && why.contains(told)),
            "{told}: {why}"
        );
    }
}

#[tokio::test]
async fn a_table_of_a_sqlite_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let settings = crate::sources::sqlite::Settings::at(&path);
    let source = Arc::new(crate::sources::sqlite::Sqlite::new("x", &settings, folder.path()));
    source.prepare().await.unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    for sql in [OLD_TABLE, OLD_ROWS] {
        let sql =
            sql.replace("{bool}", "INTEGER").replace("{time}", "TEXT").replace("{true}", "1").replace("{false}", "0");
        connection.execute(&sql, []).unwrap();
    }
    reads_a_table_that_was_there(source, false).await;
}

/// What is nested deeper some reader would refuse: of the source, of a backup, of an export.
#[tokio::test]
async fn a_value_is_nested_no_deeper_than_readers_take() {
    let kps = kps();
    let nested = |depth: usize| -> Json { serde_json::from_str(&("[".repeat(depth) + &"]".repeat(depth))).unwrap() };
    let settings = Settings { columns: BTreeMap::new(), second_key: None, ..(**kps.settings()).clone() };
    let any = Kps::new(Arc::new(Memory::new()), Arc::new(settings), kps.sealer.clone());
    put(&any, Mode::Replace, json!({ "id": "a", "list": nested(32) })).await.unwrap();
    let why = put(&any, Mode::Replace, json!({ "id": "b", "list": nested(33) })).await.unwrap_err().to_string();
    assert!(why.contains("nested more than 32 deep"), "{why}");
    assert_eq!(any.list(None, 9, NOW).await.unwrap().len(), 1);
}
