//! The two sources of a move, and what a row in each of them says.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::mark::{Mark, copy, instead, read};
use super::{Query, Side};
use crate::codec::{SWAPS, too_busy};
use crate::source::{DataSource, Row, StoreError, Table};

/// What the old source says of a key.
pub(super) enum Old {
    /// No row; where one says so, its version.
    Nothing(Option<i64>),
    /// This row: nothing else counts.
    Live(Row),
    /// The new source decides. The version that was handed over.
    Moved(i64),
}

impl Old {
    pub(super) fn of(table: &Table, row: Row) -> Result<Old, StoreError> {
        Ok(match read(table, row)? {
            // A copy of an earlier move, into this source, is a row like others.
            (row, None | Some(Mark::Copy(_))) => Old::Live(row),
            (row, Some(Mark::Gone)) => Old::Nothing(Some(row.version)),
            (_, Some(Mark::Moved(of))) => Old::Moved(of),
        })
    }
}

/// What the new source says of a key.
pub(super) enum New {
    /// No row; where one says so, its version.
    Nothing(Option<i64>),
    /// As nothing: a row that says `Moved`, which an earlier move out of this source left.
    Left(Row),
    /// A copy of the old source's row of this version.
    Copy(Row, i64),
    /// A row of its own.
    Own(Row),
}

impl New {
    pub(super) fn of(table: &Table, row: Row) -> Result<New, StoreError> {
        Ok(match read(table, row)? {
            (row, None) => New::Own(row),
            (row, Some(Mark::Copy(of))) => New::Copy(row, of),
            (row, Some(Mark::Gone)) => New::Nothing(Some(row.version)),
            (row, Some(Mark::Moved(_))) => New::Left(row),
        })
    }

    /// The row that counts, where the old source has handed over this version, or nothing.
    pub(super) fn counting(self, handed_over: Option<i64>) -> Option<Row> {
        match self {
            New::Own(row) => Some(row),
            New::Copy(row, of) if Some(of) == handed_over => Some(row),
            New::Copy(..) | New::Nothing(_) | New::Left(_) => None,
        }
    }

    /// The version of the row, whatever it says.
    pub(super) fn version(&self) -> Option<i64> {
        match self {
            New::Nothing(version) => *version,
            New::Copy(row, _) | New::Own(row) | New::Left(row) => Some(row.version),
        }
    }
}

/// Rows of both sides up to a key.
pub(super) struct Page {
    pub(super) rows: Vec<(Side, Row)>,
    /// Where the next one begins.
    pub(super) end: Option<Vec<u8>>,
    /// Whether there is no next one.
    pub(super) last: bool,
}

/// What both sides say of the next keys.
pub(super) struct Both {
    pub(super) keys: BTreeMap<Vec<u8>, (Option<Old>, Option<New>)>,
    /// Up to which key; none where there are no more.
    pub(super) end: Option<Vec<u8>>,
}

impl Both {
    /// Two pages of at most `limit` rows each: as far as both reach, since one that is full says nothing of keys behind its end.
    pub(super) fn of(table: &Table, old: Vec<Row>, new: Vec<Row>, limit: usize) -> Result<Both, StoreError> {
        let ends =
            [&old, &new].map(|page| (page.len() >= limit).then(|| page.last().map(|row| row.key.clone())).flatten());
        let end = match ends {
            [Some(old), Some(new)] => Some(old.min(new)),
            [old, new] => old.or(new),
        };
        let within = |row: &Row| end.as_ref().is_none_or(|end| row.key <= *end);
        let mut keys: BTreeMap<Vec<u8>, (Option<Old>, Option<New>)> = BTreeMap::new();
        for row in old.into_iter().filter(within) {
            let key = row.key.clone();
            keys.entry(key).or_default().0 = Some(Old::of(table, row)?);
        }
        for row in new.into_iter().filter(within) {
            let key = row.key.clone();
            keys.entry(key).or_default().1 = Some(New::of(table, row)?);
        }
        Ok(Both { keys, end })
    }
}

/// Two data sources.
pub(super) struct Sides {
    pub(super) old: Arc<dyn DataSource>,
    pub(super) new: Arc<dyn DataSource>,
}

impl Sides {
    pub(super) fn new(old: Arc<dyn DataSource>, new: Arc<dyn DataSource>) -> Self {
        Sides { old, new }
    }

