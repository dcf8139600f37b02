//! A small client of the admin address, for the command line.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::api::{AskLogLevel, LogLevels, PurgedSource, Refusal, RefusalKind, Reloaded, SourceCheck, Status};
use super::{address, token};
use crate::settings;

/// How long a node may take to be reached.
const CONNECT: Duration = Duration::from_secs(5);

/// How long it may take to answer: a reload opens sources, a purge deletes rows.
const ANSWER: Duration = Duration::from_secs(120);

/// The admin address of a running node.
pub struct Client {
    address: SocketAddr,
    token: String,
    /// Why `node.toml` does not say the address, where it cannot be read.
    unread: Option<String>,
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
    /// `node.toml` cannot be read, and no start noted its address.
    NoAddress {
        /// What is wrong with the file, and where.
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
            ClientError::NoAddress { why } => {
                write!(f, "`node.toml` cannot be read, which names the node's admin address: {why}")
            }
            ClientError::Refused(refusal) => f.write_str(&refusal.message),
        }
    }
}

impl std::error::Error for ClientError {}

impl Client {
    /// The node at `address` (the command line's `--admin`), or the one that the folder's `node.toml` names, or where that cannot be
    /// read the one that started last, or the default. The token is read from `var/admin.token` below `dir`.
    pub fn new(dir: &Path, address: Option<SocketAddr>) -> Result<Client, ClientError> {
        let token = token::read(dir).map_err(|why| ClientError::NoToken {
            file: token::path(dir).display().to_string(),
            why: why.to_string(),
        })?;
        let (address, unread) = match address.map_or_else(|| settings::admin_address(dir), |named| Ok(Some(named))) {
            Ok(Some(address)) => (address, None),
            Ok(None) => (address::noted(dir).unwrap_or(settings::DEFAULT_ADMIN), None),
            Err(why) => match address::noted(dir) {
                Some(address) => (address, Some(why)),
                None => return Err(ClientError::NoAddress { why }),
            },
        };
        Ok(Client { address: reachable(address), token, unread })
    }

    /// Where it looks for the node.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Loads the files as they stand now. `Ok` whether or not they are taken: see [`Reloaded::outcome`].
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        self.post("/reload", &()).await
    }

    /// How the node is.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/status").await
    }

    /// How much it logs.
    pub async fn log_levels(&self) -> Result<LogLevels, ClientError> {
        self.get("/log").await
    }

    /// Asks for another level of its log.
    pub async fn ask_log_level(&self, asked: &AskLogLevel) -> Result<LogLevels, ClientError> {
        self.post("/log", asked).await
    }

    /// Lets it log what its settings say again.
    pub async fn log_level_back(&self) -> Result<LogLevels, ClientError> {
        self.delete("/log").await
    }

    /// Connects to every source of the node and reports on each.
    pub async fn store_check(&self) -> Result<Vec<SourceCheck>, ClientError> {
        self.post("/stores/check", &()).await
    }

    /// Purges expired records from every source of the node.
    pub async fn store_purge(&self) -> Result<Vec<PurgedSource>, ClientError> {
        self.post("/stores/purge", &()).await
    }

    pub(crate) async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, ClientError> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    pub(crate) async fn delete<A: DeserializeOwned>(&self, path: &str) -> Result<A, ClientError> {
        self.ask(Method::DELETE, path, Bytes::new()).await
    }

    pub(crate) async fn post<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        request: &Q,
    ) -> Result<A, ClientError> {
        self.say(Method::POST, path, request).await
    }

    pub(crate) async fn patch<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        request: &Q,
    ) -> Result<A, ClientError> {
        self.say(Method::PATCH, path, request).await
    }

    async fn say<Q: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        request: &Q,
    ) -> Result<A, ClientError> {
        let body = serde_json::to_vec(request).map_err(|why| self.odd(&why))?;
        // `()` has nothing to say.
        let body = if body == b"null" { Bytes::new() } else { body.into() };
        self.ask(method, path, body).await
    }

    /// A part of a path or query, percent-encoded.
    pub(crate) fn encoded(text: &str) -> String {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        // `.` and `..` alone would be steps in a path.
        let dots = text.bytes().all(|b| b == b'.');
        let encode = |b: u8| if plain(b) && !dots { char::from(b).to_string() } else { format!("%{b:02X}") };
        text.bytes().map(encode).collect()
    }

    async fn ask<A: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<A, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|why| self.odd(&why))?;
        let stream = tokio::time::timeout(CONNECT, TcpStream::connect(self.address)).await;
        let stream = stream.map_err(|_| self.unreachable("no answer"))?.map_err(|why| self.unreachable(&why))?;
        let exchange = tokio::time::timeout(ANSWER, self.exchange(stream, request)).await;
        let (status, answer) = exchange.map_err(|_| self.unreachable(&format!("no answer within {ANSWER:?}")))??;
        if status.is_success() {
            return serde_json::from_slice(&answer).map_err(|why| self.odd(&why));
        }
        let refusal = serde_json::from_slice(&answer).map_err(|_| self.odd(&format!("status {status}")))?;
        Err(ClientError::Refused(refusal))
    }

    async fn exchange(
        &self,
        stream: TcpStream,
        request: Request<Full<Bytes>>,
    ) -> Result<(http::StatusCode, Bytes), ClientError> {
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|why| self.unreachable(&why))?;
        let answered = async {
            let answer = sender.send_request(request).await.map_err(|why| self.unreachable(&why))?;
            let status = answer.status();
            let body = answer.into_body().collect().await.map_err(|why| self.unreachable(&why))?;
            Ok((status, body.to_bytes()))
        };
        // The connection does the work; what comes of it is in the answer.
        tokio::pin!(answered);
        tokio::select! {
            biased;
            answer = &mut answered => answer,
            _ = connection => answered.await,
        }
    }

    fn unreachable(&self, why: &(impl fmt::Display + ?Sized)) -> ClientError {
        let why = match &self.unread {
            None => why.to_string(),
            Some(unread) => format!("{why}; that is where the last start was, as `node.toml` cannot be read: {unread}"),
        };
        ClientError::Unreachable { address: self.address, why }
    }

    fn odd(&self, why: &(impl fmt::Display + ?Sized)) -> ClientError {
        ClientError::Refused(Refusal {
            kind: RefusalKind::Internal,
            message: format!("{} answered what this program does not understand: {why}", self.address),
            help: Some(String::from("is it the admin address of a node of this version?")),
        })
    }
}

/// A node that listens everywhere is asked here.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_encoded() {
        for (id, expected) in [("app-1.x_~", "app-1.x_~"), ("a/b c", "a%2Fb%20c"), ("..", "%2E%2E"), ("%", "%25")] {
            assert_eq!(Client::encoded(id), expected);
        }
    }
}
