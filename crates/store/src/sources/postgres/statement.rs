//! The statements: one a verb, their text made once a table.

use tokio_postgres::types::Type;

use crate::source::Table;
use crate::tables;

/// The columns of a row, in the order that `row` reads them. The record goes in and out as text, since it is JSON text to us
/// and the server's binary form of `jsonb` is that text with a byte before it.
pub(super) const COLUMNS: &str = "key, version, expires_at, record::text{, indexes}";

/// By the primary key.
const GET: &str = "SELECT {columns} FROM {table} WHERE key = $1";

/// A key that exists is left alone and counts no row; without the clause it would be an error, and a line in the server's log.
const INSERT: &str = "INSERT INTO {table} (key, version, expires_at, record{, indexes}) \
     VALUES ($1, $2, $3, $4::text::jsonb{, values}) ON CONFLICT (key) DO NOTHING";

/// Compare and swap. Of two at once the second waits for the first one's row lock, looks at the version anew, and counts no row.
const REPLACE: &str = "UPDATE {table} SET version = $2 + 1, expires_at = $3, record = $4::text::jsonb{, assignments} \
     WHERE key = $1 AND version = $2";

/// Of two at once the second waits for the row lock and then finds the row gone.
const TAKE: &str = "DELETE FROM {table} WHERE key = $1 RETURNING {columns}";

/// Index columns' indexes end in the key, so rows come in order without a sort, and `LIMIT` ends the scan.
const FIND: &str = "SELECT {columns} FROM {table} WHERE {index} = $1 AND key >= $2 ORDER BY key LIMIT $3";

/// The primary key gives the order.
const LIST: &str = "SELECT {columns} FROM {table} WHERE key >= $1 ORDER BY key LIMIT $2";

/// `DELETE` knows no `LIMIT`. `= ANY (ARRAY (...))` runs the inner query once; with `IN` the planner may run it once a row and so
/// delete more. Rows are locked in the order of the key, so two removals wait for each other and do not deadlock. A locked row is
/// waited for: one that was passed over would go on living after its removal was answered.
const REMOVE: &str = "DELETE FROM {table} WHERE key = ANY (ARRAY (\
     SELECT key FROM {table} WHERE {index} = $1 ORDER BY key LIMIT $2 FOR UPDATE))";

/// As `REMOVE`, but rows that somebody is changing are left for the next sweep, so that it never makes a request wait. The lock
/// looks at `expires_at` anew: a row whose life was prolonged meanwhile stays.
const SWEEP: &str = "DELETE FROM {table} WHERE key = ANY (ARRAY (\
     SELECT key FROM {table} WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// `clock_timestamp()`, not `now()`, which stands still within a transaction.
const HEALTH: &str = "SELECT current_setting('server_version'), \
     (SELECT coalesce(max(version), 0)::bigint FROM portcullis_schema), \
     floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, current_setting('transaction_read_only') = 'on', \
     (SELECT coalesce(max(readable_by), 0)::bigint FROM portcullis_schema)";

/// The channel on which nodes tell each other what they changed.
pub(super) const CHANNEL: &str = "portcullis";

/// `REPLACE`, `TAKE` and `REMOVE` of a table whose changes are told. The notice is part of the statement: it is sent with the commit, and
/// not at all where nothing was changed. It travels through any pooler. The key goes as its hash: it may be long, or personal.
/// Where many rows go, one notice says that any may have.
const TOLD: [(&str, &str); 3] = [
    (
        REPLACE,
        "WITH told AS ({} RETURNING key) SELECT pg_notify('{channel}', '{name}:' || encode(sha256(key), 'hex')) FROM told",
    ),
    (
        TAKE,
        "WITH told AS ({}) SELECT key, version, expires_at, record{, indexes}, \
         pg_notify('{channel}', '{name}:' || encode(sha256(key), 'hex')) FROM told",
    ),
    (REMOVE, "WITH told AS ({} RETURNING key) SELECT pg_notify('{channel}', '{name}:*') FROM told"),
];

/// Whether a statement may be sent a second time when its connection was lost and nobody knows whether it was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It only reads.
    Yes,
    /// It writes: a second `insert` would find its own row and say that the key exists.
    No,
}

/// A statement with what is needed to send it.
#[derive(Debug)]
pub(super) struct Statement {
    /// Its text.
    pub(super) sql: String,
    /// Its parameters' types, so that the server need not be asked.
    pub(super) types: Vec<Type>,
    /// Whether it answers rows; else a count.
    pub(super) returns: bool,
    /// Whether it may be sent twice.
    pub(super) again: Again,
}

impl Statement {
    /// A statement that reads a table of somebody else's.
    pub(super) fn foreign(sql: String, types: Vec<Type>) -> Self {
        Statement { sql, types, returns: true, again: Again::Yes }
    }
}

/// All statements of one table.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) get: Statement,
    pub(super) insert: Statement,
    pub(super) replace: Statement,
    pub(super) take: Statement,
    pub(super) list: Statement,
    pub(super) sweep: Statement,
    /// By the number of the index column.
    pub(super) find: Vec<Statement>,
    /// By the number of the index column.
    pub(super) remove: Vec<Statement>,
}