    pub(super) fn side(&self, side: Side) -> &Arc<dyn DataSource> {
        match side {
            Side::Old => &self.old,
            Side::New => &self.new,
        }
    }

    pub(super) async fn old_row(&self, table: &'static Table, key: &[u8]) -> Result<Old, StoreError> {
        self.old.get(table, key).await?.map_or(Ok(Old::Nothing(None)), |row| Old::of(table, row))
    }

    pub(super) async fn new_row(&self, table: &'static Table, key: &[u8]) -> Result<New, StoreError> {
        self.new.get(table, key).await?.map_or(Ok(New::Nothing(None)), |row| New::of(table, row))
    }

    /// Lets the new source have a copy of the old one's row, as it is; the copy and that row, or none where the old source has no
    /// live row or the new one has a row of its own.
    ///
    /// The new source is read before the old one, and written only where it is still as it was read: so whoever was slow, and saw a
    /// row that has been handed over since, and perhaps taken, writes nothing.
    pub(super) async fn copy(&self, table: &'static Table, key: &[u8]) -> Result<Option<(Row, Row)>, StoreError> {
        for _ in 0..SWAPS {
            let there = self.new_row(table, key).await?;
            let Old::Live(row) = self.old_row(table, key).await? else { return Ok(None) };
            let version = there.version();
            match there {
                New::Own(_) => return Ok(None),
                New::Copy(found, of) if of == row.version && same(&found, &row) => return Ok(Some((found, row))),
                New::Copy(..) | New::Nothing(_) | New::Left(_) => {}
            }
            if let Some(copied) = self.write_copy(table, &row, version).await? {
                return Ok(Some((copied, row)));
            }
        }
        Err(too_busy(table))
    }

    /// Writes a copy in the place of a row of this version, or where there is none; none where that has changed.
    pub(super) async fn write_copy(
        &self,
        table: &'static Table,
        row: &Row,
        version: Option<i64>,
    ) -> Result<Option<Row>, StoreError> {
        let done = match version {
            None => self.new.insert(table, Row { version: 1, ..copy(row) }).await?,
            Some(version) => self.new.replace(table, copy(row), version).await?,
        };
        Ok(done.then(|| Row { version: version.map_or(1, |version| version + 1), ..row.clone() }))
    }

    /// Hands a key over where the old source's row has this version: the copy, as it stands in the new source. One caller gets it.
    pub(super) async fn hand_over(
        &self,
        table: &'static Table,
        key: &[u8],
        version: i64,
    ) -> Result<Option<Row>, StoreError> {
        let Some((copied, row)) = self.copy(table, key).await? else { return Ok(None) };
        let moved = instead(table, &row, Mark::Moved(version));
        let done = self.old.replace(table, moved, version).await?;
        Ok(done.then_some(copied))
    }

    /// Hands over a row of which the new source has this copy, as its own; `false` where the row is another one by now.
    pub(super) async fn hand_over_row(
        &self,
        table: &'static Table,
        row: &Row,
        copied: Row,
    ) -> Result<bool, StoreError> {
        let done = self.old.replace(table, instead(table, row, Mark::Moved(row.version)), row.version).await?;
        if done {
            // Where it was changed or taken since, it is no copy any more.
            let version = copied.version;
            self.new.replace(table, copied, version).await?;
        }
        Ok(done)
    }

    /// Inserts into the new source, where the old one has handed over this version.
    pub(super) async fn insert_new(&self, table: &'static Table, row: Row, of: i64) -> Result<bool, StoreError> {
        for _ in 0..SWAPS {
            let there = self.new_row(table, &row.key).await?;
            let version = there.version();
            if there.counting(Some(of)).is_some() {
                return Ok(false);
            }
            let done = match version {
                None => self.new.insert(table, row.clone()).await?,
                Some(version) => self.new.replace(table, row.clone(), version).await?,
            };
            if done {
                return Ok(true);
            }
        }
        Err(too_busy(table))
    }

