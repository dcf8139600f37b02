//! The files' own tests as a gate. They hold up reloads and `check`, never a start.

use std::sync::Arc;
use std::time::Duration;

use policy::Diagnostics;
use policy::compile::{Input, NodeFacts, compile};
use policy::diagnostic::{Problem, codes};
use policy::filter::{Keeper, Library};
use policy::reader::Files;
use policy::testing::Test;

use super::outside::Recorder;
use super::resources::Things;
use super::world::TestWorld;
use super::{Draft, facts};
use crate::once::{TestOutcome, TestReport};
use crate::options::Options;
use crate::{clock, tasks};

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
    let limit = match gate {
        Gate::Check => None,
        Gate::Reload => Some(LONGEST),
    };
    let Some(report) = run_within(limit, draft, options).await else {
        let message = format!("the policies' own tests did not finish within {LONGEST:?}, and are not waited for");
        let help = "`portcullis test` shows which of them take long";
        return Problem::warning(codes::TESTS_SLOW, message).with_help(help).nowhere().into();
    };
    let mut found = report.diagnostics;
    report.tests.into_iter().filter_map(|test| test.failure).for_each(|failure| found.push(failure));
    found
}

/// All tests, to their end.
pub(crate) async fn run_all(draft: &Draft, options: &Options) -> TestReport {
    run_within(None, draft, options)
        .await
        .unwrap_or_else(|| TestReport { diagnostics: Diagnostics::new(), tests: Vec::new() })
}

/// All tests, on a thread of their own: they take the processor, and requests must not notice. `None` where they took too long.
async fn run_within(limit: Option<Duration>, draft: &Draft, options: &Options) -> Option<TestReport> {
    let (tests, diagnostics) = policy::testing::tests(&draft.reading.files);
    if tests.is_empty() || diagnostics.has_errors() {
        return Some(TestReport { diagnostics, tests: Vec::new() });
    }
    let upstreams: Vec<String> = draft.upstreams.keys().cloned().collect();
    let (world, things) = TestWorld::new(&draft.stores, upstreams.into_iter());
    let job = Job {
        tests,
        diagnostics,
        world,
        things,
        files: draft.reading.files.clone(),
        outside: draft.reading.outside.clone(),
        facts: facts(&draft.reading.settings, None),
        library: options.library,
    };
    tasks::blocking(move || {
        let runtime = tokio::runtime::Handle::current();
        match limit {
            None => Some(runtime.block_on(job.run())),
            Some(limit) => runtime.block_on(async { tokio::time::timeout(limit, job.run()).await.ok() }),
        }
    })
    .await
}

struct Job {
    tests: Vec<Test>,
    diagnostics: Diagnostics,
    world: TestWorld,
    things: Things,
    files: Arc<Files>,
    outside: Arc<Recorder>,
    facts: NodeFacts,
    library: Library,
}

impl Job {
    /// The policies once more, over the world's own things, and every test.
    async fn run(mut self) -> TestReport {
        let compiled = compile(Input {
            files: &self.files,
            library: self.library,
            resources: &self.things,
            keeper: &Keeper::default(),
            outside: &*self.outside,
            node: &self.facts,
            generation: 1,
        });
        let Some(program) = compiled.program else {
            // The same files compiled for the node: whatever this is, it is told.
            self.diagnostics.extend(compiled.diagnostics);
            return TestReport { diagnostics: self.diagnostics, tests: Vec::new() };
        };
        let clock = clock::environment().clock;
        let mut outcomes = Vec::with_capacity(self.tests.len());
        for test in &self.tests {
            let began = clock.monotonic_nanos();
            let failure = policy::testing::run(&program, &self.world, test).await.err();
            outcomes.push(TestOutcome {
                policy: test.policy.clone(),
                name: test.name.clone(),
                took: Duration::from_nanos(clock.monotonic_nanos().saturating_sub(began)),
                failure,
            });
            // So that the time limit is looked at.
            tokio::task::yield_now().await;
        }
        TestReport { diagnostics: self.diagnostics, tests: outcomes }
    }
}
