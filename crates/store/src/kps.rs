//! Key property stores (`kps.NAME`): tables of the operator's own, found by a key. OAG: KPS tables.
//!
//! Rows of all of them are in one table of a source, each under the name of its store, typed by what [`Settings`] declare. A row is
//! written whole by one compare and swap, and is read from the source each time. Columns that are to be kept secret are sealed, each
//! for its own place: moved to another row, store or column it does not open.
//!
//! A second key is unique as far as one row at a time can tell: whoever puts a row looks first whether another one has it. Two
//! that are put in the same instant may both get it; the look-up then refuses to choose.

mod settings;
mod table;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

pub use self::settings::{
    Column, ColumnType, Columns, LARGEST_ROW, LONGEST_KEY, LONGEST_NAME, RESERVED, Settings, Unfit,
};
use crate::codec::{SWAPS, decode, encode, seconds, too_busy};
use crate::seal::{Place, Sealer};
use crate::source::{DataSource, Row, StoreError};
use crate::tables::KPS;

/// The places of the index columns.
const NAME: usize = 0;
const SECOND_KEY: usize = 1;
/// Rows that are read at once.
const PAGE: usize = 500;
/// Lists and tables in one another, at most: readers of JSON and of TOML have limits of their own, and a backup nests rows once more.
const DEEPEST: u32 = 32;
/// Rows with one second key that are read at once: one, and others that have expired and were not swept yet.
const WITH_ONE_KEY: usize = 100;

/// A key property store.
pub struct Kps {
    source: Arc<dyn DataSource>,
    settings: Arc<Settings>,
    sealer: Arc<Sealer>,
}

/// A row that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its key, as text.
    pub key: String,
    /// Its columns, the key among them.
    pub columns: Columns,
    /// Unix seconds; none = it stays.
    pub expires_at: Option<u64>,
}

/// What a put does where there is a row with the key already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The new row takes its place.
    #[default]
    Replace,
    /// It is refused.
    Insert,
    /// The columns that are given are changed (taken off, where they are given as null), the others stay.
    Merge,
}

/// How a row is put.
#[derive(Clone, Debug)]
pub struct Put {
    /// What happens to a row that is there.
    pub mode: Mode,
    /// How long it lives; none = as the store says.
    pub ttl: Option<Duration>,
    /// Unix seconds.
    pub now: u64,
    /// Random bytes, for a row that is to get a key.
    pub id: [u8; 16],
}

/// A row that was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its key.
    pub key: String,
    /// Whether there was none with this key.
    pub created: bool,
}

/// Why a row was not put or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KpsError {
    /// The row does not fit.
    Unfit(Unfit),
    /// Its key, or its second key, is another row's.
    Taken(String),
    /// Nothing can be written to this store.
    ReadOnly(String),
    /// The source could not do it.
    Store(StoreError),
}

