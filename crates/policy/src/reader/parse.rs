//! TOML text to a [`Document`].

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeString, DeTable, DeValue};

use super::{Document, Entry, Node, NodeKind, Table};
use crate::diagnostic::{Diagnostics, Place, Problem, SourceFile, Span, codes};

/// So deep may tables and lists be nested: whoever walks the tree may recurse.
const DEEPEST: usize = 64;

/// So many syntax errors of one file are told: after that they are most likely all consequences of the first.
const MOST_ERRORS: usize = 20;

/// Parses a file; all syntax errors that the parser can name at once. What was parsed, and is still held by somebody, is not parsed again.
pub fn parse(file: &Arc<SourceFile>) -> Result<Document, Diagnostics> {
    let root = file.tree.get_or_parse(|| parse_tree(file))?;
    Ok(Document { file: file.clone(), root })
}

fn parse_tree(file: &Arc<SourceFile>) -> Result<Table, Diagnostics> {
    let (root, errors) = DeTable::parse_recoverable(&file.text);
    let mut walk = Walk { file, diagnostics: Diagnostics::new(), told: 0 };
    for error in &errors {
        walk.syntax(error);
    }
    let root = walk.table(Span::default(), root.into_inner(), 0);
    if walk.diagnostics.is_empty() {
        return Ok(root);
    }
    Err(walk.diagnostics.sorted())
}

struct Walk<'a> {
    file: &'a Arc<SourceFile>,
    diagnostics: Diagnostics,
    told: usize,
}

