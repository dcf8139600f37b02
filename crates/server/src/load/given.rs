//! What a test says is given: clients, tokens, codes, upstreams' answers, the time.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use policy::Diagnostics;
use policy::diagnostic::{Problem, Span, codes};
use policy::reader::{NoOutside, deserialize};
use policy::settings::{Duration, Literal, Spanned};
use policy::testing::{Given, Named, OrCase};
use schemars::JsonSchema;
use serde::Deserialize;
use store::kps::Columns;
use store::oauth::token::{Token, TokenKind};
use store::oauth::{ClientId, GrantId, Scopes, Secret, credential, redirect_uri};
use store::record::{ClientMetadata, ClientSecret, Introspects};
use store::{AccessToken, Client, Session, User};

use self::grants::{GivenCode, GivenRefreshToken};
use super::canned::GivenAnswers;
use super::phonebook::GivenDirectory;
use crate::admin::api::Refusal;
use crate::records::{check_grant, check_known_method, check_user_name};

pub(super) mod grants;

/// The time of tests that name none: 2026-01-01T00:00:00Z.
const NOW: u64 = 1_767_225_600;

/// Seconds that a token lives where the test does not say.
const LIFETIME: u64 = 3_600;

/// Seconds that a session lasts where the test does not say.
const SESSION: u64 = 36_000;

/// What there is before a request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenTable {
    /// Clients that are registered, in every store of clients.
    #[serde(default)]
    pub(super) clients: Vec<GivenClient>,
    /// Access tokens that were issued, in every store of access tokens.
    #[serde(default)]
    pub(super) tokens: Vec<GivenToken>,
    /// Authorization codes that were issued, in every store of codes.
    #[serde(default)]
    pub(super) codes: Vec<GivenCode>,
    /// Refresh tokens that were issued, each with a grant of its own, in every store of access tokens.
    #[serde(default)]
    pub(super) refresh_tokens: Vec<GivenRefreshToken>,
    /// People who may log in, in every store of users.
    #[serde(default)]
    pub(super) users: Vec<GivenUser>,
    /// Sessions of browsers, in every store of sessions.
    #[serde(default)]
    pub(super) sessions: Vec<GivenSession>,
    /// Rows of key property stores, by the names of the stores: `[[given.kps.partners]]`.
    #[serde(default)]
    pub(super) kps: Named<Vec<Spanned<Columns>>>,
    /// The people of directories (`auth.ldap`), whichever is asked; without it nobody is in one. `"down"`: no directory answers.
    pub(super) directory: Option<GivenDirectory>,
    /// What upstreams answer, by their names; one that is not named cannot be reached. A list is one answer for each request, in order.
    #[serde(default)]
    pub(super) upstreams: Named<GivenAnswers>,
    /// Stores that are down, by their names: every request of theirs fails, as where the data source is gone.
    #[serde(default)]
    pub(super) stores: Named<OrCase<GivenStore>>,
    /// The time of the first request: `2026-01-01T00:00:00Z`, which is the default.
    now: Option<Spanned<String>>,
}

/// A client that is registered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenClient {
    /// Its identifier.
    id: Spanned<String>,
    /// Its secret. Tests may write it in clear: it is no secret of anybody's.
    secret: Option<String>,
    /// The grants that it may use.
    #[serde(default)]
    grants: Vec<Spanned<String>>,
    /// The scopes that it may have, with a space between.
    scope: Option<Spanned<String>>,
    /// Whether it may do anything. Default: true.
    enabled: Option<OrCase<bool>>,
    /// Which tokens it may introspect: `"any"`, or audiences. Default: its own.
    introspect: Option<Spanned<Literal>>,
    /// How it authenticates; default: in every way that the policy lists.
    auth_method: Option<Spanned<String>>,
    /// The scopes that it gets where it asks for none. Default: all that it may have.
    default_scope: Option<Spanned<String>>,
    /// Where answers of the authorization endpoint may go.
    #[serde(default)]
    redirect_uris: Vec<Spanned<String>>,
    /// Where a browser may go after it was logged out.
    #[serde(default)]
    post_logout_redirect_uris: Vec<String>,
    /// Its name, for people.
    name: Option<String>,
}

/// A token that was issued.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenToken {
    /// The test's word for it: where a request has that word as a token, the token stands.
    pub(super) token: String,
    /// The client that it was issued to.
    client: String,
    /// Its scopes, with a space between.
    scope: Option<Spanned<String>>,
    /// The resource owner.
    subject: Option<String>,
    /// How long it lives. Default: an hour.
    lifetime: Option<OrCase<Duration>>,
    /// How long ago it was issued. Default: just now.
    age: Option<OrCase<Duration>>,
    /// Whom it is for.
    #[serde(default)]
    audience: Vec<String>,
    /// Whether it was revoked. Default: false.
    pub(super) revoked: Option<OrCase<bool>>,
}

/// Somebody who may log in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenUser {
    /// The name to log in with.
    pub(super) name: Spanned<String>,
    /// The password. Tests may write it in clear: it is no secret of anybody's.
    password: Option<String>,
    /// Whether the user may log in. Default: true.
    enabled: Option<OrCase<bool>>,
    /// What is known of the user, by the names of OpenID Connect: `email`.
    #[serde(default)]
    claims: Columns,
}

