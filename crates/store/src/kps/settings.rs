//! What a key property store is declared to hold: its key, its columns, and what a value of each may be.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Number, Value as Json};

use crate::seal::Sealer;

/// A row: columns and their values. A column without a value is not there.
pub type Columns = Map<String, Json>;

/// The most bytes of the name of a store: it stands before each key, and a source keeps 512 bytes of both.
pub const LONGEST_NAME: usize = 48;
/// The most bytes of a key, and of a second key.
pub const LONGEST_KEY: usize = 255;
/// The most bytes of a row as JSON.
pub const LARGEST_ROW: usize = 256 * 1024;

/// What the name of no column begins with: what a move notes in a row (`moving/mark.rs`) stands beside the columns, under such names.
pub const RESERVED: char = '~';

/// `[kps.NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// NAME.
    pub name: String,
    /// The column that rows are found by.
    pub key: String,
    /// Another column that rows are found by, no two of them alike.
    pub second_key: Option<String>,
    /// The columns; empty = any, with any value.
    pub columns: BTreeMap<String, Column>,
    /// A row that is put without a key gets one.
    pub auto_id: bool,
    /// How long a row lives, where whoever puts it does not say; none = for ever.
    pub ttl: Option<Duration>,
    /// The table of somebody else's that the rows are in; none = Portcullis's own.
    pub table: Option<String>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What its values are.
    pub of: ColumnType,
    /// Its values are kept sealed.
    pub encrypted: bool,
    /// Its name in a table of somebody else's, where that is another one.
    pub named: Option<String>,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    Text,
    /// A whole number, 64 bits with a sign.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A time: kept as RFC 3339 in UTC, by the second; policies see Unix seconds, as of `now`.
    Time,
    /// A list of anything.
    List,
    /// A table of anything.
    Table,
}

impl ColumnType {
    /// All of them, with their words.
    pub const ALL: [(ColumnType, &'static str); 7] = [
        (ColumnType::Text, "text"),
        (ColumnType::Integer, "integer"),
        (ColumnType::Number, "number"),
        (ColumnType::Boolean, "boolean"),
        (ColumnType::Time, "time"),
        (ColumnType::List, "list"),
        (ColumnType::Table, "table"),
    ];

    /// The type with this word.
    pub fn named(word: &str) -> Option<ColumnType> {
        ColumnType::ALL.iter().find(|(_, known)| *known == word).map(|(of, _)| *of)
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        ColumnType::ALL.iter().find(|(of, _)| *of == self).map_or("text", |(_, word)| word)
    }

    /// The value as a column of this type keeps it. Text stands for whatever it spells, since that is what forms, commands and
    /// CSV files have; nothing else is converted.
    fn take(self, value: Json) -> Option<Json> {
        Some(match (self, value) {
            (ColumnType::Text, value @ Json::String(_)) => value,
            (ColumnType::Integer, Json::Number(number)) => Json::from(number.as_i64()?),
            (ColumnType::Integer, Json::String(text)) => Json::from(text.trim().parse::<i64>().ok()?),
            (ColumnType::Number, value @ Json::Number(_)) => value,
            (ColumnType::Number, Json::String(text)) => number(text.trim())?,
            (ColumnType::Boolean, value @ Json::Bool(_)) => value,
            (ColumnType::Boolean, Json::String(text)) => Json::from(text.trim().parse::<bool>().ok()?),
            (ColumnType::Time, Json::Number(number)) => time(number.as_u64()?)?,
            (ColumnType::Time, Json::String(text)) => match text.trim().parse::<u64>() {
                Ok(seconds) => time(seconds)?,
                Err(_) => time(unix(&text)?)?,
            },
            (ColumnType::List, value @ Json::Array(_)) => value,
            (ColumnType::Table, value @ Json::Object(_)) => value,
            (of @ (ColumnType::List | ColumnType::Table), Json::String(text)) => {
                match (of, serde_json::from_str(&text).ok()?) {
                    (ColumnType::List, value @ Json::Array(_)) | (ColumnType::Table, value @ Json::Object(_)) => value,
                    _ => return None,
                }
            }
            _ => return None,
        })
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ColumnType::Text => "text",
            ColumnType::Integer => "a whole number",
            ColumnType::Number => "a number",
            ColumnType::Boolean => "true or false",
            ColumnType::Time => "a time (`2026-01-31T12:00:00Z`, or Unix seconds)",
            ColumnType::List => "a list",
            ColumnType::Table => "a table",
        })
    }
}

fn number(text: &str) -> Option<Json> {
    match text.parse::<i64>() {
        Ok(whole) => Some(Json::from(whole)),
        Err(_) => text.parse().ok().and_then(Number::from_f64).map(Json::Number),
    }
}

