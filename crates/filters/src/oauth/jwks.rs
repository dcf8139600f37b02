//! `oauth.jwks`: publishes the public keys that tokens are signed with (RFC 7517, section 5): those that sign, those that soon will, and
//! those whose tokens may still live. They come from the `keys` store, which all nodes share; `[keys]` in `policies/oauth/server.toml`
//! says which there are and when they change.
//!
//! Scripts of any origin may read the answer, and caches may keep it: there is nothing secret in it.
//!
//! ```toml
//! [[filter]]
//! use     = "oauth.jwks"
//! max_age = "5m"             # how long a cache may keep the answer
//! ```

use std::sync::Arc;
use std::time::Duration as StdDuration;

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use policy::filter::{Answers, Role};
use policy::settings::{Duration, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Response, Value};
use store::SigningKeys;
use store::oauth::jose::Algorithm;

use super::answers::ENDPOINT;
use super::live::unix_seconds;
use super::metadata::ENDPOINT_FACT;
use super::server::Server;
use super::signing::publish_schedule;
use crate::{StoreExt, abort_from};

const DEFAULT_MAX_AGE: StdDuration = StdDuration::from_secs(300);

/// `use = "oauth.jwks"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// How long a cache may keep the answer; less than `publish` in `[keys]` of `policies/oauth/server.toml`, so that a key is known before
    /// it signs. Default: `5m`.
    max_age: Option<Spanned<Duration>>,
    /// The store of the kind `keys`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.jwks";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = Jwks;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Jwks, Diagnostics> {
        cx.answers(Answers::Always);
        cx.publish(ENDPOINT_FACT, Value::text("jwks_uri"));
        let schedule = Server::read(cx)?.keys();
        let max_age = self.max_age.as_ref().map_or(DEFAULT_MAX_AGE, |age| age.value.0).as_secs();
        if let Some(age) = self.max_age.as_ref().filter(|_| max_age >= schedule.publish) {
            let message = "a cache would keep the keys for longer than a new one is published before it signs";
            let help = "shorten it, or raise `publish` in `[keys]` of `policies/oauth/server.toml`";
            return Err(cx.error(age.span, message, help).into());
        }
        let max_age = max_age.min(schedule.publish / 2);
        publish_schedule(cx, &self.store, &schedule);
        Ok(Jwks {
            keys: cx.store(&self.store)?,
            algorithms: schedule.algorithms,
            cache_control: cache_control(max_age),
        })
    }
}

/// The compiled filter.
pub(crate) struct Jwks {
    keys: Arc<SigningKeys>,
    algorithms: Vec<Algorithm>,
    cache_control: HeaderValue,
}

impl Filter for Jwks {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let keys = self.keys.published(&self.algorithms, unix_seconds(exchange)).await.map_err(abort_from)?;
        let mut response = Response::new(StatusCode::OK)
            .with_header(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"))
            .with_header(CACHE_CONTROL, self.cache_control.clone())
            .with_header(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        response.body = Bytes::from(keys.to_json().to_string()).into();
        exchange.answer(response)
    }
}

fn cache_control(max_age: u64) -> HeaderValue {
    let text = format!("public, max-age={max_age}");
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("public"))
}
