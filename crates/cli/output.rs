//! What the commands print: text for people or JSON for programs on standard output, all else on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use policy::Diagnostics;
use policy::diagnostic::{render, to_json, visible};
use serde::Serialize;
use serde_json::json;

/// Where a command's words go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

/// Why a command ended otherwise than asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    help: Option<String>,
}

impl Output {
    /// With `json`, standard output is JSON and nothing else.
    pub(crate) fn new(json: bool) -> Self {
        Output { json }
    }

    /// Whether standard output is for programs.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// A line for people: on standard output, unless that is for JSON.
    pub(crate) fn line(self, text: impl Display) {
        if !self.json {
            print(format_args!("{text}\n"));
        }
    }

    /// Text for people as it is, line ends and all; nothing with `--json`.
    pub(crate) fn text(self, text: impl Display) {
        if !self.json {
            print(format_args!("{text}"));
        }
    }

    /// The answer for programs; nothing without `--json`.
    pub(crate) fn json(self, value: &impl Serialize) {
        if self.json {
            self.document(value);
        }
    }

    /// A JSON document that was asked for by name, in a form of its own.
    pub(crate) fn document(self, value: &impl Serialize) {
        // Our own types have string keys only, so that this cannot fail; if it did, nothing must look like an answer.
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        print(format_args!("{text}\n"));
    }

    /// One line of JSON on standard output: for commands that tell of what they do as they do it.
    pub(crate) fn record(self, value: &impl Serialize) {
        // See `document`.
        let text = serde_json::to_string(value).unwrap_or_default();
        print(format_args!("{text}\n"));
    }

    /// Something to know, beside the answer.
    pub(crate) fn note(self, text: impl Display) {
        print_aside(format_args!("{text}\n"));
    }

    /// Diagnostics for people: the answer of a command about files, so on standard output, unless that is for JSON.
    pub(crate) fn diagnostics(self, diagnostics: &Diagnostics) {
        if self.json {
            return self.diagnostics_aside(diagnostics);
        }
        if !diagnostics.is_empty() {
            print(format_args!("{}", with_end(render(diagnostics, color(&io::stdout())))));
        }
    }

    /// Diagnostics beside the answer.
    pub(crate) fn diagnostics_aside(self, diagnostics: &Diagnostics) {
        if !diagnostics.is_empty() {
            print_aside(format_args!("{}", with_end(render(diagnostics, color(&io::stderr())))));
        }
    }

    /// The files are refused, which is not what was asked about: says so, and gives the exit code.
    pub(crate) fn refused(self, diagnostics: &Diagnostics) -> u8 {
        self.diagnostics_aside(diagnostics);
        self.json(
            &json!({ "error": { "message": "the configuration is refused", "diagnostics": to_json(diagnostics) } }),
        );
        1
    }

    /// A failure, in the form asked for; gives the exit code.
    pub(crate) fn failure(self, failure: &Failure) -> u8 {
        print_aside(format_args!("portcullis: {}\n", shown(&failure.message)));
        if let Some(help) = &failure.help {
            print_aside(format_args!("  help: {}\n", shown(help)));
        }
        self.json(&json!({ "error": { "message": failure.message, "help": failure.help } }));
        failure.code
    }
}

impl Failure {
    /// The thing asked about is wrong: exit code 1.
    pub(crate) fn wrong(message: impl Into<String>) -> Self {
        Failure { code: 1, message: message.into(), help: None }
    }

    /// Wrong usage: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure { code: 2, message: message.into(), help: None }
    }

    /// With what would help.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With this exit code.
    pub(crate) fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }
}

/// Whether colours belong there: on a terminal, and nobody said NO_COLOR (<https://no-color.org>).
#[allow(clippy::disallowed_methods, reason = "the command line reads the environment")]
pub(crate) fn color(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Text from a record, fit for a terminal: what would move its cursor or colour it is written out.
pub(crate) fn shown(text: &str) -> String {
    visible(text).into_owned()
}

/// Columns, each as wide as its widest cell; the last one is not padded.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column| rows.iter().filter_map(|r| r.get(column)).map(|c: &String| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A point in time as people and programs both read it.
pub(crate) fn time(unix_seconds: u64) -> String {
    let time = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(unix_seconds));
    time.map_or_else(|| unix_seconds.to_string(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

fn with_end(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Writes to standard output. A reader that has gone (`| head`) has seen all it wanted: the command goes on to its end, and its
/// exit code says what it found.
fn print(text: std::fmt::Arguments<'_>) {
    let _ = write_all(io::stdout(), text);
}

/// Writes to standard error, where somebody reads it.
pub(crate) fn print_aside(text: std::fmt::Arguments<'_>) {
    let _ = write_all(io::stderr(), text);
}

fn write_all(mut stream: impl Write, text: std::fmt::Arguments<'_>) -> io::Result<()> {
    stream.write_fmt(text).and_then(|()| stream.flush())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_terminal_is_written_out() {
        assert_eq!(shown("a\u{1b}[2Jb\tc\u{9b}"), "a\\u{1b}[2Jb\\tc\\u{9b}");
        assert_eq!(shown("Größe\nzwei"), "Größe\nzwei");
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".into(), "bb".into(), "c".into()], vec!["aaa".into(), "b".into(), String::new()]];
        assert_eq!(table(&rows), "a    bb  c\naaa  b");
    }

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
    }
}
