//! The open texts, the folders they belong to, and what is known of these.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gen_lsp_types::{
    DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams, DidSaveTextDocumentParams,
    PublishDiagnosticsParams, Uri,
};
use policy::compile::policy_name;
use server::Options;

use super::client::Client;
use super::documents::Document;
use super::folders::{self, FileKind, Folder};
use super::ground::Ground;
use super::worker::{Done, Job, Worker};
use super::{diagnostics, uri};

/// Everything that is open.
pub(super) struct Workspace {
    options: Options,
    /// The only folder there is, where one was named.
    only: Option<PathBuf>,
    worker: Worker,
    /// By path; those that belong to a configuration.
    documents: HashMap<PathBuf, Document>,
    folders: BTreeMap<PathBuf, Folder>,
}

/// What a check has to tell the client.
#[derive(Default)]
pub(super) struct News {
    /// Of files.
    pub(super) diagnostics: Vec<PublishDiagnosticsParams>,
    /// What has no place in a file.
    pub(super) messages: Vec<String>,
}

impl Workspace {
    pub(super) fn new(options: Options, only: Option<PathBuf>, worker: Worker) -> Self {
        Workspace { options, only, worker, documents: HashMap::new(), folders: BTreeMap::new() }
    }

    pub(super) fn opened(&mut self, params: DidOpenTextDocumentParams) {
        let item = params.text_document;
        let Some((file, root, path)) = self.find(&item.uri) else { return };
        let document = Document::new(root.clone(), &path, item.uri, item.version, &item.text);
        self.documents.insert(file, document);
        self.changed(&root);
    }

    pub(super) fn edited(&mut self, params: DidChangeTextDocumentParams, client: &Client) {
        let named = params.text_document;
        let Some(file) = uri::path(&named.text_document_identifier.uri) else { return };
        let Some(document) = self.documents.get_mut(&file) else { return };
        document.change(named.version, params.content_changes, client.encoding);
        let root = document.root.clone();
        self.folders.entry(root.clone()).or_default().saved.clear();
        self.changed(&root);
    }

    pub(super) fn closed(&mut self, params: DidCloseTextDocumentParams) {
        let Some(file) = uri::path(&params.text_document.uri) else { return };
        if let Some(document) = self.documents.remove(&file) {
            self.changed(&document.root);
        }
    }

    pub(super) fn saved(&mut self, params: DidSaveTextDocumentParams) {
        let Some((_, root, path)) = self.find(&params.text_document.uri) else { return };
        self.folders.entry(root.clone()).or_default().saved.extend(tested(&path));
        self.changed(&root);
    }

    /// The folders on the disk are others now.
    pub(super) fn all_changed(&mut self) {
        let roots: Vec<PathBuf> = self.folders.keys().cloned().collect();
        roots.iter().for_each(|root| self.changed(root));
    }

    /// Has a folder checked anew.
    fn changed(&mut self, root: &Path) {
        let texts = self.open(root).map(|document| (document.file.path.clone(), document.file.clone())).collect();
        let folder = self.folders.entry(root.to_owned()).or_default();
        folder.round += 1;
        let outside = Arc::new(crate::outside::Machine::new(root));
        let options = Options { dir: root.to_owned(), outside, ..self.options.clone() };
        let saved = folder.saved.iter().cloned().collect();
        self.worker.submit(root.to_owned(), Job { options, texts, saved, round: folder.round });
    }

    /// Takes up what the worker has done.
    pub(super) fn checked(&mut self, client: &Client) -> News {
        let mut news = News::default();
        for done in self.worker.done() {
            self.take_up(done, client, &mut news);
        }
        news
    }

    fn take_up(&mut self, done: Done, client: &Client, news: &mut News) {
        let Some(look) = done.look else { return };
        let open: BTreeMap<String, (i32, Uri)> = self.open(&done.root).map(named).collect();
        let Some(folder) = self.folders.get_mut(&done.root) else { return };
        let look = folder.take(look);
        // A newer text has come meanwhile: its check is under way.
        if done.round != folder.round {
            return;
        }
        let found = diagnostics::found(&look, &done.root, client.encoding);
        news.diagnostics.extend(diagnostics::news(&mut folder.published, found.files, &open, &done.root));
        if folder.elsewhere != found.elsewhere {
            news.messages.extend(found.elsewhere.iter().cloned());
            folder.elsewhere = found.elsewhere;
        }
        folder.was_open |= !open.is_empty();
        // Nothing of it is open any more.
        if folder.was_open && open.is_empty() && folder.published.is_empty() {
            self.folders.remove(&done.root);
        }
    }

    /// What an answer goes by; none where the file belongs to no configuration. The first check of a folder is waited for: there is
    /// nothing to answer by before it.
    pub(super) fn ground<'g>(&'g mut self, uri: &Uri, client: &'g Client, news: &mut News) -> Option<Ground<'g>> {
        let (_, root, path) = self.find(uri)?;
        if self.folders.get(&root).is_none_or(|folder| folder.look.is_none()) {
            if !self.folders.contains_key(&root) {
                self.changed(&root);
            }
            self.worker.wait(&root);
            for done in self.worker.done() {
                self.take_up(done, client, news);
            }
        }
        let folder = self.folders.get(&root)?;
        let look = folder.look.clone()?;
        let mut files = look.files.files.clone();
        files.extend(self.open(&root).map(|document| (document.file.path.clone(), document.file.clone())));
        let open = self.open(&root).map(named).collect();
        let file = files.get(&path)?.clone();
        let kind = FileKind::of(&path)?;
        let library = self.options.library;
        Some(Ground { root, path, kind, file, look, files, open, folder, client, library })
    }

    /// The file, the folder it belongs to, and its path in that.
    fn find(&self, uri: &Uri) -> Option<(PathBuf, PathBuf, String)> {
        let file = uri::path(uri)?;
        let (root, path) = folders::find(&file, self.only.as_deref())?;
        Some((file, root, path))
    }

    /// The open texts of a folder.
    fn open(&self, root: &Path) -> impl Iterator<Item = &Document> {
        self.documents.values().filter(move |document| document.root == root)
    }
}

/// A document's path, with the client's version and name.
fn named(document: &Document) -> (String, (i32, Uri)) {
    (document.file.path.clone(), (document.version, document.uri.clone()))
}

/// The policy whose tests a file has.
fn tested(path: &str) -> Option<String> {
    let name = path.strip_prefix("policies/")?.strip_suffix(".toml")?;
    policy_name(path).or(name.strip_suffix(".test")).map(str::to_owned)
}