impl Walk<'_> {
    fn tell(&mut self, span: Span, message: impl Into<String>, help: &str) {
        self.told += 1;
        if self.told > MOST_ERRORS {
            return;
        }
        let place = Place { file: self.file.clone(), span };
        let mut problem = Problem::error(codes::SYNTAX, message);
        if !help.is_empty() {
            problem = problem.with_help(help);
        }
        self.diagnostics.push(problem.at(place));
    }

    fn syntax(&mut self, error: &toml::de::Error) {
        let span = error.span().map(Span::from).unwrap_or_default();
        let message = error.message().trim_end();
        match message {
            "duplicate key" => self.tell(
                span,
                "this name stands in its table already",
                "a name may stand once in a table, and a table may have one header; several entries are written `[[name]]`",
            ),
            "recursion limit" | "cannot recurse further; max recursion depth met" => self.too_deep(span),
            _ if message.starts_with("string values must be quoted") && self.is_empty(span) => {
                self.tell(span, "a value is missing here", "text stands in quotes: `name = \"text\"`");
            }
            // A word that begins with `t` or `f` is taken for a boolean.
            _ if message.starts_with("string values must be quoted") || message.starts_with("invalid boolean") => {
                self.tell(span, "this is no value", "text stands in quotes: `name = \"text\"`");
            }
            _ if message.starts_with("invalid ") && message.contains(" string, expected `") => {
                self.tell(span, "the text before this has no closing quotes", "a text ends with the quotes that it begins with");
            }
            _ => self.tell(span, message, ""),
        }
    }

    fn is_empty(&self, span: Span) -> bool {
        self.file.text.get(span.start..span.end).is_none_or(|text| text.trim().is_empty())
    }

    fn too_deep(&mut self, span: Span) {
        self.tell(
            span,
            "this is nested too deeply",
            &format!("at most {DEEPEST} tables and lists may stand in one another"),
        );
    }

    fn table(&mut self, span: Span, table: DeTable<'_>, depth: usize) -> Table {
        let mut entries: Vec<Entry> = table
            .into_iter()
            .map(|(name, value)| Entry {
                name_span: name.span().into(),
                name: name.into_inner().into_owned(),
                value: self.value(value, depth),
            })
            .collect();
        // The parser sorts by name; what a person reads is the order of the file.
        entries.sort_by_key(|e| e.name_span);
        Table { span, entries }
    }

    fn list(&mut self, list: DeArray<'_>, depth: usize) -> Vec<Node> {
        list.into_iter().map(|item| self.value(item, depth)).collect()
    }

    fn value(&mut self, value: Spanned<DeValue<'_>>, depth: usize) -> Node {
        let span = Span::from(value.span());
        let kind = match value.into_inner() {
            DeValue::String(text) => NodeKind::Text(DeString::into_owned(text)),
            DeValue::Integer(number) => self.integer(span, &number),
            DeValue::Float(number) => NodeKind::Float(number.as_str().replace('_', "").parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(value) => NodeKind::Bool(value),
            DeValue::Datetime(value) => NodeKind::Datetime(value.to_string()),
            DeValue::Array(_) | DeValue::Table(_) if depth >= DEEPEST => {
                self.too_deep(span);
                NodeKind::Bool(false)
            }
            DeValue::Array(list) => NodeKind::List(self.list(list, depth + 1)),
            DeValue::Table(table) => NodeKind::Table(Arc::new(self.table(span, table, depth + 1))),
        };
        Node { span, kind }
    }

    fn integer(&mut self, span: Span, number: &DeInteger<'_>) -> NodeKind {
        let parsed = i64::from_str_radix(number.as_str(), number.radix());
        NodeKind::Int(parsed.unwrap_or_else(|_| {
            self.tell(span, "this number is too large", "whole numbers have 64 bits, with a sign");
            0
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<SourceFile> {
        Arc::new(SourceFile::new("policies/a.toml", text))
    }

    fn errors(text: &str) -> Vec<(String, String)> {
        match parse(&source(text)) {
            Ok(_) => Vec::new(),
            Err(found) => found
                .iter()
                .map(|d| {
                    assert_eq!(d.problem.code, codes::SYNTAX);
                    (d.place.as_ref().unwrap().to_string(), d.problem.message.clone())
                })
                .collect(),
        }
    }

    #[test]
    fn entries_keep_the_order_of_the_file_and_their_places() {
        let text = "z = 1\na = \"ü\"\n[t]\nb.c = [1, { d = true }]\n";
        let document = parse(&source(text)).unwrap();
        let names: Vec<_> = document.root.entries.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["z", "a", "t"]);
        let word = |span: Span| &text[span.start..span.end];
        let entry = &document.root.entries[1];
        assert_eq!((word(entry.name_span), word(entry.value.span)), ("a", "\"ü\""));
        let table = document.root.get("t").unwrap().as_table().unwrap();
        assert_eq!(word(table.span), "[t]");
        let list = table.get("b").unwrap().as_table().unwrap().get("c").unwrap().as_list().unwrap();
        assert_eq!(word(list[1].span), "{ d = true }");
        assert_eq!(word(list[1].as_table().unwrap().span), "{ d = true }");
    }

    #[test]
    fn values() {
        let text = "i = -1_000\nh = 0xff\nf = 1_0.5\nn = inf\nd = 2026-01-01\nm = \"\"\"\na\\\n  b\"\"\"\n";
        let document = parse(&source(text)).unwrap();
        let kind = |name: &str| format!("{:?}", document.root.get(name).unwrap().kind);
        for (name, expected) in [
            ("i", "Int(-1000)"),
            ("h", "Int(255)"),
            ("f", "Float(10.5)"),
            ("n", "Float(inf)"),
            ("d", "Datetime(\"2026-01-01\")"),
            ("m", "Text(\"ab\")"),
        ] {
            assert_eq!(kind(name), expected);
        }
    }

    #[test]
    fn several_errors_at_once() {
        let found = errors("a = \nb = 1\nc = \"x\nb = 2\nd = 99999999999999999999\n");
        let lines: Vec<_> = found.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(lines.len(), 4, "{found:?}");
        for (place, line) in lines.iter().zip([1, 3, 4, 5]) {
            assert!(place.starts_with(&format!("policies/a.toml:{line}:")), "{found:?}");
        }
        let messages: Vec<_> = found.iter().map(|(_, message)| message.as_str()).collect();
        let expected = [
            "a value is missing here",
            "the text before this has no closing quotes",
            "this name stands in its table already",
            "this number is too large",
        ];
        assert_eq!(messages, expected);
        for text in ["a = text", "a = hello"] {
            assert_eq!(errors(text), [("policies/a.toml:1:5".to_owned(), "this is no value".to_owned())]);
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let ok = format!("a = {}1{}", "[".repeat(60), "]".repeat(60));
        assert!(parse(&source(&ok)).is_ok());
        let deep = [
            format!("a = {}{}", "[".repeat(10_000), "]".repeat(10_000)),
            format!("a = {}1{}", "{a=".repeat(10_000), "}".repeat(10_000)),
            format!("a = {}", "[".repeat(100_000)),
            format!("{}a = 1", "a.".repeat(10_000)),
            format!("[{}a]", "a.".repeat(10_000)),
            format!("[{0}a]\n{0}a = {1}", "a.".repeat(60), "[[[[[1]]]]]"),
        ];
        for text in deep {
            let found = errors(&text);
            assert!(found.iter().any(|(_, m)| m == "this is nested too deeply"), "{found:?}");
            assert!(found.len() <= MOST_ERRORS);
        }
    }
}
