//! Bearer tokens on protected resources (RFC 6750): where a token may stand, and the challenge of a refusal.

use std::fmt;

use crate::error::{Error, ErrorCode};
use crate::scope::Scopes;

/// A place that a token may stand in (RFC 6750, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The `Authorization` header.
    Header,
    /// `access_token` of a form in the body.
    Form,
    /// `access_token` of the query. Off unless asked for: logs and histories keep it.
    Query,
}

/// Where a request has tokens. Empty parameters are absent: the caller leaves them out.
#[derive(Clone, Copy, Default)]
pub struct Attempt<'a> {
    /// Every value of `Authorization`.
    pub authorization: &'a [&'a [u8]],
    /// `access_token` of the form; only where [`form_counts`].
    pub form: Option<&'a str>,
    /// `access_token` of the query.
    pub query: Option<&'a str>,
}

/// Why a request has no token that could be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It has none at all in the places that are looked at: a challenge without an error code (section 3).
    Absent,
    /// More than one, or a malformed one.
    Refused(Error),
}

/// Finds the one token of a request. More than one way to send it is refused, whichever places are looked at; a token
/// in a place that is not looked at is none.
pub fn find<'a>(attempt: Attempt<'a>, places: &[Place]) -> Result<(&'a str, Place), Missing> {
    let refused = |error| Err(Missing::Refused(error));
    let header = match attempt.authorization {
        [] => None,
        [one] => credentials(one),
        _ => return refused(Error::invalid_request("`Authorization` is repeated")),
    };
    let ways = [header.is_some(), attempt.form.is_some(), attempt.query.is_some()];
    if ways.into_iter().filter(|used| *used).count() > 1 {
        return refused(Error::invalid_request("The token is sent in more than one way"));
    }
    let found = match (header, attempt.form, attempt.query) {
        (Some(credentials), ..) if places.contains(&Place::Header) => {
            (header_token(credentials).map_err(Missing::Refused)?, Place::Header)
        }
        (_, Some(token), _) if places.contains(&Place::Form) => (token, Place::Form),
        (_, _, Some(token)) if places.contains(&Place::Query) => (token, Place::Query),
        _ => return Err(Missing::Absent),
    };
    if !is_token(found.0) {
        return refused(Error::new(ErrorCode::InvalidToken, "The access token is malformed"));
    }
    Ok(found)
}

/// Whether a form in the body may carry a token (section 2.2): the body is one single-part form, and the method gives
/// bodies a meaning.
pub fn form_counts(method: &str, content_type: Option<&str>) -> bool {
    content_type == Some("application/x-www-form-urlencoded") && !matches!(method, "GET" | "HEAD")
}

/// What stands after `Bearer`, in whatever case that is written; `None` for another scheme, which is another filter's
/// affair.
fn credentials(authorization: &[u8]) -> Option<&[u8]> {
    let authorization = authorization.trim_ascii();
    let end = authorization.iter().position(|b| b.is_ascii_whitespace()).unwrap_or(authorization.len());
    let (scheme, rest) = authorization.split_at(end);
    scheme.eq_ignore_ascii_case(b"bearer").then(|| rest.trim_ascii())
}

fn header_token(credentials: &[u8]) -> Result<&str, Error> {
    if credentials.is_empty() {
        return Err(Error::invalid_request("`Authorization: Bearer` without a token"));
    }
    if credentials.contains(&b' ') {
        return Err(Error::invalid_request("`Authorization: Bearer` with more than a token"));
    }
    std::str::from_utf8(credentials).map_err(|_| Error::new(ErrorCode::InvalidToken, "The access token is malformed"))
}

/// The bytes of a `b64token` (section 2.1) before its padding. A table, since each byte of each request's token is looked at.
const OF_A_TOKEN: [bool; 256] = {
    let mut bytes = [false; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        bytes[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
        byte += 1;
    }
    bytes
};

fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|b| OF_A_TOKEN[usize::from(b)])
}

/// A `WWW-Authenticate: Bearer` challenge (section 3).
#[derive(Clone, Copy, Default)]
pub struct Challenge<'a> {
    /// The realm.
    pub realm: Option<&'a str>,
    /// The error; none where the request had no token.
    pub error: Option<&'a Error>,
    /// The scopes that would do.
    pub scope: Option<&'a Scopes>,
}

impl fmt::Display for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = self.scope.filter(|scope| !scope.is_empty()).map(Scopes::to_string);
        let error = self.error.map(|error| error.code.as_str());
        let description = self.error.and_then(|error| error.description.as_ref()).map(|text| text.as_str());
        let parameters =
            [("realm", self.realm), ("error", error), ("error_description", description), ("scope", scope.as_deref())];
        f.write_str("Bearer")?;
        let mut separator = " ";
        for (name, value) in parameters.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
            write!(f, "{separator}{name}={}", quoted(value))?;
            separator = ", ";
        }
        Ok(())
    }
}

