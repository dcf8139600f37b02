//! The errors of RFC 6749 (sections 4.1.2.1 and 5.2), RFC 6750 (section 3.1), RFC 7009 (section 2.2.1) and RFC 7662
//! (section 2.3), RFC 8628 (section 3.5) and OpenID Connect Core (section 3.1.2.6).
//! (section 2.3), RFC 7591 (section 3.2.2).

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::ser::SerializeStruct;

/// An error code, as the RFC spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// A parameter is missing, repeated or malformed; more than one way to authenticate, or to send a token.
    InvalidRequest,
    /// Client authentication failed: unknown, disabled, wrong secret, none given, a method that is not allowed.
    InvalidClient,
    /// The code, refresh token or assertion is invalid, expired, revoked, used, or another client's.
    InvalidGrant,
    /// The client may not use this grant.
    UnauthorizedClient,
    /// The server does not offer this grant.
    UnsupportedGrantType,
    /// A scope is unknown, malformed, or more than what may be granted.
    InvalidScope,
    /// The resource owner or the server said no.
    AccessDenied,
    /// The server does not offer this response type.
    UnsupportedResponseType,
    /// Something broke that should not.
    ServerError,
    /// Something is down or too busy for now.
    TemporarilyUnavailable,
    /// The access token is malformed, unknown, expired or revoked.
    InvalidToken,
    /// The access token's scopes do not suffice.
    InsufficientScope,
    /// The server does not revoke tokens of this type.
    UnsupportedTokenType,
    /// Request objects are not supported (OpenID Connect Core, section 3.1.2.6).
    RequestNotSupported,
    /// Request objects by reference are not supported.
    RequestUriNotSupported,
    /// The `registration` parameter is not supported.
    RegistrationNotSupported,
    /// The user must log in, and nobody may be asked.
    LoginRequired,
    /// The user must agree, and nobody may be asked.
    ConsentRequired,
    /// OpenID Connect Core Error Code unmet_authentication_requirements, section 2: nobody proved who they are as the request demands.
    UnmetAuthenticationRequirements,
    /// The user has not decided yet (RFC 8628, section 3.5).
    AuthorizationPending,
    /// The device asks too often.
    SlowDown,
    /// The device code has expired.
    ExpiredToken,
    /// A redirect URI that cannot be registered.
    InvalidRedirectUri,
    /// Other metadata that a client cannot be registered with.
    InvalidClientMetadata,
}

impl ErrorCode {
    /// All of them.
    pub const ALL: [ErrorCode; 24] = [
        ErrorCode::InvalidRequest,
        ErrorCode::InvalidClient,
        ErrorCode::InvalidGrant,
        ErrorCode::UnauthorizedClient,
        ErrorCode::UnsupportedGrantType,
        ErrorCode::InvalidScope,
        ErrorCode::AccessDenied,
        ErrorCode::UnsupportedResponseType,
        ErrorCode::ServerError,
        ErrorCode::TemporarilyUnavailable,
        ErrorCode::InvalidToken,
        ErrorCode::InsufficientScope,
        ErrorCode::UnsupportedTokenType,
        ErrorCode::RequestNotSupported,
        ErrorCode::RequestUriNotSupported,
        ErrorCode::RegistrationNotSupported,
        ErrorCode::LoginRequired,
        ErrorCode::ConsentRequired,
        ErrorCode::UnmetAuthenticationRequirements,
        ErrorCode::AuthorizationPending,
        ErrorCode::SlowDown,
        ErrorCode::ExpiredToken,
        ErrorCode::InvalidRedirectUri,
        ErrorCode::InvalidClientMetadata,
    ];

