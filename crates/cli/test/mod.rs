//! `portcullis test`: the policies' own tests.

mod coverage;
mod junit;
mod mutants;
mod report;

use std::path::Path;

use server::{TestChoice, TestReport, TestWatch};

use crate::args::{Global, TestArgs};
use crate::output::{Failure, Output, shown};
use crate::{Ended, block_on};

pub(crate) fn run(global: &Global, args: &TestArgs, output: Output) -> Ended {
    global.refuse_admin()?;
    let asked = coverage::Asked::of(args)?;
    let choice = TestChoice { policies: args.policies.clone(), text: args.filter.clone() };
    block_on(async {
        if args.mutants {
            return mutants::run(global, &choice, output).await;
        }
        if !args.watch {
            let report = server::test(&global.options(), &choice).await;
            return told(&report, args, asked.as_ref(), &global.dir, output);
        }
        let mut watch = TestWatch::new(global.options());
        loop {
            let report = watch.run(&choice).await;
            // What is wrong now is mended in an editor, and looked at again.
            if let Err(failure) = told(&report, args, asked.as_ref(), &global.dir, output) {
                output.failure(&failure);
            }
            output.line("waiting for a change of the files (Ctrl-C ends this)");
            let changed = watch.changed().await;
            match changed.as_slice() {
                [] => output.line("\nchanged: what the files name outside of the folder"),
                files => output.line(format_args!("\nchanged: {}", shown(&files.join(", ")))),
            }
        }
    })?
}

/// Tells what came of one run.
fn told(
    report: &TestReport,
    args: &TestArgs,
    coverage: Option<&coverage::Asked<'_>>,
    dir: &Path,
    output: Output,
) -> Ended {
    if report.diagnostics.has_errors() {
        return Ok(output.refused(&report.diagnostics));
    }
    output.diagnostics_aside(&report.diagnostics);
    check_choice(report, args)?;
    if let Some(path) = &args.junit {
        junit::write(path, &report.tests)?;
    }
    if let Some(coverage) = coverage {
        coverage.write(report, dir)?;
    }
    Ok(report::tell(report, coverage, output))
}

/// A choice that fits nothing is a mistake, not a success.
fn check_choice(report: &TestReport, args: &TestArgs) -> Result<(), Failure> {
    if let Some(unknown) = report.untested.first() {
        return Err(Failure::usage(format!("there is no test of a policy `{unknown}`"))
            .with_help("a policy's name is its path below policies/ without .toml; its tests stand in it, or in NAME.test.toml beside it"));
    }
    if report.tests.is_empty() && args.filter.is_some() {
        return Err(Failure::usage("no test has that text in its name"));
    }
    Ok(())
}
