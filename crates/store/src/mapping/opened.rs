//! The data sources and stores of a mapping, opened.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;

use super::{Mapping, Problem};
use crate::access_tokens::AccessTokens;
use crate::authz_codes::AuthzCodes;
use crate::cached::{CacheSettings, Cached};
use crate::client_access_tokens::ClientAccessTokens;
use crate::clients::Clients;
use crate::consents::Consents;
use crate::counters::Counters;
use crate::device_codes::DeviceCodes;
use crate::guard::{FailurePolicy, Guarded};
use crate::handle::{Kind, StoreHandle};
use crate::kps::Kps;
use crate::moving::{Alone, Moving, Phase};
use crate::replay::Replay;
use crate::seal::Sealer;
use crate::sessions::Sessions;
use crate::signing_keys::SigningKeys;
use crate::source::{DataSource, StoreError, Table};
use crate::sources::SourceSettings;
use crate::successor::Succeeded;
use crate::tables::{ACCESS_TOKEN, TOKEN_GRANT};
use crate::users::Users;

struct OpenedSource {
    settings: SourceSettings,
    guarded: Arc<Guarded>,
}

struct OpenedStore {
    source: String,
    moving: Option<(Phase, String)>,
    kind: Kind,
    failure: FailurePolicy,
    handle: StoreHandle,
    /// The cache before its source, where it has one.
    cache: Option<Arc<Cached>>,
}

/// The data sources and stores of one generation. What did not change since the one before is the same object: connections,
/// threads and caches live on.
pub struct Opened {
    sources: BTreeMap<String, OpenedSource>,
    stores: BTreeMap<String, OpenedStore>,
    sealer: Arc<Sealer>,
}

/// A store whose source is another one than before: its old records stay behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The store.
    pub store: String,
    /// The source before.
    pub from: String,
    /// The source now.
    pub to: String,
}

/// A store that moves.
#[derive(Clone)]
pub struct Move {
    /// The store.
    pub store: String,
    /// Its kind.
    pub kind: Kind,
    /// How far this node is.
    pub phase: Phase,
    /// Where its records were.
    pub old: Arc<Guarded>,
    /// Where they go.
    pub new: Arc<Guarded>,
}

impl Move {
    /// A name for this move: `access-token: local > oauth-db`.
    pub fn name(&self) -> String {
        format!("{}: {} > {}", self.store, self.old.name(), self.new.name())
    }
}

impl Opened {
    /// Makes the stores of a mapping, without any I/O. Relative paths are relative to `base`.
    pub fn new(mapping: &Mapping, base: &Path, previous: Option<&Opened>) -> Result<Opened, Vec<Problem>> {
        let problems = mapping.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let sealer = previous.map(|p| &p.sealer).filter(|sealer| *sealer.encryption() == mapping.encryption);
        let sealer = sealer.cloned().unwrap_or_else(|| Arc::new(Sealer::new(&mapping.encryption, base)));
        let kept = |name: &str, settings: &SourceSettings| {
            let before = previous?.sources.get(name)?;
            (before.settings == *settings).then(|| before.guarded.clone())
        };
        let sources: BTreeMap<String, OpenedSource> = mapping
            .sources
            .iter()
            .map(|(name, settings)| {
                let build = || Arc::new(Guarded::new(name, settings.build(name, base)));
                let guarded = kept(name, settings).unwrap_or_else(build);
                (name.clone(), OpenedSource { settings: settings.clone(), guarded })
            })
            .collect();
        let stores = mapping.stores().into_iter().filter_map(|(name, (kind, source))| {
            let at = |source: &str| Some(&sources.get(source)?.guarded);
            let (guarded, moving) = (at(source)?, mapping.moving(name));
            let beside = moving.and_then(|(phase, other)| Some((phase, at(other)?)));
            let store = mapping.stores.get(name);
            let failure = store.map(|store| store.failure).unwrap_or_default();
            let settings = store.and_then(|store| store.cache);
            let kps = mapping.kps.get(name);
            let kept = previous.and_then(|before| before.kept(name, kind, failure, guarded, beside, settings));
            let kept = kept.filter(|(handle, _)| match handle {
                StoreHandle::Kps(store) => kps.is_some_and(|settings| store.is_for(settings, &sealer)),
                StoreHandle::ClientAccessToken(store) => store.is_for(&sealer),
                StoreHandle::Clients(store) => store.is_for(&sealer),
                StoreHandle::Keys(store) => store.is_for(&sealer),
                _ => true,
            });
            let (handle, cache) = kept.unwrap_or_else(|| {
                let below = over(guarded, beside, failure);
                let cache = cache(kind, &below, settings);
                let source = cache.clone().map_or(below, |cache| cache);
                match kps {
                    Some(settings) => {
                        (StoreHandle::Kps(Arc::new(Kps::new(source, settings.clone(), sealer.clone()))), cache)
                    }
                    None => (handle(name, kind, source, &sealer), cache),
                }
            });
            let (source, moving) = (source.to_owned(), moving.map(|(phase, other)| (phase, other.to_owned())));
            Some((name.to_owned(), OpenedStore { source, moving, kind, failure, handle, cache }))
        });
        let stores = stores.collect();
        Ok(Opened { sources, stores, sealer })
    }

