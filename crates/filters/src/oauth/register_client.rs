//! `oauth.register-client`: registers the client that asks for it (RFC 7591). Who may ask is for the filters before it; what such a
//! client may have at most stands under `[registration]` in `policies/oauth/server.toml`. In Oracle API Gateway: the Client
//! Application Registry, by hand.
//!
//! Only hashes of its secret and of its management token are kept (and the secret itself, sealed, where it signs by it): both are told
//! this once. Nothing that the metadata names is
//! fetched. The client cannot choose its id.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.validate-token"                # the initial access token: whoever has this scope may register clients
//!
//! [[filter]]
//! use     = "oauth.check-scope"
//! asked   = ["clients:register"]
//! allowed = "${token.scopes}"
//!
//! [[filter]]
//! use   = "oauth.register-client"
//! owner = "${client.id}"
//! ```

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::credential::{client_id, hash_generated};
use ::oauth::registration::dynamic::{read, settle};
use ::oauth::token::{Token, TokenKind};
use ::oauth::{Error, ErrorCode, Secret};
use policy::filter::{Answers, Role};
use policy::settings::Spanned;
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Response, Value,
};
use store::{Client, StoreError};

use super::answers::ENDPOINT;
use super::live::unix_seconds;
use super::metadata::ENDPOINT_FACT;
use super::registration::{Desk, apply, json_body};
use super::stop::{Stop, refuses, settle as settled};

/// `use = "oauth.register-client"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whose the client is, noted with it: who registered it. Default: nobody's.
    owner: Option<Dynamic<String>>,
    /// The store of the kind `clients`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.register-client";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = RegisterClient;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<RegisterClient, Diagnostics> {
        cx.answers(Answers::Always);
        refuses(cx, &[ErrorCode::InvalidRedirectUri, ErrorCode::InvalidClientMetadata, ErrorCode::InvalidRequest]);
        cx.publish(ENDPOINT_FACT, Value::text("registration_endpoint"));
        let owner = self.owner.as_ref().map(|owner| cx.dynamic(owner)).transpose()?;
        Ok(RegisterClient { desk: Desk::build(&self.store, cx)?, owner })
    }
}

/// The compiled filter.
pub(crate) struct RegisterClient {
    desk: Desk,
    owner: Option<Getter<String>>,
}

impl Filter for RegisterClient {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        match self.register(exchange).await {
            Ok(answer) => exchange.answer(answer),
            Err(stop) => settled(Err(stop)),
        }
    }
}

impl RegisterClient {
    async fn register(&self, exchange: &Exchange) -> Result<Response, Stop> {
        let asked = read(json_body(exchange)?, false)?;
        let effective = settle(asked, &self.desk.offer).map_err(Error::from)?;
        // D49: its id is ours, so that it is nobody else's name.
        let mut client = Client::new(client_id(exchange.random()));
        client.created_at = unix_seconds(exchange);
        if let Some(owner) = &self.owner {
            client.notes.owner = owner.get_optional(exchange)?;
        }
        let method = effective.auth_method;
        let secret =
            effective.has_secret().then(|| self.desk.secret(exchange, &client.client_id, method)).transpose()?;
        client.secrets.extend(secret.iter().map(|(_, kept)| kept.clone()));
        apply(effective, &mut client);
        let managed = self.desk.manages_at(exchange, &client).map(|uri| (management_token(exchange), uri));
        client.registration = managed.as_ref().map(|(token, _)| hash_generated(token));
        if !self.desk.clients.add(&client).await? {
            return Err(StoreError::Unavailable("the id that was made for a client is taken already".into()).into());
        }
        let managed = managed.as_ref().map(|(token, uri)| (token.expose(), uri.as_str()));
        let secret = secret.as_ref().map(|(secret, _)| secret);
        Ok(self.desk.information(StatusCode::CREATED, &client, secret, managed))
    }
}

/// One that lives as long as its client.
fn management_token(exchange: &Exchange) -> Secret {
    Secret::new(Token::mint(TokenKind::Management, u64::MAX, exchange.random()).expose().to_owned())
}
