//! What stores hold at the end, compared with what is expected.

use serde_json::{Map, Value as Json};

use super::Run;
use super::compare::{same, short};
use crate::diagnostic::{Diagnostics, Problem, codes};
use crate::testing::file::ExpectedRecords;
use crate::testing::model::Step;

/// What is otherwise about what stores hold. An error is a mistake in the test: a store that is not there.
pub(super) async fn compare(run: &Run<'_>, step: &Step, differences: &mut Vec<String>) -> Result<(), Diagnostics> {
    for (name, expected) in &step.expect.stores {
        let store = &name.value;
        let records = run.world.records(store).await.map_err(|why| {
            let help = "the stores of the node, by their names: `access-token`, `clients`";
            Problem::error(codes::BAD_TEST, why).with_help(help).at(step.place.with_span(name.span))
        })?;
        match expected {
            ExpectedRecords::Count(count) if *count == records.len() as u64 => {}
            ExpectedRecords::Count(count) => differences.push(counted(store, records.len(), *count)),
            ExpectedRecords::Records(expected) => {
                let expected: Vec<Map<String, Json>> = expected.iter().map(|record| filled(run, record)).collect();
                compare_records(store, &records, &expected, differences);
            }
        }
    }
    Ok(())
}

fn filled(run: &Run<'_>, record: &Map<String, Json>) -> Map<String, Json> {
    record.iter().map(|(name, value)| (name.clone(), run.kept.json(value))).collect()
}

fn counted(store: &str, found: usize, expected: u64) -> String {
    let records = if found == 1 { "record" } else { "records" };
    format!("the store `{store}` holds {found} {records}, expected {expected}")
}

/// Each expected record is one that is there; none is left over.
fn compare_records(
    store: &str,
    records: &[Map<String, Json>],
    expected: &[Map<String, Json>],
    differences: &mut Vec<String>,
) {
    if records.len() != expected.len() {
        differences.push(counted(store, records.len(), expected.len() as u64));
    }
    let mut left: Vec<&Map<String, Json>> = records.iter().collect();
    for wanted in expected {
        match left.iter().position(|record| has(record, wanted)) {
            Some(found) => drop(left.remove(found)),
            None => {
                let there: Vec<String> = left.iter().map(|record| shown(record, wanted)).collect();
                let there = if there.is_empty() { "nothing else".to_owned() } else { there.join(" and ") };
                let wanted = Json::Object(wanted.clone()).to_string();
                differences.push(format!(
                    "the store `{store}` has no record {}, but {}",
                    short(&wanted),
                    short(&there)
                ));
            }
        }
    }
}

fn has(record: &Map<String, Json>, wanted: &Map<String, Json>) -> bool {
    wanted.iter().all(|(name, value)| record.get(name).is_some_and(|found| same(found, value)))
}

/// The fields of a record that somebody asked for.
fn shown(record: &Map<String, Json>, wanted: &Map<String, Json>) -> String {
    let fields = wanted.keys().map(|name| (name.clone(), record.get(name).cloned().unwrap_or(Json::Null)));
    Json::Object(fields.collect()).to_string()
}
