//! `oauth-client.refresh-token`: gets another token by the refresh token that is held, though the one before has not expired (RFC 6749,
//! section 6). `oauth-client.get-token` does that by itself when it is time; this is for a policy that knows better. Without a refresh token,
//! or where the provider refuses it, the filter fails with `authorization-needed`. In Oracle API Gateway: Refresh an OAuth Client Access
//! Token.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.validate-token"
//!
//! [[filter]]
//! use      = "oauth-client.refresh-token"
//! provider = "partner"
//! for      = "${subject.id}"
//! ```

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use policy::attribute::Slot;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Outcome};

use super::target::Target;
use crate::holding::{AUTHORIZATION_NEEDED, Asked, Grant, HELD, Held, needed};
use crate::stop::{Stop, settle};

/// `use = "oauth-client.refresh-token"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The provider: `[provider.NAME]` in `node.toml`.
    provider: Spanned<String>,
    /// What the token is good for, as it was asked for: a list, or text with spaces. Default: the provider's `scopes`.
    scopes: Option<Dynamic<Vec<Arc<str>>>>,
    /// The user whose token it is. Default: the gateway's own.
    r#for: Option<Dynamic<String>>,
    /// The store of the kind `client-access-token`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth-client.refresh-token";
    type Filter = RefreshToken;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<RefreshToken, Diagnostics> {
        cx.shapes_nothing();
        let target = Target::compile(&self.provider, &self.scopes, &self.r#for, &self.store, cx)?;
        cx.fails(&[AUTHORIZATION_NEEDED]);
        Ok(RefreshToken { target, held: cx.writes(&HELD) })
    }
}

/// The compiled filter.
pub(crate) struct RefreshToken {
    target: Target,
    held: Slot<Held>,
}

impl Filter for RefreshToken {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.refresh(exchange).await)
    }
}

impl RefreshToken {
    async fn refresh(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let holding = self.target.holding(exchange)?;
        let holder = &self.target.holder;
        let old = holder.store.find(&holding).await?.filter(|old| old.refresh.is_some());
        let old = old.ok_or_else(|| needed(&holding))?;
        let asked = Asked::new(holding, Grant::AuthorizationCode, 0);
        let tokens = holder.renew(asked.other_than(&old.access), exchange).await?;
        exchange.set(self.held, Held::new(holder.clone(), asked, tokens));
        Ok(Outcome::Success)
    }
}
