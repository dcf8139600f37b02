//! Versioned migrations: which there are, and which are to be applied to a source.
//!
//! A schema file (`stores/schema/*.sql`) holds all migrations of a source, each below a line `-- migration N, readable by M`,
//! and each ends by noting itself in `portcullis_schema`. A source applies each one in a transaction under a lock, so that two
//! nodes that start at once do not meet. `readable by` is the lowest number that a program must know to work with the result:
//! during a rolling upgrade the version before goes on, as long as a migration allows it.

use crate::source::StoreError;

/// One step of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number, from 1, without gaps.
    pub version: u32,
    /// The lowest version that a program must know to work with a schema of this version.
    pub readable_by: u32,
    /// The statements; running them again changes nothing.
    pub sql: &'static str,
}

/// The version that this program knows: that of the last migration in every schema file.
pub const CURRENT: u32 = 4;

/// The schema of SQLite sources, as a DBA reads it.
pub const SQLITE: &str = include_str!("../../../stores/schema/sqlite.sql");

/// The schema of PostgreSQL sources, as a DBA reads it.
pub const POSTGRES: &str = include_str!("../../../stores/schema/postgres.sql");

/// The schema of MySQL and MariaDB sources, as a DBA reads it.
pub const MYSQL: &str = include_str!("../../../stores/schema/mysql.sql");

/// The keys of Redis sources, as an administrator reads it.
pub const REDIS: &str = include_str!("../../../stores/schema/redis.txt");

/// The schema of Cassandra sources, as a DBA reads it.
pub const CASSANDRA: &str = include_str!("../../../stores/schema/cassandra.cql");

/// The schema of ODBC sources on Oracle Database, as a DBA reads it. Those of other dialects are above.
pub const ORACLE: &str = include_str!("../../../stores/schema/odbc-oracle.sql");

/// The schema of ODBC sources on Db2, as a DBA reads it.
pub const DB2: &str = include_str!("../../../stores/schema/odbc-db2.sql");

/// The schema of ODBC sources on SQL Server, as a DBA reads it.
pub const MSSQL: &str = include_str!("../../../stores/schema/odbc-mssql.sql");

/// The line that opens a migration in a schema file.
const HEAD: &str = "-- migration ";

/// Takes a schema file apart. The text is part of the program: a head that cannot be read is a mistake that a test finds.
pub fn parse(schema: &'static str) -> Vec<Migration> {
    let mut migrations: Vec<Migration> = Vec::new();
    let mut starts: Vec<(usize, usize)> = schema
        .match_indices(HEAD)
        .filter(|(at, _)| *at == 0 || schema.as_bytes()[at - 1] == b'\n')
        .map(|(at, _)| (at, schema[at..].find('\n').map_or(schema.len(), |end| at + end)))
        .collect();
    starts.push((schema.len(), schema.len()));
    for window in starts.windows(2) {
        let (at, end) = window[0];
        let numbers = schema[at + HEAD.len()..end].split_once(", readable by ");
        let numbers = numbers.and_then(|(version, by)| Some((version.trim().parse().ok()?, by.trim().parse().ok()?)));
        if let Some((version, readable_by)) = numbers {
            migrations.push(Migration { version, readable_by, sql: &schema[end..window[1].0] });
        }
    }
    migrations
}

/// The newest version that a source notes as applied (version, readable by), and the one that a program must know to work with all of
/// them.
#[cfg(any(feature = "redis", feature = "cassandra"))]
pub(crate) fn newest(applied: &[(u32, u32)]) -> (u32, u32) {
    let most = |number: fn(&(u32, u32)) -> u32| applied.iter().map(number).max().unwrap_or(0);
    (most(|(version, _)| *version), most(|(_, readable_by)| *readable_by))
}

/// What is to be applied to a source that notes `applied` (version, readable by) in its `portcullis_schema`: the migrations that
/// are missing; or an error, where the schema is newer than this program can work with.
pub fn missing<'a>(
    source: &str,
    known: &'a [Migration],
    applied: &[(u32, u32)],
) -> Result<Vec<&'a Migration>, StoreError> {
    let newest = known.iter().map(|m| m.version).max().unwrap_or(0);
    if let Some((version, by)) = applied.iter().filter(|(version, by)| *version > newest && *by > newest).max() {
        return Err(StoreError::Broken(format!(
            "{source}: its schema has version {version}, which needs a program that knows version {by}; this one knows \
             {newest}. Run the newer portcullis here, or map the stores to another data source"
        )));
    }
    Ok(known.iter().filter(|m| !applied.iter().any(|(version, _)| *version == m.version)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str =
        "-- head\n\n-- migration 1, readable by 1\nCREATE a;\n-- a remark\n-- migration 2, readable by 1\nCREATE b;\n";

    #[test]
    fn a_schema_file_is_taken_apart() {
        let found = parse(TWO);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].version, found[0].readable_by, found[0].sql), (1, 1, "\nCREATE a;\n-- a remark\n"));
        assert_eq!((found[1].version, found[1].readable_by, found[1].sql), (2, 1, "\nCREATE b;\n"));
    }

    const SCHEMAS: [(&str, &str); 8] = [
        ("sqlite", SQLITE),
        ("postgres", POSTGRES),
        ("mysql", MYSQL),
        ("redis", REDIS),
        ("cassandra", CASSANDRA),
        ("odbc-oracle", ORACLE),
        ("odbc-db2", DB2),
        ("odbc-mssql", MSSQL),
    ];

    #[test]
    fn the_files_that_ship_hold_their_migrations_without_gaps() {
        for (name, schema) in SCHEMAS {
            let found = parse(schema);
            assert_eq!(schema.matches("\n-- migration ").count(), found.len(), "{name}: a head could not be read");
            let versions: Vec<u32> = found.iter().map(|m| m.version).collect();
            assert_eq!(versions, (1..=CURRENT).collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn the_program_before_works_with_the_schema() {
        for (name, schema) in SCHEMAS {
            let known = parse(schema);
            let applied: Vec<(u32, u32)> = known.iter().map(|m| (m.version, m.readable_by)).collect();
            let before = &known[..known.len() - 1];
            assert_eq!(missing(name, before, &applied), Ok(Vec::new()), "a rolling upgrade needs it");
        }
    }

    #[test]
    fn only_what_is_missing_is_applied() {
        let known = parse(TWO);
        let versions = |applied: &[(u32, u32)]| -> Vec<u32> {
            missing("s", &known, applied).unwrap().iter().map(|m| m.version).collect()
        };
        assert_eq!(versions(&[]), [1, 2]);
        assert_eq!(versions(&[(1, 1)]), [2]);
        assert_eq!(versions(&[(1, 1), (2, 1)]), [0; 0]);
    }

    #[test]
    fn a_newer_schema_is_refused_unless_it_says_that_we_can_read_it() {
        let known = parse(TWO);
        assert!(missing("s", &known, &[(1, 1), (2, 1), (3, 2)]).unwrap().is_empty());
        let error = missing("the file x.db", &known, &[(1, 1), (2, 1), (3, 3)]).unwrap_err();
        assert!(
            matches!(&error, StoreError::Broken(why) if why.contains("the file x.db") && why.contains("version 3")),
            "{error}"
        );
    }
}
