//! `oauth.issue-code`: makes an authorization code for what was granted, and sends the browser with it to the redirect URI (RFC 6749, section
//! 4.1.2), with `state` and `iss` (RFC 9207). For the redirect URI `urn:ietf:wg:oauth:2.0:oob` a page shows the code, to be copied by hand.
//! In Oracle API Gateway: the last part of Authorization Code Flow.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.authorize"
//!
//! [[filter]]
//! use = "auth.session"
//!
//! [[filter]]
//! use = "oauth.consent"
//!
//! [[filter]]
//! use      = "oauth.issue-code"
//! lifetime = "1m"
//! ```

use std::sync::Arc;

use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use ::oauth::GrantId;
use ::oauth::redirect_uri::OUT_OF_BAND;
use ::oauth::token::{Token, TokenKind};
use policy::attribute::Slot;
use policy::filter::{Answers, Role};
use policy::settings::{Duration, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Response};
use store::record::AuthzCode;
use store::{AccessTokens, AuthzCodes, Client};

use super::answers::AUTHORIZATION;
use super::attributes::{AUTHORIZE, Authorization, CLIENT, Granted, SCOPES, SUBJECT, Subject};
use super::live::unix_seconds;
use super::pages::{ClientShown, Page};
use super::server::Server;
use super::stop::{Stop, settle};
use crate::StoreExt;

const DEFAULT_LIFETIME: Duration = Duration(std::time::Duration::from_secs(60));
/// RFC 6749, section 4.1.2.
const LONGEST: u64 = 600;

/// `use = "oauth.issue-code"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// How long the code is good, from `1s` to `10m`. Default: `1m`. Bounded by `maximum_lifetime.code` in `oauth/server.toml`.
    lifetime: Option<Spanned<Duration>>,
    /// A template of your own for the page with the code, relative to the configuration folder. Default: the page that ships.
    template: Option<Spanned<String>>,
    /// The store of the kind `authz-code`. Default: the one of that name.
    store: Option<Spanned<String>>,
    /// The store of the kind `access-token`, whose epochs end what was granted before. Default: the one of that name.
    tokens: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.issue-code";
    const ROLE: Role = Role::Endpoint(&AUTHORIZATION);
    type Filter = IssueCode;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<IssueCode, Diagnostics> {
        cx.answers(Answers::Always);
        let default = Spanned { span: cx.own_place().span, value: DEFAULT_LIFETIME };
        let lifetime = self.lifetime.as_ref().unwrap_or(&default);
        let seconds = lifetime.value.0.as_secs();
        if !(1..=LONGEST).contains(&seconds) {
            let help = "from `1s` to `10m` (RFC 6749, section 4.1.2): it is redeemed at once";
            return Err(cx.error(lifetime.span, "a code does not live so long", help).into());
        }
        Server::read(cx)?.bound_code(lifetime, cx)?;
        Ok(IssueCode {
            lifetime: seconds,
            page: Page::build("code.html", &self.template, cx)?,
            codes: cx.store(&self.store)?,
            tokens: cx.store(&self.tokens)?,
            client: cx.reads(&CLIENT),
            authorization: cx.reads(&AUTHORIZE),
            subject: cx.reads(&SUBJECT),
            scopes: cx.reads(&SCOPES),
        })
    }
}

/// The compiled filter.
pub(crate) struct IssueCode {
    /// Seconds.
    lifetime: u64,
    page: Page,
    codes: Arc<AuthzCodes>,
    tokens: Arc<AccessTokens>,
    client: Slot<Client>,
    authorization: Slot<Authorization>,
    subject: Slot<Subject>,
    scopes: Slot<Granted>,
}

impl Filter for IssueCode {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.issue(exchange).await)
    }
}

impl IssueCode {
    async fn issue(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let authorization = exchange.needs_shared(self.authorization)?;
        let client = exchange.needs_shared(self.client)?;
        let subject = exchange.needs_shared(self.subject)?;
        let scopes = exchange.needs_shared(self.scopes)?;
        let now = unix_seconds(exchange);
        let target = &authorization.target;
        let record = AuthzCode {
            client_id: client.client_id.clone(),
            subject: subject.id.to_string(),
            scope: scopes.granted.clone(),
            grant_id: GrantId::mint(exchange.now_millis(), exchange.random()),
            redirect_uri: target.was_named.then(|| target.redirect_uri.clone()),
            challenge: authorization.asked.challenge.clone(),
            authentication: subject.authentication(),
            nonce: authorization.asked.nonce.clone(),
            claims: authorization.asked.claims.clone(),
            epochs: self.tokens.epochs(&client.client_id, Some(&subject.id)).await?,
            issued_at: now,
            expires_at: now + self.lifetime,
            used_at: None,
        };
        let code = Token::mint_in_order(TokenKind::Code, record.expires_at, exchange.now_millis(), exchange.random());
        self.codes.insert(&code, &record).await?;
        let answer = match target.redirect_uri.as_str() {
            OUT_OF_BAND => {
                let values = json!({
                    "client": ClientShown::of(&client),
                    "code": code.expose(),
                    "state": target.state,
                    "seconds": self.lifetime,
                });
                self.page.show(StatusCode::OK, values, None)?
            }
            _ => see_other(&target.with_code(code.expose(), &authorization.issuer)),
        };
        Ok(exchange.answer(answer)?)
    }
}

/// Sends the browser somewhere, by GET whatever it came with (RFC 9700, section 4.12: never 307, which would send the form on).
pub(super) fn see_other(location: &str) -> Response {
    let mut location = HeaderValue::from_str(location).unwrap_or_else(|_| HeaderValue::from_static("/"));
    location.set_sensitive(true);
    Response::new(StatusCode::SEE_OTHER)
        .with_header(LOCATION, location)
        .with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .with_header(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
}
