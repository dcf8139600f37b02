//! Microsoft SQL Server. Not run by the project's tests, for want of a server: what the statements are is held by a parser.

use super::{Codes, Dialect, Take, utf16};
use crate::migration;

pub(super) static MSSQL: Dialect = Dialect {
    name: "mssql",
    product: "SQL Server",
    schema: migration::MSSQL,
    schema_kind: "odbc-mssql",
    session: &["SET LOCK_TIMEOUT 3000", "SET NOCOUNT OFF"],
    patient: &["SET LOCK_TIMEOUT 8000"],
    // A CREATE of what is there is an error that says so.
    lock: None,
    key: "[key]",
    record: (":record", "record"),
    or_nothing: "",
    first: "OFFSET 0 ROWS FETCH NEXT :limit ROWS ONLY",
    take: Take::Returning("DELETE {table} OUTPUT {deleted columns} WHERE {key} = :key"),
    remove: "WITH chosen AS (SELECT TOP (:limit) {key} FROM {table} WHERE {index} = :value{same length} ORDER BY {key}) DELETE FROM chosen",
    sweep: "WITH chosen AS (SELECT TOP (:limit) {key} FROM {table} WHERE expires_at < :before ORDER BY expires_at) DELETE FROM chosen",
    // `=` pads with spaces, whatever the collation. Two octets a unit of UTF-16.
    same_length: Some(("DATALENGTH({index})", utf16_octets)),
    from: "",
    health: (
        "CAST(SERVERPROPERTY('ProductVersion') AS varchar(64))",
        "DATEDIFF_BIG(millisecond, '1970-01-01', SYSUTCDATETIME())",
    ),
    longest: Some((512, utf16)),
    empty_is_null: false,
    numbers_as_text: false,
    codes: Codes {
        exists: &[2627, 2601],
        no_table: &[208],
        made: &[2714, 1913],
        forbidden: &[229, 230, 262],
        deadlock: &[1205],
        // Waited for a lock; full; read-only; starting, stopping, no such connection.
        later: &[1222, 1101, 1105, 9002, 3906, 6005, 6006, 17142, 40197, 40501, 40613],
        refused: &[],
    },
};

fn utf16_octets(text: &str) -> usize {
    2 * utf16(text)
}
