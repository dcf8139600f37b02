//! The admin address: who may ask, and what.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::api::{AskLogLevel, Refusal, RefusalKind, ReloadOutcome, Reloaded};
use super::{oag, status, work};
use crate::audit::Audit;
use crate::listen::{Connections, Opened, Stream, receive_body};
use crate::log_level;
use crate::node::Node;
use crate::once;
use crate::records;
use crate::reload::Trigger;
use crate::tasks;

/// More than any request here holds, but for one that puts rows.
const LARGEST: usize = 64 * 1024;

/// More than a request that puts rows holds.
const LARGEST_ROWS: usize = 2 * 1024 * 1024;

/// How long the head of a request may take, also of the next one on a connection, how long its body may pause, and how long an
/// answer may lie there without being read.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many connections are served at a time: whoever reaches this address must not take descriptors from the traffic. One more is
/// accepted and waits; the others wait in the backlog, where they cost the node nothing.
pub(crate) const MOST: usize = 64;

/// The admin address of a node.
pub(crate) struct Admin {
    node: Arc<Node>,
    token: String,
    loopback: bool,
    audit: Audit,
    registry: prometheus_client::registry::Registry,
}

pub(super) type Answer = Response<Full<Bytes>>;

impl Admin {
    pub(crate) fn new(node: Arc<Node>, token: String, address: SocketAddr, audit: Audit) -> Arc<Admin> {
        let mut registry = prometheus_client::registry::Registry::with_prefix("portcullis");
        registry.register_collector(Box::new(crate::metrics::NodeCollector(node.clone())));
        Arc::new(Admin { node, token, loopback: address.ip().is_loopback(), audit, registry })
    }

