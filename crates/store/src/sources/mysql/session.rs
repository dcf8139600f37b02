//! One connection: what is set on each, and how a statement goes over it.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, Params, Row, ServerError, Value};

use super::error::is_duplicate;
use super::statement::Statement;

/// How long a statement waits for somebody else's lock.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(1);

/// Whatever the server's own defaults are. Strict: what does not fit is an error, never cut off. READ COMMITTED: a statement sees what
/// was committed before it began, and locks what it changes, no gaps. Clocks are told in UTC. Lock waits are in seconds, at least one.
const SETTINGS: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
     SET NAMES utf8mb4, autocommit = 1, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', \
     time_zone = '+00:00', innodb_lock_wait_timeout = 1, lock_wait_timeout = 1";

/// Which server it is, and whether it only reads.
const SERVER: &str = "SELECT VERSION(), CONCAT(@@global.read_only) IN ('1', 'ON')";
/// What a server says of a write then.
const READ_ONLY: u16 = 1290;

/// The server stops what takes longer, also when nobody waits for it any more.
const LIMIT_MARIADB: &str = "SET max_statement_time = 3";
/// MySQL stops only what reads; what writes is bounded by the lock waits.
const LIMIT_MYSQL: &str = "SET max_execution_time = 3000";

/// A connection that was set up.
pub(super) struct Session {
    pub(super) conn: Conn,
    pub(super) server: Server,
    /// Whether a transaction broke off on it.
    pub(super) spoiled: bool,
    /// How often the pool had ended its idle connections when it was made.
    pub(super) turn: u64,
}

/// What a statement answered: rows, or how many it changed.
pub(super) struct Reply {
    pub(super) rows: Vec<Row>,
    pub(super) count: u64,
}

/// Which server it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) mariadb: bool,
    /// `10.11.19`
    pub(super) version: String,
}

impl Server {
    /// From what `VERSION()` says: `10.11.19-MariaDB-0+deb12u1`, `8.0.39`.
    pub(super) fn new(told: &str) -> Self {
        Server { mariadb: told.contains("MariaDB"), version: told.split(['-', '+']).next().unwrap_or("").to_owned() }
    }

    /// `MariaDB 10.11.19`
    pub(super) fn name(&self) -> String {
        format!("{} {}", if self.mariadb { "MariaDB" } else { "MySQL" }, self.version)
    }

    /// Whether it checks what `CHECK` says, and does what the verbs need; what it would have to be.
    pub(super) fn too_old(&self) -> Option<&'static str> {
        let mut numbers = self.version.split('.').map(|number| number.parse().unwrap_or(0u32));
        let mut next = || numbers.next().unwrap_or(0);
        let version = (next(), next(), next());
        match self.mariadb {
            true => (version < (10, 6, 0)).then_some("MariaDB 10.6"),
            false => (version < (8, 0, 16)).then_some("MySQL 8.0.16"),
        }
    }
}

impl Session {
    /// Connects, logs in, and sets what every statement relies on.
    pub(super) async fn open(opts: Opts) -> Result<Self, Error> {
        let mut conn = Conn::new(opts).await?;
        let told: Option<(String, bool)> = conn.query_first(SERVER).await?;
        let (version, read_only) = told.unwrap_or_default();
        // What a replica answers may be long past. Each connection is asked, so that a fail-over is noticed.
        if read_only {
            let (code, state) = (READ_ONLY, "HY000".to_owned());
            return Err(Error::Server(ServerError { code, message: "read_only is on".to_owned(), state }));
        }
        let server = Server::new(&version);
        let limit = if server.mariadb { LIMIT_MARIADB } else { LIMIT_MYSQL };
        conn.query_drop(format!("{SETTINGS}; {limit}")).await?;
        Ok(Session { conn, server, spoiled: false, turn: 0 })
    }

    /// Sends a statement, prepared once a connection, and waits for all of its answer.
    pub(super) async fn send(&mut self, statement: &Statement, values: &[Value]) -> Result<Reply, Error> {
        let values = || Params::Positional(values.to_vec());
        match statement {
            Statement::Read(sql) => Ok(Reply { rows: self.conn.exec(sql, values()).await?, count: 0 }),
            Statement::Write(sql) => {
                self.conn.exec_drop(sql, values()).await?;
                Ok(Reply { rows: Vec::new(), count: self.conn.affected_rows() })
            }
            Statement::Insert(sql) => match self.conn.exec_drop(sql, values()).await {
                Ok(()) => Ok(Reply { rows: Vec::new(), count: 1 }),
                Err(error) if is_duplicate(&error) => Ok(Reply { rows: Vec::new(), count: 0 }),
                Err(error) => Err(error),
            },
            // The server sends the row at once and the end of the answer after the commit: both are waited for.
            Statement::Take { returning: Some(returning), .. } if self.server.mariadb => {
                Ok(Reply { rows: self.conn.exec(returning, values()).await?, count: 0 })
            }
            Statement::Take { lock, delete, .. } => {
                // Until it is committed, the connection is good for nothing else.
                self.spoiled = true;
                self.conn.query_drop("START TRANSACTION").await?;
                let rows: Vec<Row> = self.conn.exec(lock, values()).await?;
                if !rows.is_empty() {
                    self.conn.exec_drop(delete, values()).await?;
                }
                self.conn.query_drop("COMMIT").await?;
                self.spoiled = false;
                Ok(Reply { rows, count: 0 })
            }
        }
    }
}

/// What the server's settings may cost when it or its machine crashes; none where every answered write is kept.
pub(super) fn undurable(flush_log: i64, log_bin: i64, sync_binlog: i64) -> Option<String> {
    let risk = "a crash of its machine may lose tokens that were answered";
    match (flush_log, log_bin, sync_binlog) {
        (1, 0, _) | (1, _, 1) => None,
        (1, ..) => Some(format!("log_bin is on and sync_binlog is {sync_binlog}, not 1: {risk}")),
        _ => Some(format!("innodb_flush_log_at_trx_commit is {flush_log}, not 1: {risk}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_apart_and_old_ones_refused() {
        for (told, name, needed) in [
            ("10.11.19-MariaDB-0+deb12u1", "MariaDB 10.11.19", None),
            ("10.6.0-MariaDB", "MariaDB 10.6.0", None),
            ("10.5.29-MariaDB-log", "MariaDB 10.5.29", Some("MariaDB 10.6")),
            ("11.4.2-MariaDB", "MariaDB 11.4.2", None),
            ("8.0.16", "MySQL 8.0.16", None),
            ("8.4.0-commercial", "MySQL 8.4.0", None),
            ("8.0.15", "MySQL 8.0.15", Some("MySQL 8.0.16")),
            ("5.7.44-log", "MySQL 5.7.44", Some("MySQL 8.0.16")),
        ] {
            let server = Server::new(told);
            assert_eq!((server.name().as_str(), server.too_old()), (name, needed), "{told}");
        }
    }

    #[test]
    fn answers_are_durable_only_where_the_log_is_synced() {
        assert_eq!(undurable(1, 0, 0), None);
        assert_eq!(undurable(1, 1, 1), None);
        assert!(undurable(1, 1, 0).unwrap().contains("sync_binlog is 0"));
        assert!(undurable(2, 1, 1).unwrap().contains("innodb_flush_log_at_trx_commit is 2"));
    }
}
