//! Oracle Database. Not run by the project's tests, for want of a server: what the statements are is held by a parser.

use super::{Codes, Dialect, FETCH_FIRST, REMOVE_BY_KEY, SWEEP_BY_KEY, Take, utf16};
use crate::migration;

pub(super) static ORACLE: Dialect = Dialect {
    name: "oracle",
    product: "Oracle Database",
    schema: migration::ORACLE,
    schema_kind: "odbc-oracle",
    // Text compares by its bytes, whatever the client's environment says.
    session: &["ALTER SESSION SET NLS_COMP = BINARY NLS_SORT = BINARY"],
    patient: &[],
    // A CREATE of what is there is an error that says so.
    lock: None,
    key: "key",
    record: (":record", "record"),
    or_nothing: "",
    first: FETCH_FIRST,
    // RETURNING ... INTO needs PL/SQL.
    take: Take::Locked { claim: None, read: "SELECT {columns} FROM {table} WHERE {key} = :key FOR UPDATE" },
    remove: REMOVE_BY_KEY,
    sweep: SWEEP_BY_KEY,
    // NVARCHAR2 compares without padding. With VARCHAR2 the column would be converted for each comparison, as text goes as UTF-16, and
    // its index left aside.
    same_length: None,
    from: " FROM dual",
    health: (
        "(SELECT MAX(version) FROM product_component_version WHERE product LIKE 'Oracle%')",
        "ROUND((CAST(SYS_EXTRACT_UTC(SYSTIMESTAMP) AS DATE) - DATE '1970-01-01') * 86400000)",
    ),
    longest: Some((512, utf16)),
    empty_is_null: true,
    numbers_as_text: true,
    codes: Codes {
        exists: &[1],
        no_table: &[942],
        // A name in use; an index over these columns; the constraint's.
        made: &[955, 1408, 2260, 2264],
        forbidden: &[1031],
        deadlock: &[60, 8177],
        // Busy; starting and stopping; no listener; lost; full; cancelled.
        later: &[
            54, 1013, 1033, 1034, 1089, 1090, 1092, 1652, 1653, 1654, 1655, 3113, 3114, 3135, 12170, 12514, 12541,
            12543,
        ],
        refused: &[],
    },
};
