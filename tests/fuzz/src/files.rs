//! Files: read, checked, formatted.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use policy::diagnostic::Span;
use policy::reader::{self, Files, NoOutside, Node, NodeKind, Outside, SecretError, Table};
use server::Options;

use crate::{parsed, source, text, told};

/// Any text is parsed, or told what is wrong; every place of the tree is in the text, and within the place that it stands in.
pub(crate) fn toml(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    match parsed(text) {
        Ok(document) => {
            let text = &document.file.text;
            let whole = Span { start: 0, end: text.len() };
            table(&document.root, whole);
            // What is taken apart by serde: a table with about everything in it.
            let read = reader::deserialize::<server::GivenTable>(&document.file, &document.root, &[], &NoOutside);
            if let Err(problems) = read {
                told(&problems);
            }
        }
        Err(problems) => {
            assert!(problems.has_errors());
            told(&problems);
        }
    }
}

fn table(table: &Table, whole: Span) {
    let mut before = 0;
    for entry in &table.entries {
        let span = entry.name_span;
        assert!(span.start <= span.end && span.end <= whole.end, "{:?}: {span:?} in {whole:?}", entry.name);
        assert!(span.start >= before, "entries stand in the order of the file");
        before = span.start;
        node(&entry.value, whole);
    }
}

fn node(value: &Node, whole: Span) {
    assert!(value.span.start <= value.span.end && value.span.end <= whole.end, "{:?} in {whole:?}", value.span);
    match &value.kind {
        NodeKind::List(items) => items.iter().for_each(|item| node(item, whole)),
        NodeKind::Table(inner) => table(inner, whole),
        _ => {}
    }
}

/// What can be parsed can be formatted; the result means the same, and is its own format.
pub(crate) fn format(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let Ok(document) = parsed(text) else { return };
    let formatted = match reader::format(&document.file) {
        Ok(formatted) => formatted,
        Err(problems) => return told(&problems),
    };
    let again = source("policies/a.toml", &formatted);
    let parsed = reader::parse(&again).unwrap_or_else(|problems| panic!("{problems:?}\n{formatted}"));
    assert_eq!(tree(&document.root), tree(&parsed.root), "{formatted}");
    assert_eq!(reader::format(&again).expect("it was formatted before"), formatted);
}

/// A tree without its places, and without the order of its entries.
fn tree(table: &Table) -> String {
    let entries: BTreeMap<&str, String> =
        table.entries.iter().map(|entry| (entry.name.as_str(), shown(&entry.value))).collect();
    // Not the map's own text: that would escape what is in it once more at each level.
    let entries: Vec<String> = entries.iter().map(|(name, value)| format!("{name:?}: {value}")).collect();
    format!("{{{}}}", entries.join(", "))
}

fn shown(node: &Node) -> String {
    match &node.kind {
        NodeKind::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        NodeKind::Table(table) => tree(table),
        other => format!("{other:?}"),
    }
}

/// A line `--- PATH` begins a file; before the first one it is `policies/a.toml`.
fn split(text: &str) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut path = String::from("policies/a.toml");
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("--- ") {
            Some(name) => path = name.trim().to_owned(),
            None => files.entry(path.clone()).or_default().push_str(line),
        }
    }
    files
}

struct Nowhere;

impl Outside for Nowhere {
    fn variable(&self, name: &str) -> Result<String, SecretError> {
        (name == "SET").then(|| String::from("http://127.0.0.1:1")).ok_or(SecretError::Missing)
    }
    fn file(&self, _: &str) -> Result<String, SecretError> {
        Err(SecretError::Missing)
    }
}

/// A folder without a file: everything lies over it.
static EMPTY: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary folder"));

fn options(dir: &Path) -> Options {
    Options {
        dir: dir.to_owned(),
        values: None,
        library: filters::LIBRARY,
        listen: None,
        admin: None,
        tests: false,
        outside: Arc::new(Nowhere),
    }
}

/// A whole configuration, as `check` and an editor look at it: settings, policies, lints, tests.
pub(crate) fn folder(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let texts = split(text).into_iter().map(|(path, text)| (path.clone(), source(&path, &text))).collect();
    let looked = server::look(&options(EMPTY.path()), &texts);
    told(&looked.diagnostics);
}

/// Tests beside a policy that has about everything.
pub(crate) fn tests(bytes: &[u8]) {
    const POLICY: &str =
        "route = 'POST /a/{b}'\n[[filter]]\nuse = 'respond'\ntext = '${path.b} ${request.form.x ?? y}'\n";
    let Some(text) = text(bytes) else { return };
    let files = Files::from_texts([("policies/a.toml", POLICY), ("policies/a.test.toml", text)]);
    let (_, problems) = policy::testing::tests(&files);
    told(&problems);
}
