//! What a test says is given: clients, tokens, upstreams' answers, the time.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use policy::Diagnostics;
use policy::diagnostic::{Problem, codes};
use policy::settings::{Duration, Literal, Spanned};
use policy::testing::Given;
use serde::Deserialize;
use store::oauth::token::{Token, TokenKind};
use store::oauth::{ClientId, GrantId, Scopes, Secret, credential};
use store::record::{ClientSecret, Introspects};
use store::{AccessToken, Client};

/// The time of tests that name none: 2026-01-01T00:00:00Z.
const NOW: u64 = 1_767_225_600;

/// Seconds that a token lives where the test does not say.
const LIFETIME: u64 = 3_600;

/// `given`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenTable {
    #[serde(default)]
    pub(super) clients: Vec<GivenClient>,
    #[serde(default)]
    pub(super) tokens: Vec<GivenToken>,
    #[serde(default)]
    pub(super) upstreams: BTreeMap<String, GivenAnswer>,
    now: Option<Spanned<String>>,
}

/// A client that is registered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenClient {
    id: Spanned<String>,
    /// Tests may write it in clear: it is no secret of anybody's.
    secret: Option<String>,
    #[serde(default)]
    grants: Vec<String>,
    scope: Option<Spanned<String>>,
    enabled: Option<bool>,
    introspect: Option<Spanned<Literal>>,
    auth_method: Option<String>,
}

/// A token that was issued; `token` is the test's word for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenToken {
    pub(super) token: String,
    client: String,
    scope: Option<Spanned<String>>,
    subject: Option<String>,
    lifetime: Option<Duration>,
    /// How long ago it was issued.
    age: Option<Duration>,
    #[serde(default)]
    audience: Vec<String>,
    #[serde(default)]
    pub(super) revoked: bool,
}

/// What an upstream answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenAnswer {
    pub(super) status: Option<Spanned<u16>>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Spanned<String>>,
    pub(super) json: Option<serde_json::Value>,
    pub(super) text: Option<String>,
    /// Nothing answers there.
    #[serde(default)]
    pub(super) down: bool,
}

impl GivenTable {
    /// Unix seconds.
    pub(super) fn now(&self, given: &Given) -> Result<u64, Diagnostics> {
        let Some(now) = &self.now else { return Ok(NOW) };
        let time = humantime::parse_rfc3339_weak(&now.value).ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let bad = || at(given, now.span, format!("`{}` is no time", now.value), "now = \"2026-01-01T00:00:00Z\"");
        time.map(|since| since.as_secs()).ok_or_else(bad)
    }
}

/// The client as it would be registered.
pub(super) fn client(given: &Given, spec: &GivenClient, now: u64) -> Result<Client, Diagnostics> {
    // The hash of generated secrets, whatever the test calls its secret: Argon2 would make tests slow.
    let hash = |secret: &String| credential::hash_generated(&Secret::new(secret.clone()));
    let secrets = spec.secret.iter().map(|secret| ClientSecret { hash: hash(secret), expires_at: None }).collect();
    Ok(Client {
        client_id: ClientId::new(spec.id.value.as_str()),
        client_name: None,
        enabled: spec.enabled.unwrap_or(true),
        grant_types: spec.grants.clone(),
        scope: scopes(given, spec.scope.as_ref())?,
        token_endpoint_auth_method: spec.auth_method.clone(),
        secrets,
        introspect: introspects(given, spec.introspect.as_ref())?,
        created_at: now,
    })
}

/// The token and its record.
pub(super) fn minted(
    given: &Given,
    spec: &GivenToken,
    now: u64,
    random: [u8; 32],
    grant_id: GrantId,
) -> Result<(Token, AccessToken), Diagnostics> {
    let seconds = |duration: Option<Duration>, default| duration.map_or(default, |d| d.0.as_secs());
    let issued_at = now.saturating_sub(seconds(spec.age, 0));
    let expires_at = issued_at + seconds(spec.lifetime, LIFETIME);
    let record = AccessToken {
        client_id: ClientId::new(spec.client.as_str()),
        subject: spec.subject.clone(),
        scope: scopes(given, spec.scope.as_ref())?,
        grant_id,
        grant_type: String::from("client_credentials"),
        issued_at,
        expires_at,
        revoked_at: None,
        audience: spec.audience.clone(),
        properties: BTreeMap::new(),
    };
    Ok((Token::mint(TokenKind::Access, expires_at, random), record))
}

fn scopes(given: &Given, text: Option<&Spanned<String>>) -> Result<Scopes, Diagnostics> {
    let Some(text) = text else { return Ok(Scopes::default()) };
    let help = "names with a space between";
    Scopes::parse(&text.value)
        .ok_or_else(|| at(given, text.span, format!("`{}` is no list of scopes", text.value), help))
}

fn introspects(given: &Given, asked: Option<&Spanned<Literal>>) -> Result<Introspects, Diagnostics> {
    let Some(asked) = asked else { return Ok(Introspects::Own) };
    let text = |literal: &Literal| match literal {
        Literal::Text(text) => Some(text.clone()),
        _ => None,
    };
    let audiences: Option<Vec<String>> = match &asked.value {
        Literal::Text(one) if one == "any" => return Ok(Introspects::Any),
        Literal::Text(one) => Some(vec![one.clone()]),
        Literal::List(list) => list.iter().map(|item| text(&item.value)).collect(),
        _ => None,
    };
    let bad = || at(given, asked.span, String::from("this says nothing about introspection"), "\"any\", or audiences");
    audiences.map(Introspects::Audiences).ok_or_else(bad)
}

/// P0115 at a place of the test.
pub(super) fn at(given: &Given, span: policy::diagnostic::Span, message: String, help: &str) -> Diagnostics {
    let place = policy::diagnostic::Place { file: given.file.clone(), span };
    Problem::error(codes::BAD_TEST, message).with_help(help).at(place).into()
}

/// P0115 at the whole of what is given.
pub(super) fn problem(given: &Given, message: &str) -> Diagnostics {
    at(given, given.table.span, message.to_owned(), "see `given` in docs/policies.md")
}
