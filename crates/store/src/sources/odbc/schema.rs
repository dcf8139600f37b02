//! Before a source is used: are the tables there, and may we use them? On a thread, over a connection that is dropped afterwards.

#![allow(clippy::disallowed_methods, reason = "on a thread of this source")]

use super::dialect::Dialect;
use super::error::Told;
use super::session::{Found, Session};
use super::statement::{Given, Statement, Statements};
use crate::migration::{self, Migration};
use crate::source::StoreError;
use crate::tables;

const APPLIED: &str = "SELECT version, readable_by FROM portcullis_schema";

/// Text that a driver cannot take which has no Unicode where it runs: rather found here than at the first record that has some.
const BEYOND_ASCII: &str = "\u{fc}";

/// A key that no record has: they end in a hash, or are names.
const NO_KEY: &[u8] = &[0];

/// Migrates, and checks the tables. `title` says which source, in errors.
pub(super) fn prepare(session: &mut Session<'_>, title: &str, statements: &[Statements]) -> Result<(), StoreError> {
    let dialect = session.dialect();
    let known = migration::parse(dialect.schema);
    let missing = missing(session, title, &known)?;
    if missing.len() == known.len() {
        check_free(session, title, statements)?;
    }
    if !missing.is_empty() {
        migrate(session, title, &known)?;
    }
    check(session, title, statements)
}

/// The migrations that are to be applied; an error where the schema is too new for this program.
fn missing<'a>(
    session: &mut Session<'_>,
    title: &str,
    known: &'a [Migration],
) -> Result<Vec<&'a Migration>, StoreError> {
    let dialect = session.dialect();
    let applied = match session.ask(APPLIED) {
        Ok(rows) => rows.iter().map(numbers).collect::<Option<Vec<_>>>(),
        Err(told) if told.is_no_table(dialect) => Some(Vec::new()),
        Err(told) => return Err(told.explain(title, dialect)),
    };
    let applied = applied.ok_or_else(|| StoreError::Broken(format!("{title}: portcullis_schema is not ours")))?;
    migration::missing(title, known, &applied)
}

fn numbers(row: &Found) -> Option<(u32, u32)> {
    let number = |at: usize| row.texts.get(at)?.as_deref()?.trim().parse().ok();
    Some((number(0)?, number(1)?))
}

/// Before the first migration: a table of a name of ours may be there and be somebody else's, `client` is a common word.
fn check_free(session: &mut Session<'_>, title: &str, statements: &[Statements]) -> Result<(), StoreError> {
    let dialect = session.dialect();
    for (table, statements) in tables::ALL.into_iter().zip(statements) {
        match probe(session, &statements.get) {
            Err(told) if told.is_no_table(dialect) => {}
            Err(told) if told.leaves_the_connection(dialect) => {
                return Err(StoreError::Broken(format!(
                    "{title}: a table {} is there and is not ours: give Portcullis a database or a schema of its own ({})",
                    table.name,
                    told.explain(title, dialect)
                )));
            }
            Err(told) => return Err(told.explain(title, dialect)),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// All that is missing. Most databases do not undo a CREATE TABLE, so a migration that broke off is run again from its start: each of its
/// statements changes nothing where it was carried out, or is refused since it was; the last one notes it.
fn migrate(session: &mut Session<'_>, title: &str, known: &[Migration]) -> Result<(), StoreError> {
    let dialect = session.dialect();
    let failed = |told: Told| told.explain(title, dialect);
    for statement in dialect.patient {
        session.ask(statement).map_err(failed)?;
    }
    if let Some(lock) = dialect.lock {
        let got = session.ask(lock).map_err(failed)?;
        if got.first().and_then(|row| row.texts.first()).is_none_or(|text| text.as_deref() == Some("0")) {
            return Err(StoreError::Unavailable(format!(
                "{title}: another node has been migrating its schema for 8 s"
            )));
        }
    }
    // Looked at again under the lock: another node may have been faster.
    for migration in missing(session, title, known)? {
        for statement in migration_statements(migration.sql) {
            match session.ask(&statement) {
                Ok(_) => {}
                Err(told) if told.is_made_already(dialect) => {}
                Err(told) => return Err(refused(title, dialect, migration, &told)),
            }
        }
        tracing::info!("{title}: schema migrated to version {}", migration.version);
    }
    Ok(())
}

/// The statements of a migration: remarks taken off, apart at each semicolon that ends a line.
pub(super) fn migration_statements(sql: &str) -> Vec<String> {
    let lines = sql.lines().map(|line| line.split_once("--").map_or(line, |(before, _)| before).trim_end());
    let bare = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    bare.split(";\n").map(|one| one.trim().trim_end_matches(';').to_owned()).filter(|one| !one.is_empty()).collect()
}

fn refused(title: &str, dialect: &Dialect, migration: &Migration, told: &Told) -> StoreError {
    if !told.is_forbidden(dialect) {
        return told.explain(title, dialect);
    }
    StoreError::Broken(format!(
        "{title}: its user may not make the tables of schema version {}: have a DBA run stores/schema/{kind}.sql, which `portcullis \
         store schema {kind}` prints, and GRANT SELECT, INSERT, UPDATE, DELETE on its tables to the user ({})",
        migration.version,
        told.explain(title, dialect),
        kind = dialect.schema_kind,
    ))
}

/// After the migrations: each table is there, as it should be, and may be read, changed and deleted from. Nothing is found, and nothing
/// changed.
fn check(session: &mut Session<'_>, title: &str, statements: &[Statements]) -> Result<(), StoreError> {
    let dialect = session.dialect();
    for (table, statements) in tables::ALL.into_iter().zip(statements) {
        let all = [&statements.get, &statements.replace, &statements.take, &statements.list];
        for statement in all.into_iter().chain(&statements.find) {
            probe(session, statement).map_err(|told| {
                let why = told.explain(title, dialect);
                match told.leaves_the_connection(dialect) && !told.is_undone(dialect) {
                    true => StoreError::Broken(format!("{title}: table {} may not be used: {why}", table.name)),
                    false => why,
                }
            })?;
        }
    }
    Ok(())
}

fn probe(session: &mut Session<'_>, statement: &Statement) -> Result<(), Told> {
    let given = Given { key: NO_KEY, value: BEYOND_ASCII, expected: -1, limit: 1, ..Given::default() };
    let values = statement.values(&given, session.dialect());
    let until = std::time::Instant::now();
    session.send(statement, &values, until).map(drop)
}
