//! What an old source still has of a store that moves away from it.

use std::sync::Arc;

use super::sides::{New, Old, Sides};
use crate::source::{DataSource, Row, StoreError, Table};
use crate::tables::is_kept;

/// Rows of a page.
const PAGE: usize = 500;

/// Goes through a source, a page at a time, and counts the rows that no other source has taken over.
pub struct Remains {
    source: Arc<dyn DataSource>,
    /// What is still to be looked through, the last one first.
    tables: Vec<&'static Table>,
    after: Option<Vec<u8>>,
}

impl Remains {
    /// Of these tables.
    pub fn new(source: Arc<dyn DataSource>, mut tables: Vec<&'static Table>) -> Self {
        tables.reverse();
        Remains { source, tables, after: None }
    }

    /// Whether a store that moves still needs both sources: something counts in the old one, or the new one has a copy of what is gone,
    /// which would count for nodes that know the new one alone, or what an earlier move out of it left, which would count in the next.
    pub async fn of_move(
        old: Arc<dyn DataSource>,
        new: Arc<dyn DataSource>,
        tables: &[&'static Table],
    ) -> Result<bool, StoreError> {
        if Remains::new(old.clone(), tables.to_vec()).any().await? {
            return Ok(true);
        }
        // Nobody takes a token away: it is changed, expires, and so do its copies.
        let taken_from = tables.iter().copied().filter(|table| !is_kept(table)).collect();
        let mut copies = Remains::new(new.clone(), taken_from);
        let sides = Sides::new(old, new);
        while let Some((table, page)) = copies.next_rows().await? {
            for row in page {
                let key = row.key.clone();
                let dead = match New::of(table, row)? {
                    New::Copy(_, of) => sides.is_dead(table, &key, of).await?,
                    New::Left(_) => true,
                    New::Own(_) | New::Nothing(_) => false,
                };
                if dead {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether the new source has copies that do not count, since the old one has not handed them over: in a move the other way they
    /// would.
    pub async fn any_uncounted(
        old: Arc<dyn DataSource>,
        new: Arc<dyn DataSource>,
        tables: &[&'static Table],
    ) -> Result<bool, StoreError> {
        let mut copies = Remains::new(new.clone(), tables.to_vec());
        let sides = Sides::new(old, new);
        while let Some((table, page)) = copies.next_rows().await? {
            for row in page {
                let key = row.key.clone();
                if let New::Copy(_, of) = New::of(table, row)?
                    && !matches!(sides.old_row(table, &key).await?, Old::Moved(handed_over) if handed_over == of)
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// How many there are on the next page; none at the end.
    pub async fn next_page(&mut self) -> Result<Option<u64>, StoreError> {
        let Some((table, page)) = self.next_rows().await? else { return Ok(None) };
        let mut live = 0;
        for row in page {
            live += u64::from(matches!(Old::of(table, row)?, Old::Live(_)));
        }
        Ok(Some(live))
    }

    async fn next_rows(&mut self) -> Result<Option<(&'static Table, Vec<Row>)>, StoreError> {
        let Some(table) = self.tables.last().copied() else { return Ok(None) };
        let page = self.source.list(table, self.after.as_deref(), PAGE).await?;
        self.after = page.last().map(|row| row.key.clone());
        if page.len() < PAGE {
            self.tables.pop();
            self.after = None;
        }
        Ok(Some((table, page)))
    }

    /// Whether the source, as the new one of a move that begins, has rows already: they would count. Copies do not.
    pub async fn any_own(mut self) -> Result<bool, StoreError> {
        while let Some((table, page)) = self.next_rows().await? {
            for row in page {
                if let New::Own(_) = New::of(table, row)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether there are any.
    pub async fn any(mut self) -> Result<bool, StoreError> {
        while let Some(live) = self.next_page().await? {
            if live > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
