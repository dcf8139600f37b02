//! Takes a table apart by hand, key by key; what is left over is unknown.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::de::{deserialize_node, unknown_key};
use super::{Entry, Node, NodeKind, Outside, Table};
use crate::diagnostic::{Diagnostic, Diagnostics, Place, Problem, SourceFile, Span, codes};
use crate::settings::{Duration, Spanned};

/// Takes a table apart by hand. Every method names a key that the table may have; a value of another type is told, and
/// then counts as absent. [`finish`](Self::finish) tells the keys that nobody asked for.
///
/// ```
/// # use policy::{diagnostic::SourceFile, reader::{Keys, parse}};
/// # use std::sync::Arc;
/// let file = Arc::new(SourceFile::new("node.toml", "name = \"node-1\"\nnodse = 2\n"));
/// let document = parse(&file).unwrap();
/// let mut keys = Keys::new(&file, &document.root);
/// assert_eq!(keys.text("name").unwrap().value, "node-1");
/// assert!(keys.int("nodes").is_none());
/// let problems = keys.finish().unwrap_err();
/// assert_eq!(problems.iter().next().unwrap().problem.help.as_deref(), Some("did you mean `nodes`?"));
/// ```
pub struct Keys<'a> {
    file: Arc<SourceFile>,
    table: &'a Table,
    known: Vec<&'a str>,
    diagnostics: Diagnostics,
}

impl<'a> Keys<'a> {
    /// Begins with a table of this file.
    pub fn new(file: &Arc<SourceFile>, table: &'a Table) -> Self {
        Keys { file: file.clone(), table, known: Vec::new(), diagnostics: Diagnostics::new() }
    }

    /// The table's place.
    pub fn place(&self) -> Place {
        self.place_of(self.table.span)
    }

    /// A place in the table's file.
    pub fn place_of(&self, span: Span) -> Place {
        Place { file: self.file.clone(), span }
    }

    /// Adds a problem to those that [`finish`](Self::finish) gives.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Adds problems to those that [`finish`](Self::finish) gives.
    pub fn extend(&mut self, diagnostics: Diagnostics) {
        self.diagnostics.extend(diagnostics);
    }

