//! `auth.jwt`: lets in who has a good signed access token of another issuer (RFC 9068, RFC 6750), and sets `subject.*` and `token.*`. In
//! Oracle API Gateway: JWT Verify.
//!
//! The issuer's keys are fetched through an upstream: from `jwks`, a path there, or from where the issuer's metadata says. They are fetched
//! anew in time, and once more when a token names a key that is not among them. Where they cannot be fetched, those that are known count
//! until they are older than `keep`; then everybody is told 503.
//!
//! A token of another issuer counts as none, so that `any` can ask one filter for each issuer. The algorithms are pinned here, and the key
//! is the issuer's: what the token brings along counts for nothing. Scopes are `oauth.check-scope`'s. Before the request goes on, the token
//! is taken off.
//!
//! ```toml
//! [[filter]]
//! use      = "auth.jwt"
//! issuer   = "https://login.example.com"
//! audience = ["https://orders.example.com"]
//! upstream = "orders"              # [upstream.orders] in node.toml, here the way to the issuer
//! jwks     = "/api/oauth/jwks"     # default: as the issuer's metadata says
//! ```

use std::sync::Arc;
use std::time::Duration as StdDuration;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::bearer::{self, Attempt, Missing, Place};
use ::oauth::jose::{Algorithm, Rejected};
use ::oauth::jwt_access_token::{self, Accepted, Expected};
use ::oauth::metadata::ISSUER_RULE;
use ::oauth::{ClientId, Error, ErrorCode, GrantId, Issuer};
use policy::attribute::Slot;
use policy::filter::Role;
use policy::ports::UpstreamHandle;
use policy::settings::{Duration, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode, Value};
use store::AccessToken;

use crate::oauth::{
    NO_TOKEN, RESOURCE, Realm, SUBJECT, Stop, Subject, TOKEN, public_algorithms, refuses, settle, unix_seconds,
};
use crate::remote_keys::{Ages, Location, RemoteKeys, Way};
use crate::upstreams::UpstreamExt;

/// The issuer's keys cannot be had.
const KEYS_UNAVAILABLE: ReasonCode = ReasonCode::new("issuer-keys-unavailable");

/// What the grant of a token is called that was issued elsewhere.
const GRANT_TYPE: &str = "jwt";
const RENEW: StdDuration = StdDuration::from_secs(300);
const KEEP: StdDuration = StdDuration::from_secs(3_600);
const LEEWAY: StdDuration = StdDuration::from_secs(10);

/// `use = "auth.jwt"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Who issues the tokens, byte for byte as in their `iss`.
    issuer: Spanned<String>,
    /// Tokens must be for one of these (`aud`).
    audience: Spanned<Vec<String>>,
    /// The upstream through which the issuer's keys are fetched.
    upstream: Spanned<String>,
    /// The path of the keys there. Default: as the issuer's metadata says.
    jwks: Option<Spanned<String>>,
    /// The algorithms that count. Default: `ES256`, `ES384`, `EdDSA`, `PS256` and `RS256`.
    #[schemars(extend("items" = { "type": "string", "enum": ["ES256", "ES384", "EdDSA", "PS256", "RS256"] }))]
    algorithms: Option<Vec<Spanned<String>>>,
    /// Whether tokens are taken that do not follow RFC 9068: of the type `JWT`, or of none, and without some of its claims. Such an
    /// issuer's ID tokens may look the same. Default: false.
    #[serde(default)]
    plain: bool,
    /// Claims that must be there, beside those of RFC 9068. Default: none.
    #[serde(default)]
    required: Vec<String>,
    /// The variable that all claims go to: `vars.NAME.CLAIM`. Default: none.
    into: Option<Spanned<String>>,
    /// By how much clocks may differ. Default: `10s`.
    leeway: Option<Duration>,
    /// After how long the keys are fetched anew. Default: `5m`.
    renew: Option<Duration>,
    /// For how long they count where they cannot be fetched; a key that the issuer took back may count for as long. Default: `1h`.
    keep: Option<Spanned<Duration>>,
    /// Whether the token stays on the request that goes upstream. Default: false.
    #[serde(default)]
    keep_credential: bool,
    /// The realm of the challenge. Default: `api`.
    realm: Option<String>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "auth.jwt";
    const ROLE: Role = Role::Resource(&RESOURCE);
    type Filter = Jwt;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Jwt, Diagnostics> {
        cx.authorizes();
        cx.fails(&[NO_TOKEN]);
        cx.aborts(&[KEYS_UNAVAILABLE]);
        refuses(cx, &[ErrorCode::InvalidToken, ErrorCode::InvalidRequest]);
        let location = self.location(cx)?;
        if self.audience.value.is_empty() {
            let help = "name what this API is called in tokens: one that is for another API must not count here";
            return Err(cx.error(self.audience.span, "no audience is accepted", help).into());
        }
        let (renew, keep) =
            (self.renew.map_or(RENEW, |renew| renew.0), self.keep.as_ref().map_or(KEEP, |keep| keep.value.0));
        if keep < renew {
            let span = self.keep.as_ref().map_or(self.upstream.span, |keep| keep.span);
            return Err(cx
                .error(
                    span,
                    "keys count for a shorter time than they are kept before they are fetched anew",
                    "raise `keep`, or shorten `renew`",
                )
                .into());
        }
        let algorithms = public_algorithms(&self.algorithms, cx)?;
        let keys = cx.keep((&self.issuer.value, &self.upstream.value, &location), RemoteKeys::default);
        let nanos = |age: StdDuration| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        Ok(Jwt {
            issuer: self.issuer.value.clone(),
            audience: self.audience.value.clone(),
            algorithms,
            plain: self.plain,
            required: self.required.clone(),
            leeway: self.leeway.map_or(LEEWAY, |leeway| leeway.0).as_secs(),
            keys,
            location,
            ages: Ages { renew: nanos(renew), keep: nanos(keep) },
            upstream: cx.upstream(&self.upstream)?,
            keep_credential: self.keep_credential,
            realm: Realm::new(&self.realm),
            token: cx.writes(&TOKEN),
            subject: cx.writes(&SUBJECT),
            into: self.into.as_ref().map(|name| cx.writes_var(&name.value)),
        })
    }
}

