//! The world that the files' own tests run in: stores in memory, upstreams that answer what the test says, a clock that stands
//! still. It is arranged anew for every test.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy::ports::{BoxFuture, Clock, Environment, Random, Reached, Upstream};
use policy::reader::did_you_mean;
use policy::settings::Spanned;
use policy::testing::{Given, Received, TestClock, TestRandom, World};
use policy::{Diagnostics, Request};
use serde_json::{Map, Value as Json};
use store::kps::{KpsError, Mode, Put};
use store::mapping::{Mapping, Opened};
use store::oauth::provider::Provider;
use store::oauth::{ClientId, GrantId};
use store::record::EpochsThen;
use store::seal::Sealer;
use store::source::Table;
use store::{
    AccessTokens, AuthzCodes, ClientAccessTokens, Clients, Consents, Counters, DeviceCodes, Kind, Kps, Replay,
    Sessions, SigningKeys, StoreError, StoreHandle, Users, kps, tables,
};

use super::canned::Canned;
use super::given::grants::{self, GivenCode, GivenRefreshToken};
use super::given::{GivenSession, GivenStore, GivenTable, GivenToken, at, begun, client, minted, problem, user};
use super::phonebook::Phonebook;
use super::resources::Things;
use super::slate::Slate;
use crate::listen;
use crate::settings::{ProviderSettings, Settings, Way};
use crate::telling::Silent;
use crate::upstream::{HttpUpstream, Tasks, UpstreamSettings};

/// Between two tests: state that is kept by time (a rate limit) is that of another season.
const SEASON: Duration = Duration::from_secs(40 * 86_400);

/// The stores there are, by their names: their kinds, and what key property stores hold.
pub(super) type Shape = BTreeMap<String, (Kind, Option<Arc<kps::Settings>>)>;

/// The shape of these stores.
pub(super) fn shape(stores: &Opened) -> Shape {
    let kps = |name: &str| match stores.store(name) {
        Some(StoreHandle::Kps(store)) => Some(store.settings().clone()),
        _ => None,
    };
    stores.stores().map(|(name, kind, _)| (name.to_owned(), (kind, kps(name)))).collect()
}

/// The providers there are, each with the name under which a test says what it answers: the upstream that it is reached through, or
/// `provider.NAME`.
pub(super) type GivenProviders = Vec<(Arc<Provider>, String)>;

/// The upstreams there are, and where they would be.
pub(super) type GivenUpstreams = Vec<(String, UpstreamSettings)>;

/// These upstreams.
pub(super) fn upstreams(upstreams: &BTreeMap<String, Arc<HttpUpstream>>) -> GivenUpstreams {
    upstreams.iter().map(|(name, upstream)| (name.clone(), upstream.settings().clone())).collect()
}

/// The providers of these settings; those that are wrong are told of, and left out.
pub(super) fn providers(settings: &Settings) -> GivenProviders {
    let providers = settings.node.providers.iter();
    let named = providers.map(|(name, provider)| {
        let provider = provider.clone().unwrap_or_else(|| ProviderSettings::nowhere(name));
        let through = match provider.way {
            Way::Upstream(upstream) => upstream,
            Way::Own(_) => format!("provider.{name}"),
        };
        (provider.provider, through)
    });
    named.collect()
}

/// The world.
pub(crate) struct TestWorld {
    stores: BTreeMap<String, (Kind, Arc<Slate>)>,
    clients: Vec<Arc<Clients>>,
    tokens: Vec<Arc<AccessTokens>>,
    codes: Vec<Arc<AuthzCodes>>,
    users: Vec<Arc<Users>>,
    sessions: Vec<Arc<Sessions>>,
    keys: Vec<Arc<SigningKeys>>,
    /// Key property stores, by their own names.
    kps: BTreeMap<String, Arc<Kps>>,
    /// Seals with a key that goes with the world.
    sealer: Arc<Sealer>,
    /// The people of every directory.
    directory: Arc<Phonebook>,
    upstreams: BTreeMap<String, Arc<Canned>>,
    /// What filters say.
    observer: Arc<Silent>,
    clock: Arc<TestClock>,
    random: Arc<TestRandom>,
    /// The test's words for tokens, and the tokens.
    words: Mutex<BTreeMap<String, String>>,
    /// Clients of the test before.
    given: Mutex<Vec<ClientId>>,
}