impl fmt::Display for KpsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KpsError::Unfit(why) => why.fmt(f),
            KpsError::Taken(why) | KpsError::ReadOnly(why) => f.write_str(why),
            KpsError::Store(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for KpsError {}

impl From<StoreError> for KpsError {
    fn from(error: StoreError) -> Self {
        KpsError::Store(error)
    }
}

impl From<Unfit> for KpsError {
    fn from(error: Unfit) -> Self {
        KpsError::Unfit(error)
    }
}

/// Whether lists and tables stand in one another no deeper than this.
fn is_shallow(value: &Json, deepest: u32) -> bool {
    match (value, deepest.checked_sub(1)) {
        (Json::Array(_) | Json::Object(_), None) => false,
        (Json::Array(items), Some(deepest)) => items.iter().all(|item| is_shallow(item, deepest)),
        (Json::Object(members), Some(deepest)) => members.values().all(|member| is_shallow(member, deepest)),
        _ => true,
    }
}

impl Kps {
    /// The store over this source; what is encrypted is sealed by this sealer.
    pub fn new(source: Arc<dyn DataSource>, settings: Arc<Settings>, sealer: Arc<Sealer>) -> Self {
        Kps { source, settings, sealer }
    }

    /// The source behind it.
    pub fn source(&self) -> &Arc<dyn DataSource> {
        &self.source
    }

    /// What it is declared to hold.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// Whether it was made of these.
    pub(crate) fn is_for(&self, settings: &Arc<Settings>, sealer: &Arc<Sealer>) -> bool {
        self.settings == *settings && Arc::ptr_eq(&self.sealer, sealer)
    }

    /// The row with this key, opened: what was sealed is in clear. `now` is in Unix seconds.
    pub async fn get(&self, key: &str, now: u64) -> Result<Option<Found>, StoreError> {
        let found = self.get_kept(key, now).await?;
        found.map(|found| self.open(found)).transpose()
    }

    /// The same with what is sealed as it is kept.
    pub async fn get_kept(&self, key: &str, now: u64) -> Result<Option<Found>, StoreError> {
        let Some(key) = self.settings.asked_key(key) else { return Ok(None) };
        if let Some(table) = &self.settings.table {
            return self.table_row(table, &self.settings.key, &key).await;
        }
        let row = self.source.get(&KPS, &self.row_key(&key)).await?;
        row.filter(|row| lives(row, now)).map(|row| self.found(&row)).transpose()
    }

    /// The row with this second key, opened. Of two rows none is taken: somebody has to say which is meant.
    pub async fn get_second(&self, value: &str, now: u64) -> Result<Option<Found>, StoreError> {
        let found = self.get_second_kept(value, now).await?;
        found.map(|found| self.open(found)).transpose()
    }

    /// The same with what is sealed as it is kept.
    pub async fn get_second_kept(&self, value: &str, now: u64) -> Result<Option<Found>, StoreError> {
        let Some(value) = self.settings.asked_second_key(value) else { return Ok(None) };
        if let (Some(table), Some(column)) = (&self.settings.table, &self.settings.second_key) {
            return self.table_row(table, column, &value).await;
        }
        let mut rows = self.with_second_key(&value, now).await?.into_iter();
        match (rows.next(), rows.next()) {
            (None, _) => Ok(None),
            (Some(row), None) => self.found(&row).map(Some),
            (Some(one), Some(other)) => Err(self.ambiguous(&one, &other)),
        }
    }

    /// The key that a row with these columns gets; none where none fits.
    pub fn key_to_be(&self, columns: &Columns, id: [u8; 16]) -> Option<String> {
        let settings = &*self.settings;
        match columns.get(&settings.key).filter(|key| !key.is_null()) {
            None => settings.auto_id.then(|| uuid(id)),
            Some(key) => settings.asked_key(key.clone()),
        }
    }

    /// Whether a row would fit by itself; its key, where it has one already.
    pub fn check(&self, columns: Columns) -> Result<Option<String>, KpsError> {
        self.check_writable()?;
        let settings = &*self.settings;
        columns.keys().try_for_each(|name| settings.column(name).map(drop))?;
        let fit = settings.fit(columns)?;
        if settings.auto_id && !fit.contains_key(&settings.key) {
            return Ok(None);
        }
        Ok(Some(Kps::fitted(settings, fit)?.0))
    }

    /// Puts a row.
    pub async fn put(&self, columns: Columns, put: &Put) -> Result<Written, KpsError> {
        self.check_writable()?;
        let settings = &*self.settings;
        let removed: Vec<String> =
            columns.iter().filter(|(_, value)| value.is_null()).map(|(name, _)| name.clone()).collect();
        removed.iter().try_for_each(|name| settings.column(name).map(drop))?;
        let mut given = settings.fit(columns)?;
        if settings.auto_id && !given.contains_key(&settings.key) {
            given.insert(settings.key.clone(), Json::String(uuid(put.id)));
        }
        let key = settings.key_of(&given)?;
        let row_key = self.row_key(&key);
        for _ in 0..SWAPS {
            let before = self.source.get(&KPS, &row_key).await?;
            let live = before.as_ref().filter(|row| lives(row, put.now));
            let columns = match (live, put.mode) {
                (Some(_), Mode::Insert) => {
                    return Err(KpsError::Taken(format!("there is a row `{key}` in `kps.{}` already", settings.name)));
                }
                (Some(row), Mode::Merge) => {
                    let mut columns: Columns = decode(&KPS, row)?;
                    removed.iter().for_each(|name| drop(columns.remove(name)));
                    columns.extend(given.clone());
                    columns
                }
                _ => given.clone(),
            };
            let kept = live.filter(|_| put.mode == Mode::Merge).and_then(|row| row.expires_at);
            let ttl = put.ttl.or(settings.ttl).map(|ttl| seconds(put.now.saturating_add(ttl.as_secs())));
            let row = self.row_of(&key, columns, &given, ttl.or(kept))?;
            self.check_second_key(&row, put.now).await?;
            let created = live.is_none();
            let done = match before {
                None => self.source.insert(&KPS, row).await?,
                Some(before) => self.source.replace(&KPS, row, before.version).await?,
            };
            if done {
                return Ok(Written { key, created });
            }
        }
        Err(too_busy(&KPS).into())
    }

    /// Deletes the row with this key; `false` where there is none.
    pub async fn delete(&self, key: &str, now: u64) -> Result<bool, KpsError> {
        self.check_writable()?;
        // As it stands first: a row that was put while the settings were others has a key that none could have now.
        let asked = self.settings.asked_key(key).filter(|asked| asked != key);
        for key in [Some(key), asked.as_deref()].into_iter().flatten().filter(|key| key.len() <= LONGEST_KEY) {
            if self.source.take(&KPS, &self.row_key(key)).await?.is_some_and(|row| lives(&row, now)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Rows in the order of their keys, after `after`, at most `limit`, with what is sealed as it is kept.
    pub async fn list(&self, after: Option<&str>, limit: usize, now: u64) -> Result<Vec<Found>, StoreError> {
        if let Some(table) = &self.settings.table {
            return self.table_list(table, after, limit).await;
        }
        let mut found = Vec::new();
        let mut after = after.map(|key| self.row_key(key));
        while found.len() < limit {
            let page = PAGE.min(limit - found.len());
            let rows = self.source.find(&KPS, NAME, &self.settings.name, after.as_deref(), page).await?;
            for row in rows.iter().filter(|row| lives(row, now)) {
                found.push(self.found(row)?);
            }
            match rows.last() {
                Some(last) if rows.len() == page => after = Some(last.key.clone()),
                _ => break,
            }
        }
        Ok(found)
    }

    /// What is sealed in the row, in clear.
    pub fn open(&self, mut found: Found) -> Result<Found, StoreError> {
        for name in self.settings.encrypted() {
            let Some(value) = found.columns.get_mut(name) else { continue };
            let sealed = value.as_str().filter(|text| Sealer::is_sealed(text));
            let Some(sealed) = sealed else {
                let why = format!("`kps.{}`: the column `{name}` of a row is not sealed", self.settings.name);
                return Err(StoreError::Broken(format!(
                    "{why}: `portcullis kps reencrypt {}` seals it",
                    self.settings.name
                )));
            };
            let opened = self.sealer.open(sealed, &self.place(&found.key, name).of())?;
            *value = serde_json::from_slice(&opened).map_err(|_| {
                StoreError::Broken(format!("`kps.{}`: what is sealed in `{name}` is no value", self.settings.name))
            })?;
        }
        Ok(found)
    }

    /// Puts back a row as it was kept, sealed values included.
    pub async fn restore(&self, found: Found, now: u64) -> Result<(), KpsError> {
        self.check_writable()?;
        let (key, row) = Kps::fitted(&self.settings, self.settings.fit(found.columns)?)?;
        let row = Row { expires_at: found.expires_at.map(seconds), ..row };
        let done = match self.source.get(&KPS, &row.key).await? {
            None => self.source.insert(&KPS, row).await?,
            // One that has expired is no row, and may not have gone yet.
            Some(before) if !lives(&before, now) => self.source.replace(&KPS, row, before.version).await?,
            Some(_) => false,
        };
        match done {
            true => Ok(()),
            false => Err(KpsError::Taken(format!("there is a row `{key}` in `kps.{}` already", self.settings.name))),
        }
    }

    /// Seals what is sealed in the row with this key anew with the key that seals now, and what is not sealed and should be;
    /// whether there was something to do.
    pub async fn reencrypt(&self, key: &str, now: u64) -> Result<bool, KpsError> {
        self.check_writable()?;
        let row_key = self.row_key(key);
        for _ in 0..SWAPS {
            let Some(before) = self.source.get(&KPS, &row_key).await?.filter(|row| lives(row, now)) else {
                return Ok(false);
            };
            let Found { mut columns, .. } = self.found(&before)?;
            let mut changed = false;
            for name in self.settings.encrypted() {
                let Some(value) = columns.get_mut(name) else { continue };
                let place = self.place(key, name);
                let sealed = match value.as_str().filter(|text| Sealer::is_sealed(text)) {
                    Some(sealed) => self.sealer.reseal(sealed, &place.of())?,
                    None => Some(self.sealer.seal(value.to_string().as_bytes(), &place.of())?),
                };
                if let Some(sealed) = sealed {
                    *value = Json::String(sealed);
                    changed = true;
                }
            }
            if !changed {
                return Ok(false);
            }
            // Nothing else of the row changes, also where the settings are others by now than when it was put.
            let version = before.version;
            let row = Row { record: encode(&KPS, &columns)?, ..before };
            if self.source.replace(&KPS, row, version).await? {
                return Ok(true);
            }
        }
        Err(too_busy(&KPS).into())
    }

    /// A row as a source keeps it, for a source that is not written to: a file.
    pub fn row(settings: &Settings, columns: Columns) -> Result<Row, Unfit> {
        Kps::fitted(settings, settings.fit(columns)?).map(|(_, row)| row)
    }

    /// The same of columns that fit, or are kept and did when they were put; with its key.
    fn fitted(settings: &Settings, columns: Columns) -> Result<(String, Row), Unfit> {
        let key = settings.key_of(&columns)?;
        let second_key = settings.second_key_of(&columns)?;
        let record = encode(&KPS, &columns).map_err(|why| Unfit::row(why.to_string()))?;
        if record.len() > LARGEST_ROW {
            return Err(Unfit::row(format!("a row has at most {LARGEST_ROW} bytes as JSON")));
        }
        if columns.values().any(|value| !is_shallow(value, DEEPEST)) {
            return Err(Unfit::row(format!("a value is nested more than {DEEPEST} deep")));
        }
        let second_key = second_key.map(|value| format!("{}/{value}", settings.name));
        let indexes = vec![Some(settings.name.clone()), second_key];
        let row = Row { key: row_key(&settings.name, &key), version: 1, expires_at: None, indexes, record };
        Ok((key, row))
    }

    /// The row, its columns sealed where that is asked for. Those that are not among the given ones stay as they are kept.
    fn row_of(
        &self,
        key: &str,
        mut columns: Columns,
        given: &Columns,
        expires_at: Option<i64>,
    ) -> Result<Row, KpsError> {
        for name in self.settings.encrypted() {
            let Some(value) = columns.get_mut(name) else { continue };
            let place = self.place(key, name);
            match value.as_str().filter(|text| Sealer::is_sealed(text)) {
                Some(_) if !given.contains_key(name) => {}
                // Somebody gives back what was read. What was sealed for another place would never open again.
                Some(sealed) => drop(self.sealer.open(sealed, &place.of()).map_err(|why| Unfit {
                    column: Some(name.to_owned()),
                    why: format!("this sealed value is not one of this row: {why}"),
                })?),
                None => *value = Json::String(self.sealer.seal(value.to_string().as_bytes(), &place.of())?),
            }
        }
        Ok(Row { expires_at, ..Kps::fitted(&self.settings, columns)?.1 })
    }

    async fn check_second_key(&self, row: &Row, now: u64) -> Result<(), KpsError> {
        let Some(Some(index)) = row.indexes.get(SECOND_KEY) else { return Ok(()) };
        let value = index.split_once('/').map_or("", |(_, value)| value);
        let others = self.with_second_key(value, now).await?;
        let Some(other) = others.iter().find(|other| other.key != row.key) else { return Ok(()) };
        let column = self.settings.second_key.as_deref().unwrap_or_default();
        let (other, name) = (self.key_in(other), &self.settings.name);
        Err(KpsError::Taken(format!(
            "the second key `{column}` of this row is that of the row `{other}` in `kps.{name}`"
        )))
    }

    /// The live rows with this second key; where there are several, some of them, and two at least. All that have expired are gone
    /// through: where rows live for a short time, many stand before the one that lives.
    async fn with_second_key(&self, value: &str, now: u64) -> Result<Vec<Row>, StoreError> {
        let index = format!("{}/{value}", self.settings.name);
        let mut live = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = self.source.find(&KPS, SECOND_KEY, &index, after.as_deref(), WITH_ONE_KEY).await?;
            let last = rows.len() < WITH_ONE_KEY;
            after = rows.last().map(|row| row.key.clone());
            live.extend(rows.into_iter().filter(|row| lives(row, now)));
            if last || live.len() > 1 {
                return Ok(live);
            }
        }
    }

    fn ambiguous(&self, one: &Row, other: &Row) -> StoreError {
        let (one, other) = (self.key_in(one), self.key_in(other));
        let column = self.settings.second_key.as_deref().unwrap_or_default();
        StoreError::Broken(format!(
            "`kps.{}`: the rows `{one}` and `{other}` have one second key `{column}`; give one of them another",
            self.settings.name
        ))
    }

    /// Refuses to change what cannot be changed here.
    pub fn check_writable(&self) -> Result<(), KpsError> {
        let name = &self.settings.name;
        if let Some(table) = &self.settings.table {
            return Err(KpsError::ReadOnly(format!(
                "`kps.{name}` is the table `{table}` of the database, which is only read"
            )));
        }
        if self.source.capabilities().read_only {
            let remedy = "write the row in the file that the source's `path` names";
            return Err(KpsError::ReadOnly(format!("`kps.{name}` is in a data source that is read-only; {remedy}")));
        }
        Ok(())
    }

    fn found(&self, row: &Row) -> Result<Found, StoreError> {
        let columns: Columns = decode(&KPS, row)?;
        Ok(Found { key: self.key_in(row), columns, expires_at: row.expires_at.and_then(|at| u64::try_from(at).ok()) })
    }

    fn row_key(&self, key: &str) -> Vec<u8> {
        row_key(&self.settings.name, key)
    }

    /// The key in a row's own.
    fn key_in(&self, row: &Row) -> String {
        let key = row.key.get(self.settings.name.len() + 1..).unwrap_or_default();
        String::from_utf8_lossy(key).into_owned()
    }

    fn place<'a>(&self, key: &'a str, column: &'a str) -> OwnPlace<'a> {
        OwnPlace { store: format!("kps.{}", self.settings.name), key, column }
    }
}

/// A place with the name of its store.
struct OwnPlace<'a> {
    store: String,
    key: &'a str,
    column: &'a str,
}

impl OwnPlace<'_> {
    fn of(&self) -> Place<'_> {
        Place { store: &self.store, key: self.key.as_bytes(), column: self.column }
    }
}

fn row_key(name: &str, key: &str) -> Vec<u8> {
    [&prefix(name), key.as_bytes()].concat()
}

/// What the keys of all rows of the store NAME begin with.
pub fn prefix(name: &str) -> Vec<u8> {
    [name.as_bytes(), b"\0"].concat()
}

/// An expired row is none, whether it was swept or not.
fn lives(row: &Row, now: u64) -> bool {
    row.expires_at.is_none_or(|at| at > seconds(now))
}

/// A random UUID (RFC 9562, version 4), as OAG makes keys.
fn uuid(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(random));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
pub(crate) mod tests;