    /// As it stands in the answer.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorCode::InvalidRequest => "invalid_request",
            ErrorCode::InvalidClient => "invalid_client",
            ErrorCode::InvalidGrant => "invalid_grant",
            ErrorCode::UnauthorizedClient => "unauthorized_client",
            ErrorCode::UnsupportedGrantType => "unsupported_grant_type",
            ErrorCode::InvalidScope => "invalid_scope",
            ErrorCode::AccessDenied => "access_denied",
            ErrorCode::UnsupportedResponseType => "unsupported_response_type",
            ErrorCode::ServerError => "server_error",
            ErrorCode::TemporarilyUnavailable => "temporarily_unavailable",
            ErrorCode::InvalidToken => "invalid_token",
            ErrorCode::InsufficientScope => "insufficient_scope",
            ErrorCode::UnsupportedTokenType => "unsupported_token_type",
            ErrorCode::RequestNotSupported => "request_not_supported",
            ErrorCode::RequestUriNotSupported => "request_uri_not_supported",
            ErrorCode::RegistrationNotSupported => "registration_not_supported",
            ErrorCode::LoginRequired => "login_required",
            ErrorCode::ConsentRequired => "consent_required",
            ErrorCode::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
            ErrorCode::AuthorizationPending => "authorization_pending",
            ErrorCode::SlowDown => "slow_down",
            ErrorCode::ExpiredToken => "expired_token",
            ErrorCode::InvalidRedirectUri => "invalid_redirect_uri",
            ErrorCode::InvalidClientMetadata => "invalid_client_metadata",
        }
    }

    /// The code of this spelling.
    pub fn parse(text: &str) -> Option<ErrorCode> {
        ErrorCode::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// The HTTP status it is answered with where no redirect carries it.
    ///
    /// `invalid_client` is 401 whichever way the client tried: RFC 6749, section 5.2, demands it after an
    /// `Authorization` header and allows it otherwise.
    pub const fn status(self) -> u16 {
        match self {
            ErrorCode::InvalidClient | ErrorCode::InvalidToken => 401,
            ErrorCode::InsufficientScope => 403,
            ErrorCode::ServerError => 500,
            ErrorCode::TemporarilyUnavailable => 503,
            _ => 400,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text for `error_description`: only `%x20-21 / %x23-5B / %x5D-7E` (RFC 6749, section 5.2), so that it needs no
/// escaping anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description(Cow<'static, str>);

impl Description {
    /// A text of ours. A character that is not allowed stops the build where this is used in a constant.
    pub const fn fixed(text: &'static str) -> Description {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            assert!(allowed(bytes[at]), "a character that error_description may not have");
            at += 1;
        }
        Description(Cow::Borrowed(text))
    }

    /// Any text: what is not allowed is replaced (a double quote by a single one, a backslash by a slash, the rest by
    /// `?`).
    pub fn cleaned(text: impl Into<Cow<'static, str>>) -> Description {
        let text = text.into();
        if text.bytes().all(allowed) {
            return Description(text);
        }
        Description(Cow::Owned(
            text.chars()
                .map(|c| match c {
                    '"' => '\'',
                    '\\' => '/',
                    c if u8::try_from(c).is_ok_and(allowed) => c,
                    _ => '?',
                })
                .collect(),
        ))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn allowed(byte: u8) -> bool {
    matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)
}

/// An error as it is told to the client. Serialized as RFC 6749, section 5.2, writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Which.
    pub code: ErrorCode,
    /// For the developer of the client; never a secret or an internal name.
    pub description: Option<Description>,
}

impl Error {
    /// An error with a description, which is cleaned.
    pub fn new(code: ErrorCode, description: impl Into<Cow<'static, str>>) -> Error {
        Error { code, description: Some(Description::cleaned(description)) }
    }

    /// An `invalid_request` with a description.
    pub fn invalid_request(description: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorCode::InvalidRequest, description)
    }

    /// The one answer to a client that could not be authenticated: unknown, disabled and wrong secret look alike.
    pub const fn invalid_client() -> Error {
        Error { code: ErrorCode::InvalidClient, description: Some(Description::fixed("Client authentication failed")) }
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Error { code, description: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.description {
            Some(description) => write!(f, "{}: {}", self.code, description.as_str()),
            None => self.code.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl Serialize for Error {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut object = s.serialize_struct("Error", 1 + usize::from(self.description.is_some()))?;
        object.serialize_field("error", self.code.as_str())?;
        match &self.description {
            Some(description) => object.serialize_field("error_description", description.as_str())?,
            None => object.skip_field("error_description")?,
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6749_5_2_statuses() {
        for (code, status) in [
            ("invalid_request", 400),
            ("invalid_client", 401),
            ("invalid_grant", 400),
            ("unauthorized_client", 400),
            ("unsupported_grant_type", 400),
            ("invalid_scope", 400),
            ("access_denied", 400),
            ("unsupported_response_type", 400),
            ("server_error", 500),
            ("temporarily_unavailable", 503),
            ("invalid_token", 401),
            ("insufficient_scope", 403),
            ("unsupported_token_type", 400),
            ("request_not_supported", 400),
            ("request_uri_not_supported", 400),
            ("registration_not_supported", 400),
            ("login_required", 400),
            ("consent_required", 400),
            ("authorization_pending", 400),
            ("slow_down", 400),
            ("expired_token", 400),
            ("invalid_redirect_uri", 400),
            ("invalid_client_metadata", 400),
        ] {
            let read = ErrorCode::parse(code).expect(code);
            assert_eq!((read.as_str(), read.status()), (code, status));
        }
        assert_eq!(ErrorCode::parse("Invalid_Request"), None);
    }

    /// D12: `error_description` has only the characters that the RFC allows, whatever it is made from.
    #[test]
    fn rfc6749_5_2_error_description_has_only_allowed_characters() {
        for (text, told) in [
            ("plain text, with `ticks` and 'quotes'", "plain text, with `ticks` and 'quotes'"),
            ("a \"word\"", "a 'word'"),
            ("back\\slash", "back/slash"),
            ("line\r\nbreak\ttab\0", "line??break?tab?"),
            ("é\u{7f}\u{1F600}", "???"),
        ] {
            assert_eq!(Description::cleaned(text).as_str(), told);
        }
        for c in (0..=0x2FF).filter_map(char::from_u32) {
            let told = Description::cleaned(c.to_string());
            assert!(told.as_str().bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)), "{c:?}");
        }
    }

    #[test]
    #[should_panic(expected = "error_description")]
    fn rfc6749_5_2_our_own_texts_are_checked_too() {
        Description::fixed("a \"word\"");
    }

    #[test]
    fn rfc6749_5_2_json() {
        let json = |error: &Error| serde_json::to_string(error).expect("json");
        assert_eq!(
            json(&Error::invalid_request("It is \"bad\"")),
            r#"{"error":"invalid_request","error_description":"It is 'bad'"}"#
        );
        assert_eq!(json(&ErrorCode::InvalidScope.into()), r#"{"error":"invalid_scope"}"#);
    }
}
