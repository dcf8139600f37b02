//! `portcullis fmt`: the files in their one style.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::Diagnostics;
use policy::diagnostic::{SourceFile, to_json};
use policy::reader::{format, read_folder, read_text, text_of};
use serde_json::json;
use similar::TextDiff;

use crate::Ended;
use crate::args::{FmtArgs, Global};
use crate::output::{Failure, Output, shown};

/// So many lines of a file's difference are shown.
const MOST_LINES: usize = 40;

/// A longer line is cut: nobody reads a line of a megabyte.
const LONGEST_LINE: usize = 240;

/// How standard input is named in diagnostics.
const INPUT: &str = "standard input";

pub(crate) fn run(global: &Global, args: &FmtArgs, output: Output) -> Ended {
    global.refuse_admin()?;
    global.refuse_values("files are formatted as they stand")?;
    if args.files.iter().any(|file| file == Path::new("-")) {
        return match args.files.len() {
            1 => standard_input(args, output),
            _ => Err(Failure::usage("`-` stands for standard input, and alone")),
        };
    }
    let (files, unreadable) = named(global, args)?;
    let mut done = Done { changed: Vec::new(), problems: unreadable };
    for (name, path) in &files {
        done.file(name, path, args.check, output)?;
    }
    let wrong = done.problems.has_errors() || (args.check && !done.changed.is_empty());
    output.json(&json!({ "ok": !wrong, "changed": done.changed, "diagnostics": to_json(&done.problems) }));
    output.diagnostics(&done.problems);
    let (changed, all) = (done.changed.len(), files.len());
    output.line(match args.check {
        true if changed > 0 => format!("{changed} of {all} files would change: run `portcullis fmt`"),
        true => format!("0 of {all} files would change"),
        false => format!("{changed} of {all} files changed"),
    });
    Ok(u8::from(wrong))
}

fn standard_input(args: &FmtArgs, output: Output) -> Ended {
    let text = match text_of(io::stdin(), 0, INPUT) {
        Ok(text) => text,
        Err(problems) => return Ok(output.refused(&problems)),
    };
    let formatted = match format(&Arc::new(SourceFile::new(INPUT, text.as_str()))) {
        Ok(formatted) => formatted,
        Err(problems) => return Ok(output.refused(&problems)),
    };
    let changed = formatted != text;
    output.json(&json!({ "ok": !(args.check && changed), "changed": changed, "text": formatted }));
    match args.check {
        true if changed => output.text(difference(INPUT, &text, &formatted)),
        true => {}
        false => output.text(&formatted),
    }
    Ok(u8::from(args.check && changed))
}

/// The files to format, each with the name to call it by, and what cannot be read.
fn named(global: &Global, args: &FmtArgs) -> Result<(Vec<(String, PathBuf)>, Diagnostics), Failure> {
    if !args.files.is_empty() {
        let named = args.files.iter().map(|path| (path.display().to_string(), path.clone()));
        return Ok((named.collect(), Diagnostics::new()));
    }
    let read = read_folder(&global.dir);
    let files: Vec<_> = read.files.keys().map(|path| (path.clone(), global.dir.join(path))).collect();
    if files.is_empty() && read.diagnostics.is_empty() {
        return Err(Failure::wrong(format!("there is no configuration in `{}`", global.dir.display()))
            .with_help("name its folder with `-c`, or the files to format"));
    }
    Ok((files, read.diagnostics))
}

struct Done {
    changed: Vec<String>,
    problems: Diagnostics,
}

impl Done {
    fn file(&mut self, name: &str, path: &Path, check: bool, output: Output) -> Result<(), Failure> {
        let failed = |why: io::Error| Failure::wrong(format!("`{name}`: {why}"));
        let text = match read_text(path, name) {
            Ok(text) => text,
            Err(problems) => {
                self.problems.extend(problems);
                return Ok(());
            }
        };
        // A link stays one: what it leads to is formatted.
        let path = path.canonicalize().map_err(failed)?;
        let formatted = match format(&Arc::new(SourceFile::new(name, text.as_str()))) {
            Ok(formatted) if formatted == text => return Ok(()),
            Ok(formatted) => formatted,
            Err(problems) => {
                self.problems.extend(problems);
                return Ok(());
            }
        };
        if check {
            output.line(difference(name, &text, &formatted));
        } else {
            replace(&path, &formatted).map_err(failed)?;
            output.line(shown(name));
        }
        self.changed.push(name.to_owned());
        Ok(())
    }
}

/// What would change, as `diff -u` shows it.
fn difference(name: &str, before: &str, after: &str) -> String {
    let all =
        TextDiff::from_lines(before, after).unified_diff().context_radius(1).header(name, "formatted").to_string();
    let more = all.split_terminator('\n').count().saturating_sub(MOST_LINES);
    let mut shown: String = all.split_terminator('\n').take(MOST_LINES).map(line).collect();
    if more > 0 {
        shown.push_str(&format!("... {more} more lines\n"));
    }
    shown
}

/// A line of a difference, fit for a terminal: who has carriage returns taken out of a file sees them.
fn line(text: &str) -> String {
    let end = text.floor_char_boundary(LONGEST_LINE);
    let dots = if end < text.len() { "..." } else { "" };
    format!("{}{dots}\n", shown(&text[..end]))
}

/// Puts another file in the place of this one, with its permissions: whoever reads it sees the old text or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Names that begin with a dot are no configuration: a node that watches does not look at it.
    let new = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = write(&new, text, fs::metadata(path)?.permissions()).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn write(path: &Path, text: &str, permissions: fs::Permissions) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(permissions)?;
    file.sync_all()
}
