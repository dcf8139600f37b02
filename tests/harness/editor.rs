//! An editor that speaks to `portcullis lsp`.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use serde_json::{Value, json};

use super::DEADLINE;
use super::program::command;

/// A language server, and the editor's end of the conversation.
pub struct Editor {
    child: Child,
    to: Option<ChildStdin>,
    from: Receiver<Value>,
    /// What was read while something else was waited for.
    unread: VecDeque<Value>,
    /// The folder, as a URI.
    pub root: String,
    next: i64,
}

impl Editor {
    /// Starts the server, and says nothing.
    pub fn start(folder: &Path, args: &[&str]) -> Editor {
        let mut child = command(folder, &[])
            .arg("lsp")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let (told, from) = channel();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            while let Some(message) = read(&mut stdout) {
                if told.send(message).is_err() {
                    return;
                }
            }
        });
        let folder = folder.canonicalize().expect("the folder is there");
        let root = format!("file://{}", folder.display());
        Editor { to: child.stdin.take(), child, from, unread: VecDeque::new(), root, next: 0 }
    }

    /// Starts the server and introduces itself, as an editor that can do everything.
    #[track_caller]
    pub fn begin(folder: &Path) -> Editor {
        let mut editor = Editor::start(folder, &[]);
        let capabilities = json!({
            "workspace": { "workspaceEdit": { "documentChanges": true, "resourceOperations": ["rename"] } },
            "textDocument": { "hover": { "contentFormat": ["markdown"] } },
        });
        editor.ask("initialize", json!({ "processId": null, "rootUri": editor.root, "capabilities": capabilities }));
        editor.tell("initialized", json!({}));
        editor
    }

    /// Sends a message as it is.
    pub fn send(&mut self, message: &Value) {
        let text = message.to_string();
        self.send_bytes(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes());
    }

    /// Sends any bytes.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let to = self.to.as_mut().expect("the conversation goes on");
        to.write_all(bytes).and_then(|()| to.flush()).expect("the server reads");
    }

    /// Sends a notification.
    pub fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Asks, and expects an answer that is no error.
    #[track_caller]
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let answer = self.try_ask(method, params);
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].clone()
    }

    /// Asks; the whole answer.
    #[track_caller]
    pub fn try_ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        self.wait_for(method, |message| message["id"] == id && message.get("method").is_none())
    }

    /// The first message, read or unread, that is wanted.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.unread.iter().position(&wanted) {
            return self.unread.remove(at).expect("it is there");
        }
        loop {
            let message = self.next().unwrap_or_else(|why| panic!("no answer to {what}: {why:?}"));
            if wanted(&message) {
                return message;
            }
            self.unread.push_back(message);
        }
    }

    /// The next message of the server.
    pub fn next(&mut self) -> Result<Value, RecvTimeoutError> {
        self.from.recv_timeout(DEADLINE)
    }

    /// A file's URI.
    pub fn uri(&self, path: &str) -> String {
        format!("{}/{path}", self.root)
    }

    /// Opens a file with this text as its first version.
    pub fn open(&mut self, path: &str, text: &str) {
        let item = json!({ "uri": self.uri(path), "languageId": "toml", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": item }));
    }

    /// Writes another text, unsaved.
    pub fn change(&mut self, path: &str, version: i32, text: &str) {
        let document = json!({ "uri": self.uri(path), "version": version });
        let params = json!({ "textDocument": document, "contentChanges": [{ "text": text }] });
        self.tell("textDocument/didChange", params);
    }

    /// What the server says is wrong with this version of a file (`null`: with the file on the disk), in short; but for lints, which
    /// are no concern of most texts.
    #[track_caller]
    pub fn diagnostics(&mut self, path: &str, version: impl Into<Value>) -> Vec<String> {
        let mut all = self.all_diagnostics(path, version);
        all.retain(|told| !told.contains("P07"));
        all
    }

    /// All that the server says of this version of a file.
    #[track_caller]
    pub fn all_diagnostics(&mut self, path: &str, version: impl Into<Value>) -> Vec<String> {
        let (uri, version) = (self.uri(path), version.into());
        let told = self.wait_for(&format!("diagnostics of {path} {version}"), |message| {
            let params = &message["params"];
            message["method"] == "textDocument/publishDiagnostics"
                && params["uri"] == uri
                && params.get("version").unwrap_or(&Value::Null) == &version
        });
        let short = |told: &Value| {
            let start = &told["range"]["start"];
            let severity = if told["severity"] == 1 { "" } else { "warning " };
            format!("{severity}{} {}:{}", told["code"].as_str().unwrap(), start["line"], start["character"])
        };
        told["params"]["diagnostics"].as_array().unwrap().iter().map(short).collect()
    }

    /// The parameters of a question about the place of `|` in this text.
    pub fn at(&self, path: &str, text: &str) -> Value {
        let before = text.split_once('|').expect("a place").0;
        let line = before.matches('\n').count();
        let character = before.rsplit('\n').next().unwrap_or_default().encode_utf16().count();
        json!({ "textDocument": { "uri": self.uri(path) }, "position": { "line": line, "character": character } })
    }

    /// Ends the conversation in good order; the exit code.
    #[track_caller]
    pub fn end(mut self) -> i32 {
        self.ask("shutdown", Value::Null);
        self.tell("exit", Value::Null);
        self.exit_code()
    }

    /// Hangs up, and waits for the server to end.
    pub fn exit_code(mut self) -> i32 {
        drop(self.to.take());
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        drop(self.to.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(from: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => length = line.strip_prefix("Content-Length: ").map_or(length, |n| n.parse().expect("a length")),
        }
    }
    let mut body = vec![0; length];
    std::io::Read::read_exact(from, &mut body).ok()?;
    Some(serde_json::from_slice(&body).expect("the server speaks JSON"))
}