    /// Keys that somebody else reads: they are known.
    pub fn also(&mut self, names: &[&'a str]) {
        self.known.extend(names);
    }

    /// The entry of this name, of any type.
    pub fn entry(&mut self, name: &'a str) -> Option<&'a Entry> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        self.table.entry(name)
    }

    /// The value of this name, of any type.
    pub fn node(&mut self, name: &'a str) -> Option<&'a Node> {
        self.entry(name).map(|e| &e.value)
    }

    /// The value of this name; a missing one is told.
    pub fn required(&mut self, name: &'a str) -> Option<&'a Node> {
        let node = self.node(name);
        if node.is_none() {
            let problem = Problem::error(codes::MISSING_KEY, format!("`{name}` is missing"));
            self.push(problem.with_help(format!("this table needs `{name} = ...`")).at(self.place()));
        }
        node
    }

    /// A text.
    pub fn text(&mut self, name: &'a str) -> Option<Spanned<&'a str>> {
        let node = self.node(name)?;
        self.expect(node, "text", Node::as_text)
    }

    /// A text that must be there.
    pub fn required_text(&mut self, name: &'a str) -> Option<Spanned<&'a str>> {
        let node = self.required(name)?;
        self.expect(node, "text", Node::as_text)
    }

    /// `true` or `false`.
    pub fn bool(&mut self, name: &'a str) -> Option<Spanned<bool>> {
        let node = self.node(name)?;
        self.expect(node, "true or false", |node| match node.kind {
            NodeKind::Bool(value) => Some(value),
            _ => None,
        })
    }

    /// A whole number.
    pub fn int(&mut self, name: &'a str) -> Option<Spanned<i64>> {
        let node = self.node(name)?;
        self.expect(node, "a whole number", |node| match node.kind {
            NodeKind::Int(value) => Some(value),
            _ => None,
        })
    }

    /// A duration.
    pub fn duration(&mut self, name: &'a str) -> Option<Spanned<Duration>> {
        let node = self.node(name)?;
        self.expect(node, Duration::EXPECTED, |node| node.as_text().and_then(Duration::parse))
    }

    /// A list.
    pub fn list(&mut self, name: &'a str) -> Option<Spanned<&'a [Node]>> {
        let node = self.node(name)?;
        self.expect(node, "a list", Node::as_list)
    }

    /// A table.
    pub fn table(&mut self, name: &'a str) -> Option<Spanned<&'a Table>> {
        let node = self.node(name)?;
        self.expect(node, "a table", Node::as_table)
    }

    /// A list of texts; those that are none are told.
    pub fn texts(&mut self, name: &'a str) -> Option<Vec<Spanned<&'a str>>> {
        let items = self.list(name)?.value;
        Some(items.iter().filter_map(|item| self.expect(item, "text", Node::as_text)).collect())
    }

    /// A list of tables (`[[name]]`); those that are none are told.
    pub fn tables(&mut self, name: &'a str) -> Option<Vec<Spanned<&'a Table>>> {
        let items = self.list(name)?.value;
        Some(items.iter().filter_map(|item| self.expect(item, "a table", Node::as_table)).collect())
    }

    /// A value of any type that serde can read; warnings are among the problems of [`finish`](Self::finish).
    pub fn deserialize<T: DeserializeOwned>(&mut self, name: &'a str, outside: &dyn Outside) -> Option<T> {
        let node = self.node(name)?;
        match deserialize_node(&self.file, node, outside) {
            Ok((value, warnings)) => {
                self.extend(warnings);
                Some(value)
            }
            Err(problems) => {
                self.extend(problems);
                None
            }
        }
    }

    /// Turns a value into what is expected, or tells that it is something else.
    pub fn expect<T>(
        &mut self,
        node: &'a Node,
        expected: &str,
        get: impl FnOnce(&'a Node) -> Option<T>,
    ) -> Option<Spanned<T>> {
        let value = get(node);
        if value.is_none() {
            let message = format!("expected {expected}, found {}", node.describe());
            self.push(Problem::error(codes::BAD_VALUE, message).at(self.place_of(node.span)));
        }
        value.map(|value| Spanned { span: node.span, value })
    }

    /// Ends: all problems, unknown keys among them. `Ok` holds warnings only.
    pub fn finish(mut self) -> Result<Diagnostics, Diagnostics> {
        for entry in &self.table.entries {
            if !self.known.contains(&entry.name.as_str()) {
                let unknown = unknown_key(&entry.name, &self.known).at(self.place_of(entry.name_span));
                self.diagnostics.push(unknown);
            }
        }
        let found = self.diagnostics.sorted();
        if found.has_errors() { Err(found) } else { Ok(found) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::parse;

    #[test]
    fn problems_are_told_and_count_as_absent() {
        let text = "a = 1\nb = \"x\"\nd = \"1h\"\ne = \"1 hour\"\nl = [\"x\", 2]\nt = [{}, 3]\nextra = 1\nother = 2\n";
        let file = Arc::new(SourceFile::new("node.toml", text));
        let document = parse(&file).unwrap();
        let mut keys = Keys::new(&file, &document.root);
        keys.also(&["other"]);
        assert!(keys.text("a").is_none());
        assert!(keys.int("b").is_none());
        assert!(keys.bool("b").is_none());
        assert_eq!(keys.duration("d").unwrap().value.0.as_secs(), 3600);
        assert!(keys.duration("e").is_none());
        assert_eq!(keys.texts("l").unwrap().len(), 1);
        assert_eq!(keys.tables("t").unwrap().len(), 1);
        assert!(keys.required_text("missing").is_none());
        assert!(keys.text("optional").is_none());
        let found: Vec<_> = keys
            .finish()
            .unwrap_err()
            .iter()
            .map(|d| format!("{} {}", d.place.as_ref().unwrap(), d.problem.message))
            .collect();
        let expected = [
            "node.toml:1:1 `missing` is missing",
            "node.toml:1:5 expected text, found a whole number",
            "node.toml:2:5 expected a whole number, found text",
            "node.toml:2:5 expected true or false, found text",
            "node.toml:4:5 expected a duration such as \"500ms\", \"30s\", \"1h30m\" or \"7d\", found text",
            "node.toml:5:11 expected text, found a whole number",
            "node.toml:6:10 expected a table, found a whole number",
            "node.toml:7:1 `extra` is not known here",
        ];
        assert_eq!(found, expected);
    }
}
