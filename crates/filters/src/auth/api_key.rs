//! `auth.api-key`: lets in a client application by a key that it sends in a header or, if need be, in the query, and sets `client.*`. In
//! Oracle API Gateway: Authenticate API Key.
//!
//! A key is the client's id and its secret with a dot between, `ID.SECRET`, of the client registry: `portcullis client add` makes both,
//! `client rotate` gives another one while the old one is still good for a while, `client disable` ends it. Only hashes are kept. The
//! client needs no grant for it.
//!
//! ```toml
//! [[filter]]
//! use    = "auth.api-key"
//! header = "x-api-key"
//!
//! [[filter]]
//! use  = "require"
//! that = "'orders:read' in client.scopes"
//! ```
//!
//! An unknown client, a disabled one and a wrong secret are answered alike. Before the request goes on, the key is taken off, so that
//! no upstream can use it.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::bearer::quoted;
use ::oauth::{ClientId, Secret};
use policy::attribute::Slot;
use policy::diagnostic::codes;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode, Request};
use store::{Client, Clients};

use crate::StoreExt;
use crate::oauth::{CLIENT, SUBJECT, Stop, Subject, settle, unix_seconds};

/// The request has no key.
const NO_KEY: ReasonCode = ReasonCode::new("no-key");
/// It is nobody's, or there are several.
const WRONG_KEY: ReasonCode = ReasonCode::new("wrong-key");
/// No identifier and no secret is longer: what is, is refused before anything is hashed or looked up.
const LONGEST: usize = 2 * 1_024;

/// `use = "auth.api-key"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The header that holds the key. Default: `x-api-key`, where no `query` is named.
    header: Option<Spanned<String>>,
    /// The parameter of the query that holds the key, where logs and histories keep it. Default: none.
    query: Option<Spanned<String>>,
    /// The realm of the challenge. Default: `api`.
    realm: Option<String>,
    /// Whether the key stays on the request that goes upstream. Default: false.
    #[serde(default)]
    keep_credential: bool,
    /// The store of the kind `clients`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "auth.api-key";
    type Filter = ApiKey;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<ApiKey, Diagnostics> {
        cx.authorizes();
        cx.fails(&[NO_KEY, WRONG_KEY]);
        if let Some(query) = &self.query {
            let help = "logs, histories and `Referer` keep what stands in a URL: take it from a header";
            cx.lint(codes::CREDENTIALS_IN_QUERY, query.span, "a key is taken from the query", help);
        }
        let header = match (&self.header, &self.query) {
            (Some(header), _) => Some(HeaderName::try_from(&header.value).map_err(|_| {
                let message = format!("`{}` is no name of a header", header.value);
                cx.error(header.span, message, "letters, digits and `-`: `x-api-key`")
            })?),
            (None, Some(_)) => None,
            (None, None) => Some(HeaderName::from_static("x-api-key")),
        };
        let challenge = format!("Key realm={}", quoted(self.realm.as_deref().unwrap_or("api")));
        Ok(ApiKey {
            header,
            query: self.query.as_ref().map(|query| query.value.clone()),
            // Quoting leaves only what a header may hold.
            challenge: HeaderValue::from_str(&challenge).unwrap_or_else(|_| HeaderValue::from_static("Key")),
            keep_credential: self.keep_credential,
            clients: cx.store(&self.store)?,
            client: cx.writes(&CLIENT),
            subject: cx.writes(&SUBJECT),
        })
    }
}

/// The compiled filter.
pub(crate) struct ApiKey {
    header: Option<HeaderName>,
    query: Option<String>,
    challenge: HeaderValue,
    keep_credential: bool,
    clients: Arc<Clients>,
    client: Slot<Client>,
    subject: Slot<Subject>,
}

impl Filter for ApiKey {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.prove(exchange).await)
    }
}

impl ApiKey {
    async fn prove(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let (id, secret) = self.key(&exchange.request)?;
        let began = exchange.environment().clock.monotonic_nanos();
        let Some(client) = self.clients.authenticate(&id, &secret, unix_seconds(exchange)).await? else {
            exchange.hold_since(began);
            return Err(self.refuse(WRONG_KEY, "the key is nobody's").into());
        };
        if !self.keep_credential {
            self.take_off(&mut exchange.request);
        }
        let subject = Subject {
            id: client.client_id.shared(),
            is_client: true,
            authenticated_at: None,
            methods: Vec::new(),
            acr: None,
        };
        exchange.set(self.subject, subject);
        exchange.set(self.client, client);
        Ok(Outcome::Success)
    }

    /// The one key of the request, taken apart.
    fn key(&self, request: &Request) -> Result<(ClientId, Secret), Reason> {
        let in_header = self.header.iter().flat_map(|name| request.headers.get_all(name));
        let mut found: Vec<String> = in_header.map(|value| String::from_utf8_lossy(value.as_bytes()).into()).collect();
        if let Some(name) = &self.query {
            // Other parameters may be as malformed as they like: they are the API's.
            let query = request.query.as_deref().unwrap_or_default();
            let in_query = form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
            found.extend(in_query.map(|(_, value)| value.into_owned()));
        }
        found.retain(|key| !key.is_empty());
        let [key] = found.as_slice() else {
            return Err(match found.len() {
                0 => self.refuse(NO_KEY, "the request has no key").with_absent(),
                _ => self.refuse(WRONG_KEY, "the request has more than one key"),
            });
        };
        // A secret that we made has no dot, and an id may have several.
        match key.rsplit_once('.').filter(|_| key.len() <= LONGEST) {
            Some((id, secret)) => Ok((ClientId::new(id), Secret::new(secret.to_owned()))),
            None => Err(self.refuse(WRONG_KEY, "this is no key: `ID.SECRET`")),
        }
    }

    fn take_off(&self, request: &mut Request) {
        if let Some(name) = &self.header {
            request.headers.remove(name);
        }
        if let (Some(name), Some(query)) = (&self.query, &request.query) {
            let is_key = |pair: &&str| form_urlencoded::parse(pair.as_bytes()).any(|(known, _)| known == name.as_str());
            let rest = query.split('&').filter(|pair| !is_key(pair)).collect::<Vec<_>>().join("&");
            request.query = Some(rest).filter(|rest| !rest.is_empty());
        }
    }

    fn refuse(&self, code: ReasonCode, message: &'static str) -> Reason {
        Reason::new(code, message).with_status(StatusCode::UNAUTHORIZED).with_challenge(self.challenge.clone())
    }
}
