//! The commands that load once and serve nothing: `check`, `test`, and those for stores.

use std::time::Duration;

use policy::diagnostic::{Diagnostic, Diagnostics};

use crate::admin::api::{PurgedSource, SourceCheck};
use crate::options::Options;
use crate::records::Stores;
use crate::settings::LogSettings;

/// What `portcullis test` found.
#[derive(Debug)]
pub struct TestReport {
    /// What the load itself found; with an error among them no test ran.
    pub diagnostics: Diagnostics,
    /// Every test, in the order of the files.
    pub tests: Vec<TestOutcome>,
}

/// One test that ran.
#[derive(Debug)]
pub struct TestOutcome {
    /// The policy it belongs to.
    pub policy: String,
    /// Its name.
    pub name: String,
    /// How long it took.
    pub took: Duration,
    /// Why it failed (`P0601`, at its place); `None` where it passed.
    pub failure: Option<Diagnostic>,
}

impl TestReport {
    /// Whether the load and every test went well.
    pub fn passed(&self) -> bool {
        !self.diagnostics.has_errors() && self.tests.iter().all(|t| t.failure.is_none())
    }
}

/// The log's settings as `node.toml` has them, the defaults where it cannot be read: for commands other than `run`.
pub fn log_settings(options: &Options) -> LogSettings {
    let _ = options;
    unimplemented!()
}

/// All problems of the folder, sorted, those of its tests included unless `options.tests` is false. Opens no source.
pub async fn check(options: &Options) -> Diagnostics {
    let _ = options;
    unimplemented!()
}

/// Runs the files' own tests against stores in memory.
pub async fn test(options: &Options) -> TestReport {
    let _ = options;
    unimplemented!()
}

/// Opens the mapped stores of clients and tokens, for the commands that work on records: the same stores that a running node
/// uses, whether or not one runs. The sources behind them are connected and migrated.
pub async fn open_stores(options: &Options) -> Result<Stores, Diagnostics> {
    let _ = options;
    unimplemented!()
}

/// Connects to every source and reports on each, down or not. Errors are those of the files.
pub async fn store_check(options: &Options) -> Result<Vec<SourceCheck>, Diagnostics> {
    let _ = options;
    unimplemented!()
}

/// Brings the schema of every source up to date, and reports on each.
pub async fn store_migrate(options: &Options) -> Result<Vec<SourceCheck>, Diagnostics> {
    let _ = options;
    unimplemented!()
}

/// Purges expired records from every source, at once and to the end.
pub async fn store_purge(options: &Options) -> Result<Vec<PurgedSource>, Diagnostics> {
    let _ = options;
    unimplemented!()
}
