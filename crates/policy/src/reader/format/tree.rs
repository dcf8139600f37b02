//! Events to parts: what stands in the file, in its order, without the blanks.

use std::iter::Peekable;
use std::vec::IntoIter;

use toml_parser::decoder::Encoding;
use toml_parser::parser::{Event, EventKind, parse_document};
use toml_parser::{Source, Span};
use unicode_width::UnicodeWidthStr;

/// One thing of a file, a list or an inline table.
pub(super) enum Part {
    /// One blank line or more.
    Blank,
    /// A comment that has a line of its own.
    Comment(Comment),
    /// `[name]` or `[[name]]`.
    Header { text: String, comment: Option<Comment> },
    /// `key = value`, or an item of a list.
    Entry(Entry),
}

/// A comment, without blanks behind it.
pub(super) struct Comment {
    /// With its `#`.
    pub(super) text: String,
    /// Where it stood in its line.
    pub(super) column: usize,
    /// No more than one blank stood before it: it was not put in a column on purpose.
    pub(super) tight: bool,
    /// It stands below a comment at the end of a line, in the same column: it goes on with what that one says.
    pub(super) continues: bool,
}

/// `key = value`, or an item of a list.
pub(super) struct Entry {
    /// As it is to be written; none in a list.
    pub(super) key: Option<String>,
    pub(super) value: Value,
    /// Behind it, on its line.
    pub(super) comment: Option<Comment>,
}

pub(super) enum Value {
    /// As it is to be written.
    Scalar(String),
    List(Group),
    Table(Group),
}

/// A list or an inline table.
pub(super) struct Group {
    pub(super) parts: Vec<Part>,
    /// Its first entry stood on another line than its bracket.
    pub(super) over_lines: bool,
}

/// The parts of a text that is known to be right.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let tokens = Source::new(text).lex().into_vec();
    let mut events: Vec<Event> = Vec::new();
    parse_document(&tokens, &mut events, &mut ());
    events.retain(|event| event.kind() != EventKind::Whitespace);
    Walk { text, events: events.into_iter().peekable(), between: Vec::new() }.group(true).parts
}

struct Walk<'a> {
    text: &'a str,
    events: Peekable<IntoIter<Event>>,
    /// Comments between a name and its value: in inline tables the parser takes them there.
    between: Vec<Span>,
}

impl Walk<'_> {
    /// Everything up to the bracket that closes the group, or to the end of the file.
    fn group(&mut self, at_line_start: bool) -> Group {
        let mut group = Group { parts: Vec::new(), over_lines: false };
        // Line ends since the last part.
        let mut line_ends = usize::from(at_line_start);
        while let Some(event) = self.events.next() {
            match event.kind() {
                EventKind::ArrayClose | EventKind::InlineTableClose => break,
                EventKind::Newline => {
                    line_ends += 1;
                    group.over_lines |= group.parts.is_empty();
                    if line_ends > 1 && !matches!(group.parts.last(), Some(Part::Blank)) {
                        group.parts.push(Part::Blank);
                    }
                    continue;
                }
                EventKind::Comment => self.comment(event.span(), line_ends, &mut group.parts),
                EventKind::StdTableOpen => group.parts.push(self.header("[", "]")),
                EventKind::ArrayTableOpen => group.parts.push(self.header("[[", "]]")),
                EventKind::SimpleKey => {
                    let key = Some(self.key(event));
                    let value = match self.next() {
                        Some(event) => self.value(event),
                        None => break,
                    };
                    let between = std::mem::take(&mut self.between);
                    between.into_iter().for_each(|span| group.parts.push(Part::Comment(self.comment_at(span))));
                    group.parts.push(Part::Entry(Entry { key, value, comment: None }));
                }
                EventKind::Scalar | EventKind::ArrayOpen | EventKind::InlineTableOpen => {
                    let value = self.value(event);
                    group.parts.push(Part::Entry(Entry { key: None, value, comment: None }));
                }
                _ => continue,
            }
            line_ends = 0;
        }
        group
    }

    fn comment_at(&self, span: Span) -> Comment {
        let before = &self.text[..span.start()];
        let line = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
        let text = self.text[span.start()..span.end()].trim_end().to_owned();
        let column = line.width();
        Comment { text, column, tight: column <= line.trim_end().width() + 1, continues: false }
    }

    fn comment(&self, span: Span, line_ends: usize, parts: &mut Vec<Part>) {
        let mut comment = self.comment_at(span);
        match (parts.last_mut(), line_ends) {
            (Some(Part::Header { comment: slot, .. } | Part::Entry(Entry { comment: slot, .. })), 0) => {
                *slot = Some(comment);
            }
            (last, _) => {
                let above = match last {
                    Some(Part::Header { comment, .. } | Part::Entry(Entry { comment, .. })) => comment.as_ref(),
                    Some(Part::Comment(above)) if above.continues => Some(&*above),
                    _ => None,
                };
                comment.continues = line_ends == 1 && above.is_some_and(|above| above.column == comment.column);
                parts.push(Part::Comment(comment));
            }
        }
    }

    fn header(&mut self, open: &str, close: &str) -> Part {
        let name = match self.events.next() {
            Some(first) => self.key(first),
            None => String::new(),
        };
        Part::Header { text: format!("{open}{name}{close}"), comment: None }
    }

    /// The names of a dotted key up to what ends it, as they are to be written.
    fn key(&mut self, first: Event) -> String {
        let mut key = self.name(first);
        while let Some(event) = self.next() {
            match event.kind() {
                EventKind::SimpleKey => {
                    key.push('.');
                    key.push_str(&self.name(event));
                }
                EventKind::KeySep => {}
                _ => break,
            }
        }
        key
    }

    /// The next event that is no line end and no comment; comments are kept.
    fn next(&mut self) -> Option<Event> {
        loop {
            let event = self.events.next()?;
            match event.kind() {
                EventKind::Newline => {}
                EventKind::Comment => self.between.push(event.span()),
                _ => return Some(event),
            }
        }
    }

    fn name(&self, event: Event) -> String {
        let written = self.written(event);
        let bare = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        match written.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
            Some(name) if bare(name) => name.to_owned(),
            _ => written,
        }
    }

    fn value(&mut self, event: Event) -> Value {
        match event.kind() {
            EventKind::ArrayOpen => Value::List(self.group(false)),
            EventKind::InlineTableOpen => Value::Table(self.group(false)),
            _ => Value::Scalar(self.written(event)),
        }
    }

    /// A scalar or a name as it is to be written: as it was, but in `"` where nothing in it has to be escaped.
    fn written(&self, event: Event) -> String {
        let written = self.text[event.span().start()..event.span().end()].to_owned();
        let literal = match event.encoding() {
            Some(Encoding::LiteralString) => written.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')),
            _ => None,
        };
        match literal {
            Some(text) if !text.contains(['"', '\\']) => format!("\"{text}\""),
            _ => written,
        }
    }
}
