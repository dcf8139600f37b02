//! What the unit tests of filters share: policies over the whole library, upstreams that tell what they were sent, stores
//! in memory.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value as Json, json};

use ::oauth::client_auth::Method;
use ::oauth::provider::{Endpoints, Provider};
use ::oauth::{ClientId, Scopes, Secret};
use policy::exchange::Request;
use policy::ports::{
    ASIDE, Aside, AuditRecord, Background, BoxFuture, DIRECTORIES, Directories, DirectoriesHandle, Directory, FOLDER,
    Folder, FolderHandle, Found, FoundFile, LogLevel, LogLine, Meter, MeterShape, OBSERVER, Observer, ObserverHandle,
    PROVIDER, Proving, Reached, Timer, UPSTREAM, Upstream, UpstreamError, UpstreamHandle,
};
use policy::testing::{Fixture, Ran};
use policy::{Body, Value};
use store::kps::{Column, ColumnType, Settings};
use store::seal::{Encryption, Key, Sealer};
use store::source::{Capabilities, Health, Row, Table, Verb};
use store::sources::memory::Memory;
use store::{
    AccessTokens, AuthzCodes, ClientAccessTokens, Clients, Consents, Counters, DataSource, DeviceCodes, Kps, Replay,
    Sessions, SigningKeys, StoreError, StoreHandle, Users,
};

use crate::LIBRARY;

pub(crate) use policy::testing::request;

/// A policy at every path, with the upstreams `orders` (which answers with what it was sent) and `spare`, and stores.
pub(crate) fn policy(filters: &str) -> Fixture {
    world().policy("tested", &format!("route = \"/**\"\n\n{filters}"))
}

/// A policy at every path, and what its filters tell.
pub(crate) fn recorded(filters: &str) -> (Fixture, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let fixture = policy(filters).resource(OBSERVER, "", ObserverHandle(recorder.clone()));
    (fixture, recorder)
}

/// Notes what filters tell.
#[derive(Default)]
pub(crate) struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    lines: Vec<String>,
    records: Vec<AuditRecord>,
    counts: Vec<String>,
    shapes: Vec<MeterShape>,
    broken: bool,
}

impl Recorder {
    /// The log.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().expect("a lock").lines.clone()
    }

    /// The audit log.
    pub(crate) fn records(&self) -> Vec<AuditRecord> {
        self.0.lock().expect("a lock").records.clone()
    }

    /// What was counted: name, labels, amount.
    pub(crate) fn counts(&self) -> Vec<String> {
        self.0.lock().expect("a lock").counts.clone()
    }

    /// The audit log cannot be written from now on.
    pub(crate) fn break_down(&self) {
        self.0.lock().expect("a lock").broken = true;
    }
}

impl Observer for Recorder {
    fn wants(&self, _: LogLevel) -> bool {
        true
    }

    fn log(&self, line: LogLine<'_>) {
        let LogLine { level, place, message, fields, .. } = line;
        let line = format!("{level:?} {place} {message} {}", Json::Object(fields.clone()));
        self.0.lock().expect("a lock").lines.push(line);
    }

    fn audit(&self, record: AuditRecord) -> BoxFuture<'_, Result<(), String>> {
        let mut recorded = self.0.lock().expect("a lock");
        let done = if recorded.broken { Err(String::from("the disk is full")) } else { Ok(()) };
        recorded.records.push(record);
        Box::pin(std::future::ready(done))
    }

    fn meter(&self, shape: MeterShape) -> Result<Arc<dyn Meter>, String> {
        let mut recorded = self.0.lock().expect("a lock");
        if recorded.shapes.iter().any(|known| known.name == shape.name && *known != shape) {
            return Err(String::from("it is another one"));
        }
        let name = shape.name.clone();
        recorded.shapes.push(shape);
        Ok(Arc::new(Counting(name, self.0.clone())))
    }
}

struct Counting(String, Arc<Mutex<Recorded>>);

