//! A list of diagnostics, bounded: a file of another kind, or ten thousand files with one mistake, fill neither the memory nor the screen.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Diagnostic, Severity, SourceFile};

/// So many of one file are kept: who mends these will see the rest next time.
const MOST_OF_A_FILE: usize = 50;

/// So many are kept altogether.
const MOST: usize = 500;

/// A list of diagnostics. Those of a file that already has many are counted and not kept, as are all that come after several hundred;
/// one that says the same at the same place is the same.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Those that are not kept.
    hidden: Count,
    /// By file, the places in the list of those that are kept.
    of_files: BTreeMap<FileKey, Vec<usize>>,
}

/// How many diagnostics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Errors.
    pub errors: usize,
    /// Warnings.
    pub warnings: usize,
}

/// Where a file lies in memory: it stays there, since what is kept of it holds it.
type FileKey = usize;

impl Count {
    fn add(&mut self, severity: Severity) {
        match severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
    }

    /// All of them.
    pub fn all(self) -> usize {
        self.errors + self.warnings
    }
}

impl Diagnostics {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let place = diagnostic.place.as_ref();
        let of_file = self.of_files.entry(place.map_or(0, |place| key(&place.file))).or_default();
        let same = |kept: &Diagnostic| {
            let span = |d: &Diagnostic| d.place.as_ref().map(|place| place.span);
            kept.problem == diagnostic.problem && span(kept) == span(&diagnostic) && kept.related == diagnostic.related
        };
        if of_file.iter().any(|index| same(&self.list[*index])) {
            return;
        }
        // An error is kept where the list is full of warnings: whoever sees no error must not be refused.
        let first_error = diagnostic.problem.severity == Severity::Error && !has_error(&self.list);
        if !first_error && (of_file.len() >= MOST_OF_A_FILE || self.list.len() >= MOST) {
            return self.hidden.add(diagnostic.problem.severity);
        }
        of_file.push(self.list.len());
        self.list.push(diagnostic);
    }

    /// Adds all of another list.
    pub fn extend(&mut self, other: Diagnostics) {
        self.hidden.errors += other.hidden.errors;
        self.hidden.warnings += other.hidden.warnings;
        other.list.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }

    /// Whether any is an error.
    pub fn has_errors(&self) -> bool {
        self.hidden.errors > 0 || has_error(&self.list)
    }

    /// Whether there are none at all.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All that are kept.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// How many there were, the hidden ones included.
    pub fn count(&self) -> Count {
        let mut count = self.hidden;
        self.list.iter().for_each(|diagnostic| count.add(diagnostic.problem.severity));
        count
    }

    /// How many there were that are not kept.
    pub fn hidden(&self) -> Count {
        self.hidden
    }

    /// By file and place, repeated ones once: the order in which they are shown.
    pub fn sorted(self) -> Self {
        let key = |d: &Diagnostic| {
            let place = d.place.as_ref();
            (place.map(|p| p.file.path.clone()), place.map(|p| p.span), d.problem.code, d.problem.message.clone())
        };
        let mut list = self.list;
        list.sort_by_cached_key(key);
        list.dedup_by(|a, b| key(a) == key(b));
        let mut sorted: Diagnostics = list.into_iter().collect();
        sorted.hidden.errors += self.hidden.errors;
        sorted.hidden.warnings += self.hidden.warnings;
        sorted
    }
}

fn has_error(list: &[Diagnostic]) -> bool {
    list.iter().any(|diagnostic| diagnostic.problem.severity == Severity::Error)
}

fn key(file: &Arc<SourceFile>) -> FileKey {
    Arc::as_ptr(file) as FileKey
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        [diagnostic].into_iter().collect()
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(diagnostics: I) -> Self {
        let mut all = Diagnostics::new();
        diagnostics.into_iter().for_each(|diagnostic| all.push(diagnostic));
        all
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}
