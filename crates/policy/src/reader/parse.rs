//! TOML text to a [`Document`](super::Document).

use std::sync::Arc;

use super::Document;
use crate::diagnostic::{Diagnostics, SourceFile};

/// Parses a file; all syntax errors that the parser can name at once.
pub fn parse(file: &Arc<SourceFile>) -> Result<Document, Diagnostics> {
    let _ = file;
    unimplemented!()
}
