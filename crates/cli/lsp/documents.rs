//! The texts that a client has open.

use std::path::PathBuf;
use std::sync::Arc;

use gen_lsp_types::{TextDocumentContentChangeEvent as Change, Uri};
use policy::diagnostic::SourceFile;

use super::positions::{Encoding, Lines};

/// One open text.
pub(super) struct Document {
    /// Where it is saved, or would be.
    pub(super) path: PathBuf,
    /// What the client calls it.
    pub(super) uri: Uri,
    /// The client's number of this state of it.
    pub(super) version: i32,
    text: String,
}

impl Document {
    pub(super) fn new(path: PathBuf, uri: Uri, version: i32, text: String) -> Self {
        Document { path, uri, version, text }
    }

    /// The text as a file of the configuration. A byte order mark at its start counts for no place there, and is a character for
    /// the client: a space stands in for it.
    pub(super) fn source(&self, path: &str) -> Arc<SourceFile> {
        match self.text.strip_prefix('\u{feff}') {
            Some(rest) => Arc::new(SourceFile::new(path, format!(" {rest}"))),
            None => Arc::new(SourceFile::new(path, self.text.as_str())),
        }
    }

    /// Takes changes up, one after the other.
    pub(super) fn change(&mut self, version: i32, changes: Vec<Change>, encoding: Encoding) {
        self.version = version;
        for change in changes {
            match change {
                Change::TextDocumentContentChangePartial(part) => {
                    let span = Lines::new(&self.text, encoding).span(part.range);
                    self.text.replace_range(span.start..span.end, &part.text);
                }
                Change::TextDocumentContentChangeWholeDocument(whole) => self.text = whole.text,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str, changes: serde_json::Value) -> String {
        let mut document = Document::new(PathBuf::from("/a"), Uri::from("file:///a"), 1, text.to_owned());
        document.change(2, serde_json::from_value(changes).unwrap(), Encoding::Utf16);
        document.text
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
    }
}
