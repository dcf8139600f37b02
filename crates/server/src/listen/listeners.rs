//! The set of listeners, over reloads: one that stays configured is never closed, a new one is bound before the swap, one that
//! goes finishes what it has begun.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::Stream;
use super::body::Unread;
use super::connection::{Connections, Opened};
use super::header_timer::HeaderTimer;
use super::serve::serve;
use crate::load::Generation;
use crate::node::Node;
use crate::settings::ListenerSettings;
use crate::tasks;

/// hyper's own smallest read buffer is 8 KiB; more than this is only needed for larger heads.
const BUFFER: usize = 64 * 1024;

/// How many connections the kernel lets wait: on Linux 4,096, where nobody set another `somaxconn`.
const BACKLOG: usize = 4096;

/// How long to wait after an accept that failed for want of descriptors: no connection is lost, it waits in the backlog.
const BREATH: Duration = Duration::from_millis(20);

/// How long connections stay open once their listener goes: a request that is on its way by then is still answered, and the
/// answer says that the connection closes.
const GRACE: Duration = Duration::from_millis(250);

/// One listener that is bound.
pub(crate) struct Listener {
    /// Its own number, the same over all generations that have it.
    pub(crate) number: u64,
    /// What the file says; its port may be 0.
    configured: SocketAddr,
    name_when_bound: String,
    /// The address that it really has.
    pub(crate) bound: SocketAddr,
    pub(crate) connections: Arc<Connections>,
    /// Once it has gone: the last generation that had it. What still comes on its connections is served there.
    last: OnceLock<Arc<Generation>>,
    stop: Notify,
    /// The socket is closed, and what waited in its backlog is counted among the connections.
    closed: Notify,
}

/// The listeners of a node.
#[derive(Default)]
pub(crate) struct Listeners {
    all: Mutex<Vec<Arc<Listener>>>,
    next: AtomicU64,
}

/// What a load would make of the listeners: new ones are bound, nothing is closed yet. Dropped, it closes what it bound.
pub(crate) struct Plan {
    kept: Vec<(Arc<Listener>, String)>,
    added: Vec<(Arc<Listener>, TcpListener, String)>,
}

impl Plan {
    /// The address of the only listener.
    pub(crate) fn only_address(&self) -> Option<SocketAddr> {
        match self.listeners().collect::<Vec<_>>().as_slice() {
            [(only, _)] => Some(only.bound),
            _ => None,
        }
    }

    /// Number and name of each listener.
    pub(crate) fn names(&self) -> Vec<(u64, Arc<str>)> {
        self.listeners().map(|(listener, name)| (listener.number, Arc::from(name))).collect()
    }

    /// Name and address of each listener.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.listeners().map(|(listener, name)| (name, listener.bound))
    }

    fn keeps(&self, listener: &Listener) -> bool {
        self.kept.iter().any(|(kept, _)| kept.number == listener.number)
    }

    fn listeners(&self) -> impl Iterator<Item = (&Arc<Listener>, &str)> {
        let kept = self.kept.iter().map(|(listener, name)| (listener, name.as_str()));
        kept.chain(self.added.iter().map(|(listener, _, name)| (listener, name.as_str())))
    }
}

impl Listener {
    /// The generation that a request lives in which begins now: the one that serves, or the last one that had this listener.
    pub(super) fn generation(&self, node: &Node) -> Arc<Generation> {
        let serving = node.generation.load_full();
        match self.last.get() {
            Some(last) if serving.listener(self.number).is_none() => last.clone(),
            _ => serving,
        }
    }

    /// Whether it has gone: no further request is to come on its connections.
    pub(super) fn has_gone(&self) -> bool {
        self.last.get().is_some()
    }

    /// Whether these settings mean this listener. Several may ask for a port of the kernel's choice: names tell those apart.
    fn is_meant_by(&self, settings: &ListenerSettings) -> bool {
        self.configured == settings.address && (settings.address.port() != 0 || self.name_when_bound == settings.name)
    }
}

