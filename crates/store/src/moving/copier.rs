//! Copies the records of a store from one data source to another, in bulk, while nodes serve.
//!
//! What it writes are copies (see `mark.rs`), which no node of a move counts before the old source has handed the key over: so it may
//! run in any phase, end at any point and be run again. Where this node's mapping says that the store moves (`previous`), it hands
//! over as well, and nothing is left in the old source. A row is looked at one after the other only where both sides do not agree;
//! what agrees costs two pages of a list.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use sha2::{Digest, Sha256};

use super::sides::{Both, New, Old, Sides, same};
use crate::hex;
use crate::source::{DataSource, Row, StoreError, Table};
use crate::tables::is_kept;

/// Rows of a page.
const PAGE: usize = 500;
/// Writes in flight.
const IN_FLIGHT: usize = 32;
/// How often a row that differs is looked at again: others may be writing it.
const LOOKS: usize = 8;
/// Rounds over the old source until nothing of it counts any more: nodes of the phase before may make more meanwhile.
const ROUNDS: usize = 4;
/// Keys that are named of those that differ.
const NAMED: usize = 5;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Rows are copied.
    Copy,
    /// Both sides are compared.
    Verify,
    /// Keys are handed over.
    HandOver,
}

/// How many rows there are on one side, and their digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Rows.
    pub rows: u64,
    /// SHA-256 over all of them in the order of their keys, in hexadecimal digits.
    pub digest: String,
}

/// What came of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Rows that were written.
    pub copied: u64,
    /// Copies that were taken away, since what they were of is gone, and marks of an earlier move.
    pub dropped: u64,
    /// Rows of the old source that the new one has as its own.
    pub own: u64,
    /// Keys that were handed over.
    pub handed_over: u64,
    /// The rows of the old source, as they were compared.
    pub from: Sum,
    /// The same rows in the new one.
    pub to: Sum,
    /// How many rows differ.
    pub differ: u64,
    /// The keys of the first of them.
    pub named: Vec<Vec<u8>>,
    /// How many rows still count in the old source, where all were to be handed over.
    pub left: u64,
}

impl Copied {
    /// Whether both sides agree, and nothing is left.
    pub fn ok(&self) -> bool {
        self.differ == 0 && self.left == 0 && self.from == self.to
    }
}

/// Copies from one source to another.
pub struct Copier {
    sides: Sides,
    hand_over: bool,
    theirs_counts: bool,
    /// What the keys begin with; empty = all of the table.
    prefix: Vec<u8>,
}

impl Copier {
    /// From the old source to the new one. `hand_over`: the store moves, on this node and its neighbours, and nobody knows the old
    /// source alone any more. `theirs_counts`: rows of its own in the new source are right where they differ.
    pub fn new(old: Arc<dyn DataSource>, new: Arc<dyn DataSource>, hand_over: bool, theirs_counts: bool) -> Self {
        Copier { sides: Sides::new(old, new), hand_over, theirs_counts, prefix: Vec::new() }
    }

    /// Only the rows whose keys go on after this.
    pub fn below(self, prefix: Vec<u8>) -> Self {
        Copier { prefix, ..self }
    }

    /// The key that all come after.
    fn start(&self) -> Option<Vec<u8>> {
        (!self.prefix.is_empty()).then(|| self.prefix.clone())
    }

    /// Copies a table, compares both sides, and hands over where it is to. `told` is told of rows that were gone through.
    pub async fn run(
        &self,
        table: &'static Table,
        told: &mut (dyn FnMut(Step, u64) + Send),
    ) -> Result<Copied, StoreError> {
        let mut copied = Copied::default();
        self.copy(table, &mut copied, told).await?;
        self.verify(table, &mut copied, told).await?;
        if self.hand_over && copied.differ == 0 {
            for _ in 0..ROUNDS {
                copied.left = 0;
                if self.hand_over_all(table, &mut copied, told).await? == 0 {
                    break;
                }
                copied.left = 1;
            }
            if copied.left > 0 {
                copied.left = self.live(table).await?;
            }
        }
        Ok(copied)
    }

