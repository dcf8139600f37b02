//! The keys that sign.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Algorithm, BASE64URL, Jwk};

/// A private key, for one algorithm.
pub struct PrivateKey(Pair);

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

/// What the library refuses without saying why: memory, randomness, or a key that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoKey;

impl fmt::Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cryptographic library refuses")
    }
}

impl std::error::Error for NoKey {}

impl PrivateKey {
    /// A new key, from the library's own randomness. Of the algorithms that we sign with ([`Algorithm::SIGNING`]); RSA has 2048 bits, and
    /// takes a tenth of a second or more.
    pub fn generate(algorithm: Algorithm) -> Result<PrivateKey, NoKey> {
        let pair = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::Es256),
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Pair::EdDsa),
            Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048).map(Pair::Rs256),
            _ => return Err(NoKey),
        };
        pair.map(PrivateKey).map_err(|_| NoKey)
    }

    /// The key from its PKCS #8 form (RFC 5208).
    pub fn from_pkcs8(algorithm: Algorithm, bytes: &[u8]) -> Result<PrivateKey, NoKey> {
        let pair = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes).map(Pair::Es256),
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(bytes).map(Pair::EdDsa),
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(bytes).map(Pair::Rs256),
            _ => return Err(NoKey),
        };
        pair.map(PrivateKey).map_err(|_| NoKey)
    }

    /// Its PKCS #8 form: the secret itself, to be sealed.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, NoKey> {
        let bytes = match &self.0 {
            Pair::Es256(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Pair::EdDsa(pair) => pair.as_der().map(|der: Pkcs8V1Der<'_>| der.as_ref().to_vec()),
            Pair::Rs256(pair) => pair.as_der().map(|der: Pkcs8V1Der<'_>| der.as_ref().to_vec()),
        };
        bytes.map(Zeroizing::new).map_err(|_| NoKey)
    }

    /// What it signs by.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Pair::Es256(_) => Algorithm::Es256,
            Pair::EdDsa(_) => Algorithm::EdDsa,
            Pair::Rs256(_) => Algorithm::Rs256,
        }
    }

    /// Its public key, under this identifier.
    pub fn public(&self, kid: &str) -> Jwk {
        match &self.0 {
            Pair::Es256(pair) => Jwk::p256(kid, pair.public_key().as_ref()),
            Pair::EdDsa(pair) => Jwk::ed25519(kid, pair.public_key().as_ref()),
            Pair::Rs256(pair) => {
                let key = pair.public_key();
                Jwk::rsa(
                    kid,
                    key.modulus().big_endian_without_leading_zero(),
                    key.exponent().big_endian_without_leading_zero(),
                )
            }
        }
    }

    /// Signs claims: a compact token that names this key (RFC 7515, section 7.1), of this type.
    pub fn sign(&self, kid: &str, typ: &str, claims: &impl Serialize) -> Result<String, NoKey> {
        let header = json!({ "alg": self.algorithm().as_str(), "typ": typ, "kid": kid });
        let claims = serde_json::to_vec(claims).map_err(|_| NoKey)?;
        let mut token = BASE64URL.encode(header.to_string());
        token.push('.');
        BASE64URL.encode_string(claims, &mut token);
        let signature = self.signature(token.as_bytes())?;
        token.push('.');
        BASE64URL.encode_string(signature, &mut token);
        Ok(token)
    }

    pub(super) fn signature(&self, signed: &[u8]) -> Result<Vec<u8>, NoKey> {
        let made = match &self.0 {
            Pair::Es256(pair) => pair.sign(&SystemRandom::new(), signed).map(|made| made.as_ref().to_vec()),
            Pair::EdDsa(pair) => pair.try_sign(signed).map(|made| made.as_ref().to_vec()),
            Pair::Rs256(pair) => {
                let mut made = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed, &mut made).map(|()| made)
            }
        };
        made.map_err(|_| NoKey)
    }
}

/// It is a secret.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.algorithm())
    }
}
