//! A tolerant reading, for editors: what a text says so far, however broken it is, with the place of every word.
//!
//! [`parse`](super::parse()) gives the tree that a file means, or what is wrong with it. While somebody types, a text is
//! wrong most of the time; a [`Sketch`] is then what there is to go by. It follows the lines: whatever stands unfinished
//! ends where the next line begins something new.

use toml_parser::Source;
use toml_parser::lexer::{Token, TokenKind};

use crate::diagnostic::Span;
use crate::settings::Spanned;

/// So deep are lists and tables followed.
const DEEPEST: usize = 64;

/// A file's text, in the order in which it stands there.
#[derive(Debug, Default)]
pub struct Sketch {
    /// What stands before the first header, then one for each header.
    pub sections: Vec<Section>,
}

/// A header with what stands below it.
#[derive(Debug, Default)]
pub struct Section {
    /// The header's words; none at the start of the file.
    pub header: Vec<Spanned<String>>,
    /// It is one of several: `[[filter]]`.
    pub list: bool,
    /// The header itself.
    pub span: Span,
    /// Where the next header begins, or the file ends.
    pub end: usize,
    /// What stands below it.
    pub entries: Vec<SketchEntry>,
}

/// `key = value`, or as much of it as there is.
#[derive(Debug)]
pub struct SketchEntry {
    /// The words of the key, those with dots between taken apart. The places are with quotes, where there are any.
    pub key: Vec<Spanned<String>>,
    /// Where the `=` stands, if there is one.
    pub equals: Option<usize>,
    /// What stands behind it.
    pub value: Option<SketchValue>,
    /// From the key to the end of the value, or of what there is.
    pub span: Span,
}

/// A value, or as much of it as there is.
#[derive(Debug)]
pub struct SketchValue {
    /// Where it stands, with its quotes or brackets.
    pub span: Span,
    /// What it is.
    pub kind: SketchKind,
}

/// What a value is.
#[derive(Debug)]
pub enum SketchKind {
    /// Text in quotes: what it means, and where it stands within the quotes.
    Text(String, Span),
    /// A number, `true`, a date, or a word whose quotes are missing.
    Plain(String),
    /// `[...]`
    List(Vec<SketchValue>),
    /// `{...}`
    Table(Vec<SketchEntry>),
}

impl Sketch {
    /// Reads a text. Takes time in proportion to its length, and never fails.
    pub fn of(text: &str) -> Sketch {
        let source = Source::new(text);
        let kept = |token: &Token| !matches!(token.kind(), TokenKind::Whitespace | TokenKind::Comment | TokenKind::Eof);
        let tokens = source.lex().filter(kept).collect();
        Reader { text, source, tokens, at: 0 }.sketch()
    }

    /// The section that this byte stands in.
    pub fn section(&self, at: usize) -> usize {
        self.sections.partition_point(|section| section.span.start <= at).saturating_sub(1)
    }
}

impl SketchValue {
    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            SketchKind::Text(text, _) => Some(text),
            _ => None,
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    source: Source<'a>,
    /// Without spaces and comments.
    tokens: Vec<Token>,
    at: usize,
}

