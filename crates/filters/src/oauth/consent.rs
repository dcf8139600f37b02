//! `oauth.consent`: asks the user what the client may do, and sets `scopes.*`. What was agreed to before is not asked again, only what is new;
//! the user may agree to a part. In Oracle API Gateway: the consent form of Authorization Code Flow.
//!
//! `remember = false` asks each time; `without = ["client-id"]` names clients of the same house that nobody is asked about. `prompt=consent`
//! asks whatever was agreed to, and `prompt=none` answers `consent_required` where something is new (OpenID Connect Core, section 3.1.2.6).
//! What a scope permits, the page takes from `[scopes]` in `oauth/server.toml`.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.authorize"
//!
//! [[filter]]
//! use = "auth.session"
//!
//! [[filter]]
//! use     = "oauth.consent"
//! without = ["our-own-app"]
//!
//! [[filter]]
//! use = "oauth.issue-code"
//! ```

use std::sync::Arc;

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use ::oauth::redirect_uri;
use ::oauth::refresh::OPENID;
use ::oauth::{Error, ErrorCode, Scopes};
use policy::attribute::Slot;
use policy::filter::{Answers, Role};
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, ReasonCode};
use store::seal::Sealer;
use store::{Client, Consents};

use super::answers::AUTHORIZATION;
use super::attributes::{AUTHORIZE, Authorization, CLIENT, Granted, SCOPES, SUBJECT, Subject, VISIT, Visit};
use super::authorize::redirected;
use super::live::unix_seconds;
use super::pages::{self, ClientShown, Page};
use super::resume::{self, Step};
use super::server::Server;
use super::stop::{Stop, settle};
use crate::StoreExt;

/// `use = "oauth.consent"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Clients about which nobody is asked, by their ids. Default: none.
    #[serde(default)]
    without: Vec<String>,
    /// Whether what was agreed to is remembered. Default: yes, but for public clients whose redirect URI is a loopback address or a scheme of an
    /// application, where any other application may wait (RFC 8252, section 8.6); `true`: for them too.
    remember: Option<bool>,
    /// A template of your own, relative to the configuration folder. Default: the page that ships.
    template: Option<Spanned<String>>,
    /// The store of the kind `consents`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.consent";
    const ROLE: Role = Role::Endpoint(&AUTHORIZATION);
    type Filter = Consent;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Consent, Diagnostics> {
        cx.authorizes();
        cx.reads_request_body();
        cx.answers(Answers::Sometimes);
        let refusals = [ErrorCode::ConsentRequired, ErrorCode::AccessDenied];
        let rare = [ErrorCode::LoginRequired, ErrorCode::UnmetAuthenticationRequirements];
        rare.iter().for_each(|code| cx.fails_rarely(&[ReasonCode::new(code.as_str())]));
        refusals.iter().for_each(|code| cx.fails(&[ReasonCode::new(code.as_str())]));
        Ok(Consent {
            without: self.without.clone(),
            remember: self.remember,
            page: Page::build("consent.html", &self.template, cx)?,
            descriptions: Server::read(cx)?.descriptions(),
            consents: cx.store(&self.store)?,
            sealer: cx.sealer()?,
            client: cx.reads(&CLIENT),
            authorization: cx.reads(&AUTHORIZE),
            visit: cx.reads(&VISIT),
            subject: cx.reads(&SUBJECT),
            scopes: cx.writes(&SCOPES),
        })
    }
}

/// The compiled filter.
pub(crate) struct Consent {
    without: Vec<String>,
    remember: Option<bool>,
    page: Page,
    /// What scopes permit.
    descriptions: Vec<(String, String)>,
    consents: Arc<Consents>,
    sealer: Arc<Sealer>,
    client: Slot<Client>,
    authorization: Slot<Authorization>,
    visit: Slot<Visit>,
    subject: Slot<Subject>,
    scopes: Slot<Granted>,
}

/// A scope as the page shows it.
#[derive(Serialize)]
struct ScopeShown<'a> {
    name: &'a str,
    description: &'a str,
    required: bool,
}

impl Filter for Consent {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.decide(exchange).await)
    }
}

