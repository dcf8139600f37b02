//! Rows of key property stores in a file that people write: `[[kps.NAME]]`, a table a row.

use std::collections::BTreeMap;
use std::sync::Arc;

use policy::Diagnostics;
use policy::diagnostic::{Place, Problem, SourceFile, codes};
use policy::reader::{Keys, Node, Table, did_you_mean};
use store::Kps;
use store::kps::{Settings, Unfit};
use store::source::{Row, Table as Rows};
use store::tables::KPS;

/// Reads all rows; what does not fit is told at its column.
pub(super) fn read<'a>(
    keys: &mut Keys<'a>,
    file: &Arc<SourceFile>,
    stores: &[&Settings],
    diagnostics: &mut Diagnostics,
) -> Vec<(&'static Rows, Row)> {
    let mut rows = Vec::new();
    let Some(named) = keys.table("kps") else { return rows };
    for entry in &named.value.entries {
        let Some(settings) = stores.iter().find(|settings| settings.name == entry.name) else {
            keys.push(unknown(&entry.name, stores).at(keys.place_of(entry.name_span)));
            continue;
        };
        let Some(tables) = keys.expect(&entry.value, "a list of rows, `[[kps.NAME]]`", Node::as_list) else { continue };
        let mut seen = Seen::default();
        for node in tables.value {
            let Some(table) = keys.expect(node, "a row", Node::as_table) else { continue };
            match row(settings, file, table.value) {
                Ok(row) => match seen.check(settings, file, table.value, &row) {
                    Ok(()) => rows.push((&KPS, row)),
                    Err(problems) => diagnostics.extend(problems),
                },
                Err(problems) => diagnostics.extend(problems),
            }
        }
    }
    rows
}

fn unknown(name: &str, stores: &[&Settings]) -> Problem {
    let problem = Problem::error(codes::STORE, format!("there is no key property store `{name}` in this data source"));
    match did_you_mean(name, stores.iter().map(|settings| settings.name.as_str())) {
        Some(near) => problem.with_help(format!("did you mean `{near}`?")),
        None => problem.with_help(format!("declare `[kps.{name}]` in stores/stores.toml, with this source")),
    }
}

fn row(settings: &Settings, file: &Arc<SourceFile>, table: &Table) -> Result<Row, Diagnostics> {
    Kps::row(settings, table.to_json()).map_err(|why| does_not_fit(settings, file, table, why))
}

fn does_not_fit(settings: &Settings, file: &Arc<SourceFile>, table: &Table, why: Unfit) -> Diagnostics {
    let entry = why.column.as_ref().and_then(|column| table.entry(column));
    let span = entry.map_or(table.span, |entry| entry.value.span);
    let problem = Problem::error(codes::BAD_VALUE, why.to_string());
    let help = format!("see `[kps.{}]` in stores/stores.toml", settings.name);
    problem.with_help(help).at(Place { file: file.clone(), span }).into()
}

/// The keys and second keys of the rows before, with their places.
#[derive(Default)]
struct Seen(BTreeMap<Vec<u8>, Place>);

impl Seen {
    /// No two rows of a store have one key, or one second key.
    fn check(
        &mut self,
        settings: &Settings,
        file: &Arc<SourceFile>,
        table: &Table,
        row: &Row,
    ) -> Result<(), Diagnostics> {
        let second = row.indexes.get(1).cloned().flatten().map(String::into_bytes);
        let second = settings.second_key.as_ref().zip(second);
        for (column, key) in [(&settings.key, row.key.clone())].into_iter().chain(second) {
            let span = table.entry(column).map_or(table.span, |entry| entry.value.span);
            let place = Place { file: file.clone(), span };
            if let Some(first) = self.0.insert(key, place.clone()) {
                let problem =
                    Problem::error(codes::BAD_VALUE, format!("two rows of `kps.{}` have this key", settings.name));
                let problem = problem.with_help("take one of them away, or give it another key").at(place);
                return Err(problem.with_related(first, "the first").into());
            }
        }
        Ok(())
    }
}
