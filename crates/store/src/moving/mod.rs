//! One line moves a store: two data sources behind it for a while, the old one and the new one.
//!
//! The old source decides about a key for as long as it has a live row with it. Then one compare and swap there hands the key over:
//! the row becomes one that says `Moved`, and from then on the new source decides, for ever. Rows that are made during the move are
//! made where the phase says: in the old source (`next`) or in the new one (`previous`). So there is one place for every decision
//! whatever the phases of the nodes are, as long as they are neighbours; `docs/decisions/0010-one-line-moves-a-store.md` has the
//! protocol and its reasons, `tests/` its proof.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::future::join;

use crate::codec::{SWAPS, too_busy};
use crate::source::{Capabilities, DataSource, Health, Row, StoreError, Table, Verb};
use crate::tables::is_minted;
use crate::watch::{self, Half, Watcher};

mod alone;
mod copier;
mod mark;
mod remains;
mod sides;
#[cfg(test)]
mod tests;

pub(crate) use alone::Alone;
pub use copier::{Copied, Copier, Step, Sum};
use mark::{Mark, instead};
pub use remains::Remains;
use sides::Sides;
use sides::{New, Old};

/// How far a move is, on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `next`: new rows are made in the old source. Other nodes may know the old one alone, or be a phase further.
    Next,
    /// `previous`: new rows are made in the new source. Other nodes may be a phase before, or know the new one alone.
    Previous,
}

/// Which rows of a table.
#[derive(Clone, Copy)]
enum Query<'a> {
    All,
    /// With this value in the index column with this number.
    By(usize, &'a str),
}

impl Query<'_> {
    fn page<'a>(
        self,
        source: &'a dyn DataSource,
        table: &'static Table,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>>
    where
        Self: 'a,
    {
        match self {
            Query::All => source.list(table, after, limit),
            Query::By(index, value) => source.find(table, index, value, after, limit),
        }
    }

    /// Whether a row is one of them.
    fn is(self, row: &Row) -> bool {
        match self {
            Query::All => true,
            Query::By(index, value) => row.indexes.get(index).is_some_and(|found| found.as_deref() == Some(value)),
        }
    }
}

/// Where a row was found, and is to be decided about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Old,
    New,
}

/// A store on two sources.
pub(crate) struct Moving {
    sides: Sides,
    phase: Phase,
    /// Those who watch both sides.
    halves: Mutex<Vec<Arc<Half>>>,
}

impl Moving {
    pub(crate) fn new(old: Arc<dyn DataSource>, new: Arc<dyn DataSource>, phase: Phase) -> Self {
        Moving { sides: Sides::new(old, new), phase, halves: Mutex::default() }
    }

    /// Where new rows are made.
    fn home(&self) -> Side {
        match self.phase {
            Phase::Next => Side::Old,
            Phase::Previous => Side::New,
        }
    }

    /// A row as it is told. Its version says where it was read as well: that of a row of the other side than home is told as its
    /// complement, which is negative. So a version read here is never taken for one there.
    fn told(&self, side: Side, row: Row) -> Row {
        let version = if side == self.home() { row.version } else { !row.version };
        Row { version, ..row }
    }

    /// The side and the version there of a row that was told with this version.
    fn meant(&self, version: i64) -> (Side, i64) {
        match (version >= 0, self.home()) {
            (true, home) => (home, version),
            (false, Side::Old) => (Side::New, !version),
            (false, Side::New) => (Side::Old, !version),
        }
    }

    /// The row that counts, with its version on its side.
    async fn counting(&self, table: &'static Table, key: &[u8]) -> Result<Option<(Side, Row)>, StoreError> {
        // What the new source has of its own needs no look into the old one, whose nodes may be gone already. Not so while new
        // rows are made in the old one: there nearly all are.
        if self.phase == Phase::Previous
            && let New::Own(row) = self.sides.new_row(table, key).await?
        {
            return Ok(Some((Side::New, row)));
        }
        let of = match self.sides.old_row(table, key).await? {
            Old::Live(row) => return Ok(Some((Side::Old, row))),
            Old::Moved(of) => Some(of),
            // Nothing counts but what the new source has of its own, and it had nothing before the old one was asked.
            Old::Nothing(_) if self.phase == Phase::Previous => return Ok(None),
            Old::Nothing(_) => None,
        };
        Ok(self.sides.new_row(table, key).await?.counting(of).map(|row| (Side::New, row)))
    }

    /// Lets the row of this version be gone; `false` where it is another one by now.
    async fn discard(&self, table: &'static Table, side: Side, row: &Row) -> Result<bool, StoreError> {
        let gone = instead(table, row, Mark::Gone);
        match side {
            Side::New => self.sides.new.replace(table, gone, row.version).await,
            Side::Old => {
                let done = self.sides.old.replace(table, gone, row.version).await?;
                // A copy of it does not count any more; without this one it would for a node that knows the new source alone. That
                // it is gone is decided: where this fails, `store copy` does it.
                if done && self.phase == Phase::Previous {
                    let _ = self.sides.drop_dead(table, &row.key).await;
                }
                Ok(done)
            }
        }
    }

