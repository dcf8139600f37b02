//! Lists in header fields (RFC 9110, sections 5.6.1 and 5.6.4), read in one way by whoever goes by their members.

use http::{HeaderMap, HeaderName};

/// A field that is no list: it has bytes beyond ASCII, or a quote that does not end. What it says is not known, not even in part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// The members of a field, of all its lines, trimmed and without the empty ones. A comma in quotes is none of the list's.
pub(super) fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Vec<&'a str>, Unreadable> {
    let mut members = Vec::new();
    for line in headers.get_all(name) {
        let text = line.to_str().map_err(|_| Unreadable)?;
        let (mut quoted, mut escaped, mut from) = (false, false, 0);
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = quoted,
                b'"' => quoted = !quoted,
                b',' if !quoted => {
                    members.push(text[from..at].trim());
                    from = at + 1;
                }
                _ => {}
            }
        }
        if quoted {
            return Err(Unreadable);
        }
        members.push(text[from..].trim());
    }
    members.retain(|member| !member.is_empty());
    Ok(members)
}

/// Whether it is a token (section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// What stands in a quoted string, without its escapes; `None` where it is none (section 5.6.4).
pub(super) fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => return None,
            '\\' => out.push(chars.next()?),
            char => out.push(char),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::ACCEPT;

    use super::*;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (ACCEPT, HeaderValue::from_bytes(line).unwrap())).collect()
    }

    #[test]
    fn rfc9110_5_6_1_members_of_all_lines() {
        for (lines, expected) in [
            (&[][..], &[][..]),
            (&[&b""[..], b", ,"], &[]),
            (&[b"a ,\tb", b"c"], &["a", "b", "c"]),
            (&[b"a=\"b, c\", d"], &["a=\"b, c\"", "d"]),
            (&[b"a=\"b\\\", c\", d"], &["a=\"b\\\", c\"", "d"]),
            (&[b"a\\, b"], &["a\\", "b"]),
        ] {
            assert_eq!(members(&headers(lines), &ACCEPT).as_deref(), Ok(expected), "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_list_says_nothing() {
        for lines in [&[&b"a, \xe9"[..]][..], &[b"a=\"\xe9\""], &[b"a=\"b, c"], &[b"a=\"b\\\""], &[b"a", b"\""]] {
            assert_eq!(members(&headers(lines), &ACCEPT), Err(Unreadable), "{lines:?}");
        }
    }

    #[test]
    fn rfc9110_5_6_4_quoted_strings() {
        for (text, expected) in [
            ("\"a, b\"", Some("a, b")),
            ("\"a\\\"\\b\"", Some("a\"b")),
            ("\"\"", Some("")),
            ("\"", None),
            ("a", None),
            ("\"a\"b\"", None),
            ("\"a\\\"", None),
        ] {
            assert_eq!(unquoted(text).as_deref(), expected, "{text}");
        }
    }
}
