//! The one style of our files: what `portcullis fmt` and an editor write.
//!
//! It works on the parser's events, comments and line ends among them, and not on a tree that is to be changed: so nothing can
//! get lost or change places (`docs/decisions/0007-fmt-on-events.md`). [`tree`] makes parts of the events, [`layout`] lines of
//! the parts.

mod layout;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use super::parse;
use crate::diagnostic::{Diagnostics, SourceFile};

/// Lines are at most so wide, where a list can be broken to keep them so. Inline tables cannot: they are one line by the standard.
const WIDTH: usize = 140;

/// The text of a file in the one style: the same meaning, the same comments in the same order.
///
/// `=` stand in one column as far as no blank line comes between; so do comments at the ends of lines that follow each other.
/// Tables have a blank line between them. A list that was written over lines stays so, one entry a line; one that is too long
/// is written so. Text stands in `"`, unless something in it would have to be escaped. Formatting twice changes nothing more.
///
/// A file with a syntax error has no other form: its diagnostics come back.
pub fn format(file: &Arc<SourceFile>) -> Result<String, Diagnostics> {
    // Checks what events alone do not show (names that stand twice), and bounds the depth.
    parse(file)?;
    Ok(layout::text(&tree::parts(&file.text)))
}