impl Meter for Counting {
    fn count(&self, labels: &[std::borrow::Cow<'_, str>], amount: f64) {
        self.1.lock().expect("a lock").counts.push(format!("{} {} {amount}", self.0, labels.join(",")));
    }
}

/// The same without a policy.
pub(crate) fn world() -> Fixture {
    let source: Arc<dyn DataSource> = Arc::new(Memory::new());
    Fixture::new(LIBRARY)
        .node(|node| {
            node.default_issuer = Some("http://127.0.0.1:8080".into());
            node.values.insert("partner_key".into(), Value::text("told by an example"));
        })
        .resource(UPSTREAM, "orders", UpstreamHandle(Arc::new(Echo)))
        .resource(ASIDE, "", Aside { background: Arc::new(Nobody), timer: Arc::new(Timers::default()) })
        .resource(DIRECTORIES, "ldap", DirectoriesHandle(Arc::new(Empty)))
        .resource(OBSERVER, "", ObserverHandle(Arc::new(Recorder::default())))
        .resource(FOLDER, "site", FolderHandle(Arc::new(Site)))
        .resource(UPSTREAM, "spare", UpstreamHandle(Arc::new(Echo)))
        .resource("store", "access-token", StoreHandle::AccessToken(Arc::new(AccessTokens::new(source.clone()))))
        .resource("store", "client-access-token", StoreHandle::ClientAccessToken(held(source.clone())))
        .resource(PROVIDER, "partner", provider(always(|| Ok(answer(503, &[], String::new()))).0, Arc::new(Nobody)))
        .resource("store", "authz-code", StoreHandle::AuthzCode(Arc::new(AuthzCodes::new(source.clone()))))
        .resource("store", "device-code", StoreHandle::DeviceCode(Arc::new(DeviceCodes::new(source.clone()))))
        .resource("store", "consents", StoreHandle::Consents(Arc::new(Consents::new(source.clone()))))
        .resource(crate::stores::SEALER, "", sealer())
        .resource("store", "clients", StoreHandle::Clients(Arc::new(Clients::new(source.clone(), Arc::new(sealer())))))
        .resource("store", "keys", signing_keys(source.clone()))
        .resource("store", "replay", StoreHandle::Replay(Arc::new(Replay::new(source.clone()))))
        .resource("store", "counters", StoreHandle::Counters(Arc::new(Counters::new(source.clone()))))
        .resource("store", "users", StoreHandle::Users(Arc::new(Users::new(source.clone()))))
        .resource("store", "sessions", StoreHandle::Sessions(Arc::new(Sessions::new(source.clone()))))
        .resource("store", "kps.partners", StoreHandle::Kps(partners(source)))
}

/// A store of tokens that are held.
pub(crate) fn held(source: Arc<dyn DataSource>) -> Arc<ClientAccessTokens> {
    Arc::new(ClientAccessTokens::new(source, Arc::new(sealer())))
}

/// A token with an HMAC (HS256, RFC 2104), made by nothing of what checks it.
pub(crate) fn hs256(secret: &[u8], claims: &serde_json::Value) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use sha2::{Digest, Sha256};
    let hash = |parts: &[&[u8]]| Sha256::digest(parts.concat());
    let short = if secret.len() > 64 { hash(&[secret]).to_vec() } else { secret.to_vec() };
    let pad = |byte: u8| (0..64).map(|at| short.get(at).unwrap_or(&0) ^ byte).collect::<Vec<u8>>();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"client-authentication+jwt"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let inner = hash(&[&pad(0x36), signed.as_bytes()]);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hash(&[&pad(0x5c), &inner])))
}

/// The provider `partner`, which is called so.
pub(crate) fn provider(upstream: Arc<dyn Upstream>, background: Arc<dyn Background>) -> Reached<Provider> {
    let what = Provider {
        name: "partner".into(),
        issuer: None,
        endpoints: Endpoints {
            authorization: Some("http://127.0.0.1:9/authorize?tenant=1".into()),
            token: Some("http://127.0.0.1:9/token".into()),
            revocation: Some("http://127.0.0.1:9/revoke".into()),
            ..Endpoints::default()
        },
        client_id: ClientId::new("gateway"),
        client_secret: Some(Secret::new("geheim".into())),
        auth_method: Method::ClientSecretPost,
        scopes: Scopes::parse("stock").expect("scopes"),
        elsewhere: false,
        token_lifetime: 3_600,
        refresh_lifetime: 86_400,
        timeout: 10,
        answer_limit: 1_000,
    };
    Reached::new(Arc::new(what), upstream, background)
}

/// A background that does nothing: whoever waits does the work.
pub(crate) struct Nobody;

impl Background for Nobody {
    fn run(&self, _: BoxFuture<'static, ()>) {}
}

/// Timers that end at once, or never; they remember how long each was to take.
#[derive(Default)]
pub(crate) struct Timers {
    due: bool,
    asked: Mutex<Vec<Duration>>,
}

impl Timers {
    /// Those that end at once.
    pub(crate) fn due() -> Self {
        Timers { due: true, ..Timers::default() }
    }

    /// How long each was to take.
    pub(crate) fn asked(&self) -> Vec<Duration> {
        self.asked.lock().expect("no panic").clone()
    }
}

impl Timer for Timers {
    fn after(&self, time: Duration) -> BoxFuture<'static, ()> {
        self.asked.lock().expect("no panic").push(time);
        if self.due { Box::pin(std::future::ready(())) } else { Box::pin(std::future::pending()) }
    }
}

