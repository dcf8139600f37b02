//! Client identifiers and secrets that we generate, and the hash that is kept of a secret.
//!
//! Both use only `A-Z a-z 0-9 - . _ ~`, so that they are the same text with and without form encoding (RFC 6749,
//! section 2.3.1), in a shell and in a URL. 256 random bits need no slow hash: there is nothing to guess (RFC 6749,
//! section 10.10).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::id::ClientId;
use crate::secret::Secret;

/// What stands before the hash of a secret that we generated.
const SHA256: &str = "sha256:";

/// A client identifier from 16 random bytes: hexadecimal, which no command line takes for an option.
pub fn client_id(random: [u8; 16]) -> ClientId {
    ClientId::new(format!("{:032x}", u128::from_be_bytes(random)))
}

/// A client secret from 32 random bytes: `pcs_` (for secret scanners) and 43 characters of base64url.
pub fn client_secret(random: [u8; 32]) -> Secret {
    let mut text = String::with_capacity(47);
    text.push_str("pcs_");
    URL_SAFE_NO_PAD.encode_string(random, &mut text);
    Secret::new(text)
}

/// A client secret that signs (`client_secret_jwt`) from 48 random bytes: 64 characters of base64url after `pcs_`, since it must be as
/// long as the hash of any HMAC (RFC 7518, section 3.2).
pub fn signing_secret(random: [u8; 48]) -> Secret {
    let mut text = String::with_capacity(68);
    text.push_str("pcs_");
    URL_SAFE_NO_PAD.encode_string(random, &mut text);
    Secret::new(text)
}

/// A password for a person from 16 random bytes, who is to type it once perhaps: 22 characters of base64url.
pub fn password(random: [u8; 16]) -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(random))
}

/// The hash that is kept of a secret that we generated: `sha256:` and base64url. Not for secrets that a person chose.
pub fn hash_generated(secret: &Secret) -> String {
    format!("{SHA256}{}", URL_SAFE_NO_PAD.encode(Sha256::digest(secret.expose().as_bytes())))
}

/// Whether the secret is the one that was hashed, in a time that does not tell how much of it is right; `None` where
/// the hash is of another form.
pub fn verify_generated(hash: &str, secret: &Secret) -> Option<bool> {
    let mut kept = [0; 32];
    let length = URL_SAFE_NO_PAD.decode_slice(hash.strip_prefix(SHA256)?, &mut kept).ok()?;
    let given = Sha256::digest(secret.expose().as_bytes());
    Some(length == kept.len() && bool::from(kept.ct_eq(given.as_slice())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6749_2_3_1_what_we_generate_needs_no_encoding() {
        for seed in 0..=255 {
            let id = client_id([seed; 16]);
            let secret = client_secret([seed; 32]);
            let signing = signing_secret([seed; 48]);
            assert!(signing.expose().len() >= 64);
            for text in [id.as_str(), secret.expose(), signing.expose()] {
                assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)), "{text}");
                assert!(text.starts_with(|c: char| c.is_ascii_alphanumeric()), "{text}");
            }
            assert_eq!((id.as_str().len(), secret.expose().len()), (32, 47));
        }
    }

    #[test]
    fn rfc6749_10_10_every_random_bit_is_used() {
        for bit in 0..256 {
            let mut random = [0; 32];
            random[bit / 8] = 1 << (bit % 8);
            assert_ne!(client_secret(random), client_secret([0; 32]));
            if bit < 128 {
                assert_ne!(password(random[..16].try_into().expect("16")), password([0; 16]));
                assert_ne!(client_id(random[..16].try_into().expect("16")), client_id([0; 16]));
            }
        }
    }

    #[test]
    fn only_the_right_secret_verifies() {
        let (right, wrong) = (client_secret([1; 32]), client_secret([2; 32]));
        let hash = hash_generated(&right);
        assert!(hash.starts_with("sha256:") && !hash.contains(right.expose()));
        assert_eq!(verify_generated(&hash, &right), Some(true));
        assert_eq!(verify_generated(&hash, &wrong), Some(false));
        assert_eq!(verify_generated(&hash, &Secret::new(String::new())), Some(false));
        assert_eq!(verify_generated("sha256:AAAA", &right), Some(false));
        assert_eq!(verify_generated("sha256:", &right), Some(false));
        for other in ["$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA", "", "sha256:not base64!", right.expose()] {
            assert_eq!(verify_generated(other, &right), None, "{other}");
        }
    }
}
