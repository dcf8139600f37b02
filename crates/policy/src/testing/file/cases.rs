//! `cases`: one test for each, with what the case has in place of `${case.NAME}`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::words::{Group, Piece, filled, pieces};
use crate::diagnostic::{Diagnostics, Place, Problem, SourceFile, Span, codes};
use crate::reader::{Entry, Node, NodeKind, Table, did_you_mean};
use crate::selector::Source;

/// The table of each test that a `[[test]]` stands for: one, or one a case, with the case's place. Places stay those of the file.
pub(super) fn expanded(file: &Arc<SourceFile>, test: &Table, problems: &mut Diagnostics) -> Vec<(Table, Option<Span>)> {
    let mut cases = Cases { file, used: BTreeSet::new(), names: BTreeSet::new(), case: None, problems };
    let Some(node) = test.get("cases") else {
        return vec![(cases.table(test), None)];
    };
    let Some(list) = cases.list(node) else { return Vec::new() };
    cases.names = list.iter().flat_map(|case| case.entries.iter().map(|entry| entry.name.clone())).collect();
    let mut body = test.clone();
    body.entries.retain(|entry| entry.name != "cases");
    let own_names = names_itself(&body);
    let tests = list.iter().enumerate().map(|(index, case)| {
        cases.case = Some(case);
        let mut table = cases.table(&body);
        if !own_names {
            number(&mut table, index + 1);
        }
        (table, Some(case.span))
    });
    let tests = tests.collect();
    cases.report_unused(&list);
    tests
}

/// Whether the test's name tells its cases apart.
fn names_itself(test: &Table) -> bool {
    let name = test.get("name").and_then(Node::as_text).unwrap_or_default();
    pieces(name).iter().any(|piece| matches!(piece, Piece::Word(Group::Case, ..)))
}

/// `NAME [1]`.
fn number(test: &mut Table, number: usize) {
    for entry in test.entries.iter_mut().filter(|entry| entry.name == "name") {
        if let NodeKind::Text(text) = &mut entry.value.kind {
            text.push_str(&format!(" [{number}]"));
        }
    }
}

struct Cases<'a> {
    file: &'a Arc<SourceFile>,
    /// What cases have.
    names: BTreeSet<String>,
    /// What texts asked for.
    used: BTreeSet<String>,
    /// The case that is put in; none where the test has none.
    case: Option<&'a Table>,
    problems: &'a mut Diagnostics,
}

impl<'a> Cases<'a> {
    fn error(&mut self, span: Span, message: String, help: String) {
        let place = Place { file: self.file.clone(), span };
        self.problems.push(Problem::error(codes::BAD_TEST, message).with_help(help).at(place));
    }

    fn list(&mut self, node: &'a Node) -> Option<Vec<&'a Table>> {
        let help = "cases = [{ scope = \"a\", status = 200 }, { scope = \"b\", status = 400 }]";
        let tables = node.as_list().filter(|list| !list.is_empty());
        let tables = tables.and_then(|list| list.iter().map(Node::as_table).collect::<Option<Vec<_>>>());
        if tables.is_none() {
            self.error(node.span, String::from("`cases` is to be a list of tables, one a case"), help.to_owned());
        }
        tables
    }

    fn table(&mut self, table: &Table) -> Table {
        let entry = |entry: &Entry| Entry {
            name: self.text(entry.name_span, &entry.name),
            name_span: entry.name_span,
            value: self.node(&entry.value),
        };
        Table { span: table.span, entries: table.entries.iter().map(entry).collect() }
    }

    /// The value with the case put in. A date becomes the text that it is written as: JSON has none.
    fn node(&mut self, node: &Node) -> Node {
        let kind = match &node.kind {
            NodeKind::Text(text) => self.value(node.span, text),
            NodeKind::Datetime(text) => NodeKind::Text(text.clone()),
            NodeKind::List(list) => NodeKind::List(list.iter().map(|item| self.node(item)).collect()),
            NodeKind::Table(table) => NodeKind::Table(Arc::new(self.table(table))),
            plain => plain.clone(),
        };
        Node { span: node.span, kind }
    }

    /// A word that is the whole text keeps the type of what the case has.
    fn value(&mut self, span: Span, text: &str) -> NodeKind {
        if let [Piece::Word(Group::Case, name, range)] = pieces(text).as_slice() {
            let at = Source::new(self.file, span, text).span(range.clone());
            return match self.found(at, name) {
                Some(node) => node.kind.clone(),
                None => NodeKind::Text(text.to_owned()),
            };
        }
        NodeKind::Text(self.text(span, text))
    }

    fn text(&mut self, span: Span, text: &str) -> String {
        if !text.contains("${") {
            return text.to_owned();
        }
        let file = self.file.clone();
        let source = Source::new(&file, span, text);
        for piece in pieces(text) {
            match piece {
                Piece::Plain(_) | Piece::Word(Group::Kept, ..) => {}
                Piece::Word(Group::Case, name, range) => {
                    let at = source.span(range);
                    if let Some(node) = self.found(at, name).filter(|node| plain(node).is_none()) {
                        let message = format!("`case.{name}` is {}, and stands inside of a text here", node.describe());
                        self.error(at, message, String::from("text, a number, true or false can stand in a text"));
                    }
                }
                Piece::Malformed(whole, range) => {
                    let help =
                        "`${case.NAME}` or `${kept.NAME}`, of letters, digits, `_` and `-`; `$${case.` is plain text";
                    self.error(
                        source.span(range),
                        format!("`{whole}` is no name of a case, nor a kept one"),
                        help.into(),
                    );
                }
            }
        }
        let case = self.case;
        filled(text, Group::Case, |name| plain(case?.get(name)?))
    }

    /// What the case has under this name.
    fn found(&mut self, at: Span, name: &str) -> Option<&'a Node> {
        self.used.insert(name.to_owned());
        let Some(case) = self.case else {
            let help = format!("give it some: cases = [{{ {name} = ... }}]");
            self.error(at, format!("there is no `case.{name}`: the test has no `cases`"), help);
            return None;
        };
        let found = case.get(name);
        if found.is_none() && self.names.contains(name) {
            let help = format!("every case has what the test's texts ask for: `{name} = ...`");
            self.error(case.span, format!("this case has no `{name}`"), help);
        } else if found.is_none() {
            let help = match did_you_mean(name, self.names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `case.{near}`?"),
                None => format!("every case is to have it: `{name} = ...`"),
            };
            self.error(at, format!("no case has a `{name}`"), help);
        }
        found
    }

    /// What no text asks for is most likely misspelt here or there.
    fn report_unused(&mut self, list: &[&Table]) {
        let mut told = BTreeSet::new();
        for entry in list.iter().flat_map(|case| &case.entries) {
            if !self.used.contains(&entry.name) && told.insert(&entry.name) {
                let help = format!("use it as `${{case.{}}}` in a text of the test, or leave it out", entry.name);
                self.error(entry.name_span, format!("no text of the test asks for `{}`", entry.name), help);
            }
        }
    }
}

/// What stands in a text for a value.
fn plain(node: &Node) -> Option<String> {
    match &node.kind {
        NodeKind::Text(text) | NodeKind::Datetime(text) => Some(text.clone()),
        NodeKind::Int(int) => Some(int.to_string()),
        NodeKind::Float(float) => Some(float.to_string()),
        NodeKind::Bool(bool) => Some(bool.to_string()),
        NodeKind::List(_) | NodeKind::Table(_) => None,
    }
}
