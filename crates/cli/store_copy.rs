//! `portcullis store copy`: records from one data source to another, while nodes serve.

use std::fmt::Write;
use std::io::{IsTerminal, stdout};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use server::CopyRequest;
use server::admin::ClientError;
use server::admin::api::{CopiedTable, CopyStep};

use crate::args::{CopyArgs, Global};
use crate::output::{Output, shown};
use crate::{Ended, block_on};

/// How often a line of progress is printed where there is no terminal.
const EVERY: Duration = Duration::from_secs(1);

pub(crate) fn run(global: &Global, args: &CopyArgs, output: Output) -> Ended {
    global.refuse_admin()?;
    let request = CopyRequest { from: args.from.clone(), to: args.to.clone(), stores: args.stores.clone() };
    let mut progress = Progress::new(output);
    let mut told = |table: &'static str, step, keys| progress.told(table, step, keys);
    let ended = block_on(server::store_copy(&global.options(), &request, &mut told))?;
    progress.end();
    let copied = match ended {
        Ok(copied) => copied.map_err(ClientError::Refused)?,
        Err(diagnostics) => return Ok(output.refused(&diagnostics)),
    };
    let ok = copied.iter().all(|table| table.ok);
    match progress.lines {
        true => output.record(&serde_json::json!({ "done": { "ok": ok, "tables": copied } })),
        false => copied.iter().for_each(|table| output.line(sentence(table, args))),
    }
    if !ok {
        output.note(
            "the two sides do not agree; run it again when nodes that write meanwhile have the same step of the move",
        );
    }
    Ok(u8::from(!ok))
}

/// A bar on a terminal, JSON lines elsewhere.
struct Progress {
    lines: bool,
    bar: ProgressBar,
    output: Output,
    now: Option<(&'static str, CopyStep)>,
    keys: u64,
    /// When a line was printed last, since this step began.
    printed: Option<Duration>,
}

impl Progress {
    fn new(output: Output) -> Self {
        let lines = output.is_json() || !stdout().is_terminal();
        let bar = if lines { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        // The template is a constant: where it could not be read, the bar has its plain form.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {human_pos} rows, {rate}, {elapsed}") {
            // A terminal that has gone is nobody's loss.
            let rate =
                |state: &ProgressState, line: &mut dyn Write| write!(line, "{:.0}/s", state.per_sec()).unwrap_or(());
            bar.set_style(style.with_key("rate", rate));
        }
        Progress { lines, bar, output, now: None, keys: 0, printed: None }
    }

    fn told(&mut self, table: &'static str, step: CopyStep, keys: u64) {
        if self.now != Some((table, step)) {
            (self.now, self.keys, self.printed) = (Some((table, step)), 0, None);
            self.bar.reset();
            self.bar.set_message(format!("{table}: {}", doing(step)));
        }
        self.keys += keys;
        self.bar.set_position(self.keys);
        let elapsed = self.bar.elapsed();
        if self.lines && self.printed.is_none_or(|at| elapsed.saturating_sub(at) >= EVERY) {
            self.printed = Some(elapsed);
            self.output.record(&serde_json::json!({ "progress": { "table": table, "step": step, "rows": self.keys } }));
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn doing(step: CopyStep) -> &'static str {
    match step {
        CopyStep::Copy => "copying",
        CopyStep::Verify => "comparing",
        CopyStep::HandOver => "handing over",
    }
}

fn sentence(table: &CopiedTable, args: &CopyArgs) -> String {
    let CopiedTable { table: name, copied, from, to, .. } = table;
    let mut text = format!("{name}: {copied} rows copied, {} compared with digest {}", from.rows, short(&from.digest));
    if from != to {
        text.push_str(&format!("; {} has {} rows with digest {}", shown(&args.to), to.rows, short(&to.digest)));
    }
    for (count, what) in [(table.dropped, "copies taken away"), (table.own, "that the new source has as its own")] {
        if count > 0 {
            text.push_str(&format!("; {count} {what}"));
        }
    }
    if let Some(handed_over) = table.handed_over {
        text.push_str(&format!("; {handed_over} handed over"));
    }
    if table.left > 0 {
        text.push_str(&format!("; {} STILL COUNT in {}", table.left, shown(&args.from)));
    }
    if table.differ > 0 {
        let named: Vec<String> = table.named.iter().map(|key| shown(key)).collect();
        text.push_str(&format!("; {} DIFFER: {}", table.differ, named.join(", ")));
    }
    text
}

fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}
