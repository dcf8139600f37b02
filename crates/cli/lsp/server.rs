//! The conversation: what the client says, and what it is answered.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use gen_lsp_types::{
    DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams, DidSaveTextDocumentParams,
    Position, Uri,
};
use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, Response};
use policy::compile::policy_name;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use server::Options;

use super::client::Client;
use super::documents::Document;
use super::folders::{self, FileKind, Folder};
use super::ground::Ground;
use super::wire::{self, Read_};
use super::worker::{Done, Job, Worker};
use super::{actions, completion, definition, diagnostics, format, hover, rename, symbols, uri};

/// How far the conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before `initialize`.
    New,
    Running,
    /// After `shutdown`.
    Ending,
}

/// Why a request has no answer.
pub(super) struct Refused {
    pub(super) code: ErrorCode,
    pub(super) message: String,
}

impl Refused {
    /// Something is wrong with what was asked.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Refused { code: ErrorCode::RequestFailed, message: message.into() }
    }
}

/// The server's end of a conversation.
pub(super) struct Server<W> {
    out: W,
    options: Options,
    /// The only folder there is, where one was named.
    only: Option<PathBuf>,
    worker: Worker,
    phase: Phase,
    client: Client,
    documents: HashMap<PathBuf, Document>,
    folders: BTreeMap<PathBuf, Folder>,
}

impl<W: Write> Server<W> {
    pub(super) fn new(out: W, options: Options, only: Option<PathBuf>, worker: Worker) -> Self {
        Server {
            out,
            options,
            only,
            worker,
            phase: Phase::New,
            client: Client::default(),
            documents: HashMap::new(),
            folders: BTreeMap::new(),
        }
    }

    /// Takes one message; the exit code where it was the last. Whatever goes wrong with it, the conversation goes on.
    pub(super) fn take(&mut self, read: Read_) -> io::Result<Option<u8>> {
        let message = match read {
            Read_::Message(message) => message,
            Read_::Refused(answer) => return wire::write_raw(&mut self.out, &answer).map(|()| None),
        };
        match message {
            Message::Request(request) => {
                let id = request.id.clone();
                let answer = catch_unwind(AssertUnwindSafe(|| self.request(request))).unwrap_or_else(|_| {
                    let message = String::from("this request came to nothing: see the server's standard error");
                    Err(Refused { code: ErrorCode::InternalError, message })
                });
                self.answer(id, answer)?;
            }
            Message::Notification(note) if note.method == "exit" => {
                return Ok(Some(u8::from(self.phase != Phase::Ending)));
            }
            Message::Notification(note) if self.phase == Phase::Running => {
                // What panicked has said so on standard error.
                let _ = catch_unwind(AssertUnwindSafe(|| self.notification(note)));
            }
            Message::Notification(_) | Message::Response(_) => {}
        }
        Ok(None)
    }

    /// What is left to say when the stream ends without `exit`.
    pub(super) fn end(&self) -> u8 {
        u8::from(self.phase != Phase::Ending)
    }

    /// Takes up what the worker has done, and tells the client.
    pub(super) fn checked(&mut self) -> io::Result<()> {
        for done in self.worker.done() {
            self.take_up(done)?;
        }
        Ok(())
    }

    fn answer(&mut self, id: RequestId, answer: Result<Value, Refused>) -> io::Result<()> {
        let response = match answer {
            Ok(value) => Response::new_ok(id, value),
            Err(refused) => Response::new_err(id, refused.code as i32, refused.message),
        };
        wire::write(&mut self.out, &response.into())
    }

    fn notify(&mut self, method: &str, params: impl Serialize) -> io::Result<()> {
        wire::write(&mut self.out, &Notification::new(method.to_owned(), params).into())
    }

    fn request(&mut self, request: Request) -> Result<Value, Refused> {
        let refuse = |code, message: &str| Err(Refused { code, message: message.to_owned() });
        match (self.phase, request.method.as_str()) {
            (Phase::New, "initialize") => {
                self.client = Client::of(&request.params);
                self.phase = Phase::Running;
                answer(self.client.initialize_result())
            }
            (Phase::New, _) => refuse(ErrorCode::ServerNotInitialized, "`initialize` comes first"),
            (Phase::Ending, _) => refuse(ErrorCode::InvalidRequest, "the server is shutting down"),
            (Phase::Running, "initialize") => refuse(ErrorCode::InvalidRequest, "`initialize` comes once"),
            (Phase::Running, "shutdown") => {
                self.phase = Phase::Ending;
                Ok(Value::Null)
            }
            (Phase::Running, method) => self.ask(method, request.params.clone()),
        }
    }

