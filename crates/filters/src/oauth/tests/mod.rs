//! The endpoints as they ship and protected resources, over stores in memory. Each test says which rule it holds.

mod assertions;
mod authorize;
mod client_keys;
mod codes;
mod fail;
mod introspection;
mod jwks;
mod metadata;
mod openid;
mod resource;
mod revocation;
mod settings;
mod token;
mod token_info;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;

use ::oauth::token::{Token, TokenKind};
use ::oauth::{ClientId, GrantId, Scopes, Secret, credential};
use policy::ports::UPSTREAM;
use policy::testing::{Fixture, Ran, block_on, request};
use store::record::ClientSecret;
use store::source::{Capabilities, Health, Row, Table, Verb};
use store::sources::memory::Memory;
use store::{AccessToken, AccessTokens, AuthzCodes, Client, Clients, DataSource, DeviceCodes, StoreError, StoreHandle};

/// The shipped policies, by name.
const SHIPPED: &[(&str, &str)] = &[
    ("oauth/introspect", include_str!("../../../../../policies/oauth/introspect.toml")),
    ("oauth/metadata", include_str!("../../../../../policies/oauth/metadata.toml")),
    ("oauth/revoke", include_str!("../../../../../policies/oauth/revoke.toml")),
    ("oauth/token", include_str!("../../../../../policies/oauth/token.toml")),
    ("oauth/tokeninfo", include_str!("../../../../../policies/oauth/tokeninfo.toml")),
    ("oauth/jwks", include_str!("../../../../../policies/oauth/jwks.toml")),
    ("oauth/userinfo", include_str!("../../../../../policies/oauth/userinfo.toml")),
];

const TOKEN: &str = "/api/oauth/token";
const TOKEN_INFO: &str = "/api/oauth/tokeninfo";
const INTROSPECT: &str = "/api/oauth/introspect";
const REVOKE: &str = "/api/oauth/revoke";

/// Policies, and what stands in their stores.
struct World {
    fixture: Fixture,
    tokens: Arc<AccessTokens>,
    codes: Arc<AuthzCodes>,
    clients: Arc<Clients>,
    users: Arc<store::Users>,
    sessions: Arc<store::Sessions>,
}

impl World {
    /// The shipped policies, and the client `app` with the secret `right`, the grant client_credentials and the scopes
    /// `a b`.
    fn shipped() -> World {
        let world = World::over(Arc::new(Memory::new()));
        let world = SHIPPED.iter().fold(world, |world, (name, text)| world.policy(name, text));
        world.client("app", |_| {})
    }

    /// One policy at every path, and the client `app`.
    fn protecting(filters: &str) -> World {
        World::over(Arc::new(Memory::new()))
            .policy("api", &format!("route = \"/**\"\n\n{filters}"))
            .client("app", |_| {})
    }

    fn over(source: Arc<dyn DataSource>) -> World {
        let tokens = Arc::new(AccessTokens::new(source.clone()));
        let codes = Arc::new(AuthzCodes::new(source.clone()));
        let devices = Arc::new(DeviceCodes::new(source.clone()));
        let clients = Arc::new(Clients::new(source.clone(), Arc::new(crate::fixture::sealer())));
        let users = Arc::new(store::Users::new(source.clone()));
        let sessions = Arc::new(store::Sessions::new(source.clone()));
        let fixture = Fixture::new(crate::LIBRARY)
            .resource("store", "access-token", StoreHandle::AccessToken(tokens.clone()))
            .resource("store", "device-code", StoreHandle::DeviceCode(devices))
            .resource("store", "authz-code", StoreHandle::AuthzCode(codes.clone()))
            .resource("store", "clients", StoreHandle::Clients(clients.clone()))
            .resource("store", "users", StoreHandle::Users(users.clone()))
            .resource("store", "sessions", StoreHandle::Sessions(sessions.clone()))
            .resource("store", "consents", StoreHandle::Consents(Arc::new(store::Consents::new(source.clone()))))
            .resource(crate::SEALER, "", crate::fixture::sealer())
            .resource("store", "replay", StoreHandle::Replay(Arc::new(store::Replay::new(source.clone()))))
            .resource("store", "keys", crate::fixture::signing_keys(source))
            .resource(UPSTREAM, "orders", policy::ports::UpstreamHandle(Arc::new(crate::fixture::Echo)))
            .node(|node| node.default_issuer = Some("http://127.0.0.1:8080".into()));
        World { fixture, tokens, codes, clients, users, sessions }
    }

