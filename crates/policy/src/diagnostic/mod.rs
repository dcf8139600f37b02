//! Diagnostics: what is wrong with the files, where, and what would be right. All at once, never one by one.

pub mod codes;
mod render;
mod sarif;
mod source;

pub use codes::Code;
pub use render::{render, render_one, to_json};
pub use sarif::to_sarif;
pub use source::SourceFile;

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

/// A list of diagnostics.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Problem {
    /// An error.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Problem { code, severity: Severity::Error, message: message.into(), help: None }
    }

    /// A warning.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Problem { severity: Severity::Warning, ..Problem::error(code, message) }
    }

    /// With what would be right.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
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
        self.label = Some(label.into());
        self
    }

    /// With more to know.
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// With another place that matters.
    pub fn with_related(mut self, place: Place, word: impl Into<String>) -> Self {
        self.related.push((place, word.into()));
        self
    }
}

impl Place {
    /// Line and column of its start, both from 1; the column counts characters.
    pub fn line_column(&self) -> (usize, usize) {
        self.file.line_column(self.span.start)
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

impl Diagnostics {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all of another list.
    pub fn extend(&mut self, other: Diagnostics) {
        self.0.extend(other.0);
    }

    /// Whether any is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.problem.severity == Severity::Error)
    }

    /// Whether there are none at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// By file and place, repeated ones once: the order in which they are shown.
    pub fn sorted(mut self) -> Self {
        let key = |d: &Diagnostic| {
            let place = d.place.as_ref();
            (place.map(|p| p.file.path.clone()), place.map(|p| p.span), d.problem.code, d.problem.message.clone())
        };
        self.0.sort_by_cached_key(key);
        self.0.dedup_by(|a, b| key(a) == key(b));
        self
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics(vec![diagnostic])
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(diagnostics: I) -> Self {
        Diagnostics(diagnostics.into_iter().collect())
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
