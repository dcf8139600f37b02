//! Dialects broken on purpose in every word of their own: on each database the suite finds each, by exactly the cases that are about it.

use super::*;
use crate::conformance::failures;
use crate::sources::odbc::dialect::Take;

/// What is the same on all: a sweep takes the boundary and has no bound, nor has a removal, and pages have no end.
fn broken(name: Name) -> Dialect {
    Dialect {
        sweep: "DELETE FROM {table} WHERE expires_at <= :before",
        remove: "DELETE FROM {table} WHERE {index} = :value",
        first: "",
        ..name.dialect().clone()
    }
}

/// The cases that find it, in their order.
const PAGES_REMOVALS_SWEEPS: [&str; 5] = [
    "a_find_is_ordered_and_goes_on_after_a_key",
    "a_list_is_ordered_and_goes_on_after_a_key",
    "a_remove_takes_what_matches_up_to_the_limit",
    "a_sweep_takes_what_has_expired",
    "a_sweep_takes_no_more_than_its_limit",
];

/// Runs the suite, and compares which cases fail.
async fn fails(name: Name, dialect: Dialect, expected: &[&str]) {
    let dialect: &'static Dialect = Box::leak(Box::new(dialect));
    let make = || async move {
        let scratch = Scratch::new(name);
        let source = scratch.with(dialect);
        source.prepare().await.unwrap();
        Fresh::keeping(Arc::new(source), scratch)
    };
    let failed = failures(make).await;
    let mut names: Vec<&str> = failed.iter().map(|(name, _)| *name).collect();
    let mut expected = [&PAGES_REMOVALS_SWEEPS, expected].concat();
    names.sort();
    expected.sort();
    assert_eq!(names, expected, "{name:?}: {failed:#?}");
}

/// An insert overwrites, a take keeps the row.
#[tokio::test(flavor = "multi_thread")]
async fn on_postgres() {
    let dialect = Dialect {
        or_nothing: " ON CONFLICT (key) DO UPDATE SET version = excluded.version, record = excluded.record",
        take: Take::Returning("SELECT {columns} FROM {table} WHERE key = :key"),
        ..broken(Name::Postgres)
    };
    let expected = [
        "a_second_insert_changes_nothing",
        "one_of_fifty_inserts_wins",
        "a_refusal_leaves_its_neighbours_alone",
        "keys_are_bytes",
        "a_take_gives_the_row_and_deletes_it",
        "an_answered_write_is_seen",
        "one_of_fifty_takes_wins",
    ];
    fails(Name::Postgres, dialect, &expected).await;
}

/// An insert overwrites, and counts two rows, so that who overwrites is told that it lost; a take reads without a lock.
#[tokio::test(flavor = "multi_thread")]
async fn on_mysql() {
    let dialect = Dialect {
        or_nothing: " ON DUPLICATE KEY UPDATE version = VALUES(version), record = VALUES(record)",
        take: Take::Locked { claim: None, read: "SELECT {columns} FROM {table} WHERE {key} = :key" },
        ..broken(Name::Mysql)
    };
    let expected = ["a_second_insert_changes_nothing", "one_of_fifty_inserts_wins", "one_of_fifty_takes_wins"];
    fails(Name::Mysql, dialect, &expected).await;
}

/// An insert overwrites, a take reads without a lock.
#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite() {
    let dialect = Dialect {
        or_nothing: " ON CONFLICT (key) DO UPDATE SET version = excluded.version, record = excluded.record",
        take: Take::Locked { claim: None, read: "SELECT {columns} FROM {table} WHERE {key} = :key" },
        ..broken(Name::Sqlite)
    };
    let expected = [
        "a_second_insert_changes_nothing",
        "one_of_fifty_inserts_wins",
        "a_refusal_leaves_its_neighbours_alone",
        "one_of_fifty_takes_wins",
    ];
    fails(Name::Sqlite, dialect, &expected).await;
}
