//! Before a source is used: is the server one that can be, are the tables there, and may we use them?

use std::time::Duration;

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Error, Params};

use super::error::{explain, is_forbidden};
use super::session::{Session, undurable};
use super::statement::Statements;
use crate::migration::{self, Migration};
use crate::source::{StoreError, Table};
use crate::tables;

/// How long opening may take. A node that waits for another one's migration waits for so long and then tries again.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// The lock under which one node migrates; the server has one space of names for all databases. It ends with the connection.
pub(super) const LOCK: &str = "SELECT GET_LOCK(CONCAT('portcullis ', MD5(DATABASE())), 8)";

/// The limits of a request's statements are none of a migration's.
const PATIENT: &str = "SET lock_wait_timeout = 8, innodb_lock_wait_timeout = 8";
const PATIENT_MARIADB: &str = "SET max_statement_time = 0";

/// What makes a server unsafe, in one round trip. Whether it only reads was asked when it was connected to.
const SERVER: &str = "SELECT CAST(@@innodb_flush_log_at_trx_commit AS SIGNED), \
     CAST(@@log_bin AS SIGNED), CAST(@@sync_binlog AS SIGNED)";

const HAS_SCHEMA: &str = "SELECT COUNT(*) FROM information_schema.tables \
     WHERE table_schema = DATABASE() AND table_name = 'portcullis_schema'";

const APPLIED: &str = "SELECT version, readable_by FROM portcullis_schema";

/// A table as the server knows it: its columns with their types and collations, and the engine behind it.
const TABLE: &str = "SELECT c.column_name, c.data_type, COALESCE(c.collation_name, ''), COALESCE(t.engine, '') \
     FROM information_schema.columns c JOIN information_schema.tables t \
     ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
     WHERE c.table_schema = DATABASE() AND c.table_name = ?";

/// Checks the server, migrates, checks the tables. `title` says which source, in errors. The connection is good for nothing else
/// afterwards.
pub(super) async fn prepare(session: &mut Session, title: &str, statements: &[Statements]) -> Result<(), StoreError> {
    check_server(session, title).await?;
    let known = migration::parse(migration::MYSQL);
    let missing = missing(session, title, &known).await?;
    if missing.len() == known.len() {
        for table in tables::ALL {
            check_free(session, title, table).await?;
        }
    }
    if !missing.is_empty() {
        migrate(session, title, &known).await?;
    }
    for (table, statements) in tables::ALL.into_iter().zip(statements) {
        check_table(session, title, table).await?;
        check_statements(session, title, table, statements).await?;
    }
    Ok(())
}

async fn first<T: FromRow + Send + 'static>(session: &mut Session, title: &str, sql: &str) -> Result<T, StoreError> {
    let found: Option<T> = session.conn.query_first(sql).await.map_err(|error| explain(title, &error))?;
    found.ok_or_else(|| StoreError::Unavailable(format!("{title}: an empty answer")))
}

async fn check_server(session: &mut Session, title: &str) -> Result<(), StoreError> {
    if let Some(needed) = session.server.too_old() {
        return Err(StoreError::Broken(format!(
            "{title}: the server is {}; it must be {needed} or later",
            session.server.name()
        )));
    }
    let (flush_log, log_bin, sync_binlog): (i64, i64, i64) = first(session, title, SERVER).await?;
    if let Some(why) = undurable(flush_log, log_bin, sync_binlog) {
        tracing::warn!("{title}: {why}");
    }
    Ok(())
}

/// The migrations that are to be applied; an error where the schema is too new for this program.
async fn missing<'a>(
    session: &mut Session,
    title: &str,
    known: &'a [Migration],
) -> Result<Vec<&'a Migration>, StoreError> {
    let applied: Vec<(u32, u32)> = match first::<i64>(session, title, HAS_SCHEMA).await? {
        0 => Vec::new(),
        _ => session.conn.query(APPLIED).await.map_err(|error| explain(title, &error))?,
    };
    migration::missing(title, known, &applied)
}

