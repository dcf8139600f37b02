//! What the driver's and the servers' errors mean: try again later, or mend something, and what.

use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError, MetadataError,
    NewSessionError, PrepareError, RequestAttemptError, UseKeyspaceError,
};

use crate::source::StoreError;
use crate::tables;

/// An error in our words, with the remedy where there is one. `title` says which source.
pub(super) fn explain(title: &str, error: &ExecutionError) -> StoreError {
    match answer(error) {
        Some((told, text)) => told_by_server(title, told, text),
        None => StoreError::Unavailable(format!("{title}: {error}")),
    }
}

/// The same of the first connection.
pub(super) fn explain_connect(title: &str, error: &NewSessionError) -> StoreError {
    let pool = match error {
        NewSessionError::MetadataError(MetadataError::ConnectionPoolError(pool)) => pool,
        NewSessionError::FailedToResolveAnyHostname(names) => {
            return StoreError::Unavailable(format!("{title}: no address is known of {}", names.join(", ")));
        }
        NewSessionError::UseKeyspaceError(error) => return explain_keyspace(title, error),
        error => return StoreError::Unavailable(format!("{title}: {error}")),
    };
    match refused(pool) {
        Some((told, text)) => told_by_server(title, told, text),
        None if asks_for_password(pool) => StoreError::Broken(format!(
            "{title}: the servers ask for a role and its password: write `user` and `password` in stores.toml"
        )),
        None => StoreError::Unavailable(format!("{title}: no server can be reached: {pool}")),
    }
}

/// The same of the keyspace.
pub(super) fn explain_keyspace(title: &str, error: &UseKeyspaceError) -> StoreError {
    match error {
        UseKeyspaceError::RequestError(RequestAttemptError::DbError(told, text)) => told_by_server(title, told, text),
        error => StoreError::Unavailable(format!("{title}: {error}")),
    }
}

/// Whether there was no connection to send it over: what the driver does by itself may take it longer than we may wait.
pub(super) fn is_unconnected(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::ConnectionPoolError(_)
            | ExecutionError::EmptyPlan
            | ExecutionError::PrepareError(PrepareError::ConnectionPoolError(_))
            | ExecutionError::PrepareError(PrepareError::AllAttemptsFailed {
                first_attempt: RequestAttemptError::BrokenConnectionError(_),
            })
            | ExecutionError::LastAttemptError(RequestAttemptError::BrokenConnectionError(_))
    )
}

/// What a server said.
fn answer(error: &ExecutionError) -> Option<(&DbError, &str)> {
    match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(told, text))
        | ExecutionError::PrepareError(PrepareError::AllAttemptsFailed {
            first_attempt: RequestAttemptError::DbError(told, text),
        }) => Some((told, text)),
        ExecutionError::ConnectionPoolError(pool)
        | ExecutionError::PrepareError(PrepareError::ConnectionPoolError(pool)) => refused(pool),
        _ => None,
    }
}

/// What a server said to a connection.
fn refused(pool: &ConnectionPoolError) -> Option<(&DbError, &str)> {
    match pool {
        ConnectionPoolError::Broken {
            last_connection_error: ConnectionError::ConnectionSetupRequestError(request),
        } => match &request.error {
            ConnectionSetupRequestErrorKind::DbError(told, text) => Some((told, text)),
            _ => None,
        },
        _ => None,
    }
}

fn asks_for_password(pool: &ConnectionPoolError) -> bool {
    matches!(
        pool,
        ConnectionPoolError::Broken { last_connection_error: ConnectionError::ConnectionSetupRequestError(request) }
            if matches!(request.error, ConnectionSetupRequestErrorKind::MissingAuthentication)
    )
}

/// Whether it goes by itself or somebody must mend it, and how.
enum Verdict {
    Later(&'static str),
    Mend(&'static str),
}

fn told_by_server(title: &str, told: &DbError, text: &str) -> StoreError {
    let verdict = match told {
        // Carried out or not: the replicas that did not answer may have it. Never "no".
        DbError::WriteTimeout { .. } | DbError::WriteFailure { .. } => {
            Verdict::Later("whether it was written is not known")
        }
        DbError::Unavailable { .. } => {
            Verdict::Later("too few replicas are up: is `datacenter` one that the keyspace has replicas in?")
        }
        DbError::ReadTimeout { .. }
        | DbError::ReadFailure { .. }
        | DbError::Overloaded
        | DbError::IsBootstrapping
        | DbError::TruncateError
        | DbError::RateLimitReached { .. }
        | DbError::Unprepared { .. }
        | DbError::ServerError => Verdict::Later(""),
        // Passwords are changed under running nodes: the new one is taken up as soon as it is there.
        DbError::AuthenticationError => Verdict::Later("mend `user` or `password` in stores.toml"),
        DbError::Unauthorized => Verdict::Mend("GRANT SELECT and MODIFY ON KEYSPACE to the role"),
        DbError::Invalid
            if ["does not exist", "unconfigured", "Undefined column"].iter().any(|word| text.contains(word)) =>
        {
            Verdict::Mend(tables::LACKS)
        }
        // The protocol has one number for what a server cannot do for now that none of the above says (CAS_WRITE_UNKNOWN).
        DbError::Other(0x1700) => Verdict::Later("whether it was written is not known"),
        _ => Verdict::Mend(""),
    };
    match verdict {
        Verdict::Later("") => StoreError::Unavailable(format!("{title}: {text}")),
        Verdict::Later(remedy) => StoreError::Unavailable(format!("{title}: {text}: {remedy}")),
        Verdict::Mend("") => StoreError::Broken(format!("{title}: {text}")),
        Verdict::Mend(remedy) => StoreError::Broken(format!("{title}: {text}: {remedy}")),
    }
}

#[cfg(test)]
mod tests {
    use scylla::errors::WriteType;
    use scylla::frame::types::Consistency;

    use super::*;

    fn said(told: DbError) -> StoreError {
        explain("Cassandra k", &ExecutionError::LastAttemptError(RequestAttemptError::DbError(told, "text".into())))
    }

    /// A transaction whose outcome is not known is never answered with "no", nor is it a mistake in the settings.
    #[test]
    fn an_unknown_outcome_is_unavailable() {
        let (consistency, received, required) = (Consistency::LocalQuorum, 1, 2);
        let types = [WriteType::Simple, WriteType::Cas, WriteType::Other("NEW".into())];
        let unknown = types.into_iter().flat_map(|write_type| {
            [
                DbError::WriteTimeout { consistency, received, required, write_type: write_type.clone() },
                DbError::WriteFailure { consistency, received, required, numfailures: 1, write_type },
            ]
        });
        for told in unknown.chain([DbError::Other(0x1700)]) {
            let error = said(told);
            assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("not known")), "{error}");
        }
    }

    #[test]
    fn what_goes_by_itself_and_what_must_be_mended() {
        let (consistency, required, alive) = (Consistency::LocalQuorum, 2, 1);
        for told in [
            DbError::Unavailable { consistency, required, alive },
            DbError::Overloaded,
            DbError::IsBootstrapping,
            DbError::ServerError,
            DbError::AuthenticationError,
        ] {
            assert!(matches!(said(told.clone()), StoreError::Unavailable(_)), "{told:?}");
        }
        for told in [DbError::Unauthorized, DbError::SyntaxError, DbError::Invalid] {
            assert!(matches!(said(told.clone()), StoreError::Broken(_)), "{told:?}");
        }
    }
}
