//! Before a source is used: is the server one that can be, are the tables there, and may we use them?

use std::time::Duration;

use tokio_postgres::GenericClient;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::error::explain;
use super::pool::Client;
use crate::migration::{self, Migration};
use crate::source::{StoreError, Table};
use crate::tables;

/// How long opening may take. A node that waits for another one's migration waits for so long and then tries again.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// The advisory lock under which one node migrates: the bytes of "portcull". Held by the transaction, since a pooler in
/// transaction mode would leave a session's lock with somebody else.
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock(8101261017384479852)";

/// What makes a server unfit, in one round trip.
const SERVER: &str = "SELECT current_setting('server_encoding'), pg_is_in_recovery(), current_schema(), current_user::text, \
     current_setting('synchronous_commit'), current_setting('fsync')";

/// Whether the schema is there. It reads the catalogue, whose lock brings the server's connection up to date: `to_regclass` alone
/// would answer from its memory, which while we wait for another node's migration says that there is none.
const HAS_SCHEMA: &str = "SELECT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('portcullis_schema'))";

/// Before migrations, which say "if not exists": no notice of each thing that does.
const QUIET: &str = "SET LOCAL client_min_messages = warning";

const APPLIED: &str = "SELECT version::bigint, readable_by::bigint FROM portcullis_schema";

/// A table as the server knows it: whether we may do with it all that the verbs do, and its columns with their types.
const TABLE: &str = "SELECT has_table_privilege(t.oid, 'SELECT') AND has_table_privilege(t.oid, 'INSERT') \
     AND has_table_privilege(t.oid, 'UPDATE') AND has_table_privilege(t.oid, 'DELETE'), \
     (SELECT array_agg(a.attname || ' ' || format_type(a.atttypid, NULL)) FROM pg_attribute a \
      WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped) \
     FROM pg_class t WHERE t.oid = to_regclass($1)";

/// Checks the server, migrates, checks the tables. `title` says which source, in errors.
pub(super) async fn prepare(client: &mut Client, title: &str) -> Result<(), StoreError> {
    check_server(client, title).await?;
    let known = migration::parse(migration::POSTGRES);
    let missing = missing(&****client, title, &known).await?;
    if missing.len() == known.len() {
        for table in tables::ALL {
            check_free(client, title, table).await?;
        }
    }
    if !missing.is_empty() {
        migrate(client, title, &known).await?;
    }
    for table in tables::ALL {
        check_table(client, title, table).await?;
    }
    Ok(())
}

