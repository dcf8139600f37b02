//! The tests' results for people and for programs.

use policy::Diagnostics;
use policy::diagnostic::to_json;
use serde_json::{Value as Json, json};
use server::TestOutcome;

use crate::output::{Output, shown};

/// Tells them, and gives the exit code.
pub(super) fn tell(tests: &[TestOutcome], output: Output) -> u8 {
    let failures: Diagnostics = tests.iter().filter_map(|test| test.failure.clone()).collect();
    let failed = failures.iter().count();
    let passed = tests.len() - failed;
    output.json(&json!({
        "ok": failed == 0,
        "passed": passed,
        "failed": failed,
        "tests": tests.iter().map(view).collect::<Vec<_>>(),
    }));
    for test in tests {
        let word = if test.failure.is_some() { "FAILED" } else { "ok    " };
        output.line(format_args!("{word}  {}: {}", shown(&test.policy), shown(&test.name)));
    }
    if !output.is_json() {
        output.diagnostics(&failures);
    }
    output.line(format_args!("{passed} passed, {failed} failed"));
    u8::from(failed > 0)
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
