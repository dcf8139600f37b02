//! What can be reached, and how often it was.

use crate::engine::decision::{Record, StepOutcome};
use crate::engine::model::{Outcomes, Policy, StepInfo};
use crate::engine::{Decision, Program};

/// How much of a program its tests reach.
#[derive(Debug, Default)]
pub struct Coverage {
    /// By policy, sorted by name.
    pub policies: Vec<PolicyCoverage>,
    /// Where each step of the program stands in the above.
    places: Vec<[usize; 3]>,
}

/// How much of one policy is reached, by whatever test.
#[derive(Debug)]
pub struct PolicyCoverage {
    /// Its name.
    pub policy: String,
    /// Its file, relative to the configuration folder.
    pub file: String,
    /// Its chains, the main chain first.
    pub chains: Vec<ChainCoverage>,
}

/// How much of one chain is reached.
#[derive(Debug)]
pub struct ChainCoverage {
    /// `filter`, `chain.code`, `on_failure`.
    pub chain: String,
    /// Its filters.
    pub steps: Vec<StepCoverage>,
}

/// How much of one filter or flow word is reached.
#[derive(Debug)]
pub struct StepCoverage {
    /// Its name (default: its `use`).
    pub name: String,
    /// Its line in the policy's file.
    pub line: usize,
    /// How often it ran.
    pub runs: usize,
    /// How often its `when` left it out.
    pub skips: usize,
    /// The outcomes that tests are to show, and the ways that a flow word can take.
    pub items: Vec<Item>,
    outcomes: [usize; Outcomes::ALL.len()],
    branches: Vec<usize>,
}

/// One thing that a test is to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// `success`, `failure`, `case client_credentials`, `else` ...
    pub what: String,
    /// Its line.
    pub line: usize,
    /// How often a test reached it.
    pub reached: usize,
}

impl Coverage {
    /// Everything that can be reached, and nothing that is.
    pub fn new(program: &Program) -> Coverage {
        let mut places = vec![[0; 3]; program.steps.len()];
        let policies = program.policies.iter().enumerate();
        let policies = policies.map(|(id, policy)| of_policy(program, id, policy, &mut places)).collect();
        Coverage { policies, places }
    }

    /// Counts what one run reached.
    pub fn add(&mut self, decision: &Decision) {
        decision.steps.iter().for_each(|record| self.count(record));
    }

    fn count(&mut self, record: &Record) {
        let Some([policy, chain, step]) = self.places.get(record.step as usize).copied() else { return };
        let step = &mut self.policies[policy].chains[chain].steps[step];
        match record.outcome {
            StepOutcome::Skipped => step.skips += 1,
            _ => step.runs += 1,
        }
        if let Some(at) = Outcomes::ALL.iter().position(|outcome| *outcome == record.outcome) {
            step.note(step.outcomes[at]);
        }
        if let Some(at) = record.branch.index().filter(|at| *at < step.branches.len()) {
            step.note(step.branches[at]);
        }
    }

    /// How many things tests reach, and how many they are to reach.
    pub fn counts(&self) -> (usize, usize) {
        sum(self.policies.iter().map(PolicyCoverage::counts))
    }
}

impl PolicyCoverage {
    /// How many things tests reach, and how many they are to reach.
    pub fn counts(&self) -> (usize, usize) {
        let items = || self.chains.iter().flat_map(|chain| &chain.steps).flat_map(|step| &step.items);
        (items().filter(|item| item.reached > 0).count(), items().count())
    }
}

impl ChainCoverage {
    /// How often it ran.
    pub fn runs(&self) -> usize {
        self.steps.first().map_or(0, |step| step.runs + step.skips)
    }
}

/// No item stands for it: it is possible, and nobody is asked to show it.
const NOBODY: usize = usize::MAX;

impl StepCoverage {
    fn of(info: &StepInfo) -> StepCoverage {
        let line = info.line();
        let mut items = Vec::new();
        let mut item = |asked: bool, what: &str, line: usize| {
            if !asked {
                return NOBODY;
            }
            items.push(Item { what: what.to_owned(), line, reached: 0 });
            items.len() - 1
        };
        let outcomes = Outcomes::ALL.map(|outcome| item(info.asked.has(outcome), outcome.as_str(), line));
        let branches = info.branches.iter().map(|branch| item(branch.asked, &branch.name, branch.line)).collect();
        StepCoverage { name: info.name.to_string(), line, runs: 0, skips: 0, items, outcomes, branches }
    }

    /// A run came to it.
    pub fn reached(&self) -> bool {
        self.runs + self.skips > 0
    }

    fn note(&mut self, item: usize) {
        if let Some(item) = self.items.get_mut(item) {
            item.reached += 1;
        }
    }
}

fn of_policy(program: &Program, id: usize, policy: &Policy, places: &mut [[usize; 3]]) -> PolicyCoverage {
    let mut chains = Vec::new();
    for chain in &policy.chains {
        let mut steps = Vec::new();
        for step in &chain.steps {
            places[step.index as usize] = [id, chains.len(), steps.len()];
            steps.push(StepCoverage::of(&program.steps[step.index as usize]));
        }
        chains.push(ChainCoverage { chain: chain.path.to_string(), steps });
    }
    PolicyCoverage { policy: policy.name.clone(), file: policy.file(), chains }
}

fn sum(counts: impl Iterator<Item = (usize, usize)>) -> (usize, usize) {
    counts.fold((0, 0), |(reached, all), (more, of)| (reached + more, all + of))
}
