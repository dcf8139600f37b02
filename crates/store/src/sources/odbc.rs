//! Any database with an ODBC driver: Oracle Database, Db2, SQL Server and others. OAG: a database connection behind the OAuth2 stores.
//!
//! The settings are in every build, so that they are explained and checked the same way; what speaks ODBC is there with the feature `odbc`,
//! which links unixODBC.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

mod connection;
#[cfg(feature = "odbc")]
mod dialect;
#[cfg(feature = "odbc")]
mod error;
#[cfg(feature = "odbc")]
mod pool;
#[cfg(feature = "odbc")]
mod schema;
#[cfg(feature = "odbc")]
mod session;
#[cfg(feature = "odbc")]
mod statement;
#[cfg(feature = "odbc")]
#[cfg(test)]
mod tests;
#[cfg(feature = "odbc")]
mod verbs;

pub use connection::ConnectionString;
#[cfg(feature = "odbc")]
pub use verbs::{Odbc, build};

/// `[source.NAME] type = "odbc"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The ODBC connection string, a secret: `{ env = "OAUTH_DB" }` holding `Driver={PostgreSQL Unicode};Server=db.example.com;Database=oauth;Uid=portcullis;Pwd={...}`,
    /// with the words that the driver knows, or `DSN=oauth;Uid=portcullis;Pwd={...}`.
    pub connection: ConnectionString,
    /// Which SQL the database speaks.
    pub dialect: Name,
    /// The most connections that this node opens, each with a thread. All nodes' together must stay below what the database allows.
    #[serde(default = "sixteen", deserialize_with = "connections")]
    #[schemars(range(min = 1, max = 256))]
    pub max_connections: u32,
}

fn sixteen() -> u32 {
    16
}

fn connections<'de, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    match u32::deserialize(d)? {
        n @ 1..=256 => Ok(n),
        n => Err(serde::de::Error::custom(format!("max_connections is {n}; it must be from 1 to 256"))),
    }
}

impl Settings {
    /// Whether both mean the same tables: another password or other limits change nothing about that.
    pub fn same_place(&self, other: &Settings) -> bool {
        match (self.connection.parse(), other.connection.parse()) {
            (Ok(this), Ok(that)) => this.identity() == that.identity(),
            _ => self == other,
        }
    }

    /// Whether its records are seen by this node alone.
    pub fn node_local(&self) -> bool {
        self.dialect == Name::Sqlite
    }
}

/// Which SQL the database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Name {
    /// Oracle Database 12.2 and later.
    Oracle,
    /// Db2 for Linux, UNIX and Windows 11.1 and later.
    Db2,
    /// Microsoft SQL Server 2016 and later.
    Mssql,
    /// PostgreSQL; the tables are those of `type = "postgres"`.
    Postgres,
    /// MariaDB and MySQL; the tables are those of `type = "mysql"`.
    Mysql,
    /// SQLite; the tables are those of `type = "sqlite"`.
    Sqlite,
}
