//! JOSE: signed JSON (RFC 7515), keys (RFC 7517, 7518, 8037) and tokens made of them (RFC 7519), by the rules of RFC 8725.
//!
//! What a token says of itself chooses nothing: whoever reads it says which algorithms count and which keys are the issuer's. Its header
//! may only pick one of these keys, and only for the algorithm that the key is for. What would bring a key along (`jku`, `jwk`, `x5u`,
//! `x5c`) is not read at all.
//!
//! `aws-lc-rs` does the cryptography. It draws what ECDSA and RSA need of randomness by itself; nothing else here is random.

mod algorithm;
mod claims;
mod jwk;
mod jws;
mod nobody;
mod private_key;

pub use algorithm::Algorithm;
pub use claims::{Claims, Times};
pub use jwk::{Jwk, KeySet};
pub use jws::{Jws, Rejected};
pub use private_key::{NoKey, PrivateKey};

#[cfg(test)]
mod tests;

use base64::engine::general_purpose::{GeneralPurpose, URL_SAFE_NO_PAD};

/// RFC 7515, section 2: without padding; what could be written in two ways is refused.
const BASE64URL: GeneralPurpose = URL_SAFE_NO_PAD;
