//! `oauth.device-verify`: the page on which a user types the code that a device shows, sees what it asks for, and decides (RFC 8628, section
//! 3.3). It comes after the log-in. Guessing is limited: a user types five codes in ten minutes, on all nodes together, which the store of
//! users counts.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.open-form"
//!
//! [[filter]]
//! use = "auth.session"
//!
//! [[filter]]
//! use   = "oauth.device-verify"
//! limit = "5/10m"
//! ```

use std::sync::Arc;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use ::oauth::{Error, ErrorCode, GrantId, device};
use policy::attribute::Slot;
use policy::filter::{Answers, Role};
use policy::settings::{Rate, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode, Response};
use store::device_codes::{Allowed, Decision, FoundDevice};
use store::seal::Sealer;
use store::users::Lockout;
use store::{AccessTokens, Clients, DeviceCodes, Users};

use super::answers::AUTHORIZATION;
use super::attributes::{SUBJECT, Subject, VISIT, Visit};
use super::live::unix_seconds;
use super::pages::{self, ClientShown, Page};
use super::resume::{self, Step};
use super::server::Server;
use super::stop::{Stop, settle};
use crate::StoreExt;

/// A user typed more codes than the limit allows.
const TOO_MANY_CODES: ReasonCode = ReasonCode::new("too-many-codes");

/// See `limit`.
const LIMIT: Lockout = Lockout { tries: 5, within: 600, lasts: 600 };

/// The parameter, in the address that a picture leads to and in the form.
const USER_CODE: &str = "user_code";

/// `use = "oauth.device-verify"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// How many codes a user may type within how long, right or wrong: `5/10m`. Whoever types more types none for as long. A code is good for
    /// ten minutes and one of 20^8: with five of them nobody finds it (2 to the -32; RFC 8628, section 5.1). Default: `5/10m`.
    limit: Option<Spanned<Rate>>,
    /// A template of your own, relative to the configuration folder. Default: the page that ships.
    template: Option<Spanned<String>>,
    /// The store of the kind `device-code`. Default: the one of that name.
    store: Option<Spanned<String>>,
    /// The store of the kind `clients`. Default: the one of that name.
    clients: Option<Spanned<String>>,
    /// The store of the kind `access-token`, whose epochs end what was granted before. Default: the one of that name.
    tokens: Option<Spanned<String>>,
    /// The store of the kind `users`, which counts. Default: the one of that name.
    users: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.device-verify";
    const ROLE: Role = Role::Endpoint(&AUTHORIZATION);
    type Filter = DeviceVerify;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<DeviceVerify, Diagnostics> {
        cx.reads_request_body();
        cx.authorizes();
        cx.answers(Answers::Always);
        cx.fails(&[TOO_MANY_CODES]);
        Ok(DeviceVerify {
            limit: self.limit.as_ref().map_or(LIMIT, |limit| limited(limit.value)),
            page: Page::build("device.html", &self.template, cx)?,
            descriptions: Server::read(cx)?.descriptions(),
            codes: cx.store(&self.store)?,
            clients: cx.store(&self.clients)?,
            tokens: cx.store(&self.tokens)?,
            users: cx.store(&self.users)?,
            sealer: cx.sealer()?,
            visit: cx.reads(&VISIT),
            subject: cx.reads(&SUBJECT),
        })
    }
}

/// The compiled filter.
pub(crate) struct DeviceVerify {
    limit: Lockout,
    page: Page,
    descriptions: Vec<(String, String)>,
    codes: Arc<DeviceCodes>,
    clients: Arc<Clients>,
    tokens: Arc<AccessTokens>,
    users: Arc<Users>,
    sealer: Arc<Sealer>,
    visit: Slot<Visit>,
    subject: Slot<Subject>,
}

impl Filter for DeviceVerify {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.show(exchange).await)
    }
}

impl DeviceVerify {
    async fn show(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let visit = exchange.needs_shared(self.visit)?;
        let subject = exchange.needs_shared(self.subject)?;
        let answer = match &visit.form {
            Some(Step::Decide(user_code, of)) if **of == *subject.id => {
                self.decided(exchange, user_code, &subject).await?
            }
            Some(Step::UserCode) => self.typed(exchange, &subject).await?,
            _ => {
                let code = visit.parameters.iter().find(|(name, _)| *name == USER_CODE);
                let code = code.and_then(|(_, code)| device::typed(code)).map(|code| device::shown(&code));
                self.ask(exchange, code, false)?
            }
        };
        Ok(exchange.answer(answer)?)
    }

