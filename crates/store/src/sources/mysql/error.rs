//! What the driver's and the server's errors mean: try again later, or mend something, and what.

use mysql_async::{DriverError, Error, IoError};

use crate::source::StoreError;
use crate::tables;

/// The key exists already.
const DUPLICATE: u16 = 1062;
/// Waited too long for a lock; chosen to end a deadlock.
const LOCKED: [u16; 2] = [1205, 1213];
/// The server is shutting down, or ended the connection.
const ENDED: [u16; 5] = [1053, 1152, 1927, 3169, 4031];
/// The server only reads.
const READ_ONLY: [u16; 3] = [1290, 1792, 1836];
/// What it is then, and what to do.
pub(super) const ONLY_READS: &str = "the server only reads (a replica?): name the primary in the url";
/// The user may not do that with the table, with a column of it, or in the database.
const NO_RIGHT: [u16; 4] = [1044, 1142, 1143, 1370];

/// An error in our words, with the remedy where there is one. `title` says which source.
pub(super) fn explain(title: &str, error: &Error) -> StoreError {
    let (told, verdict) = match error {
        Error::Server(told) => (format!("{} (error {})", told.message, told.code), remedy(told.code)),
        Error::Driver(DriverError::UnknownAuthPlugin { .. } | DriverError::CleartextPluginDisabled) => (
            error.to_string(),
            Verdict::Mend("let the user log in with mysql_native_password, or with caching_sha2_password"),
        ),
        Error::Driver(DriverError::PacketTooLarge) => (error.to_string(), Verdict::Mend(PACKET)),
        // By itself it would say twice that it is one of input and output.
        Error::Io(IoError::Io(why)) => (why.to_string(), Verdict::Later("")),
        other => (other.to_string(), Verdict::Later("")),
    };
    let with = |remedy: &str| match remedy {
        "" => format!("{title}: {told}"),
        remedy => format!("{title}: {told}: {remedy}"),
    };
    match verdict {
        Verdict::Later(remedy) => StoreError::Unavailable(with(remedy)),
        Verdict::Mend(remedy) => StoreError::Broken(with(remedy)),
    }
}

/// Whether it goes by itself or somebody must mend it, and how.
enum Verdict {
    Later(&'static str),
    Mend(&'static str),
}

const PACKET: &str = "raise the server's max_allowed_packet";

fn remedy(code: u16) -> Verdict {
    match code {
        1040 | 1203 | 1226 => Verdict::Later("lower max_connections in stores.toml, or raise the server's"),
        1461 => Verdict::Later("raise the server's max_prepared_stmt_count"),
        1021 | 1114 | 1026 => Verdict::Later("the server's disk is full"),
        // A cluster that fails over: the primary of before now only reads; a new connection may find the new one.
        code if READ_ONLY.contains(&code) => Verdict::Later(ONLY_READS),
        code if LOCKED.contains(&code) || ENDED.contains(&code) => Verdict::Later(""),
        // Out of memory; blocked hosts; interrupted; over the time limit (1969 MariaDB, 3024 MySQL); a Galera node that is not ready.
        1037 | 1041 | 1047 | 1129 | 1158..=1161 | 1317 | 1969 | 3024 => Verdict::Later(""),
        // Passwords are changed under running nodes: the new one is taken up as soon as it is there.
        1045 | 1698 | 1862 | 4151 => Verdict::Later("mend the user or password in its url, or the server's users"),
        1049 => Verdict::Mend("create the database, or mend its name in the url"),
        1054 | 1146 => Verdict::Mend(tables::LACKS),
        code if NO_RIGHT.contains(&code) => {
            Verdict::Mend("GRANT SELECT, INSERT, UPDATE, DELETE on the database to the user")
        }
        1153 => Verdict::Mend(PACKET),
        _ => Verdict::Mend(""),
    }
}

fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Server(told) => Some(told.code),
        _ => None,
    }
}

/// Whether the server says that the key exists.
pub(super) fn is_duplicate(error: &Error) -> bool {
    code(error) == Some(DUPLICATE)
}

/// Whether the connection went away, so that nobody knows what became of the statement.
pub(super) fn is_lost(error: &Error) -> bool {
    code(error).is_none_or(|code| ENDED.contains(&code))
}

/// Whether the connection must not be used again though it stands: after a fail-over it leads to a server that only reads.
pub(super) fn is_stale(error: &Error) -> bool {
    code(error).is_some_and(|code| READ_ONLY.contains(&code))
}

/// Whether the statement, which is all of its transaction, was undone for somebody else's lock: it may be sent again.
pub(super) fn is_undone(error: &Error) -> bool {
    code(error).is_some_and(|code| LOCKED.contains(&code))
}

/// Whether a right is missing.
pub(super) fn is_forbidden(error: &Error) -> bool {
    code(error).is_some_and(|code| NO_RIGHT.contains(&code))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn an_error_of_the_connection_says_once_what_it_is() {
        let refused = Error::from(std::io::Error::from(ErrorKind::ConnectionRefused));
        assert_eq!(
            explain("MariaDB h:1/d", &refused),
            StoreError::Unavailable("MariaDB h:1/d: connection refused".into())
        );
    }
}
