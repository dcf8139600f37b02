//! The tests' results for people and for programs.

use policy::Diagnostics;
use policy::diagnostic::to_json;
use serde_json::{Value as Json, json};
use server::{TestOutcome, TestReport};

use super::coverage::{self, Asked};
use crate::output::{Output, shown};

/// Tells them, and gives the exit code.
pub(super) fn tell(report: &TestReport, coverage: Option<&Asked<'_>>, output: Output) -> u8 {
    let tests = &report.tests;
    let failures: Diagnostics = tests.iter().filter_map(|test| test.failure.clone()).collect();
    let failed = tests.iter().filter(|test| test.failure.is_some()).count();
    let passed = tests.len() - failed;
    let ok = failed == 0 && coverage.is_none_or(|coverage| coverage.suffices(report));
    let mut told = json!({
        "ok": ok,
        "passed": passed,
        "failed": failed,
        "tests": tests.iter().map(view).collect::<Vec<_>>(),
    });
    if coverage.is_some() {
        told["coverage"] = coverage::view(report);
    }
    output.json(&told);
    for test in tests {
        let word = if test.failure.is_some() { "FAILED" } else { "ok    " };
        output.line(format_args!("{word}  {}: {}", shown(&test.policy), shown(&test.name)));
    }
    if !output.is_json() {
        output.diagnostics(&failures);
    }
    output.line(format_args!("{passed} passed, {failed} failed"));
    if let Some(coverage) = coverage {
        coverage.tell(report, output);
    }
    u8::from(!ok)
}

fn view(test: &TestOutcome) -> Json {
    let failure = test.failure.clone().map(|one| to_json(&Diagnostics::from(one))[0].clone());
    json!({
        "policy": test.policy,
        "name": test.name,
        "ok": test.failure.is_none(),
        "milliseconds": u64::try_from(test.took.as_millis()).unwrap_or(u64::MAX),
        "failure": failure,
    })
}
