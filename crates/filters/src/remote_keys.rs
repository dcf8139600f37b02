//! The public keys of somebody else, an issuer or a client: fetched through an upstream, remembered, and fetched anew in time.
//!
//! - Keys are fetched when they are first needed, and anew after `renew`: one request does that, the others go on with the keys there are.
//! - A token that names a key which is not among them fetches them once more: there may be a new one. Not more often than every 30 s,
//!   since anybody can write a token that names a key.
//! - A fetch that fails leaves the keys that there are, until they are older than `keep`. Then nobody is let in: a key that was taken
//!   back must not count for ever because nobody can say so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::lock::Mutex as Turn;
use http::{HeaderValue, Request, StatusCode, header};

use ::oauth::Issuer;
use ::oauth::jose::KeySet;
use ::oauth::provider::discovery;
use policy::ports::{Clock, UpstreamHandle};
use policy::{Abort, Body, ReasonCode};

/// A key set or a document is no larger.
const LARGEST: usize = 256 * 1024;
/// A fetch for a key that is not known follows another one so much later, nanoseconds.
const ASKED_AGAIN: u64 = 30 * SECOND;
/// A fetch that failed is followed by another one so much later.
const AFTER_FAILURE: u64 = 2 * SECOND;
const SECOND: u64 = 1_000_000_000;

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Location {
    /// At this path of the upstream.
    Path(String),
    /// At this path, in the name of this host.
    At { host: String, path: String },
    /// Where the issuer's own metadata says.
    Metadata(Issuer),
}

/// Whose keys they are, and the way to them.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) upstream: &'a UpstreamHandle,
    pub(crate) location: &'a Location,
    /// For the log: `the keys of the tokens' issuer`.
    pub(crate) whose: &'static str,
    /// The fault, where they cannot be had.
    pub(crate) unavailable: ReasonCode,
}

/// How long keys count, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ages {
    /// Older ones are fetched anew.
    pub renew: u64,
    /// Older ones do not count.
    pub keep: u64,
}

/// The keys as they were fetched. It outlives a reload.
#[derive(Default)]
pub(crate) struct RemoteKeys {
    state: Mutex<State>,
    /// Held by whoever fetches.
    turn: Turn<()>,
}

#[derive(Default)]
struct State {
    keys: Option<(Arc<KeySet>, u64)>,
    failed_at: Option<u64>,
    /// When a key was last looked for that was not among them.
    asked_at: Option<u64>,
}

impl RemoteKeys {
    /// The keys, no older than they may be.
    pub(crate) async fn get(&self, way: Way<'_>, ages: Ages, clock: &dyn Clock) -> Result<Arc<KeySet>, Abort> {
        let now = clock.monotonic_nanos();
        if let Some((keys, at)) = self.known().filter(|(_, at)| now.saturating_sub(*at) < ages.keep) {
            let is_old = now.saturating_sub(at) >= ages.renew && !self.has_just_failed(now);
            // Whoever comes first fetches them; the others need not wait.
            return Ok(match self.turn.try_lock() {
                Some(_turn) if is_old => self.fetch(way, clock).await.unwrap_or(keys),
                _ => keys,
            });
        }
        let _turn = self.turn.lock().await;
        // Somebody else may have fetched them meanwhile, or tried to.
        let now = clock.monotonic_nanos();
        let known = self.known().filter(|(_, at)| now.saturating_sub(*at) < ages.keep);
        match known {
            Some((keys, _)) => Ok(keys),
            None if self.has_just_failed(now) => Err(way.unavailable("they could not be fetched a moment ago")),
            None => self.fetch(way, clock).await,
        }
    }

    /// The keys as the issuer has them now, where one is named that is not among `known`; `None` where that was asked a moment ago.
    pub(crate) async fn newer(&self, known: &Arc<KeySet>, way: Way<'_>, clock: &dyn Clock) -> Option<Arc<KeySet>> {
        let _turn = self.turn.lock().await;
        // Somebody else has fetched them meanwhile.
        if let Some((keys, _)) = self.known().filter(|(keys, _)| !Arc::ptr_eq(keys, known)) {
            return Some(keys);
        }
        let now = clock.monotonic_nanos();
        if !self.may_ask(now) {
            return None;
        }
        self.fetch(way, clock).await.ok()
    }

