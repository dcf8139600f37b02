//! Compact signed tokens (RFC 7515, section 7.1), read in the order in which they can be trusted: the form, then the signature, and only
//! then what was signed.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Algorithm, BASE64URL, Claims, Jwk, KeySet};
use crate::secret::Secret;

/// No token is longer: what is, is refused before it is read.
const LONGEST: usize = 16 * 1024;

/// A secret of nobody's.
const NOBODY: [u8; 64] = [0; 64];

/// A token whose signature nobody has checked yet. What it claims can be had only by proving it.
#[derive(Clone)]
pub struct Jws<'a> {
    header: Header,
    algorithm: Algorithm,
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// What is read of a header; the rest is ignored. One of these named twice is malformed.
#[derive(Clone, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It is no signed token, or says something that must be understood and is not.
    Malformed(&'static str),
    /// It is signed in a way that does not count here.
    Algorithm,
    /// None of the keys is the one it names, or is for its algorithm. The issuer may have a new one.
    UnknownKey,
    /// The signature is wrong.
    Signature,
    /// What it claims is not what it must be.
    Claim(&'static str),
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rejected::Malformed(why) | Rejected::Claim(why) => why,
            Rejected::Algorithm => "the token is signed by an algorithm that does not count here",
            Rejected::UnknownKey => "no key of the issuer is the one that signed the token",
            Rejected::Signature => "the signature of the token is wrong",
        })
    }
}

impl<'a> Jws<'a> {
    /// Takes a token apart. `alg` is one that we know, or it is refused: `none` is not.
    pub fn parse(token: &'a str) -> Result<Jws<'a>, Rejected> {
        const FORM: Rejected = Rejected::Malformed("this is no signed token: three parts in base64url, parted by dots");
        if token.len() > LONGEST {
            return Err(Rejected::Malformed("the token is too long"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(FORM)?;
        let (header, payload) = signed.split_once('.').ok_or(FORM)?;
        let decode = |part: &str| BASE64URL.decode(part).map_err(|_| FORM);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let header: Header =
            serde_json::from_slice(&header).map_err(|_| Rejected::Malformed("the header of the token is malformed"))?;
        // RFC 7515, section 4.1.11: what is critical must be understood, and we know no extension (D56).
        if header.crit.is_some() {
            return Err(Rejected::Malformed("the token needs an extension that is not known (`crit`)"));
        }
        let algorithm = Algorithm::parse(&header.alg).ok_or(Rejected::Algorithm)?;
        Ok(Jws { header, algorithm, signed, payload, signature })
    }

    /// The algorithm that it names: it counts only where whoever reads it has pinned it.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key that it names.
    pub fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Whether its type is this one: a media type without `application/`, in any case (RFC 7515, section 4.1.9).
    pub fn is_typed(&self, wanted: &str) -> bool {
        self.header.typ.as_deref().is_some_and(|typ| {
            let short = match typ.split_at_checked(12) {
                Some((head, rest)) if head.eq_ignore_ascii_case("application/") && !rest.contains('/') => rest,
                _ => typ,
            };
            short.eq_ignore_ascii_case(wanted)
        })
    }

    /// Whether it says of what type it is.
    pub fn has_type(&self) -> bool {
        self.header.typ.is_some()
    }

    /// What it claims, though nobody has proved it: to find out whose keys would.
    pub fn unproved_text(&self, claim: &str) -> Option<String> {
        let claims: Map<String, Value> = serde_json::from_slice(&self.payload).ok()?;
        claims.get(claim)?.as_str().map(str::to_owned)
    }

    /// Proves it by one of the issuer's public keys. Only pinned algorithms count (RFC 8725, section 3.1), and of a key only that which
    /// it is for: a public key is never taken for a secret (D56).
    pub fn verify(self, keys: &KeySet, pinned: &[Algorithm]) -> Result<Claims, Rejected> {
        if !pinned.contains(&self.algorithm) || self.algorithm.is_by_secret() {
            return Err(Rejected::Algorithm);
        }
        let right = |key: &Jwk| key.verify(self.algorithm, self.signed.as_bytes(), &self.signature);
        let mut tried = keys.candidates(self.kid(), self.algorithm).map(right).peekable();
        if tried.peek().is_none() {
            return Err(Rejected::UnknownKey);
        }
        match tried.any(|right| right) {
            true => claims(&self.payload),
            false => Err(Rejected::Signature),
        }
    }

    /// Does the work of a check that comes to nothing: who is unknown is refused in the same time as who is known.
    pub fn verify_in_vain(&self) {
        for key in super::nobody::NOBODY.candidates(None, self.algorithm) {
            key.verify(self.algorithm, self.signed.as_bytes(), &self.signature);
        }
    }

    /// Proves it by one of the secrets that the two parties share (HMAC), in a time that does not tell how much of it is right. A secret
    /// that is shorter than the hash counts for nothing (RFC 7518, section 3.2): it could be found by trying, away from here.
    pub fn verify_by_secret(self, secrets: &[Secret], pinned: &[Algorithm]) -> Result<Claims, Rejected> {
        let hash = match self.algorithm {
            algorithm if !pinned.contains(&algorithm) => return Err(Rejected::Algorithm),
            Algorithm::Hs256 => hmac::HMAC_SHA256,
            Algorithm::Hs384 => hmac::HMAC_SHA384,
            Algorithm::Hs512 => hmac::HMAC_SHA512,
            _ => return Err(Rejected::Algorithm),
        };
        let right = |secret: &[u8]| {
            hmac::verify(&hmac::Key::new(hash, secret), self.signed.as_bytes(), &self.signature).is_ok()
        };
        let own = secrets.iter().map(|secret| secret.expose().as_bytes());
        let mut tried: Vec<(&[u8], bool)> =
            own.map(|secret| (secret, secret.len() >= hash.digest_algorithm().output_len())).collect();
        if tried.is_empty() {
            // Who has no secret is refused after the same work.
            tried.push((&NOBODY, false));
        }
        match tried.into_iter().fold(false, |proved, (secret, counts)| proved | (right(secret) & counts)) {
            true => claims(&self.payload),
            false => Err(Rejected::Signature),
        }
    }
}

fn claims(payload: &[u8]) -> Result<Claims, Rejected> {
    let claims = serde_json::from_slice(payload);
    claims.map(Claims::new).map_err(|_| Rejected::Malformed("the claims of the token are no JSON object"))
}

/// What would be believed is not shown before it is proved.
impl fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jws({}, kid {:?})", self.algorithm, self.header.kid)
    }
}
