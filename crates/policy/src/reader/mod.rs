//! Reads files: all at one instant, each parsed with its spans kept. The only module that knows the `toml` crate and its lexer.
//!
//! A file becomes a [`Document`] of [`Node`]s. Whoever knows what a table means takes it apart with [`Keys`] (unknown
//! keys are errors, with "did you mean"), or hands it to a serde type with [`deserialize`], whose errors keep the place.

mod de;
mod files;
mod format;
mod keys;
mod outside;
mod parse;
mod sketch;
mod suggest;

pub use de::{deserialize, deserialize_node, deserialize_with_warnings};
pub(crate) use de::{deserialize_known, shown};
pub use files::{Files, read_bounded, read_folder, read_plain, read_text, text_of};
pub use format::format;
pub use keys::Keys;
pub use outside::{NoOutside, Outside, SecretError};
pub use parse::parse;
pub use sketch::{Section, Sketch, SketchEntry, SketchKind, SketchValue};
pub use suggest::did_you_mean;

use std::sync::Arc;

use crate::diagnostic::{Place, SourceFile, Span};

/// One parsed file.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file, for places.
    pub file: Arc<SourceFile>,
    /// Its root table: shared by all that parse the same file while one of them holds it.
    pub root: Arc<Table>,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: NodeKind,
}

/// A TOML value.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// A string.
    Text(String),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A date or time, as it is written.
    Datetime(String),
    /// An array, or an array of tables.
    List(Vec<Node>),
    /// A table, inline or not: whoever keeps it need not copy it.
    Table(Arc<Table>),
}

/// A table: its entries in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Its header, or the inline table; the start of the file for the root.
    pub span: Span,
    /// Name, the name's place, and the value.
    pub entries: Vec<Entry>,
}

/// One entry of a table.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub name: String,
    /// Where the key stands.
    pub name_span: Span,
    /// The value.
    pub value: Node,
}

impl Document {
    /// A place in this file.
    pub fn place(&self, span: Span) -> Place {
        Place { file: self.file.clone(), span }
    }
}

impl Table {
    /// The entry of this name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.name == name)
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.entry(name).map(|e| &e.value)
    }

    /// The same as a JSON object.
    pub fn to_json(&self) -> serde_json::Map<String, serde_json::Value> {
        self.entries.iter().map(|entry| (entry.name.clone(), entry.value.to_json())).collect()
    }
}

impl Node {
    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The table, where it is one.
    pub fn as_table(&self) -> Option<&Table> {
        match &self.kind {
            NodeKind::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The list, where it is one.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.kind {
            NodeKind::List(list) => Some(list),
            _ => None,
        }
    }

    /// The same as JSON; a date or time is the text that it is written as, and a number that JSON has not is null.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.kind {
            NodeKind::Text(text) | NodeKind::Datetime(text) => Json::from(text.as_str()),
            NodeKind::Int(number) => Json::from(*number),
            NodeKind::Float(number) => Json::from(*number),
            NodeKind::Bool(value) => Json::from(*value),
            NodeKind::List(items) => items.iter().map(Node::to_json).collect(),
            NodeKind::Table(table) => Json::Object(table.to_json()),
        }
    }

    /// What it is, for messages: "text", "a table".
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            NodeKind::Text(_) => "text",
            NodeKind::Int(_) => "a whole number",
            NodeKind::Float(_) => "a number with a fraction",
            NodeKind::Bool(_) => "true or false",
            NodeKind::Datetime(_) => "a date or time",
            NodeKind::List(_) => "a list",
            NodeKind::Table(_) => "a table",
        }
    }
}