async fn check_server(client: &Client, title: &str) -> Result<(), StoreError> {
    let failed = |error: tokio_postgres::Error| explain(title, &error);
    let server = client.query_typed_one(SERVER, &[]).await.map_err(failed)?;
    let encoding: &str = server.try_get(0).map_err(failed)?;
    if encoding != "UTF8" {
        return Err(StoreError::Broken(format!(
            "{title}: the database's encoding is {encoding}; make one with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )));
    }
    if server.try_get(1).map_err(failed)? {
        return Err(StoreError::Unavailable(format!(
            "{title}: the server is a standby, which only reads; name the primary in the url, or all hosts with \
             target_session_attrs=read-write"
        )));
    }
    let (schema, role): (Option<&str>, &str) = (server.try_get(2).map_err(failed)?, server.try_get(3).map_err(failed)?);
    if schema.is_none() {
        return Err(StoreError::Broken(format!(
            "{title}: no schema of the search_path exists or may be used by role {role}: GRANT USAGE ON SCHEMA, or ALTER ROLE \
             {role} SET search_path"
        )));
    }
    for (column, name) in [(4, "synchronous_commit"), (5, "fsync")] {
        if server.try_get::<_, &str>(column).map_err(failed)? == "off" {
            tracing::warn!(
                "{title}: {name} is off on the server: it may lose tokens that were answered when it crashes"
            );
        }
    }
    Ok(())
}

/// The migrations that are to be applied; an error where the schema is too new for this program.
async fn missing<'a>(
    client: &impl GenericClient,
    title: &str,
    known: &'a [Migration],
) -> Result<Vec<&'a Migration>, StoreError> {
    let failed = |error: tokio_postgres::Error| explain(title, &error);
    let mut applied = Vec::new();
    if client.query_typed(HAS_SCHEMA, &[]).await.and_then(only).map_err(failed)? {
        for row in client.query_typed(APPLIED, &[]).await.map_err(failed)? {
            let number = |column| row.try_get::<_, i64>(column).map(|number| u32::try_from(number).unwrap_or(0));
            applied.push((number(0).map_err(failed)?, number(1).map_err(failed)?));
        }
    }
    migration::missing(title, known, &applied)
}

fn only(rows: Vec<tokio_postgres::Row>) -> Result<bool, tokio_postgres::Error> {
    rows.first().map_or(Ok(false), |row| row.try_get(0))
}

/// All that is missing, in one transaction: whole or not at all.
async fn migrate(client: &mut Client, title: &str, known: &[Migration]) -> Result<(), StoreError> {
    let failed = |error: tokio_postgres::Error| explain(title, &error);
    let transaction = client.transaction().await.map_err(failed)?;
    transaction.batch_execute(QUIET).await.map_err(failed)?;
    transaction.batch_execute(LOCK).await.map_err(failed)?;
    // Looked at again under the lock: another node may have been faster.
    for migration in missing(&*transaction, title, known).await? {
        transaction.batch_execute(migration.sql).await.map_err(|error| refused(title, migration, &error))?;
        tracing::info!("{title}: schema migrated to version {}", migration.version);
    }
    transaction.commit().await.map_err(failed)
}

fn refused(title: &str, migration: &Migration, error: &tokio_postgres::Error) -> StoreError {
    if error.code() != Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        return explain(title, error);
    }
    StoreError::Broken(format!(
        "{title}: its role may not make the tables of schema version {} ({}): have a DBA run stores/schema/postgres.sql, which \
         `portcullis store schema postgres` prints, and GRANT SELECT, INSERT, UPDATE, DELETE on its tables to the role; or GRANT \
         CREATE ON SCHEMA to the role",
        migration.version,
        error.as_db_error().map_or("no right", |told| told.message())
    ))
}

/// A table as the server has it.
struct Found {
    usable: bool,
    /// `key bytea`
    columns: Vec<String>,
}

impl Found {
    /// The column that a table of ours would have.
    fn lacks(&self, table: &Table) -> Option<String> {
        let all = ["key bytea", "version bigint", "expires_at bigint", "record jsonb"].map(str::to_owned).into_iter();
        let mut all = all.chain(table.indexes.iter().map(|index| format!("{index} text")));
        all.find(|column| !self.columns.contains(column))
    }
}

async fn look(client: &Client, title: &str, table: &Table) -> Result<Option<Found>, StoreError> {
    let failed = |error: tokio_postgres::Error| explain(title, &error);
    let name = format!("\"{}\"", table.name);
    let row = client.query_typed_opt(TABLE, &[(&name, Type::TEXT)]).await.map_err(failed)?;
    let found = |row: tokio_postgres::Row| -> Result<Found, tokio_postgres::Error> {
        Ok(Found { usable: row.try_get(0)?, columns: row.try_get::<_, Option<_>>(1)?.unwrap_or_default() })
    };
    row.map(found).transpose().map_err(failed)
}

/// Before the first migration: a table of this name may be there and be somebody else's, `client` is a common word.
async fn check_free(client: &Client, title: &str, table: &Table) -> Result<(), StoreError> {
    match look(client, title, table).await?.and_then(|found| found.lacks(table)) {
        Some(column) => Err(StoreError::Broken(format!(
            "{title}: a table {} is there and is not ours, it has no column {column}: give Portcullis a database or a schema of \
             its own",
            table.name
        ))),
        None => Ok(()),
    }
}

/// After the migrations: the table is there, as it should be, and may be used.
async fn check_table(client: &Client, title: &str, table: &Table) -> Result<(), StoreError> {
    let broken = |why: String| Err(StoreError::Broken(format!("{title}: table {} {why}", table.name)));
    let Some(found) = look(client, title, table).await? else {
        return broken(
            "is missing, though portcullis_schema says that it was made: run stores/schema/postgres.sql".into(),
        );
    };
    if let Some(column) = found.lacks(table) {
        return broken(format!("has no column {column}: it was altered, or another schema comes first in search_path"));
    }
    match found.usable {
        true => Ok(()),
        false => broken(format!("may not be used: GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO the role", table.name)),
    }
}
