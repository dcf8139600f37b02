//! `oauth.check-login`: whether the log-in of a session does for an authorization request: not where it asks for a new one (`prompt=login`),
//! for one that is younger (`max_age`), or for another user's (`id_token_hint`; OpenID Connect Core, section 3.1.2.1). Where it does not, it
//! fails as if there were no session, so that `any` goes on to the log-in. In Oracle API Gateway: part of Authorization Code Flow.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.authorize"
//!
//! [[filter]]
//! use = "any"
//! of  = ["session", "log-in"]
//!
//! [[filter]]
//! use = "oauth.consent"
//!
//! [[filter]]
//! use = "oauth.issue-code"
//!
//! [[chain.session]]
//! use = "auth.session"
//!
//! [[chain.session]]
//! use = "oauth.check-login"
//!
//! [[chain.log-in]]
//! use = "auth.password"
//!
//! [[chain.log-in]]
//! use = "session.start"
//! ```

use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::authorization::{login_is_earlier, login_is_fresh};
use policy::attribute::Slot;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode};

use super::attributes::{AUTHORIZE, Authorization, SUBJECT, Subject, VISIT, Visit};
use super::live::unix_seconds;

/// The fact that log-ins can be of this class (`acr`).
pub(crate) const ACR: &str = "acr";

/// The request asks for a log-in that is younger.
const LOGIN_TOO_OLD: ReasonCode = ReasonCode::new("login-too-old");

/// The request wishes for a log-in that proves more (`acr_values`), and there is one.
const LOGIN_TOO_WEAK: ReasonCode = ReasonCode::new("login-too-weak");

/// The request names another user (`id_token_hint`, `claims`).
const ANOTHER_USER: ReasonCode = ReasonCode::new("another-user");

/// `use = "oauth.check-login"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.check-login";
    type Filter = CheckLogin;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<CheckLogin, Diagnostics> {
        cx.authorizes();
        cx.fails(&[LOGIN_TOO_OLD]);
        cx.fails_rarely(&[ANOTHER_USER, LOGIN_TOO_WEAK]);
        Ok(CheckLogin {
            authorization: cx.reads_if_set(&AUTHORIZE),
            visit: cx.reads(&VISIT),
            subject: cx.reads(&SUBJECT),
        })
    }
}

/// The compiled filter.
pub(crate) struct CheckLogin {
    authorization: Slot<Authorization>,
    visit: Slot<Visit>,
    subject: Slot<Subject>,
}

impl Filter for CheckLogin {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        // A page of ours that no client asked for: any log-in does.
        let Some(authorization) = exchange.get(self.authorization) else { return Ok(Outcome::Success) };
        let Some(subject) = exchange.get(self.subject) else {
            return Ok(Outcome::Failure(Reason::missing(SUBJECT.name())));
        };
        let Some(visit) = exchange.get(self.visit) else {
            return Ok(Outcome::Failure(Reason::missing(VISIT.name())));
        };
        if authorization.asked.hinted_subject.as_deref().is_some_and(|hinted| *hinted != *subject.id) {
            let reason = Reason::new(ANOTHER_USER, "the request is for another user than is logged in");
            return Ok(Outcome::Failure(reason.with_absent()));
        }
        let (authenticated_at, resumed) = (subject.authenticated_at.unwrap_or(0), visit.is_after_log_in());
        if !login_is_fresh(&authorization.asked, authenticated_at, visit.began, resumed, unix_seconds(exchange)) {
            return Ok(Outcome::Failure(
                Reason::new(LOGIN_TOO_OLD, "the request asks for a younger log-in").with_absent(),
            ));
        }
        // Whoever just logged in is not asked again: that was what can be had.
        if login_is_earlier(authenticated_at, visit.began, resumed) {
            let classes = exchange.program().facts(ACR);
            let classes = classes.iter().filter_map(|(.., class)| class.as_text());
            if authorization.asked.wishes_for_more(subject.acr.as_deref(), classes) {
                let reason = Reason::new(LOGIN_TOO_WEAK, "the request wishes for a log-in that proves more");
                return Ok(Outcome::Failure(reason.with_absent()));
            }
        }
        Ok(Outcome::Success)
    }
}
