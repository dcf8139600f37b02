//! The [`Upstream`] port over HTTP/1.1 and HTTP/2: several targets, pooled connections, limits, another try where that is safe, and
//! nothing of a connection passed on.
//!
//! A request's way: it is counted in ([`counters`]), an address is chosen ([`balance`], among those that [`resolve`] found and that
//! [`health`] and [`eject`] leave), it gets a connection there ([`endpoint`]: [`link`] or [`session`]) and is sent ([`attempt`]);
//! where that fails it may go to another address ([`retry`]); the answer's body brings the connection back ([`answer`]).

mod answer;
mod attempt;
mod balance;
mod connector;
mod counters;
mod eject;
mod endpoint;
mod head;
mod health;
mod keep;
mod link;
mod observed;
mod outgoing;
mod pool;
mod provider;
mod resolve;
mod retry;
mod sent;
mod session;
mod settings;
mod slots;
mod stream;
#[cfg(test)]
mod tests;
mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderValue, Request, Response, StatusCode, header};
use policy::Body;
use policy::exchange::{Upgrade, Upgraded};
use policy::ports::{BalanceKey, BoxFuture, Clock, Fields, Repeatable, Upstream, UpstreamError};
use smallvec::SmallVec;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::answer::Bounds;
use self::attempt::{Answered, Attempt, Failed};
use self::balance::{Chooser, Lineup, Seat, Wish};
use self::counters::Counters;
use self::eject::Ending;
use self::endpoint::{Carrier, Endpoint, Terms};
use self::link::Link;
pub(crate) use self::observed::{ObservedTarget, ObservedUpstream};
use self::outgoing::{Facts, Outgoing};
pub(crate) use self::provider::{Tasks, Whole};
pub(crate) use self::resolve::is_admin;
use self::retry::Budget;
use self::sent::Watch;
pub(crate) use self::settings::{
    Balance, Ejection, Health, HttpVersion, Limits, Retries, Target, Timeouts, UpstreamSettings, Way,
};
pub(crate) use self::tls::{Identity, TlsSettings, Wrong};
use crate::hop;

/// An upstream of one generation. What a reload changes nothing of is taken over.
pub(crate) struct HttpUpstream {
    core: Arc<Core>,
    begun: AtomicBool,
}

/// What requests of it have in common; those in flight hold it.
struct Core {
    name: Arc<str>,
    settings: UpstreamSettings,
    lineup: ArcSwap<Lineup>,
    /// The addresses of each target, as far as they are known.
    addresses: Mutex<Vec<Vec<SocketAddr>>>,
    /// One look-up at a time.
    looking: Semaphore,
    /// The last one, where it failed.
    failed: Mutex<Option<FailedLookUp>>,
    chooser: Chooser,
    counters: Arc<Counters>,
    budget: Arc<Budget>,
    /// Addresses are left out one at a time.
    ejecting: Mutex<()>,
    clock: Arc<dyn Clock>,
}

/// For how long a look-up that failed is not tried again for a request: clients would else decide how often the resolver is asked.
const AGAIN: Duration = Duration::from_secs(1);

/// A look-up that brought nothing.
#[derive(Clone)]
struct FailedLookUp {
    why: String,
    at: Instant,
}

impl HttpUpstream {
    /// Makes it: nothing is asked of the network. Targets that the one before has, too, keep their connections and what is known
    /// of them.
    pub(crate) fn new(
        name: &str,
        settings: UpstreamSettings,
        clock: Arc<dyn Clock>,
        before: Option<&HttpUpstream>,
    ) -> Self {
        let before = before.map(|before| &*before.core);
        let known = |target: &Target| match (resolve::literal(target), before) {
            (Some(address), _) => vec![address],
            (None, Some(before)) => before.known(target),
            (None, None) => Vec::new(),
        };
        let addresses: Vec<_> = settings.targets.iter().map(known).collect();
        let core = Core {
            name: Arc::from(name),
            lineup: ArcSwap::default(),
            looking: Semaphore::new(1),
            failed: Mutex::default(),
            chooser: Chooser::default(),
            counters: before.map(|before| before.counters.clone()).unwrap_or_default(),
            budget: before.map(|before| before.budget.clone()).unwrap_or_default(),
            ejecting: Mutex::default(),
            addresses: Mutex::default(),
            settings,
            clock,
        };
        core.line_up(addresses, &before.map(|before| before.lineup.load_full()).unwrap_or_default());
        HttpUpstream { core: Arc::new(core), begun: AtomicBool::new(false) }
    }

