//! The cookie of a session. It goes when the browser is closed; when the session ends decides the store.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use ::oauth::token::Token;

use crate::host_cookie;

/// Its name.
pub const NAME: &str = "__Host-portcullis-session";

/// `Set-Cookie` for this session.
pub fn set(token: &Token) -> HeaderValue {
    header(token.expose(), None)
}

/// `Set-Cookie` that takes it off the browser.
pub fn clear() -> HeaderValue {
    header("", Some(0))
}

/// Takes it off a request, and leaves the others.
pub fn take_off(headers: &mut HeaderMap) {
    let is_ours = |pair: &[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.trim_ascii() == NAME.as_bytes()
    };
    let rest = |value: &HeaderValue| {
        let kept: Vec<&[u8]> = value.as_bytes().split(|byte| *byte == b';').filter(|pair| !is_ours(pair)).collect();
        // Whole pairs were cut out of a header's value.
        HeaderValue::from_bytes(kept.join(&b';').trim_ascii()).ok().filter(|value| !value.is_empty())
    };
    let kept: Vec<HeaderValue> = headers.get_all(COOKIE).iter().filter_map(rest).collect();
    headers.remove(COOKIE);
    for value in kept {
        headers.append(COOKIE, value);
    }
}

/// No character of a token or of ours is one that a header may not hold.
fn header(value: &str, max_age: Option<u64>) -> HeaderValue {
    host_cookie::set(NAME, value, max_age).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_session_is_taken_off_a_request() {
        for (before, after) in [
            (&["a=1; __Host-portcullis-session=pcw_x; b=2"][..], &["a=1; b=2"][..]),
            (&["__Host-portcullis-session=pcw_x"], &[]),
            (&["__Host-portcullis-session=x;a=1", "b=2"], &["a=1", "b=2"]),
            (
                &["__Host-portcullis-session2=x; a=__Host-portcullis-session"],
                &["__Host-portcullis-session2=x; a=__Host-portcullis-session"],
            ),
            (&["__Host-portcullis-session; __Host-portcullis-session = y;c="], &["c="]),
        ] {
            let mut headers = HeaderMap::new();
            for value in before {
                headers.append(COOKIE, HeaderValue::from_static(value));
            }
            take_off(&mut headers);
            assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), after, "{before:?}");
        }
    }
}
