//! Public keys as JSON (RFC 7517), and sets of them.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use serde_json::{Map, Value, json};

use super::{Algorithm, BASE64URL};

/// Keys of a set that are read at most: each costs a check of a signature where a token names none.
const MOST_KEYS: usize = 64;

/// A public key that checks signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    kid: Option<String>,
    /// The one algorithm that it is for, where it says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

/// What a key is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    /// A point, uncompressed.
    P256(Vec<u8>),
    /// A point, uncompressed.
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
    /// Modulus and exponent.
    Rsa(Vec<u8>, Vec<u8>),
}

impl Jwk {
    /// A key on P-256 from its uncompressed point.
    pub(super) fn p256(kid: &str, point: &[u8]) -> Jwk {
        Jwk::for_one(kid, Algorithm::Es256, Material::P256(point.to_vec()))
    }

    /// An Ed25519 key.
    pub(super) fn ed25519(kid: &str, bytes: &[u8]) -> Jwk {
        Jwk::for_one(kid, Algorithm::EdDsa, Material::Ed25519(bytes.to_vec()))
    }

    /// An RSA key for RS256.
    pub(super) fn rsa(kid: &str, modulus: &[u8], exponent: &[u8]) -> Jwk {
        Jwk::for_one(kid, Algorithm::Rs256, Material::Rsa(modulus.to_vec(), exponent.to_vec()))
    }

    fn for_one(kid: &str, algorithm: Algorithm, material: Material) -> Jwk {
        Jwk { kid: Some(kid.to_owned()), algorithm: Some(algorithm), material }
    }

    /// Reads a public key. The error says what is wrong, and nothing of the key.
    pub fn parse(json: &Value) -> Result<Jwk, &'static str> {
        let json = json.as_object().ok_or("a key is a JSON object")?;
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| json.contains_key(*name)) {
            return Err("the key is private or symmetric: only public keys belong here");
        }
        if text(json, "use")?.is_some_and(|use_| use_ != "sig") {
            return Err("the key is not for signatures (`use`)");
        }
        if json.get("key_ops").is_some_and(|ops| ops.as_array().is_none_or(|ops| !ops.contains(&json!("verify")))) {
            return Err("the key is not for checking signatures (`key_ops`)");
        }
        let algorithm = match text(json, "alg")? {
            None => None,
            Some(name) => {
                Some(Algorithm::parse(name).ok_or("the key is for an algorithm that is not supported (`alg`)")?)
            }
        };
        let material = Material::parse(json)?;
        let key = Jwk { kid: text(json, "kid")?.map(str::to_owned), algorithm, material };
        if algorithm.is_some_and(|algorithm| !key.material.is_for(algorithm)) {
            return Err("the key is of another type than its algorithm (`alg`, `kty`)");
        }
        Ok(key)
    }

    /// Its identifier within its set.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether it checks signatures of this algorithm: it is of that type, and says of itself that it is for no other.
    pub fn is_for(&self, algorithm: Algorithm) -> bool {
        self.material.is_for(algorithm) && self.algorithm.is_none_or(|own| own == algorithm)
    }

    /// Whether the signature is one of this key over these bytes.
    pub(super) fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        if !self.is_for(algorithm) {
            return false;
        }
        let checked = match (&self.material, algorithm) {
            (Material::P256(point), _) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature)
            }
            (Material::P384(point), _) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(signed, signature)
            }
            (Material::Ed25519(bytes), _) => UnparsedPublicKey::new(&ED25519, bytes).verify(signed, signature),
            (Material::Rsa(n, e), algorithm) => {
                let padding = match algorithm {
                    Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                    _ => &RSA_PKCS1_2048_8192_SHA256,
                };
                RsaPublicKeyComponents { n, e }.verify(padding, signed, signature)
            }
        };
        checked.is_ok()
    }

    /// As it is published: public members only, since there are no others here.
    pub fn to_json(&self) -> Value {
        let mut json = Map::new();
        let mut put = |name: &str, value: &str| json.insert(name.to_owned(), value.into());
        match &self.material {
            Material::P256(point) | Material::P384(point) => {
                let curve = if matches!(self.material, Material::P256(_)) { "P-256" } else { "P-384" };
                let (x, y) = point[1..].split_at(point.len() / 2);
                put("kty", "EC");
                put("crv", curve);
                put("x", &BASE64URL.encode(x));
                put("y", &BASE64URL.encode(y));
            }
            Material::Ed25519(bytes) => {
                put("kty", "OKP");
                put("crv", "Ed25519");
                put("x", &BASE64URL.encode(bytes));
            }
            Material::Rsa(n, e) => {
                put("kty", "RSA");
                put("n", &BASE64URL.encode(n));
                put("e", &BASE64URL.encode(e));
            }
        }
        put("use", "sig");
        if let Some(kid) = &self.kid {
            put("kid", kid);
        }
        if let Some(algorithm) = self.algorithm {
            put("alg", algorithm.as_str());
        }
        Value::Object(json)
    }
}

