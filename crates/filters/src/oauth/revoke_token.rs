//! `oauth.revoke-token`: revokes a token of the client that asks, at once and for every node (RFC 7009). In Oracle API
//! Gateway: Revoke a Token.
//!
//! An access token is revoked alone, a refresh token with everything of its grant. A token that is unknown, expired or revoked already is a success. Another client's token is refused, and stays good.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.authenticate-client"
//!
//! [[filter]]
//! use = "oauth.revoke-token"
//! ```

use std::sync::Arc;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::revocation::{Extent, decide, extent};
use ::oauth::token::Token;
use ::oauth::{ClientId, ErrorCode};
use policy::attribute::Slot;
use policy::filter::{Answers, Role};
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Response, Value};
use store::{AccessTokens, Client};

use super::answers::{ENDPOINT, no_store};
use super::attributes::CLIENT;
use super::live::unix_seconds;
use super::metadata::ENDPOINT_FACT;
use super::request::{endpoint_form, required};
use super::stop::{Stop, refuses, settle};
use crate::StoreExt;

/// `use = "oauth.revoke-token"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The store of the kind `access-token`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.revoke-token";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = RevokeToken;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<RevokeToken, Diagnostics> {
        cx.reads_request_body();
        cx.answers(Answers::Always);
        refuses(cx, &[ErrorCode::InvalidRequest, ErrorCode::UnauthorizedClient]);
        cx.publish(ENDPOINT_FACT, Value::text("revocation_endpoint"));
        Ok(RevokeToken { tokens: cx.store(&self.store)?, client: cx.reads(&CLIENT) })
    }
}

/// The compiled filter.
pub(crate) struct RevokeToken {
    tokens: Arc<AccessTokens>,
    client: Slot<Client>,
}

impl Filter for RevokeToken {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        match self.revoke(exchange).await {
            Ok(()) => exchange.answer(no_store(Response::new(StatusCode::OK))),
            Err(stop) => settle(Err(stop)),
        }
    }
}

impl RevokeToken {
    /// `token_type_hint` is not looked at: a token says by itself what it is.
    async fn revoke(&self, exchange: &Exchange) -> Result<(), Stop> {
        let client = exchange.needs(self.client)?;
        let form = endpoint_form(&exchange.request)?;
        let token = required(form, "token")?;
        let now = unix_seconds(exchange);
        let mine = |owner: Option<&ClientId>| decide(&client.client_id, owner);
        match Token::parse(token).map(|token| extent(token.kind())) {
            Some(Extent::Grant) => {
                let found = self.tokens.refresh_token(token, now).await?;
                if mine(found.as_ref().map(|token| &token.client_id))?
                    && let Some(found) = found
                {
                    self.tokens.revoke_grant(&found.grant_id, now).await?;
                }
            }
            _ => {
                let found = self.tokens.find(token, now).await?;
                if mine(found.as_ref().map(|token| &token.client_id))? {
                    self.tokens.revoke(token, now).await?;
                }
            }
        }
        Ok(())
    }
}