    fn policy(mut self, name: &str, text: &str) -> World {
        self.fixture = self.fixture.policy(name, text);
        self
    }

    fn client(self, id: &str, change: impl FnOnce(&mut Client)) -> World {
        let mut client = Client {
            grant_types: vec!["client_credentials".into()],
            scope: scopes("a b"),
            secrets: vec![secret("right")],
            ..Client::new(ClientId::new(id))
        };
        change(&mut client);
        assert!(block_on(self.clients.add(&client)).expect("memory"));
        self
    }

    /// A token of `app` with the scopes `a b`, good for an hour.
    fn token(&self, change: impl FnOnce(&mut AccessToken)) -> String {
        let environment = self.fixture.environment();
        let now = environment.clock.unix_millis() / 1000;
        let mut record = AccessToken {
            client_id: ClientId::new("app"),
            subject: None,
            scope: scopes("a b"),
            grant_id: GrantId::new("grant"),
            grant_type: "client_credentials".into(),
            issued_at: now,
            expires_at: now + 3600,
            revoked_at: None,
            audience: Vec::new(),
            properties: Default::default(),
        };
        change(&mut record);
        let mut random = [0; 32];
        environment.random.fill(&mut random);
        let token = Token::mint(TokenKind::Access, record.expires_at, random);
        block_on(self.tokens.insert(&token, &record)).expect("memory");
        token.expose().to_owned()
    }

    /// Whether the token is good now.
    fn is_good(&self, token: &str) -> bool {
        let now = self.fixture.environment().clock.unix_millis() / 1000;
        block_on(self.tokens.find(token, now)).expect("memory").is_some()
    }

    /// Posts a form as it stands, perhaps with more headers.
    fn post(&self, path: &str, headers: &[(&str, &str)], form: &str) -> Ran {
        let form_type = ("content-type", "application/x-www-form-urlencoded");
        let headers: Vec<_> = std::iter::once(form_type).chain(headers.iter().copied()).collect();
        self.fixture.run(request(Method::POST, path, &headers, form))
    }

    fn call(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Ran {
        self.fixture.run(request(method, path, headers, ""))
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Ran {
        self.call(Method::GET, path, headers)
    }
}

fn scopes(text: &str) -> Scopes {
    Scopes::parse(text).expect(text)
}

fn secret(text: &str) -> ClientSecret {
    ClientSecret::hashed(credential::hash_generated(&Secret::new(text.into())))
}

/// The header of a client that encodes as RFC 6749, section 2.3.1, says.
fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(id), encode(secret))))
}

fn error(ran: &Ran) -> (u16, String) {
    // An answer that is no error at all may have no JSON.
    let json: serde_json::Value = serde_json::from_slice(&ran.body).unwrap_or_default();
    (ran.status, json["error"].as_str().unwrap_or_default().to_owned())
}

fn refused(status: u16, error: &str) -> (u16, String) {
    (status, error.to_owned())
}

/// A data source that is down.
struct Down;

impl DataSource for Down {
    fn capabilities(&self) -> Capabilities {
        Memory::new().capabilities()
    }
    fn prepare(&self) -> Verb<'_, ()> {
        down()
    }
    fn get<'a>(&'a self, _: &'static Table, _: &'a [u8]) -> Verb<'a, Option<Row>> {
        down()
    }
    fn insert(&self, _: &'static Table, _: Row) -> Verb<'_, bool> {
        down()
    }
    fn replace(&self, _: &'static Table, _: Row, _: i64) -> Verb<'_, bool> {
        down()
    }
    fn take<'a>(&'a self, _: &'static Table, _: &'a [u8]) -> Verb<'a, Option<Row>> {
        down()
    }
    fn find<'a>(
        &'a self,
        _: &'static Table,
        _: usize,
        _: &'a str,
        _: Option<&'a [u8]>,
        _: usize,
    ) -> Verb<'a, Vec<Row>> {
        down()
    }
    fn list<'a>(&'a self, _: &'static Table, _: Option<&'a [u8]>, _: usize) -> Verb<'a, Vec<Row>> {
        down()
    }
    fn remove<'a>(&'a self, _: &'static Table, _: usize, _: &'a str, _: usize) -> Verb<'a, u64> {
        down()
    }
    fn sweep(&self, _: &'static Table, _: i64, _: usize) -> Verb<'_, u64> {
        down()
    }
    fn health(&self) -> Verb<'_, Health> {
        down()
    }
}

fn down<T: Send + 'static>() -> Verb<'static, T> {
    Box::pin(std::future::ready(Err(StoreError::Unavailable("connection refused by db-7.internal".into()))))
}
