//! The texts that a client has open.

use std::path::PathBuf;
use std::sync::Arc;

use gen_lsp_types::{TextDocumentContentChangeEvent as Change, Uri};
use policy::diagnostic::SourceFile;

use super::positions::{Encoding, Lines};

/// One open text.
pub(super) struct Document {
    /// The configuration folder that it belongs to.
    pub(super) root: PathBuf,
    /// What the client calls it.
    pub(super) uri: Uri,
    /// The client's number of this state of it.
    pub(super) version: i32,
    /// The text as a file of the configuration.
    pub(super) file: Arc<SourceFile>,
}

impl Document {
    /// A text of the file at `path` in the folder.
    pub(super) fn new(root: PathBuf, path: &str, uri: Uri, version: i32, text: &str) -> Self {
        Document { root, uri, version, file: source(path, text) }
    }

    /// Takes changes up, one after the other.
    pub(super) fn change(&mut self, version: i32, changes: Vec<Change>, encoding: Encoding) {
        self.version = version;
        let mut text = self.file.text.clone();
        for change in changes {
            match change {
                Change::TextDocumentContentChangePartial(part) => {
                    let span = Lines::new(&text, encoding).span(part.range);
                    text.replace_range(span.start..span.end, &part.text);
                }
                Change::TextDocumentContentChangeWholeDocument(whole) => text = whole.text,
            }
        }
        self.file = source(&self.file.path, &text);
    }
}

/// A byte order mark at the start of a text counts for no place in a file, and is a character for the client: a space stands in for
/// it.
fn source(path: &str, text: &str) -> Arc<SourceFile> {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => Arc::new(SourceFile::new(path, format!(" {rest}"))),
        None => Arc::new(SourceFile::new(path, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str, changes: serde_json::Value) -> String {
        let mut document = Document::new(PathBuf::from("/"), "a", Uri::from("file:///a"), 1, text);
        document.change(2, serde_json::from_value(changes).unwrap(), Encoding::Utf16);
        document.file.text.clone()
    }

    fn part(from: (u32, u32), to: (u32, u32), text: &str) -> serde_json::Value {
        let position = |(line, character)| serde_json::json!({ "line": line, "character": character });
        serde_json::json!({ "range": { "start": position(from), "end": position(to) }, "text": text })
    }

    #[test]
    fn changes_one_after_the_other() {
        let changes = vec![part((0, 0), (0, 1), "b"), part((1, 0), (9, 9), ""), part((0, 1), (0, 1), "ü𝄞")];
        assert_eq!(changed("a\nrest\n", changes.into()), "bü𝄞\n");
        assert_eq!(changed("𝄞x", vec![part((0, 2), (0, 3), "y")].into()), "𝄞y");
        assert_eq!(changed("a", serde_json::json!([{ "text": "whole" }])), "whole");
        assert_eq!(changed("\u{feff}ab", vec![part((0, 1), (0, 2), "c")].into()), " cb");
    }
}
