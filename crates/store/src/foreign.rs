//! Tables that a database had already, of somebody else's: read by a column, never written.
//!
//! Each row comes as JSON that the database itself makes, so that no driver's types have to be known: the values of the columns
//! that were asked for, by their numbers. Names stand in the statement quoted as names, values are its parameters.

use crate::source::Verb;

/// What is asked of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The table, perhaps with its schema before a dot.
    pub table: String,
    /// The columns that are wanted.
    pub columns: Vec<String>,
    /// The column that rows are found and ordered by.
    pub by: String,
    /// Which rows.
    pub which: Which,
    /// How many at most.
    pub limit: usize,
}

/// Which rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those with this value.
    With(Value),
    /// Those after this value, or all.
    After(Option<Value>),
}

/// A value of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
}

/// A source whose database may have tables of somebody else's.
pub trait ForeignTables: Send + Sync {
    /// The rows, each a JSON object whose members `0`, `1` ... are the wanted columns in their order.
    fn look_up(&self, query: Query) -> Verb<'_, Vec<String>>;
}

/// How a database writes it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dialect {
    Sqlite,
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "mysql")]
    Mysql,
}

impl Query {
    /// The value that is the statement's one parameter, where it has one.
    pub(crate) fn value(&self) -> Option<&Value> {
        match &self.which {
            Which::With(value) | Which::After(Some(value)) => Some(value),
            Which::After(None) => None,
        }
    }

    /// The statement.
    pub(crate) fn sql(&self, dialect: Dialect) -> String {
        let quote = |name: &str| dialect.quote(name);
        let table = self.table.split('.').map(quote).collect::<Vec<_>>().join(".");
        let by = quote(&self.by);
        let value = dialect.parameter(self.value());
        let clause = match &self.which {
            Which::With(_) => format!("WHERE {by} = {value} "),
            Which::After(Some(_)) => format!("WHERE {by} > {value} ORDER BY {by} "),
            Which::After(None) => format!("ORDER BY {by} "),
        };
        let rest = format!("FROM {table} {clause}LIMIT {}", self.limit);
        let columns = self.columns.iter().enumerate();
        match dialect {
            // An alias is a name, and a name of digits stands in quotes.
            #[cfg(feature = "postgres")]
            Dialect::Postgres => {
                let columns = columns.map(|(at, name)| format!("{} AS \"{at}\"", quote(name)));
                let columns = columns.collect::<Vec<_>>().join(", ");
                format!("SELECT row_to_json(found)::text FROM (SELECT {columns} {rest}) AS found")
            }
            _ => {
                let columns = columns.map(|(at, name)| format!("'{at}', {}", quote(name)));
                format!("SELECT json_object({}) {rest}", columns.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl Dialect {
    /// A name. In SQLite double quotes would make a text of a name that is not there.
    fn quote(self, name: &str) -> String {
        match self {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
            _ => format!("`{}`", name.replace('`', "``")),
        }
    }

    fn parameter(self, value: Option<&Value>) -> &'static str {
        match (self, value) {
            // Typed, whatever the column's type is: an index of the column serves both.
            #[cfg(feature = "postgres")]
            (Dialect::Postgres, Some(Value::Text(_))) => "$1::text",
            #[cfg(feature = "postgres")]
            (Dialect::Postgres, _) => "$1::bigint",
            _ => "?",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(which: Which) -> Query {
        let columns = vec!["ID".into(), "od\"d`".into()];
        Query { table: "crm.partners".into(), columns, by: "ID".into(), which, limit: 2 }
    }

    #[test]
    fn names_are_quoted_and_values_are_parameters() {
        let one = query(Which::With(Value::Text("'; DROP TABLE x".into())));
        let sqlite = "SELECT json_object('0', `ID`, '1', `od\"d```) FROM `crm`.`partners` WHERE `ID` = ? LIMIT 2";
        assert_eq!(one.sql(Dialect::Sqlite), sqlite);
        let next = query(Which::After(Some(Value::Integer(7))));
        assert!(next.sql(Dialect::Sqlite).ends_with("WHERE `ID` > ? ORDER BY `ID` LIMIT 2"));
        assert!(query(Which::After(None)).sql(Dialect::Sqlite).ends_with("`partners` ORDER BY `ID` LIMIT 2"));
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn parameters_are_typed_in_postgres() {
        let sql = query(Which::With(Value::Text("a".into()))).sql(Dialect::Postgres);
        assert_eq!(
            sql,
            "SELECT row_to_json(found)::text FROM (SELECT \"ID\" AS \"0\", \"od\"\"d`\" AS \"1\" FROM \"crm\".\"partners\" \
             WHERE \"ID\" = $1::text LIMIT 2) AS found"
        );
        assert!(query(Which::With(Value::Integer(7))).sql(Dialect::Postgres).contains("= $1::bigint"));
    }
}
