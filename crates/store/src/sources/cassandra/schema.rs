//! Before a source is used: is the cluster one that can be, are the keyspace and the tables there, and may we use them?

use std::collections::BTreeSet;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::Statement;
use scylla::value::{CqlValue, Row as Columns};

use super::error::explain;
use super::link::{Connected, Link, ask_server};
use super::settings::Settings;
use super::statement::{integer, string};
use crate::migration::{self, Migration, newest};
use crate::source::{StoreError, Table};
use crate::tables;

/// How long opening may take: tables are made one after the other, and every server must have heard of each.
pub(super) const LIMIT: Duration = Duration::from_secs(25);

/// How often the tables are looked at anew where something is not available, and the pause between.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(300);

/// The oldest release whose transactions and reads promise what we need.
const OLDEST: (u32, u32) = (4, 0);

const KEYSPACE: &str = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
const COLUMNS: &str = "SELECT table_name, column_name, type FROM system_schema.columns WHERE keyspace_name = ?";
const APPLIED: &str = "SELECT version, readable_by FROM portcullis_schema";

/// Checks the cluster, makes what is missing, checks the tables.
pub(super) async fn prepare(title: &str, settings: &Settings, link: &Link) -> Result<Connected, StoreError> {
    let connected = link.connect().await?;
    let opening = Opening { title, settings, session: &connected.session };
    opening.check_cluster().await?;
    opening.keyspace().await?;
    // Another node may be making the keyspace and the tables at this moment: a server lists them a little before they can be used.
    let mut tries = 0..TRIES;
    loop {
        let looked = async {
            // It is listed: whatever is said against its use is said for now.
            link.use_keyspace(&connected).await.map_err(|error| StoreError::Unavailable(error.why().to_owned()))?;
            opening.tables().await
        };
        match looked.await {
            Err(error) if may_pass(&error) && tries.next().is_some() => {
                tracing::debug!("{title}: once more: {error}");
                tokio::time::sleep(PAUSE).await;
            }
            done => return done.map(|()| connected),
        }
    }
}

/// Whether it may be otherwise in a moment: also what is said not to exist, since it is looked for only where it is listed.
fn may_pass(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_)) || error.why().contains("does not exist")
}

/// The version of the schema that was applied last, and the one that a program must know to work with it.
pub(super) async fn version(title: &str, session: &Session) -> Result<(u32, u32), StoreError> {
    Ok(newest(&applied(title, session).await?))
}

/// What is noted as applied: version, readable by.
async fn applied(title: &str, session: &Session) -> Result<Vec<(u32, u32)>, StoreError> {
    let rows = ask(title, session, APPLIED, Vec::new()).await?;
    let noted = |row: Columns| {
        let number = |value| integer(value).and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        let mut numbers = row.columns.into_iter().map(number);
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    };
    Ok(rows.into_iter().map(noted).collect())
}

async fn ask(title: &str, session: &Session, text: &str, values: Vec<CqlValue>) -> Result<Vec<Columns>, StoreError> {
    let mut statement = Statement::new(text);
    statement.set_is_idempotent(true);
    let result = session.query_unpaged(statement, values).await.map_err(|error| explain(title, &error))?;
    let unreadable = || StoreError::Unavailable(format!("{title}: an answer that cannot be read"));
    let rows = result.into_rows_result().map_err(|_| unreadable())?;
    rows.rows::<Columns>().map_err(|_| unreadable())?.collect::<Result<_, _>>().map_err(|_| unreadable())
}

struct Opening<'a> {
    title: &'a str,
    settings: &'a Settings,
    session: &'a Session,
}