    /// A question about a file.
    fn ask(&mut self, method: &str, params: Value) -> Result<Value, Refused> {
        let Some(kind) = Question::of(method) else {
            let message = format!("this server does not know `{method}`");
            return Err(Refused { code: ErrorCode::MethodNotFound, message });
        };
        let uri: Uri = part(&params, "/textDocument/uri")?;
        // A file that is no part of a configuration has no answers, and that is no fault.
        let Some(ground) = self.ground(&uri) else { return Ok(Value::Null) };
        let position = || part::<Position>(&params, "/position").map(|position| ground.offset(position));
        match kind {
            Question::Completion => answer(completion::complete(&ground, position()?)),
            Question::Hover => answer(hover::hover(&ground, position()?)),
            Question::Definition => answer(definition::definition(&ground, position()?)),
            Question::References => {
                let declarations = part(&params, "/context/includeDeclaration").unwrap_or(true);
                answer(definition::references(&ground, position()?, declarations))
            }
            Question::Highlight => answer(definition::highlight(&ground, position()?)),
            Question::PrepareRename => answer(rename::prepare(&ground, position()?)?),
            Question::Rename => {
                let name: String = part(&params, "/newName")?;
                answer(rename::rename(&ground, position()?, &name)?)
            }
            Question::Symbols => answer(symbols::symbols(&ground)),
            Question::Formatting => answer(format::format(&ground)),
            Question::Actions => answer(actions::actions(&ground, decode(params)?)),
        }
    }

