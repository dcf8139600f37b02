//! Results as JUnit XML, which continuous integration shows: a suite for each policy, a case for each test.

use std::collections::BTreeMap;
use std::path::Path;

use policy::diagnostic::render_one;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use server::TestOutcome;

use crate::output::Failure;

/// Writes the file, whole or not at all as far as the disk lets it.
pub(super) fn write(path: &Path, tests: &[TestOutcome]) -> Result<(), Failure> {
    let failed = |why: String| {
        Failure::wrong(format!("the results cannot be written to `{}`: {why}", path.display()))
            .with_help("`--junit` names a file in a folder that exists")
    };
    let xml = report(tests).to_string().map_err(|why| failed(why.to_string()))?;
    std::fs::write(path, xml).map_err(|why| failed(why.to_string()))
}

/// Text as XML can hold it: of what XML 1.0 has no characters for, two are left standing by the writer.
fn text(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

fn report(tests: &[TestOutcome]) -> Report {
    let mut suites: BTreeMap<&str, TestSuite> = BTreeMap::new();
    for test in tests {
        let suite = suites.entry(&test.policy).or_insert_with(|| TestSuite::new(test.policy.as_str()));
        suite.add_test_case(case(test));
    }
    let mut report = Report::new("portcullis");
    report.set_time(tests.iter().map(|test| test.took).sum());
    report.add_test_suites(suites.into_values().map(|mut suite| {
        let took = suite.test_cases.iter().filter_map(|case| case.time).sum();
        suite.set_time(took);
        suite
    }));
    report
}

fn case(test: &TestOutcome) -> TestCase {
    let status = match &test.failure {
        None => TestCaseStatus::success(),
        Some(failure) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(failure.problem.code.as_str());
            status.set_message(text(&failure.problem.message));
            status.set_description(text(&render_one(failure)));
            status
        }
    };
    let mut case = TestCase::new(text(&test.name), status);
    case.set_classname(test.policy.as_str());
    case.set_time(test.took);
    case
}
