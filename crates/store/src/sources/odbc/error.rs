//! What the driver manager, the driver and the database say: try again later, or mend something, and what.

use odbc_api::Error;

use super::dialect::Dialect;
use crate::source::StoreError;
use crate::tables;

/// A diagnostic record, without what it must not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The SQLSTATE; empty where there is none.
    pub(super) state: String,
    /// The database's own code.
    pub(super) native: i32,
    text: String,
}

impl Told {
    /// From the driver's error. `secret` is taken out of its text, should it stand there.
    pub(super) fn new(error: &Error, secret: &str) -> Self {
        let (state, native, text) = match error {
            Error::Diagnostics { record, .. }
            | Error::UnsupportedOdbcApiVersion(record)
            | Error::UnableToRepresentNull(record)
            | Error::OracleOdbcDriverDoesNotSupport64Bit(record) => (
                record.state.as_str().to_owned(),
                record.native_error,
                String::from_utf8_lossy(&record.message).into_owned(),
            ),
            other => (String::new(), 0, other.to_string()),
        };
        // One line, whatever the database sends.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = if secret.is_empty() { text } else { text.replace(secret, "***") };
        Told { state, native, text }
    }

    /// Of our own making: for the log.
    pub(super) fn ours(text: impl Into<String>) -> Self {
        Told { state: String::new(), native: 0, text: text.into() }
    }

    /// Something of which nobody knows what became of it, whatever the database says: its connection is not used again.
    pub(super) fn unknown(self, what: &str) -> Self {
        Told::ours(format!("{what}: {}", self.text))
    }

    fn says(&self, phrase: &str) -> bool {
        self.text.contains(phrase)
    }

    fn class(&self) -> &str {
        self.state.get(..2).unwrap_or("")
    }

    /// Whether the key exists.
    pub(super) fn is_duplicate(&self, dialect: &Dialect) -> bool {
        dialect.codes.exists.contains(&self.native) || (self.state == "23505" && dialect.or_nothing.is_empty())
    }

    /// Whether there is no such table.
    pub(super) fn is_no_table(&self, dialect: &Dialect) -> bool {
        matches!(self.state.as_str(), "42S02" | "42P01")
            || dialect.codes.no_table.contains(&self.native)
            || self.says("no such table")
    }

    /// Whether a CREATE, or the note of a migration, found what it makes.
    pub(super) fn is_made_already(&self, dialect: &Dialect) -> bool {
        matches!(self.state.as_str(), "42S01" | "42S11" | "42P07")
            || dialect.codes.made.contains(&self.native)
            || self.is_duplicate(dialect)
    }

    /// Whether a right is missing.
    pub(super) fn is_forbidden(&self, dialect: &Dialect) -> bool {
        self.state == "42501" || dialect.codes.forbidden.contains(&self.native)
    }

    /// Whether the statement, which is all of its transaction, was undone for somebody else's lock: it may be sent again.
    pub(super) fn is_undone(&self, dialect: &Dialect) -> bool {
        matches!(self.state.as_str(), "40001" | "40P01") || dialect.codes.deadlock.contains(&self.native)
    }

    /// Whether the time limit ended it.
    pub(super) fn is_late(&self) -> bool {
        matches!(self.state.as_str(), "HYT00" | "57014" | "55P03" | "HY008" | "S1T00")
    }

    /// Whether the connection may be used again: only after what the database says of the statement itself.
    pub(super) fn leaves_the_connection(&self, dialect: &Dialect) -> bool {
        matches!(self.class(), "22" | "23" | "42")
            || self.is_undone(dialect)
            || self.is_duplicate(dialect)
            || self.is_forbidden(dialect)
            || self.is_no_table(dialect)
            || dialect.codes.refused.contains(&self.native)
    }

    /// In our words, with the remedy where there is one. `title` says which source.
    pub(super) fn explain(&self, title: &str, dialect: &Dialect) -> StoreError {
        let told = match (self.state.as_str(), self.native) {
            ("", _) => format!("{title}: {}", self.text),
            (state, 0) => format!("{title}: {} (SQLSTATE {state})", self.text),
            (state, native) => format!("{title}: {} (SQLSTATE {state}, code {native})", self.text),
        };
        match self.verdict(dialect) {
            Verdict::Later("") => StoreError::Unavailable(told),
            Verdict::Later(remedy) => StoreError::Unavailable(format!("{told}: {remedy}")),
            Verdict::Mend(remedy) if remedy.is_empty() => StoreError::Broken(told),
            Verdict::Mend(remedy) => StoreError::Broken(format!("{told}: {remedy}")),
        }
    }

