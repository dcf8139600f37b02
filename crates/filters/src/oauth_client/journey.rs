//! What a browser carries from a redirection to the callback: a cookie, sealed, that tells this journey from all others.
//!
//! Nothing is kept on a server meanwhile, so a journey may begin on one node and end on another, as long as both have the same
//! `[encryption]` keys. The cookie is the browser's own (`__Host-`): a code that somebody else got cannot be slipped in, since its `state`
//! is another. Each journey has a cookie of its own, so that two tabs do not end each other's.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use http::header::COOKIE;
use serde::{Deserialize, Serialize};

use ::oauth::{Scopes, Secret};
use policy::attribute::{Field, Key};
use policy::value::{Type, Value};
use policy::{Exchange, Reason, Request};
use store::{ClientAccessTokens, StoreError};

use crate::host_cookie;
use crate::stop::Stop;

/// Seconds that a journey may take: a log-in, perhaps with a second factor.
pub(super) const LONGEST: u64 = 600;
/// What the names of the cookies begin with.
const NAME: &str = "__Host-portcullis-journey-";
/// Bytes of a journey that fit into a cookie with its name: browsers keep 4,096 of both, and silently drop what is larger.
const LARGEST: usize = 4_000;
/// Bytes of journeys that a browser may carry along with each request: heads have 32 KiB here, and less elsewhere.
const MOST: usize = 12 * 1024;
/// Characters of the state that are in the name of its cookie.
const NAMED: usize = 8;

/// A journey, as it is sealed.
#[derive(Serialize, Deserialize)]
pub(super) struct Journey {
    /// `state` of the request.
    pub(super) state: String,
    /// What the challenge was made from (RFC 7636).
    verifier: String,
    /// Of the ID token.
    pub(super) nonce: Option<String>,
    /// The user whose token it is to be.
    pub(super) subject: Option<String>,
    /// What for.
    pub(super) scopes: Scopes,
    /// Where the code comes.
    pub(super) redirect_uri: String,
    /// Where the browser goes afterwards.
    pub(super) return_to: Option<String>,
    /// Whether the provider must say when the user logged in, since it was asked for a log-in of some age (`max_age`).
    #[serde(default)]
    pub(super) asks_age: bool,
    /// Unix seconds.
    until: u64,
}

/// A journey that came to its end.
pub(crate) struct Arrival {
    /// Where the browser goes now.
    pub(super) return_to: Option<String>,
    /// The user at the provider, and all that it says of them; proved.
    pub(super) claims: Option<Value>,
    /// The user at the provider.
    pub(super) subject: Option<String>,
}

/// How a person came back from a provider.
pub(crate) static JOURNEY: Key<Arrival> = Key::new(
    "journey",
    &[
        Field {
            name: "return_to",
            doc: "Where the browser is to go now: a path here. Absent where the redirection named none.",
            of: Type::Text,
            optional: true,
            get: |arrival| arrival.return_to.as_deref().map(Value::text),
        },
        Field {
            name: "subject",
            doc: "Who the user is at the provider (`sub` of a proved ID token). Absent without one.",
            of: Type::Text,
            optional: true,
            get: |arrival| arrival.subject.as_deref().map(Value::text),
        },
        Field {
            name: "claims",
            doc: "All that the provider says of the user (a proved ID token). Absent without one.",
            of: Type::Map,
            optional: true,
            get: |arrival| arrival.claims.clone(),
        },
    ],
);

impl Journey {
    /// One that begins now.
    pub(super) fn new(exchange: &Exchange, scopes: Scopes, redirect_uri: String) -> Journey {
        let random = || URL_SAFE_NO_PAD.encode(exchange.random::<32>());
        let is_login = scopes.contains(::oauth::refresh::OPENID);
        Journey {
            state: random(),
            verifier: random(),
            nonce: is_login.then(random),
            subject: None,
            scopes,
            redirect_uri,
            return_to: None,
            asks_age: false,
            until: exchange.now() + LONGEST,
        }
    }

    pub(super) fn verifier(&self) -> Secret {
        Secret::new(self.verifier.clone())
    }

    /// `Set-Cookie` that gives it to the browser.
    pub(super) fn set(&self, provider: &str, store: &ClientAccessTokens) -> Result<HeaderValue, Stop> {
        let plain = serde_json::to_vec(self)
            .map_err(|why| StoreError::Broken(format!("a journey cannot be written: {why}")))?;
        let sealed = store.seal_journey(provider, &plain)?;
        if sealed.len() > LARGEST {
            return Err(
                Reason::bad_request("the request is too long to be carried to another provider and back").into()
            );
        }
        let cookie = host_cookie::set(&name(&self.state), &sealed, Some(LONGEST));
        Ok(cookie.map_err(|_| StoreError::Broken(String::from("a sealed value cannot stand in a cookie")))?)
    }

    /// The journey of this browser with this `state`; none where it has begun none, or that is too long ago.
    pub(super) fn of(
        exchange: &Exchange,
        state: &str,
        provider: &str,
        store: &Arc<ClientAccessTokens>,
    ) -> Option<Journey> {
        if !is_state(state) {
            return None;
        }
        let sealed = exchange.request.cookie(&name(state))?;
        let plain = store.open_journey(provider, sealed)?;
        let journey: Journey = serde_json::from_slice(&plain).ok()?;
        (journey.until > exchange.now()).then_some(journey)
    }
}

/// Whether this can be a `state` of ours: 32 bytes in base64url.
fn is_state(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn name(state: &str) -> String {
    format!("{NAME}{}", state.get(..NAMED).unwrap_or_default())
}

/// `Set-Cookie` that takes the journey with this `state` off the browser.
pub(super) fn clear(state: &str) -> Option<HeaderValue> {
    is_state(state).then(|| host_cookie::set(&name(state), "", Some(0)).ok())?
}

/// `Set-Cookie`s that take journeys off the browser which were begun and not ended, where it carries so many of them that servers would soon
/// refuse its heads: anybody's link can begin one.
pub(super) fn clear_forgotten(request: &Request) -> Vec<HeaderValue> {
    let headers = request.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = headers.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let journeys: Vec<_> = pairs.filter(|(name, _)| name.strip_prefix(NAME).is_some_and(is_named)).collect();
    match journeys.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() {
        few if few <= MOST => Vec::new(),
        _ => journeys.iter().filter_map(|(name, _)| host_cookie::set(name, "", Some(0)).ok()).collect(),
    }
}

/// Whether this can be what the name of a journey's cookie ends in.
fn is_named(text: &str) -> bool {
    text.len() == NAMED && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Whether a browser that is sent here stays here: a path, and no other host behind two slashes.
pub(super) fn is_local(path: &str) -> bool {
    let mut bytes = path.bytes();
    bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D52: no open redirector.
    #[test]
    fn only_a_path_of_ours_is_gone_back_to() {
        for path in ["/", "/a/b?c=d#e", "/a//b", "/%2F%2Fevil.example"] {
            assert!(is_local(path), "{path}");
        }
        for path in [
            "",
            "a",
            "//evil.example",
            "/\\evil.example",
            "/a\\b",
            "https://evil.example",
            "/a b",
            "/\r\nx: y",
            "/\u{e4}",
            "/\t/evil",
        ] {
            assert!(!is_local(path), "{path}");
        }
    }
}