    /// What an answer goes by; none where the file belongs to no configuration.
    fn ground(&mut self, uri: &Uri) -> Option<Ground<'_>> {
        let file = uri::path(uri)?;
        let (root, path) = folders::find(&file, self.only.as_deref())?;
        if self.folders.get(&root).is_none_or(|folder| folder.look.is_none()) {
            if !self.folders.contains_key(&root) {
                self.changed(&root, Vec::new());
            }
            // The first check of a folder: there is nothing to answer by before it.
            self.worker.wait(&root);
            for done in self.worker.done() {
                self.take_up(done).ok()?;
            }
        }
        let folder = self.folders.get(&root)?;
        let look = folder.look.clone()?;
        let mut files = look.files.files.clone();
        let mut open = BTreeMap::new();
        for document in self.documents.values() {
            if let Some((own, path)) = folders::find(&document.path, self.only.as_deref())
                && own == root
            {
                files.insert(path.clone(), document.source(&path));
                open.insert(path, (document.version, document.uri.clone()));
            }
        }
        let file = files.get(&path)?.clone();
        let kind = FileKind::of(&path)?;
        Some(Ground {
            root,
            path,
            kind,
            file,
            look,
            files,
            open,
            folder,
            client: &self.client,
            library: self.options.library,
        })
    }

    fn notification(&mut self, note: Notification) {
        let taken = match note.method.as_str() {
            "initialized" => self.watch_files(),
            "textDocument/didOpen" => decode(note.params).map(|params| self.opened(params)),
            "textDocument/didChange" => decode(note.params).map(|params| self.edited(params)),
            "textDocument/didClose" => decode(note.params).map(|params| self.closed(params)),
            "textDocument/didSave" => decode(note.params).map(|params| self.saved(params)),
            // The folder on the disk is another one now.
            "workspace/didChangeWatchedFiles" => {
                let roots: Vec<PathBuf> = self.folders.keys().cloned().collect();
                roots.iter().for_each(|root| self.changed(root, Vec::new()));
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(refused) = taken {
            super::log(format_args!("`{}` is not understood: {}", note.method, refused.message));
        }
    }

    fn watch_files(&mut self) -> Result<(), Refused> {
        if !self.client.watches_files {
            return Ok(());
        }
        let watchers = ["**/policies/**/*.toml", "**/stores/**/*.toml", "**/node.toml"];
        let watchers: Vec<Value> = watchers.iter().map(|glob| json!({ "globPattern": glob })).collect();
        let registration = json!({
            "id": "files",
            "method": "workspace/didChangeWatchedFiles",
            "registerOptions": { "watchers": watchers },
        });
        let params = json!({ "registrations": [registration] });
        let request = Request::new(RequestId::from(String::from("files")), "client/registerCapability".into(), params);
        wire::write(&mut self.out, &request.into()).map_err(|why| Refused::new(why.to_string()))
    }

    fn opened(&mut self, params: DidOpenTextDocumentParams) {
        let item = params.text_document;
        let Some(path) = uri::path(&item.uri) else { return };
        self.documents.insert(path.clone(), Document::new(path.clone(), item.uri, item.version, item.text));
        self.changed_at(&path);
    }

    fn edited(&mut self, params: DidChangeTextDocumentParams) {
        let named = params.text_document;
        let Some(path) = uri::path(&named.text_document_identifier.uri) else { return };
        let Some(document) = self.documents.get_mut(&path) else { return };
        document.change(named.version, params.content_changes, self.client.encoding);
        self.changed_at(&path);
    }

    fn closed(&mut self, params: DidCloseTextDocumentParams) {
        let Some(path) = uri::path(&params.text_document.uri) else { return };
        if self.documents.remove(&path).is_some() {
            self.changed_at(&path);
        }
    }

    fn saved(&mut self, params: DidSaveTextDocumentParams) {
        let Some(file) = uri::path(&params.text_document.uri) else { return };
        let Some((root, path)) = folders::find(&file, self.only.as_deref()) else { return };
        self.changed(&root, tested(&path).into_iter().collect());
    }

    fn changed_at(&mut self, file: &Path) {
        if let Some((root, _)) = folders::find(file, self.only.as_deref()) {
            self.changed(&root, Vec::new());
        }
    }

    /// Has a folder checked anew, and the tests of these policies run.
    fn changed(&mut self, root: &Path, saved: Vec<String>) {
        let only = self.only.as_deref();
        let of_root = |document: &Document| {
            folders::find(&document.path, only).filter(|(own, _)| own == root).map(|(_, path)| path)
        };
        let texts = self.documents.values().filter_map(|document| {
            let path = of_root(document)?;
            Some((path.clone(), document.source(&path)))
        });
        let texts = texts.collect();
        let folder = self.folders.entry(root.to_owned()).or_default();
        folder.round += 1;
        let outside = std::sync::Arc::new(crate::outside::Machine::new(root));
        let options = Options { dir: root.to_owned(), outside, ..self.options.clone() };
        self.worker.submit(root.to_owned(), Job { options, texts, saved, round: folder.round });
    }

    fn take_up(&mut self, done: Done) -> io::Result<()> {
        let Some(look) = done.look else { return Ok(()) };
        let Some(folder) = self.folders.get_mut(&done.root) else { return Ok(()) };
        folder.take(look);
        // A newer text has come meanwhile: its check is under way.
        if done.round != folder.round {
            return Ok(());
        }
        let only = self.only.as_deref();
        let open: BTreeMap<String, (i32, Uri)> = self
            .documents
            .values()
            .filter_map(|document| {
                let (own, path) = folders::find(&document.path, only)?;
                (own == done.root).then(|| (path, (document.version, document.uri.clone())))
            })
            .collect();
        let Some(look) = folder.look.clone() else { return Ok(()) };
        let found = diagnostics::found(&look, &done.root, self.client.encoding);
        let news = diagnostics::news(&mut folder.published, found.files, &open, &done.root);
        let elsewhere = match folder.elsewhere == found.elsewhere {
            true => Vec::new(),
            false => found.elsewhere.clone(),
        };
        folder.elsewhere = found.elsewhere;
        folder.was_open |= !open.is_empty();
        let empty = folder.was_open && open.is_empty() && folder.published.is_empty();
        for params in news {
            self.notify("textDocument/publishDiagnostics", params)?;
        }
        for message in elsewhere {
            self.notify("window/logMessage", json!({ "type": 2, "message": message }))?;
        }
        // Nothing of it is open any more.
        if empty {
            self.folders.remove(&done.root);
        }
        Ok(())
    }
}

/// What is asked about a file.
enum Question {
    Completion,
    Hover,
    Definition,
    References,
    Highlight,
    PrepareRename,
    Rename,
    Symbols,
    Formatting,
    Actions,
}

impl Question {
    fn of(method: &str) -> Option<Question> {
        Some(match method {
            "textDocument/completion" => Question::Completion,
            "textDocument/hover" => Question::Hover,
            "textDocument/definition" => Question::Definition,
            "textDocument/references" => Question::References,
            "textDocument/documentHighlight" => Question::Highlight,
            "textDocument/prepareRename" => Question::PrepareRename,
            "textDocument/rename" => Question::Rename,
            "textDocument/documentSymbol" => Question::Symbols,
            "textDocument/formatting" => Question::Formatting,
            "textDocument/codeAction" => Question::Actions,
            _ => return None,
        })
    }
}

/// The policy whose tests a file has.
fn tested(path: &str) -> Option<String> {
    let name = path.strip_prefix("policies/")?.strip_suffix(".toml")?;
    policy_name(path).or(name.strip_suffix(".test")).map(str::to_owned)
}

fn answer(value: impl Serialize) -> Result<Value, Refused> {
    serde_json::to_value(value).map_err(|why| Refused { code: ErrorCode::InternalError, message: why.to_string() })
}

fn decode<T: DeserializeOwned>(params: Value) -> Result<T, Refused> {
    serde_json::from_value(params).map_err(|why| Refused { code: ErrorCode::InvalidParams, message: why.to_string() })
}

fn part<T: DeserializeOwned>(params: &Value, pointer: &str) -> Result<T, Refused> {
    decode(params.pointer(pointer).cloned().unwrap_or_default())
}
