//! Tokens that the gateway holds for its own calls: what the `oauth-client` filters and `proxy` share.
//!
//! [`Holder`] gets and renews them, one request to the provider at a time; [`HELD`] is the one that a call is to go with.

mod age;
mod calls;
mod holder;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};

use ::oauth::provider::answer::Tokens;
use policy::attribute::{Field, Key};
use policy::value::{Type, Value};
use policy::{Exchange, ReasonCode};
use store::StoreError;

pub(crate) use self::holder::{Asked, Grant, Holder, needed};

/// There is no token for this user, and none can be got without them: they have to be sent to the provider.
pub(crate) const AUTHORIZATION_NEEDED: ReasonCode = ReasonCode::new("authorization-needed");
/// The provider is down, too slow, or says that it cannot do it now.
pub(crate) const PROVIDER_UNAVAILABLE: ReasonCode = ReasonCode::new("provider-unavailable");
/// The provider refuses the gateway, or what it asks for: its registration there, or `[provider.NAME]`, is to be mended.
pub(crate) const PROVIDER_REFUSES: ReasonCode = ReasonCode::new("provider-refuses");
/// What the provider answers is no answer of an authorization server.
pub(crate) const PROVIDER_MALFORMED: ReasonCode = ReasonCode::new("provider-malformed");

/// A token that a call is to go with. Its text is for that call only: no selector reads it.
pub(crate) struct Held {
    holder: Arc<Holder>,
    asked: Asked,
    tokens: Tokens,
}

/// The token held for the next call.
pub(crate) static HELD: Key<Held> = Key::new(
    "held",
    &[
        Field {
            name: "provider",
            doc: "The provider that it is from.",
            of: Type::Text,
            optional: false,
            get: |held| Some(Value::text(held.provider())),
        },
        Field {
            name: "subject",
            doc: "The user whom it stands for; absent where it is the gateway's own.",
            of: Type::Text,
            optional: true,
            get: |held| held.asked.holding.subject.as_deref().map(Value::text),
        },
        Field {
            name: "scopes",
            doc: "What the provider granted.",
            of: Type::List,
            optional: false,
            get: |held| Some(Value::texts(held.tokens.granted.iter().map(|name| &**name))),
        },
        Field {
            name: "expires_at",
            doc: "Unix seconds.",
            of: Type::Int,
            optional: false,
            get: |held| i64::try_from(held.tokens.expires_at).ok().map(Value::Int),
        },
    ],
);

impl Held {
    /// The token that this holder got for what was asked.
    pub(crate) fn new(holder: Arc<Holder>, asked: Asked, tokens: Tokens) -> Self {
        Held { holder, asked, tokens }
    }

    /// The provider that it is from.
    pub(crate) fn provider(&self) -> &str {
        &self.asked.holding.provider
    }

    /// Puts it into a request, in the place of whatever credential was there.
    pub(crate) fn authorize(&self, headers: &mut HeaderMap) {
        let text = format!("Bearer {}", self.tokens.access.expose());
        headers.remove(header::AUTHORIZATION);
        if let Ok(mut value) = HeaderValue::from_str(&text) {
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
    }

    /// Keeps it for this user, and no longer for whom it was kept.
    pub(crate) async fn save_for(&self, subject: String) -> Result<Held, StoreError> {
        let mut asked = self.asked.clone();
        let before = asked.holding.clone();
        asked.holding.subject = Some(subject);
        self.holder.store.save(&asked.holding, &self.tokens).await?;
        // What the gateway holds for itself stays: it is not this user's alone.
        if before != asked.holding && before.subject.is_some() {
            self.holder.store.delete(&before).await?;
        }
        Ok(Held { holder: self.holder.clone(), asked, tokens: self.tokens.clone() })
    }

    /// Another one in its place, since whom it was shown to says that it is no good (RFC 6750, section 3.1); none where one that is as
    /// fresh would be refused as well, or where there is none to be had. It is got in any case: where `wait` is false, for the next call.
    pub(crate) async fn renewed(&self, exchange: &Exchange, wait: bool) -> Option<Held> {
        let asked = self.asked.other_than(&self.tokens.access);
        if !self.holder.may_be_refused(&self.tokens, exchange) {
            return None;
        }
        if !wait {
            self.holder.renew_behind(asked, exchange);
            return None;
        }
        let tokens = self.holder.renew(asked, exchange).await.ok()?;
        Some(Held { holder: self.holder.clone(), asked: self.asked.clone(), tokens })
    }
}

/// Whether an answer says that the token is no good: 401 with a challenge for a bearer token (RFC 6750, section 3).
pub(crate) fn is_refused(status: http::StatusCode, headers: &HeaderMap) -> bool {
    let bearer = |value: &HeaderValue| {
        let schemes = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        schemes
            .filter_map(|part| part.split(|byte| *byte == b' ').next())
            .any(|word| word.eq_ignore_ascii_case(b"bearer"))
    };
    status == http::StatusCode::UNAUTHORIZED && headers.get_all(header::WWW_AUTHENTICATE).iter().any(bearer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    #[test]
    fn rfc6750_3_only_a_challenge_for_bearer_says_that_the_token_is_no_good() {
        let refused = |status, challenges: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for challenge in challenges {
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            is_refused(status, &headers)
        };
        for challenges in [
            &["Bearer"][..],
            &["bearer realm=\"x\", error=\"invalid_token\""],
            &["Basic", "BEARER x=y"],
            &["Basic realm=\"a\", Bearer"],
        ] {
            assert!(refused(StatusCode::UNAUTHORIZED, challenges), "{challenges:?}");
        }
        assert!(!refused(StatusCode::UNAUTHORIZED, &[]) && !refused(StatusCode::UNAUTHORIZED, &["Basic realm=\"x\""]));
        assert!(!refused(StatusCode::FORBIDDEN, &["Bearer error=\"insufficient_scope\""]));
    }
}