impl Opening<'_> {
    fn broken(&self, why: &str) -> StoreError {
        StoreError::Broken(format!("{}: {why}", self.title))
    }

    async fn ask(&self, text: &str, values: Vec<CqlValue>) -> Result<Vec<Columns>, StoreError> {
        ask(self.title, self.session, text, values).await
    }

    async fn check_cluster(&self) -> Result<(), StoreError> {
        let server = ask_server(self.title, self.session).await?;
        if !recent(&server.version) {
            return Err(self.broken(&format!(
                "the server says that it is Cassandra {}; this needs 4.0 or later, whose transactions and reads keep what they promise",
                server.version
            )));
        }
        Ok(())
    }

    /// The keyspace, made where it is missing and the settings say how.
    async fn keyspace(&self) -> Result<(), StoreError> {
        let name = &self.settings.keyspace;
        if !self.ask(KEYSPACE, vec![CqlValue::Text(name.clone())]).await?.is_empty() {
            return Ok(());
        }
        let Some(replication) = &self.settings.replication else {
            return Err(self.broken(&format!(
                "there is no keyspace `{name}`: CREATE KEYSPACE {name} WITH replication = {{'class': \
                 'NetworkTopologyStrategy', 'DATACENTER': 3}}, or write `replication = {{ DATACENTER = 3 }}` in stores.toml"
            )));
        };
        let replicas: Vec<String> = replication
            .iter()
            .map(|(datacenter, count)| format!(", '{}': {count}", datacenter.replace('\'', "''")))
            .collect();
        let text = format!(
            "CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = {{'class': 'NetworkTopologyStrategy'{}}}",
            replicas.concat()
        );
        self.change(&text).await.map_err(|error| match unauthorized(&error) {
            true => self.broken(&format!("its role may not make the keyspace `{name}`: have a DBA make it")),
            false => explain(self.title, &error),
        })?;
        tracing::info!("{}: keyspace {name} made", self.title);
        Ok(())
    }

    /// The tables: made where they are missing, and such as they should be.
    async fn tables(&self) -> Result<(), StoreError> {
        let known = migration::parse(migration::CASSANDRA);
        let mut columns = self.columns().await?;
        let missing = self.missing(&known, &columns).await?;
        if missing.len() == known.len() {
            for table in tables::ALL {
                self.check_free(table, &columns)?;
            }
        }
        for migration in &missing {
            self.migrate(migration).await?;
        }
        if !missing.is_empty() {
            columns = self.columns().await?;
        }
        for table in tables::ALL {
            self.check_table(table, &columns).await?;
        }
        Ok(())
    }

    /// The migrations that are to be applied; an error where the schema is too new for this program.
    async fn missing<'a>(
        &self,
        known: &'a [Migration],
        columns: &BTreeSet<String>,
    ) -> Result<Vec<&'a Migration>, StoreError> {
        let applied = match columns.contains("portcullis_schema.version int") {
            true => applied(self.title, self.session).await?,
            false => Vec::new(),
        };
        migration::missing(self.title, known, &applied)
    }

    async fn migrate(&self, migration: &Migration) -> Result<(), StoreError> {
        for statement in statements(migration.sql) {
            self.change(&statement).await.map_err(|error| match unauthorized(&error) {
                true => self.broken(&format!(
                    "its role may not make the tables of schema version {}: have a DBA run stores/schema/cassandra.cql, which \
                     `portcullis store schema cassandra` prints, and GRANT SELECT and MODIFY ON KEYSPACE to the role; or GRANT \
                     CREATE ON KEYSPACE to the role",
                    migration.version
                )),
                false => explain(self.title, &error),
            })?;
        }
        tracing::info!("{}: schema migrated to version {}", self.title, migration.version);
        Ok(())
    }

    /// Changes the schema, and waits until all servers have heard of it. Cassandra has no lock for that: two servers that are told at
    /// once to make one table make two, whose columns then meet under one name. So all nodes send theirs to one and the same server, the one with
    /// the lowest id, which does one change after the other and finds that the second is not needed.
    async fn change(&self, text: &str) -> Result<(), ExecutionError> {
        let state = self.session.get_cluster_state();
        let mut statement = Statement::new(text);
        let connected = state.get_nodes_info().iter().filter(|node| node.is_connected());
        if let Some(first) = connected.min_by_key(|node| node.host_id) {
            let policy = SingleTargetLoadBalancingPolicy::new(NodeIdentifier::Node(first.clone()), None);
            statement.set_load_balancing_policy(Some(policy));
        }
        self.session.query_unpaged(statement, ()).await?;
        Ok(())
    }

    /// The columns of all tables of the keyspace, as `client.key blob`.
    async fn columns(&self) -> Result<BTreeSet<String>, StoreError> {
        let rows = self.ask(COLUMNS, vec![CqlValue::Text(self.settings.keyspace.clone())]).await?;
        let column = |row: Columns| {
            let mut texts = row.columns.into_iter().map(|text| string(text).unwrap_or_default());
            let mut next = || texts.next().unwrap_or_default();
            format!("{}.{} {}", next(), next(), next())
        };
        Ok(rows.into_iter().map(column).collect())
    }

    /// Before the first migration: a table of this name may be there and be somebody else's, `client` is a common word. One that is
    /// not there is no hindrance: another node may be making them one by one.
    fn check_free(&self, table: &Table, columns: &BTreeSet<String>) -> Result<(), StoreError> {
        for (name, own) in tables_of(table) {
            match lacks(&name, &own, columns) {
                Some(column) if is_there(&name, columns) => {
                    return Err(self.broken(&format!(
                        "a table {name} is there and is not ours, it has no column {column}: give Portcullis a keyspace of its own"
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// After the migrations: the table is there, as it should be, and may be used. What may be used is found out by a transaction
    /// that changes nothing, which also shows whether enough replicas are up.
    async fn check_table(&self, table: &Table, columns: &BTreeSet<String>) -> Result<(), StoreError> {
        for (name, own) in tables_of(table) {
            if !is_there(&name, columns) {
                return Err(self.broken(&format!(
                    "table {name} is missing, though portcullis_schema says that it was made: run stores/schema/cassandra.cql"
                )));
            }
            if let Some(column) = lacks(&name, &own, columns) {
                return Err(self.broken(&format!("table {name} has no column {column}: it was altered")));
            }
        }
        for text in [
            format!("DELETE FROM \"{}\" WHERE key = 0x00 IF entry = 0x00", table.name),
            format!(
                "DELETE FROM \"{}_entry\" WHERE list = '' AND bucket = 0x AND position = 0x AND entry = 0x IF EXISTS",
                table.name
            ),
        ] {
            self.session.query_unpaged(text, ()).await.map_err(|error| explain(self.title, &error))?;
        }
        Ok(())
    }
}

fn is_there(name: &str, columns: &BTreeSet<String>) -> bool {
    columns.iter().any(|column| column.split_once('.').is_some_and(|(found, _)| found == name))
}

/// A table and the one with its lists: their names and columns.
fn tables_of(table: &Table) -> [(String, Vec<String>); 2] {
    let texts = |columns: &[&str]| columns.iter().map(|column| (*column).to_owned()).collect::<Vec<_>>();
    let mut own = texts(&["key blob", "version bigint", "expires_at bigint", "record text", "entry blob"]);
    own.extend(table.indexes.iter().map(|index| format!("{index} text")));
    let lists = texts(&["list text", "bucket blob", "position blob", "entry blob"]);
    [(table.name.to_owned(), own), (format!("{}_entry", table.name), lists)]
}

/// The column that a table of ours would have.
fn lacks(name: &str, own: &[String], columns: &BTreeSet<String>) -> Option<String> {
    own.iter().find(|column| !columns.contains(&format!("{name}.{column}"))).cloned()
}

fn unauthorized(error: &ExecutionError) -> bool {
    matches!(error, ExecutionError::LastAttemptError(RequestAttemptError::DbError(DbError::Unauthorized, _)))
}

/// `5.0.5`, `4.1-rc1`. ScyllaDB says 3.0.8, and was never tried.
fn recent(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= OLDEST
}

/// The statements of a migration: the server takes one at a time. Ours hold no `;` and no `--` in a text.
pub(super) fn statements(sql: &str) -> Vec<String> {
    let code: Vec<&str> = sql.lines().map(|line| line.split_once("--").map_or(line, |(code, _)| code)).collect();
    code.join("\n").split(';').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_release_is_known() {
        for (version, fine) in [
            ("5.0.5", true),
            ("4.0", true),
            ("4.1-alpha1", true),
            ("10.0.0", true),
            ("3.11.19", false),
            ("3.0.8", false),
            ("", false),
        ] {
            assert_eq!(recent(version), fine, "{version}");
        }
    }

    #[test]
    fn the_schema_file_is_taken_apart() {
        let migrations = migration::parse(migration::CASSANDRA);
        let found: Vec<String> = migrations.iter().flat_map(|migration| statements(migration.sql)).collect();
        // The table of what was applied, a note a migration, and two tables a kind.
        assert_eq!(found.len(), 1 + migrations.len() + 2 * tables::ALL.len());
        for table in tables::ALL {
            for name in [table.name.to_owned(), format!("{}_entry", table.name)] {
                let made =
                    found.iter().filter(|text| text.starts_with(&format!("CREATE TABLE IF NOT EXISTS {name} (")));
                assert_eq!(made.count(), 1, "{name}");
            }
        }
        assert!(found.iter().all(|text| text.starts_with("CREATE TABLE IF NOT EXISTS") || text.starts_with("INSERT")));
    }
}
