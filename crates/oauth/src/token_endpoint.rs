//! The token endpoint (RFC 6749, sections 4.4, 5.1 and 5.2): which grant a client may use, and the answer.

use serde::Serialize;

use crate::error::{Error, ErrorCode};
use crate::scope::Scopes;

/// The client credentials grant (RFC 6749, section 4.4).
pub const CLIENT_CREDENTIALS: &str = "client_credentials";

/// The type of the tokens that we issue, and that everybody spells as they like (RFC 6749, section 5.1:
/// case-insensitive).
pub const BEARER: &str = "Bearer";

/// Whether the client is registered for this grant (RFC 6749, section 5.2).
pub fn may_use_grant(registered: &[String], grant: &str) -> Result<(), Error> {
    if registered.iter().any(|allowed| allowed == grant) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::UnauthorizedClient, "The client is not registered for this grant"))
}

/// Whether the client may use client credentials: registered for them, and confidential (RFC 6749, section 4.4).
/// `proved` is whether it proved who it is in this request, which a public client cannot.
pub fn may_use_client_credentials(registered: &[String], proved: bool) -> Result<(), Error> {
    may_use_grant(registered, CLIENT_CREDENTIALS)?;
    if !proved {
        return Err(Error::new(ErrorCode::UnauthorizedClient, "Only a confidential client may use this grant"));
    }
    Ok(())
}

/// A successful answer of the token endpoint (RFC 6749, section 5.1). It goes with `Cache-Control: no-store`.
#[derive(Debug, Serialize)]
pub struct TokenResponse<'a> {
    /// The token.
    pub access_token: &'a str,
    /// `Bearer`.
    pub token_type: &'a str,
    /// Seconds.
    pub expires_in: u64,
    /// The refresh token, where the grant gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<&'a str>,
    /// What was granted, where the client must be told: see [`scope_to_tell`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<&'a Scopes>,
    /// The ID token, where there is one (OpenID Connect Core, section 3.1.3.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<&'a str>,
}

/// The granted scopes where they are not exactly those that were asked (RFC 6749, section 3.3): fewer, or asked for
/// nothing. No scope at all cannot be written.
pub fn scope_to_tell<'a>(asked: &Scopes, granted: &'a Scopes) -> Option<&'a Scopes> {
    (!granted.is_empty() && !granted.same_as(asked)).then_some(granted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Scopes {
        Scopes::parse(text).expect(text)
    }

    #[test]
    fn rfc6749_5_2_only_registered_grants() {
        let registered = [CLIENT_CREDENTIALS.to_owned()];
        assert_eq!(may_use_grant(&registered, CLIENT_CREDENTIALS), Ok(()));
        for (registered, grant) in
            [(&registered[..], "refresh_token"), (&[], CLIENT_CREDENTIALS), (&registered, "Client_Credentials")]
        {
            assert_eq!(may_use_grant(registered, grant).expect_err(grant).code, ErrorCode::UnauthorizedClient);
        }
    }

    #[test]
    fn rfc6749_4_4_confidential_clients_only() {
        let registered = [CLIENT_CREDENTIALS.to_owned()];
        assert_eq!(may_use_client_credentials(&registered, true), Ok(()));
        for (registered, proved) in [(&registered[..], false), (&[], true)] {
            let error = may_use_client_credentials(registered, proved).expect_err("refused");
            assert_eq!(error.code, ErrorCode::UnauthorizedClient);
        }
    }

    /// D11: what was granted is told where it is not what was asked.
    #[test]
    fn rfc6749_3_3_a_scope_that_differs_is_told() {
        for (asked, granted, told) in [
            ("a b", "a b", None),
            ("b a", "a b", None),
            ("a b", "a", Some("a")),
            ("", "a b", Some("a b")),
            ("", "", None),
        ] {
            let granted = scopes(granted);
            let got = scope_to_tell(&scopes(asked), &granted).map(Scopes::to_string);
            assert_eq!(got.as_deref(), told, "{asked} -> {granted}");
        }
    }

    /// D6: the answer's JSON; what is absent is left out, and times are numbers.
    #[test]
    fn rfc6749_5_1_json() {
        let mut answer = TokenResponse {
            access_token: "pca_x",
            token_type: BEARER,
            expires_in: 3600,
            refresh_token: None,
            scope: None,
            id_token: None,
        };
        let json = |answer: &TokenResponse<'_>| serde_json::to_string(answer).expect("json");
        assert_eq!(json(&answer), r#"{"access_token":"pca_x","token_type":"Bearer","expires_in":3600}"#);
        let granted = scopes("a b");
        answer.scope = Some(&granted);
        answer.refresh_token = Some("pcr_x");
        assert_eq!(
            json(&answer),
            r#"{"access_token":"pca_x","token_type":"Bearer","expires_in":3600,"refresh_token":"pcr_x","scope":"a b"}"#
        );
    }
}
