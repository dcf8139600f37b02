//! `portcullis test --mutants`: the files' own tests, run again with one thing in the policies changed at a time.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use policy::Diagnostics;
use policy::diagnostic::{Problem, codes};
use policy::mutants::{Explanation, Mutant, explanations};
use policy::testing::Stage;

use crate::load::{Draft, TestBed, TestWorld, unchanged};
use crate::once::draft;
use crate::options::Options;
use crate::tasks;
use crate::testing::{TestChoice, TestOutcome};

/// A test that takes longer with a mutant has noticed it: nothing in a test waits for anything outside.
const LONGEST: Duration = Duration::from_secs(2);

/// What `portcullis test --mutants` found.
#[derive(Debug, Default)]
pub struct MutantReport {
    /// What the load itself found; with an error among them nothing was tried.
    pub diagnostics: Diagnostics,
    /// Tests that fail without any mutant; with one of them nothing was tried.
    pub failed: Vec<TestOutcome>,
    /// Every mutant of the policies that are asked for, in the order of the files.
    pub mutants: Vec<MutantOutcome>,
    /// Policies that no test reaches, of those that are asked for: their mutants are not tried.
    pub untested: Vec<String>,
    /// No test has the text that is asked for in its name: nothing was tried.
    pub unmatched: bool,
    /// Policies that are asked for and do not exist.
    pub unknown: Vec<String>,
}

/// What came of one mutant.
#[derive(Debug)]
pub struct MutantOutcome {
    /// The mutant.
    pub mutant: Mutant,
    /// What noticed it.
    pub fate: Fate,
    /// Why no test can notice it, where the policy says so.
    pub explained: Option<String>,
}

/// What noticed a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// This test: its policy and name.
    Noticed(String, String),
    /// No test, though some come to what is changed.
    Survived,
    /// No test comes to what is changed.
    Unreached,
}

impl MutantReport {
    /// The mutants that survived without an explanation.
    pub fn survivors(&self) -> impl Iterator<Item = &MutantOutcome> {
        self.mutants.iter().filter(|mutant| mutant.survived() && mutant.explained.is_none())
    }
}

impl MutantOutcome {
    /// No test noticed it.
    pub fn survived(&self) -> bool {
        !matches!(self.fate, Fate::Noticed(..))
    }
}

/// Tries every mutant of the policies that are asked for, with the tests that come to what it changes.
pub async fn mutants(options: &Options, choice: &TestChoice) -> MutantReport {
    let draft = draft(options, false).await;
    let Some(program) = draft.program.clone() else {
        return MutantReport { diagnostics: draft.reading.diagnostics, ..MutantReport::default() };
    };
    let (bed, problems) = TestBed::new(&draft, options);
    let mut report = MutantReport::default();
    report.diagnostics.extend(draft.reading.diagnostics.clone());
    report.diagnostics.extend(problems);
    let known = program.policies();
    report.unknown = choice.policies.iter().filter(|asked| !known.contains(&asked.as_str())).cloned().collect();
    if report.diagnostics.has_errors() || !report.unknown.is_empty() {
        return report;
    }
    let bed = Arc::new(bed);
    // A policy that is called is tested by those that call it, so that all tests run, whatever policies are asked for.
    let tests = bed.tests.iter().enumerate().filter(|(_, test)| choice.has_text(&test.name)).map(|(index, _)| index);
    let tests: Vec<usize> = tests.collect();
    report.unmatched = tests.is_empty() && choice.text.is_some();
    if report.unmatched {
        return report;
    }
    let baseline = match bed.run(tests.clone(), &unchanged(), workers(), None).await {
        Ok(ran) => ran.outcomes,
        Err(problems) => {
            report.diagnostics.extend(problems);
            return report;
        }
    };
    if baseline.iter().any(|outcome| outcome.failure.is_some()) {
        report.failed = baseline.into_iter().filter(|outcome| outcome.failure.is_some()).collect();
        return report;
    }
    let all: Vec<Mutant> = program.mutants().into_iter().filter(|m| choice.has_policy(&m.policy)).collect();
    let trials: Vec<Trial> = all.into_iter().map(|mutant| Trial::new(mutant, &tests, &baseline)).collect();
    report.untested = untested(&trials);
    let trials = trials.into_iter().filter(|trial| !report.untested.contains(&trial.mutant.policy)).collect();
    match Trials::new(trials).run(&bed).await {
        Ok(mutants) => report.mutants = mutants,
        Err(problems) => report.diagnostics.extend(problems),
    }
    explain(&mut report, &draft, choice);
    report
}

fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// The policies of which no test comes to anything.
fn untested(trials: &[Trial]) -> Vec<String> {
    let mut policies: Vec<&String> = trials.iter().map(|trial| &trial.mutant.policy).collect();
    policies.dedup();
    let reached =
        |policy: &String| trials.iter().any(|trial| trial.mutant.policy == *policy && !trial.tests.is_empty());
    policies.into_iter().filter(|policy| !reached(policy)).cloned().collect()
}

