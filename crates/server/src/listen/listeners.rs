//! The set of listeners, over reloads: one that stays configured is never closed, a new one is bound before the swap, one that
//! goes finishes what it has begun.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustls::CertificateError;
use tokio::sync::Notify;

use super::address::Address;
use super::addresses::Addresses;
use super::begun::Begun;
use super::client::{Caller, Client};
use super::connection::{Connections, Opened};
use super::opening::{Arrived, NotOpened, Opening, open};
use super::socket::{self, Bound, Socket};
use super::wire::Wire;
use super::{http1, http2};
use crate::load::{Generation, ServedListener};
use crate::metrics::Metrics;
use crate::node::Node;
use crate::settings::ListenerSettings;
use crate::tasks;

/// How long to wait after an accept that failed for want of descriptors: no connection is lost, it waits in the backlog.
const BREATH: Duration = Duration::from_millis(20);

/// How long connections stay open once their listener goes: a request that is on its way by then is still answered, and the
/// answer says that the connection closes.
const GRACE: Duration = Duration::from_millis(250);

/// Seconds between two lines about clients that are refused for want of a revocation list.
const BETWEEN: u64 = 60;

/// One listener that is bound.
pub(crate) struct Listener {
    /// Its own number, the same over all generations that have it.
    pub(crate) number: u64,
    /// What the file says; its port may be 0.
    configured: Address,
    name_when_bound: String,
    /// The address that it really has.
    pub(crate) bound: Address,
    /// The mode that the file of its Unix socket was given.
    mode: AtomicU32,
    pub(crate) connections: Arc<Connections>,
    addresses: Arc<Addresses>,
    /// Once it has gone: the last generation that had it. What still comes on its connections is served there.
    last: OnceLock<Arc<Generation>>,
    /// When it was told last that clients are refused for want of a revocation list, in Unix seconds.
    told_of_lists: AtomicU64,
    stop: Notify,
    /// The socket is closed, and what waited in its backlog is counted among the connections.
    closed: Notify,
}

/// The listeners of a node.
#[derive(Default)]
pub(crate) struct Listeners {
    all: Mutex<Vec<Arc<Listener>>>,
    /// Those that a reload took away and that have not finished yet.
    leaving: Mutex<Vec<Arc<Listener>>>,
    next: AtomicU64,
}

/// What a load would make of the listeners: new ones are bound, nothing is closed yet. Dropped, it closes what it bound.
pub(crate) struct Plan {
    kept: Vec<(Arc<Listener>, ListenerSettings)>,
    added: Vec<(Arc<Listener>, Bound, ListenerSettings)>,
}

impl Plan {
    /// The address of the only listener.
    pub(crate) fn only_address(&self) -> Option<SocketAddr> {
        match self.listeners().collect::<Vec<_>>().as_slice() {
            [(only, _)] => only.bound.tcp(),
            _ => None,
        }
    }

    /// Each listener as a generation serves it. TLS that is made of the same as before goes on as it is, with its clients' sessions.
    pub(crate) fn served(&self, before: Option<&Generation>, metrics: &Metrics) -> Vec<ServedListener> {
        let served = |(listener, settings): (&Arc<Listener>, &ListenerSettings)| {
            let mut settings = settings.clone();
            let kept = before.and_then(|generation| generation.listener(listener.number));
            if let Some(tls) =
                kept.and_then(|kept| kept.settings.tls.as_ref()).filter(|tls| settings.tls.as_ref() == Some(tls))
            {
                settings.tls = Some(tls.clone());
            }
            let name: Arc<str> = Arc::from(&*settings.name);
            let counters = metrics.listener(&name);
            ServedListener { number: listener.number, name, settings: Arc::new(settings), counters }
        };
        self.listeners().map(served).collect()
    }

    /// Each listener's settings, and the address that it really has.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&ListenerSettings, &Address)> {
        self.listeners().map(|(listener, settings)| (settings, &listener.bound))
    }

    fn keeps(&self, listener: &Listener) -> bool {
        self.kept.iter().any(|(kept, _)| kept.number == listener.number)
    }

    fn listeners(&self) -> impl Iterator<Item = (&Arc<Listener>, &ListenerSettings)> {
        let kept = self.kept.iter().map(|(listener, settings)| (listener, settings));
        kept.chain(self.added.iter().map(|(listener, _, settings)| (listener, settings)))
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
        let one_of_many = settings.address.tcp().is_some_and(|address| address.port() == 0);
        self.configured == settings.address && (!one_of_many || self.name_when_bound == settings.name)
    }
}

