//! Diagnostics: what is wrong with the files, where, and what would be right. All at once, never one by one.

pub mod codes;
mod list;
mod render;
mod sarif;
mod shown;
mod source;

pub use codes::Code;
pub use list::{Count, Diagnostics};
pub use render::{render, render_one, to_json};
pub use sarif::to_sarif;
pub use shown::{is_invisible, visible};
pub use source::SourceFile;

use self::shown::readable;

use std::fmt;
use std::sync::Arc;

/// A range of bytes in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Where in it.
    pub span: Span,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The files are refused.
    Error,
    /// The files are taken.
    Warning,
}

/// What is wrong, without a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which kind of problem: `P0107`.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// One sentence, lower case, without a full stop.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

/// A problem at a place.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// What is wrong.
    pub problem: Problem,
    /// Where; `None` only where no file is at fault (an environment variable on the command line, say).
    pub place: Option<Place>,
    /// A word at the underlined place.
    pub label: Option<String>,
    /// Other places that matter, each with a word: the file that a collision is with.
    pub related: Vec<(Place, String)>,
    /// More to know, each perhaps of several lines: what a test's request met.
    pub notes: Vec<String>,
}

impl Problem {
    /// An error.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Problem { code, severity: Severity::Error, message: readable(&message.into()), help: None }
    }

    /// A warning.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Problem { severity: Severity::Warning, ..Problem::error(code, message) }
    }

    /// With what would be right.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(readable(&help.into()));
        self
    }

    /// At a place.
    pub fn at(self, place: Place) -> Diagnostic {
        Diagnostic { problem: self, place: Some(place), label: None, related: Vec::new(), notes: Vec::new() }
    }

    /// Where no file is at fault.
    pub fn nowhere(self) -> Diagnostic {
        Diagnostic { problem: self, place: None, label: None, related: Vec::new(), notes: Vec::new() }
    }
}

impl Diagnostic {
    /// With a word at the underlined place.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(readable(&label.into()));
        self
    }

    /// With more to know.
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// With another place that matters.
    pub fn with_related(mut self, place: Place, word: impl Into<String>) -> Self {
        self.related.push((place, readable(&word.into())));
        self
    }
}

impl Place {
    /// Line and column of its start, both from 1; the column counts characters.
    pub fn line_column(&self) -> (usize, usize) {
        self.file.line_column(self.span.start)
    }

    /// Line of its start, from 1: on a line of a megabyte, this is much less work than the column.
    pub fn line(&self) -> usize {
        self.file.line_of(self.span.start)
    }

    /// Another span of the same file.
    pub fn with_span(&self, span: Span) -> Place {
        Place { file: self.file.clone(), span }
    }
}

/// `FILE:LINE:COL`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        write!(f, "{}:{line}:{column}", self.file.path)
    }
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Self {
        Span { start: range.start, end: range.end }
    }
}
