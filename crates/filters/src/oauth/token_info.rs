//! `oauth.token-info`: what a token is, as Oracle API Gateway tells it (Access Token Information): `{audience, user_id,
//! scope, expires_in}`, and 400 where the token is not good. The standard's way is `oauth.introspect`.
//!
//! The token comes in the form field `access_token`; as in Oracle API Gateway, nobody authenticates: who has the token
//! may ask what it is.
//!
//! ```toml
//! [[filter]]
//! use  = "oauth.token-info"
//! show = ["tenant"]          # properties kept with the token that are told too
//! ```

use std::sync::Arc;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::token_info::{NAMES, TokenInfo as Body};
use ::oauth::{Error, ErrorCode};
use policy::filter::{Answers, Role};
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Response};
use store::AccessToken;

use super::answers::{ENDPOINT, json};
use super::live::{Live, unix_seconds};
use super::request::{ACCESS_TOKEN, endpoint_form, required};
use super::stop::{Stop, refused, refuses, settle};

/// `use = "oauth.token-info"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Names of properties kept with the token that are told too. Default: none.
    #[serde(default)]
    show: Vec<Spanned<String>>,
    /// The store of the kind `access-token`. Default: the one of that name.
    store: Option<Spanned<String>>,
    /// The store of the kind `clients`. Default: the one of that name.
    clients: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.token-info";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = TokenInfo;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<TokenInfo, Diagnostics> {
        cx.reads_request_body();
        cx.answers(Answers::Always);
        refuses(cx, &[ErrorCode::InvalidRequest, ErrorCode::InvalidToken]);
        for name in &self.show {
            if NAMES.contains(&name.value.as_str()) {
                let help = format!("`{}` are always told; keep the property under another name", NAMES.join("`, `"));
                return Err(cx
                    .error(name.span, format!("`{}` is a name of the answer's own", name.value), help)
                    .into());
            }
        }
        Ok(TokenInfo {
            show: self.show.iter().map(|name| name.value.clone()).collect(),
            live: Live::build(&self.store, &self.clients, cx)?,
        })
    }
}

/// The compiled filter.
pub(crate) struct TokenInfo {
    show: Vec<String>,
    live: Live,
}

impl Filter for TokenInfo {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        match self.look_up(exchange).await {
            Ok(token) => {
                let answer = self.tell(&token, unix_seconds(exchange));
                exchange.answer(answer)
            }
            Err(stop) => settle(Err(stop)),
        }
    }
}

impl TokenInfo {
    async fn look_up(&self, exchange: &Exchange) -> Result<Arc<AccessToken>, Stop> {
        let form = endpoint_form(&exchange.request)?;
        let token = required(form, ACCESS_TOKEN)?;
        match self.live.find(token, unix_seconds(exchange)).await? {
            Some((token, _)) => Ok(token),
            None => {
                // Not 401: nobody authenticates here, and the token is the subject of the request, not its credential.
                let error = Error::new(ErrorCode::InvalidToken, "The access token is unknown, expired or revoked");
                Err(refused(error).with_status(StatusCode::BAD_REQUEST).into())
            }
        }
    }

    fn tell(&self, token: &AccessToken, now: u64) -> Response {
        let shown = self.show.iter().filter_map(|name| Some((name.as_str(), token.properties.get(name)?.as_str())));
        let body = Body {
            client_id: &token.client_id,
            subject: token.subject.as_deref().unwrap_or(token.client_id.as_str()),
            scope: &token.scope,
            expires_in: token.expires_at.saturating_sub(now),
            extra: &shown.collect::<Vec<_>>(),
        };
        json(StatusCode::OK, &body)
    }
}
