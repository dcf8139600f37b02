//! Refresh tokens (RFC 6749, section 6; RFC 9700, section 4.14): who gets one, and how long it lives.

use crate::error::{Error, ErrorCode};
use crate::scope::Scopes;
use crate::token_endpoint::CLIENT_CREDENTIALS;

/// The refresh token grant.
pub const REFRESH_TOKEN: &str = "refresh_token";

/// The scope that asks for a refresh token (OpenID Connect Core, section 11).
pub const OFFLINE_ACCESS: &str = "offline_access";

/// The scope of OpenID Connect.
pub const OPENID: &str = "openid";

/// The one answer to whoever may not use a refresh token, whether it is unknown, expired, used, revoked or another's.
pub fn refused() -> Error {
    Error::new(
        ErrorCode::InvalidGrant,
        "The refresh token is unknown, expired, used, revoked, or was issued to another client",
    )
}

/// Whether a grant may give a refresh token: the client is registered for it; with OpenID Connect the user must have granted it too
/// (OpenID Connect Core, section 11); and never with client credentials (RFC 6749, section 4.4.3).
pub fn is_offline(registered: &[String], grant: &str, granted: &Scopes) -> bool {
    grant != CLIENT_CREDENTIALS
        && registered.iter().any(|grant| grant == REFRESH_TOKEN)
        && (!granted.contains(OPENID) || granted.contains(OFFLINE_ACCESS))
}

/// How long refresh tokens live. All in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// From the grant on, however often they are rotated (RFC 9700, section 4.14.2).
    pub absolute: u64,
    /// From the last rotation on.
    pub idle: Option<u64>,
}

impl Lifetimes {
    /// When one expires (Unix seconds) that is issued now, of a grant of then; never after the grant itself, where that has begun.
    pub fn expiry(self, granted_at: u64, now: u64, grant_expires_at: Option<u64>) -> u64 {
        let absolute = granted_at.saturating_add(self.absolute);
        let idle = self.idle.map_or(u64::MAX, |idle| now.saturating_add(idle));
        absolute.min(idle).min(grant_expires_at.unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6749_4_4_3_and_openid_11_who_gets_a_refresh_token() {
        let registered = ["authorization_code", REFRESH_TOKEN].map(str::to_owned);
        for (registered, grant, granted, offline) in [
            (&registered[..], "authorization_code", "a", true),
            (&registered, "authorization_code", "openid a", false),
            (&registered, "authorization_code", "openid offline_access", true),
            (&registered, CLIENT_CREDENTIALS, "a", false),
            (&registered[..1], "authorization_code", "a", false),
            (&registered[..1], "authorization_code", "openid offline_access", false),
        ] {
            let granted = Scopes::parse(granted).expect("scopes");
            assert_eq!(is_offline(registered, grant, &granted), offline, "{grant} {granted}");
        }
    }

    /// D95: a rotated token lives no longer than the first one would have.
    #[test]
    fn rfc9700_4_14_2_a_lifetime_counts_from_the_grant() {
        let lifetimes = Lifetimes { absolute: 100, idle: Some(30) };
        for (now, expiry) in [(1_000, 1_030), (1_050, 1_080), (1_090, 1_100), (1_200, 1_100)] {
            assert_eq!(lifetimes.expiry(1_000, now, None), expiry);
        }
        assert_eq!(Lifetimes { absolute: 100, idle: None }.expiry(1_000, 1_090, None), 1_100);
        assert_eq!(lifetimes.expiry(1_000, 1_000, Some(1_010)), 1_010);
        assert_eq!(Lifetimes { absolute: u64::MAX, idle: Some(u64::MAX) }.expiry(1_000, 1_000, None), u64::MAX);
    }
}