    /// Serves until the node ends.
    pub(crate) async fn run(self: Arc<Self>, socket: TcpListener, connections: Arc<Connections>) {
        let mut room = Room { free: Arc::new(Semaphore::new(MOST)), told: false };
        loop {
            match socket.accept().await {
                Ok((stream, _)) => {
                    let opened = connections.open();
                    let Some(place) = room.place().await else { return };
                    tasks::spawn(self.clone().connection(stream, opened, place));
                }
                Err(why) => {
                    tracing::warn!("a connection to the admin address could not be accepted: {why}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, opened: Opened, _place: OwnedSemaphorePermit) {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(LARGEST);
        let service =
            service_fn(|request: Request<Incoming>| async { Ok::<_, Infallible>(self.answer(request).await) });
        // Who asks here sees the error too.
        let stream = TokioIo::new(Stream::new(stream, PATIENCE));
        let _ = opened.drive(builder.serve_connection(stream, service)).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let ours = host_is_ours(&parts.headers);
        // Where others than this machine can ask at all, whoever probes and scrapes does it by a name.
        if (ours || !self.loopback)
            && let Some(open) = self.open(&parts.method, path)
        {
            return open;
        }
        if !ours {
            // A page in a browser whose name leads here must not reach the gateway through it.
            return refuse(
                RefusalKind::Invalid,
                "this Host is not served here",
                Some("ask by address, or as localhost"),
            );
        }
        if !self.authorized(&parts.headers) {
            let help = "the token of this node is in `var/admin.token`, below its configuration folder";
            return refuse(RefusalKind::Unauthorized, "the admin address asks for its token", Some(help));
        }
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let largest = if matches!(segments.as_slice(), ["kps" | "transfer", ..] | ["api", "kps", ..]) {
            LARGEST_ROWS
        } else {
            LARGEST
        };
        // Nobody waits for what is refused anyway.
        if body.size_hint().lower() > largest as u64 {
            return refuse(RefusalKind::Invalid, &format!("the body is larger than {largest} bytes"), None);
        }
        let body = match Limited::new(receive_body(body, PATIENCE), largest).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(_) => {
                return refuse(
                    RefusalKind::Invalid,
                    &format!("the body is larger than {largest} bytes, or broke off"),
                    None,
                );
            }
        };
        if let ["api", "kps", path @ ..] = segments.as_slice() {
            let opened = self.node.generation.load().stores.clone();
            return match records::Stores::of(&opened, self.node.environment.clone(), self.audit.clone()) {
                Ok(stores) => oag::answer(&stores, &parts.method, path, &parts.headers, &body).await,
                Err(refusal) => refused(&refusal),
            };
        }
        self.route(&parts.method, &segments, parts.uri.query(), &body).await
    }

    /// What needs no credential.
    fn open(&self, method: &Method, path: &str) -> Option<Answer> {
        let known = matches!(path, "/health/live" | "/health/ready" | "/metrics");
        if !known {
            return None;
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Some(refuse(RefusalKind::MethodNotAllowed, "GET is what this answers", None));
        }
        Some(match path {
            "/health/live" => text(StatusCode::OK, "text/plain", String::from("live\n")),
            "/health/ready" => match self.node.unready() {
                None => text(StatusCode::OK, "text/plain", String::from("ready\n")),
                Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", format!("{why}\n")),
            },
            _ => self.metrics(),
        })
    }

    fn metrics(&self) -> Answer {
        let mut shown = String::new();
        match prometheus_client::encoding::text::encode(&mut shown, &self.registry) {
            Ok(()) => text(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", shown),
            Err(_) => refuse(RefusalKind::Internal, "the metrics could not be written", None),
        }
    }

    fn authorized(&self, headers: &HeaderMap) -> bool {
        let value = headers.get(header::AUTHORIZATION).map(|v| v.as_bytes()).unwrap_or_default();
        let Some((scheme, given)) = value.split_at_checked(7) else { return false };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(given.ct_eq(self.token.as_bytes()))
    }

    async fn route(&self, method: &Method, path: &[&str], query: Option<&str>, body: &[u8]) -> Answer {
        let node = &self.node;
        match (method.as_str(), path) {
            ("GET", ["status"]) => json(StatusCode::OK, &status::status(node)),
            ("POST", ["reload"]) => {
                let word = |reloaded: &Reloaded| match reloaded.outcome {
                    ReloadOutcome::Refused => "refused",
                    ReloadOutcome::Loaded | ReloadOutcome::Unchanged => "done",
                };
                outcome(self.audit.change_as("reload", "", self.reload(), word).await)
            }
            ("GET", ["log"]) => json(StatusCode::OK, &log_level::show(node)),
            ("POST", ["log"]) => {
                asked(body, async |request: AskLogLevel| {
                    let of = request.target.clone().unwrap_or_default();
                    self.audit.change("log level", &of, async { log_level::ask(node, &request) }).await
                })
                .await
            }
            ("DELETE", ["log"]) => {
                outcome(self.audit.change("log level", "", async { Ok(log_level::go_back(node)) }).await)
            }
            ("POST", ["stores", "check"]) => {
                let generation = node.generation.load_full();
                let types = &generation.settings.stores.types;
                json(StatusCode::OK, &work::check(&generation.stores, types, &node.environment).await)
            }
            ("POST", ["stores", "purge"]) => {
                let generation = node.generation.load_full();
                let purge = async { Ok(work::purge(&generation.stores, &node.environment).await) };
                let word = |purged: &Vec<_>| if once::any_failed(purged) { "failed" } else { "done" };
                outcome(self.audit.change_as("store purge", "", purge, word).await)
            }
            (_, ["clients" | "users" | "keys" | "kps" | "transfer" | "reencrypt" | "held", ..] | ["tokens", _]) => {
                match records::Stores::of(&node.generation.load().stores, node.environment.clone(), self.audit.clone())
                {
                    Ok(stores) => on_records(&stores, method, path, query, body).await,
                    Err(refusal) => refused(&refusal),
                }
            }
            (_, ["status" | "reload" | "log"] | ["stores", _]) => wrong_method(),
            _ => refuse(RefusalKind::NotFound, "there is nothing at this path", None),
        }
    }

    async fn reload(&self) -> Result<Reloaded, Refusal> {
        let ending =
            || Refusal { kind: RefusalKind::Unavailable, message: String::from("the node is ending"), help: None };
        let (answer, reloaded) = oneshot::channel();
        let trigger = Trigger { by: "admin", answer: Some(answer) };
        self.node.triggers.send(trigger).await.map_err(|_| ending())?;
        reloaded.await.map_err(|_| ending())
    }
}

/// Room for connections.
struct Room {
    free: Arc<Semaphore>,
    /// Whether it was told that there is none.
    told: bool,
}

impl Room {
    /// Waits for a place. That there is none is told once, until there is one at once again.
    async fn place(&mut self) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = self.free.clone().try_acquire_owned() {
            self.told = false;
            return Some(place);
        }
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!("the admin address serves {MOST} connections already: further ones wait until one ends");
        }
        self.free.clone().acquire_owned().await.ok()
    }
}

/// Clients and tokens.
async fn on_records(
    stores: &records::Stores,
    method: &Method,
    path: &[&str],
    query: Option<&str>,
    body: &[u8],
) -> Answer {
    match (method.as_str(), path) {
        ("GET", ["clients"]) => match work::page(query) {
            Ok((after, limit)) => outcome(stores.list_clients(after.as_deref(), limit).await),
            Err(refusal) => refused(&refusal),
        },
        ("POST", ["clients"]) => asked(body, async |request| stores.add_client(&request).await).await,
        ("GET", ["clients", id]) => outcome(stores.show_client(&work::decoded(id)).await),
        ("PATCH", ["clients", id]) => {
            asked(body, async |changes| stores.set_client(&work::decoded(id), &changes).await).await
        }
        ("DELETE", ["clients", id]) => outcome(stores.delete_client(&work::decoded(id)).await),
        ("POST", ["clients", id, "rotate"]) => {
            asked(body, async |request| stores.rotate_client(&work::decoded(id), &request).await).await
        }
        ("POST", ["clients", id, "enable"]) => outcome(stores.enable_client(&work::decoded(id), true).await),
        ("POST", ["clients", id, "disable"]) => outcome(stores.enable_client(&work::decoded(id), false).await),
        ("POST", ["reencrypt", "clients"]) => outcome(stores.reencrypt_clients().await),
        ("POST", ["reencrypt", "held"]) => outcome(stores.reencrypt_held().await),
        ("POST", ["held", "list"]) => asked(body, async |request| stores.list_held(&request).await).await,
        ("POST", ["held", "delete"]) => asked(body, async |request| stores.delete_held(&request).await).await,
        ("POST", ["tokens", "inspect"]) => asked(body, async |request| stores.inspect_token(&request).await).await,
        ("POST", ["tokens", "revoke"]) => asked(body, async |request| stores.revoke_tokens(&request).await).await,
        (_, ["users", path @ ..]) => on_users(stores, method, path, query, body).await,
        ("GET", ["keys"]) => outcome(stores.list_keys().await),
        ("POST", ["keys", "rotate"]) => asked(body, async |request| stores.rotate_key(&request).await).await,
        ("POST", ["keys", "reencrypt"]) => outcome(stores.reencrypt_keys().await),
        ("POST", ["keys", kid, "retire"]) => {
            asked(body, async |request| stores.retire_key(&work::decoded(kid), &request).await).await
        }
        ("GET", ["transfer", what @ ("clients" | "with-secrets")]) => match work::page(query) {
            Ok((after, limit)) => {
                let sealer = (*what == "with-secrets").then(|| stores.sealer());
                outcome(stores.export_clients(after.as_deref(), limit, sealer).await)
            }
            Err(refusal) => refused(&refusal),
        },
        ("POST", ["transfer", "clients"]) => {
            asked(body, async |request| stores.import_clients(&request, stores.sealer()).await).await
        }
        (_, ["kps", path @ ..]) => on_rows(stores, method, path, query, body).await,
        (
            _,
            ["clients"]
            | ["clients", _]
            | ["clients", _, "rotate" | "enable" | "disable"]
            | ["keys"]
            | ["keys", "rotate" | "reencrypt"]
            | ["keys", _, "retire"]
            | ["reencrypt", "clients" | "held"]
            | ["held", "list" | "delete"]
            | ["tokens", "inspect" | "revoke"]
            | ["transfer", "clients" | "with-secrets"],
        ) => wrong_method(),
        _ => refuse(RefusalKind::NotFound, "there is nothing at this path", None),
    }
}

/// People who may log in.
async fn on_users(
    stores: &records::Stores,
    method: &Method,
    path: &[&str],
    query: Option<&str>,
    body: &[u8],
) -> Answer {
    match (method.as_str(), path) {
        ("GET", []) => match work::page(query) {
            Ok((after, limit)) => outcome(stores.list_users(after.as_deref(), limit).await),
            Err(refusal) => refused(&refusal),
        },
        ("POST", []) => asked(body, async |request| stores.add_user(&request).await).await,
        ("GET", [name]) => outcome(stores.show_user(&work::decoded(name)).await),
        ("POST", [name]) => asked(body, async |request| stores.set_user(&work::decoded(name), &request).await).await,
        ("DELETE", [name]) => outcome(stores.delete_user(&work::decoded(name)).await),
        ("POST", [name, "password"]) => {
            asked(body, async |request| stores.set_password(&work::decoded(name), &request).await).await
        }
        ("POST", [name, "enable"]) => outcome(stores.enable_user(&work::decoded(name), true).await),
        ("POST", [name, "disable"]) => outcome(stores.enable_user(&work::decoded(name), false).await),
        ("POST", [name, "unlock"]) => outcome(stores.unlock_user(&work::decoded(name)).await),
        (_, [] | [_] | [_, "password" | "enable" | "disable" | "unlock"]) => wrong_method(),
        _ => refuse(RefusalKind::NotFound, "there is nothing at this path", None),
    }
}

/// Rows of key property stores.
async fn on_rows(stores: &records::Stores, method: &Method, path: &[&str], query: Option<&str>, body: &[u8]) -> Answer {
    match (method.as_str(), path) {
        ("GET", []) => json(StatusCode::OK, &stores.list_kps()),
        ("GET", [name]) => match work::page(query) {
            Ok((after, limit)) => outcome(stores.list_rows(&work::decoded(name), after.as_deref(), limit).await),
            Err(refusal) => refused(&refusal),
        },
        ("POST", [name]) => asked(body, async |request| stores.put_rows(&work::decoded(name), &request).await).await,
        ("POST", [name, "restore"]) => {
            asked(body, async |rows| stores.restore_rows(&work::decoded(name), rows).await).await
        }
        ("POST", [name, "reencrypt"]) => {
            asked(body, async |request| stores.reencrypt_rows(&work::decoded(name), &request).await).await
        }
        ("GET", [name, key]) => {
            let asks =
                |what: &str| query.unwrap_or_default().split('&').any(|pair| pair.strip_suffix("=true") == Some(what));
            let (name, key) = (work::decoded(name), work::decoded(key));
            outcome(stores.get_row(&name, &key, asks("second"), asks("open")).await)
        }
        ("DELETE", [name, key]) => outcome(stores.delete_row(&work::decoded(name), &work::decoded(key)).await),
        (_, [] | [_] | [_, _]) => wrong_method(),
        _ => refuse(RefusalKind::NotFound, "there is nothing at this path", None),
    }
}

/// An answer without a body.
pub(super) fn nothing(status: StatusCode) -> Answer {
    text(status, "application/json", String::new())
}

pub(super) fn wrong_method() -> Answer {
    refuse(RefusalKind::MethodNotAllowed, "another method is meant for this", None)
}

/// Names cannot be trusted: whoever owns one decides where it leads. Addresses and `localhost` can.
fn host_is_ours(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|h| h.to_str().ok()), hosts.next()) else { return false };
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    if host.contains('@') {
        return false;
    }
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

pub(super) fn read<Q: DeserializeOwned>(body: &[u8]) -> Result<Q, Refusal> {
    serde_json::from_slice(if body.is_empty() { b"{}" } else { body }).map_err(|why| Refusal {
        kind: RefusalKind::Invalid,
        message: format!("the body is not what this needs: {why}"),
        help: None,
    })
}

/// Does what the body asks for, where that can be read.
async fn asked<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    work: impl AsyncFnOnce(Q) -> Result<A, Refusal>,
) -> Answer {
    match read(body) {
        Ok(request) => outcome(work(request).await),
        Err(refusal) => refused(&refusal),
    }
}