    /// All stores in memory, ready to be used: for tests.
    pub async fn in_memory() -> Opened {
        let mapping = Mapping::in_memory();
        let opened = Opened::new(&mapping, Path::new(""), None).unwrap_or_else(|_| Opened {
            sources: BTreeMap::new(),
            stores: BTreeMap::new(),
            sealer: Arc::new(Sealer::new(&mapping.encryption, Path::new(""))),
        });
        opened.prepare().await;
        opened
    }

    /// The handle of a store and its cache, where it has the same kind, failure policy, sources and cache.
    fn kept(
        &self,
        name: &str,
        kind: Kind,
        failure: FailurePolicy,
        guarded: &Arc<Guarded>,
        beside: Beside<'_>,
        cache: Option<CacheSettings>,
    ) -> Option<(StoreHandle, Option<Arc<Cached>>)> {
        let store = self.stores.get(name).filter(|store| store.kind == kind && store.failure == failure)?;
        let is = |source: &str, guarded| self.sources.get(source).is_some_and(|s| Arc::ptr_eq(&s.guarded, guarded));
        let same = is(&store.source, guarded)
            && store.cache.as_ref().map(|cache| cache.settings()) == cache
            && match (&store.moving, beside) {
                (None, None) => true,
                (Some((was, other)), Some((phase, guarded))) => *was == phase && is(other, guarded),
                _ => false,
            };
        same.then(|| (store.handle.clone(), store.cache.clone()))
    }

    /// This serves from now on: what requests of the one before still ask of its stores is asked of those with the same names here.
    pub fn succeed(&self, before: &Opened) {
        for (name, store) in &before.stores {
            match (&store.handle, self.store(name)) {
                (StoreHandle::AccessToken(was), Some(StoreHandle::AccessToken(is))) => was.succeeded_by(is),
                (StoreHandle::ClientAccessToken(was), Some(StoreHandle::ClientAccessToken(is))) => was.succeeded_by(is),
                (StoreHandle::AuthzCode(was), Some(StoreHandle::AuthzCode(is))) => was.succeeded_by(is),
                (StoreHandle::DeviceCode(was), Some(StoreHandle::DeviceCode(is))) => was.succeeded_by(is),
                (StoreHandle::Consents(was), Some(StoreHandle::Consents(is))) => was.succeeded_by(is),
                (StoreHandle::Counters(was), Some(StoreHandle::Counters(is))) => was.succeeded_by(is),
                (StoreHandle::Clients(was), Some(StoreHandle::Clients(is))) => was.succeeded_by(is),
                (StoreHandle::Users(was), Some(StoreHandle::Users(is))) => was.succeeded_by(is),
                (StoreHandle::Sessions(was), Some(StoreHandle::Sessions(is))) => was.succeeded_by(is),
                (StoreHandle::Keys(was), Some(StoreHandle::Keys(is))) => was.succeeded_by(is),
                (StoreHandle::Replay(was), Some(StoreHandle::Replay(is))) => was.succeeded_by(is),
                _ => {}
            }
        }
    }

