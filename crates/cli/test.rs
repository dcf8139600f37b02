//! `portcullis test`: the policies' own tests.

use policy::Diagnostics;
use policy::diagnostic::to_json;
use serde_json::json;
use server::{TestOutcome, TestReport};

use crate::args::{Global, TestArgs};
use crate::output::{Failure, Output, shown};
use crate::{Ended, block_on};

pub(crate) fn run(global: &Global, args: &TestArgs, output: Output) -> Ended {
    global.refuse_admin()?;
    let report = block_on(server::test(&global.options()))?;
    if report.diagnostics.has_errors() {
        return Ok(output.refused(&report.diagnostics));
    }
    output.diagnostics_aside(&report.diagnostics);
    let chosen = choose(report, args)?;
    let failures: Diagnostics =
        chosen.iter().filter_map(|t| t.failure.clone()).fold(Diagnostics::new(), |mut all, one| {
            all.push(one);
            all
        });
    let failed = failures.iter().count();
    output.json(&json!({
        "ok": failed == 0,
        "passed": chosen.len() - failed,
        "failed": failed,
        "tests": chosen.iter().map(view).collect::<Vec<_>>(),
    }));
    for test in &chosen {
        let word = if test.failure.is_some() { "FAILED" } else { "ok    " };
        output.line(format_args!("{word}  {}: {}", shown(&test.policy), shown(&test.name)));
    }
    if !output.is_json() {
        output.diagnostics(&failures);
    }
    output.line(format_args!("{} passed, {failed} failed", chosen.len() - failed));
    Ok(u8::from(failed > 0))
}

/// The tests asked for. A name that fits none is a mistake, not a success.
fn choose(report: TestReport, args: &TestArgs) -> Result<Vec<TestOutcome>, Failure> {
    if let Some(unknown) = args.policies.iter().find(|p| !report.tests.iter().any(|t| t.policy == **p)) {
        return Err(Failure::usage(format!("there is no test of a policy `{unknown}`"))
            .with_help("a policy's name is its path below policies/ without .toml"));
    }
    let wanted = |test: &TestOutcome| {
        (args.policies.is_empty() || args.policies.contains(&test.policy))
            && args.name.as_ref().is_none_or(|text| test.name.contains(text.as_str()))
    };
    let chosen: Vec<_> = report.tests.into_iter().filter(wanted).collect();
    if chosen.is_empty() && args.name.is_some() {
        return Err(Failure::usage("no test has that text in its name"));
    }
    Ok(chosen)
}

fn view(test: &TestOutcome) -> serde_json::Value {
    let failure = test.failure.clone().map(|one| to_json(&Diagnostics::from(one))[0].clone());
    json!({
        "policy": test.policy,
        "name": test.name,
        "ok": test.failure.is_none(),
        "milliseconds": u64::try_from(test.took.as_millis()).unwrap_or(u64::MAX),
        "failure": failure,
    })
}
