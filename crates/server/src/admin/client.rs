//! A small client of the admin address, for the command line.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use super::api::{PurgedSource, Refusal, Reloaded, SourceCheck, Status};

/// A connection to the admin address of a running node.
pub struct Client {
    pub(super) address: SocketAddr,
    pub(super) token: String,
}

/// Why a node did not do it.
#[derive(Debug)]
pub enum ClientError {
    /// No node answers there.
    Unreachable {
        /// Where it was looked for.
        address: SocketAddr,
        /// Why not.
        why: String,
    },
    /// The token file cannot be read: no node ever ran on this folder, or another user's.
    NoToken {
        /// The file.
        file: String,
        /// Why not.
        why: String,
    },
    /// It answered, and says no.
    Refused(Refusal),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Unreachable { address, why } => write!(f, "no node answers at {address}: {why}"),
            ClientError::NoToken { file, why } => write!(f, "`{file}` cannot be read: {why}"),
            ClientError::Refused(refusal) => f.write_str(&refusal.message),
        }
    }
}

impl std::error::Error for ClientError {}

impl Client {
    /// The node at `address` (the command line's `--admin`), or the one that the folder's `node.toml` names, or the default.
    /// The token is read from `var/admin.token` below `dir`.
    pub fn new(dir: &Path, address: Option<SocketAddr>) -> Result<Client, ClientError> {
        let _ = (dir, address);
        unimplemented!()
    }

    /// Where it looks for the node.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Loads the files as they stand now. `Ok` whether or not they are taken: see [`Reloaded::outcome`].
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        unimplemented!()
    }

    /// How the node is.
    pub async fn status(&self) -> Result<Status, ClientError> {
        unimplemented!()
    }

    /// Connects to every source of the node and reports on each.
    pub async fn store_check(&self) -> Result<Vec<SourceCheck>, ClientError> {
        unimplemented!()
    }

    /// Purges expired records from every source of the node.
    pub async fn store_purge(&self) -> Result<Vec<PurgedSource>, ClientError> {
        unimplemented!()
    }
}
