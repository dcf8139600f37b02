//! What the filters that limit by counting have in common: their settings, their refusals, the headers that tell of them.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::HeaderEdit;
use policy::settings::{self, Spanned};
use policy::{BuildContext, Diagnostics, Exchange, Getter, Reason, ReasonCode};
use store::Counters;

use super::leases::Together;
use crate::stores::StoreExt;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

pub(super) const SECOND: u64 = 1_000_000_000;

/// What a limit does while its store is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OnStoreFailure {
    /// Each node counts for itself, up to its share.
    #[default]
    Local,
    /// The request is refused with a fault: 503 `store-unavailable`.
    Deny,
    /// The request passes, uncounted.
    Allow,
}

/// A store over which nodes count together.
pub(super) struct SharedBy {
    store: Arc<Counters>,
    limit: String,
    patience: Duration,
    pub(super) on_failure: OnStoreFailure,
}

impl SharedBy {
    pub(super) fn build(
        store: &Option<Spanned<String>>,
        group: &Option<Spanned<String>>,
        patience: &Option<Spanned<settings::Duration>>,
        on_failure: Option<OnStoreFailure>,
        cx: &mut BuildContext<'_>,
    ) -> Result<SharedBy, Diagnostics> {
        if let Some(group) = group
            && (group.value.is_empty() || group.value.len() > 200)
        {
            return Err(cx.error(group.span, "a group has no such name", "`group` is 1 to 200 bytes of text").into());
        }
        let bounds = Duration::from_millis(10)..=Duration::from_secs(2);
        let patience = match patience {
            None => Duration::from_millis(250),
            Some(given) if bounds.contains(&given.value.0) => given.value.0,
            Some(given) => {
                let help = "`store_timeout` is \"10ms\" to \"2s\": a limit is no reason to let a client wait";
                return Err(cx.error(given.span, format!("{} is out of bounds", given.value), help).into());
            }
        };
        let on_failure = on_failure.unwrap_or_default();
        let store = match on_failure {
            OnStoreFailure::Deny => cx.store(store)?,
            OnStoreFailure::Local | OnStoreFailure::Allow => cx.store_if_up(store)?,
        };
        let limit = group.as_ref().map_or_else(|| cx.id().to_owned(), |group| format!("group {}", group.value));
        Ok(SharedBy { store, limit, patience, on_failure })
    }

    pub(super) fn together<'a>(&'a self, exchange: &'a Exchange) -> Together<'a> {
        let clock = &*exchange.environment().clock;
        let meanwhile = match self.on_failure {
            OnStoreFailure::Local => "and this one keeps its share by itself",
            OnStoreFailure::Deny => "and requests are refused",
            OnStoreFailure::Allow => "and requests pass uncounted",
        };
        Together { store: &self.store, limit: &self.limit, patience: self.patience, meanwhile, clock }
    }
}

/// Which counters these are, as far as the settings say: what one store or group said means nothing for another.
pub(super) fn place<'a>(
    store: &'a Option<Spanned<String>>,
    group: &'a Option<Spanned<String>>,
) -> (Option<&'a str>, Option<&'a str>) {
    let value = |setting: &'a Option<Spanned<String>>| setting.as_ref().map(|given| given.value.as_str());
    (value(store), value(group))
}

/// Whose request it is; the empty text where nobody is told apart.
pub(super) fn key_of(key: Option<&Getter<String>>, exchange: &Exchange) -> Result<String, Reason> {
    Ok(key.map(|key| key.get_optional(exchange)).transpose()?.flatten().unwrap_or_default())
}

/// A number within its bounds.
pub(super) fn bounded(
    setting: &Option<Spanned<u32>>,
    name: &str,
    bounds: RangeInclusive<u32>,
    cx: &BuildContext<'_>,
) -> Result<Option<u32>, Diagnostics> {
    match setting {
        Some(given) if !bounds.contains(&given.value) => {
            let help = format!("`{name}` is {} to {}", bounds.start(), bounds.end());
            Err(cx.error(given.span, format!("{} is out of bounds", given.value), help).into())
        }
        given => Ok(given.as_ref().map(|g| g.value)),
    }
}

/// A time within its bounds.
pub(super) fn bounded_time(
    setting: &Option<Spanned<settings::Duration>>,
    name: &str,
    bounds: RangeInclusive<settings::Duration>,
    cx: &BuildContext<'_>,
) -> Result<Option<Duration>, Diagnostics> {
    match setting {
        Some(given) if !bounds.contains(&given.value) => {
            let help = format!("`{name}` is \"{}\" to \"{}\"", bounds.start(), bounds.end());
            Err(cx.error(given.span, format!("{} is out of bounds", given.value), help).into())
        }
        given => Ok(given.as_ref().map(|g| g.value.0)),
    }
}

/// A setting that says nothing without another one.
pub(super) fn needs<T>(
    setting: &Option<Spanned<T>>,
    name: &str,
    other: &str,
    cx: &BuildContext<'_>,
) -> Result<(), Diagnostics> {
    match setting {
        None => Ok(()),
        Some(given) => {
            let help = format!("add `{other}`, or take `{name}` away");
            Err(cx.error(given.span, format!("`{name}` says nothing without `{other}`"), help).into())
        }
    }
}

/// 429, and when to come back.
pub(super) fn limited(code: ReasonCode, message: &'static str, retry_in: u64) -> Reason {
    let seconds = u32::try_from(seconds(retry_in)).unwrap_or(u32::MAX);
    Reason::new(code, message).with_status(StatusCode::TOO_MANY_REQUESTS).with_retry_after(seconds)
}

/// Whole seconds, at least one: who comes back then is let through.
pub(super) fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(SECOND).max(1)
}

/// Tells clients of a limit (draft-ietf-httpapi-ratelimit-headers-10). The headers are added, not set: a policy may have several limits,
/// each of which is a member of the list, by its name.
pub(super) fn announce(
    exchange: &mut Exchange,
    name: &str,
    (quota, window): (u64, u64),
    (remaining, full_in): (u64, u64),
) {
    let policy = format!("{name};q={quota};w={window}");
    let state = format!("{name};r={remaining};t={}", full_in.div_ceil(SECOND));
    for (header, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)] {
        // Digits and ASCII letters are a header's value.
        if let Ok(value) = HeaderValue::from_str(&value) {
            exchange.edit_response_header(HeaderEdit::Append(header, value));
        }
    }
}