    pub(crate) fn settings(&self) -> &UpstreamSettings {
        &self.core.settings
    }

    /// It belongs to a generation that serves: begins what is done beside requests, unless that goes on already.
    pub(crate) fn begin(self: &Arc<Self>) {
        if !self.begun.swap(true, Ordering::Relaxed) {
            keep::keep(self);
        }
    }
}

impl Upstream for HttpUpstream {
    fn send(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>> {
        self.send_with(request, Fields::default())
    }

    fn send_with(
        &self,
        request: Request<Body>,
        fields: Fields,
    ) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>> {
        let request = Outgoing::new(request, fields);
        match self.core.settings.timeouts.whole {
            None => Box::pin(self.core.exchange(request, None)),
            Some(whole) => Box::pin(async move {
                let until = Instant::now() + whole;
                let exchange = self.core.exchange(request, Some(until));
                tokio::time::timeout_at(until, exchange).await.unwrap_or(Err(UpstreamError::Timeout("whole")))
            }),
        }
    }

    fn is_at(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.core.settings.is_at(scheme, host, port)
    }
}

impl Core {
    /// Sends it, to one address after another where that is needed. What is large is the future's own, and not given to it: an `async fn` has room
    /// for its arguments twice.
    #[allow(clippy::manual_async_fn, reason = "what is large is not an argument of the future")]
    fn exchange(
        self: &Arc<Self>,
        (mut request, facts): (Box<Outgoing>, Facts),
        until: Option<Instant>,
    ) -> impl Future<Output = Result<Response<Body>, UpstreamError>> + use<'_> {
        async move {
            let Core { settings: UpstreamSettings { limits, timeouts, retries, .. }, counters, .. } = &**self;
            let mut going = Going::enter(self, limits.requests, facts.watch.clone())?;
            self.budget.earn(retries.budget);
            let key = request.parts.extensions.remove::<BalanceKey>();
            let declared = request.parts.extensions.remove::<Repeatable>().is_some();
            let repeatable = declared || retries.may_repeat(&request.parts.method);
            let mut tried = Tried::new();
            loop {
                let endpoint = self.choose(key.as_ref(), &tried).await?;
                going.moves_to(&endpoint);
                let last = tried.len() >= retries.attempts as usize;
                let first_byte = until.map_or(timeouts.first_byte, |until| {
                    timeouts.first_byte.min(until.saturating_duration_since(Instant::now()))
                });
                let terms = Terms { switches: facts.upgrade.is_some(), ..self.terms() };
                match (Attempt { endpoint: &endpoint, terms, facts: &facts, limit: first_byte, repeatable })
                    .send(&mut request)
                    .await
                {
                    Ok(Answered { head, carrier, again: true })
                        if !last && retries.after_answer(head.status()) && self.affords() =>
                    {
                        self.judge(&endpoint, Ending::of(head.status()));
                        // Where all of it is there already, its connection is kept.
                        let unjudged = Going::unjudged(self.clone(), endpoint.clone());
                        drop(self.answer(head, carrier, unjudged, until, None));
                    }
                    Ok(Answered { head, carrier, .. }) => {
                        return self.answer(head, carrier, going, until, facts.upgrade);
                    }
                    Err(Failed { error, cause, again }) => {
                        if !matches!(error, UpstreamError::RequestBody(_) | UpstreamError::Full(_)) {
                            self.judge(&endpoint, Ending::Fault);
                        }
                        if until.is_some_and(|until| until <= Instant::now()) {
                            return Err(UpstreamError::Timeout("whole"));
                        }
                        if !again || last || !retries.after(cause) || !self.affords() {
                            return Err(error);
                        }
                    }
                }
                counters.retries.fetch_add(1, Ordering::Relaxed);
                tried.push(endpoint);
                if !self.has_others(&tried) {
                    let doubled = 1 << (tried.len() - 1).min(6);
                    tokio::time::sleep(self.chooser.jitter(retries.backoff * doubled)).await;
                }
            }
        }
    }

