//! Db2 for Linux, UNIX and Windows. Not run by the project's tests, for want of a server.

use super::{Codes, Dialect, FETCH_FIRST, REMOVE_BY_KEY, SWEEP_BY_KEY, Take};
use crate::migration;

pub(super) static DB2: Dialect = Dialect {
    name: "db2",
    product: "Db2",
    schema: migration::DB2,
    schema_kind: "odbc-db2",
    session: &["SET CURRENT LOCK TIMEOUT 3"],
    patient: &["SET CURRENT LOCK TIMEOUT 8"],
    // A CREATE of what is there is an error that says so.
    lock: None,
    key: "key",
    record: (":record", "record"),
    or_nothing: "",
    first: FETCH_FIRST,
    take: Take::Returning("SELECT {columns} FROM OLD TABLE (DELETE FROM {table} WHERE {key} = :key)"),
    remove: REMOVE_BY_KEY,
    sweep: SWEEP_BY_KEY,
    // `=` pads with spaces.
    same_length: Some(("LENGTH({index})", str::len)),
    from: " FROM sysibm.sysdummy1",
    health: (
        "(SELECT CAST(MAX(versionnumber) AS VARCHAR(20)) FROM sysibm.sysversions)",
        "(CAST(DAYS(CURRENT TIMESTAMP - CURRENT TIMEZONE) - DAYS('1970-01-01') AS BIGINT) * 86400 \
         + MIDNIGHT_SECONDS(CURRENT TIMESTAMP - CURRENT TIMEZONE)) * 1000",
    ),
    // In octets: an index over both must fit a page of 8 KB.
    longest: Some((512, str::len)),
    empty_is_null: false,
    numbers_as_text: false,
    codes: Codes {
        exists: &[-803],
        no_table: &[-204],
        made: &[-601],
        forbidden: &[-551, -552],
        deadlock: &[-911],
        // Timed out, cancelled, full, stopped, no connection, lost.
        later: &[-913, -952, -968, -289, -1032, -1224, -30080, -30081],
        refused: &[],
    },
};
