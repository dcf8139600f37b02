//! Marks: what a move notes in a row, so that every node knows which of the two sources decides.
//!
//! A marked row is an ordinary row for every source. The mark is a member of the record's JSON whose name no record of ours can
//! have. Rows that only hide something (`Gone`, `Moved`) have no index entries, and go when what they hide would have gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::codec::name;
use crate::source::{Row, StoreError, Table};

/// The member that holds the mark.
const MEMBER: &str = "~portcullis";
/// The member that holds the record of a marked row, where the record is no object.
const RECORD: &str = "~record";

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mark {
    /// There is no such row: it was taken or removed.
    Gone,
    /// In the old source: the new one decides about this key. The number is the version that was handed over.
    Moved(i64),
    /// In the new source: a copy of the old source's row of this version. It counts only once that row says `Moved` with the same
    /// number; for a node that knows the new source alone it counts at once.
    Copy(i64),
}

/// The row without its mark, and the mark.
pub(crate) fn read(table: &Table, row: Row) -> Result<(Row, Option<Mark>), StoreError> {
    // Most rows have none; to look for the name is much cheaper than to parse.
    if !row.record.contains(MEMBER) {
        return Ok((row, None));
    }
    let Ok(mut members) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(&row.record) else {
        return Ok((row, None));
    };
    let Some(mark) = members.remove(MEMBER) else { return Ok((row, None)) };
    let unreadable = |_| {
        let (table, key) = (table.name, name(&row.key));
        StoreError::Broken(format!(
            "a row in `{table}` has a mark that this version of portcullis does not know (SHA-256 of its key: {key})"
        ))
    };
    let mark: Mark = serde_json::from_str(mark.get()).map_err(unreadable)?;
    let record = match members.remove(RECORD) {
        Some(record) => record.get().to_owned(),
        None => serde_json::to_string(&members).map_err(unreadable)?,
    };
    Ok((Row { record, ..row }, Some(mark)))
}

/// A row in the place of this one that only says `mark`.
pub(crate) fn instead(table: &Table, of: &Row, mark: Mark) -> Row {
    let record = format!("{{\"{MEMBER}\":{}}}", text(mark));
    Row { key: of.key.clone(), version: 1, expires_at: of.expires_at, indexes: vec![None; table.indexes.len()], record }
}

/// A copy of a row of the old source.
pub(crate) fn copy(of: &Row) -> Row {
    let mark = text(Mark::Copy(of.version));
    let record = of.record.trim();
    let inner = record.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).map(str::trim);
    let record = match inner {
        Some("") => format!("{{\"{MEMBER}\":{mark}}}"),
        Some(members) => format!("{{\"{MEMBER}\":{mark},{members}}}"),
        None => format!("{{\"{MEMBER}\":{mark},\"{RECORD}\":{record}}}"),
    };
    Row { record, ..of.clone() }
}

fn text(mark: Mark) -> String {
    match mark {
        Mark::Gone => "\"gone\"".to_owned(),
        Mark::Moved(version) => format!("{{\"moved\":{version}}}"),
        Mark::Copy(version) => format!("{{\"copy\":{version}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::ACCESS_TOKEN;

    fn row(record: &str) -> Row {
        let indexes = vec![Some("app".to_owned()), None, None];
        Row { key: vec![1], version: 7, expires_at: Some(9), indexes, record: record.to_owned() }
    }

    #[test]
    fn a_copy_gives_back_the_record() {
        for record in
            ["{}", "{ }", r#"{"a":[1,2.50,null],"b":{"~portcullis":"gone"}}"#, "[1]", r#""~portcullis""#, "2.50"]
        {
            let (found, mark) = read(&ACCESS_TOKEN, copy(&row(record))).unwrap();
            assert_eq!(mark, Some(Mark::Copy(7)), "{record}");
            assert_eq!((found.record.replace(' ', ""), found.indexes), (record.replace(' ', ""), row("").indexes));
        }
    }

    /// A source with a type for JSON may order members and space them otherwise.
    #[test]
    fn the_order_of_members_does_not_matter() {
        let (found, mark) = read(&ACCESS_TOKEN, row(r#"{"a": 2.50, "~portcullis": {"copy": 3}, "z": 1}"#)).unwrap();
        assert_eq!((found.record.as_str(), mark), (r#"{"a":2.50,"z":1}"#, Some(Mark::Copy(3))));
    }

    #[test]
    fn what_hides_a_row_has_no_indexes_and_its_expiry() {
        for mark in [Mark::Gone, Mark::Moved(7)] {
            let hiding = instead(&ACCESS_TOKEN, &row("{}"), mark);
            assert_eq!((hiding.expires_at, &hiding.indexes), (Some(9), &vec![None; 3]));
            assert_eq!(read(&ACCESS_TOKEN, hiding).unwrap().1, Some(mark));
        }
    }

    #[test]
    fn records_are_not_mistaken_for_marks_and_unknown_marks_are_errors() {
        for record in [r#"{"name":"~portcullis"}"#, r#"{"properties":{"~portcullis":"gone"}}"#, r#"["~portcullis"]"#] {
            assert_eq!(read(&ACCESS_TOKEN, row(record)).unwrap(), (row(record), None));
        }
        let error = read(&ACCESS_TOKEN, row(r#"{"~portcullis":{"locked":1}}"#)).unwrap_err();
        assert!(matches!(error, StoreError::Broken(_)), "{error}");
    }

    #[test]
    fn a_mark_that_is_not_known_is_told_with_its_row() {
        let why = read(&ACCESS_TOKEN, row(r#"{"~portcullis":{"other":1}}"#)).unwrap_err().to_string();
        // SHA-256 of the byte 1.
        assert!(why.contains("4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"), "{why}");
    }
}
