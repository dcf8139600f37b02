//! Who has taken a store's place.
//!
//! A request lives in the generation in which it began, to its end; and where its body comes slowly, that end may be long after
//! another one serves, whose store is another step of a move further. What is asked of the old store then is asked of the one that
//! serves: a step of long ago would take a token that was handed over for one that is not there, answer that it is revoked, and it
//! would live on; and what it makes, nobody would find.

use std::sync::{Arc, OnceLock};

use crate::source::{DataSource, StoreError, Table};

/// Rows that are taken away in one step.
const BATCH: usize = 500;

/// The store that has taken a store's place, if any.
pub(crate) struct Successor<S>(OnceLock<Arc<S>>);

impl<S> Default for Successor<S> {
    fn default() -> Self {
        Successor(OnceLock::new())
    }
}

/// A store that another one may take the place of.
pub(crate) trait Succeeded: Sized {
    fn successor(&self) -> &Successor<Self>;

    /// The store that serves now: this one, or the last of those that followed.
    fn latest(&self) -> &Self {
        let mut store = self;
        while let Some(next) = store.successor().0.get() {
            store = next;
        }
        store
    }

    /// Another one serves from now on. The first that is named stays: it knows the ones after it.
    fn succeeded_by(&self, next: &Arc<Self>) {
        if !std::ptr::eq(self, &**next) {
            let _ = self.successor().0.set(next.clone());
        }
    }
}

/// Takes away all rows whose index column has this value, of the store that serves when it is done; how many.
pub(crate) async fn remove_all<S: Succeeded>(
    store: &S,
    source: impl Fn(&S) -> &Arc<dyn DataSource>,
    table: &'static Table,
    index: usize,
    value: &str,
) -> Result<u64, StoreError> {
    let mut removed = 0;
    loop {
        let serving = store.latest();
        match source(serving).remove(table, index, value, BATCH).await? {
            0 if std::ptr::eq(serving, store.latest()) => return Ok(removed),
            some => removed += some,
        }
    }
}
