//! `oauth.userinfo`: tells a client about the user who gave it its access token (OpenID Connect Core, section 5.3): `sub`, and what the
//! token's scopes stand for: `profile`, `email`, `address`, `phone`. What is known of a user stands in the `users` store; of somebody whom a
//! directory or another provider knows, `sub` alone is told.
//!
//! It stands after `oauth.validate-token`, and asks for the scope `openid`.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.validate-token"
//!
//! [[filter]]
//! use = "oauth.userinfo"
//! ```

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::bearer::Challenge;
use ::oauth::openid::{self, OPENID};
use ::oauth::{Error, ErrorCode, Scopes};
use policy::attribute::Slot;
use policy::filter::{Answers, Role};
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, Value};
use store::{AccessToken, Users};

use super::answers::{RESOURCE, json};
use super::attributes::TOKEN;
use super::metadata::ENDPOINT_FACT;
use super::stop::{Stop, refused, refuses, settle};
use crate::StoreExt;

/// `use = "oauth.userinfo"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The store of the kind `users`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.userinfo";
    const ROLE: Role = Role::Resource(&RESOURCE);
    type Filter = UserInfo;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<UserInfo, Diagnostics> {
        cx.answers(Answers::Always);
        refuses(cx, &[ErrorCode::InvalidToken, ErrorCode::InsufficientScope]);
        cx.publish(ENDPOINT_FACT, Value::text("userinfo_endpoint"));
        Ok(UserInfo { users: cx.store(&self.store)?, token: cx.reads(&TOKEN) })
    }
}

/// The compiled filter.
pub(crate) struct UserInfo {
    users: Arc<Users>,
    token: Slot<AccessToken>,
}

impl Filter for UserInfo {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.tell(exchange).await)
    }
}

impl UserInfo {
    async fn tell(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let token = exchange.needs(self.token)?;
        if !token.scope.contains(OPENID) {
            return Err(refuse(Error::new(ErrorCode::InsufficientScope, "The token was not given for `openid`")).into());
        }
        // A client that acts for itself is no user. Who is unknown here is known elsewhere, or was taken out of a file: `user delete` revokes.
        let Some(subject) = token.subject.as_deref() else {
            return Err(refuse(Error::new(ErrorCode::InvalidToken, "The token is no user's")).into());
        };
        let claims = match self.users.get(subject).await? {
            Some(user) if !user.enabled => {
                return Err(refuse(Error::new(ErrorCode::InvalidToken, "The token's user is disabled")).into());
            }
            known => known.map(|user| user.claims).unwrap_or_default(),
        };
        let answer = json(StatusCode::OK, &openid::user_info(subject, &token.scope, &claims));
        Ok(exchange.answer(answer)?)
    }
}

/// RFC 6750, section 3.1.
fn refuse(error: Error) -> Reason {
    let scope = (error.code == ErrorCode::InsufficientScope).then(|| Scopes::parse(OPENID)).flatten();
    let challenge = Challenge { realm: None, error: Some(&error), scope: scope.as_ref() }.to_string();
    // Quoting leaves only what a header may hold.
    let challenge = HeaderValue::from_str(&challenge).unwrap_or_else(|_| HeaderValue::from_static("Bearer"));
    refused(error).with_challenge(challenge)
}
