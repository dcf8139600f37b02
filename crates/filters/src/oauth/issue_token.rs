//! `oauth.issue-token`: makes an access token from the grant that was proved and the scopes that were granted, perhaps a refresh token beside
//! it, and keeps both; what is kept is a hash. It uses up what proved the grant, a code or a refresh token, and of several at once one
//! succeeds. The answer is `oauth.token-response`'s. In Oracle API Gateway: the second half of the "Access Token using ..." filters.
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
//! refresh    = { when = "grant.offline", lifetime = "12h" }
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

use ::oauth::device::{self, State};
use ::oauth::refresh::{self, Lifetimes};
use ::oauth::token::{Token, TokenKind};
use ::oauth::{ErrorCode, GrantId, code};
use policy::attribute::Slot;
use policy::diagnostic::codes;
use policy::filter::Role;
use policy::selector::Condition;
use policy::settings::{Duration, Spanned};
use policy::{
    Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome, Reason, ReasonCode,
};
use store::access_tokens::{Presented, Rotated, Tokens};
use store::device_codes::Decision;
use store::record::{RefreshToken, TokenGrant};
use store::{AccessToken, AccessTokens, Client};

use super::answers::ENDPOINT;
use super::attributes::{CLIENT, GRANT, Grant, Granted, ISSUED, Issued, Proof, Rotation, SCOPES, TOKEN};
use super::live::unix_seconds;
use super::server::Server;
use super::stop::{Stop, settle};
use crate::StoreExt;
use crate::entries::Entries;

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
    /// A refresh token beside it: `when`, a CEL condition (default: `grant.offline`), and its lifetimes. Default: none.
    refresh: Option<RefreshSettings>,
    /// The store of the kind `access-token`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