/// A session of somebody's with a browser.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenSession {
    /// The test's word for it: where a request has that word as a cookie's value, the session's own stands.
    pub(super) session: String,
    /// Who.
    subject: String,
    /// How long ago the subject logged in. Default: just now.
    age: Option<OrCase<Duration>>,
    /// How long ago it was used last. Default: just now.
    unused: Option<OrCase<Duration>>,
    /// How long it lasts from the log-in on. Default: ten hours.
    lifetime: Option<OrCase<Duration>>,
    /// How the subject logged in, by the words of RFC 8176. Default: `["pwd"]`.
    methods: Option<Vec<String>>,
}

/// Whether a store can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GivenStore {
    /// It cannot.
    Down,
    /// It can again, in a later step.
    Up,
}

impl GivenTable {
    /// Reads what a test says. Whether the names in it are those of something is for the world to tell.
    pub(crate) fn read(given: &Given) -> Result<Self, Diagnostics> {
        let table: GivenTable = deserialize(&given.file, &given.table, &[], &NoOutside)?;
        table.now(given).map(|_| table)
    }

    /// Where the time stands, if it does.
    pub(super) fn now_span(&self) -> Option<Span> {
        self.now.as_ref().map(|now| now.span)
    }

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
    let refused = |span, refusal: Refusal| at(given, span, refusal.message, &refusal.help.unwrap_or_default());
    for grant in &spec.grants {
        check_grant(&grant.value).map_err(|refusal| refused(grant.span, refusal))?;
    }
    if let Some(method) = &spec.auth_method {
        check_known_method(&method.value).map_err(|refusal| refused(method.span, refusal))?;
    }
    let secrets = spec.secret.iter().map(|secret| ClientSecret::hashed(hash(secret))).collect();
    for uri in &spec.redirect_uris {
        redirect_uri::check(&uri.value)
            .map_err(|why| at(given, uri.span, why.to_string(), "https://app.example.com/cb"))?;
    }
    Ok(Client {
        client_name: spec.name.clone(),
        enabled: spec.enabled.is_none_or(|enabled| enabled.0),
        grant_types: spec.grants.iter().map(|grant| grant.value.clone()).collect(),
        scope: scopes(given, spec.scope.as_ref())?,
        default_scope: spec.default_scope.as_ref().map(|scope| scopes(given, Some(scope))).transpose()?,
        token_endpoint_auth_method: spec.auth_method.as_ref().map(|method| method.value.clone()),
        secrets,
        introspect: introspects(given, spec.introspect.as_ref())?,
        created_at: now,
        metadata: ClientMetadata {
            redirect_uris: spec.redirect_uris.iter().map(|uri| uri.value.clone()).collect(),
            post_logout_redirect_uris: spec.post_logout_redirect_uris.clone(),
            ..ClientMetadata::default()
        },
        ..Client::new(ClientId::new(spec.id.value.as_str()))
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
    let seconds = |duration: Option<OrCase<Duration>>, default| duration.map_or(default, |d| d.0.0.as_secs());
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

/// The user as one would be added.
pub(super) fn user(given: &Given, spec: &GivenUser, now: u64) -> Result<User, Diagnostics> {
    let name = &spec.name;
    check_user_name(&name.value)
        .map_err(|refusal| at(given, name.span, refusal.message, &refusal.help.unwrap_or_default()))?;
    // As for clients: Argon2 would make tests slow.
    let hash = |password: &String| credential::hash_generated(&Secret::new(password.clone()));
    Ok(User {
        name: name.value.clone(),
        enabled: spec.enabled.is_none_or(|enabled| enabled.0),
        password: spec.password.as_ref().map(hash),
        claims: spec.claims.clone(),
        created_at: now,
    })
}

/// The session, and the token that stands for it.
pub(super) fn begun(spec: &GivenSession, now: u64, random: [u8; 32]) -> (Token, Session) {
    let seconds = |duration: Option<OrCase<Duration>>, default| duration.map_or(default, |d| d.0.0.as_secs());
    let created_at = now.saturating_sub(seconds(spec.age, 0));
    let session = Session {
        subject: spec.subject.clone(),
        authenticated_at: created_at,
        methods: spec.methods.clone().unwrap_or_else(|| vec![String::from("pwd")]),
        acr: None,
        created_at,
        expires_at: created_at + seconds(spec.lifetime, SESSION),
        seen_at: now.saturating_sub(seconds(spec.unused, 0)),
    };
    (Token::mint(TokenKind::Session, session.expires_at, random), session)
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
pub(super) fn at(given: &Given, span: Span, message: String, help: &str) -> Diagnostics {
    let place = policy::diagnostic::Place { file: given.file.clone(), span };
    Problem::error(codes::BAD_TEST, message).with_help(help).at(place).into()
}

/// P0115 at the whole of what is given.
pub(super) fn problem(given: &Given, message: &str) -> Diagnostics {
    at(given, given.table.span, message.to_owned(), "see `given` in docs/policies.md")
}
