//! The statements: one a verb, their text made once a table from what all dialects have in common and what each says in its own way.

use std::sync::Arc;

use super::dialect::{Dialect, Take};
use crate::source::{Row, Table};

/// The columns of a row, in the order that they are read. The record is last: drivers give long values in the order of the columns.
const COLUMNS: &str = "{key}, version, expires_at{, indexes}, {record column}";

/// By the primary key.
const GET: &str = "SELECT {columns} FROM {table} WHERE {key} = :key";

/// A key that exists counts no row, or is an error that is told as such.
const INSERT: &str = "INSERT INTO {table} ({key}, version, expires_at{, indexes}, record) \
     VALUES (:key, :version, :expires_at{, values}, {record}){or nothing}";

/// Compare and swap. Of two at once the second waits for the first one's row lock, looks at the version anew, and counts no row.
const REPLACE: &str = "UPDATE {table} SET version = version + 1, expires_at = :expires_at{, assignments}, record = {record} \
     WHERE {key} = :key AND version = :expected";

/// Index columns' indexes end in the key.
const FIND: &str =
    "SELECT {columns} FROM {table} WHERE {index} = :value{same length} AND {key} >= :after ORDER BY {key} {first}";

/// The primary key gives the order.
const LIST: &str = "SELECT {columns} FROM {table} WHERE {key} >= :after ORDER BY {key} {first}";

/// After the row was locked.
const DELETE: &str = "DELETE FROM {table} WHERE {key} = :key";

const HEALTH: &str = "SELECT {version}, {clock}, (SELECT COALESCE(MAX(version), 0) FROM portcullis_schema), \
     (SELECT COALESCE(MAX(readable_by), 0) FROM portcullis_schema){from}";

/// What stands for a `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parameter {
    Key,
    Version,
    ExpiresAt,
    Record,
    /// The value of an index column of the row.
    Index(usize),
    Expected,
    /// The value that is looked for, and its length.
    Value,
    Length,
    After,
    Limit,
    Before,
}

/// A text with its parameters in the order of its `?`.
#[derive(Clone, Debug)]
pub(super) struct Sql {
    pub(super) text: Arc<str>,
    parameters: Arc<[Parameter]>,
}

/// A statement, and what its answer means.
#[derive(Clone, Debug)]
pub(super) enum Statement {
    /// Answers rows and changes nothing.
    Read(Sql),
    /// Counts the rows that it changed.
    Write(Sql),
    /// As `Write`; where the key exists it counts none.
    Insert(Sql),
    /// Answers the row that it deleted.
    Take(Sql),
    /// The same in a transaction: the one locks where reading does not, the next reads, the last deletes.
    LockedTake(Option<Sql>, Sql, Sql),
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

/// What a verb was given; what it was not is never asked for.
#[derive(Default)]
pub(super) struct Given<'a> {
    pub(super) key: &'a [u8],
    pub(super) row: Option<&'a Row>,
    pub(super) expected: i64,
    pub(super) value: &'a str,
    pub(super) after: Option<&'a [u8]>,
    pub(super) limit: usize,
    pub(super) before: i64,
}

/// A value on its way to the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Bytes(Vec<u8>),
    Text(Option<String>),
    Number(Option<i64>),
}

impl Statements {
    pub(super) fn new(dialect: &Dialect, table: &Table) -> Self {
        let text = |template: &str| sql(dialect, template, table, "");
        let by_index = |template: &str, kind: fn(Sql) -> Statement| -> Vec<Statement> {
            table.indexes.iter().map(|index| kind(sql(dialect, template, table, index))).collect()
        };
        Statements {
            get: Statement::Read(text(GET)),
            insert: Statement::Insert(text(INSERT)),
            replace: Statement::Write(text(REPLACE)),
            take: match dialect.take {
                Take::Returning(template) => Statement::Take(text(template)),
                Take::Locked { claim, read } => Statement::LockedTake(claim.map(text), text(read), text(DELETE)),
            },
            list: Statement::Read(text(LIST)),
            sweep: Statement::Write(text(dialect.sweep)),
            find: by_index(FIND, Statement::Read),
            remove: by_index(dialect.remove, Statement::Write),
        }
    }

