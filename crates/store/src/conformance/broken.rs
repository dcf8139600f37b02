//! Sources broken on purpose: each must fail exactly the cases named here, which shows that the suite can fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::{Fresh, failures};
use crate::source::{Capabilities, DataSource, Health, Row, Table, Verb};
use crate::sources::memory::Memory;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// A get and a delete, with a gap between.
    TakeNotAtomic,
    TakeKeepsTheRow,
    InsertNotAtomic,
    InsertOverwrites,
    ReplaceIgnoresTheVersion,
    /// A get and a write, with a gap between.
    ReplaceNotAtomic,
    ReplaceInserts,
    ReplaceKeepsTheVersion,
    ReplaceForgetsTheIndexes,
    FindForgetsAnIndex,
    FindMixesIndexes,
    /// As a collation does that does not tell upper from lower case, and pads.
    FindHasACollation,
    FindIgnoresAfter,
    FindIgnoresTheLimit,
    ListIsUnordered,
    RemoveIgnoresTheLimit,
    SweepIgnoresTheLimit,
    SweepTakesTheBoundary,
    SweepTakesWhatNeverExpires,
    GetLagsBehind,
    TextIsAscii,
    KeysAreText,
    WritesThoughReadOnly,
}

type Seen = BTreeMap<(&'static str, Vec<u8>), Option<Row>>;

struct Broken {
    fault: Fault,
    memory: Memory,
    /// What a lagging reader still sees: a row as it was when it was read last.
    seen: Mutex<Seen>,
}

impl Broken {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// Writes the row whatever is there.
    async fn overwrite(&self, table: &'static Table, row: Row) -> bool {
        let _ = self.memory.take(table, &row.key).await;
        self.memory.insert(table, row).await.unwrap()
    }
}

/// Lets the others run.
async fn gap() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

impl DataSource for Broken {
    fn capabilities(&self) -> Capabilities {
        Capabilities { read_only: self.is(Fault::WritesThoughReadOnly), ..self.memory.capabilities() }
    }

    fn prepare(&self) -> Verb<'_, ()> {
        self.memory.prepare()
    }

    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move {
            let row = self.memory.get(table, key).await?;
            if !self.is(Fault::GetLagsBehind) {
                return Ok(row);
            }
            Ok(self.seen.lock().unwrap().insert((table.name, key.to_vec()), row.clone()).unwrap_or(row))
        })
    }

    fn insert(&self, table: &'static Table, mut row: Row) -> Verb<'_, bool> {
        Box::pin(async move {
            match self.fault {
                Fault::TextIsAscii => row.record.retain(|c| c.is_ascii()),
                Fault::KeysAreText => row.key = String::from_utf8_lossy(&row.key).into_owned().into_bytes(),
                Fault::InsertOverwrites if crate::tables::position(table).is_some() => {
                    return Ok(self.overwrite(table, row).await);
                }
                Fault::InsertNotAtomic => {
                    let exists = self.memory.get(table, &row.key).await?.is_some();
                    gap().await;
                    return Ok(!exists && self.overwrite(table, row).await);
                }
                _ => {}
            }
            self.memory.insert(table, row).await
        })
    }

    fn replace(&self, table: &'static Table, mut row: Row, expected: i64) -> Verb<'_, bool> {
        Box::pin(async move {
            let found = self.memory.get(table, &row.key).await?;
            match (self.fault, &found) {
                (Fault::ReplaceInserts, None) => return self.memory.insert(table, row).await,
                (Fault::ReplaceForgetsTheIndexes, Some(found)) => row.indexes = found.indexes.clone(),
                (Fault::ReplaceIgnoresTheVersion, Some(found)) => {
                    let version = found.version;
                    return self.memory.replace(table, row, version).await;
                }
                (Fault::ReplaceKeepsTheVersion, Some(found)) if found.version == expected => {
                    let row = Row { version: expected, ..row };
                    return Ok(self.overwrite(table, row).await);
                }
                (Fault::ReplaceNotAtomic, Some(found)) => {
                    let same = found.version == expected;
                    gap().await;
                    let row = Row { version: expected + 1, ..row };
                    return Ok(same && self.overwrite(table, row).await);
                }
                _ => {}
            }
            self.memory.replace(table, row, expected).await
        })
    }

    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move {
            match self.fault {
                Fault::TakeKeepsTheRow => self.memory.get(table, key).await,
                Fault::TakeNotAtomic => {
                    let row = self.memory.get(table, key).await?;
                    gap().await;
                    self.memory.take(table, key).await?;
                    Ok(row)
                }
                _ => self.memory.take(table, key).await,
            }
        })
    }

    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        Box::pin(async move {
            match self.fault {
                Fault::FindForgetsAnIndex if index == 2 => return Ok(Vec::new()),
                Fault::FindMixesIndexes if index < table.indexes.len() => {
                    let mut rows = self.memory.list(table, after, usize::MAX).await?;
                    rows.retain(|row| row.indexes.iter().flatten().any(|found| found == value));
                    rows.truncate(limit);
                    return Ok(rows);
                }
                Fault::FindHasACollation if index < table.indexes.len() => {
                    let same =
                        |found: &String| found.trim_end_matches(' ').eq_ignore_ascii_case(value.trim_end_matches(' '));
                    let mut rows = self.memory.list(table, after, usize::MAX).await?;
                    rows.retain(|row| row.indexes[index].as_ref().is_some_and(same));
                    rows.truncate(limit);
                    return Ok(rows);
                }
                _ => {}
            }
            let after = after.filter(|_| !self.is(Fault::FindIgnoresAfter));
            let limit = if self.is(Fault::FindIgnoresTheLimit) { usize::MAX } else { limit };
            self.memory.find(table, index, value, after, limit).await
        })
    }

    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        Box::pin(async move {
            let mut rows = self.memory.list(table, after, limit).await?;
            if self.is(Fault::ListIsUnordered) {
                rows.reverse();
            }
            Ok(rows)
        })
    }

    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        let limit = if self.is(Fault::RemoveIgnoresTheLimit) { usize::MAX } else { limit };
        self.memory.remove(table, index, value, limit)
    }

    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        Box::pin(async move {
            let limit = if self.is(Fault::SweepIgnoresTheLimit) { usize::MAX } else { limit };
            let before = if self.is(Fault::SweepTakesTheBoundary) { before.saturating_add(1) } else { before };
            let mut swept = self.memory.sweep(table, before, limit).await?;
            if self.is(Fault::SweepTakesWhatNeverExpires) && limit > 0 {
                for row in self.memory.list(table, None, usize::MAX).await? {
                    if row.expires_at.is_none() {
                        self.memory.take(table, &row.key).await?;
                        swept += 1;
                    }
                }
            }
            Ok(swept)
        })
    }

    fn health(&self) -> Verb<'_, Health> {
        self.memory.health()
    }
}

