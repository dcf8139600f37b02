//! `session.start`: begins a session for whoever just proved who it is (`subject.*`), so that the browser stays logged in: the answer
//! sets a cookie that `auth.session` knows. In Oracle API Gateway: Create Session.
//!
//! It is always a new session, and one that the request came with ends: nobody can have planted it before the log-in. The cookie is
//! `__Host-portcullis-session` (`Secure`, `HttpOnly`, `SameSite=Lax`) and says nothing; the store keeps only its hash.
//!
//! ```toml
//! [[filter]]
//! use = "auth.password"
//!
//! [[filter]]
//! use      = "session.start"
//! absolute = "8h"
//!
//! [[filter]]
//! use     = "respond"
//! status  = 303
//! headers = { location = "/" }
//! ```
//!
//! How long it may be left unused says `idle` of `auth.session`.

use std::sync::Arc;

use http::HeaderValue;
use http::header::{CACHE_CONTROL, SET_COOKIE};
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::token::{Token, TokenKind};
use policy::attribute::Slot;
use policy::exchange::HeaderEdit;
use policy::settings::{Duration, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode, Value};
use store::{Session, Sessions};

use super::cookie;
use crate::StoreExt;
use crate::oauth::{ACR, SUBJECT, Stop, Subject, settle, unix_seconds};

/// Whoever acts for itself has no browser.
const CLIENT: ReasonCode = ReasonCode::new("subject-is-client");
/// Seconds.
const LIFETIME: u64 = 10 * 3_600;

/// `use = "session.start"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// When the session ends however much it is used, at least `1s` after the log-in. Default: `10h`.
    absolute: Option<Spanned<Duration>>,
    /// Which class of proof the log-in was (`acr` of OpenID Connect): ID tokens say it, and clients may ask for it (`acr_values`). Default:
    /// none is said.
    acr: Option<Arc<str>>,
    /// The store of the kind `sessions`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "session.start";
    type Filter = Start;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Start, Diagnostics> {
        // The filters that log somebody in set no client.
        cx.fails_rarely(&[CLIENT]);
        let lifetime = match &self.absolute {
            Some(absolute) if absolute.value.0.as_secs() == 0 => {
                let help = "write a time such as `10h`";
                return Err(cx.error(absolute.span, "a session lasts for a second at least", help).into());
            }
            Some(absolute) => absolute.value.0.as_secs(),
            None => LIFETIME,
        };
        if let Some(acr) = &self.acr {
            cx.publish(ACR, Value::Text(acr.clone()));
        }
        let subject = cx.reads(&SUBJECT);
        if self.acr.is_some() {
            cx.writes(&SUBJECT);
        }
        Ok(Start { lifetime, acr: self.acr.clone(), sessions: cx.store(&self.store)?, subject })
    }
}

/// The compiled filter.
pub(crate) struct Start {
    /// Seconds.
    lifetime: u64,
    acr: Option<Arc<str>>,
    sessions: Arc<Sessions>,
    subject: Slot<Subject>,
}

impl Filter for Start {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.start(exchange).await)
    }
}

impl Start {
    async fn start(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let session = self.session(exchange)?;
        if let Some(before) = exchange.request.cookie(cookie::NAME) {
            self.sessions.end(before).await?;
        }
        let millis = exchange.environment().clock.unix_millis();
        let token = Token::mint_in_order(TokenKind::Session, session.expires_at, millis, exchange.random());
        self.sessions.start(&token, &session).await?;
        if let Some(acr) = &self.acr
            && let Some(subject) = exchange.share(self.subject)
        {
            exchange.set(self.subject, Subject { acr: Some(acr.clone()), ..Subject::clone(&subject) });
        }
        exchange.edit_response_header(HeaderEdit::Append(SET_COOKIE, cookie::set(&token)));
        // Whoever kept the answer would keep the session.
        exchange.edit_response_header(HeaderEdit::Default(CACHE_CONTROL, HeaderValue::from_static("no-store")));
        Ok(Outcome::Success)
    }

    fn session(&self, exchange: &Exchange) -> Result<Session, Reason> {
        let subject = exchange.needs(self.subject)?;
        if subject.is_client {
            return Err(Reason::new(CLIENT, "the subject is a client, and no person at a browser"));
        }
        let now = unix_seconds(exchange);
        Ok(Session {
            subject: subject.id.to_string(),
            authenticated_at: subject.authenticated_at.unwrap_or(now),
            methods: subject.methods.clone(),
            acr: self.acr.as_deref().map(str::to_owned),
            created_at: now,
            expires_at: now.saturating_add(self.lifetime),
            seen_at: now,
        })
    }
}