    /// All of them.
    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<&Statement> {
        let one = [&self.get, &self.insert, &self.replace, &self.take, &self.list, &self.sweep];
        one.into_iter().chain(&self.find).chain(&self.remove).collect()
    }
}

impl Statement {
    /// Whether it may be sent a second time when its connection was lost and nobody knows whether it was carried out.
    pub(super) fn only_reads(&self) -> bool {
        matches!(self, Statement::Read(_))
    }

    /// Its texts.
    pub(super) fn texts(&self) -> Vec<&Sql> {
        match self {
            Statement::Read(sql) | Statement::Write(sql) | Statement::Insert(sql) | Statement::Take(sql) => vec![sql],
            Statement::LockedTake(claim, read, delete) => claim.iter().chain([read, delete]).collect(),
        }
    }

    /// The values of its parameters. Where it has several texts, all have the same.
    pub(super) fn values(&self, given: &Given<'_>, dialect: &Dialect) -> Vec<Value> {
        let sql = self.texts().into_iter().next();
        sql.map_or_else(Vec::new, |sql| sql.parameters.iter().map(|one| one.value(given, dialect)).collect())
    }
}

impl Parameter {
    fn value(self, given: &Given<'_>, dialect: &Dialect) -> Value {
        let row = given.row;
        match self {
            Parameter::Key => Value::Bytes(row.map_or(given.key, |row| &row.key).to_vec()),
            Parameter::Version => Value::Number(row.map(|row| row.version)),
            Parameter::ExpiresAt => Value::Number(row.and_then(|row| row.expires_at)),
            Parameter::Record => Value::Text(row.map(|row| row.record.clone())),
            Parameter::Index(at) => {
                let text = row.and_then(|row| row.indexes.get(at)).and_then(Option::as_deref);
                Value::Text(text.map(|text| dialect.kept(text)))
            }
            Parameter::Expected => Value::Number(Some(given.expected)),
            Parameter::Value => Value::Text(Some(dialect.kept(given.value))),
            Parameter::Length => {
                let length = dialect.same_length.map(|(_, length)| length(&dialect.kept(given.value)));
                Value::Number(length.map(number))
            }
            Parameter::After => Value::Bytes(successor(given.after)),
            Parameter::Limit => Value::Number(Some(number(given.limit).min(MOST))),
            Parameter::Before => Value::Number(Some(given.before)),
        }
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The most rows that are asked for at once: some databases count in 32 bits.
const MOST: i64 = i32::MAX as i64;

/// The least key that comes after `after`, so that one statement serves the first page and the next ones. No key is empty: an empty one is
/// NULL in some databases.
fn successor(after: Option<&[u8]>) -> Vec<u8> {
    after.map_or_else(|| vec![0], |key| [key, &[0]].concat())
}

/// What begins a text that is kept as it is not: an empty one, where that would be NULL, and those that begin with this themselves.
const MARK: char = '\u{1}';

impl Dialect {
    /// How the text of an index column is kept.
    pub(super) fn kept(&self, text: &str) -> String {
        match self.empty_is_null && (text.is_empty() || text.starts_with(MARK)) {
            true => format!("{MARK}{text}"),
            false => text.to_owned(),
        }
    }

    /// The text of an index column from how it is kept.
    pub(super) fn restored(&self, kept: String) -> String {
        match kept.strip_prefix(MARK) {
            Some(text) if self.empty_is_null => text.to_owned(),
            _ => kept,
        }
    }

    /// A round trip that asks for nothing.
    pub(super) fn ping(&self) -> String {
        format!("SELECT 1{}", self.from)
    }

    /// The health statement: version, clock, schema.
    pub(super) fn health(&self) -> Statement {
        let text =
            HEALTH.replace("{version}", self.health.0).replace("{clock}", self.health.1).replace("{from}", self.from);
        Statement::Read(Sql { text: text.into(), parameters: Arc::new([]) })
    }
}

/// A template with a table's names and the dialect's words in it: our own constants, never input.
fn sql(dialect: &Dialect, template: &str, table: &Table, index: &str) -> Sql {
    let each = |text: &dyn Fn(usize, &str) -> String| -> String {
        table.indexes.iter().enumerate().map(|(at, name)| text(at, name)).collect()
    };
    let columns = COLUMNS
        .replace("{record column}", dialect.record.1)
        .replace("{, indexes}", &each(&|_, name| format!(", {name}")));
    let deleted = columns.split(", ").map(|column| format!("deleted.{column}")).collect::<Vec<_>>().join(", ");
    let same_length = dialect.same_length.map_or_else(String::new, |(length, _)| format!(" AND {length} = :length"));
    let text = template
        .replace("{columns}", &columns)
        .replace("{deleted columns}", &deleted)
        .replace("{, indexes}", &each(&|_, name| format!(", {name}")))
        .replace("{, values}", &each(&|at, _| format!(", :index{at}")))
        .replace("{, assignments}", &each(&|at, name| format!(", {name} = :index{at}")))
        .replace("{record}", dialect.record.0)
        .replace("{or nothing}", dialect.or_nothing)
        .replace("{first}", dialect.first)
        .replace("{same length}", &same_length)
        .replace("{table}", table.name)
        .replace("{index}", index)
        .replace("{key}", dialect.key);
    parameters(&text)
}

/// Takes the `:word`s out of a text.
fn parameters(text: &str) -> Sql {
    let mut parts = text.split(':');
    let mut bare = parts.next().unwrap_or_default().to_owned();
    let mut parameters = Vec::new();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
        let (word, rest) = part.split_at(end);
        parameters.push(match word {
            "key" => Parameter::Key,
            "version" => Parameter::Version,
            "expires_at" => Parameter::ExpiresAt,
            "record" => Parameter::Record,
            "expected" => Parameter::Expected,
            "value" => Parameter::Value,
            "length" => Parameter::Length,
            "after" => Parameter::After,
            "limit" => Parameter::Limit,
            "before" => Parameter::Before,
            index => {
                let at = index.strip_prefix("index").and_then(|at| at.parse().ok());
                Parameter::Index(at.expect("the templates above name no other parameter"))
            }
        });
        bare.push('?');
        bare.push_str(rest);
    }
    Sql { text: bare.into(), parameters: parameters.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::odbc::Name;
    use crate::tables;

    #[test]
    fn every_question_mark_has_its_parameter() {
        for name in Name::ALL {
            for table in tables::ALL {
                for statement in Statements::new(name.dialect(), table).all() {
                    for sql in statement.texts() {
                        assert_eq!(sql.text.matches('?').count(), sql.parameters.len(), "{}", sql.text);
                        assert!(!sql.text.contains(['{', '}', ':']), "{}", sql.text);
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_that_writes_is_sent_twice() {
        for name in Name::ALL {
            for statement in Statements::new(name.dialect(), &tables::KPS).all() {
                let reads = |sql: &Sql| sql.text.starts_with("SELECT ") && !sql.text.contains("DELETE");
                assert_eq!(statement.only_reads(), statement.texts().into_iter().all(reads), "{statement:?}");
            }
        }
    }

    #[test]
    fn an_empty_text_is_kept_as_one_that_is_not() {
        let oracle = Name::Oracle.dialect();
        for text in ["", "a", " ", "\u{1}", "\u{1}\u{1}", "\u{1}a", "a\u{1}"] {
            let kept = oracle.kept(text);
            assert!(!kept.is_empty() && oracle.restored(kept) == text, "{text:?}");
            assert_eq!(Name::Postgres.dialect().kept(text), text);
            assert_eq!(Name::Postgres.dialect().restored(text.to_owned()), text);
        }
        assert_ne!(oracle.kept(""), oracle.kept("\u{1}"));
    }
}