    /// The answer, as soon as its head is there; what belongs to the connection is taken off.
    fn answer(
        &self,
        head: Response<()>,
        carrier: Carrier,
        going: Going,
        until: Option<Instant>,
        upgrade: Option<Upgrade>,
    ) -> Result<Response<Body>, UpstreamError> {
        let (mut parts, ()) = head.into_parts();
        let malformed = |why: &str| {
            going.ended(Ending::Fault);
            Err(UpstreamError::Malformed(String::from(why)))
        };
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            let (Some(Upgrade(asked)), Carrier::Link(link)) = (upgrade, carrier) else {
                return malformed("it switched protocols unasked");
            };
            let mut named = parts.headers.get_all(header::UPGRADE).iter();
            let is_it = |named: &HeaderValue| named.as_bytes().eq_ignore_ascii_case(asked.as_bytes());
            if !named.next().is_some_and(is_it) || named.next().is_some() {
                return malformed("it switched to another protocol than was asked for");
            }
            going.ended(Ending::of(parts.status));
            return Ok(switched(parts, link, going, asked));
        }
        hop::strip(&mut parts.headers);
        let bounds = Bounds { idle: self.settings.timeouts.idle, until };
        let sent = going.body.clone();
        match answer::body(carrier, going, bounds, Ending::of(parts.status)) {
            Ok(body) => Ok(Response::from_parts(parts, body)),
            Err(why) if sent.is_some_and(|sent| sent.failed()) => Err(UpstreamError::RequestBody(why.to_string())),
            Err(why) => Err(UpstreamError::Unreachable(format!("the answer broke off: {why}"))),
        }
    }

    fn terms(&self) -> Terms<'_> {
        let UpstreamSettings { limits, timeouts, .. } = &self.settings;
        Terms { limits, timeouts, counters: &self.counters, switches: false }
    }

    /// The address for a request. It waits for a look-up only where no address is known at all.
    async fn choose(&self, key: Option<&BalanceKey>, tried: &Tried) -> Result<Arc<Endpoint>, UpstreamError> {
        let choose = || {
            let lineup = self.lineup.load();
            // With one address there is nothing to know.
            let now = if lineup.seats.len() > 1 { self.clock.monotonic_nanos() } else { 0 };
            let wish = Wish {
                balance: self.settings.balance,
                key: key.map(|key| &*key.0),
                tried,
                now,
                slow_start: self.settings.slow_start,
            };
            self.chooser.choose(&lineup, &wish)
        };
        if let Some(endpoint) = choose() {
            return Ok(endpoint);
        }
        let first = async {
            let _looking = self.looking.acquire().await;
            match self.failed_just_now() {
                _ if !self.lineup.load().seats.is_empty() => Ok(()),
                Some(why) => Err(why),
                None => self.look_up_now().await,
            }
        };
        // Rare, and larger than all the rest: it has no room in the future of every request.
        match Box::pin(tokio::time::timeout(self.settings.timeouts.connect, first)).await {
            Ok(Ok(())) => choose().ok_or_else(|| UpstreamError::Unreachable(String::from("it has no address"))),
            Ok(Err(why)) => Err(UpstreamError::Unreachable(why)),
            Err(_) => Err(UpstreamError::Timeout("connect")),
        }
    }

    /// Whether a request has not been everywhere yet.
    fn has_others(&self, tried: &Tried) -> bool {
        let lineup = self.lineup.load();
        lineup.seats.iter().any(|seat| !tried.iter().any(|tried| Arc::ptr_eq(tried, &seat.endpoint)))
    }

    /// Whether one more try is paid for.
    fn affords(&self) -> bool {
        let seconds = self.clock.monotonic_nanos() / 1_000_000_000;
        let affords = self.budget.spend(self.settings.retries.budget, seconds);
        if !affords {
            self.counters.unaffordable.fetch_add(1, Ordering::Relaxed);
        }
        affords
    }

    /// What an ending says of the address; one too many, and it is left out for a while, unless too many are already.
    fn judge(&self, endpoint: &Endpoint, ending: Ending) {
        let rule = &self.settings.ejection;
        if !endpoint.record.is_too_much(ending, rule) {
            return;
        }
        let _one_at_a_time = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let (lineup, now) = (self.lineup.load(), self.clock.monotonic_nanos());
        let out = lineup.seats.iter().filter(|seat| seat.endpoint.record.is_out(now)).count();
        if endpoint.record.is_out(now) || (out + 1) * 100 > lineup.seats.len() * rule.share as usize {
            return;
        }
        let time = endpoint.record.eject(now, rule);
        let (upstream, target, address) = (&*self.name, &endpoint.url, endpoint.address);
        tracing::warn!(upstream, target, %address, "the target is left out for {time:?}: too many faults in a row");
    }

    /// Whether any target has a name that leads to addresses.
    fn has_names(&self) -> bool {
        self.settings.targets.iter().any(|target| resolve::literal(target).is_none())
    }

    /// The addresses of the target of the same name, as far as they are known.
    fn known(&self, target: &Target) -> Vec<SocketAddr> {
        let same = |own: &&Target| own.host == target.host && own.port == target.port;
        let at = self.settings.targets.iter().position(|own| same(&own));
        at.and_then(|at| self.addresses().get(at).cloned()).unwrap_or_default()
    }

    /// Looks all names up.
    async fn look_up(&self) -> Result<(), String> {
        let _looking = self.looking.acquire().await;
        self.look_up_now().await
    }

    async fn look_up_now(&self) -> Result<(), String> {
        let before = self.addresses().clone();
        let targets = self.settings.targets.iter().enumerate();
        let looked = futures_util::future::join_all(targets.map(async |(at, target)| match resolve::literal(target) {
            Some(address) => Ok(vec![address]),
            None => resolve::look_up(target, self.settings.admin).await.map_err(|why| (at, why)),
        }));
        let (mut after, mut failed) = (Vec::new(), None);
        for found in looked.await {
            after.push(match found {
                Ok(found) => found,
                Err((at, why)) => {
                    failed = Some(why);
                    before.get(at).cloned().unwrap_or_default()
                }
            });
        }
        if after != before {
            self.line_up(after, &self.lineup.load_full());
        }
        let failed = failed.map(|why| FailedLookUp { why, at: Instant::now() });
        let before = std::mem::replace(&mut *self.last_failure(), failed.clone());
        // Told when it begins, changes and ends: how often it is tried may be for clients to say.
        match (&before, &failed) {
            (Some(before), Some(failed)) if before.why == failed.why => {}
            (_, Some(FailedLookUp { why, .. })) => {
                tracing::warn!(upstream = &*self.name, "{why}: what was known of it before stays");
            }
            (Some(_), None) => tracing::info!(upstream = &*self.name, "its names can be looked up again"),
            (None, None) => {}
        }
        failed.map_or(Ok(()), |failed| Err(failed.why))
    }

    /// Why the last look-up failed, where that was a moment ago.
    fn failed_just_now(&self) -> Option<String> {
        let failed = self.last_failure();
        failed.as_ref().filter(|failed| failed.at.elapsed() < AGAIN).map(|failed| failed.why.clone())
    }

    fn last_failure(&self) -> MutexGuard<'_, Option<FailedLookUp>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines these addresses up, one list a target; who was there before stays who it was.
    fn line_up(&self, addresses: Vec<Vec<SocketAddr>>, before: &Lineup) {
        let now = self.clock.monotonic_nanos();
        let seat = |target: &Target, address: SocketAddr| {
            let stays = before.seats.iter().find(|seat| seat.endpoint.is(target, address));
            let endpoint = stays.map(|seat| seat.endpoint.clone()).unwrap_or_else(|| {
                let new = Endpoint::new(target, address);
                // One that joins others is cold.
                if !before.seats.is_empty() {
                    new.record.comes_back(now);
                }
                Arc::new(new)
            });
            Seat::new(endpoint, target.weight)
        };
        let targets = self.settings.targets.iter().zip(&addresses);
        let seats = targets.flat_map(|(target, found)| found.iter().map(|address| seat(target, *address))).collect();
        self.lineup.store(Arc::new(Lineup::new(seats)));
        *self.addresses() = addresses;
    }

    fn addresses(&self) -> MutexGuard<'_, Vec<Vec<SocketAddr>>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops idle connections that the other side closed.
    fn sweep(&self) {
        let now = self.clock.monotonic_nanos();
        self.lineup.load_full().seats.iter().for_each(|seat| seat.endpoint.sweep(now));
    }
}

