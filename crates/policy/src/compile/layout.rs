//! Which attribute lies in which slot.

use std::collections::HashMap;

/// Gives every attribute of a program its slot, in the order of first use.
#[derive(Clone, Debug, Default)]
pub struct Layout(HashMap<String, usize>);

impl Layout {
    /// The slot of this attribute.
    pub fn slot(&mut self, attribute: &str) -> usize {
        if let Some(index) = self.0.get(attribute) {
            return *index;
        }
        let index = self.0.len();
        self.0.insert(attribute.to_owned(), index);
        index
    }

    /// The slot of this attribute, where it has one.
    pub(crate) fn index(&self, attribute: &str) -> Option<usize> {
        self.0.get(attribute).copied()
    }

    /// Whether anything reads or sets this attribute.
    pub(crate) fn has(&self, attribute: &str) -> bool {
        self.0.contains_key(attribute)
    }

    /// The attributes that have a slot.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