/// An upstream that takes a request and never answers.
pub(crate) fn silent() -> UpstreamHandle {
    struct Silent;
    impl Upstream for Silent {
        fn send(&self, _: http::Request<Body>) -> BoxFuture<'_, Result<http::Response<Body>, UpstreamError>> {
            Box::pin(std::future::pending())
        }
    }
    UpstreamHandle(Arc::new(Silent))
}

/// A key property store with the columns `id`, `email`, `limit`, `last_seen` and `password`, which is encrypted.
pub(crate) fn partners(source: Arc<dyn DataSource>) -> Arc<Kps> {
    let columns = [
        ("id", ColumnType::Text),
        ("email", ColumnType::Text),
        ("limit", ColumnType::Integer),
        ("last_seen", ColumnType::Time),
        ("password", ColumnType::Text),
    ];
    let column = |(name, of): (&str, _)| (name.to_owned(), Column { of, encrypted: name == "password", named: None });
    let settings = Settings {
        name: "partners".into(),
        key: "id".into(),
        second_key: Some("email".into()),
        columns: columns.map(column).into(),
        auto_id: false,
        ttl: None,
        table: None,
    };
    Arc::new(Kps::new(source, Arc::new(settings), Arc::new(sealer())))
}

/// The store `keys` over this source.
pub(crate) fn signing_keys(source: Arc<dyn DataSource>) -> StoreHandle {
    StoreHandle::Keys(Arc::new(SigningKeys::new("keys", source, Arc::new(sealer()))))
}

/// Seals with a key that all tests have.
pub(crate) fn sealer() -> Sealer {
    let key = Key::parse("test", &"a".repeat(64)).expect("a key");
    Sealer::new(&Encryption::Keys(vec![key]), Path::new(""))
}

/// A GET with these headers.
pub(crate) fn get(path: &str, headers: &[(&str, &str)]) -> Request {
    request(http::Method::GET, path, headers, "")
}

/// A POST of this JSON.
pub(crate) fn post_json(path: &str, json: &str) -> Request {
    request(http::Method::POST, path, &[("content-type", "application/json")], json)
}

/// What an answer is, in a line: the status and, of a refusal or fault, its reason.
pub(crate) fn told(ran: &Ran) -> String {
    match ran.refused() {
        Some(reason) => format!("{} {reason}", ran.status),
        None => ran.status.to_string(),
    }
}

/// Directories in which nobody is.
struct Empty;

impl Directories for Empty {
    fn prove<'a>(&'a self, _: &'a Directory, _: &'a str, _: &'a str) -> Proving<'a> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// A folder of a site: the names of its files, what is in them, and when they were written, in seconds.
const SITE: &[(&str, &str, u64)] = &[
    ("index.html", "<h1>Home</h1>", 1_000_000_000),
    ("app.js", "let app = 'this is the application, all of it'", 1_000_000_000),
    ("app.js.br", "brotli", 1_000_000_000),
    ("app.js.gz", "gzip", 999_999_999),
    ("a b/\u{e4}.css", "a {}", 1_000_000_000),
    ("docs/index.html", "<h1>Docs</h1>", 1_000_000_000),
    ("empty/file.unknown-ending", "bytes", 1),
    ("a=b&c+d%.txt", "odd", 1_000_000_000),
    (".git/config", "secret", 1_000_000_000),
    (".well-known/security.txt", "Contact: us", 1_000_000_000),
];

/// That folder.
struct Site;

impl Folder for Site {
    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, std::io::Result<Found>> {
        let found = match SITE.iter().find(|(known, ..)| *known == name) {
            _ if name == "broken" => Err(std::io::Error::other("the disk is broken")),
            Some((_, text, written)) => Ok(Found::File(Box::new(Text(text, *written)))),
            None if SITE.iter().any(|(known, ..)| known.starts_with(&format!("{name}/"))) => Ok(Found::Folder),
            None => Ok(Found::Nothing),
        };
        Box::pin(std::future::ready(found))
    }
}

/// A file of it.
struct Text(&'static str, u64);

impl FoundFile for Text {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn modified(&self) -> u64 {
        self.1 * 1_000_000_000
    }

    fn read(self: Box<Self>, from: u64, length: u64) -> Body {
        Body::from(self.0[from as usize..(from + length) as usize].to_owned())
    }
}

/// An upstream that answers with the request that it was sent.
pub(crate) struct Echo;

impl Upstream for Echo {
    fn send(&self, request: http::Request<Body>) -> BoxFuture<'_, Result<http::Response<Body>, UpstreamError>> {
        Box::pin(async {
            let (head, body) = request.into_parts();
            let body = body.collect(1 << 20).await.map_err(|why| UpstreamError::RequestBody(format!("{why:?}")))?;
            let mut headers = Map::new();
            for (name, value) in &head.headers {
                let value = String::from_utf8_lossy(value.as_bytes());
                let entry = headers.entry(name.as_str()).or_insert(json!(""));
                let so_far = entry.as_str().unwrap_or_default();
                *entry = if so_far.is_empty() { json!(value) } else { json!(format!("{so_far}, {value}")) };
            }
            let told = json!({
                "method": head.method.as_str(),
                "uri": head.uri.to_string(),
                "headers": headers,
                "body": String::from_utf8_lossy(&body),
            });
            Ok(answer(200, &[("content-type", "application/json"), ("server", "echo")], told.to_string()))
        })
    }
}

/// An upstream that always does the same.
pub(crate) struct Always<F>(pub(crate) F);

impl<F: Fn() -> Result<http::Response<Body>, UpstreamError> + Send + Sync + 'static> Upstream for Always<F> {
    fn send(&self, _: http::Request<Body>) -> BoxFuture<'_, Result<http::Response<Body>, UpstreamError>> {
        Box::pin(std::future::ready((self.0)()))
    }
}

