//! The conversation: what the client says, and what it is answered.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use gen_lsp_types::{Position, Uri};
use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::client::Client;
use super::wire::{self, Read_};
use super::workspace::{News, Workspace};
use super::{actions, completion, definition, format, hover, rename, symbols};

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
    phase: Phase,
    client: Client,
    workspace: Workspace,
}

impl<W: Write> Server<W> {
    pub(super) fn new(out: W, workspace: Workspace) -> Self {
        Server { out, phase: Phase::New, client: Client::default(), workspace }
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
                let mut news = News::default();
                let answer = catch_unwind(AssertUnwindSafe(|| self.request(request, &mut news))).unwrap_or_else(|_| {
                    let message = String::from("this request came to nothing: see the server's standard error");
                    Err(Refused { code: ErrorCode::InternalError, message })
                });
                self.tell(news)?;
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
        let checked = catch_unwind(AssertUnwindSafe(|| self.workspace.checked(&self.client)));
        self.tell(checked.unwrap_or_default())
    }

    fn tell(&mut self, news: News) -> io::Result<()> {
        for params in news.diagnostics {
            self.notify("textDocument/publishDiagnostics", params)?;
        }
        for message in news.messages {
            self.notify("window/logMessage", json!({ "type": 2, "message": message }))?;
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

    fn request(&mut self, request: Request, news: &mut News) -> Result<Value, Refused> {
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
            (Phase::Running, method) => self.ask(method, request.params.clone(), news),
        }
    }

    /// A question about a file.
    fn ask(&mut self, method: &str, params: Value, news: &mut News) -> Result<Value, Refused> {
        let Some(kind) = Question::of(method) else {
            let message = format!("this server does not know `{method}`");
            return Err(Refused { code: ErrorCode::MethodNotFound, message });
        };
        let uri: Uri = part(&params, "/textDocument/uri")?;
        // A file that is no part of a configuration has no answers, and that is no fault.
        let Some(ground) = self.workspace.ground(&uri, &self.client, news) else { return Ok(Value::Null) };
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

    fn notification(&mut self, note: Notification) {
        let taken = match note.method.as_str() {
            "initialized" => self.watch_files(),
            "textDocument/didOpen" => decode(note.params).map(|params| self.workspace.opened(params)),
            "textDocument/didChange" => decode(note.params).map(|params| self.workspace.edited(params, &self.client)),
            "textDocument/didClose" => decode(note.params).map(|params| self.workspace.closed(params)),
            "textDocument/didSave" => decode(note.params).map(|params| self.workspace.saved(params)),
            "workspace/didChangeWatchedFiles" => {
                self.workspace.all_changed();
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

fn answer(value: impl Serialize) -> Result<Value, Refused> {
    serde_json::to_value(value).map_err(|why| Refused { code: ErrorCode::InternalError, message: why.to_string() })
}

fn decode<T: DeserializeOwned>(params: Value) -> Result<T, Refused> {
    serde_json::from_value(params).map_err(|why| Refused { code: ErrorCode::InvalidParams, message: why.to_string() })
}

fn part<T: DeserializeOwned>(params: &Value, pointer: &str) -> Result<T, Refused> {
    decode(params.pointer(pointer).cloned().unwrap_or_default())
}