    /// The next keys of both sides. The new source is read first, as `Sides::copy` does: what is written in the place of what was
    /// read there is then written only if nobody has handed the key over since the old source was read.
    async fn both(&self, table: &'static Table, after: Option<&[u8]>) -> Result<Both, StoreError> {
        let below = |page: Vec<Row>| page.into_iter().take_while(|row| row.key.starts_with(&self.prefix)).collect();
        let new: Vec<Row> = below(self.sides.new.list(table, after, PAGE).await?);
        let old: Vec<Row> = below(self.sides.old.list(table, after, PAGE).await?);
        Both::of(table, old, new, PAGE)
    }

    async fn copy(
        &self,
        table: &'static Table,
        copied: &mut Copied,
        told: &mut (dyn FnMut(Step, u64) + Send),
    ) -> Result<(), StoreError> {
        let mut after = self.start();
        loop {
            let page = self.both(table, after.as_deref()).await?;
            let count = page.keys.len() as u64;
            let work = page.keys.into_iter().filter_map(|(key, sides)| match sides {
                (Some(Old::Live(_)), Some(New::Own(_))) => None,
                (Some(Old::Live(row)), Some(New::Copy(found, of))) if of == row.version && same(&found, &row) => None,
                (Some(Old::Live(row)), new) => Some((key, Some((row, new.and_then(|new| new.version()))))),
                (_, Some(New::Copy(..))) => Some((key, None)),
                (_, Some(New::Left(_))) if !is_kept(table) => Some((key, None)),
                _ => None,
            });
            let mut done =
                stream::iter(work.map(|(key, row)| self.copy_one(table, key, row))).buffer_unordered(IN_FLIGHT);
            while let Some(done) = done.next().await {
                match done? {
                    Wrote::Copy => copied.copied += 1,
                    Wrote::Gone => copied.dropped += 1,
                    Wrote::Nothing => {}
                }
            }
            drop(done);
            told(Step::Copy, count);
            match page.end {
                Some(end) => after = Some(end),
                None => return Ok(()),
            }
        }
    }

    async fn copy_one(
        &self,
        table: &'static Table,
        key: Vec<u8>,
        row: Option<(Row, Option<i64>)>,
    ) -> Result<Wrote, StoreError> {
        let Some((row, version)) = row else {
            return Ok(if self.sides.drop_dead(table, &key).await? { Wrote::Gone } else { Wrote::Nothing });
        };
        if self.sides.write_copy(table, &row, version).await?.is_some() {
            return Ok(Wrote::Copy);
        }
        Ok(if self.sides.copy(table, &key).await?.is_some() { Wrote::Copy } else { Wrote::Nothing })
    }

    async fn verify(
        &self,
        table: &'static Table,
        copied: &mut Copied,
        told: &mut (dyn FnMut(Step, u64) + Send),
    ) -> Result<(), StoreError> {
        let (mut from, mut to) = (Summing::default(), Summing::default());
        let mut after = self.start();
        loop {
            let page = self.both(table, after.as_deref()).await?;
            let count = page.keys.len() as u64;
            for (key, (old, new)) in page.keys {
                let (mut old, mut new) = (old.unwrap_or(Old::Nothing(None)), new.unwrap_or(New::Nothing(None)));
                for _ in 0..LOOKS {
                    if !matches!(self.judge(&old, &new), Judged::Differs) {
                        break;
                    }
                    // Somebody has changed it since, or after it was copied.
                    match old {
                        Old::Live(_) => drop(self.sides.copy(table, &key).await?),
                        _ => drop(self.sides.drop_dead(table, &key).await?),
                    }
                    new = self.sides.new_row(table, &key).await?;
                    old = self.sides.old_row(table, &key).await?;
                }
                match self.judge(&old, &new) {
                    Judged::Same(old, new) => {
                        from.add(old);
                        to.add(new);
                    }
                    Judged::Own => copied.own += 1,
                    Judged::Nothing => {}
                    Judged::Differs => {
                        copied.differ += 1;
                        if copied.named.len() < NAMED {
                            copied.named.push(key);
                        }
                    }
                }
            }
            told(Step::Verify, count);
            match page.end {
                Some(end) => after = Some(end),
                None => break,
            }
        }
        (copied.from, copied.to) = (from.end(), to.end());
        Ok(())
    }

