//! Records as JSON text.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::hex;
use crate::seldom::Seldom;
use crate::source::{Kept, Row, StoreError, Table};

/// How often a compare and swap is tried before the row counts as too busy.
pub(crate) const SWAPS: u32 = 32;

/// The record of a row. One that cannot be read is never taken for absent.
pub(crate) fn decode<T: DeserializeOwned>(table: &Table, row: &Row) -> Result<T, StoreError> {
    serde_json::from_str(&row.record).map_err(|error| {
        // The position only: the text of the error may quote the record.
        let (line, column) = (error.line(), error.column());
        tell(table, row);
        StoreError::Broken(format!("a record in `{}` cannot be read (at {line}:{column} of its JSON)", table.name))
    })
}

/// The same of a row that may be remembered, read once for all who ask for it.
pub(crate) fn decode_kept<T>(table: &Table, kept: &Kept) -> Result<Arc<T>, StoreError>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    kept.read(|row| decode(table, row))
}

/// Logs which record it is, at most once in 10 s: who asked hears no more than 500. The key may be personal: its hash finds the row.
fn tell(table: &Table, row: &Row) {
    static TOLD: Seldom = Seldom::new();
    if TOLD.is_due(Instant::now()) {
        tracing::warn!(
            table = table.name,
            key_sha256 = name(&row.key),
            version = row.version,
            "a record cannot be read: it was damaged, or written by something else; what needs it is refused"
        );
    }
}

/// What a key is called for people: it may be personal, and the hash finds it.
pub(crate) fn name(key: &[u8]) -> String {
    hex(Sha256::digest(key))
}

/// The text of a record.
pub(crate) fn encode(table: &Table, record: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(record)
        .map_err(|error| StoreError::Broken(format!("a record for `{}` cannot be written: {error}", table.name)))
}

/// The error of a row that others change all the time.
pub(crate) fn too_busy(table: &Table) -> StoreError {
    StoreError::Unavailable(format!("a record in `{}` was changed by others {SWAPS} times in a row", table.name))
}

/// Unix seconds as a source keeps them.
pub(crate) fn seconds(unix: u64) -> i64 {
    i64::try_from(unix).unwrap_or(i64::MAX)
}
