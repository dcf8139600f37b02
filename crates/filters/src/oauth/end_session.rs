//! `oauth.end-session`: logs a user out where a client asks for it (OpenID Connect RP-Initiated Logout 1.0), and sends the browser back to the
//! client.
//!
//! Who comes with an ID token of whoever is logged in (`id_token_hint`) is believed; anybody else's link could be a stranger's, so a page asks
//! first. The browser goes to `post_logout_redirect_uri` only where that is registered for the client, character for character. What the user has
//! granted stays: tokens are taken back at `oauth.granted`, or by the client itself.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.end-session"
//! ask = true                    # also where the ID token is that of whoever is logged in
//! ```

use std::sync::Arc;

use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use ::oauth::end_session::{self, Asked, Hint};
use ::oauth::jose::Algorithm;
use ::oauth::{ErrorCode, Issuer};
use policy::filter::{Answers, Role};
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, ReasonCode, Value};
use store::seal::Sealer;
use store::{Client, Clients, Session, Sessions, SigningKeys};

use super::answers::AUTHORIZATION;
use super::attributes::Visit;
use super::issue_code::see_other;
use super::live::unix_seconds;
use super::metadata::ENDPOINT_FACT;
use super::pages::{ClientShown, Page};
use super::resume::{self, FORM_EXPIRED, Step};
use super::server::Server;
use super::stop::{Stop, settle};
use crate::StoreExt;
use crate::session::{self, cookie};

/// However long a session was left unused, there is something to end.
const ANY_IDLE: u64 = u64::MAX;

/// `use = "oauth.end-session"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Whether the user is asked even where the client comes with an ID token of theirs. Default: false.
    #[serde(default)]
    ask: bool,
    /// A template of your own, relative to the configuration folder. Default: the page that ships.
    template: Option<Spanned<String>>,
    /// The store of the kind `sessions`. Default: the one of that name.
    store: Option<Spanned<String>>,
    /// The store of the kind `clients`. Default: the one of that name.
    clients: Option<Spanned<String>>,
    /// The store of the kind `keys`. Default: the one of that name.
    keys: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.end-session";
    const ROLE: Role = Role::Endpoint(&AUTHORIZATION);
    type Filter = EndSession;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<EndSession, Diagnostics> {
        cx.reads_request_body();
        cx.answers(Answers::Always);
        cx.fails(&[FORM_EXPIRED, ReasonCode::new(ErrorCode::InvalidRequest.as_str())]);
        cx.publish(ENDPOINT_FACT, Value::text("end_session_endpoint"));
        let server = Server::read(cx)?;
        Ok(EndSession {
            ask: self.ask,
            page: Page::build("logout.html", &self.template, cx)?,
            issuer: server.issuer(cx)?,
            algorithms: server.keys().algorithms,
            sealer: cx.sealer()?,
            sessions: cx.store(&self.store)?,
            clients: cx.store(&self.clients)?,
            keys: cx.store(&self.keys)?,
        })
    }
}

/// The compiled filter.
pub(crate) struct EndSession {
    ask: bool,
    page: Page,
    issuer: Issuer,
    algorithms: Vec<Algorithm>,
    sealer: Arc<Sealer>,
    sessions: Arc<Sessions>,
    clients: Arc<Clients>,
    keys: Arc<SigningKeys>,
}

impl Filter for EndSession {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.log_out(exchange).await)
    }
}

impl EndSession {
    async fn log_out(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let now = unix_seconds(exchange);
        let visit = resume::visit(exchange, &self.sealer, now)?;
        let asked = Asked::read(&visit.parameters)?;
        let hint = self.hint(&asked, now).await?;
        let client = match asked.client_id(hint.as_ref())? {
            Some(id) => self.clients.get(&id).await?.filter(|client| client.enabled),
            None => None,
        };
        let registered = client.as_ref().map_or(&[][..], |client| &client.metadata.post_logout_redirect_uris);
        let target = asked.target(registered)?;
        let session = match exchange.request.cookie(cookie::NAME) {
            Some(text) => self.sessions.find(text, now, ANY_IDLE).await?,
            None => None,
        };
        let decided = visit.form == Some(Step::LogOut);
        let stays = decided && exchange.request.form()?.get("decision") != Some("log-out");
        if self.must_ask(exchange, decided, session.as_ref(), hint.as_ref()) {
            return self.question(exchange, &visit, client.as_deref(), session.as_ref(), target.as_deref());
        }
        if !stays {
            session::end::end(&self.sessions, exchange).await?;
        }
        // Without a hint and unless the user pressed a button, anybody may have made the link.
        match target {
            Some(target) if hint.is_some() || decided => Ok(exchange.answer(see_other(&target))?),
            target => self.done(exchange, stays, client.as_deref(), target),
        }
    }

    /// A hint that is none of ours is none: the user is asked then.
    async fn hint(&self, asked: &Asked<'_>, now: u64) -> Result<Option<Hint>, Stop> {
        let Some(token) = asked.id_token_hint else { return Ok(None) };
        let keys = self.keys.published(&self.algorithms, now).await?;
        Ok(end_session::hint(token, &self.issuer, &keys))
    }

    fn must_ask(&self, exchange: &Exchange, decided: bool, session: Option<&Session>, hint: Option<&Hint>) -> bool {
        match session {
            _ if decided => false,
            Some(session) => self.ask || hint.is_none_or(|hint| hint.subject != session.subject),
            // A browser sends no cookie along with another site's form (`SameSite=Lax`), but with ours it does.
            None => exchange.request.method == Method::POST,
        }
    }

    fn question(
        &self,
        exchange: &mut Exchange,
        visit: &Visit,
        client: Option<&Client>,
        session: Option<&Session>,
        target: Option<&str>,
    ) -> Result<Outcome, Stop> {
        let now = unix_seconds(exchange);
        let resume = resume::seal(exchange, &self.sealer, visit.kept(), visit.began, Step::LogOut, now)?;
        let values = json!({
            "step": "ask",
            "action": exchange.request.path,
            "resume": resume,
            "client": client.map(ClientShown::of),
            "subject": session.map(|session| session.subject.as_str()),
        });
        let page = self.page.show(StatusCode::OK, values, target)?;
        Ok(exchange.answer(page)?)
    }

    fn done(
        &self,
        exchange: &mut Exchange,
        stays: bool,
        client: Option<&Client>,
        target: Option<String>,
    ) -> Result<Outcome, Stop> {
        let step = if stays { "stays" } else { "done" };
        let values = json!({ "step": step, "client": client.map(ClientShown::of), "back": target });
        Ok(exchange.answer(self.page.show(StatusCode::OK, values, None)?)?)
    }
}