impl Listeners {
    /// Binds what is new. An error names the address.
    pub(crate) async fn plan(&self, settings: &[ListenerSettings]) -> Result<Plan, (SocketAddr, io::Error)> {
        let mut plan = Plan { kept: Vec::new(), added: Vec::new() };
        for settings in settings {
            let known = self.all().iter().find(|listener| listener.is_meant_by(settings)).cloned();
            if let Some(listener) = known {
                plan.kept.push((listener, settings.name.clone()));
                continue;
            }
            let socket = TcpListener::bind(settings.address).await.map_err(|why| (settings.address, why))?;
            let listener = Listener {
                number: self.next.fetch_add(1, Ordering::Relaxed),
                configured: settings.address,
                name_when_bound: settings.name.clone(),
                bound: socket.local_addr().map_err(|why| (settings.address, why))?,
                connections: Arc::default(),
                last: OnceLock::new(),
                stop: Notify::new(),
                closed: Notify::new(),
            };
            plan.added.push((Arc::new(listener), socket, settings.name.clone()));
        }
        Ok(plan)
    }

    /// Tells those that are not in the plan which generation was their last. To be called before another one serves: a request
    /// on them then always finds a generation that has its listener.
    pub(crate) fn part(&self, plan: &Plan, last: &Arc<Generation>) {
        for listener in self.all().iter().filter(|listener| !plan.keeps(listener)) {
            listener.last.get_or_init(|| last.clone());
        }
    }

    /// Carries a plan out, once the generation that it was made for serves.
    pub(crate) fn carry_out(&self, node: &Arc<Node>, plan: Plan) {
        let removed: Vec<_> = {
            let mut all = self.all();
            let (stay, go) = all.drain(..).partition(|listener| plan.keeps(listener));
            *all = stay;
            all.extend(plan.added.iter().map(|(listener, ..)| listener.clone()));
            go
        };
        for (listener, socket, name) in plan.added {
            tracing::info!(listener = name, address = %listener.bound, "listening");
            tasks::spawn(accept(node.clone(), listener, socket));
        }
        for listener in removed {
            tracing::info!(address = %listener.bound, "no longer listening");
            let limit = node.generation.load().settings.node.limits.drain;
            tasks::spawn(async move { listener.drain(limit).await });
        }
    }

    /// Stops accepting, and waits until every request that has begun is answered, at most `limit`. Whether all were.
    pub(crate) async fn drain(&self, limit: Duration) -> bool {
        let all = std::mem::take(&mut *self.all());
        let drained = futures_util::future::join_all(all.iter().map(|listener| listener.drain(limit))).await;
        drained.into_iter().all(|drained| drained)
    }

    /// Names, addresses and open connections, as the generation names them.
    pub(crate) fn open(&self) -> Vec<(u64, SocketAddr, usize)> {
        self.all().iter().map(|l| (l.number, l.bound, l.connections.count())).collect()
    }

    /// The address of one of them because of which this one cannot be had: the same, or one of the two is all addresses.
    pub(crate) fn in_the_way(&self, address: SocketAddr) -> Option<SocketAddr> {
        self.all().iter().map(|listener| listener.bound).find(|bound| overlap(*bound, address))
    }

    /// How many connections are open on all of them.
    fn connections(&self) -> usize {
        self.all().iter().map(|l| l.connections.count()).sum()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Listener>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    /// Stops accepting, gives idle connections the grace, and waits for those that are busy. Whether all ended within the limit.
    async fn drain(&self, limit: Duration) -> bool {
        self.stop.notify_one();
        let gone = async {
            self.closed.notified().await;
            // Half of a short limit at most: what is busy then has the other half.
            if tokio::time::timeout(GRACE.min(limit / 2), self.connections.gone()).await.is_err() {
                self.connections.finish();
                self.connections.gone().await;
            }
        };
        let finished = tokio::time::timeout(limit, gone).await.is_ok();
        self.connections.end();
        finished
    }
}

/// Whether the kernel gives at most one of two addresses away.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    // `[::]` takes IPv4 too, as Linux has it.
    let takes = |all: SocketAddr, one: SocketAddr| all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    one.port() == other.port() && (one.ip() == other.ip() || takes(one, other) || takes(other, one))
}

