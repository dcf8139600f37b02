//! Who has taken a store's place.
//!
//! A request lives in the generation in which it began, to its end; and where its body comes slowly, that end may be long after
//! another one serves, whose store is another step of a move further. What is asked of the old store then is asked of the one that
//! serves: a step of long ago would take a token that was handed over for one that is not there, answer that it is revoked, and it
//! would live on; and what it makes, nobody would find.

use std::sync::{Arc, OnceLock};

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
