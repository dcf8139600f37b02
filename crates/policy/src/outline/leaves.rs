//! A sketch as a list of keys and values, each with the whole path that leads to it.

use std::collections::HashMap;

use crate::diagnostic::Span;
use crate::reader::{Sketch, SketchEntry, SketchKind, SketchValue};
use crate::settings::Spanned;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A key.
    Key(String),
    /// An item of a list, from 0.
    Item(usize),
}

/// A key or a value, however it is written: under headers, in inline tables, with dots.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// What leads to it; for a key, the key itself included.
    pub path: Vec<Segment>,
    /// Which of the two it is.
    pub kind: LeafKind,
}

/// What a leaf is.
#[derive(Clone, Debug, PartialEq)]
pub enum LeafKind {
    /// A key, at each place where it is written. Where it stands, with its quotes.
    Key(Span),
    /// Text, and where it stands within its quotes.
    Text(String, Span),
    /// Any other value, as it is written.
    Plain(String, Span),
}

/// All keys and values, in the order of the file.
pub fn leaves(sketch: &Sketch) -> Vec<Leaf> {
    let mut walk = Walk { leaves: Vec::new(), lists: HashMap::new() };
    for section in &sketch.sections {
        let mut path = Vec::new();
        for (number, word) in section.header.iter().enumerate() {
            path.push(Segment::Key(word.value.clone()));
            walk.push(&path, LeafKind::Key(word.span));
            let last = number + 1 == section.header.len();
            let items = walk.lists.get_mut(&path);
            // `[[filter]]` begins another item; `[filter.case]` belongs to the last one.
            match items {
                Some(items) if last && section.list => {
                    *items += 1;
                    path.push(Segment::Item(*items));
                }
                Some(items) => {
                    let item = *items;
                    path.push(Segment::Item(item));
                }
                None if last && section.list => {
                    walk.lists.insert(path.clone(), 0);
                    path.push(Segment::Item(0));
                }
                None => {}
            }
        }
        section.entries.iter().for_each(|entry| walk.entry(&path, entry));
    }
    walk.leaves
}

struct Walk {
    leaves: Vec<Leaf>,
    /// The lists that are written with headers, and the number of the last item.
    lists: HashMap<Vec<Segment>, usize>,
}

impl Walk {
    fn push(&mut self, path: &[Segment], kind: LeafKind) {
        self.leaves.push(Leaf { path: path.to_vec(), kind });
    }

    fn entry(&mut self, above: &[Segment], entry: &SketchEntry) {
        let mut path = above.to_vec();
        for Spanned { value, span } in &entry.key {
            path.push(Segment::Key(value.clone()));
            self.push(&path, LeafKind::Key(*span));
        }
        if let Some(value) = &entry.value {
            self.value(path, value);
        }
    }

    fn value(&mut self, path: Vec<Segment>, value: &SketchValue) {
        match &value.kind {
            SketchKind::Text(text, inner) => self.push(&path, LeafKind::Text(text.clone(), *inner)),
            SketchKind::Plain(text) => self.push(&path, LeafKind::Plain(text.clone(), value.span)),
            SketchKind::List(items) => {
                for (number, item) in items.iter().enumerate() {
                    let mut path = path.clone();
                    path.push(Segment::Item(number));
                    self.value(path, item);
                }
            }
            SketchKind::Table(entries) => entries.iter().for_each(|entry| self.entry(&path, entry)),
        }
    }
}