    /// The form for the code. One that stood in the address is shown in it, and never taken as typed: whoever sent the link may want
    /// the user to let the wrong device in (section 5.4).
    fn ask(&self, exchange: &mut Exchange, user_code: Option<String>, wrong: bool) -> Result<Response, Stop> {
        let now = unix_seconds(exchange);
        let resume = resume::seal(exchange, &self.sealer, Vec::new(), now, Step::UserCode, now)?;
        let values = json!({
            "step": "code",
            "action": exchange.request.path,
            "resume": resume,
            "user_code": user_code,
            "error": wrong.then_some("No device waits with this code: look at the device again"),
        });
        let status = if wrong { StatusCode::NOT_FOUND } else { StatusCode::OK };
        Ok(self.page.show(status, values, None)?)
    }

    async fn typed(&self, exchange: &mut Exchange, subject: &Subject) -> Result<Response, Stop> {
        let now = unix_seconds(exchange);
        let typed =
            exchange.request.form().ok().and_then(|form| form.get(USER_CODE)).map(str::to_owned).unwrap_or_default();
        if let Some(until) = self.users.typed_code(&subject.id, self.limit, now).await? {
            let wait = u32::try_from(until.saturating_sub(now)).unwrap_or(u32::MAX);
            let told = Error::new(ErrorCode::AccessDenied, "Too many codes were typed: wait a while, and begin again");
            let refused = Reason::new(TOO_MANY_CODES, "this user typed more codes of devices than the limit allows");
            return Err(refused
                .with_status(StatusCode::TOO_MANY_REQUESTS)
                .with_retry_after(wait)
                .with_detail(told)
                .into());
        }
        let found = match device::typed(&typed) {
            Some(code) => self.codes.find(&code, now).await?.filter(|found| found.record.decision == Decision::Pending),
            None => None,
        };
        let Some(found) = found else { return self.ask(exchange, Some(typed), true) };
        self.confirm(exchange, &found, subject).await
    }

    async fn confirm(&self, exchange: &mut Exchange, found: &FoundDevice, subject: &Subject) -> Result<Response, Stop> {
        let record = &found.record;
        let client = self.clients.get(&record.client_id).await?.filter(|client| client.enabled);
        let Some(client) = client else { return self.ask(exchange, None, true) };
        let now = unix_seconds(exchange);
        let step = Step::Decide(record.user_code.clone(), subject.id.to_string());
        let resume = resume::seal(exchange, &self.sealer, Vec::new(), now, step, now)?;
        let permits = |scope: &Arc<str>| pages::permits(&self.descriptions, scope).to_owned();
        let values = json!({
            "step": "decide",
            "action": exchange.request.path,
            "resume": resume,
            "client": ClientShown::of(&client),
            "subject": &*subject.id,
            "user_code": device::shown(&record.user_code),
            "scopes": record.scope.iter().map(permits).collect::<Vec<_>>(),
        });
        Ok(self.page.show(StatusCode::OK, values, None)?)
    }

    async fn decided(&self, exchange: &mut Exchange, user_code: &str, subject: &Subject) -> Result<Response, Stop> {
        let now = unix_seconds(exchange);
        let allows = exchange.request.form().is_ok_and(|form| form.get("decision") == Some("allow"));
        let Some(found) = self.codes.find(user_code, now).await? else { return self.ask(exchange, None, true) };
        let decision = match allows {
            false => Decision::Denied,
            true => Decision::Allowed(Allowed {
                subject: subject.id.to_string(),
                scope: found.record.scope.clone(),
                grant_id: GrantId::mint(exchange.now_millis(), exchange.random()),
                granted_at: now,
                authentication: subject.authentication(),
                epochs: self.tokens.epochs(&found.record.client_id, Some(&subject.id)).await?,
            }),
        };
        if !self.codes.decide(user_code, &decision, now).await? {
            return self.ask(exchange, None, true);
        }
        Ok(self.page.show(StatusCode::OK, json!({ "step": "done", "allowed": allows }), None)?)
    }
}

fn limited(limit: Rate) -> Lockout {
    let seconds = limit.per.as_secs().max(1);
    Lockout { tries: limit.count, within: seconds, lasts: seconds }
}
