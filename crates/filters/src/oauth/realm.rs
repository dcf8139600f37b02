//! How a protected resource refuses whoever comes without a good token: with a challenge (RFC 6750, section 3).

use http::{HeaderValue, StatusCode};

use ::oauth::Error;
use ::oauth::bearer::Challenge;
use policy::{Reason, ReasonCode};

use super::stop::refused;

/// The request has no token. Not an OAuth code: RFC 6750, section 3.1, has none for it.
pub(crate) const NO_TOKEN: ReasonCode = ReasonCode::new("no-token");

/// The realm where none is named.
const DEFAULT: &str = "api";

/// The realm of a resource, which its challenges name.
pub(crate) struct Realm(String);

impl Realm {
    /// The one of the setting, else `api`.
    pub(crate) fn new(setting: &Option<String>) -> Realm {
        Realm(setting.clone().unwrap_or_else(|| DEFAULT.to_owned()))
    }

    /// Nothing was there that could be checked.
    pub(crate) fn absent(&self, message: &'static str) -> Reason {
        let reason = Reason::new(NO_TOKEN, message).with_status(StatusCode::UNAUTHORIZED).with_absent();
        reason.with_challenge(self.challenge(None))
    }

    /// What was there is not good.
    pub(crate) fn refuse(&self, error: Error) -> Reason {
        let challenge = self.challenge(Some(&error));
        refused(error).with_challenge(challenge)
    }

    fn challenge(&self, error: Option<&Error>) -> HeaderValue {
        let challenge = Challenge { realm: Some(&self.0), error, scope: None };
        // Quoting leaves only what a header may hold.
        HeaderValue::from_str(&challenge.to_string()).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
    }
}