impl Listeners {
    /// Binds what is new. Unix sockets are below this folder. An error names the address.
    pub(crate) fn plan(&self, settings: &[ListenerSettings], folder: &Path) -> Result<Plan, (Address, io::Error)> {
        let mut plan = Plan { kept: Vec::new(), added: Vec::new() };
        for settings in settings {
            let known = self.all().iter().find(|listener| listener.is_meant_by(settings)).cloned();
            if let Some(listener) = known {
                plan.kept.push((listener, settings.clone()));
                continue;
            }
            let named = |why| (settings.address.clone(), why);
            let socket = Bound::bind(&settings.address, folder, settings.mode).map_err(named)?;
            let listener = Listener {
                number: self.next.fetch_add(1, Ordering::Relaxed),
                configured: settings.address.clone(),
                name_when_bound: settings.name.clone(),
                bound: socket.address().map_err(named)?,
                mode: AtomicU32::new(settings.mode),
                connections: Arc::default(),
                addresses: Arc::default(),
                last: OnceLock::new(),
                told_of_lists: AtomicU64::new(0),
                stop: Notify::new(),
                closed: Notify::new(),
            };
            plan.added.push((Arc::new(listener), socket, settings.clone()));
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
        for (listener, settings) in &plan.kept {
            listener.takes_mode(settings.mode);
        }
        for (listener, socket, settings) in plan.added {
            tracing::info!(listener = settings.name, address = %listener.bound, "listening");
            tasks::spawn(accept(node.clone(), listener, socket));
        }
        for listener in removed {
            tracing::info!(address = %listener.bound, "no longer listening");
            let limit = node.generation.load().settings.node.limits.drain;
            Listeners::locked(&self.leaving).push(listener.clone());
            let node = node.clone();
            tasks::spawn(async move {
                listener.drain(limit).await;
                Listeners::locked(&node.listeners.leaving).retain(|leaving| !Arc::ptr_eq(leaving, &listener));
            });
        }
    }

    /// Stops accepting, and waits until every request that has begun is answered, at most `limit`. Whether all were.
    pub(crate) async fn drain(&self, limit: Duration) -> bool {
        let all = std::mem::take(&mut *self.all());
        let leaving = Listeners::locked(&self.leaving).clone();
        let drained = futures_util::future::join_all(all.iter().map(|listener| listener.drain(limit)));
        // What a reload before took away finishes too.
        let left = futures_util::future::join_all(leaving.iter().map(|listener| listener.left(limit)));
        let (drained, left) = tokio::join!(drained, left);
        drained.into_iter().chain(left).all(|finished| finished)
    }

    /// Names, addresses and open connections, as the generation names them.
    pub(crate) fn open(&self) -> Vec<(u64, Address, usize)> {
        self.all().iter().map(|l| (l.number, l.bound.clone(), l.connections.count())).collect()
    }

    /// The address of one of them because of which this one cannot be had: the same, or one of the two is all addresses.
    pub(crate) fn in_the_way(&self, address: &Address) -> Option<Address> {
        self.all().iter().map(|listener| &listener.bound).find(|bound| bound.overlaps(address)).cloned()
    }

    /// How many connections are open on all of them.
    fn connections(&self) -> usize {
        let count = |listeners: &Mutex<Vec<Arc<Listener>>>| -> usize {
            Self::locked(listeners).iter().map(|listener| listener.connections.count()).sum()
        };
        count(&self.all) + count(&self.leaving)
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Listener>>> {
        Self::locked(&self.all)
    }

    fn locked(listeners: &Mutex<Vec<Arc<Listener>>>) -> MutexGuard<'_, Vec<Arc<Listener>>> {
        listeners.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Waits for one that drains already. Whether all ended within the limit.
    async fn left(&self, limit: Duration) -> bool {
        let finished = tokio::time::timeout(limit, self.connections.gone()).await.is_ok();
        self.connections.end();
        finished
    }

    /// Whether it is time to tell once more of clients that are refused for want of a revocation list.
    fn tells_of_lists(&self, node: &Node) -> bool {
        let (now, told) = (node.now(), self.told_of_lists.load(Ordering::Relaxed));
        now >= told + BETWEEN
            && self.told_of_lists.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Gives the file of its Unix socket another mode, where it is to have one.
    fn takes_mode(&self, mode: u32) {
        let Address::Unix(path) = &self.bound else { return };
        if self.mode.swap(mode, Ordering::Relaxed) != mode
            && let Err(why) = socket::set_mode(path, mode)
        {
            tracing::warn!(address = %self.bound, "the socket keeps the mode that it had: {why}");
        }
    }
}

/// Whether a handshake failed since no revocation list that has not run out speaks of the client's certificate: then it is the operator
/// who has to do something.
fn lacks_a_list(why: &io::Error) -> bool {
    let error = why.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(
        error,
        Some(rustls::Error::InvalidCertificate(
            CertificateError::ExpiredRevocationList
                | CertificateError::ExpiredRevocationListContext { .. }
                | CertificateError::UnknownRevocationStatus
        ))
    )
}

/// Accepts until it is told to stop; then the socket closes.
async fn accept(node: Arc<Node>, listener: Arc<Listener>, socket: Bound) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = listener.stop.notified() => break,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => admit(&node, &listener, socket, peer),
            Err(why) => {
                tracing::warn!(address = %listener.bound, "a connection could not be accepted: {why}");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    // No more than may have waited when it was told to stop: what comes without end must not keep it open.
    if let Err(why) = socket.empty(|socket, peer| admit(&node, &listener, socket, peer)) {
        tracing::warn!(address = %listener.bound, "what waited in the backlog could not be accepted: {why}");
    }
    listener.closed.notify_one();
}

/// Serves a connection, where the limits leave room for it.
fn admit(node: &Arc<Node>, listener: &Arc<Listener>, socket: Socket, peer: SocketAddr) {
    let opened = listener.connections.open();
    let generation = listener.generation(node);
    let Some(served) = generation.listener(listener.number) else { return };
    let most = served.settings.limits.connections;
    if node.listeners.connections() > generation.settings.node.limits.connections || listener.connections.count() > most
    {
        node.metrics.connections_refused.fetch_add(1, Ordering::Relaxed);
        return;
    }
    tasks::spawn(connection(node.clone(), listener.clone(), opened, socket, peer, served.settings.clone()));
}

/// Serves one connection to its end. What is before HTTP goes by the settings of when it was accepted.
async fn connection(
    node: Arc<Node>,
    listener: Arc<Listener>,
    opened: Opened,
    socket: Socket,
    peer: SocketAddr,
    settings: Arc<ListenerSettings>,
) {
    socket.without_delay();
    let begun = Begun::default();
    let wire = Wire::new(socket, begun.clone());
    let opens =
        tokio::time::timeout(settings.limits.first_byte_timeout, open(wire, peer, &settings, &listener.addresses));
    let Some(arrived) = opened.drive(Opening { opens: Box::pin(opens), begun, finish: false }).await.flatten() else {
        return;
    };
    let Arrived { transport, peer, http2: speaks_http2, secure, certificate, counted } = match arrived {
        Ok(Ok(arrived)) => arrived,
        Ok(Err(NotOpened::TooMany)) => {
            node.metrics.connections_refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        Ok(Err(NotOpened::Broken(why))) => {
            node.metrics.not_opened.fetch_add(1, Ordering::Relaxed);
            if lacks_a_list(&why) && listener.tells_of_lists(&node) {
                tracing::warn!(
                    listener = settings.name,
                    "a client's certificate was refused: {why}; renew what `crl` names"
                );
            }
            tracing::debug!(%peer, listener = settings.name, "a connection came to no request: {why}");
            return;
        }
        // Nothing came, or too slowly.
        Err(_) => return,
    };
    let caller = Caller { peer, secure, certificate };
    let (admitted, word) = (settings.admits(), opened.word());
    let client = Client { node, listener, caller, counted: Arc::new(counted), admitted, word };
    match speaks_http2 {
        true => http2::serve_connection(client, &opened, &settings.limits, transport).await,
        false => http1::serve_connection(&client, &opened, &settings.limits, transport).await,
    }
}
