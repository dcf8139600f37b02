//! Takes tables of a policy file apart, key by key, with every problem at its place.

use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place, Problem, SourceFile, Span, codes};
use crate::reader::{Entry, Node, NodeKind, Table};
use crate::settings::{Literal, Spanned};

/// A file and the problems found in it so far.
pub(crate) struct Reporter<'a> {
    pub(crate) file: &'a Arc<SourceFile>,
    pub(crate) problems: &'a mut Diagnostics,
}

impl Reporter<'_> {
    pub(crate) fn place(&self, span: Span) -> Place {
        Place { file: self.file.clone(), span }
    }

    pub(crate) fn error(&mut self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        let diagnostic = Problem::error(code, message).with_help(help).at(self.place(span));
        self.push(diagnostic);
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.problems.push(diagnostic);
    }

    /// "`x` is to be WHAT, and is a list".
    pub(crate) fn wrong_type(&mut self, what: &str, node: &Node, wanted: &str) {
        let message = format!("`{what}` is {}", node.describe());
        self.error(codes::BAD_VALUE, node.span, message, format!("it is to be {wanted}"));
    }

    /// The text behind a key, with its place.
    pub(crate) fn text(&mut self, entry: &Entry) -> Option<Spanned<String>> {
        self.text_of(&entry.name, &entry.value)
    }

    /// The text that this node is.
    pub(crate) fn text_of(&mut self, what: &str, node: &Node) -> Option<Spanned<String>> {
        match node.as_text() {
            Some(text) => Some(Spanned { span: node.span, value: text.to_owned() }),
            None => {
                self.wrong_type(what, node, "a string");
                None
            }
        }
    }

    /// A list of texts, each with its place.
    pub(crate) fn texts(&mut self, entry: &Entry) -> Option<Vec<Spanned<String>>> {
        match entry.value.as_list() {
            Some(list) => Some(list.iter().filter_map(|item| self.text_of(&entry.name, item)).collect()),
            None => {
                self.wrong_type(&entry.name, &entry.value, "a list of strings");
                None
            }
        }
    }

    /// A table behind a key.
    pub(crate) fn table<'t>(&mut self, entry: &'t Entry) -> Option<&'t Table> {
        let table = entry.value.as_table();
        if table.is_none() {
            self.wrong_type(&entry.name, &entry.value, "a table");
        }
        table
    }

    /// `true` or `false` behind a key.
    pub(crate) fn bool(&mut self, entry: &Entry) -> Option<bool> {
        match entry.value.kind {
            NodeKind::Bool(value) => Some(value),
            _ => {
                self.wrong_type(&entry.name, &entry.value, "true or false");
                None
            }
        }
    }

    /// Reports every key that is none of `known`.
    pub(crate) fn unknown_keys(&mut self, table: &Table, known: &[&str], inside: &str) {
        for entry in table.entries.iter().filter(|e| !known.contains(&e.name.as_str())) {
            let message = format!("`{}` is not known in {inside}", entry.name);
            let help = did_you_mean(&entry.name, known.iter().copied())
                .unwrap_or_else(|| format!("known here: {}", list(known.iter().copied())));
            self.error(codes::UNKNOWN_KEY, entry.name_span, message, help);
        }
    }

    /// Reports a key that is missing.
    pub(crate) fn missing_key(&mut self, span: Span, key: &str, inside: &str, help: &str) {
        self.error(codes::MISSING_KEY, span, format!("{inside} has no `{key}`"), help);
    }
}

/// "did you mean `x`?", where one of the candidates is near.
pub(crate) fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    crate::reader::did_you_mean(word, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// Names for a message, each in backticks, sorted as given; not all, where there are very many.
pub(crate) fn list<'c>(names: impl IntoIterator<Item = &'c str>) -> String {
    const MOST: usize = 24;
    let mut names = names.into_iter();
    let mut quoted: Vec<String> = names.by_ref().take(MOST).map(|name| format!("`{name}`")).collect();
    quoted.extend(names.next().map(|_| String::from("...")));
    quoted.join(", ")
}

/// A node as a literal, for a compiled setting.
pub(crate) fn literal(node: &Node) -> Spanned<Literal> {
    let value = match &node.kind {
        NodeKind::Text(text) | NodeKind::Datetime(text) => Literal::Text(text.clone()),
        NodeKind::Int(int) => Literal::Int(*int),
        NodeKind::Float(float) => Literal::Float(*float),
        NodeKind::Bool(bool) => Literal::Bool(*bool),
        NodeKind::List(list) => Literal::List(list.iter().map(literal).collect()),
        NodeKind::Table(table) => {
            Literal::Table(table.entries.iter().map(|e| (e.name.clone(), e.name_span, literal(&e.value))).collect())
        }
    };
    Spanned { span: node.span, value }
}
