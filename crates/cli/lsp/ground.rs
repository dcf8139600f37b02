//! What an answer goes by: the text as it is now, and what the last check of its folder knew.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use gen_lsp_types::{Location, Position, Range, Uri};
use policy::compile::policy_name;
use policy::diagnostic::{SourceFile, Span};
use policy::filter::Library;
use policy::outline::{Mention, policy_mentions};
use policy::reader::Sketch;
use server::Look;

use super::client::Client;
use super::folders::{FileKind, Folder};
use super::names;
use super::positions::Lines;
use super::uri;

/// A file somebody asks about, and everything around it.
pub(super) struct Ground<'a> {
    /// The configuration folder.
    pub(super) root: PathBuf,
    /// The file's path in it.
    pub(super) path: String,
    pub(super) kind: FileKind,
    /// The file as it is now.
    pub(super) file: Arc<SourceFile>,
    /// What the last check found; perhaps of older texts.
    pub(super) look: Arc<Look>,
    /// All files as they are now.
    pub(super) files: BTreeMap<String, Arc<SourceFile>>,
    /// Those that are open, with the client's version and name.
    pub(super) open: BTreeMap<String, (i32, Uri)>,
    pub(super) folder: &'a Folder,
    pub(super) client: &'a Client,
    pub(super) library: Library,
}

impl Ground<'_> {
    /// The byte at a place of the file.
    pub(super) fn offset(&self, position: Position) -> usize {
        self.lines(&self.file).offset(position)
    }

    /// A place of the file.
    pub(super) fn range(&self, span: Span) -> Range {
        self.lines(&self.file).range(span)
    }

    pub(super) fn lines<'t>(&self, file: &'t SourceFile) -> Lines<'t> {
        Lines::new(&file.text, self.client.encoding)
    }

    /// What the client calls a file.
    pub(super) fn uri(&self, path: &str) -> Uri {
        self.open.get(path).map_or_else(|| uri::of(&self.root.join(path)), |(_, uri)| uri.clone())
    }

    /// Places in a file, as a client takes them.
    pub(super) fn locations(&self, path: &str, spans: impl IntoIterator<Item = Span>) -> Vec<Location> {
        let Some(file) = self.files.get(path) else { return Vec::new() };
        let lines = self.lines(file);
        let location = |span| Location { uri: self.uri(path), range: lines.range(span) };
        spans.into_iter().map(location).collect()
    }

    /// The names in a file.
    pub(super) fn mentions(&self, path: &str) -> Vec<Mention> {
        let (Some(file), Some(kind)) = (self.files.get(path), FileKind::of(path)) else { return Vec::new() };
        mentions(kind, &file.text)
    }

    /// The names of all policies there are.
    pub(super) fn policies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.keys().filter_map(|path| Some((policy_name(path)?, path.as_str())))
    }
}

/// The names in a text of this kind.
pub(super) fn mentions(kind: FileKind, text: &str) -> Vec<Mention> {
    let sketch = Sketch::of(text);
    match kind {
        FileKind::Policy | FileKind::Tests => policy_mentions(text, &sketch),
        FileKind::Node => policy::outline::mentions(text, &sketch, names::IN_NODE),
        FileKind::Stores => policy::outline::mentions(text, &sketch, names::IN_STORES),
        FileKind::Server => policy::outline::mentions(text, &sketch, &[]),
    }
}