    fn verdict(&self, dialect: &Dialect) -> Verdict {
        let mend = |remedy: &str| Verdict::Mend(remedy.to_owned());
        if dialect.codes.later.contains(&self.native) {
            return Verdict::Later("");
        }
        if self.is_forbidden(dialect) {
            return mend("GRANT SELECT, INSERT, UPDATE, DELETE on the tables of the schema to the user");
        }
        if self.is_no_table(dialect) || matches!(self.state.as_str(), "42S22" | "42703") {
            return Verdict::Mend(format!("{} (stores/schema/{}.sql)", tables::LACKS, dialect.schema_kind));
        }
        if self.class() == "28" || PASSWORD.iter().any(|phrase| self.says(phrase)) {
            // Passwords are changed under running nodes: the new one is taken up as soon as it is there.
            return Verdict::Later("mend the user or password in its connection, or the database's users");
        }
        if self.state == "3D000" || NO_DATABASE.iter().any(|phrase| self.says(phrase)) {
            return mend("create the database, or mend its name in the connection");
        }
        if matches!(self.state.as_str(), "IM002" | "IM003" | "IM004") || self.says("Can't open lib") {
            return mend("install the ODBC driver, and name it in the connection as `odbcinst -q -d` lists it");
        }
        if self.says("to the current locale") {
            return mend("start this program with a UTF-8 locale (LC_ALL=C.UTF-8)");
        }
        if dialect.codes.refused.contains(&self.native) {
            return mend("");
        }
        match self.class() {
            "22" | "23" | "42" | "21" | "IM" => mend(""),
            // What is not known for sure may go by itself.
            _ => Verdict::Later(""),
        }
    }
}

/// Whether it goes by itself or somebody must mend it, and how.
enum Verdict {
    Later(&'static str),
    Mend(String),
}

/// Refusals to log in that come with the SQLSTATE of a connection that failed.
const PASSWORD: [&str; 4] =
    ["password authentication failed", "Access denied for user", "Login failed for user", "ORA-01017"];

/// The same of databases.
const NO_DATABASE: [&str; 2] = ["does not exist", "Unknown database"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::odbc::Name;

    fn told(state: &str, native: i32, text: &str) -> Told {
        Told { state: state.to_owned(), native, text: text.to_owned() }
    }

    #[test]
    fn the_key_exists_in_every_dialect_that_says_so() {
        for (name, state, native) in [
            (Name::Oracle, "23000", 1),
            (Name::Db2, "23505", -803),
            (Name::Mssql, "23000", 2627),
            (Name::Mysql, "23000", 1062),
        ] {
            let dialect = name.dialect();
            assert!(told(state, native, "").is_duplicate(dialect), "{name:?}");
            assert!(told(state, native, "").leaves_the_connection(dialect), "{name:?}");
            // NOT NULL and the like: the same SQLSTATE, another thing.
            assert!(!told("23000", 4711, "").is_duplicate(dialect), "{name:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_unavailable_and_its_connection_is_not_used_again() {
        for name in Name::ALL {
            for (state, native) in [("", 0), ("HY000", 0), ("HY000", 4711), ("08S01", 0), ("HYT00", 0), ("57P01", 0)] {
                let told = told(state, native, "?");
                assert!(matches!(told.explain("it", name.dialect()), StoreError::Unavailable(_)), "{name:?} {told:?}");
                assert!(!told.leaves_the_connection(name.dialect()), "{name:?} {told:?}");
            }
        }
    }

    #[test]
    fn remedies_are_named() {
        for (name, state, native, text, remedy) in [
            (Name::Oracle, "42S02", 942, "", "stores/schema/odbc-oracle.sql"),
            (Name::Db2, "42S02", -204, "", "stores/schema/odbc-db2.sql"),
            (Name::Mssql, "42S02", 208, "", "stores/schema/odbc-mssql.sql"),
            (Name::Oracle, "42000", 1031, "", "GRANT SELECT"),
            (Name::Mssql, "01000", 0, "Can't open lib 'x' : file not found", "install the ODBC driver"),
        ] {
            let error = told(state, native, text).explain("it", name.dialect());
            assert!(matches!(&error, StoreError::Broken(why) if why.contains(remedy)), "{error}");
        }
        for (name, native, text) in [
            (Name::Mssql, 18456, "Login failed for user 'x'"),
            (Name::Oracle, 1017, "ORA-01017: invalid username/password"),
        ] {
            let error = told("28000", native, text).explain("it", name.dialect());
            assert!(
                matches!(&error, StoreError::Unavailable(why) if why.contains("mend the user or password")),
                "{error}"
            );
        }
    }
}
