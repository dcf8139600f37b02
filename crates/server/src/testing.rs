//! The files' own tests: run once, or again whenever the files change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use policy::Diagnostics;
use policy::coverage::{Coverage, Unstated};
use policy::diagnostic::Diagnostic;
use policy::engine::{Decision, Program};
use policy::reader::Files;

use crate::load::{Draft, Fingerprint, read_files, run_chosen};
use crate::once::draft;
use crate::options::Options;
use crate::reload::FolderWatch;
use crate::tasks;

/// What `portcullis test` found.
#[derive(Debug, Default)]
pub struct TestReport {
    /// What the load itself found; with an error among them no test ran.
    pub diagnostics: Diagnostics,
    /// Every test that was asked for, in the order of the files.
    pub tests: Vec<TestOutcome>,
    /// Policies that were asked for and have no test, or do not exist.
    pub untested: Vec<String>,
    /// How much of the policies that are asked for these tests reach.
    pub coverage: Coverage,
    /// Filters that ended as they do not state: the coverage is not to be trusted there.
    pub unstated: Vec<Unstated>,
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
    /// The decision records of its requests, in their order.
    pub decisions: Vec<Decision>,
}

/// Which tests are asked for.
#[derive(Clone, Debug, Default)]
pub struct TestChoice {
    /// Those of these policies; of all, where it is empty.
    pub policies: Vec<String>,
    /// Those whose name has this text.
    pub text: Option<String>,
}

impl TestReport {
    /// Works out from the decision records what the tests reached.
    fn measure(&mut self, program: &Program, choice: &TestChoice) {
        let mut coverage = Coverage::new(program);
        for decision in self.tests.iter().flat_map(|test| &test.decisions) {
            coverage.add(decision);
            for unstated in program.unstated(decision) {
                if !self.unstated.contains(&unstated) {
                    self.unstated.push(unstated);
                }
            }
        }
        coverage.policies.retain(|policy| choice.has_policy(&policy.policy));
        self.coverage = coverage;
    }

    /// Whether the load and every test went well.
    pub fn passed(&self) -> bool {
        !self.diagnostics.has_errors() && self.tests.iter().all(|t| t.failure.is_none())
    }
}

impl TestChoice {
    /// Whether this policy is asked for.
    pub(crate) fn has_policy(&self, policy: &str) -> bool {
        self.policies.is_empty() || self.policies.iter().any(|asked| asked == policy)
    }

    /// Whether a test of this policy and name is asked for.
    pub(crate) fn has(&self, policy: &str, name: &str) -> bool {
        self.has_policy(policy) && self.has_text(name)
    }

    /// Whether a test of this name is asked for, whatever its policy.
    pub(crate) fn has_text(&self, name: &str) -> bool {
        self.text.as_ref().is_none_or(|text| name.contains(text.as_str()))
    }
}

/// Runs the files' own tests against stores in memory.
pub async fn test(options: &Options, choice: &TestChoice) -> TestReport {
    run(draft(options, false).await, options, choice).await
}

async fn run(draft: Draft, options: &Options, choice: &TestChoice) -> TestReport {
    let Some(program) = draft.program.clone() else {
        return TestReport { diagnostics: draft.reading.diagnostics, ..TestReport::default() };
    };
    let mut report = run_chosen(&draft, options, choice).await;
    let mut diagnostics = draft.reading.diagnostics;
    diagnostics.extend(std::mem::take(&mut report.diagnostics));
    report.diagnostics = diagnostics.sorted();
    report.measure(&program, choice);
    report
}

/// Runs tests again whenever the files change.
pub struct TestWatch {
    options: Options,
    watch: FolderWatch,
    /// The files of the last run, and what tells them from others.
    seen: Option<(Arc<Files>, Fingerprint)>,
}

impl TestWatch {
    /// Of this configuration folder.
    pub fn new(options: Options) -> Self {
        TestWatch { watch: FolderWatch::new(&options), options, seen: None }
    }

    /// Runs the tests of the files as they stand now.
    pub async fn run(&mut self, choice: &TestChoice) -> TestReport {
        let draft = draft(&self.options, false).await;
        self.seen = Some((draft.reading.files.clone(), Fingerprint::of(&draft.reading)));
        run(draft, &self.options, choice).await
    }

    /// Waits until the files are others than those of the last run, and says which; none where it is only what they name outside.
    pub async fn changed(&mut self) -> Vec<String> {
        while let Some((before, fingerprint)) = self.seen.clone() {
            self.watch.next(fingerprint.outside_files()).await;
            let options = self.options.clone();
            let changed = tasks::blocking(move || {
                let now = read_files(&options);
                (!fingerprint.still_holds(&now)).then(|| differing(&before, &now))
            });
            if let Some(changed) = changed.await {
                return changed;
            }
        }
        Vec::new()
    }
}

/// The paths of files that are new, gone or other ones.
fn differing(before: &Files, now: &Files) -> Vec<String> {
    let text = |files: &Files, path: &String| files.files.get(path).map(|file| file.text.clone());
    let paths: BTreeSet<&String> = before.files.keys().chain(now.files.keys()).collect();
    paths.into_iter().filter(|path| text(before, path) != text(now, path)).cloned().collect()
}