/// Accepts until it is told to stop; then the socket closes.
async fn accept(node: Arc<Node>, listener: Arc<Listener>, socket: TcpListener) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = listener.stop.notified() => break,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => admit(&node, &listener, stream, peer),
            Err(why) => {
                tracing::warn!(address = %listener.bound, "a connection could not be accepted: {why}");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    if let Err(why) = take_the_backlog(&node, &listener, socket) {
        tracing::warn!(address = %listener.bound, "what waited in the backlog could not be accepted: {why}");
    }
    listener.closed.notify_one();
}

/// Accepts what waits, and closes the socket: the kernel would else reset connections on which clients have sent already.
fn take_the_backlog(node: &Arc<Node>, listener: &Arc<Listener>, socket: TcpListener) -> io::Result<()> {
    // The kernel itself is asked: the runtime may not know yet of what came last.
    let socket = socket.into_std()?;
    // No more than may have waited when it was told to stop: what comes without end must not keep it open.
    for _ in 0..BACKLOG {
        match socket.accept() {
            Ok((stream, peer)) => {
                stream.set_nonblocking(true)?;
                admit(node, listener, TcpStream::from_std(stream)?, peer);
            }
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            // Of one that is gone again.
            Err(why) if matches!(why.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
            Err(why) => return Err(why),
        }
    }
    Ok(())
}

/// Serves a connection, where the limit leaves room for it.
fn admit(node: &Arc<Node>, listener: &Arc<Listener>, stream: TcpStream, peer: SocketAddr) {
    let opened = listener.connections.open();
    let limit = node.generation.load().settings.node.limits.connections;
    if node.listeners.connections() > limit {
        node.metrics.connections_refused.fetch_add(1, Ordering::Relaxed);
        return;
    }
    tasks::spawn(connection(node.clone(), listener.clone(), opened, stream, peer));
}

/// Serves one connection to its end.
async fn connection(node: Arc<Node>, listener: Arc<Listener>, opened: Opened, stream: TcpStream, peer: SocketAddr) {
    // A socket that is gone already: the first read says so too.
    let _ = stream.set_nodelay(true);
    let limits = node.generation.load().settings.node.limits;
    let unread = Unread::default();
    let mut builder = http1::Builder::new();
    builder
        .timer(HeaderTimer::new(unread.clone()))
        .header_read_timeout(limits.header_timeout)
        .max_header_size(limits.headers)
        .max_buf_size(limits.headers.max(BUFFER));
    let service = service_fn(|request: http::Request<Incoming>| {
        let (node, listener, unread) = (&node, &listener, &unread);
        async move { Ok::<_, Infallible>(serve(node, listener, peer, unread, request).await) }
    });
    let stream = Stream::new(stream, limits.write_timeout).lingers_where(unread.clone());
    let begun = stream.begun();
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let ended = store::guard::connection(opened.drive(connection)).await;
    if let Some(Err(why)) = ended {
        // A head that hyper refused, or waited for in vain: `serve` never heard of it.
        if why.is_parse() || (why.is_timeout() && begun.has()) {
            node.metrics.malformed.fetch_add(1, Ordering::Relaxed);
        }
        // A client that goes away, or speaks no HTTP: nothing that an operator must know of.
        tracing::debug!(%peer, "connection ended: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap() {
        for (one, other, expected) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("127.0.0.1:1", "0.0.0.0:2", false),
            ("127.0.0.1:1", "[::]:1", true),
            ("[::1]:1", "[::]:1", true),
            ("[::1]:1", "0.0.0.0:1", false),
        ] {
            let address = |text: &str| text.parse().unwrap();
            assert_eq!(overlap(address(one), address(other)), expected, "{one} {other}");
            assert_eq!(overlap(address(other), address(one)), expected, "{other} {one}");
        }
    }
}
