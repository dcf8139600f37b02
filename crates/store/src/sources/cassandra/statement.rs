//! The statements: of each table, and of the table of lists beside it. Each names its partition, so none asks every server.

use scylla::value::{CqlValue, MaybeUnset, Row as Columns};

use crate::source::{Row, Table};

/// By the primary key, whose hash says where the row is.
const GET: &str = "SELECT key, version, expires_at, record, entry{, indexes} FROM {table} WHERE key = ?";

/// `UPDATE` and not `INSERT ... IF NOT EXISTS`: an inserted row has a marker with a TTL of its own, which a later update does not
/// change; where that update made the life shorter, a row without any column would stand there until the marker goes.
const INSERT: &str = "UPDATE {table} USING TTL ? SET version = ?, expires_at = ?, record = ?, entry = ?{, assignments} \
     WHERE key = ? IF version = null";

/// Compare and swap. The entry is compared too: a row that went and came back may have the same version.
const REPLACE: &str = "UPDATE {table} USING TTL ? SET version = ?, expires_at = ?, record = ?, entry = ?{, assignments} \
     WHERE key = ? IF version = ? AND entry = ?";

/// Of two at once one is told that it was applied.
const DELETE: &str = "DELETE FROM {table} WHERE key = ? IF version = ? AND entry = ?";

/// Into a list. No transaction: an entry is written once, under a name that nobody else has.
const PUT: &str = "INSERT INTO {table_entry} (list, bucket, position, entry) VALUES (?, ?, ?, ?) USING TTL ?";

/// Out of a list.
const DROP: &str = "DELETE FROM {table_entry} WHERE list = ? AND bucket = ? AND position = ? AND entry = ?";

/// A page of one partition of a list, in its order.
const PAGE: &str = "SELECT position, entry FROM {table_entry} WHERE list = ? AND bucket = ? \
     AND (position, entry) > (?, ?) LIMIT ?";

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Get,
    Insert,
    Replace,
    Delete,
    Put,
    Drop,
    Page,
}

impl Kind {
    pub(super) const ALL: [Kind; 7] =
        [Kind::Get, Kind::Insert, Kind::Replace, Kind::Delete, Kind::Put, Kind::Drop, Kind::Page];

    /// Whether it may be sent a second time when nobody knows whether it was carried out. A transaction may not: a second
    /// insert would find its own row and say that the key exists.
    pub(super) fn again(self) -> bool {
        !matches!(self, Kind::Insert | Kind::Replace | Kind::Delete)
    }

    /// Its text, of this table of a keyspace. It names the keyspace, since a server remembers prepared statements for everybody.
    pub(super) fn text(self, keyspace: &str, table: &Table) -> String {
        let template = match self {
            Kind::Get => GET,
            Kind::Insert => INSERT,
            Kind::Replace => REPLACE,
            Kind::Delete => DELETE,
            Kind::Put => PUT,
            Kind::Drop => DROP,
            Kind::Page => PAGE,
        };
        let listed = |after: &str| table.indexes.iter().map(|name| format!(", \"{name}\"{after}")).collect::<String>();
        template
            .replace("{, indexes}", &listed(""))
            .replace("{, assignments}", &listed(" = ?"))
            .replace("{table}", &format!("{keyspace}.\"{}\"", table.name))
            .replace("{table_entry}", &format!("{keyspace}.\"{}_entry\"", table.name))
    }
}

/// A row with the name that its entries in the lists carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) row: Row,
    pub(super) entry: Vec<u8>,
}

/// A value as the driver takes it.
pub(super) type Value = MaybeUnset<Option<CqlValue>>;

pub(super) fn blob(bytes: &[u8]) -> Value {
    MaybeUnset::Set(Some(CqlValue::Blob(bytes.to_vec())))
}

pub(super) fn text(text: &str) -> Value {
    MaybeUnset::Set(Some(CqlValue::Text(text.to_owned())))
}

pub(super) fn number(number: i64) -> Value {
    MaybeUnset::Set(Some(CqlValue::BigInt(number)))
}

pub(super) fn small(number: i32) -> Value {
    MaybeUnset::Set(Some(CqlValue::Int(number)))
}

/// What is absent: of a new row, nothing is written, where a null would be kept as a deletion; of one that is replaced, a null.
fn absent(new: bool) -> Value {
    if new { MaybeUnset::Unset } else { MaybeUnset::Set(None) }
}

/// The values of [`INSERT`], and those with which [`REPLACE`] begins.
pub(super) fn values(stored: &Stored, ttl: i32, new: bool) -> Vec<Value> {
    let row = &stored.row;
    let mut values = vec![
        small(ttl),
        number(row.version),
        row.expires_at.map_or_else(|| absent(new), number),
        text(&row.record),
        blob(&stored.entry),
    ];
    values.extend(row.indexes.iter().map(|value| value.as_deref().map_or_else(|| absent(new), text)));
    values.push(blob(&row.key));
    values
}

/// A row as [`GET`] gives it; none where a column that it must have is missing.
pub(super) fn stored(found: Columns) -> Option<Stored> {
    let mut columns = found.columns.into_iter();
    let key = bytes(columns.next()?)?;
    let version = integer(columns.next()?)?;
    let expires_at = integer(columns.next()?);
    let record = string(columns.next()?)?;
    let entry = bytes(columns.next()?)?;
    let indexes = columns.map(string).collect();
    Some(Stored { row: Row { key, version, expires_at, indexes, record }, entry })
}

pub(super) fn bytes(value: Option<CqlValue>) -> Option<Vec<u8>> {
    match value {
        Some(CqlValue::Blob(bytes)) => Some(bytes),
        _ => None,
    }
}

pub(super) fn integer(value: Option<CqlValue>) -> Option<i64> {
    match value {
        Some(CqlValue::BigInt(number)) => Some(number),
        Some(CqlValue::Int(number)) => Some(number.into()),
        _ => None,
    }
}

pub(super) fn string(value: Option<CqlValue>) -> Option<String> {
    match value {
        Some(CqlValue::Text(text) | CqlValue::Ascii(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static PAIR: Table = Table { name: "pair", indexes: &["one", "two"] };

    #[test]
    fn statements_name_the_table_and_its_columns() {
        assert_eq!(
            Kind::Get.text("k", &PAIR),
            r#"SELECT key, version, expires_at, record, entry, "one", "two" FROM k."pair" WHERE key = ?"#
        );
        let replace = r#"UPDATE k."pair" USING TTL ? SET version = ?, expires_at = ?, record = ?, entry = ?, "one" = ?, "two" = ? "#;
        let (change, condition) = (Kind::Replace.text("k", &PAIR), "WHERE key = ? IF version = ? AND entry = ?");
        assert_eq!(change, format!("{replace}{condition}"));
        assert!(Kind::Page.text("k", &PAIR).contains(r#"FROM k."pair_entry" WHERE"#));
    }

    /// Each names its whole partition key, and what writes to a row is a transaction: neither scans, and neither is sent twice.
    #[test]
    fn no_statement_scans_and_no_transaction_is_sent_twice() {
        for kind in Kind::ALL {
            let text = kind.text("k", &PAIR);
            assert!(!text.contains(['{', '}']) && !text.contains("ALLOW FILTERING"), "{text}");
            let named = text.contains("WHERE key = ?") || text.contains("WHERE list = ? AND bucket = ?");
            assert!(named || kind == Kind::Put, "{text}");
            assert_eq!(kind.again(), !text.contains(" IF "), "{text}");
            assert!(!text.contains("UPDATE") || text.contains(" IF "), "{text}");
        }
    }
}
