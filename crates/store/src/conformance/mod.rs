//! What every data source must do, as named cases. A source's tests run them all, each on a source of its own:
//!
//! ```text
//! store::conformance!(memory, async { Fresh::new(Arc::new(Memory::new())) });
//! ```
//!
//! A source that is read-only has the cases that read, and one of its own:
//!
//! ```text
//! store::conformance!(read_only file, |rows| Arc::new(File::new(rows)));
//! ```
//!
//! where the second argument makes a prepared source that holds these rows. For others it is an expression whose future gives a
//! prepared source with empty tables, evaluated anew for each case. Each case becomes a test of its own in the module named
//! first. That the suite can fail is shown by sources broken on purpose (`broken.rs`): each of them fails exactly the cases that
//! are named there.

use std::any::Any;
use std::sync::Arc;

use crate::source::{BoxFuture, DataSource};

#[cfg(test)]
mod broken;
#[doc(hidden)]
pub mod cases;
mod fixture;

#[doc(hidden)]
pub use self::fixture::Written;

/// What a case found wrong.
pub type Verdict = Result<(), String>;

/// One case: its name and what it does to a prepared source with empty tables.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name: a line of the source's contract.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(Arc<dyn DataSource>) -> BoxFuture<'static, Verdict>,
}

/// A prepared source with empty tables, and what must live as long as it (a temporary folder, a scratch database).
pub struct Fresh {
    /// The source.
    pub source: Arc<dyn DataSource>,
    /// Dropped after the case.
    pub keep: Box<dyn Any + Send>,
}

impl Fresh {
    /// A source that needs nothing beside it.
    pub fn new(source: Arc<dyn DataSource>) -> Self {
        Fresh { source, keep: Box::new(()) }
    }

    /// A source that needs `keep` as long as it lives.
    pub fn keeping(source: Arc<dyn DataSource>, keep: impl Any + Send) -> Self {
        Fresh { source, keep: Box::new(keep) }
    }
}

/// All cases.
pub const CASES: &[Case] = crate::conformance!(@table);

/// Runs all cases, one after the other, each on a source of its own; the name of each that failed, with what it found.
pub async fn failures<F: Future<Output = Fresh>>(make: impl Fn() -> F) -> Vec<(&'static str, String)> {
    let mut failed = Vec::new();
    for case in CASES {
        let fresh = make().await;
        if let Err(why) = (case.run)(fresh.source.clone()).await {
            failed.push((case.name, why));
        }
    }
    failed
}

/// Makes the tests of a source: one for each case. See the [module](crate::conformance).
#[macro_export]
macro_rules! conformance {
    (@list $then:ident $with:tt) => {
        $crate::conformance! { @$then $with [
            an_absent_key_is_none
            a_row_comes_back_as_it_was_inserted
            a_second_insert_changes_nothing
            keys_are_bytes
            text_is_unicode
            a_record_of_a_mebibyte_fits
            tables_are_apart
            a_replace_compares_the_version
            a_replace_of_an_absent_key_changes_nothing
            a_replace_moves_the_index_entries
            a_take_gives_the_row_and_deletes_it
            a_find_looks_at_one_index
            index_values_are_compared_by_their_bytes
            a_find_is_ordered_and_goes_on_after_a_key
            a_list_is_ordered_and_goes_on_after_a_key
            a_remove_takes_what_matches_up_to_the_limit
            a_sweep_takes_what_has_expired
            a_sweep_takes_no_more_than_its_limit
            a_limit_of_zero_does_nothing
            an_answered_write_is_seen
            one_of_fifty_inserts_wins
            one_of_fifty_replaces_wins
            one_of_fifty_takes_wins
            no_update_is_lost
            a_refusal_leaves_its_neighbours_alone
            what_is_unknown_is_an_error
            preparing_again_keeps_the_rows
        ] }
    };
    (@reads $then:ident $with:tt) => {
        $crate::conformance! { @$then $with [
            an_absent_key_is_none
            a_row_comes_back_as_it_was_inserted
            keys_are_bytes
            text_is_unicode
            a_record_of_a_mebibyte_fits
            tables_are_apart
            a_find_looks_at_one_index
            index_values_are_compared_by_their_bytes
            a_find_is_ordered_and_goes_on_after_a_key
            a_list_is_ordered_and_goes_on_after_a_key
            a_limit_of_zero_does_nothing
            what_is_unknown_is_an_error
            preparing_again_keeps_the_rows
        ] }
    };
    (@table) => { $crate::conformance! { @list entries () } };
    (@entries () [$($case:ident)*]) => {
        &[$($crate::conformance::Case {
            name: stringify!($case),
            run: |source| Box::pin($crate::conformance::cases::$case(source)),
        }),*]
    };
    (@tests ($module:ident, $make:expr) [$($case:ident)*]) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let fresh: $crate::conformance::Fresh = ($make).await;
                    if let Err(why) = $crate::conformance::cases::$case(fresh.source.clone()).await {
                        panic!("{why}");
                    }
                }
            )*
        }
    };
    (@read_tests ($module:ident, $make:expr) $cases:tt) => {
        $crate::conformance! { @tests (
            $module,
            async { $crate::conformance::Fresh::new(::std::sync::Arc::new($crate::conformance::Written::new($make))) }
        ) $cases }
    };
    (read_only $module:ident, $make:expr) => {
        $crate::conformance! { @reads read_tests ($module, $make) }

        #[tokio::test]
        async fn every_write_is_refused() {
            if let Err(why) = $crate::conformance::cases::every_write_is_refused($make).await {
                panic!("{why}");
            }
        }
    };
    ($module:ident, $make:expr) => { $crate::conformance! { @list tests ($module, $make) } };
}
