//! A list of diagnostics, bounded: a file of another kind, or ten thousand files with one mistake, fill neither the memory nor the screen.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Diagnostic, Severity, Span};

/// So many of one file are kept: who mends these will see the rest next time.
const MOST_OF_A_FILE: usize = 50;

/// So many are kept altogether.
const MOST: usize = 500;

/// A list of diagnostics. Errors of a file that already has many are counted and not kept, as are all that come after several hundred.
/// Warnings are all kept until the list is sorted, since files may allow them; there are no more than the settings that were read. One
/// that says the same at the same place is the same.
#[derive(Clone, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Those that are not kept.
    hidden: Count,
    /// How many errors are kept.
    errors: usize,
    of_files: BTreeMap<FileKey, OfFile>,
}

/// What a list has of one file.
#[derive(Clone, Default)]
struct OfFile {
    /// How many errors are kept.
    errors: usize,
    /// By place, where in the list those of that place are.
    at: BTreeMap<Span, Vec<usize>>,
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
        let of_file = self.of_files.entry(file_key(&diagnostic)).or_default();
        let here = of_file.at.entry(place.map(|place| place.span).unwrap_or_default()).or_default();
        let same = |kept: &Diagnostic| kept.problem == diagnostic.problem && kept.related == diagnostic.related;
        if here.iter().any(|index| same(&self.list[*index])) {
            return;
        }
        if diagnostic.problem.severity == Severity::Error {
            if of_file.errors >= MOST_OF_A_FILE || self.errors >= MOST {
                self.hidden.errors += 1;
                return;
            }
            of_file.errors += 1;
            self.errors += 1;
        }
        here.push(self.list.len());
        self.list.push(diagnostic);
    }

    /// Adds all of another list.
    pub fn extend(&mut self, other: Diagnostics) {
        self.hide(other.hidden);
        other.list.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }

    /// Each as another one. A list is no iterator to be taken apart: the count of those that are not kept would be lost.
    pub fn map(self, change: impl FnMut(Diagnostic) -> Diagnostic) -> Self {
        let mut changed: Diagnostics = self.list.into_iter().map(change).collect();
        changed.hide(self.hidden);
        changed
    }

    /// Those of which this holds, and the others. Those that are not kept count among the others.
    pub fn partition(self, holds: impl FnMut(&Diagnostic) -> bool) -> (Self, Self) {
        let (these, others): (Vec<_>, Vec<_>) = self.list.into_iter().partition(holds);
        let mut others: Diagnostics = others.into_iter().collect();
        others.hide(self.hidden);
        (these.into_iter().collect(), others)
    }

    fn hide(&mut self, more: Count) {
        self.hidden.errors += more.errors;
        self.hidden.warnings += more.warnings;
    }

    /// Whether any is an error.
    pub fn has_errors(&self) -> bool {
        self.errors > 0 || self.hidden.errors > 0
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

    /// By file and place, repeated ones once: the order in which they are shown. Warnings have the room that errors leave.
    pub fn sorted(self) -> Self {
        let key = |d: &Diagnostic| {
            let place = d.place.as_ref();
            (place.map(|p| p.file.path.clone()), place.map(|p| p.span), d.problem.code, d.problem.message.clone())
        };
        let (mut hidden, mut shown) = (self.hidden, self.errors);
        let mut of_files: BTreeMap<FileKey, usize> =
            self.of_files.iter().map(|(file, of_file)| (*file, of_file.errors)).collect();
        let mut list = self.list;
        list.sort_by_cached_key(key);
        list.dedup_by(|a, b| key(a) == key(b));
        list.retain(|diagnostic| {
            if diagnostic.problem.severity == Severity::Error {
                return true;
            }
            let of_file = of_files.entry(file_key(diagnostic)).or_default();
            let room = *of_file < MOST_OF_A_FILE && shown < MOST;
            if room {
                *of_file += 1;
                shown += 1;
            } else {
                hidden.warnings += 1;
            }
            room
        });
        let mut sorted: Diagnostics = list.into_iter().collect();
        sorted.hidden = hidden;
        sorted
    }
}

fn file_key(diagnostic: &Diagnostic) -> FileKey {
    diagnostic.place.as_ref().map_or(0, |place| Arc::as_ptr(&place.file) as FileKey)
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.list).finish()
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Place, Problem, SourceFile, codes};

    fn file(path: &str) -> Arc<SourceFile> {
        Arc::new(SourceFile::new(path, "x = 1\n"))
    }

    fn error(file: &Arc<SourceFile>, number: usize) -> Diagnostic {
        let place = Place { file: file.clone(), span: Span::default() };
        Problem::error(codes::BAD_VALUE, format!("number {number}")).at(place)
    }

    fn warning(file: &Arc<SourceFile>, number: usize) -> Diagnostic {
        let mut warning = error(file, number);
        warning.problem.severity = Severity::Warning;
        warning
    }

    #[test]
    fn a_file_of_mistakes_leaves_room_for_those_of_others() {
        let (a, b) = (file("a"), file("b"));
        let all: Diagnostics = (0..20_000).map(|number| error(&a, number)).chain([error(&b, 0)]).collect();
        let kept: Vec<&str> = all.iter().map(|d| d.place.as_ref().unwrap().file.path.as_str()).collect();
        assert_eq!((kept.len(), kept[MOST_OF_A_FILE]), (MOST_OF_A_FILE + 1, "b"));
        assert_eq!(all.count(), Count { errors: 20_001, warnings: 0 });
        assert_eq!(all.sorted().hidden(), Count { errors: 20_000 - MOST_OF_A_FILE, warnings: 0 });
    }

    #[test]
    fn what_is_not_kept_stays_counted_when_the_list_is_taken_apart() {
        let (a, b) = (file("a"), file("b"));
        let all = || (0..20_000).map(|number| error(&a, number)).chain([error(&b, 0)]).collect::<Diagnostics>();
        let of_b = |d: &Diagnostic| d.place.as_ref().is_some_and(|place| place.file == b);
        let (these, others) = all().partition(of_b);
        assert_eq!((these.count().errors, others.count().errors), (1, 20_000));
        assert_eq!(all().map(|d| d.with_label("x")).count().errors, 20_001);
    }

    #[test]
    fn many_files_of_one_mistake_are_counted() {
        let mut all = Diagnostics::new();
        for number in 0..10_000 {
            all.extend(warning(&file(&number.to_string()), 0).into());
        }
        assert!(!all.has_errors());
        // Errors are seen, however many warnings came before them.
        all.push(error(&file("late"), 0));
        let sorted = all.sorted();
        assert_eq!((sorted.iter().count(), sorted.has_errors()), (MOST, true));
        assert_eq!(sorted.count(), Count { errors: 1, warnings: 10_000 });
        assert_eq!(sorted.clone().sorted().hidden(), sorted.hidden());
    }

    #[test]
    fn warnings_are_all_kept_until_they_are_shown() {
        let a = file("a");
        let all: Diagnostics = (0..20_000).map(|number| warning(&a, number)).collect();
        assert_eq!(all.iter().count(), 20_000);
        assert_eq!(all.sorted().hidden(), Count { errors: 0, warnings: 20_000 - MOST_OF_A_FILE });
    }

    #[test]
    fn what_is_said_twice_counts_once() {
        let a = file("a");
        let all: Diagnostics = [error(&a, 1), error(&a, 1), warning(&a, 1), error(&a, 2)].into_iter().collect();
        assert_eq!(all.count(), Count { errors: 2, warnings: 1 });
    }
}
