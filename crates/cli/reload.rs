//! `portcullis reload`: a running node takes up the files as they stand now.

use server::admin::api::{ReloadOutcome, Reloaded};
use server::admin::{Client, ClientError};

use crate::args::{Global, ReloadArgs};
use crate::output::{Failure, Output, shown};
use crate::{Ended, block_on};

pub(crate) fn run(global: &Global, _args: &ReloadArgs, output: Output) -> Ended {
    global.refuse_values("a running node keeps those it was started with")?;
    let reloaded = block_on(async { Client::new(&global.dir, global.admin)?.reload().await })?.map_err(no_node)?;
    output.json(&reloaded);
    if !reloaded.text.is_empty() {
        // With --json the text is in the answer already; without, what is wrong is the answer.
        output.line(reloaded.text.trim_end());
    }
    output.line(sentence(&reloaded));
    for change in &reloaded.changes {
        output.line(format_args!("  {} {}: {}", change.section, shown(&change.what), shown(&change.how)));
    }
    Ok(u8::from(reloaded.outcome == ReloadOutcome::Refused))
}

/// No node to reload is 2, as the contract has it: scripts tell it from a refusal.
fn no_node(error: ClientError) -> Failure {
    let there_is_none = !matches!(error, ClientError::Refused(_));
    let failure = Failure::from(error);
    if there_is_none { failure.with_code(2) } else { failure }
}

fn sentence(reloaded: &Reloaded) -> String {
    let generation = reloaded.generation;
    match reloaded.outcome {
        ReloadOutcome::Loaded => format!("generation {generation} is in force"),
        ReloadOutcome::Unchanged => format!("unchanged: generation {generation} was in force already"),
        ReloadOutcome::Refused => format!("refused: generation {generation} serves on"),
    }
}
