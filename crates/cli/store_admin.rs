//! `portcullis store`: the data sources.

use server::admin::ClientError;
use server::admin::api::{BackedUp, PurgedSource, Refusal, SourceCheck, SourceLine};

use crate::args::{BackupArgs, Global, SchemaArgs, StoreCommand};
use crate::output::{Failure, Output, shown, table};
use crate::{Ended, block_on, node, shipped, store_copy};

pub(crate) fn run(global: &Global, command: StoreCommand, output: Output) -> Ended {
    match command {
        StoreCommand::Check => check(global, output),
        StoreCommand::Migrate => migrate(global, output),
        StoreCommand::Schema(args) => schema(global, &args, output),
        StoreCommand::Purge => purge(global, output),
        StoreCommand::Copy(args) => store_copy::run(global, &args, output),
        StoreCommand::Backup(args) => backup(global, &args, output),
        StoreCommand::Restore(args) => restore(global, &args, output),
    }
}

fn check(global: &Global, output: Output) -> Ended {
    let checks = match node(global)? {
        Some(node) => block_on(node.store_check())??,
        None => match block_on(server::store_check(&global.options()))? {
            Ok(checks) => checks,
            Err(diagnostics) => return Ok(output.refused(&diagnostics)),
        },
    };
    Ok(report(&checks, output))
}

fn migrate(global: &Global, output: Output) -> Ended {
    global.refuse_admin()?;
    match block_on(server::store_migrate(&global.options()))? {
        Ok(checks) => Ok(report(&checks, output)),
        Err(diagnostics) => Ok(output.refused(&diagnostics)),
    }
}

/// A line a finding; exit code 1 where a source fails, which is named once more at the end.
fn report(checks: &[SourceCheck], output: Output) -> u8 {
    output.json(&checks);
    for check in checks {
        output.line(format_args!("{} ({})", shown(&check.source), check.kind));
        output.line(table(&check.lines.iter().map(finding).collect::<Vec<_>>()));
        for remedy in check.lines.iter().filter_map(|line| line.remedy.as_ref()) {
            output.line(format_args!("  help: {}", shown(remedy)));
        }
    }
    let failing: Vec<_> = checks.iter().filter(|check| !check.ok).map(|check| check.source.as_str()).collect();
    if !failing.is_empty() {
        output.note(format_args!("these sources fail: {}", failing.join(", ")));
    }
    u8::from(!failing.is_empty())
}

fn finding(line: &SourceLine) -> Vec<String> {
    let mark = if line.ok { "  ok" } else { "  FAILS" };
    vec![mark.to_owned(), line.what.clone(), shown(&line.found)]
}

fn purge(global: &Global, output: Output) -> Ended {
    let purged = match node(global)? {
        Some(node) => block_on(node.store_purge())??,
        None => match block_on(server::store_purge(&global.options()))? {
            Ok(purged) => purged,
            Err(diagnostics) => return Ok(output.refused(&diagnostics)),
        },
    };
    output.json(&purged);
    for source in &purged {
        output.line(sentence(source));
    }
    Ok(u8::from(purged.iter().any(|source| source.failed.is_some())))
}

fn backup(global: &Global, args: &BackupArgs, output: Output) -> Ended {
    global.refuse_admin()?;
    let ended = block_on(server::store_backup(&global.options(), args.source.as_deref(), &args.file))?;
    made(ended, output, |BackedUp { source, file, bytes, .. }| {
        format!("{source} is copied to {file} ({bytes} bytes), and whole")
    })
}

fn restore(global: &Global, args: &BackupArgs, output: Output) -> Ended {
    global.refuse_admin()?;
    let ended = block_on(server::store_restore(&global.options(), args.source.as_deref(), &args.file))?;
    made(ended, output, |BackedUp { source, file, bytes, .. }| {
        format!(
            "{source} has its file {file} again ({bytes} bytes), and it is whole; restart nodes that had another one open"
        )
    })
}

fn made(
    ended: Result<Result<BackedUp, Refusal>, policy::Diagnostics>,
    output: Output,
    sentence: impl Fn(&BackedUp) -> String,
) -> Ended {
    let made = match ended {
        Ok(made) => made.map_err(ClientError::Refused)?,
        Err(diagnostics) => return Ok(output.refused(&diagnostics)),
    };
    output.json(&made);
    output.line(shown(&sentence(&made)));
    Ok(0)
}

fn sentence(source: &PurgedSource) -> String {
    let rows: Vec<_> = source.rows.iter().map(|(table, rows)| format!("{rows} from {table}")).collect();
    let rows = if rows.is_empty() { String::from("nothing") } else { rows.join(", ") };
    let broke = source.failed.as_ref().map_or_else(String::new, |why| format!("; it broke off: {}", shown(why)));
    format!("{}: expired records deleted: {rows}{broke}", shown(&source.source))
}

fn schema(global: &Global, args: &SchemaArgs, output: Output) -> Ended {
    global.refuse_admin()?;
    let Some(kind) = &args.kind else {
        let kinds: Vec<_> = shipped::schemas().map(|(kind, _)| kind).collect();
        output.json(&kinds);
        output.line(kinds.join("\n"));
        return Ok(0);
    };
    let Some((_, sql)) = shipped::schemas().find(|(known, _)| known == kind) else {
        let kinds: Vec<_> = shipped::schemas().map(|(kind, _)| kind).collect();
        return Err(Failure::usage(format!("there is no schema for `{kind}`"))
            .with_help(format!("there is {}", kinds.join(", "))));
    };
    output.json(&serde_json::json!({ "kind": kind, "schema": sql }));
    output.line(sql.trim_end());
    Ok(0)
}
