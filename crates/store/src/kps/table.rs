//! Rows in a table that a database had already.
//!
//! A database may compare keys more loosely than we do (upper and lower case alike, spaces at the end): what it finds is a row
//! only where its key is the one that was asked for.

use serde_json::{Map, Value as Json};

use super::settings::{Column, ColumnType, Columns, Settings};
use super::{Found, Kps};
use crate::foreign::{Query, Value, Which};
use crate::source::StoreError;

/// Rows with one key that are looked at: a table whose column is no key has more.
const WITH_ONE_KEY: usize = 2;

impl Kps {
    /// The row with this value in a key column; of two rows none is taken.
    pub(super) async fn table_row(&self, table: &str, column: &str, key: &str) -> Result<Option<Found>, StoreError> {
        let settings = self.settings();
        let which = Which::With(value(settings, column, key));
        let mut rows = self.table_rows(table, column, which, WITH_ONE_KEY).await?;
        rows.retain(|row| settings.text_of(column, &row.columns).as_deref() == Some(key));
        match (rows.pop(), rows.pop()) {
            (found, None) => Ok(found),
            _ => {
                let why = format!("several rows of the table `{table}` have one `{column}`: it is no key of it");
                Err(StoreError::Broken(format!("`kps.{}`: {why}", settings.name)))
            }
        }
    }

    /// Rows in the order of their keys.
    pub(super) async fn table_list(
        &self,
        table: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Found>, StoreError> {
        let key = &self.settings().key;
        let after = after.map(|after| value(self.settings(), key, after));
        self.table_rows(table, key, Which::After(after), limit).await
    }

    async fn table_rows(&self, table: &str, by: &str, which: Which, limit: usize) -> Result<Vec<Found>, StoreError> {
        let settings = self.settings();
        let named = |why: String| format!("`kps.{}`, the table `{table}`: {why}", settings.name);
        let foreign = self
            .source()
            .foreign()
            .ok_or_else(|| StoreError::Broken(named(String::from("its data source has no tables of a database"))))?;
        let in_table = |name: &str| {
            let column = settings.columns.get(name).and_then(|column| column.named.clone());
            column.unwrap_or_else(|| name.to_owned())
        };
        let columns = settings.columns.keys().map(|name| in_table(name)).collect();
        let query = Query { table: table.to_owned(), columns, by: in_table(by), which, limit };
        let rows = foreign.look_up(query).await.map_err(|error| match error {
            StoreError::Broken(why) => StoreError::Broken(named(why)),
            error => error,
        })?;
        let row = |text: &String| row(settings, text).map_err(|why| StoreError::Broken(named(why)));
        rows.iter().map(row).collect()
    }
}

/// A key as the column has it.
fn value(settings: &Settings, column: &str, key: &str) -> Value {
    let number = settings.columns.get(column).filter(|column| column.of == ColumnType::Integer);
    match number.and_then(|_| key.parse().ok()) {
        Some(number) => Value::Integer(number),
        None => Value::Text(key.to_owned()),
    }
}

/// A row as the database tells it, by the numbers of its columns.
fn row(settings: &Settings, text: &str) -> Result<Found, String> {
    let mut told: Map<String, Json> =
        serde_json::from_str(text).map_err(|_| String::from("the database's JSON cannot be read"))?;
    let mut columns = Columns::new();
    for (at, (name, column)) in settings.columns.iter().enumerate() {
        if let Some(value) = told.remove(&at.to_string()) {
            columns.insert(name.clone(), as_told(column, value));
        }
    }
    let columns = settings.fit(columns).map_err(|why| format!("a row does not fit: {why}"))?;
    let key = settings.key_of(&columns).map_err(|why| format!("a row does not fit: {why}"))?;
    Ok(Found { key, columns, expires_at: None })
}

/// A value as its column wants it, where databases write it otherwise.
fn as_told(column: &Column, value: Json) -> Json {
    match (column.of, &value) {
        // SQLite and MySQL have no booleans.
        (ColumnType::Boolean, Json::Number(number)) if matches!(number.as_u64(), Some(0 | 1)) => {
            Json::from(number.as_u64() == Some(1))
        }
        (ColumnType::Text, Json::Number(_) | Json::Bool(_)) => Json::from(value.to_string()),
        _ => value,
    }
}
