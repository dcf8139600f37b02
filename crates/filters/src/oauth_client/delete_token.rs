//! `oauth-client.delete-token`: deletes what is held for a user, or for the gateway itself, and gives it back to the provider where that
//! takes tokens back (RFC 7009): the refresh token, with which the others go, else the access token. In Oracle API Gateway: Delete an OAuth
//! Client Token.
//!
//! It is deleted here first, and at once for all nodes. A provider that is down is then a fault, for `on_abort`.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.validate-token"
//!
//! [[filter]]
//! use      = "oauth-client.delete-token"
//! provider = "partner"
//! for      = "${subject.id}"
//!
//! [[filter]]
//! use    = "respond"
//! status = 204
//! ```

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Outcome};

use super::target::Target;
use crate::stop::{Stop, settle};

/// `use = "oauth-client.delete-token"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The provider: `[provider.NAME]` in `node.toml`.
    provider: Spanned<String>,
    /// What the token is good for, as it was asked for: a list, or text with spaces. Default: the provider's `scopes`.
    scopes: Option<Dynamic<Vec<Arc<str>>>>,
    /// The user whose token it is. Default: the gateway's own.
    r#for: Option<Dynamic<String>>,
    /// Whether the provider is told, where it has an endpoint for that. Default: `true`.
    revoke: Option<bool>,
    /// The store of the kind `client-access-token`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth-client.delete-token";
    type Filter = DeleteToken;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<DeleteToken, Diagnostics> {
        cx.shapes_nothing();
        let target = Target::compile(&self.provider, &self.scopes, &self.r#for, &self.store, cx)?;
        Ok(DeleteToken { target, revoke: self.revoke.unwrap_or(true) })
    }
}

/// The compiled filter.
pub(crate) struct DeleteToken {
    target: Target,
    revoke: bool,
}

impl Filter for DeleteToken {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.delete(exchange).await)
    }
}

impl DeleteToken {
    async fn delete(&self, exchange: &Exchange) -> Result<Outcome, Stop> {
        let holding = self.target.holding(exchange)?;
        let holder = &self.target.holder;
        if let Some(tokens) = holder.store.delete(&holding).await?
            && self.revoke
        {
            let (token, hint) = match &tokens.refresh {
                Some(refresh) => (refresh, "refresh_token"),
                None => (&tokens.access, "access_token"),
            };
            holder.calls.revoke(token, hint, exchange.now()).await?;
        }
        Ok(Outcome::Success)
    }
}
