//! What a filter is, and the table of filters that the engine is given.

mod context;
mod ending;
mod keep;
mod library;

pub use context::{Answers, BuildContext, Effects, GoesBy, INJECTED_HEADER, Judges, Read, Repeats};
pub use ending::{Ending, Endings};
pub use keep::Keeper;
pub use library::{
    AnswerStyle, BuildFn, ErasedFilter, FilterKind, Library, LookUp, LookUpFn, LookedUp, Role, SettingsCheck,
};
#[doc(hidden)]
pub use library::{docs_length, docs_of};

use std::future::Future;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::diagnostic::Diagnostics;
use crate::exchange::Exchange;
use crate::outcome::{Abort, Outcome};

/// A compiled filter: one step of a chain.
pub trait Filter: Send + Sync + 'static {
    /// Does its work on the exchange.
    fn run(&self, exchange: &mut Exchange) -> impl Future<Output = Result<Outcome, Abort>> + Send;

    /// Ways in which its settings could ask for less without anybody seeing it, for `portcullis test --mutants`: `asked GET emptied`.
    /// That the filter is left out, or ends the other way round, is tried of every filter.
    fn weaknesses(&self) -> Vec<String> {
        Vec::new()
    }

    /// Makes it weaker in the way with this index; the second time it is as it was.
    fn weaken(&mut self, weakness: usize) {
        let _ = weakness;
    }
}

/// A filter's settings, as they stand in a policy file.
pub trait FilterConfig: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// Its name in policies: `oauth.check-scope`.
    const TYPE: &'static str;

    /// What its presence makes of a policy (an OAuth endpoint, a protected resource): decides the built-in answers.
    const ROLE: Role = Role::Plain;

    /// The compiled filter.
    type Filter: Filter;

    /// Compiles the settings: binds attributes, stores and selectors. Pure: no I/O, no spawning.
    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Self::Filter, Diagnostics>;
}
