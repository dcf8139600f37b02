//! A file's text, and where its lines begin.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use crate::reader::Table;

/// One file as it was read: its path relative to the configuration folder, and its text.
pub struct SourceFile {
    /// Relative to the configuration folder, with `/`.
    pub path: String,
    /// The whole text, without a byte order mark.
    pub text: String,
    /// Where each line begins; found when first asked for, since most files have no problems.
    lines: OnceLock<Vec<usize>>,
    pub(crate) tree: Tree,
}

/// What a file was parsed to, as long as somebody holds that: a load parses each file once, and a node that serves keeps no trees.
#[derive(Default)]
pub(crate) struct Tree(Mutex<Weak<Table>>);

impl Tree {
    /// The tree that somebody holds, else a new one.
    pub(crate) fn get_or_parse<E>(&self, parse: impl FnOnce() -> Result<Table, E>) -> Result<Arc<Table>, E> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = held.upgrade() {
            return Ok(tree);
        }
        let tree = Arc::new(parse()?);
        *held = Arc::downgrade(&tree);
        Ok(tree)
    }
}

impl SourceFile {
    /// A file; a byte order mark at the start of its text is taken off, so that it counts for no place.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        SourceFile { path: path.into(), text, lines: OnceLock::new(), tree: Tree::default() }
    }

    /// Line and column of a byte, both from 1; the column counts characters. Beyond the end it is the end.
    pub fn line_column(&self, at: usize) -> (usize, usize) {
        let at = self.boundary(at);
        let line = self.lines().partition_point(|start| *start <= at);
        let column = self.text[self.lines()[line - 1]..at].chars().count() + 1;
        (line, column)
    }

    /// Line of a byte, from 1. Beyond the end it is the last.
    pub fn line_of(&self, at: usize) -> usize {
        self.lines().partition_point(|start| *start <= at)
    }

    /// The line with this number, from 1, without its line end; empty where there is none.
    pub fn line(&self, number: usize) -> &str {
        let lines = self.lines();
        let Some(start) = number.checked_sub(1).and_then(|n| lines.get(n)) else { return "" };
        let end = lines.get(number).copied().unwrap_or(self.text.len());
        self.text[*start..end].trim_end_matches(['\n', '\r'])
    }

    /// The start of the line with this number, from 1; the end of the text where there is none.
    pub(crate) fn line_start(&self, number: usize) -> usize {
        number.checked_sub(1).and_then(|n| self.lines().get(n)).copied().unwrap_or(self.text.len())
    }

    /// The nearest place at or before `at` where a character begins.
    pub(crate) fn boundary(&self, at: usize) -> usize {
        self.text.floor_char_boundary(at)
    }

    fn lines(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let after_breaks = self.text.match_indices('\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(after_breaks).collect()
        })
    }
}

/// Equal are files with the same path and text.
impl PartialEq for SourceFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.text == other.text
    }
}
impl Eq for SourceFile {}

/// The path alone: the text may be long, and may hold a secret that somebody wrote in clear.
impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceFile").field(&self.path).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns() {
        let file = SourceFile::new("a", "\u{feff}aü\tb\r\nc\n\n");
        for (at, expected) in [
            (0, (1, 1)),
            (1, (1, 2)),
            (2, (1, 2)), // inside of `ü`
            (3, (1, 3)),
            (4, (1, 4)),
            (5, (1, 5)),
            (7, (2, 1)),
            (8, (2, 2)),
            (9, (3, 1)),
            (10, (4, 1)),
            (1_000, (4, 1)),
        ] {
            assert_eq!(file.line_column(at), expected, "{at}");
        }
        assert_eq!((file.line(1), file.line(2), file.line(4), file.line(9), file.line(0)), ("aü\tb", "c", "", "", ""));
        assert_eq!(SourceFile::new("a", "").line_column(0), (1, 1));
    }

    #[test]
    fn debug_shows_no_text() {
        assert_eq!(format!("{:?}", SourceFile::new("a.toml", "secret")), r#"SourceFile("a.toml")"#);
    }
}