impl TestWorld {
    /// With the stores of this mapping, in memory, these upstreams and these providers; and what policies are to be compiled against. Files that
    /// policies give out are those of the configuration folder.
    pub(super) fn new(
        stores: &Shape,
        upstreams: &GivenUpstreams,
        providers: &GivenProviders,
        dir: &Path,
    ) -> (TestWorld, Things) {
        let canned = |(name, at): (&String, Option<&UpstreamSettings>)| {
            (name.clone(), Arc::new(Canned::new(name.clone(), at.cloned())))
        };
        let own = providers.iter().map(|(_, through)| (through, None));
        // A provider may be reached through one of them: the last of a name counts.
        let all = own.chain(upstreams.iter().map(|(name, at)| (name, Some(at))));
        let mut world = TestWorld {
            stores: BTreeMap::new(),
            clients: Vec::new(),
            tokens: Vec::new(),
            codes: Vec::new(),
            users: Vec::new(),
            sessions: Vec::new(),
            keys: Vec::new(),
            kps: BTreeMap::new(),
            sealer: Arc::new(Sealer::new(&Mapping::in_memory().encryption, Path::new(""))),
            directory: Arc::default(),
            upstreams: all.map(canned).collect(),
            observer: Arc::default(),
            clock: Arc::default(),
            random: Arc::default(),
            words: Mutex::default(),
            given: Mutex::default(),
        };
        let stores = stores.iter().map(|(name, (kind, kps))| (name.clone(), world.handle(name, *kind, kps.as_ref())));
        let stores = stores.collect();
        let at = |name: &String| Some((name.clone(), world.upstreams.get(name)?.clone() as Arc<dyn Upstream>));
        let upstreams = upstreams.iter().filter_map(|(name, _)| at(name)).collect();
        let reached = |(provider, through): &(Arc<Provider>, String)| {
            let (_, upstream) = at(through)?;
            let background = Arc::new(Tasks);
            Some((provider.name.clone(), Arc::new(Reached::new(provider.clone(), upstream, background))))
        };
        let providers = providers.iter().filter_map(reached).collect();
        let sealer = world.sealer.clone();
        let directories = world.directory.clone();
        let (observer, dir) = (world.observer.clone(), dir.to_owned());
        (world, Things { stores, upstreams, sealer, providers, directories, observer, dir })
    }

    fn handle(&mut self, name: &str, kind: Kind, kps: Option<&Arc<kps::Settings>>) -> StoreHandle {
        let slate = Arc::new(Slate::default());
        self.stores.insert(name.to_owned(), (kind, slate.clone()));
        if let Some(settings) = kps {
            let kps = Arc::new(Kps::new(slate, settings.clone(), self.sealer.clone()));
            self.kps.insert(settings.name.clone(), kps.clone());
            return StoreHandle::Kps(kps);
        }
        match kind {
            Kind::Clients => {
                let clients = Arc::new(Clients::new(slate, self.sealer.clone()));
                self.clients.push(clients.clone());
                StoreHandle::Clients(clients)
            }
            Kind::DeviceCode => StoreHandle::DeviceCode(Arc::new(DeviceCodes::new(slate))),
            Kind::Consents => StoreHandle::Consents(Arc::new(Consents::new(slate))),
            Kind::ClientAccessToken => {
                StoreHandle::ClientAccessToken(Arc::new(ClientAccessTokens::new(slate, self.sealer.clone())))
            }
            Kind::AuthzCode => {
                let codes = Arc::new(AuthzCodes::new(slate));
                self.codes.push(codes.clone());
                StoreHandle::AuthzCode(codes)
            }
            Kind::AccessToken => {
                let tokens = Arc::new(AccessTokens::new(slate));
                self.tokens.push(tokens.clone());
                StoreHandle::AccessToken(tokens)
            }
            Kind::Users => {
                let users = Arc::new(Users::new(slate));
                self.users.push(users.clone());
                StoreHandle::Users(users)
            }
            Kind::Sessions => {
                let sessions = Arc::new(Sessions::new(slate));
                self.sessions.push(sessions.clone());
                StoreHandle::Sessions(sessions)
            }
            Kind::Keys => {
                let keys = Arc::new(SigningKeys::new(name, slate, self.sealer.clone()));
                self.keys.push(keys.clone());
                StoreHandle::Keys(keys)
            }
            Kind::Counters => StoreHandle::Counters(Arc::new(Counters::new(slate))),
            Kind::Replay => StoreHandle::Replay(Arc::new(Replay::new(slate))),
            other => StoreHandle::Mapped(other),
        }
    }