    async fn insert_decided(&self, table: &'static Table, row: Row) -> Result<bool, StoreError> {
        // Such keys are nobody else's: no need to look, nor to let anybody know.
        if is_minted(table) && self.sides.side(self.home()).insert(table, row.clone()).await? {
            return Ok(true);
        }
        for _ in 0..SWAPS {
            // Whoever makes a row of its own in the new source has let the old one say so first.
            if let New::Own(_) = self.sides.new_row(table, &row.key).await? {
                return Ok(false);
            }
            let at = match self.sides.old_row(table, &row.key).await? {
                Old::Live(_) => return Ok(false),
                Old::Moved(of) => return self.sides.insert_new(table, row, of).await,
                Old::Nothing(at) => at,
            };
            let (made, wanted) = match self.phase {
                Phase::Next => (row.clone(), true),
                // The key is handed over before there is a row: no version is 0, so no copy counts by that.
                Phase::Previous => (instead(table, &row, Mark::Moved(0)), false),
            };
            let done = match at {
                None => self.sides.old.insert(table, made).await?,
                Some(version) => self.sides.old.replace(table, made, version).await?,
            };
            if done && wanted {
                return Ok(true);
            }
        }
        Err(too_busy(table))
    }

    async fn replace_decided(&self, table: &'static Table, row: Row, expected: i64) -> Result<bool, StoreError> {
        match self.meant(expected) {
            (Side::New, version) => self.sides.new.replace(table, row, version).await,
            (Side::Old, version) if self.phase == Phase::Next => self.sides.old.replace(table, row, version).await,
            // Handed over first, and then decided among all who know that.
            (Side::Old, version) => match self.sides.hand_over(table, &row.key, version).await? {
                Some(copy) => self.sides.new.replace(table, row, copy.version).await,
                None => Ok(false),
            },
        }
    }

    async fn take_decided(&self, table: &'static Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        for _ in 0..SWAPS {
            let Some((side, row)) = self.counting(table, key).await? else { return Ok(None) };
            if self.discard(table, side, &row).await? {
                return Ok(Some(self.told(side, row)));
            }
        }
        Err(too_busy(table))
    }

    /// The rows that count of both sides, ordered by key.
    async fn rows(
        &self,
        table: &'static Table,
        query: Query<'_>,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        let mut after = after.map(<[u8]>::to_vec);
        while rows.len() < limit {
            let page = self.sides.page(table, query, after.as_deref(), limit - rows.len()).await?;
            for (side, row) in page.rows {
                rows.push(self.told(side, row));
            }
            if page.last {
                break;
            }
            after = page.end;
        }
        rows.truncate(limit);
        Ok(rows)
    }

    async fn remove_decided(
        &self,
        table: &'static Table,
        index: usize,
        value: &str,
        limit: usize,
    ) -> Result<u64, StoreError> {
        let mut removed = 0;
        for row in self.rows(table, Query::By(index, value), None, limit).await? {
            let (side, version) = self.meant(row.version);
            removed += u64::from(self.discard(table, side, &Row { version, ..row }).await?);
        }
        Ok(removed)
    }
}

impl DataSource for Moving {
    /// That of the one where its records were.
    fn name(&self) -> Option<&str> {
        self.sides.old.name()
    }

    /// What both can do.
    fn capabilities(&self) -> Capabilities {
        let (old, new) = (self.sides.old.capabilities(), self.sides.new.capabilities());
        Capabilities {
            compare_and_swap: old.compare_and_swap && new.compare_and_swap,
            ttl: old.ttl && new.ttl,
            strong_read: old.strong_read && new.strong_read,
            push: old.push && new.push,
            read_only: old.read_only || new.read_only,
            node_local: old.node_local || new.node_local,
        }
    }

    fn prepare(&self) -> Verb<'_, ()> {
        Box::pin(async {
            let (old, new) = join(self.sides.old.prepare(), self.sides.new.prepare()).await;
            old.and(new)
        })
    }

    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(async move { Ok(self.counting(table, key).await?.map(|(side, row)| self.told(side, row))) })
    }

    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        Box::pin(self.insert_decided(table, row))
    }

    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        Box::pin(self.replace_decided(table, row, expected))
    }

    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        Box::pin(self.take_decided(table, key))
    }

    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        Box::pin(self.rows(table, Query::By(index, value), after, limit))
    }

    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        Box::pin(self.rows(table, Query::All, after, limit))
    }

    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        Box::pin(self.remove_decided(table, index, value, limit))
    }

    /// Of both, and as many as of the one in which new rows are made: what is hidden in the other one was no row.
    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        let (home, other) = match self.phase {
            Phase::Next => (&self.sides.old, &self.sides.new),
            Phase::Previous => (&self.sides.new, &self.sides.old),
        };
        Box::pin(async move {
            other.sweep(table, before, limit).await?;
            home.sweep(table, before, limit).await
        })
    }

    /// That of the source in which new rows are made; the other one must be well too.
    fn health(&self) -> Verb<'_, Health> {
        Box::pin(async {
            let (old, new) = join(self.sides.old.health(), self.sides.new.health()).await;
            let (old, new) = (old?, new?);
            Ok(if self.home() == Side::Old { old } else { new })
        })
    }

    /// Every change of what counts replaces or deletes a row on one of the sides, so the changes of both are all there are. Where one
    /// of them tells nothing, nothing is told.
    fn watch(&self, watcher: Weak<dyn Watcher>) -> bool {
        let halves = watch::halves(watcher);
        let [old, new] = halves.each_ref().map(|half| -> Weak<dyn Watcher> { Arc::downgrade(half) as _ });
        let tells = self.sides.old.watch(old) && self.sides.new.watch(new);
        if tells {
            // They live as long as this, and so longer than whoever watches through them.
            self.halves.lock().unwrap_or_else(PoisonError::into_inner).extend(halves);
        }
        tells
    }
}