    /// Seals and opens what must be recoverable, with the node's keys.
    pub fn sealer(&self) -> &Arc<Sealer> {
        &self.sealer
    }

    /// The store with this name.
    pub fn store(&self, name: &str) -> Option<&StoreHandle> {
        self.stores.get(name).map(|store| &store.handle)
    }

    /// All stores: name, kind, and the name of the source.
    pub fn stores(&self) -> impl Iterator<Item = (&str, Kind, &str)> {
        self.stores.iter().map(|(name, store)| (name.as_str(), store.kind, store.source.as_str()))
    }

    /// The stores that remember rows, with their caches.
    pub fn caches(&self) -> impl Iterator<Item = (&str, &Arc<Cached>)> {
        self.stores.iter().filter_map(|(name, store)| Some((name.as_str(), store.cache.as_ref()?)))
    }

    /// The data source with this name.
    pub fn source(&self, name: &str) -> Option<&Arc<Guarded>> {
        self.sources.get(name).map(|source| &source.guarded)
    }

    /// All data sources, those included that no store in use needs.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Guarded>> {
        self.sources.values().map(|source| &source.guarded)
    }

    /// The data sources behind stores in use: these are opened.
    pub fn sources_in_use(&self) -> impl Iterator<Item = &Arc<Guarded>> {
        let names = |store: &OpenedStore, name: &str| {
            store.source == name || store.moving.as_ref().is_some_and(|(_, other)| other == name)
        };
        let used = move |name: &str| self.stores.values().any(|s| s.kind.table().is_some() && names(s, name));
        self.sources.iter().filter(move |(name, _)| used(name)).map(|(_, source)| &source.guarded)
    }

    /// The tables in which stores in use have records in this source.
    pub fn tables_on(&self, source: &str) -> Vec<&'static Table> {
        let has = |store: &&OpenedStore| {
            store.source == source || store.moving.as_ref().is_some_and(|(_, other)| other == source)
        };
        let mut tables: Vec<_> = self.stores.values().filter(has).flat_map(|s| s.kind.tables()).copied().collect();
        tables.sort_by_key(|table| table.name);
        tables.dedup();
        tables
    }

    /// Opens the data sources in use that are not open yet, all at once: connects, checks, migrates. May be called again until
    /// all are open; gives what failed, by source.
    pub async fn prepare(&self) -> Vec<(String, StoreError)> {
        let closed = self.sources_in_use().filter(|source| !source.prepared());
        let opening =
            closed.map(|source| async move { Some((source.name().to_owned(), source.prepare().await.err()?)) });
        join_all(opening).await.into_iter().flatten().collect()
    }

    /// The stores that move now.
    pub fn moves(&self) -> impl Iterator<Item = Move> {
        self.stores.iter().filter_map(|(name, store)| {
            let (phase, other) = store.moving.as_ref()?;
            let at = |source: &str| Some(self.sources.get(source)?.guarded.clone());
            let (here, there) = (at(&store.source)?, at(other)?);
            let (old, new) = if *phase == Phase::Next { (here, there) } else { (there, here) };
            Some(Move { store: name.clone(), kind: store.kind, phase: *phase, old, new })
        })
    }

    /// The moves that begin: of stores that had the old source alone before.
    pub fn begun(&self, previous: &Opened) -> Vec<Move> {
        let begins = |moving: &Move| {
            previous.stores.get(&moving.store).is_some_and(|store| {
                let source = previous.sources.get(&store.source);
                store.moving.is_none() && source.is_some_and(|source| Arc::ptr_eq(&source.guarded, &moving.old))
            })
        };
        self.moves().filter(begins).collect()
    }

    /// The moves of before that were in their last step, and whose old source is named no longer.
    pub fn ended(&self, previous: &Opened) -> Vec<Move> {
        let ended = |moving: &Move| {
            moving.phase == Phase::Previous
                && self.stores.get(&moving.store).is_some_and(|store| {
                    let is = |source: &str, of: &Arc<Guarded>| {
                        self.sources.get(source).is_some_and(|source| Arc::ptr_eq(&source.guarded, of))
                    };
                    store.moving.is_none() && is(&store.source, &moving.new)
                })
        };
        previous.moves().filter(ended).collect()
    }

    /// The moves of before that go the other way now.
    pub fn turned(&self, previous: &Opened) -> Vec<Move> {
        let back = |was: &Move| {
            self.moves()
                .any(|is| is.store == was.store && Arc::ptr_eq(&is.old, &was.new) && Arc::ptr_eq(&is.new, &was.old))
        };
        previous.moves().filter(back).collect()
    }

    /// The stores in use that have another source than before, and leave behind what the one before has.
    pub fn moved(&self, previous: &Opened) -> Vec<Moved> {
        let moved = self.stores.iter().filter(|(_, store)| store.kind.table().is_some()).filter_map(|(name, store)| {
            let before = previous.stores.get(name)?;
            let (old, new) = (previous.sources.get(&before.source)?, self.sources.get(&store.source)?);
            let is_old = |source: &OpenedSource| {
                Arc::ptr_eq(&old.guarded, &source.guarded) || old.settings.same_place(&source.settings)
            };
            let beside = store.moving.as_ref().and_then(|(_, other)| self.sources.get(other));
            (!is_old(new) && !beside.is_some_and(is_old)).then(|| Moved {
                store: name.clone(),
                from: before.source.clone(),
                to: store.source.clone(),
            })
        });
        moved.collect()
    }
}

