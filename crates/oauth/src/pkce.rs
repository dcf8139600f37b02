//! Proof Key for Code Exchange (RFC 7636), by the rules of RFC 9700, section 2.1.1.
//!
//! A client proves with a verifier that a code is its own: with the authorization request it sends what that hashes to, with the
//! token request the verifier itself.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::{Error, ErrorCode};

/// How a challenge is made from its verifier (section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Method {
    /// The SHA-256 of it.
    S256,
    /// The verifier itself: whoever sees the request has it.
    #[serde(rename = "plain")]
    Plain,
}

impl Method {
    /// As it stands in a request and in metadata.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::S256 => "S256",
            Method::Plain => "plain",
        }
    }

    fn transform(self, verifier: &str) -> String {
        match self {
            Method::S256 => URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())),
            Method::Plain => verifier.to_owned(),
        }
    }
}

/// A challenge, as it is kept with a code until that is redeemed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    method: Method,
    text: String,
}

impl Challenge {
    /// That of an authorization request (section 4.3), where it has one. A challenge without a method is a plain one; one that is
    /// plain is refused unless it is allowed (section 7.2).
    pub fn read(challenge: Option<&str>, method: Option<&str>, plain: bool) -> Result<Option<Challenge>, Error> {
        let Some(text) = challenge else {
            return match method {
                None => Ok(None),
                Some(_) => Err(Error::invalid_request("`code_challenge_method` stands without `code_challenge`")),
            };
        };
        let method = match method {
            Some("S256") => Method::S256,
            None | Some("plain") if plain => Method::Plain,
            None | Some("plain") => return Err(Error::invalid_request("`code_challenge_method` must be S256")),
            Some(_) => return Err(Error::invalid_request("This `code_challenge_method` is not supported")),
        };
        let fits = match method {
            // 32 bytes are 43 characters without padding; of the last one, two bits mean nothing and are zero.
            Method::S256 => URL_SAFE_NO_PAD.decode(text).is_ok_and(|hash| hash.len() == 32),
            Method::Plain => is_verifier(text),
        };
        match fits {
            true => Ok(Some(Challenge { method, text: text.to_owned() })),
            false => Err(Error::invalid_request("`code_challenge` does not have the form of its method")),
        }
    }

    /// How it was made.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The challenge that a client makes of this verifier; none where it is none.
    pub fn of(verifier: &str, method: Method) -> Option<Challenge> {
        is_verifier(verifier).then(|| Challenge { method, text: method.transform(verifier) })
    }

    fn is_of(&self, verifier: &str) -> bool {
        let made = self.method.transform(verifier);
        made.as_bytes().ct_eq(self.text.as_bytes()).into()
    }
}

/// A plain one is a secret.
impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({})", self.method.as_str())
    }
}

/// Whether a token request proves that the code is its client's (section 4.6). A verifier where no challenge was sent is refused as well:
/// the code may come from a request whose challenge was taken out (RFC 9700, section 4.8.2).
pub fn verify(challenge: Option<&Challenge>, verifier: Option<&str>) -> Result<(), Error> {
    let proved = match (challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => is_verifier(verifier) && challenge.is_of(verifier),
        (Some(_), None) | (None, Some(_)) => false,
    };
    match proved {
        true => Ok(()),
        false => Err(Error::new(ErrorCode::InvalidGrant, "The code verifier does not fit the code")),
    }
}

/// Section 4.1: 43 to 128 unreserved characters.
fn is_verifier(text: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn s256() -> Challenge {
        Challenge::read(Some(CHALLENGE), Some("S256"), false).expect("read").expect("a challenge")
    }

    #[track_caller]
    fn is(code: ErrorCode, outcome: Result<impl fmt::Debug, Error>) {
        assert_eq!(outcome.expect_err("refused").code, code);
    }

    #[test]
    fn rfc7636_4_6_a_verifier_proves_its_challenge_and_no_other() {
        assert_eq!(verify(Some(&s256()), Some(VERIFIER)), Ok(()));
        for wrong in [&VERIFIER.to_lowercase(), &VERIFIER.replace('-', "_"), CHALLENGE, &format!("{VERIFIER}=")] {
            is(ErrorCode::InvalidGrant, verify(Some(&s256()), Some(wrong)));
        }
    }

    /// D30: its length and alphabet count, also where its hash would fit.
    #[test]
    fn rfc7636_4_1_the_form_of_a_verifier() {
        for (verifier, good) in [
            ("a".repeat(42), false),
            ("a".repeat(43), true),
            ("-._~".repeat(32), true),
            ("a".repeat(129), false),
            ("a b".repeat(20), false),
            ("a+b/".repeat(20), false),
            ("é".repeat(30), false),
        ] {
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
            let challenge = Challenge::read(Some(&challenge), Some("S256"), false).expect("read");
            assert_eq!(verify(challenge.as_ref(), Some(&verifier)).is_ok(), good, "{verifier}");
        }
    }

    /// D30: S256 is base64url of 32 bytes, without padding.
    #[test]
    fn rfc7636_4_2_the_form_of_a_challenge() {
        let padded = format!("{CHALLENGE}=");
        let standard = CHALLENGE.replace('-', "+");
        // Bits that mean nothing are set: two texts would be one challenge.
        let loose = format!("{}N", &CHALLENGE[..42]);
        for wrong in ["", "short", padded.as_str(), &standard, &loose, &"a".repeat(44)] {
            is(ErrorCode::InvalidRequest, Challenge::read(Some(wrong), Some("S256"), true));
        }
    }

    /// D32: without a method it is plain, which is refused where it is not allowed.
    #[test]
    fn rfc7636_4_3_plain_only_where_it_is_allowed() {
        for method in [None, Some("plain")] {
            is(ErrorCode::InvalidRequest, Challenge::read(Some(VERIFIER), method, false));
            let challenge = Challenge::read(Some(VERIFIER), method, true).expect("read").expect("a challenge");
            assert_eq!(challenge.method(), Method::Plain);
            assert_eq!(verify(Some(&challenge), Some(VERIFIER)), Ok(()));
            is(ErrorCode::InvalidGrant, verify(Some(&challenge), Some(&"a".repeat(43))));
        }
        is(ErrorCode::InvalidRequest, Challenge::read(Some("short"), None, true));
        for method in ["s256", "S512", "PLAIN", ""] {
            is(ErrorCode::InvalidRequest, Challenge::read(Some(CHALLENGE), Some(method), true));
        }
        is(ErrorCode::InvalidRequest, Challenge::read(None, Some("S256"), true));
        assert_eq!(Challenge::read(None, None, true), Ok(None));
    }

    /// D33 and D34: both or neither.
    #[test]
    fn rfc9700_4_8_2_no_downgrade() {
        assert_eq!(verify(None, None), Ok(()));
        is(ErrorCode::InvalidGrant, verify(None, Some(VERIFIER)));
        is(ErrorCode::InvalidGrant, verify(Some(&s256()), None));
    }

    #[test]
    fn a_plain_challenge_is_not_shown() {
        let challenge = Challenge::read(Some(VERIFIER), None, true).expect("read");
        assert_eq!(format!("{challenge:?}"), "Some(Challenge(plain))");
        let kept = serde_json::to_string(&s256()).expect("json");
        assert_eq!(kept, format!(r#"{{"method":"S256","text":"{CHALLENGE}"}}"#));
    }
}
