//! `oauth.manage-client`: a client that registered itself reads (GET), replaces (PUT) or deletes (DELETE) its registration, by the
//! token that it was given then (RFC 7592). The last part of the path is its id.
//!
//! Its secret is not told again; a client that asks for a method with a secret and has none gets one, and so does one that turns to
//! `client_secret_jwt`, since of the secret that it has only a hash is kept.
//! With the registration its tokens go.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.manage-client"
//! ```

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::bearer::{self, Attempt, Challenge, Missing, Place};
use ::oauth::client_auth::Method::ClientSecretJwt;
use ::oauth::credential::{hash_generated, verify_generated};
use ::oauth::registration::dynamic::{read, settle};
use ::oauth::token::{Token, TokenKind};
use ::oauth::{ClientId, Error, ErrorCode, Secret};
use policy::filter::{Answers, Role};
use policy::outcome::METHOD_NOT_ALLOWED;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, Response};
use store::access_tokens::Whose;
use store::record::ClientSecret;
use store::{AccessTokens, Client};

use super::answers::{ENDPOINT, no_store};
use super::live::unix_seconds;
use super::registration::{Desk, apply, json_body, publish_managing};
use super::request::authorization;
use super::stop::{Stop, refused, refuses, settle as settled};
use crate::StoreExt;

/// What a token is held against where there is no such client: the same work.
const NOBODY: &str = "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// `use = "oauth.manage-client"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The store of the kind `clients`. Default: the one of that name.
    store: Option<Spanned<String>>,
    /// The store of the kind `access-token`, whose tokens go with a client. Default: the one of that name.
    tokens: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.manage-client";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = ManageClient;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<ManageClient, Diagnostics> {
        cx.answers(Answers::Always);
        cx.authorizes();
        refuses(cx, &[ErrorCode::InvalidToken, ErrorCode::InvalidRequest]);
        refuses(cx, &[ErrorCode::InvalidRedirectUri, ErrorCode::InvalidClientMetadata]);
        // A route names the methods.
        cx.fails_rarely(&[METHOD_NOT_ALLOWED]);
        publish_managing(cx);
        Ok(ManageClient { desk: Desk::build(&self.store, cx)?, tokens: cx.store(&self.tokens)? })
    }
}

/// The compiled filter.
pub(crate) struct ManageClient {
    desk: Desk,
    tokens: Arc<AccessTokens>,
}

impl Filter for ManageClient {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        match self.manage(exchange).await {
            Ok(answer) => exchange.answer(answer),
            Err(stop) => settled(Err(stop)),
        }
    }
}

impl ManageClient {
    async fn manage(&self, exchange: &Exchange) -> Result<Response, Stop> {
        let token = presented(exchange)?;
        let client = self.authenticate(exchange, &token).await?;
        match exchange.request.method {
            Method::GET | Method::HEAD => Ok(self.told(exchange, &client, None, &token)),
            Method::PUT => self.replace(exchange, &client, &token).await,
            Method::DELETE => self.delete(exchange, &client.client_id).await,
            _ => Err(Reason::new(METHOD_NOT_ALLOWED, "GET, PUT or DELETE is what this answers")
                .with_status(StatusCode::METHOD_NOT_ALLOWED)
                .into()),
        }
    }

    /// The client whose registration this token manages. An unknown one, a disabled one, one that people registered and a wrong token
    /// are the same (D91), after the same work.
    async fn authenticate(&self, exchange: &Exchange, token: &Secret) -> Result<Arc<Client>, Stop> {
        let id = exchange.request.path.rsplit('/').next().unwrap_or_default();
        let client = self.desk.clients.get(&ClientId::new(id)).await?.filter(|client| client.enabled);
        let hash = client.as_ref().and_then(|client| client.registration.as_deref());
        let is_its = verify_generated(hash.unwrap_or(NOBODY), token) == Some(true);
        client.filter(|_| is_its).ok_or_else(unknown)
    }