    async fn arrange_all(&self, given: &Given) -> Result<(), Diagnostics> {
        self.clock.advance(SEASON);
        self.random.restart();
        self.clear()
            .await
            .map_err(|why| problem(given, &format!("the stores of the test could not be cleared: {why}")))?;
        let table = GivenTable::read(given)?;
        self.clock.set_unix_millis(table.now(given)? * 1_000);
        self.put(given, table).await
    }

    /// Nothing of the test before is left, nor remembered.
    async fn clear(&self) -> Result<(), StoreError> {
        // What is not there any more is taken out of caches too, so no store may be down then.
        self.stores.values().for_each(|(_, slate)| slate.wipe());
        self.keys.iter().for_each(|keys| keys.forget());
        let before = std::mem::take(&mut *lock(&self.given));
        for store in &self.clients {
            for id in &before {
                store.delete(id).await?;
            }
        }
        self.upstreams.values().for_each(|upstream| upstream.forget());
        self.observer.told();
        self.directory.write(None);
        lock(&self.words).clear();
        Ok(())
    }

    async fn change_some(&self, given: &Given) -> Result<(), Diagnostics> {
        let table = GivenTable::read(given)?;
        if let Some(now) = table.now_span() {
            let help = "`advance = \"1h\"` sets the clock forward";
            return Err(at(given, now, String::from("the time cannot be set in a step"), help));
        }
        // Nobody looks now: what is to change can be changed also where a store is down.
        let down: Vec<&Arc<Slate>> =
            self.stores.values().map(|(_, slate)| slate).filter(|slate| slate.is_down()).collect();
        down.iter().for_each(|slate| slate.set_down(false));
        let put = self.put_records(given, &table).await;
        down.iter().for_each(|slate| slate.set_down(true));
        put?;
        self.put_faults(given, table)
    }

    async fn put(&self, given: &Given, table: GivenTable) -> Result<(), Diagnostics> {
        self.put_records(given, &table).await?;
        self.put_faults(given, table)
    }

    /// Clients and tokens. A client replaces the one of its id that an earlier step gave.
    async fn put_records(&self, given: &Given, table: &GivenTable) -> Result<(), Diagnostics> {
        let now = self.clock.unix_millis() / 1_000;
        let broken = |why: StoreError| problem(given, &why.to_string());
        let mut added: Vec<ClientId> = Vec::new();
        for spec in &table.clients {
            let client = client(given, spec, now)?;
            if added.contains(&client.client_id) {
                return Err(problem(given, &format!("client `{}` is given twice", client.client_id)));
            }
            for store in &self.clients {
                store.delete(&client.client_id).await.map_err(broken)?;
                store.add(&client).await.map_err(broken)?;
            }
            added.push(client.client_id);
        }
        lock(&self.given).extend(added);
        for (index, spec) in table.tokens.iter().enumerate() {
            if table.tokens[..index].iter().any(|before| before.token == spec.token) {
                return Err(problem(given, &format!("token `{}` is given twice", spec.token)));
            }
            self.put_token(given, spec, now).await?;
        }
        for spec in &table.codes {
            self.put_code(given, spec, now).await?;
        }
        for spec in &table.refresh_tokens {
            self.put_refresh_token(given, spec, now).await?;
        }
        self.put_users(given, table, now).await?;
        for spec in &table.sessions {
            self.put_session(given, spec, now).await?;
        }
        self.put_rows(given, table, now).await
    }

