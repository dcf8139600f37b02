//! MariaDB and MySQL, with the tables of the source `mysql`.

use super::{Codes, Dialect, LIMIT, Take, characters};
use crate::migration;

pub(super) static MYSQL: Dialect = Dialect {
    name: "mysql",
    product: "MySQL",
    schema: migration::MYSQL,
    schema_kind: "mysql",
    // As the source `mysql` sets them; characters are the driver's.
    session: &[
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', time_zone = '+00:00', \
         innodb_lock_wait_timeout = 1, lock_wait_timeout = 1",
    ],
    patient: &["SET lock_wait_timeout = 8, innodb_lock_wait_timeout = 8"],
    lock: Some("SELECT GET_LOCK(CONCAT('portcullis ', MD5(DATABASE())), 8)"),
    key: "`key`",
    record: (":record", "record"),
    // INSERT IGNORE would keep what was cut off or changed to fit.
    or_nothing: "",
    first: LIMIT,
    // MySQL knows no RETURNING.
    take: Take::Locked { claim: None, read: "SELECT {columns} FROM {table} WHERE {key} = :key FOR UPDATE" },
    remove: "DELETE FROM {table} WHERE {index} = :value{same length} ORDER BY {index}, {key} LIMIT :limit",
    sweep: "DELETE FROM {table} WHERE expires_at < :before ORDER BY expires_at, {key} LIMIT :limit",
    same_length: Some(("LENGTH({index})", str::len)),
    from: "",
    health: ("VERSION()", "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)"),
    longest: Some((512, characters)),
    empty_is_null: false,
    numbers_as_text: false,
    codes: Codes {
        exists: &[1062],
        no_table: &[1146],
        made: &[],
        forbidden: &[1044, 1142, 1143, 1370],
        deadlock: &[1205, 1213],
        // Full disks; too many connections; a server that only reads; ended; over the time limit.
        later: &[1021, 1026, 1040, 1114, 1203, 1226, 1290, 1792, 1836, 1053, 1152, 1317, 1927, 1969, 3024, 3169, 4031],
        refused: &[],
    },
};