/// Unix seconds as RFC 3339, up to the end of the year 9999.
fn time(seconds: u64) -> Option<Json> {
    const LAST: u64 = 253_402_300_799;
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).filter(|_| seconds <= LAST)?;
    Some(Json::String(humantime::format_rfc3339_seconds(at).to_string()))
}

/// The Unix seconds of a time in RFC 3339, also with a space and without a zone (UTC), as databases write it.
pub(crate) fn unix(text: &str) -> Option<u64> {
    let text = text.trim();
    let date_only = text.len() == "2026-01-31".len();
    let (text, offset) = match text.get(10..).and_then(|rest| rest.find(['+', '-'])) {
        Some(at) if !date_only => (&text[..10 + at], offset(&text[10 + at..])?),
        _ => (text, 0),
    };
    let midnight;
    let text = match date_only {
        true => {
            midnight = format!("{text}T00:00:00");
            &midnight
        }
        false => text,
    };
    let at = humantime::parse_rfc3339_weak(text).ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs();
    u64::try_from(i64::try_from(at).ok()?.checked_sub(offset)?).ok()
}

/// The seconds of `+02:00`, `-0530` or `+02`.
fn offset(text: &str) -> Option<i64> {
    let (sign, digits) = text.split_at_checked(1)?;
    let digits: String = digits.chars().filter(|c| *c != ':').collect();
    if !digits.bytes().all(|b| b.is_ascii_digit()) || !matches!(digits.len(), 2 | 4) {
        return None;
    }
    let hours: i64 = digits[..2].parse().ok()?;
    let minutes: i64 = if digits.len() == 4 { digits[2..].parse().ok()? } else { 0 };
    let seconds = hours * 3600 + minutes * 60;
    (hours < 24 && minutes < 60).then_some(if sign == "-" { -seconds } else { seconds })
}

/// A row does not fit its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The column, where one is to blame.
    pub column: Option<String>,
    /// What is wrong. It does not quote the value.
    pub why: String,
}

impl Unfit {
    fn new(column: &str, why: impl Into<String>) -> Unfit {
        Unfit { column: Some(column.to_owned()), why: why.into() }
    }

