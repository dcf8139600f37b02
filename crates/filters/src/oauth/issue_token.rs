//! `oauth.issue-token`: makes an access token from the grant that was proved and the scopes that were granted, and
//! keeps it; what is kept is a hash. The answer is `oauth.token-response`'s. In Oracle API Gateway: the second half of
//! the "Access Token using ..." filters.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.authenticate-client"
//!
//! [[filter]]
//! use = "oauth.client-credentials"
//!
//! [[filter]]
//! use     = "oauth.check-scope"
//! asked   = "${request.form.scope ??}"
//! allowed = "${grant.scopes}"
//!
//! [[filter]]
//! use        = "oauth.issue-token"
//! lifetime   = "1h"
//! properties = { tenant = "${client.name ??}" }     # kept with the token, shown only where asked
//!
//! [[filter]]
//! use = "oauth.token-response"
//! ```

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::GrantId;
use ::oauth::token::{Token, TokenKind};
use policy::attribute::Slot;
use policy::diagnostic::codes;
use policy::filter::Role;
use policy::settings::{Duration, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason};
use store::{AccessToken, AccessTokens, Client};

use super::answers::ENDPOINT;
use super::attributes::{CLIENT, GRANT, Grant, Granted, ISSUED, Issued, SCOPES, TOKEN};
use super::live::unix_seconds;
use super::server::Server;
use super::stop::{Stop, settle};
use crate::StoreExt;
use crate::entries::Entries;
use crate::not_yet::NotYet;

/// Seconds: from a minute to a day.
const USUAL_LIFETIMES: RangeInclusive<u64> = 60..=86_400;

const DEFAULT_LIFETIME: Duration = Duration(std::time::Duration::from_secs(3600));

/// `use = "oauth.issue-token"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// How long the token is good, at least `1s`. Default: `1h`. Bounded by `maximum_lifetime.access_token` in
    /// `oauth/server.toml`.
    lifetime: Option<Spanned<Duration>>,
    /// Whom the token is for: a list, or text with spaces. Default: anybody.
    audience: Option<Dynamic<Vec<Arc<str>>>>,
    /// Extra properties kept with the token: name and value. One whose value is absent (`${x ??}`) is left out.
    /// Default: none.
    #[serde(default)]
    properties: Entries<Dynamic<String>>,
    /// A refresh token beside it: a later version.
    #[schemars(skip)]
    refresh: Option<NotYet>,
    /// The store of the kind `access-token`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.issue-token";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = IssueToken;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<IssueToken, Diagnostics> {
        NotYet::refuse(
            &self.refresh,
            "refresh",
            "leave it out: a client can ask for a new access token at any time",
            cx,
        )?;
        let default = Spanned { span: cx.own_place().span, value: DEFAULT_LIFETIME };
        let lifetime = checked(self.lifetime.as_ref().unwrap_or(&default), cx)?;
        let properties = self.properties.0.iter();
        Ok(IssueToken {
            lifetime,
            audience: self.audience.as_ref().map(|audience| cx.dynamic(audience)).transpose()?,
            properties: properties
                .map(|(name, value)| Ok((name.value.clone(), cx.dynamic(value)?)))
                .collect::<Result<_, Diagnostics>>()?,
            tokens: cx.access_tokens(&self.store)?,
            client: cx.reads(&CLIENT),
            grant: cx.reads(&GRANT),
            scopes: cx.reads(&SCOPES),
            token: cx.writes(&TOKEN),
            issued: cx.writes(&ISSUED),
        })
    }
}

/// The compiled filter.
pub(crate) struct IssueToken {
    /// Seconds.
    lifetime: u64,
    audience: Option<Getter<Vec<Arc<str>>>>,
    properties: Vec<(String, Getter<String>)>,
    tokens: Arc<AccessTokens>,
    client: Slot<Client>,
    grant: Slot<Grant>,
    scopes: Slot<Granted>,
    token: Slot<AccessToken>,
    issued: Slot<Issued>,
}

impl Filter for IssueToken {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.issue(exchange).await)
    }
}

impl IssueToken {
    async fn issue(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let record = self.record(exchange)?;
        let token =
            Token::mint_in_order(TokenKind::Access, record.expires_at, exchange.now_millis(), exchange.random());
        self.tokens.insert(&token, &record).await?;
        exchange.set(self.token, record);
        exchange.set(self.issued, Issued { token, expires_in: self.lifetime });
        Ok(Outcome::Success)
    }

    fn record(&self, exchange: &Exchange) -> Result<AccessToken, Reason> {
        let client = exchange.get(self.client).ok_or_else(|| Reason::missing(CLIENT.name()))?;
        let grant = exchange.get(self.grant).ok_or_else(|| Reason::missing(GRANT.name()))?;
        let scopes = exchange.get(self.scopes).ok_or_else(|| Reason::missing(SCOPES.name()))?;
        let audience = match &self.audience {
            Some(audience) => audience.get_optional(exchange)?.unwrap_or_default(),
            None => Vec::new(),
        };
        let mut properties = BTreeMap::new();
        for (name, value) in &self.properties {
            if let Some(value) = value.get_optional(exchange)? {
                properties.insert(name.clone(), value);
            }
        }
        let now = unix_seconds(exchange);
        Ok(AccessToken {
            client_id: client.client_id.clone(),
            subject: grant.subject.clone(),
            scope: scopes.granted.clone(),
            grant_id: GrantId::new(format!("{:032x}", u128::from_be_bytes(exchange.random()))),
            grant_type: grant.kind.to_owned(),
            issued_at: now,
            expires_at: now.saturating_add(self.lifetime),
            revoked_at: None,
            audience: audience.iter().map(|of| of.to_string()).collect(),
            properties,
        })
    }
}

fn checked(lifetime: &Spanned<Duration>, cx: &mut BuildContext<'_>) -> Result<u64, Diagnostics> {
    let seconds = lifetime.value.0.as_secs();
    if seconds == 0 {
        return Err(cx.error(lifetime.span, "a token lives at least a second", "write a lifetime such as `1h`").into());
    }
    Server::read(cx)?.bound(lifetime, cx)?;
    if !USUAL_LIFETIMES.contains(&seconds) {
        let message = format!("an access token that lives for {} is unusual", lifetime.value);
        let help = "whoever finds a token uses it until it expires, and one that lives for less than a minute \
                    is asked for with every call: `1h` suits most";
        cx.lint(codes::LIFETIME, lifetime.span, message, help);
    }
    Ok(seconds)
}