    fn judge<'a>(&self, old: &'a Old, new: &'a New) -> Judged<'a> {
        match (old, new) {
            (Old::Live(old), New::Copy(new, of)) if *of == old.version && same(old, new) => Judged::Same(old, new),
            (Old::Live(old), New::Own(new)) if same(old, new) => Judged::Same(old, new),
            (Old::Live(_), New::Own(_)) if self.theirs_counts => Judged::Own,
            (Old::Live(_), _) => Judged::Differs,
            (Old::Moved(of), New::Copy(_, copied)) if of == copied => Judged::Nothing,
            (_, New::Copy(..)) => Judged::Differs,
            // In the new source alone: made there, by nodes that write there; for others it is one too many.
            (Old::Nothing(_), New::Own(_)) if !self.theirs_counts => Judged::Differs,
            _ => Judged::Nothing,
        }
    }

    /// Hands over what still counts in the old source; how many keys.
    async fn hand_over_all(
        &self,
        table: &'static Table,
        copied: &mut Copied,
        told: &mut (dyn FnMut(Step, u64) + Send),
    ) -> Result<u64, StoreError> {
        let mut after = self.start();
        let mut total = 0;
        loop {
            let page = self.both(table, after.as_deref()).await?;
            let count = page.keys.len() as u64;
            let work = page
                .keys
                .into_iter()
                .filter(|(_, sides)| matches!(sides, (Some(Old::Live(_)), _) | (_, Some(New::Copy(..)))));
            let work = work.map(|(key, sides)| self.hand_over_one(table, key, sides));
            let mut done = stream::iter(work).buffer_unordered(IN_FLIGHT);
            while let Some(done) = done.next().await {
                done?;
                total += 1;
            }
            drop(done);
            told(Step::HandOver, count);
            match page.end {
                Some(end) => after = Some(end),
                None => break,
            }
        }
        copied.handed_over += total;
        Ok(total)
    }

    async fn hand_over_one(
        &self,
        table: &'static Table,
        key: Vec<u8>,
        sides: (Option<Old>, Option<New>),
    ) -> Result<(), StoreError> {
        if let (Some(Old::Live(row)), Some(New::Copy(found, of))) = sides
            && of == row.version
            && same(&found, &row)
            && self.sides.hand_over_row(table, &row, found).await?
        {
            return Ok(());
        }
        self.sides.settle(table, &key).await
    }

    /// How many rows count in the old source.
    async fn live(&self, table: &'static Table) -> Result<u64, StoreError> {
        let mut live = 0;
        let mut remains = super::Remains::new(self.sides.old.clone(), vec![table]);
        while let Some(rows) = remains.next_page().await? {
            live += rows;
        }
        Ok(live)
    }
}

enum Wrote {
    Copy,
    Gone,
    Nothing,
}

enum Judged<'a> {
    Same(&'a Row, &'a Row),
    /// The new source has a row of its own, which is right.
    Own,
    /// There is nothing to compare.
    Nothing,
    Differs,
}

#[derive(Default)]
struct Summing {
    rows: u64,
    digest: Sha256,
}

impl Summing {
    /// Adds a row: key, expiry, index columns and record, whatever its version and the spaces in its JSON.
    fn add(&mut self, row: &Row) {
        let record = serde_json::from_str::<serde_json::Value>(&row.record);
        let record = record.map_or_else(|_| row.record.clone(), |record| canonical(&record));
        let text = serde_json::json!([row.key, row.expires_at, row.indexes, record]).to_string();
        self.digest.update(text.as_bytes());
        self.digest.update(b"\n");
        self.rows += 1;
    }

    fn end(self) -> Sum {
        let digest = self.digest.finalize();
        Sum { rows: self.rows, digest: hex(digest) }
    }
}

/// JSON as one text, whatever the order of its members.
fn canonical(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(members) => {
            let names: BTreeSet<&String> = members.keys().collect();
            let members = names.into_iter().map(|name| format!("{:?}:{}", name, canonical(&members[name])));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        serde_json::Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}
