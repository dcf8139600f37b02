//! `oauth.login`: answers with the log-in page. What the user types comes back to the same path, where `auth.password` (or `auth.ldap`)
//! proves it and `oauth.authorize` takes up the request where it was. Where the request forbids to ask (`prompt=none`), the client is told
//! `login_required`. In Oracle API Gateway: the log-in form of Authorization Code Flow.
//!
//! The page works without scripts and by keyboard; a template of one's own can stand in its place (docs/pages.md).
//!
//! ```toml
//! [[filter]]
//! use = "oauth.authorize"
//!
//! [[filter]]
//! use        = "auth.password"
//! on_failure = "page"
//!
//! [[filter]]
//! use = "oauth.consent"
//!
//! [[filter]]
//! use = "oauth.issue-code"
//!
//! [[chain.page]]
//! use = "oauth.login"
//! ```

use std::sync::Arc;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use ::oauth::{Error, ErrorCode};
use policy::attribute::Slot;
use policy::filter::{Answers, Role};
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, ReasonCode};
use store::Client;
use store::seal::Sealer;

use super::answers::AUTHORIZATION;
use super::attributes::{AUTHORIZE, Authorization, CLIENT, VISIT, Visit};
use super::authorize::redirected;
use super::live::unix_seconds;
use super::pages::{ClientShown, Page};
use super::resume::{self, Step};
use super::stop::{Stop, settle};
use crate::StoreExt;

/// `use = "oauth.login"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// A template of your own, relative to the configuration folder. Default: the page that ships.
    template: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.login";
    const ROLE: Role = Role::Endpoint(&AUTHORIZATION);
    type Filter = Login;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Login, Diagnostics> {
        cx.answers(Answers::Always);
        // Only where an authorization request forbids to ask.
        cx.fails_rarely(&[ReasonCode::new(ErrorCode::LoginRequired.as_str())]);
        Ok(Login {
            page: Page::build("login.html", &self.template, cx)?,
            sealer: cx.sealer()?,
            visit: cx.reads(&VISIT),
            client: cx.reads_if_set(&CLIENT),
            authorization: cx.reads_if_set(&AUTHORIZE),
        })
    }
}

/// The compiled filter.
pub(crate) struct Login {
    page: Page,
    sealer: Arc<Sealer>,
    visit: Slot<Visit>,
    client: Slot<Client>,
    authorization: Slot<Authorization>,
}

impl Filter for Login {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.show(exchange))
    }
}

impl Login {
    fn show(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let visit = exchange.needs_shared(self.visit)?;
        // Other pages of ours have none.
        let authorization = exchange.share(self.authorization);
        let client = exchange.share(self.client).filter(|_| authorization.is_some());
        if let Some(Authorization { target, asked, issuer }) = authorization.as_deref()
            && asked.prompt.none
        {
            return Err(redirected(target, Error::new(ErrorCode::LoginRequired, "The user must log in"), issuer).into());
        }
        // Whatever was wrong, the user hears the same: not whether there is such a user.
        let tried = visit.is_log_in() && exchange.request.form().is_ok_and(|form| form.get("password").is_some());
        let username = match exchange.request.form().ok().and_then(|form| form.get("username")) {
            Some(typed) if tried => Some(typed.to_owned()),
            _ => authorization.as_ref().and_then(|authorization| authorization.asked.login_hint.clone()),
        };
        let now = unix_seconds(exchange);
        let resume = resume::seal(exchange, &self.sealer, visit.kept(), visit.began, Step::Login, now)?;
        let values = json!({
            "client": client.as_deref().map(ClientShown::of),
            "action": exchange.request.path,
            "resume": resume,
            "username": username,
            "error": tried.then_some("User name or password is wrong, or too many were tried: then wait a while"),
        });
        let status = if tried { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
        let target = authorization.as_ref().map(|authorization| authorization.target.redirect_uri.as_str());
        let page = self.page.show(status, values, target)?;
        Ok(exchange.answer(page)?)
    }
}