impl Statements {
    pub(super) fn new(table: &Table) -> Self {
        let mut row = vec![Type::BYTEA, Type::INT8, Type::INT8, Type::TEXT];
        row.resize(row.len() + table.indexes.len(), Type::TEXT);
        let make = |template: &str, types: Vec<Type>, returns, again| Statement {
            sql: fill(template, table, None),
            types,
            returns,
            again,
        };
        let by_index = |template: &str, types: &[Type], returns, again| -> Vec<Statement> {
            let sql = table.indexes.iter().map(|index| fill(template, table, Some(index)));
            sql.map(|sql| Statement { sql, types: types.to_vec(), returns, again }).collect()
        };
        Statements {
            get: make(GET, vec![Type::BYTEA], true, Again::Yes),
            insert: make(INSERT, row.clone(), false, Again::No),
            replace: make(REPLACE, row, false, Again::No),
            take: make(TAKE, vec![Type::BYTEA], true, Again::No),
            list: make(LIST, vec![Type::BYTEA, Type::INT8], true, Again::Yes),
            sweep: make(SWEEP, vec![Type::INT8, Type::INT8], false, Again::No),
            find: by_index(FIND, &[Type::TEXT, Type::BYTEA, Type::INT8], true, Again::Yes),
            remove: by_index(REMOVE, &[Type::TEXT, Type::INT8], false, Again::No),
        }
    }

    /// All of them with their names, for the test that none reads a whole table.
    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<(&'static str, &Statement)> {
        let mut all = vec![
            ("get", &self.get),
            ("insert", &self.insert),
            ("replace", &self.replace),
            ("take", &self.take),
            ("list", &self.list),
            ("sweep", &self.sweep),
        ];
        all.extend(self.find.iter().map(|statement| ("find", statement)));
        all.extend(self.remove.iter().map(|statement| ("remove", statement)));
        all
    }
}

/// The health statement.
pub(super) fn health() -> Statement {
    Statement { sql: HEALTH.to_owned(), types: Vec::new(), returns: true, again: Again::Yes }
}

/// A template with a table's names in it. They are our own constants, never input; quoted, since `user` is a word of SQL.
fn fill(template: &str, table: &Table, index: Option<&str>) -> String {
    let told = TOLD.iter().find(|(plain, _)| tables::is_told(table) && *plain == template);
    let template = &told.map_or_else(|| template.to_owned(), |(plain, told)| told.replace("{}", plain));
    let quoted: Vec<String> = table.indexes.iter().map(|index| format!(", {}", quote(index))).collect();
    let listed = |first: usize, text: &dyn Fn(&str, usize) -> String| -> String {
        table.indexes.iter().enumerate().map(|(at, name)| text(name, first + at)).collect()
    };
    template
        .replace("{columns}", COLUMNS)
        .replace("{, indexes}", &quoted.concat())
        .replace("{, values}", &listed(5, &|_, at| format!(", ${at}")))
        .replace("{, assignments}", &listed(5, &|name, at| format!(", {} = ${at}", quote(name))))
        .replace("{channel}", CHANNEL)
        .replace("{name}", table.name)
        .replace("{table}", &quote(table.name))
        .replace("{index}", &index.map(quote).unwrap_or_default())
}

fn quote(name: &str) -> String {
    format!("\"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    static PAIR: Table = Table { name: "pair", indexes: &["one", "two"] };

    #[test]
    fn statements_name_the_table_and_its_columns() {
        let made = Statements::new(&PAIR);
        assert_eq!(
            made.get.sql,
            r#"SELECT key, version, expires_at, record::text, "one", "two" FROM "pair" WHERE key = $1"#
        );
        assert_eq!(
            made.insert.sql,
            r#"INSERT INTO "pair" (key, version, expires_at, record, "one", "two") VALUES ($1, $2, $3, $4::text::jsonb, $5, $6) ON CONFLICT (key) DO NOTHING"#
        );
        assert_eq!(
            made.replace.sql,
            r#"UPDATE "pair" SET version = $2 + 1, expires_at = $3, record = $4::text::jsonb, "one" = $5, "two" = $6 WHERE key = $1 AND version = $2"#
        );
        assert!(made.find[1].sql.contains(r#"WHERE "two" = $1"#), "{}", made.find[1].sql);
        for (name, statement) in made.all() {
            let parameters = (1..).take_while(|at| statement.sql.contains(&format!("${at}"))).count();
            assert_eq!(parameters, statement.types.len(), "{name}: {}", statement.sql);
            assert!(!statement.sql.contains(['{', '}']), "{name}: {}", statement.sql);
        }
    }

    #[test]
    fn nothing_that_writes_is_sent_twice() {
        for (name, statement) in Statements::new(&PAIR).all() {
            let reads = statement.sql.starts_with("SELECT ");
            assert_eq!(statement.again == Again::Yes, reads, "{name}");
        }
    }

    #[test]
    fn changes_are_told_of_tables_whose_rows_may_be_remembered() {
        for table in tables::ALL {
            for (name, statement) in Statements::new(table).all() {
                let tells = tables::is_told(table) && ["replace", "take", "remove"].contains(&name);
                assert_eq!(statement.sql.contains("pg_notify"), tells, "{name} of {}: {}", table.name, statement.sql);
                assert_eq!(statement.again == Again::No, !statement.sql.starts_with("SELECT "), "{}", statement.sql);
            }
        }
    }
}
