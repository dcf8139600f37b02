//! `oauth.id-token`: beside the access token, a signed token that says who logged in (OpenID Connect Core, section 2). In Oracle API
//! Gateway: Create ID Token.
//!
//! It is made where `openid` was granted and somebody logged in; else the filter passes. It stands between `oauth.issue-token` and
//! `oauth.token-response`, which tells it to the client. The keys are those of the `keys` store: `[keys]` in `policies/oauth/server.toml`.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.authenticate-client"
//!
//! [[filter]]
//! use = "oauth.redeem-code"
//!
//! [[filter]]
//! use     = "oauth.check-scope"
//! asked   = "${request.form.scope ??}"
//! allowed = "${grant.scopes}"
//!
//! [[filter]]
//! use = "oauth.issue-token"
//!
//! [[filter]]
//! use      = "oauth.id-token"
//! lifetime = "5m"
//! ```

use std::sync::Arc;
use std::time::Duration as StdDuration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Map;

use ::oauth::Issuer;
use ::oauth::jose::Algorithm;
use ::oauth::openid::{self, OPENID};
use policy::attribute::Slot;
use policy::filter::Role;
use policy::settings::{Duration, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Value};
use store::{Client, SigningKeys, Users};

use super::answers::ENDPOINT;
use super::attributes::{CLIENT, GRANT, Grant, Granted, ID_TOKEN, ISSUED, IdToken as Signed, Issued, SCOPES};
use super::live::unix_seconds;
use super::server::Server;
use super::signing::publish_schedule;
use super::stop::{Stop, settle};
use crate::StoreExt;

/// The fact that ID tokens are signed by this algorithm.
pub(super) const ID_TOKEN_ALGORITHM: &str = "id_token_algorithm";
const DEFAULT_LIFETIME: StdDuration = StdDuration::from_secs(300);

/// `use = "oauth.id-token"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// How long it lives: who gets it checks it at once. Default: `5m`.
    lifetime: Option<Spanned<Duration>>,
    /// The algorithm that it is signed by, one of `algorithms` in `[keys]` of `policies/oauth/server.toml`. Default: the first one.
    #[schemars(extend("enum" = ["ES256", "EdDSA", "RS256"]))]
    algorithm: Option<Spanned<String>>,
    /// The store of the kind `keys`. Default: the one of that name.
    keys: Option<Spanned<String>>,
    /// The store of the kind `users`, for what a client asks to be told in the token (`claims`). Default: the one of that name.
    users: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.id-token";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = IdToken;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<IdToken, Diagnostics> {
        let server = Server::read(cx)?;
        let schedule = server.keys();
        let algorithm = match &self.algorithm {
            None => schedule.algorithms[0],
            Some(name) => {
                let known = schedule.algorithms.iter().find(|known| known.as_str() == name.value);
                *known.ok_or_else(|| {
                    let help = "name it in `[keys] algorithms` of `policies/oauth/server.toml` first";
                    Diagnostics::from(cx.error(name.span, format!("there is no key for `{}`", name.value), help))
                })?
            }
        };
        let lifetime = self.lifetime.as_ref().map_or(DEFAULT_LIFETIME, |lifetime| lifetime.value.0).as_secs();
        if let Some(setting) = self.lifetime.as_ref().filter(|_| lifetime == 0) {
            return Err(cx.error(setting.span, "it would have expired at once", "a second at least").into());
        }
        cx.publish(ID_TOKEN_ALGORITHM, Value::text(algorithm.as_str()));
        publish_schedule(cx, &self.keys, &schedule);
        Ok(IdToken {
            algorithm,
            lifetime,
            issuer: server.issuer(cx)?,
            keys: cx.store(&self.keys)?,
            users: cx.store(&self.users)?,
            client: cx.reads(&CLIENT),
            grant: cx.reads(&GRANT),
            scopes: cx.reads(&SCOPES),
            issued: cx.reads(&ISSUED),
            id_token: cx.writes(&ID_TOKEN),
        })
    }
}

/// The compiled filter.
pub(crate) struct IdToken {
    algorithm: Algorithm,
    /// Seconds.
    lifetime: u64,
    issuer: Issuer,
    keys: Arc<SigningKeys>,
    users: Arc<Users>,
    client: Slot<Client>,
    grant: Slot<Grant>,
    scopes: Slot<Granted>,
    issued: Slot<Issued>,
    id_token: Slot<Signed>,
}

impl Filter for IdToken {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.sign(exchange).await)
    }
}

impl IdToken {
    async fn sign(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let signed = self.signed(exchange).await?;
        exchange.set(self.id_token, Signed(signed));
        Ok(Outcome::Success)
    }

    /// The token; none where nobody logged in, or the client did not ask who.
    async fn signed(&self, exchange: &Exchange) -> Result<Option<String>, Stop> {
        let (Some(client), Some(grant), Some(scopes), Some(issued)) =
            (exchange.get(self.client), exchange.get(self.grant), exchange.get(self.scopes), exchange.get(self.issued))
        else {
            return Ok(None);
        };
        let Some(subject) = grant.subject.as_deref().filter(|_| scopes.granted.contains(OPENID)) else {
            return Ok(None);
        };
        let more = match &grant.claims {
            None => Map::new(),
            asked => {
                let user = self.users.get(subject).await?;
                let known = user.map(|user| user.claims).unwrap_or_default();
                openid::told_in_id_token(asked.as_ref(), &scopes.granted, &known)
            }
        };
        let now = unix_seconds(exchange);
        let authentication = grant.authentication.as_ref();
        let token = openid::IdToken {
            issuer: &self.issuer,
            subject,
            client: &client.client_id,
            nonce: grant.nonce.as_deref(),
            authenticated_at: authentication.map(|proved| proved.at),
            methods: authentication.map_or(&[], |proved| &proved.methods),
            acr: authentication.and_then(|proved| proved.acr.as_deref()),
            access_token: issued.token.expose(),
            more,
            issued_at: now,
            expires_at: now.saturating_add(self.lifetime),
        };
        let expires_at = token.expires_at;
        let claims = token.claims(self.algorithm);
        Ok(Some(self.keys.sign(self.algorithm, openid::TYPE, claims, expires_at, now).await?))
    }
}
