//! What the OAuth filters read of a request.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use ::oauth::{Error, parameters};
use policy::exchange::{FORM, Form};
use policy::{Reason, Request};

use super::stop::refused;

/// The name of the parameter that carries a token (RFC 6750, sections 2.2 and 2.3).
pub(super) const ACCESS_TOKEN: &str = "access_token";

/// The form of a request to an OAuth endpoint, with the rules that hold for all of it: nothing secret in the query, one
/// type of body and no other, no parameter twice. The filter must have said that it reads the body.
pub(super) fn endpoint_form(request: &Request) -> Result<&Form, Reason> {
    if request.query.is_some() {
        parameters::refuse_in_query(request.query_form()?.iter().map(|(name, _)| name)).map_err(refused)?;
    }
    let content_type = one_content_type(request).map_err(refused)?;
    let has_body = request.body_bytes().is_some_and(|body| !body.is_empty());
    if has_body && content_type.as_deref() != Some(FORM) {
        return Err(refused(Error::invalid_request("The body must be a form: application/x-www-form-urlencoded")));
    }
    let form = request.form()?;
    parameters::refuse_repeated(form.iter().map(|(name, _)| name)).map_err(refused)?;
    Ok(form)
}

/// The type of the body, where there is one; several are refused in OAuth's words.
pub(super) fn one_content_type(request: &Request) -> Result<Option<Cow<'_, str>>, Error> {
    request.content_type().map_err(|_| Error::invalid_request("There is more than one Content-Type"))
}

/// The form's parameter of this name, which there must be.
pub(super) fn required<'a>(form: &'a Form, name: &str) -> Result<&'a str, Reason> {
    form.get(name).ok_or_else(|| refused(Error::invalid_request(format!("`{name}` is missing"))))
}

/// The values of `Authorization`, as many as matter: none, one, or too many.
pub(super) fn authorization<'a>(headers: &'a HeaderMap, room: &'a mut [&'a [u8]; 2]) -> &'a [&'a [u8]] {
    let mut found = 0;
    for (place, value) in room.iter_mut().zip(headers.get_all(AUTHORIZATION)) {
        *place = value.as_bytes();
        found += 1;
    }
    &room[..found]
}

/// The one token of a query or form; more than one is refused. Other parameters may be as malformed as they like: they
/// are the API's.
pub(super) fn access_token(encoded: &[u8]) -> Result<Option<String>, Error> {
    let mut tokens = form_urlencoded::parse(encoded).filter(|(name, value)| name == ACCESS_TOKEN && !value.is_empty());
    let first = tokens.next();
    if tokens.next().is_some() {
        return Err(Error::invalid_request("`access_token` is repeated"));
    }
    Ok(first.map(|(_, value)| value.into_owned()))
}

/// The query or form without its token; everything else as it came.
pub(super) fn without_access_token(encoded: &[u8]) -> Vec<u8> {
    let is_token = |pair: &[u8]| form_urlencoded::parse(pair).any(|(name, _)| name == ACCESS_TOKEN);
    let kept: Vec<&[u8]> = encoded.split(|byte| *byte == b'&').filter(|pair| !is_token(pair)).collect();
    kept.join(&b'&')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6750_2_3_the_token_is_found_and_taken_off() {
        for (query, token, rest) in [
            ("a=1&access_token=x&b=%zz", Some("x"), "a=1&b=%zz"),
            ("access%5Ftoken=x%2By", Some("x+y"), ""),
            ("a=access_token", None, "a=access_token"),
            ("access_token=&a", None, "a"),
            ("access_tokens=x&&b", None, "access_tokens=x&&b"),
        ] {
            assert_eq!(access_token(query.as_bytes()).expect(query).as_deref(), token, "{query}");
            assert_eq!(without_access_token(query.as_bytes()), rest.as_bytes(), "{query}");
        }
        assert!(access_token(b"access_token=x&access_token=x").is_err());
    }

    #[test]
    fn two_values_of_authorization_are_seen() {
        let mut headers = HeaderMap::new();
        assert!(authorization(&headers, &mut [&[]; 2]).is_empty());
        headers.append(AUTHORIZATION, http::HeaderValue::from_static("Bearer a"));
        assert_eq!(authorization(&headers, &mut [&[]; 2]), [b"Bearer a"]);
        headers.append(AUTHORIZATION, http::HeaderValue::from_static("Basic b"));
        assert_eq!(authorization(&headers, &mut [&[]; 2]).len(), 2);
    }
}
