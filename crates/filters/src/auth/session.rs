//! `auth.session`: lets in whose browser has a session that `session.start` began, and sets `subject.*`. In Oracle API Gateway:
//! Validate Session.
//!
//! A session ends when it was left unused for `idle`, at the latest when its `absolute` lifetime is over (`session.start`), and at once when
//! it is ended, on every node. Without one the filter fails as where a credential is absent: `any` goes on to its next chain, and
//! `on_failure` can show a log-in page. Before the request goes on, the cookie is taken off, so that no upstream can use it.
//!
//! ```toml
//! [[filter]]
//! use  = "auth.session"
//! idle = "15m"
//! ```
//!
//! A cookie goes with every request that a browser makes, those that another site's page has it make included, unless they change
//! something and come from that page (`SameSite=Lax`). So nothing may change by a GET.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use policy::attribute::Slot;
use policy::settings::{Duration, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode};
use store::{Session, Sessions, Users};

use crate::StoreExt;
use crate::oauth::{SUBJECT, Stop, Subject, settle, unix_seconds};
use crate::session::cookie;

/// The request has no session that is good.
const NO_SESSION: ReasonCode = ReasonCode::new("no-session");
/// Seconds.
const IDLE: u64 = 30 * 60;

/// `use = "auth.session"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// How long a session may be left unused, at least `1s`. Default: `30m`.
    idle: Option<Spanned<Duration>>,
    /// Whether the cookie stays on the request that goes upstream. Default: false.
    #[serde(default)]
    keep_credential: bool,
    /// The store of the kind `users`: whoever is disabled there is let in no more. Where it is named here, nobody is who is not in it either.
    /// Default: the one of that name, and whom a directory or another provider knows need not be in it.
    users: Option<Spanned<String>>,
    /// The store of the kind `sessions`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "auth.session";
    type Filter = AuthSession;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<AuthSession, Diagnostics> {
        cx.authorizes();
        cx.fails(&[NO_SESSION]);
        let idle = match &self.idle {
            Some(idle) if idle.value.0.as_secs() == 0 => {
                let help = "write a time such as `30m`";
                return Err(cx.error(idle.span, "a session may be left unused for a second at least", help).into());
            }
            Some(idle) => idle.value.0.as_secs(),
            None => IDLE,
        };
        Ok(AuthSession {
            idle,
            keep_credential: self.keep_credential,
            sessions: cx.store(&self.store)?,
            users: cx.store(&self.users)?,
            must_be_known: self.users.is_some(),
            subject: cx.writes(&SUBJECT),
        })
    }
}

/// The compiled filter.
pub(crate) struct AuthSession {
    idle: u64,
    keep_credential: bool,
    sessions: Arc<Sessions>,
    users: Arc<Users>,
    must_be_known: bool,
    subject: Slot<Subject>,
}

impl Filter for AuthSession {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.find(exchange).await)
    }
}

impl AuthSession {
    async fn find(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let none = || Reason::new(NO_SESSION, "the request has no session, or it is over").with_absent();
        let text = exchange.request.cookie(cookie::NAME).ok_or_else(none)?;
        let found = self.sessions.find(text, unix_seconds(exchange), self.idle).await?;
        let session = found.ok_or_else(none)?;
        match self.users.get(&session.subject).await? {
            Some(user) if user.enabled => {}
            None if !self.must_be_known => {}
            _ => return Err(none().into()),
        }
        if !self.keep_credential {
            cookie::take_off(&mut exchange.request.headers);
        }
        exchange.set(self.subject, subject(session));
        Ok(Outcome::Success)
    }
}

fn subject(session: Session) -> Subject {
    let Session { subject, authenticated_at, methods, acr, .. } = session;
    let (id, acr) = (Arc::from(subject), acr.map(Arc::from));
    Subject { id, is_client: false, authenticated_at: Some(authenticated_at), methods, acr }
}
