//! What scripts and commands answer, as rows. `None` where it is not what ours would have said.

use redis::Value;

use crate::source::Row;

/// A page of rows.
pub(super) struct Page {
    pub(super) rows: Vec<Row>,
    /// The last key that was looked at.
    pub(super) last: Vec<u8>,
    /// Whether there may be more after it.
    pub(super) more: bool,
}

/// The fields of one row: version, expiry, record, index columns. No field at all: no row; one that lacks its version is damaged.
pub(super) fn fields(key: &[u8], answer: Value) -> Option<Option<Row>> {
    let mut fields = array(answer)?.into_iter().map(text);
    let Some(version) = fields.next()?? else {
        return fields.all(|field| field == Some(None)).then_some(None);
    };
    let expires_at = fields.next()??;
    let record = fields.next()???;
    Some(Some(Row {
        key: key.to_vec(),
        version: version.parse().ok()?,
        expires_at: expires_at.map(|at| at.parse()).transpose().ok()?,
        indexes: fields.collect::<Option<_>>()?,
        record,
    }))
}

/// What `find` answers.
pub(super) fn page(answer: Value) -> Option<Page> {
    let [rows, Value::BulkString(last), Value::Int(more)] = <[Value; 3]>::try_from(array(answer)?).ok()? else {
        return None;
    };
    let row = |found: Value| {
        let [Value::BulkString(key), found] = <[Value; 2]>::try_from(array(found)?).ok()? else { return None };
        fields(&key, found)?
    };
    Some(Page { rows: array(rows)?.into_iter().map(row).collect::<Option<_>>()?, last, more: more == 1 })
}

/// What `remove` and `sweep` answer: how many, and whether there may be more.
pub(super) fn deleted(answer: &Value) -> Option<(usize, bool)> {
    match answer {
        Value::Array(told) => match told[..] {
            [Value::Int(count), Value::Int(more)] => Some((usize::try_from(count).ok()?, more == 1)),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

/// A text or nothing.
pub(super) fn text(value: Value) -> Option<Option<String>> {
    match value {
        Value::Nil => Some(None),
        Value::BulkString(bytes) => String::from_utf8(bytes).ok().map(Some),
        Value::SimpleString(text) => Some(Some(text)),
        Value::VerbatimString { text, .. } => Some(Some(text)),
        _ => None,
    }
}
