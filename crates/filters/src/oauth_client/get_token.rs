//! `oauth-client.get-token`: a token for calls that the gateway makes in its own name, or in that of a user who allowed it. The filter
//! takes it from the store of the kind `client-access-token`, else gets one from the provider (`[provider.NAME]` in `node.toml`); a
//! `proxy` after it with `token = "NAME"` sends it along. In Oracle API Gateway: Get OAuth Access Token, Retrieve OAuth Client Access Token
//! from Token Storage.
//!
//! However many requests wait, one is made to the provider for each user and set of scopes: on one node, and among all nodes that share the
//! store. A token is renewed before it expires, by its refresh token where it has one (RFC 6749, section 6), behind requests that still use
//! the old one. Where the provider is down, a token that is still good is used on.
//!
//! With `for`, the token is that user's, and comes from `oauth-client.callback`; without one the filter fails with
//! `authorization-needed`, for an `on_failure` that sends the browser to the provider. Nothing here is ever shown by a selector but who,
//! what for and how long: `${held.subject ??}`, `${held.scopes}`, `${held.expires_at}`.
//!
//! ```toml
//! [[filter]]
//! use      = "oauth-client.get-token"
//! provider = "partner"
//! scopes   = ["stock:read"]
//!
//! [[filter]]
//! use      = "proxy"
//! upstream = "orders"
//! token    = "partner"
//! ```

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use policy::attribute::Slot;
use policy::settings::{Duration, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Outcome};

use super::target::Target;
use crate::holding::{AUTHORIZATION_NEEDED, Asked, Grant, HELD, Held, needed};
use crate::stop::{Stop, settle};

/// Seconds before a token's end in which it is renewed, where the policy does not say.
const RENEW_BEFORE: u64 = 60;

/// `use = "oauth-client.get-token"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The provider: `[provider.NAME]` in `node.toml`.
    provider: Spanned<String>,
    /// What the token is to be good for: a list, or text with spaces. Default: the provider's `scopes`.
    scopes: Option<Dynamic<Vec<Arc<str>>>>,
    /// The user whose token it is: `"${subject.id}"`. Default: the gateway's own.
    r#for: Option<Dynamic<String>>,
    /// How a token is got where none is held: `client_credentials`, the default without `for`; or `authorization_code`, the default with
    /// it: then its user has to be sent to the provider.
    grant: Option<HowToGet>,
    /// How long before its end a token is renewed; of one that does not live long, in the last quarter of its life. Default: `1m`.
    renew_before: Option<Duration>,
    /// The store of the kind `client-access-token`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

/// How a token is got.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum HowToGet {
    ClientCredentials,
    AuthorizationCode,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth-client.get-token";
    type Filter = GetToken;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<GetToken, Diagnostics> {
        cx.shapes_nothing();
        let target = Target::compile(&self.provider, &self.scopes, &self.r#for, &self.store, cx)?;
        let grant = match self.grant {
            Some(HowToGet::ClientCredentials) => Grant::ClientCredentials,
            Some(HowToGet::AuthorizationCode) => Grant::AuthorizationCode,
            None if target.has_subject() => Grant::AuthorizationCode,
            None => Grant::ClientCredentials,
        };
        if grant == Grant::AuthorizationCode {
            cx.fails(&[AUTHORIZATION_NEEDED]);
        }
        Ok(GetToken {
            target,
            grant,
            renew_before: self.renew_before.map_or(RENEW_BEFORE, |before| before.0.as_secs()),
            held: cx.writes(&HELD),
        })
    }
}

/// The compiled filter.
pub(crate) struct GetToken {
    target: Target,
    grant: Grant,
    /// Seconds.
    renew_before: u64,
    held: Slot<Held>,
}

impl Filter for GetToken {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.get(exchange).await)
    }
}

impl GetToken {
    async fn get(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let holding = self.target.holding(exchange)?;
        // Nobody's token is never somebody's.
        if self.grant == Grant::AuthorizationCode && holding.subject.is_none() {
            return Err(needed(&holding).into());
        }
        let asked = Asked::new(holding, self.grant, self.renew_before);
        let tokens = self.target.holder.get(asked.clone(), exchange).await?;
        exchange.set(self.held, Held::new(self.target.holder.clone(), asked, tokens));
        Ok(Outcome::Success)
    }
}
