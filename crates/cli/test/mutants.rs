//! `portcullis test --mutants`: what could be lost from the policies without any test noticing.

use policy::Diagnostics;
use policy::diagnostic::to_json;
use serde_json::{Value as Json, json};
use server::{Fate, MutantOutcome, MutantReport, TestChoice};

use crate::Ended;
use crate::args::Global;
use crate::output::{Failure, Output, shown};

pub(super) async fn run(global: &Global, choice: &TestChoice, output: Output) -> Ended {
    let report = server::mutants(&global.options(), choice).await;
    if report.diagnostics.has_errors() {
        return Ok(output.refused(&report.diagnostics));
    }
    if let Some(unknown) = report.unknown.first() {
        return Err(Failure::usage(format!("there is no policy `{unknown}`"))
            .with_help("a policy's name is its path below policies/ without .toml"));
    }
    if report.unmatched {
        return Err(Failure::usage("no test has that text in its name"));
    }
    output.diagnostics_aside(&report.diagnostics);
    if !report.failed.is_empty() {
        return Ok(failed(&report, output));
    }
    let ok = report.survivors().next().is_none() && report.untested.is_empty();
    output.json(&view(&report, ok));
    tell(&report, output);
    Ok(u8::from(!ok))
}

/// Tests that fail as the policies are notice nothing.
fn failed(report: &MutantReport, output: Output) -> u8 {
    let failures: Diagnostics = report.failed.iter().filter_map(|test| test.failure.clone()).collect();
    output.diagnostics(&failures);
    let count = report.failed.len();
    output.line(format_args!("{count} of the tests failed: no mutant was tried"));
    output.json(&json!({ "ok": false, "failed": to_json(&failures) }));
    1
}

fn tell(report: &MutantReport, output: Output) {
    for policy in &report.untested {
        output.line(format_args!("policies/{}.toml: no test reaches this policy", shown(policy)));
    }
    let mut first = None;
    for survivor in report.survivors() {
        first = first.or(Some(survivor));
        let mutant = &survivor.mutant;
        let (name, word) = (shown(&mutant.name), shown(&mutant.word()));
        let why = if survivor.fate == Fate::Unreached { "no test reaches it" } else { "no test notices" };
        let place = format!("{}:{}", shown(&mutant.file), mutant.line);
        output.line(format_args!("{place}: {name} {word}: {why} ({})", mutant.says()));
    }
    if let Some(first) = first {
        output.line("  help: write a test that fails when this is so, or take out what nothing needs. Where no test can notice it,");
        output.line(format_args!(
            "        say so in the policy: [mutants] with {:?} = \"why no test can notice it\"",
            first.mutant.key()
        ));
    }
    let of = report.mutants.len();
    let explained = report.mutants.iter().filter(|mutant| mutant.survived() && mutant.explained.is_some()).count();
    let survive = report.survivors().count();
    output.line(format_args!(
        "{of} mutants: {} noticed, {explained} explained, {survive} survive",
        of - explained - survive
    ));
}

fn view(report: &MutantReport, ok: bool) -> Json {
    json!({
        "ok": ok,
        "survive": report.survivors().count(),
        "untested": report.untested,
        "mutants": report.mutants.iter().map(one).collect::<Vec<_>>(),
    })
}

fn one(outcome: &MutantOutcome) -> Json {
    let mutant = &outcome.mutant;
    let (fate, noticed_by) = match &outcome.fate {
        Fate::Noticed(policy, name) => ("noticed", Some(json!({ "policy": policy, "name": name }))),
        Fate::Survived => ("survived", None),
        Fate::Unreached => ("unreached", None),
    };
    json!({
        "policy": mutant.policy,
        "file": mutant.file,
        "line": mutant.line,
        "mutant": mutant.key(),
        "says": mutant.says(),
        "fate": fate,
        "noticed_by": noticed_by,
        "explained": outcome.explained,
    })
}
