//! Places: bytes here, lines and characters there.

use gen_lsp_types::{Position, Range};
use policy::diagnostic::Span;

/// How a client counts the characters of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    /// In bytes.
    Utf8,
    /// In units of UTF-16: what every client can.
    #[default]
    Utf16,
}

/// A text whose lines are known.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
    encoding: Encoding,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str, encoding: Encoding) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        // A line ends with `\n`, `\r\n` or `\r` alone.
        let ends = bytes.iter().enumerate().filter(|(at, byte)| match byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        starts.extend(ends.map(|(at, _)| at + 1));
        Lines { text, starts, encoding }
    }

    /// The place of a byte; beyond the end it is the end.
    pub(super) fn position(&self, at: usize) -> Position {
        let at = self.text.floor_char_boundary(at);
        let line = self.starts.partition_point(|start| *start <= at) - 1;
        let before = &self.text[self.starts[line]..at];
        let character = match self.encoding {
            Encoding::Utf8 => before.len(),
            Encoding::Utf16 => before.encode_utf16().count(),
        };
        Position { line: number(line), character: number(character) }
    }

    /// The place of some bytes.
    pub(super) fn range(&self, span: Span) -> Range {
        Range { start: self.position(span.start), end: self.position(span.end) }
    }

    /// The byte at a place. Beyond the end of a line it is that end, beyond the last line the end of the text; within a
    /// character it is the character's start.
    pub(super) fn offset(&self, position: Position) -> usize {
        let line = position.line as usize;
        let Some(start) = self.starts.get(line).copied() else { return self.text.len() };
        let end = self.starts.get(line + 1).copied().unwrap_or(self.text.len());
        let text = self.text[start..end].trim_end_matches(['\n', '\r']);
        let wanted = position.character as usize;
        match self.encoding {
            Encoding::Utf8 => start + text.floor_char_boundary(wanted),
            Encoding::Utf16 => {
                let mut units = 0;
                for (at, c) in text.char_indices() {
                    units += c.len_utf16();
                    if units > wanted {
                        return start + at;
                    }
                }
                start + text.len()
            }
        }
    }

    /// The bytes of a range, in order.
    pub(super) fn span(&self, range: Range) -> Span {
        let (start, end) = (self.offset(range.start), self.offset(range.end));
        Span { start: start.min(end), end: start.max(end) }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "aü𝄞b\r\n\rx\n";

    #[test]
    fn there_and_back() {
        for (at, utf16, utf8) in [
            (0, (0, 0), (0, 0)),
            (1, (0, 1), (0, 1)),
            (3, (0, 2), (0, 3)),
            (7, (0, 4), (0, 7)),
            (8, (0, 5), (0, 8)),
            (10, (1, 0), (1, 0)),
            (11, (2, 0), (2, 0)),
            (12, (2, 1), (2, 1)),
            (13, (3, 0), (3, 0)),
        ] {
            for (encoding, (line, character)) in [(Encoding::Utf16, utf16), (Encoding::Utf8, utf8)] {
                let lines = Lines::new(TEXT, encoding);
                let position = Position { line, character };
                assert_eq!(lines.position(at), position, "{at} {encoding:?}");
                assert_eq!(lines.offset(position), at, "{position:?} {encoding:?}");
            }
        }
    }

    #[test]
    fn places_that_are_none() {
        let lines = Lines::new(TEXT, Encoding::Utf16);
        for ((line, character), at) in [((0, 3), 3), ((0, 99), 8), ((1, 5), 10), ((9, 0), 13), ((3, 9), 13)] {
            assert_eq!(lines.offset(Position { line, character }), at, "{line}:{character}");
        }
        assert_eq!(lines.position(2), Position { line: 0, character: 1 }, "inside of `ü`");
        let backwards = Range { start: Position { line: 2, character: 1 }, end: Position { line: 0, character: 0 } };
        assert_eq!(lines.span(backwards), Span { start: 0, end: 12 });
    }
}