    pub(crate) fn row(why: impl Into<String>) -> Unfit {
        Unfit { column: None, why: why.into() }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "column `{column}`: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl Settings {
    /// The columns as they are kept: each of its type, those without a value left out.
    pub fn fit(&self, columns: Columns) -> Result<Columns, Unfit> {
        let mut fit = Columns::new();
        for (name, value) in columns {
            if !value.is_null() {
                let value = self.fit_one(&name, value)?;
                fit.insert(name, value);
            }
        }
        Ok(fit)
    }

    /// One value as its column keeps it.
    pub fn fit_one(&self, name: &str, value: Json) -> Result<Json, Unfit> {
        let column = self.column(name)?;
        let kind = describe(&value);
        let value = match column {
            Some(column) if column.encrypted && value.as_str().is_some_and(Sealer::is_sealed) => value,
            Some(column) => column
                .of
                .take(value)
                .ok_or_else(|| Unfit::new(name, format!("it is to be {}, not {kind}", column.of)))?,
            None if self.is_key(name) => match value {
                Json::String(_) => value,
                _ => return Err(Unfit::new(name, format!("a key is text, not {kind}"))),
            },
            None => value,
        };
        if has_zero(&value) {
            return Err(Unfit::new(name, "text with a zero character cannot be kept"));
        }
        match self.is_key(name) {
            true => key_text(name, &value).map(|_| value),
            false => Ok(value),
        }
    }

    /// The column of this name; none where columns are not declared.
    pub fn column(&self, name: &str) -> Result<Option<&Column>, Unfit> {
        match self.columns.get(name) {
            _ if name.starts_with(RESERVED) => {
                Err(Unfit::new(name, format!("the name of a column does not begin with `{RESERVED}`")))
            }
            None if self.columns.is_empty() => Ok(None),
            None => {
                let known: Vec<_> = self.columns.keys().map(|known| format!("`{known}`")).collect();
                Err(Unfit::new(name, format!("`kps.{}` has no such column; it has {}", self.name, known.join(", "))))
            }
            column => Ok(column),
        }
    }

    /// Whether rows are found by this column.
    pub fn is_key(&self, name: &str) -> bool {
        name == self.key || self.second_key.as_deref() == Some(name)
    }

    /// The key of a row that fits.
    pub fn key_of(&self, columns: &Columns) -> Result<String, Unfit> {
        let key = columns.get(&self.key).ok_or_else(|| Unfit::new(&self.key, "it is the key, and is missing"))?;
        key_text(&self.key, key)
    }

    /// The second key of a row that fits; none where it has none.
    pub fn second_key_of(&self, columns: &Columns) -> Result<Option<String>, Unfit> {
        let named = self.second_key.as_ref().and_then(|name| Some((name, columns.get(name)?)));
        named.map(|(name, value)| key_text(name, value)).transpose()
    }

    /// The text of a key column of a row that fits.
    pub(super) fn text_of(&self, name: &str, columns: &Columns) -> Option<String> {
        key_text(name, columns.get(name)?).ok()
    }

    /// A key that somebody asks for, as rows have it: `007` is 7 where keys are numbers. None where no row can have it.
    pub fn asked_key(&self, given: impl Into<Json>) -> Option<String> {
        let value = self.fit_one(&self.key, given.into()).ok()?;
        key_text(&self.key, &value).ok()
    }

    /// The same of a second key.
    pub fn asked_second_key(&self, text: &str) -> Option<String> {
        let name = self.second_key.as_ref()?;
        let value = self.fit_one(name, Json::from(text)).ok()?;
        key_text(name, &value).ok()
    }

    /// What a policy sees of a value: times are Unix seconds there.
    pub fn seen_by_policies(&self, columns: Columns) -> Columns {
        let seen = columns.into_iter().map(|(name, value)| {
            let seconds = match (self.columns.get(&name), &value) {
                (Some(Column { of: ColumnType::Time, .. }), Json::String(text)) => unix(text),
                _ => None,
            };
            (name, seconds.map_or(value, Json::from))
        });
        seen.collect()
    }

    /// The columns that are kept sealed.
    pub fn encrypted(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter(|(_, column)| column.encrypted).map(|(name, _)| name.as_str())
    }
}

fn key_text(name: &str, value: &Json) -> Result<String, Unfit> {
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => return Err(Unfit::new(name, "a key is text or a whole number")),
    };
    if text.is_empty() || text.len() > LONGEST_KEY {
        return Err(Unfit::new(name, format!("a key has from 1 to {LONGEST_KEY} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Unfit::new(name, "a key has no control characters"));
    }
    Ok(text)
}

fn describe(value: &Json) -> &'static str {
    match value {
        Json::Null => "nothing",
        Json::Bool(_) => "true or false",
        Json::Number(number) if number.is_f64() => "a number",
        Json::Number(number) if number.as_i64().is_none() => "one above 9223372036854775807",
        Json::Number(_) => "a whole number",
        Json::String(_) => "this text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a table",
    }
}

/// PostgreSQL keeps no zero character in text or JSON; what one source cannot keep, none does.
fn has_zero(value: &Json) -> bool {
    match value {
        Json::String(text) => text.contains('\0'),
        Json::Array(items) => items.iter().any(has_zero),
        Json::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || has_zero(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_by_type() {
        for (of, given, kept) in [
            ("text", json!("a"), Some(json!("a"))),
            ("text", json!(7), None),
            ("text", json!(null), None),
            ("integer", json!(7), Some(json!(7))),
            ("integer", json!("-7"), Some(json!(-7))),
            ("integer", json!(7.5), None),
            ("integer", json!(u64::MAX), None),
            ("integer", json!("seven"), None),
            ("number", json!(7), Some(json!(7))),
            ("number", json!("7.5"), Some(json!(7.5))),
            ("number", json!("NaN"), None),
            ("number", json!(true), None),
            ("boolean", json!(true), Some(json!(true))),
            ("boolean", json!("false"), Some(json!(false))),
            ("boolean", json!(1), None),
            ("time", json!("2026-01-31T12:00:00Z"), Some(json!("2026-01-31T12:00:00Z"))),
            ("time", json!("2026-01-31 12:00:00.25"), Some(json!("2026-01-31T12:00:00Z"))),
            ("time", json!("2026-01-31T14:00:00+02:00"), Some(json!("2026-01-31T12:00:00Z"))),
            ("time", json!("2026-01-31 06:30:00-05:30"), Some(json!("2026-01-31T12:00:00Z"))),
            ("time", json!("2026-01-31"), Some(json!("2026-01-31T00:00:00Z"))),
            ("time", json!(1_769_860_800), Some(json!("2026-01-31T12:00:00Z"))),
            ("time", json!(-1), None),
            ("time", json!(u64::MAX), None),
            ("time", json!("soon"), None),
            ("time", json!("2026-01-31T12:00:00+99:00"), None),
            ("list", json!([1, "a"]), Some(json!([1, "a"]))),
            ("list", json!("[1]"), Some(json!([1]))),
            ("list", json!("{}"), None),
            ("table", json!({ "a": 1 }), Some(json!({ "a": 1 }))),
            ("table", json!([]), None),
        ] {
            let of = ColumnType::named(of).unwrap();
            assert_eq!(of.take(given.clone()), kept, "{given} as {}", of.word());
        }
        assert_eq!(ColumnType::named("string"), None);
    }
}
