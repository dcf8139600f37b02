//! What the command line gives the node, and what it hears from it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use policy::Diagnostics;
use policy::filter::Library;
use policy::reader::Outside;

use crate::settings::LogSettings;

/// What every command that reads a configuration folder needs.
#[derive(Clone)]
pub struct Options {
    /// The configuration folder (`-c`).
    pub dir: PathBuf,
    /// A file whose `[values]` are laid over those of `node.toml` (`--values`); relative to the current folder.
    pub values: Option<PathBuf>,
    /// The filters there are.
    pub library: Library,
    /// Replaces all listeners by one plain one (`--listen`); holds over reloads.
    pub listen: Option<SocketAddr>,
    /// Replaces the admin address (`--admin`); holds over reloads.
    pub admin: Option<SocketAddr>,
    /// Whether the files' own tests gate `check` and reloads (`--no-tests` leaves them out).
    pub tests: bool,
    /// Environment variables and secret files. Where something missing is a warning only, the server says so itself: the
    /// implementation need not.
    pub outside: Arc<dyn Outside>,
}

/// What the command line does for a running node: everything that ends on a terminal.
pub trait Host: Send + Sync + 'static {
    /// The log's settings: told before the first line is logged, and again when a reload changed them.
    /// `level`: what was asked for meanwhile, in place of what the settings and the environment say, as `tracing` writes its filters.
    fn log(&self, settings: &LogSettings, level: Option<&str>) {
        let _ = (settings, level);
    }

    /// The node serves. Told once.
    fn started(&self, started: &Started) {
        let _ = started;
    }
}

/// A node that serves.
#[derive(Clone, Debug)]
pub struct Started {
    /// The node's name.
    pub name: String,
    /// The generation that serves, which reloads count on from: 1.
    pub generation: u64,
    /// Its listeners, with the addresses that they really have (port 0 is the kernel's choice).
    pub listeners: Vec<StartedListener>,
    /// The admin address.
    pub admin: SocketAddr,
    /// What the load warned of.
    pub warnings: Diagnostics,
    /// The registry of clients is empty, and the first page to show is how to make one: the URL of the token endpoint.
    /// `None` where there are clients, where the registry cannot be read, or where no policy is a token endpoint.
    pub first_token: Option<String>,
}

/// One listener of a node that serves.
#[derive(Clone, Debug)]
pub struct StartedListener {
    /// Its name.
    pub name: String,
    /// Whether it speaks TLS.
    pub secure: bool,
    /// Its address.
    pub address: crate::Address,
}

impl StartedListener {
    /// The TCP address, of one that has one.
    #[cfg(test)]
    pub(crate) fn tcp(&self) -> SocketAddr {
        self.address.tcp().expect("a test's listener has an address")
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

/// Why a node did not start.
#[derive(Debug)]
pub enum StartError {
    /// The files are refused.
    Refused(Diagnostics),
    /// Something else, and what helps.
    Failed {
        /// What went wrong.
        message: String,
        /// What would help.
        remedy: String,
    },
}

impl StartError {
    pub(crate) fn failed(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        StartError::Failed { message: message.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Refused(diagnostics) => {
                write!(f, "the configuration is refused: {} problems", diagnostics.count().all())
            }
            StartError::Failed { message, remedy } => write!(f, "{message}; {remedy}"),
        }
    }
}

impl std::error::Error for StartError {}
