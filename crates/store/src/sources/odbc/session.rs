//! One connection, on the thread that owns it: what is set on it, what was prepared on it, and how a statement goes over it.

#![allow(clippy::disallowed_methods, reason = "on a thread of this source")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use odbc_api::handles::{Statement as _, StatementImpl};
use odbc_api::parameter::{InputParameter, VarBinaryBox, VarCharBox, VarWCharBox, WithDataType};
use odbc_api::{Connection, ConnectionOptions, Cursor, DataType, IntoParameter, Nullable, Prepared, environment};

use super::connection::Secret;
use super::dialect::Dialect;
use super::error::Told;
use super::statement::{Sql, Statement, Value};

/// What logging in may take, where the driver knows of limits; in seconds.
const LOGIN: u32 = 3;

/// What a statement may take, where the driver knows of limits; in seconds.
const QUERY: usize = 3;

/// Connects, and sets what every statement relies on.
pub(super) fn open(secret: &Secret, dialect: &Dialect) -> Result<Connection<'static>, Told> {
    let told = |error| Told::new(&error, secret.password());
    let options = ConnectionOptions { login_timeout_sec: Some(LOGIN), packet_size: None };
    let connection = environment()
        .and_then(|environment| environment.connect_with_connection_string(secret.string(), options))
        .map_err(told)?;
    for statement in dialect.session {
        connection.execute(statement, (), None).map_err(told)?;
    }
    Ok(connection)
}

/// A connection with what was prepared on it.
pub(super) struct Session<'c> {
    connection: &'c Connection<'static>,
    dialect: &'static Dialect,
    secret: &'c Secret,
    prepared: HashMap<Arc<str>, Prepared<StatementImpl<'c>>>,
}

/// What a statement answered: rows, or how many it changed.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) rows: Vec<Found>,
    pub(super) count: u64,
}

/// A row: its first column as bytes where it is a record's key, the others as text.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) key: Vec<u8>,
    pub(super) texts: Vec<Option<String>>,
}

/// What the first column of an answer is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Key,
    Text,
}

impl<'c> Session<'c> {
    pub(super) fn new(connection: &'c Connection<'static>, dialect: &'static Dialect, secret: &'c Secret) -> Self {
        Session { connection, dialect, secret, prepared: HashMap::new() }
    }

    pub(super) fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    /// Sends a statement, again where it was undone for somebody else's lock, until the time is over.
    pub(super) fn send(&mut self, statement: &Statement, values: &[Value], until: Instant) -> Result<Reply, Told> {
        let mut pause = Duration::from_millis(1);
        loop {
            match self.send_once(statement, values) {
                Err(told) if told.is_undone(self.dialect) && Instant::now() + pause < until => {
                    std::thread::sleep(pause)
                }
                outcome => return outcome,
            }
            pause *= 2;
        }
    }

    fn send_once(&mut self, statement: &Statement, values: &[Value]) -> Result<Reply, Told> {
        match statement {
            Statement::Read(sql) | Statement::Write(sql) | Statement::Take(sql) => {
                self.execute(sql, values, First::Key)
            }
            Statement::Insert(sql) => match self.execute(sql, values, First::Key) {
                Err(told) if told.is_duplicate(self.dialect) => Ok(Reply::default()),
                outcome => outcome,
            },
            Statement::LockedTake(claim, read, delete) => {
                self.connection.set_autocommit(false).map_err(|error| self.told(&error))?;
                let taken = self.take(claim.as_ref(), read, delete, values);
                let ended = match &taken {
                    Ok(_) => self.connection.commit(),
                    Err(_) => self.connection.rollback(),
                };
                let ended = ended.and_then(|()| self.connection.set_autocommit(true));
                match (taken, ended) {
                    (Ok(reply), Ok(())) => Ok(reply),
                    (Err(told), Ok(())) => Err(told),
                    (_, Err(error)) => Err(self.told(&error).unknown("a transaction could not be ended")),
                }
            }
        }
    }

    fn take(&mut self, claim: Option<&Sql>, read: &Sql, delete: &Sql, values: &[Value]) -> Result<Reply, Told> {
        if let Some(claim) = claim
            && self.execute(claim, values, First::Key)?.count == 0
        {
            return Ok(Reply::default());
        }
        let reply = self.execute(read, values, First::Key)?;
        if reply.rows.is_empty() || self.execute(delete, values, First::Key)?.count == 1 {
            return Ok(reply);
        }
        Err(Told::ours("a row that was locked to be taken could not be deleted"))
    }

