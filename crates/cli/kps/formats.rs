//! Rows as files: JSON (a list of objects), TOML (`[[kps.NAME]]`, as a data source `file` has them) and CSV (a header, a line a
//! row; an empty cell is a column without a value).

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::path::Path;
use std::sync::Arc;

use policy::diagnostic::{SourceFile, render};
use policy::reader::{Table, parse};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value as Json;
use store::kps::Columns;

use crate::args::RowFormat;
use crate::output::Failure;

/// The format of a file, by its name where nobody says it.
pub(crate) fn format_of(given: Option<RowFormat>, file: &Path) -> Result<RowFormat, Failure> {
    let by_name = match file.extension().and_then(|end| end.to_str()) {
        Some("json") => Some(RowFormat::Json),
        Some("toml") => Some(RowFormat::Toml),
        Some("csv") => Some(RowFormat::Csv),
        _ => None,
    };
    given.or(by_name).ok_or_else(|| {
        let message = format!("the name `{}` does not say which format it has", file.display());
        Failure::usage(message).with_help("--format json, toml or csv")
    })
}

/// The rows in a text.
pub(super) fn read(store: &str, format: RowFormat, name: &str, text: &str) -> Result<Vec<Columns>, Failure> {
    match format {
        RowFormat::Json => match serde_json::from_str::<Vec<JsonRow>>(text) {
            Ok(rows) => Ok(rows.into_iter().map(|JsonRow(columns)| columns).collect()),
            Err(why) => Err(Failure::usage(format!("`{name}` is no list of rows: {why}"))
                .with_help("[{ \"id\": \"acme\", \"limit\": 10 }]")),
        },
        RowFormat::Toml => from_toml(store, name, text),
        RowFormat::Csv => from_csv(name, text),
    }
}

/// A row of which no column is said twice: serde_json would take the last without a word.
struct JsonRow(Columns);

impl<'de> Deserialize<'de> for JsonRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(JsonRowVisitor)
    }
}

struct JsonRowVisitor;

impl<'de> Visitor<'de> for JsonRowVisitor {
    type Value = JsonRow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row, which is an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<JsonRow, A::Error> {
        let mut columns = Columns::new();
        while let Some((name, value)) = members.next_entry::<String, Json>()? {
            if columns.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the column `{name}` is there twice")));
            }
            columns.insert(name, value);
        }
        Ok(JsonRow(columns))
    }
}

/// The text of rows.
pub(super) fn write(store: &str, format: RowFormat, rows: &[Columns]) -> Result<String, Failure> {
    match format {
        RowFormat::Json => serde_json::to_string_pretty(rows)
            .map(|text| text + "\n")
            .map_err(|why| Failure::wrong(format!("the rows cannot be written: {why}"))),
        RowFormat::Toml => to_toml(&format!("kps.{store}"), rows),
        RowFormat::Csv => to_csv(rows),
    }
}

fn from_toml(store: &str, name: &str, text: &str) -> Result<Vec<Columns>, Failure> {
    let document = parse(&Arc::new(SourceFile::new(name, text)));
    let document = document.map_err(|problems| Failure::usage(render(&problems, false)))?;
    let rows = document.root.get("kps").and_then(|stores| stores.as_table()?.get(store)?.as_list());
    let rows = rows.and_then(|rows| rows.iter().map(|row| row.as_table().map(Table::to_json)).collect());
    rows.ok_or_else(|| {
        Failure::usage(format!("`{name}` has no rows of `{store}`"))
            .with_help(format!("`[[kps.{store}]]` begins a row"))
    })
}

/// `[[HEADER]]`, a table an entry.
pub(crate) fn to_toml(header: &str, rows: &[Columns]) -> Result<String, Failure> {
    let mut text = String::new();
    for row in rows {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "[[{header}]]");
        for (name, value) in row {
            let value = toml_value(value).ok_or_else(|| {
                Failure::wrong(format!("column `{name}`: TOML has no null")).with_help("--format json")
            })?;
            let _ = writeln!(text, "{} = {value}", toml_key(name));
        }
    }
    Ok(text)
}

fn toml_key(name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if plain { name.to_owned() } else { toml_text(name) }
}

/// A text in JSON is one in TOML too, but for one character.
fn toml_text(text: &str) -> String {
    Json::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn toml_value(value: &Json) -> Option<String> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(value) => value.to_string(),
        // A whole number has 64 bits with a sign there; what is larger is a number all the same.
        Json::Number(number) if number.is_u64() && !number.is_i64() => format!("{number}.0"),
        // TOML asks for a dot or an exponent in what is no whole number, and both stand in JSON's.
        Json::Number(number) => number.to_string(),
        Json::String(text) => toml_text(text),
        Json::Array(items) => format!("[{}]", items.iter().map(toml_value).collect::<Option<Vec<_>>>()?.join(", ")),
        Json::Object(members) => {
            let member = |(name, value): (&String, &Json)| Some(format!("{} = {}", toml_key(name), toml_value(value)?));
            let members = members.iter().map(member).collect::<Option<Vec<_>>>()?;
            if members.is_empty() { String::from("{}") } else { format!("{{ {} }}", members.join(", ")) }
        }
    })
}

