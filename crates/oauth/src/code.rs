//! Redeeming an authorization code (RFC 6749, sections 4.1.3 and 4.1.4; RFC 7636, section 4.6).

use crate::error::{Error, ErrorCode};
use crate::id::ClientId;
use crate::pkce::{self, Challenge};

/// The authorization code grant.
pub const AUTHORIZATION_CODE: &str = "authorization_code";

/// What a code is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// The client that asked for it.
    pub client_id: &'a ClientId,
    /// The redirect URI of its request, where that named one.
    pub redirect_uri: Option<&'a str>,
    /// The challenge of its request.
    pub challenge: Option<&'a Challenge>,
}

/// Who redeems it, with what.
#[derive(Clone, Copy, Debug)]
pub struct Redeemer<'a> {
    /// The client that was authenticated.
    pub client_id: &'a ClientId,
    /// `redirect_uri`
    pub redirect_uri: Option<&'a str>,
    /// `code_verifier`
    pub verifier: Option<&'a str>,
}

/// The one answer to whoever may not redeem a code, whether it is unknown, expired, used or another's.
pub fn refused() -> Error {
    Error::new(ErrorCode::InvalidGrant, "The code is unknown, expired, used, or was issued to another client")
}

/// Whether this is who the code was issued to.
pub fn check(bound: Bound<'_>, redeemer: Redeemer<'_>) -> Result<(), Error> {
    if bound.client_id != redeemer.client_id {
        return Err(refused());
    }
    if bound.redirect_uri.is_some_and(|uri| redeemer.redirect_uri != Some(uri)) {
        return Err(Error::new(
            ErrorCode::InvalidGrant,
            "`redirect_uri` is another one than that of the authorization request",
        ));
    }
    pkce::verify(bound.challenge, redeemer.verifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const CALLBACK: &str = "https://app.example/cb";

    /// D9: a code is bound to its client, its redirect URI and its challenge. D33, D34: both of challenge and verifier, or neither.
    #[test]
    fn rfc6749_4_1_3_a_code_is_for_whom_it_was_issued_to() {
        let (app, other) = (ClientId::new("app"), ClientId::new("other"));
        let challenge = Challenge::read(Some(CHALLENGE), Some("S256"), false).expect("read");
        let whole = Bound { client_id: &app, redirect_uri: Some(CALLBACK), challenge: challenge.as_ref() };
        let without = Bound { challenge: None, ..whole };
        let unnamed = Bound { redirect_uri: None, ..whole };
        for (bound, client, redirect_uri, verifier, good) in [
            (whole, &app, Some(CALLBACK), Some(VERIFIER), true),
            (whole, &other, Some(CALLBACK), Some(VERIFIER), false),
            (whole, &app, None, Some(VERIFIER), false),
            (whole, &app, Some("https://app.example/cb/"), Some(VERIFIER), false),
            (whole, &app, Some(CALLBACK), None, false),
            (whole, &app, Some(CALLBACK), Some(CHALLENGE), false),
            (without, &app, Some(CALLBACK), None, true),
            (without, &app, Some(CALLBACK), Some(VERIFIER), false),
            (unnamed, &app, None, Some(VERIFIER), true),
            (unnamed, &app, Some(CALLBACK), Some(VERIFIER), true),
        ] {
            let checked = check(bound, Redeemer { client_id: client, redirect_uri, verifier });
            assert_eq!(
                checked.as_ref().map_err(|error| error.code),
                if good { Ok(&()) } else { Err(ErrorCode::InvalidGrant) }
            );
        }
    }
}