/// An upstream that always answers or fails so.
pub(crate) fn always(
    answer: impl Fn() -> Result<http::Response<Body>, UpstreamError> + Send + Sync + 'static,
) -> UpstreamHandle {
    UpstreamHandle(Arc::new(Always(answer)))
}

/// An upstream's answer.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: String) -> http::Response<Body> {
    let mut response = http::Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().expect("a header's name");
        response.headers_mut().append(name, value.parse().expect("a header's value"));
    }
    response
}

/// What the upstream `orders` was sent.
pub(crate) fn sent(ran: &Ran) -> Json {
    assert_eq!(ran.status, 200, "{}", ran.text());
    ran.json()
}

/// Memory that counts the writes, and can be down.
#[derive(Default)]
pub(crate) struct Watched {
    memory: Memory,
    writes: AtomicU32,
    is_down: AtomicBool,
    /// How often a verb is polled in vain before it is done.
    waits: AtomicU32,
}

impl Watched {
    /// The writes that were asked for.
    pub(crate) fn writes(&self) -> u32 {
        self.writes.load(Relaxed)
    }

    /// Whether it is down from now on.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Relaxed);
    }

    /// From now on verbs take their time.
    pub(crate) fn set_slow(&self) {
        self.waits.store(3, Relaxed);
    }

    fn or_down<'a, T: Send + 'a>(&self, verb: Verb<'a, T>) -> Verb<'a, T> {
        let (is_down, mut waits) = (self.is_down.load(Relaxed), self.waits.load(Relaxed));
        let waited = std::future::poll_fn(move |cx| match waits.checked_sub(1) {
            None => Poll::Ready(()),
            Some(left) => {
                waits = left;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        });
        Box::pin(async move {
            waited.await;
            match is_down {
                true => Err(StoreError::Unavailable("refused".into())),
                false => verb.await,
            }
        })
    }

    fn write<'a, T: Send + 'a>(&self, verb: Verb<'a, T>) -> Verb<'a, T> {
        self.writes.fetch_add(1, Relaxed);
        self.or_down(verb)
    }
}

impl DataSource for Watched {
    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities()
    }
    fn prepare(&self) -> Verb<'_, ()> {
        self.or_down(self.memory.prepare())
    }
    fn get<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        self.or_down(self.memory.get(table, key))
    }
    fn insert(&self, table: &'static Table, row: Row) -> Verb<'_, bool> {
        self.write(self.memory.insert(table, row))
    }
    fn replace(&self, table: &'static Table, row: Row, expected: i64) -> Verb<'_, bool> {
        self.write(self.memory.replace(table, row, expected))
    }
    fn take<'a>(&'a self, table: &'static Table, key: &'a [u8]) -> Verb<'a, Option<Row>> {
        self.write(self.memory.take(table, key))
    }
    fn find<'a>(
        &'a self,
        table: &'static Table,
        index: usize,
        value: &'a str,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> Verb<'a, Vec<Row>> {
        self.or_down(self.memory.find(table, index, value, after, limit))
    }
    fn list<'a>(&'a self, table: &'static Table, after: Option<&'a [u8]>, limit: usize) -> Verb<'a, Vec<Row>> {
        self.or_down(self.memory.list(table, after, limit))
    }
    fn remove<'a>(&'a self, table: &'static Table, index: usize, value: &'a str, limit: usize) -> Verb<'a, u64> {
        self.write(self.memory.remove(table, index, value, limit))
    }
    fn sweep(&self, table: &'static Table, before: i64, limit: usize) -> Verb<'_, u64> {
        self.write(self.memory.sweep(table, before, limit))
    }
    fn health(&self) -> Verb<'_, Health> {
        self.or_down(self.memory.health())
    }
}