fn from_csv(name: &str, text: &str) -> Result<Vec<Columns>, Failure> {
    let wrong = |why: csv::Error| Failure::usage(format!("`{name}` is no CSV: {why}"));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(wrong)?.clone();
    let mut names = BTreeSet::new();
    if let Some(twice) = header.iter().find(|column| !names.insert(*column)) {
        return Err(Failure::usage(format!("`{name}` has two columns `{twice}`")).with_help("take one of them out"));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let cells = header.iter().zip(&record).filter(|(_, cell)| !cell.is_empty());
        rows.push(cells.map(|(name, cell)| (name.to_owned(), Json::from(cell))).collect());
    }
    Ok(rows)
}

fn to_csv(rows: &[Columns]) -> Result<String, Failure> {
    let names: BTreeSet<&String> = rows.iter().flat_map(Columns::keys).collect();
    let wrong = |why: &dyn std::fmt::Display| Failure::wrong(format!("the rows cannot be written: {why}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    if !names.is_empty() {
        writer.write_record(&names).map_err(|why| wrong(&why))?;
    }
    for row in rows {
        let cell = |name: &&String| match row.get(*name) {
            None => String::new(),
            Some(Json::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        writer.write_record(names.iter().map(cell)).map_err(|why| wrong(&why))?;
    }
    let bytes = writer.into_inner().map_err(|why| wrong(&why))?;
    String::from_utf8(bytes).map_err(|why| wrong(&why))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(json: Json) -> Vec<Columns> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let given = rows(json!([
            { "id": "a", "limit": 10, "share": 0.5, "big": 1e30, "on": true, "list": [1, "x"], "table": { "a b": { "c": 1 }, "e": {} } },
            { "id": "b \"quoted\"\n\u{7f}\t\\ ü", "two words": "x" },
            { "id": "c" },
        ]));
        for format in [RowFormat::Json, RowFormat::Toml] {
            let text = write("partners", format, &given).unwrap();
            assert_eq!(read("partners", format, "rows", &text).unwrap(), given, "{text}");
        }
        // CSV has text only: the types of the columns make of it what they are.
        let text = write("partners", RowFormat::Csv, &given).unwrap();
        let again = read("partners", RowFormat::Csv, "rows", &text).unwrap();
        assert_eq!(again[1], given[1]);
        assert_eq!((&again[0]["limit"], &again[0]["list"]), (&json!("10"), &json!("[1,\"x\"]")));
        assert_eq!(again[2].len(), 1, "an empty cell is no value");
    }

    #[test]
    fn a_number_that_is_no_whole_one_in_toml_is_read_again() {
        let given = rows(json!([{ "id": "a", "share": u64::MAX }]));
        let text = write("partners", RowFormat::Toml, &given).unwrap();
        assert_eq!(read("partners", RowFormat::Toml, "rows", &text).unwrap()[0]["share"], json!(u64::MAX as f64));
    }

    #[test]
    fn a_date_in_toml_is_the_text_that_it_is() {
        let rows_of = |text: &str| read("partners", RowFormat::Toml, "rows", text).unwrap();
        let text = "[[kps.partners]]\nid = \"a\"\nsince = 2026-01-31T12:00:00Z\n";
        assert_eq!(rows_of(text), rows(json!([{ "id": "a", "since": "2026-01-31T12:00:00Z" }])));
    }

    #[test]
    fn what_is_no_list_of_rows_is_refused() {
        for (format, text) in [
            (RowFormat::Json, "{}"),
            (RowFormat::Json, "[1]"),
            (RowFormat::Json, r#"[{ "id": "a", "limit": 1, "limit": 2 }]"#),
            (RowFormat::Toml, "[[kps.others]]\nid = \"a\""),
            (RowFormat::Toml, "id = "),
            (RowFormat::Toml, "[kps]\npartners = [1]"),
            (RowFormat::Csv, "id,limit\na\n"),
            (RowFormat::Csv, "id,id\na,b\n"),
        ] {
            assert!(read("partners", format, "rows", text).is_err(), "{text}");
        }
        assert!(write("partners", RowFormat::Toml, &rows(json!([{ "id": "a", "list": [null] }]))).is_err());
    }
}
