//! Where a word inside a text stands in its file.

use std::ops::Range;

use crate::diagnostic::{SourceFile, Span};

/// A text of a file, as it was decoded, and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) text: &'a str,
    span: Span,
    /// Where its first byte stands in the file; unknown where the text is written with escapes, or in no file at all.
    start: Option<usize>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: &SourceFile, span: Span, text: &'a str) -> Self {
        let raw = file.text.get(span.start..span.end).unwrap_or_default();
        let quotes = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|q| raw.starts_with(q) && raw.len() >= 2 * q.len());
        let start = quotes.and_then(|quotes| {
            let inner = &raw[quotes.len()..raw.len() - quotes.len()];
            let skipped = match quotes.len() {
                // A line break right after the opening quotes is no part of the text.
                3 if inner.starts_with("\r\n") => 2,
                3 if inner.starts_with('\n') => 1,
                _ => 0,
            };
            (&inner[skipped..] == text).then_some(span.start + quotes.len() + skipped)
        });
        Source { text, span, start }
    }

    /// The place in the file of these bytes of the text; of the whole text where that is not known.
    pub(crate) fn span(&self, range: Range<usize>) -> Span {
        match self.start {
            Some(start) => Span { start: start + range.start, end: start + range.end },
            None => self.span,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_inside_of_texts() {
        for (raw, text, expected) in [
            ("\"ab${x}\"", "ab${x}", Some("${x}")),
            ("'ab${x}'", "ab${x}", Some("${x}")),
            ("\"\"\"ab${x}\"\"\"", "ab${x}", Some("${x}")),
            ("\"\"\"\nab${x}\"\"\"", "ab${x}", Some("${x}")),
            ("'''\r\nab${x}'''", "ab${x}", Some("${x}")),
            ("\"a\\u0062${x}\"", "ab${x}", None),
            ("\"\"", "", None),
            ("\"", "ab${x}", None),
            ("", "ab${x}", None),
        ] {
            let file = SourceFile::new("f", format!("k = {raw}"));
            let span = Span { start: 4, end: 4 + raw.len() };
            let source = Source::new(&file, span, text);
            let found = source.span(2.min(text.len())..text.len());
            match expected {
                Some(word) => assert_eq!(&file.text[found.start..found.end], word, "{raw}"),
                None if text.is_empty() => {}
                None => assert_eq!(found, span, "{raw}"),
            }
        }
    }
}