/// All that is missing. Neither server undoes a CREATE TABLE, so a migration that broke off is run again from its start: each of its
/// statements changes nothing where it was carried out, and the last one notes it.
async fn migrate(session: &mut Session, title: &str, known: &[Migration]) -> Result<(), StoreError> {
    let failed = |error: Error| explain(title, &error);
    session.conn.query_drop(PATIENT).await.map_err(failed)?;
    if session.server.mariadb {
        session.conn.query_drop(PATIENT_MARIADB).await.map_err(failed)?;
    }
    if first::<Option<i64>>(session, title, LOCK).await? != Some(1) {
        return Err(StoreError::Unavailable(format!("{title}: another node has been migrating its schema for 8 s")));
    }
    // Looked at again under the lock: another node may have been faster.
    for migration in missing(session, title, known).await? {
        session.conn.query_drop(migration.sql).await.map_err(|error| refused(title, migration, &error))?;
        tracing::info!("{title}: schema migrated to version {}", migration.version);
    }
    Ok(())
}

fn refused(title: &str, migration: &Migration, error: &Error) -> StoreError {
    if !is_forbidden(error) {
        return explain(title, error);
    }
    StoreError::Broken(format!(
        "{title}: its user may not make the tables of schema version {} ({error}): have a DBA run stores/schema/mysql.sql, which \
         `portcullis store schema mysql` prints, and GRANT SELECT, INSERT, UPDATE, DELETE on the database to the user; or GRANT \
         CREATE, INDEX on it too",
        migration.version
    ))
}

/// What a table of ours would have and this one has not: a column, or the engine. None where all is as it should be, or where there
/// is no such table at all.
async fn lacks(session: &mut Session, title: &str, table: &Table) -> Result<Option<Found>, StoreError> {
    let name = Params::Positional(vec![table.name.into()]);
    let columns: Vec<(String, String, String, String)> =
        session.conn.exec(TABLE, name).await.map_err(|error| explain(title, &error))?;
    let Some((_, _, _, engine)) = columns.first() else { return Ok(Some(Found::Nothing)) };
    if !engine.eq_ignore_ascii_case("InnoDB") {
        return Ok(Some(Found::Other(format!("has the engine {engine}, not InnoDB"))));
    }
    let plain = [("key", "varbinary", ""), ("version", "bigint", ""), ("expires_at", "bigint", "")];
    let text = [("record", "longtext", "utf8mb4_bin")].into_iter();
    let indexes = table.indexes.iter().map(|index| (*index, "varchar", "utf8mb4_bin"));
    let has = |column: &(&str, &str, &str)| {
        columns.iter().any(|(name, kind, collation, _)| (name.as_str(), kind.as_str(), collation.as_str()) == *column)
    };
    let lacking = plain.into_iter().chain(text).chain(indexes).find(|column| !has(column));
    Ok(lacking.map(|(name, kind, collation)| {
        Found::Other(format!("has no column {name} {kind} {collation}").trim_end().to_owned())
    }))
}

/// What is in a table's place that is not the table.
enum Found {
    Nothing,
    Other(String),
}

/// Before the first migration: a table of this name may be there and be somebody else's, `client` is a common word.
async fn check_free(session: &mut Session, title: &str, table: &Table) -> Result<(), StoreError> {
    match lacks(session, title, table).await? {
        Some(Found::Other(why)) => Err(StoreError::Broken(format!(
            "{title}: a table {} is there and is not ours, it {why}: give Portcullis a database of its own",
            table.name
        ))),
        Some(Found::Nothing) | None => Ok(()),
    }
}

/// After the migrations: the table is there, as it should be.
async fn check_table(session: &mut Session, title: &str, table: &Table) -> Result<(), StoreError> {
    let broken = |why: &str| Err(StoreError::Broken(format!("{title}: table {} {why}", table.name)));
    match lacks(session, title, table).await? {
        None => Ok(()),
        Some(Found::Other(why)) => broken(&format!("{why}: it was altered")),
        // A table that the user may do nothing with is not shown to it either.
        Some(Found::Nothing) => broken(
            "is missing, though portcullis_schema says that it was made, or the user may not use it: run stores/schema/mysql.sql, \
             and GRANT SELECT, INSERT, UPDATE, DELETE on the database to the user",
        ),
    }
}

/// The server takes every statement: to prepare one asks for the rights that it needs.
async fn check_statements(
    session: &mut Session,
    title: &str,
    table: &Table,
    statements: &Statements,
) -> Result<(), StoreError> {
    for (_, statement) in statements.all() {
        for sql in statement.texts(session.server.mariadb) {
            session.conn.prep(sql.clone()).await.map_err(|error| match is_forbidden(&error) {
                true => StoreError::Broken(format!(
                    "{title}: table {} may not be used ({error}): GRANT SELECT, INSERT, UPDATE, DELETE on the database to the user",
                    table.name
                )),
                false => explain(title, &error),
            })?;
        }
    }
    Ok(())
}
