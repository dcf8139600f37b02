//! The public keys of a client: those that it registered (`jwks`), or those that are where it said (`jwks_uri`). The latter are fetched from
//! places that the operator named (`[client_keys]` of `oauth/server.toml`), each through its upstream, and from nowhere else (D92): no name
//! that a client wrote is resolved, no redirection is followed, and an answer is bounded in size and time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ::oauth::jose::KeySet;
use ::oauth::keys_uri::KeysUri;
use policy::ports::{Clock, DOCUMENTS, UpstreamHandle};
use policy::{Abort, BuildContext, Diagnostics, ReasonCode};
use store::Client;

use super::server::Server;
use crate::remote_keys::{Ages, Location, RemoteKeys, Way};

/// The keys of a client cannot be had.
const KEYS_UNAVAILABLE: ReasonCode = ReasonCode::new("client-keys-unavailable");

const SECOND: u64 = 1_000_000_000;
/// A key that a client took off is believed for five minutes at most, and for an hour where its host is silent.
const AGES: Ages = Ages { renew: 300 * SECOND, keep: 3_600 * SECOND };
/// Places whose keys are remembered.
const MOST: usize = 1_000;

/// Where keys are fetched from, and what was fetched.
pub(super) struct ClientKeys {
    /// Origins, each with its upstream.
    from: Vec<(String, Arc<UpstreamHandle>)>,
    fetched: Arc<Fetched>,
}

/// The keys by the places that they are from. It outlives a reload.
#[derive(Default)]
struct Fetched(Mutex<HashMap<String, Arc<RemoteKeys>>>);

/// The keys of a client, and where newer ones may be.
pub(super) struct Keys<'a> {
    pub(super) set: Arc<KeySet>,
    from: Option<(&'a UpstreamHandle, Location, Arc<RemoteKeys>)>,
}

impl ClientKeys {
    pub(super) fn build(server: &Server, cx: &mut BuildContext<'_>) -> Result<ClientKeys, Diagnostics> {
        let mut from = Vec::new();
        for (origin, upstream, place) in server.client_keys(cx) {
            from.push((origin, cx.resource_at::<UpstreamHandle>(DOCUMENTS, &upstream, place)?));
        }
        if !from.is_empty() {
            cx.aborts_rarely(&[KEYS_UNAVAILABLE]);
        }
        let shape: Vec<String> = from.iter().map(|(origin, _)| origin.clone()).collect();
        Ok(ClientKeys { from, fetched: cx.keep(shape, Fetched::default) })
    }

    /// The keys of a client; `None` where it has none, or says that they are where nothing is fetched from.
    pub(super) async fn of<'a>(&'a self, client: &Client, clock: &dyn Clock) -> Result<Option<Keys<'a>>, Abort> {
        if let Some(jwks) = &client.metadata.jwks {
            return Ok(KeySet::parse(jwks).map(|set| Keys { set: Arc::new(set), from: None }));
        }
        let Some(uri) = client.metadata.jwks_uri.as_deref() else { return Ok(None) };
        let Some(place) = KeysUri::parse(uri) else { return Ok(None) };
        let Some((_, upstream)) = self.from.iter().find(|(origin, _)| origin == place.origin) else { return Ok(None) };
        let location = Location::At { host: place.authority().to_owned(), path: place.path.to_owned() };
        let remote = self.fetched.at(uri);
        let set = remote.get(way(upstream, &location), AGES, clock).await?;
        Ok(Some(Keys { set, from: Some((upstream, location, remote)) }))
    }
}

impl Keys<'_> {
    /// The keys as they are now, where one is asked for that is not among them; `None` where that was asked a moment ago.
    pub(super) async fn newer(&self, clock: &dyn Clock) -> Option<Arc<KeySet>> {
        let (upstream, location, remote) = self.from.as_ref()?;
        remote.newer(&self.set, way(upstream, location), clock).await
    }
}

impl Fetched {
    fn at(&self, uri: &str) -> Arc<RemoteKeys> {
        let mut fetched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = fetched.get(uri) {
            return known.clone();
        }
        if fetched.len() >= MOST {
            // Whichever: it is fetched anew when it is needed.
            let one = fetched.keys().next().cloned();
            one.and_then(|one| fetched.remove(&one));
        }
        fetched.entry(uri.to_owned()).or_default().clone()
    }
}

fn way<'a>(upstream: &'a UpstreamHandle, location: &'a Location) -> Way<'a> {
    Way { upstream, location, whose: "the keys of the client", unavailable: KEYS_UNAVAILABLE }
}