#[tokio::test]
async fn each_fault_fails_exactly_the_cases_that_are_about_it() {
    let expectations: &[(Fault, &[&str])] = &[
        (Fault::TakeNotAtomic, &["one_of_fifty_takes_wins"]),
        (
            Fault::TakeKeepsTheRow,
            &[
                "keys_are_bytes",
                "a_take_gives_the_row_and_deletes_it",
                "an_answered_write_is_seen",
                "one_of_fifty_takes_wins",
            ],
        ),
        (Fault::InsertNotAtomic, &["one_of_fifty_inserts_wins"]),
        (
            Fault::InsertOverwrites,
            &["a_second_insert_changes_nothing", "one_of_fifty_inserts_wins", "a_refusal_leaves_its_neighbours_alone"],
        ),
        (Fault::ReplaceIgnoresTheVersion, &["a_replace_compares_the_version", "one_of_fifty_replaces_wins"]),
        (Fault::ReplaceNotAtomic, &["one_of_fifty_replaces_wins", "no_update_is_lost"]),
        (Fault::ReplaceInserts, &["a_replace_of_an_absent_key_changes_nothing"]),
        (
            Fault::ReplaceKeepsTheVersion,
            &[
                "a_replace_compares_the_version",
                "an_answered_write_is_seen",
                "one_of_fifty_replaces_wins",
                "no_update_is_lost",
            ],
        ),
        (Fault::ReplaceForgetsTheIndexes, &["a_replace_compares_the_version", "a_replace_moves_the_index_entries"]),
        (Fault::FindForgetsAnIndex, &["a_find_looks_at_one_index"]),
        (Fault::FindMixesIndexes, &["a_find_looks_at_one_index"]),
        (Fault::FindHasACollation, &["index_values_are_compared_by_their_bytes"]),
        (Fault::FindIgnoresAfter, &["a_find_is_ordered_and_goes_on_after_a_key"]),
        (Fault::FindIgnoresTheLimit, &["a_find_is_ordered_and_goes_on_after_a_key", "a_limit_of_zero_does_nothing"]),
        (
            Fault::ListIsUnordered,
            &[
                "keys_are_bytes",
                "a_list_is_ordered_and_goes_on_after_a_key",
                "a_remove_takes_what_matches_up_to_the_limit",
                "a_sweep_takes_what_has_expired",
            ],
        ),
        (
            Fault::RemoveIgnoresTheLimit,
            &["a_remove_takes_what_matches_up_to_the_limit", "a_limit_of_zero_does_nothing"],
        ),
        (Fault::SweepIgnoresTheLimit, &["a_sweep_takes_no_more_than_its_limit", "a_limit_of_zero_does_nothing"]),
        (Fault::SweepTakesTheBoundary, &["a_sweep_takes_what_has_expired"]),
        (Fault::SweepTakesWhatNeverExpires, &["a_sweep_takes_what_has_expired"]),
        (
            Fault::GetLagsBehind,
            &[
                "a_replace_compares_the_version",
                "an_answered_write_is_seen",
                "one_of_fifty_replaces_wins",
                "no_update_is_lost",
            ],
        ),
        (Fault::TextIsAscii, &["text_is_unicode", "a_record_of_a_mebibyte_fits"]),
        (Fault::KeysAreText, &["keys_are_bytes"]),
    ];
    let mut wrong = Vec::new();
    for (fault, expected) in expectations {
        let make =
            || async { Fresh::new(Arc::new(Broken { fault: *fault, memory: Memory::new(), seen: Mutex::default() })) };
        let failed = failures(make).await;
        let names: Vec<&str> = failed.iter().map(|(name, _)| *name).collect();
        if names != *expected {
            wrong.push(format!("{fault:?} fails {failed:#?}, expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_read_only_source_that_writes_fails() {
    let pretends = |rows: Vec<(&'static Table, Row)>| -> Arc<dyn DataSource> {
        let memory = Memory::holding(&rows);
        Arc::new(Broken { fault: Fault::WritesThoughReadOnly, memory, seen: Mutex::default() })
    };
    let found = super::cases::every_write_is_refused(pretends).await.unwrap_err();
    assert!(found.starts_with("insert is refused (Ok(()))"), "{found}");
}