/// Notes which survivors the policies explain, and warns of explanations that explain nothing.
fn explain(report: &mut MutantReport, draft: &Draft, choice: &TestChoice) {
    let explanations = explanations(&draft.reading.files);
    for Explanation { policy, key, reason, place } in explanations.iter().filter(|e| choice.has_policy(&e.policy)) {
        let named: Vec<&mut MutantOutcome> =
            report.mutants.iter_mut().filter(|m| m.mutant.policy == *policy && m.mutant.key() == *key).collect();
        let wrong = match (named.is_empty(), named.iter().all(|mutant| !mutant.survived())) {
            (true, _) if report.untested.contains(policy) => None,
            (true, _) => Some((format!("there is no mutant `{key}`"), "`portcullis test --mutants --json` lists them")),
            (false, true) => Some((format!("a test notices the mutant `{key}`"), "take the explanation out")),
            (false, false) => None,
        };
        for mutant in named {
            mutant.explained = Some(reason.clone());
        }
        if let Some((message, help)) = wrong {
            report
                .diagnostics
                .push(Problem::warning(codes::STALE_EXPLANATION, message).with_help(help).at(place.clone()));
        }
    }
    report.diagnostics = std::mem::take(&mut report.diagnostics).sorted();
}

/// A mutant, and the tests that come to what it changes.
struct Trial {
    mutant: Mutant,
    tests: Vec<usize>,
}

impl Trial {
    fn new(mutant: Mutant, tests: &[usize], baseline: &[TestOutcome]) -> Trial {
        let reaches = |outcome: &TestOutcome| outcome.decisions.iter().any(|one| mutant.is_reached_by(one));
        let reaching = tests.iter().zip(baseline).filter(|(_, outcome)| reaches(outcome)).map(|(test, _)| *test);
        Trial { tests: reaching.collect(), mutant }
    }
}

/// The trials that nobody took yet, and what came of the others.
struct Trials {
    trials: Vec<Trial>,
    next: AtomicUsize,
    fates: Mutex<Vec<(usize, Fate)>>,
}

impl Trials {
    fn new(trials: Vec<Trial>) -> Arc<Trials> {
        Arc::new(Trials { trials, next: AtomicUsize::new(0), fates: Mutex::default() })
    }

    async fn run(self: Arc<Self>, bed: &Arc<TestBed>) -> Result<Vec<MutantOutcome>, Diagnostics> {
        let workers = (0..workers().clamp(1, self.trials.len().max(1))).map(|_| {
            let (bed, trials) = (bed.clone(), self.clone());
            tasks::blocking(move || tokio::runtime::Handle::current().block_on(trials.work(&bed)))
        });
        for ended in futures_util::future::join_all(workers).await {
            ended?;
        }
        let mut fates = std::mem::take(&mut *self.fates.lock().unwrap_or_else(PoisonError::into_inner));
        fates.sort_by_key(|(index, _)| *index);
        let outcome = |(index, fate): (usize, Fate)| MutantOutcome {
            mutant: self.trials[index].mutant.clone(),
            fate,
            explained: None,
        };
        Ok(fates.into_iter().map(outcome).collect())
    }

    /// One worker, with policies and a world of its own.
    async fn work(&self, bed: &TestBed) -> Result<(), Diagnostics> {
        let mut stage = bed.stage(&unchanged())?;
        let mut ran = 0;
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(trial) = self.trials.get(index) else { return Ok(()) };
            // What a test left behind may still hold the program: another one takes its place.
            if ran + trial.tests.len() > TestBed::MOST_ON_A_STAGE || Arc::get_mut(&mut stage.program).is_none() {
                stage = bed.stage(&unchanged())?;
                ran = 0;
            }
            ran += trial.tests.len();
            let program =
                Arc::get_mut(&mut stage.program).expect("nobody else holds a program that was just looked at");
            let mutated = program.mutate(&trial.mutant);
            let fate = try_with(bed, &stage, trial).await;
            match Arc::get_mut(&mut stage.program) {
                Some(program) => program.restore(mutated),
                None => (stage, ran) = (bed.stage(&unchanged())?, 0),
            }
            self.fates.lock().unwrap_or_else(PoisonError::into_inner).push((index, fate));
        }
    }
}

/// The first test that fails has noticed the mutant.
async fn try_with(bed: &TestBed, stage: &Stage<TestWorld>, trial: &Trial) -> Fate {
    if trial.tests.is_empty() {
        return Fate::Unreached;
    }
    for test in &trial.tests {
        let test = &bed.tests[*test];
        let noticed = match tokio::time::timeout(LONGEST, stage.run(test)).await {
            Ok(verdict) => verdict.failure.is_some(),
            Err(_) => true,
        };
        if noticed {
            return Fate::Noticed(test.policy.clone(), test.name.clone());
        }
    }
    Fate::Survived
}
