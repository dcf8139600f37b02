//! What the unit tests of filters share: policies over the whole library, upstreams that tell what they were sent, stores
//! in memory.

use std::path::Path;
use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value as Json, json};

use ::oauth::client_auth::Method;
use ::oauth::provider::{Endpoints, Provider};
use ::oauth::{ClientId, Scopes, Secret};
use policy::Body;
use policy::exchange::Request;
use policy::ports::{
    Background, BoxFuture, DIRECTORIES, Directories, DirectoriesHandle, Directory, FOLDER, Folder, FolderHandle, Found,
    FoundFile, PROVIDER, Proving, Reached, UPSTREAM, Upstream, UpstreamError, UpstreamHandle,
};
use policy::testing::{Fixture, Ran};
use store::kps::{Column, ColumnType, Settings};
use store::seal::{Encryption, Key, Sealer};
use store::sources::memory::Memory;
use store::{
    AccessTokens, AuthzCodes, ClientAccessTokens, Clients, Consents, DataSource, DeviceCodes, Kps, Replay, Sessions,
    SigningKeys, StoreHandle, Users,
};

use crate::LIBRARY;

pub(crate) use policy::testing::request;

/// A policy at every path, with the upstreams `orders` (which answers with what it was sent) and `spare`, and stores.
pub(crate) fn policy(filters: &str) -> Fixture {
    world().policy("tested", &format!("route = \"/**\"\n\n{filters}"))
}

/// The same without a policy.
pub(crate) fn world() -> Fixture {
    let source: Arc<dyn DataSource> = Arc::new(Memory::new());
    Fixture::new(LIBRARY)
        .node(|node| node.default_issuer = Some("http://127.0.0.1:8080".into()))
        .resource(UPSTREAM, "orders", UpstreamHandle(Arc::new(Echo)))
        .resource(DIRECTORIES, "ldap", DirectoriesHandle(Arc::new(Empty)))
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