    /// People. One replaces that of the name which an earlier step gave.
    async fn put_users(&self, given: &Given, table: &GivenTable, now: u64) -> Result<(), Diagnostics> {
        let broken = |why: StoreError| problem(given, &why.to_string());
        for spec in &table.users {
            let user = user(given, spec, now)?;
            if table.users.iter().filter(|other| other.name.value == user.name).count() > 1 {
                return Err(problem(given, &format!("user `{}` is given twice", user.name)));
            }
            for store in &self.users {
                store.delete(&user.name).await.map_err(broken)?;
                store.add(&user).await.map_err(broken)?;
            }
        }
        Ok(())
    }

    async fn put_session(&self, given: &Given, spec: &GivenSession, now: u64) -> Result<(), Diagnostics> {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes);
        let (token, session) = begun(spec, now, bytes);
        for store in &self.sessions {
            store.start(&token, &session).await.map_err(|why| problem(given, &why.to_string()))?;
        }
        match lock(&self.words).insert(spec.session.clone(), token.expose().to_owned()) {
            None => Ok(()),
            Some(_) => Err(problem(given, &format!("session `{}` has the word of another one", spec.session))),
        }
    }

    /// Rows of key property stores. One replaces that of its key which an earlier step gave.
    async fn put_rows(&self, given: &Given, table: &GivenTable, now: u64) -> Result<(), Diagnostics> {
        for (name, rows) in table.kps.entries() {
            let Some(store) = self.kps.get(&name.value) else {
                return Err(unknown(given, "kps", name, self.kps.keys()));
            };
            for row in &rows.value {
                let put = Put { mode: Mode::Replace, ttl: None, now, id: [0; 16] };
                store.put(row.value.clone(), &put).await.map_err(|why| match why {
                    KpsError::Store(why) => problem(given, &why.to_string()),
                    why => at(given, row.span, why.to_string(), "see `[kps.*]` in stores/stores.toml"),
                })?;
            }
        }
        Ok(())
    }

    async fn put_token(&self, given: &Given, spec: &GivenToken, now: u64) -> Result<(), Diagnostics> {
        let broken = |why: StoreError| problem(given, &why.to_string());
        let grant = GrantId::new(format!("grant of {}", spec.token));
        let (token, record) = minted(given, spec, now, self.random(), grant)?;
        for store in &self.tokens {
            store.insert(&token, &record).await.map_err(broken)?;
            if spec.revoked.is_some_and(|revoked| revoked.0) {
                store.revoke(token.expose(), now).await.map_err(broken)?;
            }
        }
        lock(&self.words).insert(spec.token.clone(), token.expose().to_owned());
        Ok(())
    }

    async fn put_code(&self, given: &Given, spec: &GivenCode, now: u64) -> Result<(), Diagnostics> {
        let (code, record) = grants::code(given, spec, now, self.random(), self.grant_id(now))?;
        for store in &self.codes {
            store.insert(&code, &record).await.map_err(|why| problem(given, &why.to_string()))?;
        }
        lock(&self.words).insert(spec.code.clone(), code.expose().to_owned());
        Ok(())
    }

    async fn put_refresh_token(&self, given: &Given, spec: &GivenRefreshToken, now: u64) -> Result<(), Diagnostics> {
        let broken = |why: StoreError| problem(given, &why.to_string());
        let id = self.grant_id(now);
        let (tokens, grant) = grants::refresh_token(given, spec, now, self.random(), id.clone())?;
        for store in &self.tokens {
            store.begin(&id, &grant, EpochsThen::default(), &tokens).await.map_err(broken)?;
            if spec.revoked.is_some_and(|revoked| revoked.0) {
                store.revoke_grant(&id, now).await.map_err(broken)?;
            }
        }
        if let Some((token, _)) = &tokens.refresh {
            lock(&self.words).insert(spec.token.clone(), token.expose().to_owned());
        }
        Ok(())
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }

    fn grant_id(&self, now: u64) -> GrantId {
        GrantId::mint(now * 1_000, self.random())
    }

    /// What upstreams answer, and which stores are down.
    fn put_faults(&self, given: &Given, table: GivenTable) -> Result<(), Diagnostics> {
        if let Some(people) = table.directory {
            self.directory.write(Some(people));
        }
        for (name, answers) in table.upstreams.into_entries() {
            match self.upstreams.get(&name.value) {
                Some(upstream) => upstream.will_answer(given, answers)?,
                None => return Err(unknown(given, "upstream", &name, self.upstreams.keys())),
            }
        }
        for (name, state) in table.stores.into_entries() {
            match self.stores.get(&name.value) {
                Some((_, slate)) => slate.set_down(state.value.0 == GivenStore::Down),
                None => return Err(unknown(given, "store", &name, self.stores.keys())),
            }
        }
        Ok(())
    }

    async fn records_of(&self, name: &str) -> Result<Vec<Map<String, Json>>, String> {
        let Some((kind, slate)) = self.stores.get(name) else {
            return Err(format!("there is no store `{name}`"));
        };
        if let Some(kps) = name.strip_prefix("kps.").and_then(|name| self.kps.get(name)) {
            let now = self.clock.unix_millis() / 1_000;
            let rows = kps.list(None, usize::MAX, now).await.map_err(|why| why.to_string())?;
            return Ok(rows.into_iter().map(|row| row.columns).collect());
        }
        let table: &'static Table = match kind {
            Kind::AccessToken => &tables::ACCESS_TOKEN,
            Kind::AuthzCode => &tables::AUTHZ_CODE,
            Kind::Clients => &tables::CLIENT,
            Kind::Consents => &tables::CONSENT,
            Kind::DeviceCode => &tables::DEVICE_CODE,
            Kind::ClientAccessToken => &tables::CLIENT_ACCESS_TOKEN,
            Kind::Users => &tables::USER_ACCOUNT,
            Kind::Sessions => &tables::USER_SESSION,
            _ => return Ok(Vec::new()),
        };
        let rows = slate.rows(table).await.map_err(|why| why.to_string())?;
        // How often passwords were wrong stands beside the users.
        let records = rows.iter().filter(|row| *kind != Kind::Users || Users::is_user(row));
        records
            .map(|row| serde_json::from_str(&row.record).map_err(|why| format!("a record cannot be read: {why}")))
            .collect()
    }
}

