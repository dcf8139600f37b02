//! Dialects broken on purpose, a word each: on each database the suite finds them, by exactly the cases that are about it.

use super::*;
use crate::conformance::failures;
use crate::sources::odbc::dialect::Take;

/// What is broken, the dialect made so, and the cases that must fail.
type Fault = (&'static str, Dialect, &'static [&'static str]);

const SWEEP_BOUND: &[&str] = &["a_sweep_takes_no_more_than_its_limit"];
const REMOVE_BOUND: &[&str] = &["a_remove_takes_what_matches_up_to_the_limit"];
const PAGES: &[&str] = &["a_find_is_ordered_and_goes_on_after_a_key", "a_list_is_ordered_and_goes_on_after_a_key"];
const INSERTS: &[&str] =
    &["a_second_insert_changes_nothing", "one_of_fifty_inserts_wins", "a_refusal_leaves_its_neighbours_alone"];

/// What is the same on all.
fn common(sound: &Dialect) -> Vec<Fault> {
    vec![
        (
            "a sweep takes the boundary",
            Dialect { sweep: "DELETE FROM {table} WHERE expires_at <= :before", ..sound.clone() },
            &["a_sweep_takes_what_has_expired", "a_sweep_takes_no_more_than_its_limit"],
        ),
        (
            "a sweep has no bound",
            Dialect { sweep: "DELETE FROM {table} WHERE expires_at < :before", ..sound.clone() },
            SWEEP_BOUND,
        ),
        (
            "a removal has no bound",
            Dialect { remove: "DELETE FROM {table} WHERE {index} = :value", ..sound.clone() },
            REMOVE_BOUND,
        ),
    ]
}

/// Runs the suite on each, and says where other cases fail than expected.
async fn found(name: Name, faults: Vec<Fault>) {
    for (what, dialect, expected) in faults {
        let dialect: &'static Dialect = Box::leak(Box::new(dialect));
        let make = || async move {
            let scratch = Scratch::new(name);
            let source = scratch.with(dialect);
            source.prepare().await.unwrap();
            Fresh::keeping(Arc::new(source), scratch)
        };
        let failed = failures(make).await;
        let names: Vec<&str> = failed.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, expected, "{name:?}, {what}: {failed:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres() {
    let sound = Name::Postgres.dialect();
    let mut faults = common(sound);
    faults.push(("pages have no end", Dialect { first: "", ..sound.clone() }, PAGES));
    let overwrite = " ON CONFLICT (key) DO UPDATE SET version = excluded.version, record = excluded.record";
    faults.push(("an insert overwrites", Dialect { or_nothing: overwrite, ..sound.clone() }, INSERTS));
    let keeps = Take::Returning("SELECT {columns} FROM {table} WHERE key = :key");
    let cases: &[&str] = &[
        "keys_are_bytes",
        "a_take_gives_the_row_and_deletes_it",
        "an_answered_write_is_seen",
        "one_of_fifty_takes_wins",
    ];
    faults.push(("a take keeps the row", Dialect { take: keeps, ..sound.clone() }, cases));
    found(Name::Postgres, faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_mysql() {
    let sound = Name::Mysql.dialect();
    let mut faults = common(sound);
    faults.push(("pages have no end", Dialect { first: "", ..sound.clone() }, PAGES));
    // It counts two rows, so that who overwrites is told that it lost.
    let overwrite = " ON DUPLICATE KEY UPDATE version = VALUES(version), record = VALUES(record)";
    faults.push(("an insert overwrites", Dialect { or_nothing: overwrite, ..sound.clone() }, &INSERTS[..2]));
    let unlocked = Take::Locked { claim: None, read: "SELECT {columns} FROM {table} WHERE {key} = :key" };
    faults.push((
        "a take reads without a lock",
        Dialect { take: unlocked, ..sound.clone() },
        &["one_of_fifty_takes_wins"],
    ));
    found(Name::Mysql, faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite() {
    let sound = Name::Sqlite.dialect();
    let mut faults = common(sound);
    // Its bounded deletes are bounded by the same words.
    const ALL: &[&str] = &[PAGES[0], PAGES[1], REMOVE_BOUND[0], SWEEP_BOUND[0]];
    faults.push(("pages have no end", Dialect { first: "", ..sound.clone() }, ALL));
    let overwrite = " ON CONFLICT (key) DO UPDATE SET version = excluded.version, record = excluded.record";
    faults.push(("an insert overwrites", Dialect { or_nothing: overwrite, ..sound.clone() }, INSERTS));
    let unlocked = Take::Locked { claim: None, read: "SELECT {columns} FROM {table} WHERE {key} = :key" };
    faults.push((
        "a take reads without a lock",
        Dialect { take: unlocked, ..sound.clone() },
        &["one_of_fifty_takes_wins"],
    ));
    found(Name::Sqlite, faults).await;
}
