//! What the tests reach of the policies, and what they do not: for people, for programs, and as LCOV.

use std::path::Path;

use policy::coverage::{ChainCoverage, Coverage, Item, PolicyCoverage, StepCoverage, lcov};
use serde_json::{Value as Json, json};
use server::TestReport;

use crate::args::TestArgs;
use crate::output::{Failure, Output, shown, table};

/// How to show a fault in a test, which nobody guesses.
const HOW_TO_BREAK: &str = "a test breaks a store by `given = { stores = { NAME = \"down\" } }`, and an upstream by \
                            `given = { upstreams = { NAME = { fail = \"timeout\" } } }`";

/// What of the coverage was asked for.
pub(super) struct Asked<'a> {
    lcov: Option<&'a Path>,
    min: Option<f64>,
}

impl<'a> Asked<'a> {
    /// As the options say; `None` where they ask for none.
    pub(super) fn of(args: &'a TestArgs) -> Result<Option<Asked<'a>>, Failure> {
        let lcov = args.coverage_lcov.as_deref();
        match (args.coverage || lcov.is_some(), args.min) {
            (true, min) => Ok(Some(Asked { lcov, min })),
            (false, None) => Ok(None),
            (false, Some(_)) => Err(Failure::usage("`--min` is the least that `--coverage` must be: give both")),
        }
    }

    /// Whether the coverage is what it must be.
    pub(super) fn suffices(&self, report: &TestReport) -> bool {
        let (reached, all) = report.coverage.counts();
        let enough = self.min.is_none_or(|min| reached as f64 * 100.0 >= min * all as f64);
        enough && report.unstated.is_empty()
    }

    /// For people, after the tests.
    pub(super) fn tell(&self, report: &TestReport, output: Output) {
        let coverage = &report.coverage;
        let row = |name: &str, (reached, all): (usize, usize)| {
            vec![shown(name), format!("{:>5.1} %", percent(reached, all)), format!("{reached} of {all}")]
        };
        let mut rows: Vec<_> = coverage.policies.iter().map(|p| row(&p.policy, p.counts())).collect();
        rows.push(row("all", coverage.counts()));
        output.line(format_args!("\ncoverage\n{}", table(&rows)));
        tell_missing(coverage, output);
        for unstated in &report.unstated {
            output.note(format_args!(
                "portcullis: {unstated}\n  help: this is a mistake of Portcullis: report it, please"
            ));
        }
        let (reached, all) = coverage.counts();
        if let Some(min) = self.min.filter(|_| !self.suffices(report) && report.unstated.is_empty()) {
            output.note(format_args!(
                "portcullis: the coverage is {} %, and `--min` asks for {min} %",
                percent(reached, all)
            ));
        }
    }

    /// Writes the tracefile, where one is asked for.
    pub(super) fn write(&self, report: &TestReport, dir: &Path) -> Result<(), Failure> {
        let Some(path) = self.lcov else { return Ok(()) };
        let prefix = if dir == Path::new(".") { String::new() } else { format!("{}/", dir.display()) };
        std::fs::write(path, lcov(&report.coverage, &prefix)).map_err(|why| {
            Failure::wrong(format!("the coverage cannot be written to `{}`: {why}", path.display()))
                .with_help("`--coverage-lcov` names a file in a folder that exists")
        })
    }
}

/// Percent with one digit, never rounded up: 100 is all of it.
fn percent(reached: usize, all: usize) -> f64 {
    if all == 0 { 100.0 } else { (reached * 1000 / all) as f64 / 10.0 }
}

fn tell_missing(coverage: &Coverage, output: Output) {
    let missing: Vec<String> = coverage.policies.iter().flat_map(missing_of).collect();
    if missing.is_empty() {
        return;
    }
    output.line("\nno test reaches");
    missing.iter().for_each(|line| output.line(shown(line)));
    if missing.iter().any(|line| line.ends_with(":abort")) {
        output.line(format_args!("  help: {HOW_TO_BREAK}"));
    }
}

/// `FILE:LINE: NAME:WHAT` in the order of the lines, a chain that never ran in one line.
fn missing_of(policy: &PolicyCoverage) -> Vec<String> {
    let mut missing: Vec<(usize, String)> = Vec::new();
    for chain in &policy.chains {
        let asked: Vec<(&StepCoverage, &Item)> = items(chain).collect();
        match (chain.runs(), asked.first()) {
            (0, Some((first, _))) => missing.push((first.line, format!("all of `{}` ({})", chain.chain, asked.len()))),
            _ => {
                let unreached = asked.iter().filter(|(_, item)| item.reached == 0);
                missing.extend(unreached.map(|(step, item)| (item.line, format!("{}:{}", step.name, item.what))));
            }
        }
    }
    missing.sort_by_key(|(line, _)| *line);
    missing.into_iter().map(|(line, what)| format!("{}:{line}: {what}", policy.file)).collect()
}

fn items(chain: &ChainCoverage) -> impl Iterator<Item = (&StepCoverage, &Item)> {
    chain.steps.iter().flat_map(|step| step.items.iter().map(move |item| (step, item)))
}

/// For programs.
pub(super) fn view(report: &TestReport) -> Json {
    let (reached, all) = report.coverage.counts();
    json!({
        "reached": reached,
        "asked": all,
        "percent": percent(reached, all),
        "policies": report.coverage.policies.iter().map(policy_view).collect::<Vec<_>>(),
    })
}

fn policy_view(policy: &PolicyCoverage) -> Json {
    let (reached, all) = policy.counts();
    let item = |item: &Item| json!({ "what": item.what, "line": item.line, "reached": item.reached });
    let step = |step: &StepCoverage| {
        let items: Vec<_> = step.items.iter().map(item).collect();
        json!({ "filter": step.name, "line": step.line, "runs": step.runs, "items": items })
    };
    let chain = |chain: &ChainCoverage| json!({ "chain": chain.chain, "runs": chain.runs(), "filters": chain.steps.iter().map(step).collect::<Vec<_>>() });
    json!({
        "policy": policy.policy,
        "file": policy.file,
        "reached": reached,
        "asked": all,
        "percent": percent(reached, all),
        "chains": policy.chains.iter().map(chain).collect::<Vec<_>>(),
    })
}
