//! The world that the files' own tests run in: stores in memory, upstreams that answer what the test says, a clock that stands
//! still. It is arranged anew for every test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy::Diagnostics;
use policy::ports::{BoxFuture, Environment, Random, Upstream};
use policy::reader::{NoOutside, deserialize};
use policy::testing::{Given, TestClock, TestRandom, World};
use store::oauth::{ClientId, GrantId};
use store::{AccessTokens, Clients, Kind, StoreError, StoreHandle};

use super::canned::Canned;
use super::given::{GivenTable, client, minted, problem};
use super::resources::Things;
use super::slate::Slate;

/// Between two tests: state that is kept by time (a rate limit) is that of another day.
const DAY: Duration = Duration::from_secs(86_400);

/// The world.
pub(crate) struct TestWorld {
    slates: Vec<Arc<Slate>>,
    clients: Vec<Arc<Clients>>,
    tokens: Vec<Arc<AccessTokens>>,
    upstreams: BTreeMap<String, Arc<Canned>>,
    clock: Arc<TestClock>,
    random: Arc<TestRandom>,
    /// The test's words for tokens, and the tokens.
    words: Mutex<BTreeMap<String, String>>,
    /// Clients of the test before.
    given: Mutex<Vec<ClientId>>,
}

impl TestWorld {
    /// With the stores of this mapping, in memory, and these upstreams; and what policies are to be compiled against.
    pub(super) fn new(stores: &[(String, Kind)], upstreams: &[String]) -> (TestWorld, Things) {
        let mut world = TestWorld {
            slates: Vec::new(),
            clients: Vec::new(),
            tokens: Vec::new(),
            upstreams: upstreams.iter().map(|name| (name.clone(), Arc::new(Canned::new(name.clone())))).collect(),
            clock: Arc::default(),
            random: Arc::default(),
            words: Mutex::default(),
            given: Mutex::default(),
        };
        let stores = stores.iter().map(|(name, kind)| (name.clone(), world.handle(*kind))).collect();
        let upstreams =
            world.upstreams.iter().map(|(name, u)| (name.clone(), u.clone() as Arc<dyn Upstream>)).collect();
        (world, Things { stores, upstreams })
    }

    fn handle(&mut self, kind: Kind) -> StoreHandle {
        let slate = Arc::new(Slate::default());
        self.slates.push(slate.clone());
        match kind {
            Kind::Clients => {
                let clients = Arc::new(Clients::new(slate));
                self.clients.push(clients.clone());
                StoreHandle::Clients(clients)
            }
            Kind::AccessToken => {
                let tokens = Arc::new(AccessTokens::new(slate));
                self.tokens.push(tokens.clone());
                StoreHandle::AccessToken(tokens)
            }
            other => StoreHandle::Mapped(other),
        }
    }

    async fn arrange_all(&self, given: &Given) -> Result<(), Diagnostics> {
        let table: GivenTable = deserialize(&given.file, &given.table, &[], &NoOutside)?;
        let now = table.now(given)?;
        self.clock.advance(DAY);
        self.clock.set_unix_millis(now * 1_000);
        self.clear()
            .await
            .map_err(|why| problem(given, &format!("the stores of the test could not be cleared: {why}")))?;
        let mut ids = Vec::new();
        for spec in &table.clients {
            let client = client(given, spec, now)?;
            for store in &self.clients {
                let added = store.add(&client).await.map_err(|why| problem(given, &why.to_string()))?;
                if !added {
                    return Err(problem(given, &format!("client `{}` is given twice", client.client_id)));
                }
            }
            ids.push(client.client_id);
        }
        *lock(&self.given) = ids;
        for spec in &table.tokens {
            let mut bytes = [0; 32];
            self.random.fill(&mut bytes);
            let grant = GrantId::new(format!("grant of {}", spec.token));
            let (token, record) = minted(given, spec, now, bytes, grant)?;
            for store in &self.tokens {
                store.insert(&token, &record).await.map_err(|why| problem(given, &why.to_string()))?;
                if spec.revoked {
                    store.revoke(token.expose(), now).await.map_err(|why| problem(given, &why.to_string()))?;
                }
            }
            lock(&self.words).insert(spec.token.clone(), token.expose().to_owned());
        }
        for (name, answer) in table.upstreams {
            match self.upstreams.get(&name) {
                Some(upstream) => upstream.will_answer(given, answer)?,
                None => return Err(problem(given, &format!("there is no upstream `{name}` in node.toml"))),
            }
        }
        Ok(())
    }

    /// Nothing of the test before is left, nor remembered.
    async fn clear(&self) -> Result<(), StoreError> {
        let before = std::mem::take(&mut *lock(&self.given));
        for store in &self.clients {
            for id in &before {
                store.delete(id).await?;
            }
        }
        self.slates.iter().for_each(|slate| slate.wipe());
        self.upstreams.values().for_each(|upstream| upstream.forget());
        lock(&self.words).clear();
        Ok(())
    }
}

impl World for TestWorld {
    fn arrange<'a>(&'a self, given: &'a Given) -> BoxFuture<'a, Result<(), Diagnostics>> {
        Box::pin(self.arrange_all(given))
    }

    fn environment(&self) -> Environment {
        Environment { clock: self.clock.clone(), random: self.random.clone() }
    }

    fn substitute(&self, text: &str) -> Option<String> {
        lock(&self.words).get(text).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
