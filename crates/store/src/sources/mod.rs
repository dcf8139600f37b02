//! Data sources: one file each, one line in [`SourceSettings::read`].

use std::path::Path;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use crate::handle::Kind;
use crate::source::DataSource;

#[cfg(feature = "cassandra")]
pub mod cassandra;
pub mod file;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "odbc"))]
mod gate;
pub mod memory;
#[cfg(feature = "mysql")]
pub mod mysql;
pub mod odbc;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(test)]
#[cfg_attr(
    not(any(feature = "postgres", feature = "mysql", feature = "redis", feature = "cassandra", feature = "odbc")),
    expect(dead_code, reason = "only servers are far away")
)]
mod relay;
mod secret;
pub use self::secret::schema as secret_schema;
pub mod sqlite;
#[cfg(any(feature = "postgres", feature = "mysql", feature = "redis", feature = "cassandra", feature = "odbc"))]
mod title;

/// Reads a source's own settings type from wherever the caller has its table.
pub trait ReadSettings {
    /// What goes wrong (diagnostics with places).
    type Error;
    /// Reads it.
    fn read<T: DeserializeOwned>(&mut self) -> Result<T, Self::Error>;
}

/// A source's settings: equal ones are the same source, which then stays open over a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSettings {
    /// `type = "memory"`
    Memory(memory::Settings),
    /// `type = "sqlite"`
    Sqlite(sqlite::Settings),
    /// `type = "file"`
    File(file::Settings),
    /// `type = "postgres"`
    #[cfg(feature = "postgres")]
    Postgres(postgres::Settings),
    /// `type = "mysql"`
    #[cfg(feature = "mysql")]
    Mysql(mysql::Settings),
    /// `type = "redis"`
    #[cfg(feature = "redis")]
    Redis(redis::Settings),
    /// `type = "cassandra"`
    #[cfg(feature = "cassandra")]
    Cassandra(cassandra::Settings),
    /// `type = "odbc"`
    #[cfg(feature = "odbc")]
    Odbc(odbc::Settings),
}

impl SourceSettings {
    /// The kinds that this binary knows: `sqlite`, and whether its driver was built in.
    pub const KINDS: &'static [(&'static str, bool)] = &[
        ("memory", true),
        ("sqlite", true),
        ("file", true),
        ("postgres", cfg!(feature = "postgres")),
        ("mysql", cfg!(feature = "mysql")),
        ("redis", cfg!(feature = "redis")),
        ("cassandra", cfg!(feature = "cassandra")),
        ("odbc", cfg!(feature = "odbc")),
    ];

    /// Reads the settings of the source kind `kind`; `None` where there is no such kind, or its driver was not built in.
    pub fn read<R: ReadSettings>(kind: &str, reader: &mut R) -> Option<Result<SourceSettings, R::Error>> {
        Some(match kind {
            "memory" => reader.read().map(SourceSettings::Memory),
            "sqlite" => reader.read().map(SourceSettings::Sqlite),
            "file" => reader.read().map(SourceSettings::File),
            #[cfg(feature = "postgres")]
            "postgres" => reader.read().map(SourceSettings::Postgres),
            #[cfg(feature = "mysql")]
            "mysql" => reader.read().map(SourceSettings::Mysql),
            #[cfg(feature = "redis")]
            "redis" => reader.read().map(SourceSettings::Redis),
            #[cfg(feature = "cassandra")]
            "cassandra" => reader.read().map(SourceSettings::Cassandra),
            #[cfg(feature = "odbc")]
            "odbc" => reader.read().map(SourceSettings::Odbc),
            _ => return None,
        })
    }

    /// The JSON Schema of the settings of the kind `kind`; `None` where [`read`](Self::read) has none.
    pub fn schema(kind: &str, generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(match kind {
            "memory" => memory::Settings::json_schema(generator),
            "sqlite" => sqlite::Settings::json_schema(generator),
            "file" => file::Settings::json_schema(generator),
            #[cfg(feature = "postgres")]
            "postgres" => postgres::Settings::json_schema(generator),
            #[cfg(feature = "mysql")]
            "mysql" => mysql::Settings::json_schema(generator),
            #[cfg(feature = "redis")]
            "redis" => redis::Settings::json_schema(generator),
            #[cfg(feature = "cassandra")]
            "cassandra" => cassandra::Settings::json_schema(generator),
            "odbc" => odbc::Settings::json_schema(generator),
            _ => return None,
        })
    }

    /// Whether its records are seen by this node alone.
    pub fn node_local(&self) -> bool {
        match self {
            SourceSettings::Memory(_) | SourceSettings::Sqlite(_) => true,
            // A part of the configuration, which every node has.
            SourceSettings::File(_) => false,
            #[cfg(feature = "postgres")]
            SourceSettings::Postgres(_) => false,
            #[cfg(feature = "mysql")]
            SourceSettings::Mysql(_) => false,
            #[cfg(feature = "redis")]
            SourceSettings::Redis(_) => false,
            #[cfg(feature = "cassandra")]
            SourceSettings::Cassandra(_) => false,
            #[cfg(feature = "odbc")]
            SourceSettings::Odbc(settings) => settings.node_local(),
        }
    }

    /// Whether it can keep records of this kind: a file that people write has what people write.
    pub fn can_keep(&self, kind: Kind) -> bool {
        !matches!(self, SourceSettings::File(_)) || matches!(kind, Kind::Clients | Kind::Users | Kind::Kps)
    }

    /// Whether the records are in the same place: the same file, the same database, perhaps with other settings.
    pub fn same_place(&self, other: &SourceSettings) -> bool {
        match (self, other) {
            (SourceSettings::Sqlite(this), SourceSettings::Sqlite(other)) => this.path == other.path,
            (SourceSettings::File(this), SourceSettings::File(other)) => this.path == other.path,
            #[cfg(feature = "postgres")]
            (SourceSettings::Postgres(this), SourceSettings::Postgres(other)) => this.same_place(other),
            #[cfg(feature = "mysql")]
            (SourceSettings::Mysql(this), SourceSettings::Mysql(other)) => this.same_place(other),
            #[cfg(feature = "redis")]
            (SourceSettings::Redis(this), SourceSettings::Redis(other)) => this.same_place(other),
            #[cfg(feature = "cassandra")]
            (SourceSettings::Cassandra(this), SourceSettings::Cassandra(other)) => this.same_place(other),
            #[cfg(feature = "odbc")]
            (SourceSettings::Odbc(this), SourceSettings::Odbc(other)) => this.same_place(other),
            _ => false,
        }
    }

    /// Makes the source, without any I/O. Relative paths are relative to `base`.
    pub fn build(&self, name: &str, base: &Path) -> Arc<dyn DataSource> {
        match self {
            SourceSettings::Memory(_) => Arc::new(memory::Memory::new()),
            SourceSettings::Sqlite(settings) => Arc::new(sqlite::Sqlite::new(name, settings, base)),
            SourceSettings::File(settings) => Arc::new(file::File::new(&settings.path, &settings.contents)),
            #[cfg(feature = "postgres")]
            SourceSettings::Postgres(settings) => postgres::build(name, settings),
            #[cfg(feature = "mysql")]
            SourceSettings::Mysql(settings) => mysql::build(name, settings),
            #[cfg(feature = "redis")]
            SourceSettings::Redis(settings) => redis::build(name, settings),
            #[cfg(feature = "cassandra")]
            SourceSettings::Cassandra(settings) => cassandra::build(name, settings),
            #[cfg(feature = "odbc")]
            SourceSettings::Odbc(settings) => odbc::build(name, settings),
        }
    }
}
