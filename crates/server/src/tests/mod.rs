//! Whole nodes, over real sockets and folders, with a small library of filters of their own.

mod admin;
mod closing;
mod gate;
mod library;
mod listen;
mod reload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use policy::reader::{Outside, SecretError};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::admin::api::{ReloadOutcome, Reloaded};
use crate::clock;
use crate::options::{Host, Options, StartError};
use crate::reload::Trigger;
use crate::run::{Running, launch};

/// A node over a temporary folder.
pub(super) struct TestNode {
    pub(super) running: Running,
    pub(super) folder: TempDir,
}

struct Quiet;
impl Host for Quiet {}

/// The variable that makes reading panic.
pub(super) const PANIC: &str = "PANIC";

/// Secret files, and no variables.
struct Folder(PathBuf);
impl Outside for Folder {
    fn variable(&self, name: &str) -> Result<String, SecretError> {
        assert_ne!(name, PANIC, "on purpose");
        Err(SecretError::Missing)
    }
    fn file(&self, path: &str) -> Result<String, SecretError> {
        std::fs::read_to_string(self.0.join(path)).map_err(|_| SecretError::Missing)
    }
}

pub(super) const MEMORY: &str = "default = \"memory\"\n[source.memory]\ntype = \"memory\"\n";

/// A folder with these files, and stores in memory.
pub(super) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in [("stores/stores.toml", MEMORY)].iter().chain(files) {
        write(&folder, path, text);
    }
    folder
}

pub(super) fn write(folder: &TempDir, path: &str, text: &str) {
    let path = folder.path().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

pub(super) fn options(folder: &TempDir) -> Options {
    Options {
        dir: folder.path().to_owned(),
        values: None,
        library: library::LIBRARY,
        listen: Some(([127, 0, 0, 1], 0).into()),
        admin: Some(([127, 0, 0, 1], 0).into()),
        tests: true,
        outside: Arc::new(Folder(folder.path().to_owned())),
    }
}

impl TestNode {
    pub(super) async fn start(files: &[(&str, &str)]) -> TestNode {
        let folder = folder(files);
        match TestNode::try_start(&folder).await {
            Ok(running) => TestNode { running, folder },
            Err(StartError::Refused(diagnostics)) => panic!("{}", policy::diagnostic::render(&diagnostics, false)),
            Err(other) => panic!("{other}"),
        }
    }

    pub(super) async fn try_start(folder: &TempDir) -> Result<Running, StartError> {
        launch(options(folder), Arc::new(Quiet), clock::environment()).await
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.running.started.listeners[0].tcp()).await.unwrap()
    }

    /// The whole answer to these bytes, until the node closes the connection.
    pub(super) async fn raw(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        read_all(&mut stream).await
    }

    /// The answer to a GET.
    pub(super) async fn get(&self, path: &str) -> String {
        self.raw(&format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        write(&self.folder, path, text);
    }

    pub(super) async fn reload(&self) -> Reloaded {
        let (answer, reloaded) = tokio::sync::oneshot::channel();
        self.running.node.triggers.send(Trigger { by: "test", answer: Some(answer) }).await.unwrap();
        reloaded.await.unwrap()
    }

    pub(super) async fn must_load(&self) {
        let reloaded = self.reload().await;
        assert_ne!(reloaded.outcome, ReloadOutcome::Refused, "{}", reloaded.text);
    }
}

pub(super) async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await.expect("an end").unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(super) fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("no answer")
}

/// Waits until it comes true.
pub(super) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("this did not come true: {what}");
}
