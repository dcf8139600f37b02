//! The `Basic` scheme for people (RFC 7617): a name and a password, in UTF-8. Clients of an authorization server encode theirs once
//! more ([`crate::client_auth::basic`]).

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Padding may be left off, as some clients do; what the bits say is the same.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a request has in `Authorization`.
#[derive(Debug, PartialEq, Eq)]
pub enum Presented {
    /// Nothing, or credentials of another scheme.
    Absent,
    /// It is repeated, or it is `Basic` and nobody can read it.
    Malformed,
    /// A name and a password.
    Credentials(String, Secret),
}

/// Takes the values of `Authorization` apart. The name ends at the first colon (section 2).
pub fn read(authorization: &[&[u8]]) -> Presented {
    let header = match authorization {
        [] => return Presented::Absent,
        [one] => *one,
        _ => return Presented::Malformed,
    };
    let (scheme, rest) = header.split_at(header.iter().position(|byte| *byte == b' ').unwrap_or(header.len()));
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Presented::Absent;
    }
    credentials(rest).map_or(Presented::Malformed, |(name, password)| Presented::Credentials(name, password))
}

fn credentials(encoded: &[u8]) -> Option<(String, Secret)> {
    let decoded = Zeroizing::new(BASE64.decode(encoded.trim_ascii()).ok()?);
    let (name, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    let control = |text: &str| text.chars().any(char::is_control);
    (!control(name) && !control(password)).then(|| (name.to_owned(), Secret::new(password.to_owned())))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD as PLAIN;

    use super::*;

    fn read_one(scheme: &str, credentials: impl AsRef<[u8]>) -> Presented {
        read(&[format!("{scheme} {}", PLAIN.encode(credentials)).as_bytes()])
    }

    #[test]
    fn rfc7617_2_the_name_ends_at_the_first_colon_and_nothing_is_decoded_twice() {
        for (name, password) in
            [("ann", "right"), ("ann", ""), ("", "x"), ("ann", "a:b:c"), ("ann", "a+b%20c"), ("änn", "påss☃ word")]
        {
            let expected = Presented::Credentials(name.into(), Secret::new(password.into()));
            assert_eq!(read_one("Basic", format!("{name}:{password}")), expected);
            assert_eq!(read_one("bAsIc", format!("{name}:{password}")), expected);
        }
        // Section 2.1: `test` and `123£`.
        assert_eq!(
            read(&[b"Basic dGVzdDoxMjPCow=="]),
            Presented::Credentials("test".into(), Secret::new("123£".into()))
        );
        assert_eq!(read(&[b"Basic  dGVzdDoxMjPCow "]), read(&[b"Basic dGVzdDoxMjPCow=="]));
    }

    #[test]
    fn rfc7617_2_control_characters_and_what_is_no_utf8_are_refused() {
        for bad in [&b"ann"[..], b"", b"ann\n:x", b"ann:x\0", b"\xff:x", b"ann:\xe9"] {
            assert_eq!(read_one("Basic", bad), Presented::Malformed, "{bad:?}");
        }
        for bad in [&b"Basic"[..], b"Basic ", b"Basic !", b"basic YQ"] {
            assert_eq!(read(&[bad]), Presented::Malformed, "{bad:?}");
        }
    }

    #[test]
    fn credentials_of_another_scheme_are_none_and_two_are_too_many() {
        assert_eq!(read(&[]), Presented::Absent);
        for other in [&b"Bearer abc"[..], b"", b"Basically YTpi", b"Digest x"] {
            assert_eq!(read(&[other]), Presented::Absent, "{other:?}");
        }
        assert_eq!(read(&[b"Basic YTpi", b"Basic YTpi"]), Presented::Malformed);
        assert_eq!(read(&[b"Bearer x", b"Basic YTpi"]), Presented::Malformed);
    }
}
