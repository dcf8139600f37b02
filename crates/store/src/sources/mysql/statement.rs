//! The statements: one a verb, their text made once a table.

use std::sync::Arc;

use crate::source::Table;

/// The columns of a row, in the order that `row` reads them.
const COLUMNS: &str = "`key`, version, expires_at, record{, indexes}";

/// By the primary key.
const GET: &str = "SELECT {columns} FROM {table} WHERE `key` = ?";

/// A key that exists is the error 1062, which is told as such. Not INSERT IGNORE: that would keep what was cut off or changed to fit.
const INSERT: &str =
    "INSERT INTO {table} (`key`, version, expires_at, record{, indexes}) VALUES (?, ?, ?, ?{, values})";

/// Compare and swap. Of two at once the second waits for the first one's row lock, looks at the version anew, and counts no row.
const REPLACE: &str = "UPDATE {table} SET version = version + 1, expires_at = ?, record = ?{, assignments} WHERE `key` = ? AND version = ?";

/// MariaDB's. Of two at once the second waits for the row lock and then finds the row gone.
const TAKE: &str = "DELETE FROM {table} WHERE `key` = ? RETURNING {columns}";

/// MySQL knows no RETURNING: within a transaction the row is locked and read, and deleted.
const LOCK: &str = "SELECT {columns} FROM {table} WHERE `key` = ? FOR UPDATE";
const DELETE: &str = "DELETE FROM {table} WHERE `key` = ?";

/// Every text collation that both servers have pads with spaces: `a` and `a ` are equal to it, but not as long.
const FIND: &str =
    "SELECT {columns} FROM {table} WHERE {index} = ? AND LENGTH({index}) = ? AND `key` >= ? ORDER BY `key` LIMIT ?";

/// The primary key gives the order.
const LIST: &str = "SELECT {columns} FROM {table} WHERE `key` >= ? ORDER BY `key` LIMIT ?";

/// In the order of the key, so that two removals wait for each other and do not deadlock, and the same on every replica. The index is
/// named in the order too, where it changes nothing: MariaDB would sort without it.
const REMOVE: &str = "DELETE FROM {table} WHERE {index} = ? AND LENGTH({index}) = ? ORDER BY {index}, `key` LIMIT ?";

/// As `REMOVE`: the index ends in the key, so it gives the whole order.
const SWEEP: &str = "DELETE FROM {table} WHERE expires_at < ? ORDER BY expires_at, `key` LIMIT ?";

/// The clock in UTC, which every connection sets: a local one has an hour twice a year.
const HEALTH: &str = "SELECT VERSION(), (SELECT COALESCE(MAX(version), 0) FROM portcullis_schema), \
     CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED), CAST(@@innodb_flush_log_at_trx_commit AS SIGNED), \
     CAST(@@log_bin AS SIGNED), CAST(@@sync_binlog AS SIGNED), CONCAT(@@global.read_only) IN ('1', 'ON'), \
     (SELECT COALESCE(MAX(readable_by), 0) FROM portcullis_schema)";

/// A statement, and what its answer means.
#[derive(Clone, Debug)]
pub(super) enum Statement {
    /// Answers rows and changes nothing.
    Read(Arc<str>),
    /// Counts the rows that it changed.
    Write(Arc<str>),
    /// As `Write`; where the key exists it counts none.
    Insert(Arc<str>),
    /// Answers the row that it deleted.
    Take {
        /// MariaDB's, one statement.
        returning: Option<Arc<str>>,
        /// MySQL's, in a transaction: this ...
        lock: Arc<str>,
        /// ... and that.
        delete: Arc<str>,
    },
}

impl Statement {
    /// Whether it may be sent a second time when its connection was lost and nobody knows whether it was carried out.
    pub(super) fn only_reads(&self) -> bool {
        matches!(self, Statement::Read(_))
    }

    /// Its texts, as this server gets them.
    pub(super) fn texts(&self, mariadb: bool) -> Vec<&Arc<str>> {
        match self {
            Statement::Read(sql) | Statement::Write(sql) | Statement::Insert(sql) => vec![sql],
            Statement::Take { returning: Some(returning), .. } if mariadb => vec![returning],
            Statement::Take { lock, delete, .. } => vec![lock, delete],
        }
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
        let text = |template: &str| -> Arc<str> { fill(template, table, "").into() };
        let by_index = |template: &str, kind: fn(Arc<str>) -> Statement| -> Vec<Statement> {
            table.indexes.iter().map(|index| kind(fill(template, table, index).into())).collect()
        };
        Statements {
            get: Statement::Read(text(GET)),
            insert: Statement::Insert(text(INSERT)),
            replace: Statement::Write(text(REPLACE)),
            take: Statement::Take { returning: Some(text(TAKE)), lock: text(LOCK), delete: text(DELETE) },
            list: Statement::Read(text(LIST)),
            sweep: Statement::Write(text(SWEEP)),
            find: by_index(FIND, Statement::Read),
            remove: by_index(REMOVE, Statement::Write),
        }
    }

    /// All of them with the names of their verbs.
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
    Statement::Read(HEALTH.into())
}

/// A template with a table's names in it. They are our own constants, never input; quoted, since `key` is a word of SQL.
fn fill(template: &str, table: &Table, index: &str) -> String {
    let each = |text: &dyn Fn(&str) -> String| -> String { table.indexes.iter().map(|name| text(name)).collect() };
    template
        .replace("{columns}", COLUMNS)
        .replace("{, indexes}", &each(&|name| format!(", {}", quote(name))))
        .replace("{, values}", &each(&|_| ", ?".to_owned()))
        .replace("{, assignments}", &each(&|name| format!(", {} = ?", quote(name))))
        .replace("{table}", &quote(table.name))
        .replace("{index}", &quote(index))
}

fn quote(name: &str) -> String {
    format!("`{name}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    static PAIR: Table = Table { name: "pair", indexes: &["one", "two"] };

    #[test]
    fn statements_name_the_table_and_its_columns() {
        let made = Statements::new(&PAIR);
        let text = |statement: &Statement| statement.texts(true)[0].to_string();
        assert_eq!(
            text(&made.get),
            "SELECT `key`, version, expires_at, record, `one`, `two` FROM `pair` WHERE `key` = ?"
        );
        assert_eq!(
            text(&made.insert),
            "INSERT INTO `pair` (`key`, version, expires_at, record, `one`, `two`) VALUES (?, ?, ?, ?, ?, ?)"
        );
        assert_eq!(
            text(&made.replace),
            "UPDATE `pair` SET version = version + 1, expires_at = ?, record = ?, `one` = ?, `two` = ? WHERE `key` = ? AND version = ?"
        );
        assert!(text(&made.find[1]).contains("WHERE `two` = ? AND LENGTH(`two`) = ?"), "{:?}", made.find[1]);
        for (name, statement) in made.all() {
            for sql in [true, false].map(|mariadb| statement.texts(mariadb)).concat() {
                assert!(!sql.contains(['{', '}']), "{name}: {sql}");
            }
        }
    }

    #[test]
    fn nothing_that_writes_is_sent_twice() {
        for (name, statement) in Statements::new(&PAIR).all() {
            let texts = statement.texts(false);
            let reads = texts.iter().all(|sql| sql.starts_with("SELECT ") && !sql.ends_with("FOR UPDATE"));
            assert_eq!(statement.only_reads(), reads, "{name}");
        }
    }
}
