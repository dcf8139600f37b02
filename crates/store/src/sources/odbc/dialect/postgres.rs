//! PostgreSQL, as the source `postgres` speaks to it: the same tables and nearly the same statements.

use super::{Codes, Dialect, LIMIT, Take};
use crate::migration;

pub(super) static POSTGRES: Dialect = Dialect {
    name: "postgres",
    product: "PostgreSQL",
    schema: migration::POSTGRES,
    schema_kind: "postgres",
    // So that it is the database that answers, before a verb's time is over.
    session: &["SET statement_timeout = '2500ms'", "SET lock_timeout = '2500ms'"],
    patient: &["SET statement_timeout = 0", "SET lock_timeout = '8s'"],
    // The lock of the source `postgres`, here held by the session.
    lock: Some("SELECT 1 FROM (SELECT pg_advisory_lock(8101261017384479852)) AS held"),
    key: "key",
    record: ("CAST(CAST(:record AS text) AS jsonb)", "CAST(record AS text)"),
    or_nothing: " ON CONFLICT (key) DO NOTHING",
    first: LIMIT,
    // As a SELECT, so that the driver knows that there are rows to come, or none.
    take: Take::Returning(
        "WITH taken AS (DELETE FROM {table} WHERE key = :key RETURNING *) SELECT {columns} FROM taken",
    ),
    // `= ANY (ARRAY (...))` runs the inner query once; locked in the order of the key, so that two removals do not deadlock.
    remove: "DELETE FROM {table} WHERE key = ANY (ARRAY (\
             SELECT key FROM {table} WHERE {index} = :value ORDER BY key LIMIT :limit FOR UPDATE))",
    sweep: "DELETE FROM {table} WHERE key = ANY (ARRAY (\
            SELECT key FROM {table} WHERE expires_at < :before ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED))",
    same_length: None,
    from: "",
    health: (
        "current_setting('server_version')",
        "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)",
    ),
    longest: None,
    empty_is_null: false,
    numbers_as_text: false,
    codes: Codes { exists: &[], no_table: &[], made: &[], forbidden: &[], deadlock: &[], later: &[], refused: &[] },
};