/// A quoted string (RFC 9110, section 5.6.4); what no header may hold is left out.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars().filter(|c| matches!(c, ' '..='~')) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Place; 3] = [Place::Header, Place::Form, Place::Query];

    fn header(value: &str, places: &[Place]) -> Result<String, Option<ErrorCode>> {
        told(find(Attempt { authorization: &[value.as_bytes()], ..Attempt::default() }, places))
    }

    fn told(found: Result<(&str, Place), Missing>) -> Result<String, Option<ErrorCode>> {
        found.map(|(token, _)| token.to_owned()).map_err(|missing| match missing {
            Missing::Absent => None,
            Missing::Refused(error) => Some(error.code),
        })
    }

    /// D18: the scheme's name is case-insensitive.
    #[test]
    fn rfc6750_2_1_scheme_in_any_case() {
        for value in ["Bearer abc", "bearer abc", "BEARER abc", "bEaReR   abc ", "Bearer\tabc"] {
            assert_eq!(header(value, &[Place::Header]), Ok("abc".into()), "{value}");
        }
    }

    /// D15: a token sent in more than one way is `invalid_request`, also where only one of the places is looked at.
    #[test]
    fn rfc6750_2_never_more_than_one_way() {
        let one: &[&[u8]] = &[b"Bearer abc"];
        let two: &[&[u8]] = &[b"Bearer abc", b"Bearer abc"];
        let basic_too: &[&[u8]] = &[b"Basic YTpi", b"Bearer abc"];
        for attempt in [
            Attempt { authorization: one, query: Some("abc"), form: None },
            Attempt { authorization: one, form: Some("abc"), query: None },
            Attempt { authorization: &[], form: Some("abc"), query: Some("abc") },
            Attempt { authorization: two, ..Attempt::default() },
            Attempt { authorization: basic_too, ..Attempt::default() },
        ] {
            for places in [&ALL[..], &[Place::Header]] {
                assert_eq!(told(find(attempt, places)), Err(Some(ErrorCode::InvalidRequest)));
            }
        }
    }

    /// D16: no credentials, or those of another scheme, are no error, only absent.
    #[test]
    fn rfc6750_3_1_no_credentials_have_no_error_code() {
        assert_eq!(told(find(Attempt::default(), &ALL)), Err(None));
        for value in ["Basic YTpi", "Bearerabc", "DPoP abc", ""] {
            assert_eq!(header(value, &ALL), Err(None), "{value}");
        }
        assert_eq!(Challenge { realm: Some("api"), ..Challenge::default() }.to_string(), "Bearer realm=\"api\"");
        assert_eq!(Challenge::default().to_string(), "Bearer");
    }

    #[test]
    fn rfc6750_3_1_malformed_ones() {
        for (value, code) in [
            ("Bearer", ErrorCode::InvalidRequest),
            ("Bearer ", ErrorCode::InvalidRequest),
            ("Bearer a b", ErrorCode::InvalidRequest),
            ("Bearer a,b", ErrorCode::InvalidToken),
            ("Bearer =", ErrorCode::InvalidToken),
            ("Bearer a=b", ErrorCode::InvalidToken),
            ("Bearer é", ErrorCode::InvalidToken),
        ] {
            assert_eq!(header(value, &ALL), Err(Some(code)), "{value}");
        }
        let no_utf8: &[&[u8]] = &[b"Bearer \xFF"];
        assert_eq!(
            told(find(Attempt { authorization: no_utf8, ..Attempt::default() }, &ALL)),
            Err(Some(ErrorCode::InvalidToken))
        );
        assert_eq!(header("Bearer aZ09-._~+/==", &ALL), Ok("aZ09-._~+/==".into()));
    }

    /// D19: form and query count only where they are looked at.
    #[test]
    fn rfc6750_2_2_and_2_3_only_where_asked_to() {
        let form = Attempt { form: Some("abc"), ..Attempt::default() };
        let query = Attempt { query: Some("abc"), ..Attempt::default() };
        assert_eq!(told(find(form, &[Place::Header])), Err(None));
        assert_eq!(told(find(query, &[Place::Header, Place::Form])), Err(None));
        assert_eq!(find(form, &ALL), Ok(("abc", Place::Form)));
        assert_eq!(find(query, &ALL), Ok(("abc", Place::Query)));
        assert_eq!(header("Bearer abc", &[Place::Form]), Err(None));
    }

    /// D19: a form carries a token only in a body that is one form, and never with GET.
    #[test]
    fn rfc6750_2_2_form_encoded_single_part_no_get() {
        let form = Some("application/x-www-form-urlencoded");
        for (method, content_type, counts) in [
            ("POST", form, true),
            ("PUT", form, true),
            ("GET", form, false),
            ("HEAD", form, false),
            ("POST", Some("multipart/form-data"), false),
            ("POST", Some("application/json"), false),
            ("POST", None, false),
        ] {
            assert_eq!(form_counts(method, content_type), counts, "{method} {content_type:?}");
        }
    }

    /// D17: `invalid_token` is 401, `insufficient_scope` 403 with the scopes that would do.
    #[test]
    fn rfc6750_3_challenges() {
        let error = Error::new(ErrorCode::InvalidToken, "The access token expired");
        let challenge = Challenge { realm: Some("api"), error: Some(&error), scope: None };
        assert_eq!(
            challenge.to_string(),
            r#"Bearer realm="api", error="invalid_token", error_description="The access token expired""#
        );
        assert_eq!(error.code.status(), 401);

        let error = Error::from(ErrorCode::InsufficientScope);
        let scope = Scopes::parse("orders:read orders:write").expect("scopes");
        let challenge = Challenge { realm: None, error: Some(&error), scope: Some(&scope) };
        assert_eq!(challenge.to_string(), r#"Bearer error="insufficient_scope", scope="orders:read orders:write""#);
        assert_eq!(error.code.status(), 403);
    }

    #[test]
    fn rfc9110_5_6_4_quoting() {
        for (text, told) in [
            ("a", r#""a""#),
            (r#"a"b\c"#, r#""a\"b\\c""#),
            ("a\r\nSet-Cookie: x", r#""aSet-Cookie: x""#),
            ("é", r#""""#),
        ] {
            assert_eq!(quoted(text), told);
        }
    }
}
