//! `oauth.token-response`: answers with the token that `oauth.issue-token` made (RFC 6749, section 5.1). `scope` is
//! told where it is not what was asked for; `id_token` where `oauth.id-token` made one.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.authenticate-client"
//!
//! [[filter]]
//! use = "oauth.client-credentials"
//!
//! [[filter]]
//! use     = "oauth.check-scope"
//! asked   = "${request.form.scope ??}"
//! allowed = "${grant.scopes}"
//!
//! [[filter]]
//! use = "oauth.issue-token"
//!
//! [[filter]]
//! use = "oauth.token-response"
//! ```

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::token::Token;
use ::oauth::token_endpoint::{BEARER, TokenResponse as Body, scope_to_tell};
use policy::attribute::Slot;
use policy::filter::{Answers, Role};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, Value};

use super::answers::{ENDPOINT, json};
use super::attributes::{Granted, ID_TOKEN, ISSUED, IdToken, Issued, SCOPES};
use super::metadata::ENDPOINT_FACT;

/// `use = "oauth.token-response"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.token-response";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = TokenResponse;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<TokenResponse, Diagnostics> {
        cx.answers(Answers::Always);
        cx.publish(ENDPOINT_FACT, Value::text("token_endpoint"));
        Ok(TokenResponse { issued: cx.reads(&ISSUED), scopes: cx.reads(&SCOPES), id_token: cx.reads_if_set(&ID_TOKEN) })
    }
}

/// The compiled filter.
pub(crate) struct TokenResponse {
    issued: Slot<Issued>,
    scopes: Slot<Granted>,
    id_token: Slot<IdToken>,
}

impl Filter for TokenResponse {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let (Some(issued), Some(scopes)) = (exchange.get(self.issued), exchange.get(self.scopes)) else {
            return Ok(Outcome::Failure(Reason::missing(ISSUED.name())));
        };
        let body = Body {
            access_token: issued.token.expose(),
            token_type: BEARER,
            expires_in: issued.expires_in,
            refresh_token: issued.refresh.as_ref().map(Token::expose),
            scope: scope_to_tell(&scopes.asked, &scopes.granted),
            id_token: exchange.get(self.id_token).and_then(|made| made.0.as_deref()),
        };
        let answer = json(StatusCode::OK, &body);
        exchange.answer(answer)
    }
}