/// Where a request was sent to, in order.
type Tried = SmallVec<[Arc<Endpoint>; 2]>;

/// A request in flight: counted at its upstream and at the address where it is, until this goes.
struct Going {
    core: Arc<Core>,
    endpoint: Option<Arc<Endpoint>>,
    /// Whether its end says something of the address.
    judged: bool,
    /// Watches its body, where that streams.
    body: Option<Arc<Watch>>,
}

impl Going {
    /// Counts one in, unless there are as many already.
    fn enter(core: &Arc<Core>, limit: u32, body: Option<Arc<Watch>>) -> Result<Going, UpstreamError> {
        core.counters.enter(limit)?;
        Ok(Going { core: core.clone(), endpoint: None, judged: true, body })
    }

    /// Counts one in whatever the limit, whose end is of no account.
    fn unjudged(core: Arc<Core>, endpoint: Arc<Endpoint>) -> Going {
        core.counters.in_flight.fetch_add(1, Ordering::Relaxed);
        endpoint.active.fetch_add(1, Ordering::Relaxed);
        Going { core, endpoint: Some(endpoint), judged: false, body: None }
    }

    /// It is sent to this address now.
    fn moves_to(&mut self, endpoint: &Arc<Endpoint>) {
        endpoint.active.fetch_add(1, Ordering::Relaxed);
        endpoint.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(before) = self.endpoint.replace(endpoint.clone()) {
            before.active.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Its connection is free for another.
    fn keep(&self, link: Box<Link>) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.give(link, self.core.settings.limits.connections);
        }
    }

    /// Says how it ended. What breaks since the client broke off is nobody's fault here.
    fn ended(&self, ending: Ending) {
        let is_the_clients = ending == Ending::Fault && self.body.as_ref().is_some_and(|body| body.failed());
        if let Some(endpoint) = &self.endpoint
            && self.judged
            && !is_the_clients
        {
            self.core.judge(endpoint, ending);
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.core.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(endpoint) = &self.endpoint {
            endpoint.active.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The answer of an upstream that switched protocols, with the connection, on which it counts as a request in flight.
fn switched(mut parts: http::response::Parts, link: Box<Link>, going: Going, protocol: HeaderValue) -> Response<Body> {
    hop::strip(&mut parts.headers);
    parts.extensions.clear();
    parts.extensions.insert(Upgraded::new(protocol, link.into_tunnel(going)));
    Response::from_parts(parts, Body::Empty)
}