/// `refresh = { when, lifetime, idle }`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshSettings {
    /// Whether there is one, in CEL. Default: `grant.offline`.
    when: Option<Spanned<String>>,
    /// How long refresh tokens live from the grant on, however often they are rotated. Bounded by `maximum_lifetime.refresh_token` in
    /// `oauth/server.toml`.
    lifetime: Spanned<Duration>,
    /// How long one lives that nobody uses. Default: as long as `lifetime` says.
    idle: Option<Spanned<Duration>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.issue-token";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = IssueToken;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<IssueToken, Diagnostics> {
        // Somebody else may have used the code or refresh token since it was proved.
        cx.fails_rarely(&[ReasonCode::new(ErrorCode::InvalidGrant.as_str())]);
        let default = Spanned { span: cx.own_place().span, value: DEFAULT_LIFETIME };
        let lifetime = checked(self.lifetime.as_ref().unwrap_or(&default), cx)?;
        let properties = self.properties.0.iter();
        Ok(IssueToken {
            lifetime,
            audience: self.audience.as_ref().map(|audience| cx.dynamic(audience)).transpose()?,
            properties: properties
                .map(|(name, value)| Ok((name.value.clone(), cx.dynamic(value)?)))
                .collect::<Result<_, Diagnostics>>()?,
            refresh: self.refresh.as_ref().map(|refresh| Refresh::compile(refresh, cx)).transpose()?,
            tokens: cx.store(&self.store)?,
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
    refresh: Option<Refresh>,
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
        let now = unix_seconds(exchange);
        let grant = exchange.needs_shared(self.grant)?;
        let tokens = match &grant.proof {
            Proof::Client => {
                let tokens = self.tokens(exchange, &grant, None, now)?;
                let (token, record) = &tokens.access;
                self.tokens.insert(token, record).await?;
                tokens
            }
            Proof::Code { codes, found } => {
                let tokens = self.tokens(exchange, &grant, None, now)?;
                let begun = self.begun(&grant, &tokens, found.record.issued_at);
                if !self.tokens.redeem(codes, found, &begun, &tokens, now).await? {
                    return Err(code::refused().into());
                }
                tokens
            }
            Proof::Device { codes, found } => {
                let tokens = self.tokens(exchange, &grant, None, now)?;
                let Decision::Allowed(allowed) = &found.record.decision else {
                    return Err(device::refused(State::Unknown).into());
                };
                let begun = self.begun(&grant, &tokens, allowed.granted_at);
                let used = codes.redeem(found).await?;
                if !used || !self.tokens.begin(&allowed.grant_id, &begun, allowed.epochs, &tokens).await? {
                    return Err(device::refused(State::Unknown).into());
                }
                tokens
            }
            Proof::Refresh { presented, rotation, grace } => {
                self.refreshed(exchange, &grant, presented, *rotation, *grace, now).await?
            }
        };
        let (token, record) = tokens.access;
        let expires_in = record.expires_at.saturating_sub(now);
        exchange.set(self.token, record);
        exchange.set(self.issued, Issued { token, expires_in, refresh: tokens.refresh.map(|(token, _)| token) });
        Ok(Outcome::Success)
    }

    /// What a refresh token gives. Of several who use it at once one decides what that is, and the others are given the same.
    async fn refreshed(
        &self,
        exchange: &Exchange,
        grant: &Grant,
        presented: &Presented,
        rotation: Rotation,
        grace: u64,
        now: u64,
    ) -> Result<Tokens, Stop> {
        let again = match &presented.again {
            Some(again) => again.clone(),
            None => {
                let tokens = self.tokens(exchange, grant, Some(&presented.grant), now)?;
                if rotation == Rotation::Keep {
                    self.tokens.complete(&tokens).await?;
                    return Ok(tokens);
                }
                if let Rotated::Won = self.tokens.rotate(presented, &tokens, now).await? {
                    return Ok(tokens);
                }
                let lost = self.tokens.present(presented.token(), &presented.record.client_id, grace, now).await?;
                lost.and_then(|presented| presented.again).ok_or_else(refresh::refused)?
            }
        };
        self.tokens.complete(&again).await?;
        Ok(again)
    }

    /// The tokens to issue; no token lives longer than its grant, where that has begun.
    fn tokens(
        &self,
        exchange: &Exchange,
        grant: &Grant,
        begun: Option<&TokenGrant>,
        now: u64,
    ) -> Result<Tokens, Reason> {
        let record = self.record(exchange, grant, begun, now)?;
        let mint = |kind, expires_at| Token::mint_in_order(kind, expires_at, exchange.now_millis(), exchange.random());
        let refresh = match (&self.refresh, &grant.proof) {
            (Some(refresh), Proof::Code { found, .. }) if refresh.when.holds(exchange)? => {
                Some(refresh.lifetimes.expiry(found.record.issued_at, now, None))
            }
            (Some(refresh), Proof::Device { .. }) if refresh.when.holds(exchange)? => {
                Some(refresh.lifetimes.expiry(now, now, None))
            }
            // Rotated is what there was: `when` was for the grant.
            (Some(refresh), Proof::Refresh { presented, rotation: Rotation::Rotate, .. }) => {
                let of = &presented.grant;
                Some(refresh.lifetimes.expiry(of.granted_at, now, Some(of.expires_at)))
            }
            _ => None,
        };
        let refresh = refresh.map(|expires_at| {
            let (client_id, grant_id) = (record.client_id.clone(), record.grant_id.clone());
            let kept = RefreshToken { client_id, grant_id, issued_at: now, expires_at, used: None };
            (mint(TokenKind::Refresh, expires_at), kept)
        });
        Ok(Tokens { access: (mint(TokenKind::Access, record.expires_at), record), refresh })
    }

    /// The grant that begins with these tokens.
    fn begun(&self, grant: &Grant, tokens: &Tokens, granted_at: u64) -> TokenGrant {
        let (_, access) = &tokens.access;
        // The last access token may be made just before the last refresh token expires.
        let expires_at = match (&self.refresh, &tokens.refresh) {
            (Some(refresh), Some(_)) => {
                granted_at.saturating_add(refresh.lifetimes.absolute).saturating_add(self.lifetime)
            }
            _ => access.expires_at,
        };
        TokenGrant {
            client_id: access.client_id.clone(),
            subject: grant.subject.clone().unwrap_or_default(),
            scope: grant.scopes.clone(),
            grant_type: grant.kind.to_owned(),
            granted_at,
            authentication: grant.authentication.clone(),
            claims: grant.claims.clone(),
            expires_at,
            revoked_at: None,
        }
    }

    fn record(
        &self,
        exchange: &Exchange,
        grant: &Grant,
        begun: Option<&TokenGrant>,
        now: u64,
    ) -> Result<AccessToken, Reason> {
        let client = exchange.needs(self.client)?;
        let scopes = exchange.needs(self.scopes)?;
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
        let of_client = || GrantId::new(format!("{:032x}", u128::from_be_bytes(exchange.random())));
        Ok(AccessToken {
            client_id: client.client_id.clone(),
            subject: grant.subject.clone(),
            scope: scopes.granted.clone(),
            grant_id: grant.proof.grant_id().cloned().unwrap_or_else(of_client),
            grant_type: begun.map_or(grant.kind, |begun| begun.grant_type.as_str()).to_owned(),
            issued_at: now,
            expires_at: now.saturating_add(self.lifetime).min(begun.map_or(u64::MAX, |begun| begun.expires_at)),
            revoked_at: None,
            audience: audience.iter().map(|of| of.to_string()).collect(),
            properties,
        })
    }
}

/// Whether and how refresh tokens are given.
struct Refresh {
    when: Condition,
    lifetimes: Lifetimes,
}

impl Refresh {
    fn compile(settings: &RefreshSettings, cx: &mut BuildContext<'_>) -> Result<Refresh, Diagnostics> {
        let offline = || Spanned { span: settings.lifetime.span, value: String::from("grant.offline") };
        let when = Condition::compile(&settings.when.clone().unwrap_or_else(offline), cx)?;
        let seconds = |lifetime: &Spanned<Duration>| -> Result<u64, Diagnostics> {
            let problem =
                || cx.error(lifetime.span, "a refresh token lives at least a second", "write a lifetime such as `12h`");
            Some(lifetime.value.0.as_secs()).filter(|seconds| *seconds > 0).ok_or_else(|| problem().into())
        };
        let absolute = seconds(&settings.lifetime)?;
        let idle = settings.idle.as_ref().map(seconds).transpose()?;
        Server::read(cx)?.bound_refresh(&settings.lifetime, cx)?;
        Ok(Refresh { when, lifetimes: Lifetimes { absolute, idle } })
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