    /// Lets be gone what does not count in the new source, since the old one has nothing: a copy, or a row that an earlier move left.
    /// That one says `Moved`, and would say so in the next move out of this source as well, of another one that then decides.
    pub(super) async fn drop_dead(&self, table: &'static Table, key: &[u8]) -> Result<bool, StoreError> {
        let (row, dead) = match self.new_row(table, key).await? {
            New::Copy(row, of) => (row, self.is_dead(table, key, of).await?),
            New::Left(row) => (row, !matches!(self.old_row(table, key).await?, Old::Live(_))),
            New::Own(_) | New::Nothing(_) => return Ok(false),
        };
        Ok(dead && self.new.replace(table, instead(table, &row, Mark::Gone), row.version).await?)
    }

    /// Whether a copy of this version is of a row that is gone, or is another one by now.
    pub(super) async fn is_dead(&self, table: &'static Table, key: &[u8], of: i64) -> Result<bool, StoreError> {
        Ok(match self.old_row(table, key).await? {
            Old::Live(_) => false,
            Old::Moved(handed_over) => handed_over != of,
            Old::Nothing(_) => true,
        })
    }

    /// Hands a key over for good: what counts of it stands in the new source alone, as a row like others, and what does not count there
    /// is gone.
    pub(super) async fn settle(&self, table: &'static Table, key: &[u8]) -> Result<(), StoreError> {
        for _ in 0..SWAPS {
            if let Some((copied, row)) = self.copy(table, key).await? {
                if self.hand_over_row(table, &row, copied).await? {
                    return Ok(());
                }
                continue;
            }
            let there = self.new_row(table, key).await?;
            let done = match (there, self.old_row(table, key).await?) {
                (New::Own(_), Old::Live(row)) => {
                    self.old.replace(table, instead(table, &row, Mark::Moved(row.version)), row.version).await?
                }
                (_, Old::Live(_)) => false,
                (New::Copy(row, of), Old::Moved(handed_over)) if of == handed_over => {
                    let version = row.version;
                    self.new.replace(table, row, version).await?
                }
                (New::Copy(row, _) | New::Left(row), Old::Moved(_) | Old::Nothing(_)) => {
                    self.new.replace(table, instead(table, &row, Mark::Gone), row.version).await?
                }
                (New::Own(_) | New::Nothing(_), Old::Moved(_) | Old::Nothing(_)) => true,
            };
            if done {
                return Ok(());
            }
        }
        Err(too_busy(table))
    }

    /// The rows that count of the next keys after `after`, in order. The old source is read first: what is handed over between the
    /// two reads is then seen twice, not missed.
    pub(super) async fn page(
        &self,
        table: &'static Table,
        query: Query<'_>,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let old = query.page(&*self.old, table, after, limit).await?;
        let new = query.page(&*self.new, table, after, limit).await?;
        let Both { keys, end } = Both::of(table, old, new, limit)?;
        let mut rows = Vec::with_capacity(keys.len());
        for (key, sides) in keys {
            match sides {
                (Some(Old::Live(row)), _) => rows.push((Side::Old, row)),
                (Some(Old::Moved(of)), Some(new)) => rows.extend(new.counting(Some(of)).map(|row| (Side::New, row))),
                (Some(Old::Nothing(_)), Some(new)) => rows.extend(new.counting(None).map(|row| (Side::New, row))),
                (None, Some(New::Own(row))) => rows.push((Side::New, row)),
                // Rows that say `Moved` are in no index.
                (None, Some(New::Copy(..))) => {
                    let counts = match self.old_row(table, &key).await? {
                        Old::Live(row) => Some((Side::Old, row)),
                        Old::Moved(of) => {
                            self.new_row(table, &key).await?.counting(Some(of)).map(|row| (Side::New, row))
                        }
                        Old::Nothing(_) => None,
                    };
                    rows.extend(counts.filter(|(_, row)| query.is(row)));
                }
                (Some(Old::Moved(_) | Old::Nothing(_)) | None, None) | (None, Some(New::Nothing(_) | New::Left(_))) => {
                }
            }
        }
        Ok(Page { rows, last: end.is_none(), end })
    }
}

/// Whether two rows hold the same, whatever their versions. A source with a type for JSON may write a record otherwise.
pub(super) fn same(one: &Row, other: &Row) -> bool {
    let json = |row: &Row| serde_json::from_str::<serde_json::Value>(&row.record).ok();
    one.expires_at == other.expires_at
        && one.indexes == other.indexes
        && (one.record == other.record || json(one).is_some_and(|record| Some(record) == json(other)))
}
