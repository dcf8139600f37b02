//! The files' own tests as a gate. They hold up reloads and `check`, never a start.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use policy::diagnostic::{Problem, codes};
use policy::{Diagnostic, Diagnostics};

use super::Draft;
use super::bed::{TestBed, unchanged};
use crate::options::Options;
use crate::testing::{TestChoice, TestReport};

/// Tests that take longer do not hold up a reload; one that failed by then does.
const LONGEST: Duration = Duration::from_secs(2);

/// A worker compiles all policies for itself, so it must have some tests to run.
const TESTS_A_WORKER: usize = 50;

/// For what tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// `check`: to their end.
    Check,
    /// A reload: bounded in time, and on one thread: a node that serves has other work.
    Reload,
}

/// The tests' failures, and what is wrong with the tests themselves.
pub(crate) async fn run_tests(draft: &Draft, options: &Options, gate: Gate) -> Diagnostics {
    let (limit, workers) = match gate {
        Gate::Check => (None, usize::MAX),
        Gate::Reload => (Some(LONGEST), 1),
    };
    let report = run_within(limit, workers, draft, options, &TestChoice::default()).await;
    let mut found = report.diagnostics;
    report.tests.into_iter().filter_map(|test| test.failure).for_each(|failure| found.push(failure));
    found
}

/// The tests that are asked for, to their end.
pub(crate) async fn run_chosen(draft: &Draft, options: &Options, choice: &TestChoice) -> TestReport {
    run_within(None, usize::MAX, draft, options, choice).await
}

/// All tests, with at most so many workers. Those that `limit` leaves no time for are told of with a warning.
async fn run_within(
    limit: Option<Duration>,
    workers: usize,
    draft: &Draft,
    options: &Options,
    choice: &TestChoice,
) -> TestReport {
    let (bed, mut diagnostics) = TestBed::new(draft, options);
    let untested = choice.policies.iter().filter(|asked| !bed.tests.iter().any(|test| test.policy == **asked));
    let untested = untested.cloned().collect();
    let all = bed.tests.iter().enumerate();
    let chosen: Vec<usize> =
        all.filter(|(_, test)| choice.has(&test.policy, &test.name)).map(|(index, _)| index).collect();
    let mut tests = Vec::new();
    if !chosen.is_empty() {
        let workers = workers.min(std::thread::available_parallelism().map_or(1, NonZero::get));
        let workers = workers.min(chosen.len().div_ceil(TESTS_A_WORKER));
        match Arc::new(bed).run(chosen, &unchanged(), workers, limit).await {
            Ok(ran) => {
                tests = ran.outcomes;
                if !ran.to_the_end {
                    diagnostics.push(too_slow());
                }
            }
            // The same files compiled for the node: whatever this is, it is told.
            Err(problems) => diagnostics.extend(problems),
        }
    }
    TestReport { diagnostics, tests, untested, ..TestReport::default() }
}

fn too_slow() -> Diagnostic {
    let message = format!("the policies' own tests did not finish within {LONGEST:?}, and the rest is not waited for");
    let help = "`portcullis test` shows which of them take long";
    Problem::warning(codes::TESTS_SLOW, message).with_help(help).nowhere()
}
