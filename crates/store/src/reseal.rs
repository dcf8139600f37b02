//! Sealing rows anew after a change of keys (`[encryption] keys`): what `reencrypt` does with every kind of store that seals something.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{SWAPS, decode, encode, too_busy};
use crate::seal::{Place, Sealer};
use crate::source::{DataSource, Row, StoreError, Table};

/// Rows that are read at once.
const PAGE: usize = 100;

/// What was sealed anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Records with something sealed that were looked at.
    pub records: u64,
    /// Of these, how many were changed.
    pub sealed: u64,
    /// Those that do not open, by their names, and why. They stay as they are.
    pub refused: Vec<(String, StoreError)>,
}

/// A record with something sealed in it.
pub(crate) trait Sealed: Serialize + DeserializeOwned + Send {
    /// What it is called for people.
    fn name(&self) -> String;

    /// Every sealed text in it.
    fn sealed(&mut self) -> Vec<&mut String>;
}

/// Seals anew what an older key sealed, in all rows of a table. What does not open stays as it is, and keeps no other from it.
pub(crate) async fn reseal<R: Sealed>(
    source: &dyn DataSource,
    table: &'static Table,
    sealer: &Sealer,
    store: &str,
    column: &str,
) -> Result<Resealed, StoreError> {
    let mut done = Resealed::default();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = source.list(table, after.as_deref(), PAGE).await?;
        let Some(last) = page.last().map(|row| row.key.clone()) else { return Ok(done) };
        for row in page {
            done.row::<R>(source, table, sealer, (store, column), row).await?;
        }
        after = Some(last);
    }
}

impl Resealed {
    async fn row<R: Sealed>(
        &mut self,
        source: &dyn DataSource,
        table: &'static Table,
        sealer: &Sealer,
        (store, column): (&str, &str),
        mut row: Row,
    ) -> Result<(), StoreError> {
        for tried in 0..SWAPS {
            let mut record: R = decode(table, &row)?;
            let name = record.name();
            let texts = record.sealed();
            if texts.is_empty() {
                return Ok(());
            }
            self.records += u64::from(tried == 0);
            let mut changed = false;
            for text in texts {
                match sealer.reseal(text, &Place { store, key: &row.key, column }) {
                    Ok(None) => {}
                    Ok(Some(anew)) => (*text, changed) = (anew, true),
                    Err(why) => {
                        self.refused.push((name, why));
                        return Ok(());
                    }
                }
            }
            if !changed {
                return Ok(());
            }
            let anew = Row { record: encode(table, &record)?, ..row.clone() };
            if source.replace(table, anew, row.version).await? {
                self.sealed += 1;
                return Ok(());
            }
            // It was changed meanwhile, or is gone.
            match source.get(table, &row.key).await? {
                Some(now) => row = now,
                None => return Ok(()),
            }
        }
        Err(too_busy(table))
    }
}