impl Settings {
    fn location(&self, cx: &BuildContext<'_>) -> Result<Location, Diagnostics> {
        match &self.jwks {
            Some(path) if path.value.starts_with('/') => Ok(Location::Path(path.value.clone())),
            Some(path) => {
                let help = "the upstream says where it is: name the path there, as \"/.well-known/jwks.json\"";
                Err(cx.error(path.span, "the place of the keys is no path", help).into())
            }
            None => {
                let issuer = Issuer::parse(&self.issuer.value);
                let no_issuer = || {
                    cx.error(
                        self.issuer.span,
                        "this is no issuer",
                        format!("{ISSUER_RULE}; or name the path of its keys as `jwks`"),
                    )
                };
                issuer.map(Location::Metadata).ok_or_else(|| no_issuer().into())
            }
        }
    }
}

/// The compiled filter.
pub(crate) struct Jwt {
    issuer: String,
    audience: Vec<String>,
    algorithms: Vec<Algorithm>,
    plain: bool,
    required: Vec<String>,
    leeway: u64,
    keys: Arc<RemoteKeys>,
    location: Location,
    ages: Ages,
    upstream: Arc<UpstreamHandle>,
    keep_credential: bool,
    realm: Realm,
    token: Slot<AccessToken>,
    subject: Slot<Subject>,
    into: Option<Slot<Value>>,
}

impl Filter for Jwt {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.validate(exchange).await)
    }
}

impl Jwt {
    async fn validate(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let text = self.find(exchange)?;
        if jwt_access_token::is_of_another(&text, &self.issuer) {
            return Err(self.realm.absent("the request has no token of this issuer").into());
        }
        let accepted = match self.check(&text, exchange).await? {
            Ok(accepted) => accepted,
            // What is wrong in detail is for the log.
            Err(why) => {
                let mut reason =
                    self.realm.refuse(Error::new(ErrorCode::InvalidToken, "The access token is not good here"));
                reason.message = why.to_string().into();
                return Err(reason.into());
            }
        };
        if !self.keep_credential {
            exchange.request.headers.remove(AUTHORIZATION);
        }
        if let Some(into) = self.into {
            let claims = Value::from_json(&serde_json::Value::Object(accepted.claims.all().clone()));
            exchange.set(into, claims.unwrap_or_else(|| Value::Map(Arc::default())));
        }
        let token = record(accepted);
        exchange.set(self.subject, Subject::of(&token));
        exchange.set(self.token, token);
        Ok(Outcome::Success)
    }

    fn find(&self, exchange: &Exchange) -> Result<String, Reason> {
        let values: Vec<&[u8]> =
            exchange.request.headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
        let attempt = Attempt { authorization: &values, ..Attempt::default() };
        match bearer::find(attempt, &[Place::Header]) {
            Ok((token, _)) => Ok(token.to_owned()),
            Err(Missing::Absent) => Err(self.realm.absent("the request has no access token")),
            Err(Missing::Refused(error)) => Err(self.realm.refuse(error)),
        }
    }

    /// Checks the token, with newer keys where it names one that is not known.
    async fn check(&self, text: &str, exchange: &Exchange) -> Result<Result<Accepted, Rejected>, Stop> {
        let expected = Expected {
            issuer: &self.issuer,
            audience: &self.audience,
            algorithms: &self.algorithms,
            plain: self.plain,
            required: &self.required,
            leeway: self.leeway,
        };
        let clock = &*exchange.environment().clock;
        let way = Way {
            upstream: &self.upstream,
            location: &self.location,
            whose: "the keys of the tokens' issuer",
            unavailable: KEYS_UNAVAILABLE,
        };
        let keys = self.keys.get(way, self.ages, clock).await.map_err(Stop::Broken)?;
        let checked = jwt_access_token::check(text, &keys, &expected, unix_seconds(exchange));
        if !matches!(checked, Err(Rejected::UnknownKey)) {
            return Ok(checked);
        }
        Ok(match self.keys.newer(&keys, way, clock).await {
            Some(keys) => jwt_access_token::check(text, &keys, &expected, unix_seconds(exchange)),
            None => checked,
        })
    }
}

/// The token as the filters after this one know tokens.
fn record(accepted: Accepted) -> AccessToken {
    let Accepted { subject, client_id, scope, id, issued_at, expires_at, audience, .. } = accepted;
    // RFC 9068, section 2.2: where the client acts for itself, it is the subject.
    let is_client = client_id.as_deref() == Some(subject.as_str());
    AccessToken {
        client_id: ClientId::new(client_id.unwrap_or_default()),
        subject: (!is_client).then_some(subject),
        scope,
        grant_id: GrantId::new(id.unwrap_or_default()),
        grant_type: GRANT_TYPE.to_owned(),
        issued_at: issued_at.unwrap_or_default(),
        expires_at,
        revoked_at: None,
        audience,
        properties: Default::default(),
    }
}