    /// A statement that names no parameters and answers texts: not prepared, since it is rare.
    pub(super) fn ask(&mut self, sql: &str) -> Result<Vec<Found>, Told> {
        let told = |error| Told::new(&error, self.secret.password());
        match self.connection.execute(sql, (), None).map_err(told)? {
            Some(mut cursor) => rows(&mut cursor, First::Text, told),
            None => Ok(Vec::new()),
        }
    }

    /// A statement that answers texts, prepared.
    pub(super) fn tell(&mut self, statement: &Statement) -> Result<Vec<Found>, Told> {
        let mut rows = Vec::new();
        for sql in statement.texts() {
            rows.extend(self.execute(sql, &[], First::Text)?.rows);
        }
        Ok(rows)
    }

    fn execute(&mut self, sql: &Sql, values: &[Value], first: First) -> Result<Reply, Told> {
        let (dialect, password) = (self.dialect, self.secret.password());
        let told = |error| Told::new(&error, password);
        if !self.prepared.contains_key(&sql.text) {
            let mut prepared = self.connection.prepare(&sql.text).map_err(told)?;
            // Where the driver has none, the limit of the verb above it holds all the same.
            let _ = prepared.set_query_timeout_sec(QUERY);
            self.prepared.insert(sql.text.clone(), prepared);
        }
        let Some(prepared) = self.prepared.get_mut(&sql.text) else { return Err(Told::ours("nothing was prepared")) };
        let parameters: Vec<Box<dyn InputParameter>> = values.iter().map(|value| parameter(value, dialect)).collect();
        let cursor = match parameters.is_empty() {
            true => prepared.execute(()),
            false => prepared.execute(&parameters[..]),
        };
        if let Some(mut cursor) = cursor.map_err(told)? {
            let found = rows(&mut cursor, first, told);
            // Not by dropping it, which takes a connection that was lost for a mistake of the program.
            let mut open = cursor.into_stmt();
            let closed = open.end_cursor_scope().into_result(&open);
            let rows = found?;
            closed.map_err(told)?;
            return Ok(Reply { rows, count: 0 });
        }
        let count = prepared.row_count().map_err(told)?.unwrap_or(0);
        Ok(Reply { rows: Vec::new(), count: u64::try_from(count).unwrap_or(u64::MAX) })
    }

    fn told(&self, error: &odbc_api::Error) -> Told {
        Told::new(error, self.secret.password())
    }
}

/// A value as the driver takes it. Text goes as UTF-16, which every driver understands the same way, whatever the process's locale.
fn parameter(value: &Value, dialect: &Dialect) -> Box<dyn InputParameter> {
    match value {
        Value::Bytes(bytes) => Box::new(VarBinaryBox::from_vec(bytes.clone())),
        Value::Text(Some(text)) => Box::new(VarWCharBox::from_str_slice(text)),
        Value::Text(None) => Box::new(VarWCharBox::null()),
        Value::Number(number) if dialect.numbers_as_text => {
            let text = number.map_or_else(VarCharBox::null, |number| VarCharBox::from_string(number.to_string()));
            Box::new(WithDataType::new(text, DataType::Decimal { precision: 19, scale: 0 }))
        }
        Value::Number(Some(number)) => Box::new(number.into_parameter()),
        Value::Number(None) => Box::new(Nullable::<i64>::null()),
    }
}

/// All rows of an answer.
fn rows<C: Cursor>(cursor: &mut C, first: First, told: impl Fn(odbc_api::Error) -> Told) -> Result<Vec<Found>, Told> {
    let columns = u16::try_from(cursor.num_result_cols().map_err(&told)?).unwrap_or(0);
    let mut rows = Vec::new();
    let mut wide = Vec::new();
    while let Some(mut row) = cursor.next_row().map_err(&told)? {
        let mut found = Found::default();
        for column in 1..=columns {
            if column == 1 && first == First::Key {
                row.get_binary(column, &mut found.key).map_err(&told)?;
                continue;
            }
            let there = row.get_wide_text(column, &mut wide).map_err(&told)?;
            let text = there.then(|| String::from_utf16(&wide)).transpose();
            found.texts.push(text.map_err(|_| Told::ours("the driver gave a text that is not Unicode"))?);
        }
        rows.push(found);
    }
    Ok(rows)
}