impl Reader<'_> {
    fn sketch(mut self) -> Sketch {
        let mut sections = vec![Section::default()];
        while let Some(kind) = self.kind(0) {
            match kind {
                TokenKind::Newline => self.at += 1,
                TokenKind::LeftSquareBracket => {
                    let section = self.header();
                    self.close(&mut sections, section.span.start);
                    sections.push(section);
                    self.skip_line();
                }
                _ => {
                    let entry = self.entry(0);
                    if let (Some(entry), Some(section)) = (entry, sections.last_mut()) {
                        section.entries.push(entry);
                    }
                    self.skip_line();
                }
            }
        }
        self.close(&mut sections, self.text.len());
        Sketch { sections }
    }

    fn close(&self, sections: &mut [Section], end: usize) {
        if let Some(last) = sections.last_mut() {
            last.end = end;
        }
    }

    fn kind(&self, ahead: usize) -> Option<TokenKind> {
        self.tokens.get(self.at + ahead).map(Token::kind)
    }

    fn span(&self) -> Span {
        self.tokens.get(self.at).map_or(Span { start: self.text.len(), end: self.text.len() }, span_of)
    }

    /// Where the last token that was taken ends.
    fn taken(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |before| span_of(&self.tokens[before]).end)
    }

    /// Whatever else stands on this line says nothing.
    fn skip_line(&mut self) {
        while self.kind(0).is_some_and(|kind| kind != TokenKind::Newline) {
            self.at += 1;
        }
    }

    /// `[a.b]`, `[[a.b]]`, or the beginning of one.
    fn header(&mut self) -> Section {
        let start = self.span().start;
        self.at += 1;
        let list = self.kind(0) == Some(TokenKind::LeftSquareBracket);
        self.at += usize::from(list);
        let header = self.words();
        while self.kind(0) == Some(TokenKind::RightSquareBracket) {
            self.at += 1;
        }
        Section { header, list, span: Span { start, end: self.taken() }, ..Section::default() }
    }

    /// Words with dots between; the last may be missing.
    fn words(&mut self) -> Vec<Spanned<String>> {
        let mut words = Vec::new();
        while let Some(TokenKind::Atom | TokenKind::BasicString | TokenKind::LiteralString) = self.kind(0) {
            let mut word = std::borrow::Cow::Borrowed("");
            if let Some(raw) = self.source.get(self.tokens[self.at]) {
                raw.decode_key(&mut word, &mut ());
            }
            words.push(Spanned::new(self.span(), word.into_owned()));
            self.at += 1;
            if self.kind(0) != Some(TokenKind::Dot) {
                break;
            }
            self.at += 1;
        }
        words
    }

    fn entry(&mut self, depth: usize) -> Option<SketchEntry> {
        let start = self.span().start;
        let key = self.words();
        if key.is_empty() {
            return None;
        }
        let mut entry = SketchEntry { key, equals: None, value: None, span: Span::default() };
        if self.kind(0) == Some(TokenKind::Equals) {
            entry.equals = Some(self.span().start);
            self.at += 1;
            entry.value = self.value(depth);
        }
        entry.span = Span { start, end: self.taken() };
        Some(entry)
    }

    fn value(&mut self, depth: usize) -> Option<SketchValue> {
        let start = self.span().start;
        let kind = match self.kind(0)? {
            TokenKind::BasicString | TokenKind::LiteralString => self.string(1),
            TokenKind::MlBasicString | TokenKind::MlLiteralString => self.string(3),
            TokenKind::Atom | TokenKind::Dot => self.plain(),
            TokenKind::LeftSquareBracket if depth < DEEPEST => self.list(depth),
            TokenKind::LeftCurlyBracket if depth < DEEPEST => self.table(depth),
            _ => return None,
        };
        Some(SketchValue { span: Span { start, end: self.taken() }, kind })
    }

    fn string(&mut self, quotes: usize) -> SketchKind {
        let span = self.span();
        let raw = &self.text[span.start..span.end];
        let mut text = std::borrow::Cow::Borrowed("");
        if let Some(raw) = self.source.get(self.tokens[self.at]) {
            let _ = raw.decode_scalar(&mut text, &mut ());
        }
        let quote = &raw[..quotes];
        let closed = raw.len() >= 2 * quotes && raw.ends_with(quote);
        let end = if closed { span.end - quotes } else { span.start + raw.trim_end_matches(['\r', '\n']).len() };
        let inner = Span { start: span.start + quotes, end: end.max(span.start + quotes) };
        self.at += 1;
        SketchKind::Text(text.into_owned(), inner)
    }

    /// Numbers with a point are several tokens.
    fn plain(&mut self) -> SketchKind {
        let start = self.span().start;
        let mut end = start;
        while matches!(self.kind(0), Some(TokenKind::Atom | TokenKind::Dot)) && self.span().start == end {
            end = self.span().end;
            self.at += 1;
        }
        SketchKind::Plain(self.text[start..end].to_owned())
    }

    fn list(&mut self, depth: usize) -> SketchKind {
        self.at += 1;
        let mut items = Vec::new();
        while let Some(kind) = self.kind(0) {
            match kind {
                TokenKind::RightSquareBracket => {
                    self.at += 1;
                    break;
                }
                TokenKind::Newline if self.begins_anew() => break,
                TokenKind::Newline | TokenKind::Comma => self.at += 1,
                _ => match self.value(depth + 1) {
                    Some(item) => items.push(item),
                    None => self.at += 1,
                },
            }
        }
        SketchKind::List(items)
    }

    fn table(&mut self, depth: usize) -> SketchKind {
        self.at += 1;
        let mut entries = Vec::new();
        while let Some(kind) = self.kind(0) {
            match kind {
                TokenKind::RightCurlyBracket => {
                    self.at += 1;
                    break;
                }
                // A list around it ends here; what is missing is the `}`.
                TokenKind::RightSquareBracket => break,
                TokenKind::Newline if self.begins_anew() => break,
                TokenKind::Newline | TokenKind::Comma => self.at += 1,
                _ => match self.entry(depth + 1) {
                    Some(entry) => entries.push(entry),
                    None => self.at += 1,
                },
            }
        }
        SketchKind::Table(entries)
    }

    /// Whether the line after this line break begins something of its own, though a bracket is open: a header, or a key, at
    /// the very start of the line.
    fn begins_anew(&self) -> bool {
        let Some(first) = self.tokens.get(self.at + 1).map(span_of) else { return true };
        if !self.text[..first.start].ends_with('\n') {
            return false;
        }
        let mut ahead = 1;
        let is_header = self.kind(ahead) == Some(TokenKind::LeftSquareBracket);
        while self.kind(ahead) == Some(TokenKind::LeftSquareBracket) {
            ahead += 1;
        }
        while let Some(TokenKind::Atom | TokenKind::BasicString | TokenKind::LiteralString | TokenKind::Dot) =
            self.kind(ahead)
        {
            ahead += 1;
        }
        match self.kind(ahead) {
            Some(TokenKind::Equals) => !is_header,
            Some(TokenKind::RightSquareBracket) => {
                while self.kind(ahead) == Some(TokenKind::RightSquareBracket) {
                    ahead += 1;
                }
                is_header && matches!(self.kind(ahead), None | Some(TokenKind::Newline))
            }
            _ => false,
        }
    }
}