fn outcome<A: Serialize>(outcome: Result<A, Refusal>) -> Answer {
    match outcome {
        Ok(answer) => json(StatusCode::OK, &answer),
        Err(refusal) => refused(&refusal),
    }
}

fn refuse(kind: RefusalKind, message: &str, help: Option<&str>) -> Answer {
    refused(&Refusal { kind, message: message.to_owned(), help: help.map(str::to_owned) })
}

pub(super) fn refused(refusal: &Refusal) -> Answer {
    json(refusal.kind.status(), refusal)
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_string(value) {
        Ok(body) => text(status, "application/json", body),
        Err(_) => {
            text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", String::from("the answer could not be written\n"))
        }
    }
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_hosts() {
        for (host, ours) in [
            ("127.0.0.1:8090", true),
            ("127.0.0.1", true),
            ("[::1]:8090", true),
            ("localhost:8090", true),
            ("LOCALHOST", true),
            ("10.1.2.3:8090", true),
            ("evil.example:8090", false),
            ("localhost.evil.example", false),
            ("user@127.0.0.1", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            assert_eq!(host_is_ours(&headers), ours, "{host}");
            headers.append(header::HOST, host.parse().unwrap());
            assert!(!host_is_ours(&headers));
        }
        assert!(!host_is_ours(&HeaderMap::new()));
    }
}