    async fn fetch(&self, way: Way<'_>, clock: &dyn Clock) -> Result<Arc<KeySet>, Abort> {
        // From before they were asked for.
        let at = clock.monotonic_nanos();
        let fetched = fetch(way.upstream, way.location).await;
        let mut state = self.lock();
        match fetched {
            Ok(keys) => {
                let keys = Arc::new(keys);
                (state.keys, state.failed_at) = (Some((keys.clone(), at)), None);
                Ok(keys)
            }
            Err(why) => {
                state.failed_at = Some(clock.monotonic_nanos());
                Err(way.unavailable(&why))
            }
        }
    }

    fn known(&self) -> Option<(Arc<KeySet>, u64)> {
        self.lock().keys.clone()
    }

    /// Whether a key may be looked for now that is not among those that are known; it counts as done.
    fn may_ask(&self, now: u64) -> bool {
        let mut state = self.lock();
        let may = state.asked_at.is_none_or(|at| now.saturating_sub(at) >= ASKED_AGAIN);
        if may {
            state.asked_at = Some(now);
        }
        may
    }

    fn has_just_failed(&self, now: u64) -> bool {
        self.lock().failed_at.is_some_and(|at| now.saturating_sub(at) < AFTER_FAILURE)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch(from: &UpstreamHandle, location: &Location) -> Result<KeySet, String> {
    let (host, found) = match location {
        Location::Path(path) => (None, path.clone()),
        Location::At { host, path } => (Some(host.as_str()), path.clone()),
        Location::Metadata(issuer) => (None, in_metadata(from, issuer).await?),
    };
    let body = match get(from, host, &found).await? {
        (StatusCode::OK, body) => body,
        // Nor is it followed elsewhere (D92).
        (status, _) => return Err(format!("`{found}` answers {status}")),
    };
    let keys = serde_json::from_slice(&body).ok().and_then(|json| KeySet::parse(&json));
    keys.ok_or_else(|| format!("`{found}` is no key set (RFC 7517, section 5)"))
}

/// The path of the keys, as the issuer's metadata says. It must be at the issuer's own host: no other is reached by the upstream.
async fn in_metadata(from: &UpstreamHandle, issuer: &Issuer) -> Result<String, String> {
    for url in discovery::locations(issuer) {
        let path = &url[issuer.origin().len()..];
        let body = match get(from, None, path).await? {
            (StatusCode::OK, body) => body,
            (StatusCode::NOT_FOUND, _) => continue,
            (status, _) => return Err(format!("its metadata at `{path}` answers {status}")),
        };
        let endpoints = discovery::read(issuer, &body).map_err(|why| format!("its metadata at `{path}`: {why}"))?;
        let jwks = endpoints.jwks.ok_or_else(|| format!("its metadata at `{path}` names no `jwks_uri`"))?;
        let path = jwks.strip_prefix(issuer.origin()).filter(|path| path.starts_with('/'));
        return path.map(str::to_owned).ok_or_else(|| {
            String::from("its `jwks_uri` is at another host: name that as the `upstream`, and the path as `jwks`")
        });
    }
    Err(String::from("it has no metadata: name the path of its keys as `jwks`"))
}

async fn get(from: &UpstreamHandle, host: Option<&str>, path: &str) -> Result<(StatusCode, Bytes), String> {
    let mut request = Request::get(path)
        .header(header::ACCEPT, HeaderValue::from_static("application/json, application/jwk-set+json"));
    if let Some(host) = host {
        request = request.header(header::HOST, host);
    }
    let request = request.body(Body::Empty).map_err(|_| format!("`{path}` is no path"))?;
    let (head, body) = from.0.send(request).await.map_err(|why| why.to_string())?.into_parts();
    let body = body.collect(LARGEST).await.map_err(|_| format!("the answer of `{path}` is too large, or broke off"))?;
    Ok((head.status, body))
}

impl Way<'_> {
    fn unavailable(&self, why: &str) -> Abort {
        Abort::unavailable(self.unavailable, format!("{}: {why}", self.whose))
    }
}