fn span_of(token: &Token) -> Span {
    Span { start: token.span().start(), end: token.span().end() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(entry: &SketchEntry) -> String {
        let key: Vec<_> = entry.key.iter().map(|word| word.value.as_str()).collect();
        let equals = if entry.equals.is_some() { "=" } else { "" };
        format!("{}{equals}{}", key.join("."), entry.value.as_ref().map(value).unwrap_or_default())
    }

    fn value(of: &SketchValue) -> String {
        match &of.kind {
            SketchKind::Text(text, _) => format!("'{text}'"),
            SketchKind::Plain(text) => text.clone(),
            SketchKind::List(items) => format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(",")),
            SketchKind::Table(entries) => format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(",")),
        }
    }

    fn shown(text: &str) -> String {
        let section = |section: &Section| {
            let header: Vec<_> = section.header.iter().map(|word| word.value.as_str()).collect();
            let header = if section.list { format!("<<{}>>", header.join(".")) } else { header.join(".") };
            format!("{header}({})", section.entries.iter().map(entry).collect::<Vec<_>>().join(" "))
        };
        Sketch::of(text).sections.iter().map(section).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn whole_files() {
        for (text, expected) in [
            ("", "()"),
            ("a = 1.5 # x\nb.'c d' = \"e\\u0066\"\n", "(a=1.5 b.c d='ef')"),
            ("[a.\"b\"]\nx = [1, { y = true },\n  'z',\n]\n[[c]]\n", "() a.b(x=[1,{y=true},'z']) <<c>>()"),
            ("t = \"\"\"\n[no]\nx = 1\"\"\"\nd = 2026-01-01T00:00:00Z\r\n", "(t='[no]\nx = 1' d=2026-01-01T00:00:00Z)"),
            ("a = {\n  b = 1,\n  c = 2\n}\nd = 3", "(a={b=1,c=2} d=3)"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_being_typed() {
        for (text, expected) in [
            ("us", "(us)"),
            ("a = \nb = 1", "(a= b=1)"),
            ("a = \"x\nb = 1", "(a='x' b=1)"),
            ("a = [\"x\", \nb = 1\n[c]\n", "(a=['x'] b=1) c()"),
            ("a = [\n  \"x\"\n[[c]]\nd=1", "(a=['x']) <<c>>(d=1)"),
            ("a = [{ b = 1 ]\nc = 2", "(a=[{b=1}] c=2)"),
            ("a = { b = \"x\", c \nd = 1", "(a={b='x',c} d=1)"),
            ("[[fil\nuse = \"x\"\n[\n[a.]\n", "() <<fil>>(use='x') () a()"),
            ("a. = 1\n= 2\n, b\nc d = 1\n", "(a=1 c)"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn places() {
        let text = "[[filter]]\nuse = \"pro\nupstream = 'x'\n";
        let sketch = Sketch::of(text);
        let section = &sketch.sections[1];
        let word = |span: Span| &text[span.start..span.end];
        assert_eq!((word(section.span), word(section.header[0].span)), ("[[filter]]", "filter"));
        let inner = |entry: &SketchEntry| match entry.value.as_ref().unwrap().kind {
            SketchKind::Text(_, inner) => word(inner),
            _ => panic!("text"),
        };
        assert_eq!(section.entries.iter().map(inner).collect::<Vec<_>>(), ["pro", "x"]);
        for (at, expected) in [(0, 1), (5, 1), (text.len(), 1)] {
            assert_eq!(sketch.section(at), expected, "{at}");
        }
        assert_eq!(Sketch::of("a=1\n[b]\n").section(2), 0);
    }

    #[test]
    fn any_text_in_bounded_time() {
        for text in ["[", "{", "a={", "a=[", "\"", "'''", ".", "=", "a.", "\u{0}", "ü", "[[", "]]", "a=[\n"] {
            Sketch::of(&text.repeat(50_000));
            Sketch::of(&format!("a = {}", text.repeat(50_000)));
        }
    }
}