    fn told(&self, exchange: &Exchange, client: &Client, secret: Option<&Secret>, token: &Secret) -> Response {
        let uri = self.desk.manages_at(exchange, client);
        let uri = uri.as_deref().map(|uri| (token.expose(), uri));
        self.desk.information(StatusCode::OK, client, secret, uri)
    }

    /// What is not said is taken off (section 2.2).
    async fn replace(&self, exchange: &Exchange, client: &Client, token: &Secret) -> Result<Response, Stop> {
        let asked = read(json_body(exchange)?, true)?;
        if asked.client_id.as_deref() != Some(client.client_id.as_str()) {
            return Err(metadata("`client_id` is not this client's").into());
        }
        if let Some(said) = asked.client_secret.clone().map(Secret::new)
            && !client.secrets.iter().any(|kept| verify_generated(&kept.hash, &said) == Some(true))
        {
            return Err(metadata("`client_secret` is not this client's; it cannot be chosen").into());
        }
        let effective = settle(asked, &self.desk.offer).map_err(Error::from)?;
        let (secret, kept) = self.desk.secret(exchange, &client.client_id, effective.auth_method)?;
        let (hash, now) = (hash_generated(token), unix_seconds(exchange));
        let change = |client: &mut Client| {
            // Meanwhile another may have come in its place.
            if client.registration.as_deref() != Some(&hash) {
                return Err(unknown());
            }
            let signs = effective.auth_method == ClientSecretJwt;
            let of_use =
                |kept: &ClientSecret| kept.expires_at.is_none_or(|at| at > now) && (!signs || kept.sealed.is_some());
            client.secrets.retain(|kept| effective.has_secret() && of_use(kept));
            if effective.has_secret() && client.secrets.is_empty() {
                client.secrets.push(kept.clone());
            }
            apply(effective.clone(), client);
            Ok(())
        };
        let client = self.desk.clients.try_update(&client.client_id, change).await??.ok_or_else(unknown)?;
        let is_new = client.secrets.contains(&kept);
        Ok(self.told(exchange, &client, is_new.then_some(&secret), token))
    }

    /// Its tokens first: a second try after one that failed half-way then does what is left. And those that were issued meanwhile.
    async fn delete(&self, exchange: &Exchange, id: &ClientId) -> Result<Response, Stop> {
        let whose = Whose::Client(id.clone());
        self.tokens.revoke_all(&whose, unix_seconds(exchange)).await?;
        self.desk.clients.delete(id).await?;
        self.tokens.revoke_all(&whose, unix_seconds(exchange)).await?;
        Ok(no_store(Response::new(StatusCode::NO_CONTENT)))
    }
}

/// The token of the header; nothing else that is a token of ours does.
fn presented(exchange: &Exchange) -> Result<Secret, Stop> {
    let mut room = [&[][..]; 2];
    let attempt = Attempt { authorization: authorization(&exchange.request.headers, &mut room), ..Attempt::default() };
    let (token, _) = bearer::find(attempt, &[Place::Header]).map_err(|missing| match missing {
        Missing::Absent => {
            let error = Error::new(ErrorCode::InvalidToken, "The request has no registration access token");
            refused(error).with_absent().with_challenge(challenge(None))
        }
        Missing::Refused(error) => {
            let challenge = challenge(Some(&error));
            refused(error).with_challenge(challenge)
        }
    })?;
    Token::parse(token)
        .filter(|token| token.kind() == TokenKind::Management)
        .map(|token| Secret::new(token.expose().to_owned()))
        .ok_or_else(unknown)
}

fn unknown() -> Stop {
    let error = Error::new(ErrorCode::InvalidToken, "The registration access token is not this client's");
    let challenge = challenge(Some(&error));
    refused(error).with_challenge(challenge).into()
}

fn challenge(error: Option<&Error>) -> HeaderValue {
    let challenge = Challenge { realm: Some("registration"), error, scope: None };
    // Quoting leaves only what a header may hold.
    HeaderValue::from_str(&challenge.to_string()).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}

fn metadata(why: &'static str) -> Error {
    Error::new(ErrorCode::InvalidClientMetadata, why)
}