impl Material {
    fn parse(json: &Map<String, Value>) -> Result<Material, &'static str> {
        let coordinate = |name, length| bytes(json, name).filter(|bytes| bytes.len() == length);
        let material = match (text(json, "kty")?, text(json, "crv")?) {
            (Some("EC"), Some(curve @ ("P-256" | "P-384"))) => {
                let length = if curve == "P-256" { 32 } else { 48 };
                let (Some(x), Some(y)) = (coordinate("x", length), coordinate("y", length)) else {
                    return Err("a coordinate of the key is missing or malformed (`x`, `y`)");
                };
                let point = [&[4][..], &x, &y].concat();
                if length == 32 { Material::P256(point) } else { Material::P384(point) }
            }
            (Some("OKP"), Some("Ed25519")) => {
                Material::Ed25519(coordinate("x", 32).ok_or("the key itself is missing or malformed (`x`)")?)
            }
            (Some("RSA"), _) => {
                let (Some(n), Some(e)) = (bytes(json, "n"), bytes(json, "e")) else {
                    return Err("a part of the key is missing or malformed (`n`, `e`)");
                };
                if !(256..=1024).contains(&n.len()) {
                    return Err("an RSA key has 2048 to 8192 bits");
                }
                Material::Rsa(n, e)
            }
            _ => return Err("the key is of a type or on a curve that is not supported (`kty`, `crv`)"),
        };
        match material.is_sound() {
            true => Ok(material),
            false => Err("these numbers are no public key"),
        }
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        match self {
            Material::P256(_) => algorithm == Algorithm::Es256,
            Material::P384(_) => algorithm == Algorithm::Es384,
            Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
            Material::Rsa(..) => matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256),
        }
    }

    /// Whether it is a key at all: a point may be on no curve, a number may be even.
    fn is_sound(&self) -> bool {
        match self {
            Material::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).parse().is_ok(),
            Material::P384(point) => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).parse().is_ok(),
            Material::Ed25519(bytes) => UnparsedPublicKey::new(&ED25519, bytes).parse().is_ok(),
            Material::Rsa(n, e) => {
                let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
                odd(n) && odd(e) && e.as_slice() > &[1] && e.len() <= 4 && n[0] != 0 && e[0] != 0
            }
        }
    }
}

/// A member that is text, where it is there.
fn text<'a>(json: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, &'static str> {
    match json.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err("a member of the key that must be text is something else"),
    }
}

fn bytes(json: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    BASE64URL.decode(json.get(name)?.as_str()?).ok()
}

/// The keys of one issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet(Vec<Jwk>);

impl KeySet {
    /// These keys.
    pub fn new(keys: Vec<Jwk>) -> KeySet {
        KeySet(keys)
    }

    /// Reads a set, as others publish it: keys that we cannot use are passed over (RFC 7517, section 5).
    pub fn parse(json: &Value) -> Option<KeySet> {
        let keys = json.get("keys")?.as_array()?;
        Some(KeySet(keys.iter().filter_map(|key| Jwk::parse(key).ok()).take(MOST_KEYS).collect()))
    }

    /// Reads a set that somebody registers: each of its keys must be one that we can use, and only public.
    pub fn parse_strictly(json: &Value) -> Result<KeySet, &'static str> {
        let keys = json.get("keys").and_then(Value::as_array).ok_or("a key set is an object with a list `keys`")?;
        if keys.len() > MOST_KEYS {
            return Err("there are too many keys in the set");
        }
        keys.iter().map(Jwk::parse).collect::<Result<_, _>>().map(KeySet)
    }

    /// The keys in it.
    pub fn keys(&self) -> &[Jwk] {
        &self.0
    }

    /// The keys that may have made a signature of this algorithm: where the token names one, that one alone (RFC 8725, section 3.8; D94).
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Jwk> {
        let named = move |key: &&Jwk| kid.is_none_or(|kid| key.kid() == Some(kid));
        self.0.iter().filter(named).filter(move |key| key.is_for(algorithm))
    }

    /// As it is published (RFC 7517, section 5).
    pub fn to_json(&self) -> Value {
        json!({ "keys": self.0.iter().map(Jwk::to_json).collect::<Vec<_>>() })
    }
}