impl Consent {
    async fn decide(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let authorization = exchange.needs_shared(self.authorization)?;
        let visit = exchange.needs_shared(self.visit)?;
        let client = exchange.needs_shared(self.client)?;
        let subject = exchange.needs_shared(self.subject)?;
        let asked = &authorization.asked.scope;
        let excepted = self.without.iter().any(|id| id == client.client_id.as_str());
        let remember =
            self.remember.unwrap_or(redirect_uri::is_assured(client.is_public(), &authorization.target.redirect_uri));
        let before = match remember && !excepted {
            true => self.consents.get(&client.client_id, &subject.id).await?.map(|consent| consent.scope),
            false => None,
        };
        let before = before.unwrap_or_default().common(asked);
        let refuse =
            |code, why| Stop::from(redirected(&authorization.target, Error::new(code, why), &authorization.issuer));
        if let Err(unmet) = authorization.asked.is_met_by(&subject.id, subject.acr.as_deref()) {
            return Err(redirected(&authorization.target, unmet, &authorization.issuer).into());
        }
        let granted = match decision(exchange, &visit, &subject) {
            Some(false) => return Err(refuse(ErrorCode::AccessDenied, "The user does not allow it")),
            Some(true) => {
                let granted = chosen(exchange, asked, &before, authorization.asked.prompt.consent);
                if granted.is_empty() {
                    return Err(refuse(ErrorCode::AccessDenied, "The user allows nothing of it"));
                }
                if remember {
                    self.consents.add(&client.client_id, &subject.id, &granted, unix_seconds(exchange)).await?;
                }
                granted
            }
            None if excepted => asked.clone(),
            None if asked.within(&before) && !authorization.asked.prompt.consent => asked.clone(),
            None if authorization.asked.prompt.none => {
                return Err(refuse(ErrorCode::ConsentRequired, "The user must agree first"));
            }
            None => return self.ask(exchange, &authorization, &visit, &client, &subject, &before),
        };
        exchange.set(self.scopes, Granted { asked: asked.clone(), granted });
        Ok(Outcome::Success)
    }

    fn ask(
        &self,
        exchange: &mut Exchange,
        authorization: &Authorization,
        visit: &Visit,
        client: &Client,
        subject: &Subject,
        before: &Scopes,
    ) -> Result<Outcome, Stop> {
        let again = authorization.asked.prompt.consent;
        let new: Vec<ScopeShown<'_>> = authorization
            .asked
            .scope
            .iter()
            .filter(|scope| again || !before.contains(scope))
            .map(|scope| ScopeShown {
                name: scope,
                description: pages::permits(&self.descriptions, scope),
                required: **scope == *OPENID,
            })
            .collect();
        let step = Step::Consent(subject.id.to_string());
        let now = unix_seconds(exchange);
        let resume = resume::seal(exchange, &self.sealer, visit.kept(), visit.began, step, now)?;
        let values = json!({
            "client": ClientShown::of(client),
            "action": exchange.request.path,
            "resume": resume,
            "subject": &*subject.id,
            "scopes": new,
            "before": !again && !before.is_empty(),
        });
        let page = self.page.show(StatusCode::OK, values, Some(&authorization.target.redirect_uri))?;
        Ok(exchange.answer(page)?)
    }
}

/// What the user decided, where this is the form that this very user was shown.
fn decision(exchange: &Exchange, visit: &Visit, subject: &Subject) -> Option<bool> {
    let Some(Step::Consent(asked)) = &visit.form else { return None };
    let form = exchange.request.form().ok().filter(|_| **asked == *subject.id)?;
    match form.get("decision") {
        Some("allow") => Some(true),
        Some("deny") => Some(false),
        _ => None,
    }
}

/// What was agreed to before, and what of the rest was ticked. Who the user is, is not to be left out.
fn chosen(exchange: &Exchange, asked: &Scopes, before: &Scopes, again: bool) -> Scopes {
    let form = exchange.request.form().ok();
    let ticked = |scope: &str| {
        form.is_some_and(|form| form.iter().any(|(name, value)| name.starts_with("scope.") && value == scope))
    };
    let kept = |scope: &str| scope == OPENID || (!again && before.contains(scope)) || ticked(scope);
    Scopes::of(asked.iter().filter(|scope| kept(scope)).cloned()).unwrap_or_default()
}
