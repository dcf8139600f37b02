//! What the driver's and the server's errors mean: try again later, or mend something, and what.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use crate::source::StoreError;
use crate::tables;

/// An error in our words, with the remedy where there is one. `title` says which source.
pub(super) fn explain(title: &str, error: &Error) -> StoreError {
    let Some(told) = error.as_db_error() else {
        let text = text(error);
        // The driver's words, when it has asked a new connection.
        return StoreError::Unavailable(match text.contains("does not allow writes") {
            true => format!("{title}: {text}: {ONLY_READS}"),
            false => format!("{title}: {text}"),
        });
    };
    let told_text = format!("{title}: {} (SQLSTATE {})", told.message(), told.code().code());
    match remedy(told) {
        Verdict::Later("") => StoreError::Unavailable(told_text),
        Verdict::Later(remedy) => StoreError::Unavailable(format!("{told_text}: {remedy}")),
        Verdict::Mend("") => StoreError::Broken(told_text),
        Verdict::Mend(remedy) => StoreError::Broken(format!("{told_text}: {remedy}")),
    }
}

/// What a server that cannot be written to is, and what to do.
pub(super) const ONLY_READS: &str =
    "the server is a standby, or was set to read only; name the primary in the url, or all hosts";

/// Whether it goes by itself or somebody must mend it, and how.
enum Verdict {
    Later(&'static str),
    Mend(&'static str),
}

fn remedy(told: &DbError) -> Verdict {
    let code = told.code();
    match code.code() {
        "08P01" => Verdict::Later(pooler(told.message())),
        "53300" => Verdict::Later("lower max_connections in stores.toml, or raise the server's"),
        "53100" => Verdict::Later("the server's disk is full"),
        // A cluster that fails over: the primary of before now only reads; a new connection finds the new one.
        "25006" => Verdict::Later(ONLY_READS),
        // Cancelled, locked, serialization, deadlock; starting, stopping or crashed.
        "57014" | "55P03" | "40001" | "40P01" | "57P01" | "57P02" | "57P03" | "57P05" => Verdict::Later(""),
        // A name that the connection does not know, or knows already: a pooler in transaction mode, and prepared_statements = true.
        "26000" | "42P05" => Verdict::Mend(
            "a pooler in transaction mode stands between: take prepared_statements = true out of stores.toml",
        ),
        "42501" => Verdict::Mend(
            "GRANT SELECT, INSERT, UPDATE, DELETE on the tables of stores/schema/postgres.sql to the role",
        ),
        "42P01" | "42703" => Verdict::Mend(tables::LACKS),
        // Passwords are changed under running nodes: the new one is taken up as soon as it is there.
        "28P01" | "28000" => Verdict::Later("mend the user or password in its url, or the server's pg_hba.conf"),
        "3D000" => Verdict::Mend("create the database, or mend its name in the url"),
        "22P05" | "22021" => Verdict::Mend("PostgreSQL keeps no NUL character"),
        _ => match &code.code()[..2] {
            "08" | "53" | "57" | "58" => Verdict::Later(""),
            _ => Verdict::Mend(""),
        },
    }
}

/// PgBouncer has one code for all that it refuses: what to do, by its words. It goes by itself where the pooler is set up anew.
fn pooler(told: &str) -> &'static str {
    let is = |words: &[&str]| words.iter().any(|word| told.contains(word));
    if is(&["password authentication failed", "no such user", "auth failed"]) {
        "the pooler or the server behind it refuses the log-in: mend the user or password in its url, or the pooler's"
    } else if is(&["server_login_retry", "server login failed", "cannot connect to server"]) {
        "the pooler does not reach the server, and tries it again after its server_login_retry"
    } else if is(&["max_client_conn", "no such database", "database is disabled", "is disabled"]) {
        "the pooler refuses: mend its settings, or max_connections in stores.toml"
    } else {
        ""
    }
}

/// Whether the connection went away, so that nobody knows what became of the statement.
pub(super) fn is_lost(error: &Error) -> bool {
    match error.as_db_error() {
        Some(told) => {
            matches!(*told.code(), SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW)
        }
        None => true,
    }
}

/// Whether the connection must not be used again though it stands: after a fail-over it leads to a server that only reads.
pub(super) fn is_stale(error: &Error) -> bool {
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

/// The error with its causes: the driver's own text is only "error connecting to server".
fn text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As PgBouncer 1.18 says them.
    #[test]
    fn a_poolers_words_have_a_remedy() {
        for (told, remedy) in [
            ("password authentication failed", "mend the user or password"),
            (r#"password authentication failed for user "u1""#, "mend the user or password"),
            ("server login has been failing, try again later (server_login_retry)", "server_login_retry"),
            ("no more connections allowed (max_client_conn)", "max_connections in stores.toml"),
            ("no such database: k1", "mend its settings"),
            ("query_wait_timeout", ""),
        ] {
            let found = pooler(told);
            assert!(found.contains(remedy) && found.is_empty() == remedy.is_empty(), "{told}: {found}");
        }
    }
}
