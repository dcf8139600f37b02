//! One address of a target: its connections, what goes on there, and how it has done of late.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body::{Frame, SizeHint};
use policy::exchange::BoxError;
use policy::ports::UpstreamError;

use super::connector::Connector;
use super::counters::Counters;
use super::eject::Record;
use super::head::SendError;
use super::link::Link;
use super::outgoing::{Aim, Outgoing};
use super::pool::Pool;
use super::session::{Place, Sessions};
use super::settings::{HttpVersion, Limits, Target, Timeouts};
use super::slots::{Slot, Slots};

/// The address. It lives on over reloads for as long as its target does, whatever else of the upstream changes.
pub(super) struct Endpoint {
    /// The target, as the settings write it.
    pub(super) url: String,
    pub(super) address: SocketAddr,
    /// `Host`, where the request has none of its own.
    pub(super) host: HeaderValue,
    pub(super) connector: Connector,
    pub(super) pool: Pool,
    sessions: Sessions,
    slots: Arc<Slots>,
    /// It has agreed on HTTP/1.1.
    speaks_one: AtomicBool,
    /// Requests in flight.
    pub(super) active: AtomicU32,
    /// Requests that were sent to it.
    pub(super) requests: AtomicU64,
    /// Health checks have found it to be down.
    pub(super) down: AtomicBool,
    /// Health checks in a row that say otherwise.
    pub(super) streak: AtomicU32,
    pub(super) record: Record,
}

/// A connection that a request may go on.
pub(super) struct Connection {
    pub(super) carrier: Carrier,
    /// It has carried others before: the other side may be closing it just now.
    pub(super) kept: bool,
}

/// What carries a request, and its answer.
pub(super) enum Carrier {
    /// A connection of its own.
    Link(Box<Link>),
    /// A place on a shared one.
    Place(Place),
}

/// What a connection is got under.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) limits: &'a Limits,
    pub(super) timeouts: &'a Timeouts,
    pub(super) counters: &'a Counters,
    /// It is to switch protocols, so it is spoken to in HTTP/1.1 where that can be agreed on.
    pub(super) switches: bool,
}

impl Endpoint {
    pub(super) fn new(target: &Target, address: SocketAddr) -> Endpoint {
        let host = HeaderValue::from_str(&target.authority());
        Endpoint {
            url: target.url(),
            address,
            host: host.expect("the settings took only names and addresses"),
            connector: Connector::new(&target.way, &target.host),
            pool: Pool::default(),
            sessions: Sessions::default(),
            slots: Arc::default(),
            speaks_one: AtomicBool::new(false),
            active: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            down: AtomicBool::new(false),
            streak: AtomicU32::new(0),
            record: Record::default(),
        }
    }

    /// Whether a target has this endpoint at this address.
    pub(super) fn is(&self, target: &Target, address: SocketAddr) -> bool {
        self.address == address && self.url == target.url() && self.connector.is(&target.way)
    }

    /// Whether it gets requests while others could.
    pub(super) fn is_usable(&self, now: u64) -> bool {
        !self.down.load(Ordering::Relaxed) && !self.record.is_out(now)
    }

    /// A connection where none is [`kept`](Self::kept): a new one, or what becomes free.
    pub(super) async fn connection(&self, fresh: bool, terms: Terms<'_>) -> Result<Connection, UpstreamError> {
        let slot = match self.slots.take(terms.limits.connections) {
            Some(slot) => slot,
            None => match self.awaited(fresh, terms).await? {
                Free::Kept(connection) => return Ok(connection),
                Free::Slot(slot) => slot,
            },
        };
        let limit = terms.timeouts.connect;
        let making = match self.may_share(terms.switches) {
            false => None,
            true => match tokio::time::timeout(limit, self.sessions.making()).await {
                Ok(making) => making,
                Err(_) => return Err(UpstreamError::Timeout("connect")),
            },
        };
        if making.is_some()
            && let Some(place) = self.sessions.place(terms.limits.streams)
        {
            return Ok(Connection { carrier: Carrier::Place(place), kept: true });
        }
        let (stream, two) = self.connector.connect(self.address, limit, terms.switches).await?;
        let carrier = if two {
            self.sessions.begin(stream, slot, &self.slots).await.map(Carrier::Place)
        } else {
            if !terms.switches {
                self.speaks_one.store(true, Ordering::Relaxed);
            }
            Ok(Carrier::Link(Link::over(stream, slot)))
        };
        Ok(Connection { carrier: carrier.map_err(UpstreamError::Unreachable)?, kept: false })
    }

    /// Whether a new connection is perhaps one that many share: then one at a time is made.
    fn may_share(&self, switches: bool) -> bool {
        match self.connector.http() {
            HttpVersion::One => false,
            HttpVersion::Auto if switches => false,
            HttpVersion::Two => true,
            HttpVersion::Auto => self.connector.scheme() == "https" && !self.speaks_one.load(Ordering::Relaxed),
        }
    }

    /// An open connection with room for this request; a `fresh` one is shared.
    pub(super) fn kept(&self, fresh: bool, terms: Terms<'_>) -> Option<Connection> {
        let place = match self.connector.http() {
            HttpVersion::One => None,
            HttpVersion::Auto if terms.switches => None,
            HttpVersion::Two | HttpVersion::Auto => self.sessions.place(terms.limits.streams).map(Carrier::Place),
        };
        let link = || if fresh { None } else { self.pool.take().map(Carrier::Link) };
        place.or_else(link).map(|carrier| Connection { carrier, kept: true })
    }

    /// What becomes free, for those who wait within bounds.
    async fn awaited(&self, fresh: bool, terms: Terms<'_>) -> Result<Free, UpstreamError> {
        let _pending = terms.counters.pending(terms.limits.pending)?;
        let look = || {
            let kept = self.kept(fresh, terms).map(Free::Kept);
            kept.or_else(|| self.slots.take(terms.limits.connections).map(Free::Slot))
        };
        match tokio::time::timeout(terms.limits.wait, self.slots.wait(look)).await {
            Ok(free) => Ok(free),
            Err(_) => Err(terms.counters.full("connections")),
        }
    }

    /// Keeps a connection for the next request, unless there are more than these.
    pub(super) fn give(&self, link: Box<Link>, limit: u32) {
        if self.slots.open() <= limit {
            self.pool.give(link);
            self.slots.free();
        }
    }

    /// Drops idle connections that the other side closed.
    pub(super) fn sweep(&self, now: u64) {
        self.pool.sweep();
        self.sessions.sweep(now);
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> u32 {
        self.slots.open()
    }
}

/// What a request that waited got.
enum Free {
    Kept(Connection),
    Slot(Slot),
}

impl Carrier {
    /// Sends a request and gives the head of its answer. Its body is there afterwards where nothing of the request was sent.
    pub(super) async fn send(&mut self, request: &mut Outgoing, aim: Aim<'_>) -> Result<Response<()>, SendError> {
        match self {
            Carrier::Link(link) => link.send(request, aim).await,
            // hyper's future is large, and most upstreams speak HTTP/1.1.
            Carrier::Place(place) => Box::pin(place.send(request, aim)).await,
        }
    }

    /// The next piece of the answer's body.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Carrier::Link(link) => link.poll_frame(cx),
            Carrier::Place(place) => place.poll_frame(cx),
        }
    }

    /// Whether all of the answer was given.
    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Carrier::Link(link) => link.is_end_stream(),
            Carrier::Place(place) => place.is_end_stream(),
        }
    }

    /// How much of its body is to come.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Carrier::Link(link) => link.size_hint(),
            Carrier::Place(place) => place.size_hint(),
        }
    }
}
