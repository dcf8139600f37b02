//! `oauth.refresh-token`: proves a refresh token (RFC 6749, section 6), and sets `grant.*`. It uses nothing up: `oauth.issue-token` does. In
//! Oracle API Gateway: the first half of Refresh Access Token.
//!
//! By default each is used once, and a new one takes its place. A second use says that two have it, and one of them stole it: the grant is
//! revoked with all of its tokens (RFC 9700, section 4.14.2). A client that did not hear the answer may send the same token again within
//! `grace`, and gets the same tokens; the window closes with the first use of the new one.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.authenticate-client"
//!
//! [[filter]]
//! use      = "oauth.refresh-token"
//! rotation = "rotate"
//! grace    = "10s"
//! ```

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::ErrorCode;
use ::oauth::refresh::{self, REFRESH_TOKEN};
use ::oauth::token_endpoint::may_use_grant;
use policy::attribute::Slot;
use policy::filter::Role;
use policy::settings::{Duration, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Value};
use store::{AccessTokens, Client, Users};

use super::answers::ENDPOINT;
use super::attributes::{CLIENT, GRANT, Grant, Proof, Rotation};
use super::client_credentials::GRANT_TYPE;
use super::live::unix_seconds;
use super::request::{endpoint_form, required};
use super::stop::{Stop, refuses, settle};
use crate::StoreExt;

/// For as long as a client may take to notice that an answer was lost.
const DEFAULT_GRACE: u64 = 10;
/// A longer one is a second life for a stolen token.
const LONGEST_GRACE: u64 = 300;

/// `use = "oauth.refresh-token"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// What comes of the token: `rotate` (a new one takes its place), `keep` (it stays good; for a public client, which cannot prove that it
    /// is the one who was given it, a new one takes its place all the same), `none` (it is used up, and there is no other). Default: `rotate`.
    #[schemars(extend("enum" = ["rotate", "keep", "none"]))]
    rotation: Option<Spanned<String>>,
    /// For how long a retry gets the same answer, at most `5m`. `0s`: never. Default: `10s`.
    grace: Option<Spanned<String>>,
    /// The store of the kind `access-token`. Default: the one of that name.
    store: Option<Spanned<String>>,
    /// The store of the kind `users`: whoever is disabled there gets no more tokens. Default: the one of that name.
    users: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.refresh-token";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = RefreshToken;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<RefreshToken, Diagnostics> {
        cx.reads_request_body();
        cx.authorizes();
        refuses(cx, &[ErrorCode::UnauthorizedClient, ErrorCode::InvalidRequest, ErrorCode::InvalidGrant]);
        cx.publish(GRANT_TYPE, Value::text(REFRESH_TOKEN));
        Ok(RefreshToken {
            rotation: rotation(&self.rotation, cx)?,
            grace: grace(&self.grace, cx)?,
            tokens: cx.store(&self.store)?,
            users: cx.store(&self.users)?,
            client: cx.reads(&CLIENT),
            grant: cx.writes(&GRANT),
        })
    }
}

/// The compiled filter.
pub(crate) struct RefreshToken {
    rotation: Rotation,
    /// Seconds.
    grace: u64,
    tokens: Arc<AccessTokens>,
    users: Arc<Users>,
    client: Slot<Client>,
    grant: Slot<Grant>,
}

impl Filter for RefreshToken {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.prove(exchange).await)
    }
}

impl RefreshToken {
    async fn prove(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let client = exchange.needs(self.client)?;
        may_use_grant(&client.grant_types, REFRESH_TOKEN)?;
        let token = required(endpoint_form(&exchange.request)?, "refresh_token")?;
        let presented = self.tokens.present(token, &client.client_id, self.grace, unix_seconds(exchange)).await?;
        let presented = presented.ok_or_else(refresh::refused)?;
        // `portcullis user disable` revokes what there is; people who stand in a file are disabled by whoever edits it.
        if self.users.is_disabled(&presented.grant.subject).await? {
            return Err(refresh::refused().into());
        }
        let rotation = match self.rotation {
            // RFC 9700, section 2.2.2.
            Rotation::Keep if client.is_public() => Rotation::Rotate,
            rotation => rotation,
        };
        let of = &presented.grant;
        let grant = Grant {
            kind: REFRESH_TOKEN,
            subject: Some(of.subject.clone()),
            scopes: of.scope.clone(),
            default_scopes: of.scope.clone(),
            offline: rotation == Rotation::Rotate,
            authentication: of.authentication.clone(),
            nonce: None,
            claims: of.claims.clone(),
            proof: Proof::Refresh { presented: Box::new(presented), rotation, grace: self.grace },
        };
        exchange.set(self.grant, grant);
        Ok(Outcome::Success)
    }
}

fn rotation(setting: &Option<Spanned<String>>, cx: &BuildContext<'_>) -> Result<Rotation, Diagnostics> {
    let Some(setting) = setting else { return Ok(Rotation::Rotate) };
    match setting.value.as_str() {
        "rotate" => Ok(Rotation::Rotate),
        "keep" => Ok(Rotation::Keep),
        "none" => Ok(Rotation::End),
        other => {
            let message = format!("`{other}` is nothing that can come of a refresh token");
            Err(cx.error(setting.span, message, "use `rotate`, `keep` or `none`").into())
        }
    }
}

fn grace(setting: &Option<Spanned<String>>, cx: &BuildContext<'_>) -> Result<u64, Diagnostics> {
    let Some(Spanned { span, value }) = setting else { return Ok(DEFAULT_GRACE) };
    let seconds = match value.as_str() {
        "0s" => 0,
        text => match Duration::parse(text) {
            Some(Duration(grace)) => grace.as_secs(),
            None => {
                return Err(cx
                    .error(*span, format!("`{text}` is no time"), "a time such as `10s`, or `0s` for none")
                    .into());
            }
        },
    };
    if seconds <= LONGEST_GRACE {
        return Ok(seconds);
    }
    let message = format!("a grace of {value} gives whoever stole a token that time, unnoticed");
    Err(cx.error(*span, message, "at most `5m`; `10s` is enough for a client that tries again").into())
}