/// The cache of a store of this kind, where it is to have one. Clients are remembered by their store itself, and nobody is refused for
/// what was remembered of them: a cache below it would not know when to read anew.
fn cache(kind: Kind, source: &Arc<dyn DataSource>, settings: Option<CacheSettings>) -> Option<Arc<Cached>> {
    match kind {
        Kind::AccessToken => Some(Arc::new(Cached::new(source.clone(), settings?, &[&ACCESS_TOKEN, &TOKEN_GRANT]))),
        _ => None,
    }
}

/// The source beside a store's own, while it moves.
type Beside<'a> = Option<(Phase, &'a Arc<Guarded>)>;

/// What a store stands on: its source alone, or both of a move.
fn over(guarded: &Arc<Guarded>, beside: Beside<'_>, failure: FailurePolicy) -> Arc<dyn DataSource> {
    let of = |guarded: &Arc<Guarded>| -> Arc<dyn DataSource> { Arc::new(guarded.with(failure)) };
    match beside {
        None => Arc::new(Alone::new(of(guarded))),
        Some((Phase::Next, new)) => Arc::new(Moving::new(of(guarded), of(new), Phase::Next)),
        Some((Phase::Previous, old)) => Arc::new(Moving::new(of(old), of(guarded), Phase::Previous)),
    }
}

fn handle(name: &str, kind: Kind, source: Arc<dyn DataSource>, sealer: &Arc<Sealer>) -> StoreHandle {
    match kind {
        Kind::AccessToken => StoreHandle::AccessToken(Arc::new(AccessTokens::new(source))),
        Kind::ClientAccessToken => {
            StoreHandle::ClientAccessToken(Arc::new(ClientAccessTokens::new(source, sealer.clone())))
        }
        Kind::AuthzCode => StoreHandle::AuthzCode(Arc::new(AuthzCodes::new(source))),
        Kind::DeviceCode => StoreHandle::DeviceCode(Arc::new(DeviceCodes::new(source))),
        Kind::Consents => StoreHandle::Consents(Arc::new(Consents::new(source))),
        Kind::Counters => StoreHandle::Counters(Arc::new(Counters::new(source))),
        Kind::Clients => StoreHandle::Clients(Arc::new(Clients::new(source, sealer.clone()))),
        Kind::Users => StoreHandle::Users(Arc::new(Users::new(source))),
        Kind::Sessions => StoreHandle::Sessions(Arc::new(Sessions::new(source))),
        Kind::Keys => StoreHandle::Keys(Arc::new(SigningKeys::new(name, source, sealer.clone()))),
        Kind::Replay => StoreHandle::Replay(Arc::new(Replay::new(source))),
        kind => StoreHandle::Mapped(kind),
    }
}