impl World for TestWorld {
    fn arrange<'a>(&'a self, given: &'a Given) -> BoxFuture<'a, Result<(), Diagnostics>> {
        Box::pin(self.arrange_all(given))
    }

    fn change<'a>(&'a self, given: &'a Given) -> BoxFuture<'a, Result<(), Diagnostics>> {
        Box::pin(self.change_some(given))
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn environment(&self) -> Environment {
        Environment { clock: self.clock.clone(), random: self.random.clone() }
    }

    fn receive(&self, request: &mut Request) -> Result<(), String> {
        listen::as_received(request)
            .map_err(|why| format!("a node answers this request {why} before any policy sees it"))
    }

    fn substitute(&self, text: &str) -> Option<String> {
        lock(&self.words).get(text).cloned()
    }

    fn records<'a>(&'a self, store: &'a str) -> BoxFuture<'a, Result<Vec<Map<String, Json>>, String>> {
        Box::pin(self.records_of(store))
    }

    fn told(&self) -> Vec<String> {
        self.observer.told()
    }

    fn received(&self) -> BTreeMap<String, Vec<Received>> {
        self.upstreams.iter().map(|(name, upstream)| (name.clone(), upstream.received())).collect()
    }
}

fn unknown<'a>(
    given: &Given,
    kind: &str,
    name: &Spanned<String>,
    known: impl Iterator<Item = &'a String>,
) -> Diagnostics {
    let help = match did_you_mean(&name.value, known.map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "declare `[{kind}.{}]` in {}",
            name.value,
            if kind == "upstream" { "node.toml" } else { "stores/stores.toml" }
        ),
    };
    at(given, name.span, format!("there is no {kind} `{}`", name.value), &help)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
