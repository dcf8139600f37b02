//! `oauth.redeem-code`: proves an authorization code (RFC 6749, section 4.1.3) with its PKCE verifier (RFC 7636), and sets `grant.*`. It uses
//! nothing up: `oauth.issue-token` does, so that a refused scope costs nobody their code. A code that was used is refused, and its grant is
//! revoked with all that came of it. In Oracle API Gateway: the first half of Access Token using Authorization Code.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.authenticate-client"
//!
//! [[filter]]
//! use = "oauth.redeem-code"
//! ```

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::code::{self, AUTHORIZATION_CODE, Bound, Redeemer};
use ::oauth::token_endpoint::may_use_grant;
use ::oauth::{ErrorCode, refresh};
use policy::attribute::Slot;
use policy::filter::Role;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Value};
use store::{AccessTokens, AuthzCodes, Client};

use super::answers::ENDPOINT;
use super::attributes::{CLIENT, GRANT, Grant, Proof};
use super::client_credentials::GRANT_TYPE;
use super::live::unix_seconds;
use super::request::{endpoint_form, required};
use super::stop::{Stop, refuses, settle};
use crate::StoreExt;

/// `use = "oauth.redeem-code"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The store of the kind `authz-code`. Default: the one of that name.
    store: Option<Spanned<String>>,
    /// The store of the kind `access-token`, in which a grant is revoked. Default: the one of that name.
    tokens: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.redeem-code";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = RedeemCode;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<RedeemCode, Diagnostics> {
        cx.reads_request_body();
        cx.authorizes();
        refuses(cx, &[ErrorCode::UnauthorizedClient, ErrorCode::InvalidRequest, ErrorCode::InvalidGrant]);
        cx.publish(GRANT_TYPE, Value::text(AUTHORIZATION_CODE));
        Ok(RedeemCode {
            codes: cx.store(&self.store)?,
            tokens: cx.store(&self.tokens)?,
            client: cx.reads(&CLIENT),
            grant: cx.writes(&GRANT),
        })
    }
}

/// The compiled filter.
pub(crate) struct RedeemCode {
    codes: Arc<AuthzCodes>,
    tokens: Arc<AccessTokens>,
    client: Slot<Client>,
    grant: Slot<Grant>,
}

impl Filter for RedeemCode {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.prove(exchange).await)
    }
}

impl RedeemCode {
    async fn prove(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let client = exchange.needs(self.client)?;
        may_use_grant(&client.grant_types, AUTHORIZATION_CODE)?;
        let form = endpoint_form(&exchange.request)?;
        let text = required(form, "code")?;
        let now = unix_seconds(exchange);
        let found = self.codes.find(text, now).await?.ok_or_else(code::refused)?;
        let record = &found.record;
        let bound = Bound {
            client_id: &record.client_id,
            redirect_uri: record.redirect_uri.as_deref(),
            challenge: record.challenge.as_ref(),
        };
        let (redirect_uri, verifier) = (form.get("redirect_uri"), form.get("code_verifier"));
        code::check(bound, Redeemer { client_id: &client.client_id, redirect_uri, verifier })?;
        // Only whoever could have redeemed it: a code that was seen somewhere ends nobody's session.
        if record.used_at.is_some() {
            self.tokens.revoke_grant(&record.grant_id, now).await?;
            return Err(code::refused().into());
        }
        let grant = Grant {
            kind: AUTHORIZATION_CODE,
            subject: Some(record.subject.clone()),
            scopes: record.scope.clone(),
            default_scopes: record.scope.clone(),
            offline: refresh::is_offline(&client.grant_types, AUTHORIZATION_CODE, &record.scope),
            authentication: record.authentication.clone(),
            nonce: record.nonce.clone(),
            claims: record.claims.clone(),
            proof: Proof::Code { codes: self.codes.clone(), found: Box::new(found) },
        };
        exchange.set(self.grant, grant);
        Ok(Outcome::Success)
    }
}
