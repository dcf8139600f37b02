//! Client assertions (RFC 7521, section 4.2; RFC 7523, sections 2.2 and 3; RFC 10070): a client proves who it is by a token that it
//! signed itself, for us and for once.

use crate::error::Error;
use crate::id::ClientId;
use crate::jose::{Algorithm, Claims, Jws, KeySet, Rejected, Times};
use crate::metadata::Issuer;
use crate::secret::Secret;

/// `client_assertion_type` of a JWT.
pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The type that an assertion may state (RFC 10070).
const TYPED: &str = "client-authentication+jwt";
/// How far away its expiry may be, seconds: longer, and it would have to be remembered for longer.
const LONGEST: u64 = 300;
/// How many seconds clocks may differ.
const LEEWAY: u64 = 10;
/// No `jti` is longer.
const LONGEST_ID: usize = 1024;

/// What makes an assertion one that was not used before: the caller must see to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// Its identifier, among those of the client.
    pub id: String,
    /// Unix seconds; nobody takes it from then on.
    pub until: u64,
}

/// The client that an assertion says it is from, though nobody has proved it.
pub fn claimed_client(assertion: &Jws<'_>) -> Option<ClientId> {
    assertion.unproved_text("sub").map(ClientId::new)
}

/// Whether it is proved by a secret (`client_secret_jwt`) and not by a key (`private_key_jwt`).
pub fn is_by_secret(assertion: &Jws<'_>) -> bool {
    assertion.algorithm().is_by_secret()
}

/// What a client's assertion is held against: never both.
#[derive(Clone, Copy, Debug)]
pub enum Against<'a> {
    /// The public keys that it registered (`private_key_jwt`).
    Keys(&'a KeySet),
    /// The secrets that it shares with us (`client_secret_jwt`).
    Secrets(&'a [Secret]),
}

/// Whether an assertion proves its client against these keys or secrets, its own, with one of these algorithms.
pub fn prove(
    assertion: &str,
    against: Against<'_>,
    pinned: &[Algorithm],
    client: &ClientId,
    issuer: &Issuer,
    now: u64,
) -> Result<Once, Rejected> {
    let assertion = Jws::parse(assertion)?;
    check_type(&assertion)?;
    let claims = match against {
        Against::Secrets(secrets) => assertion.verify_by_secret(secrets, pinned)?,
        Against::Keys(keys) => match assertion.clone().verify(keys, pinned) {
            Err(Rejected::UnknownKey) => {
                assertion.verify_in_vain();
                return Err(Rejected::UnknownKey);
            }
            proved => proved?,
        },
    };
    check(&claims, client, issuer, now)
}

/// Whether an assertion may be of this type: it says that it is one, or nothing in particular (D75). One that is for something else, an
/// access token say, is none (RFC 8725, section 3.11).
fn check_type(assertion: &Jws<'_>) -> Result<(), Rejected> {
    match !assertion.has_type() || assertion.is_typed(TYPED) || assertion.is_typed("JWT") {
        true => Ok(()),
        false => Err(Rejected::Malformed("the assertion is a token of another type (`typ`)")),
    }
}

/// Checks what a proved assertion claims (D73, D74): it is from this client and about it, for us alone by our issuer's name, and expires
/// soon. The URL of an endpoint is not our name: whoever could make a client send its assertion there could use it here.
fn check(claims: &Claims, client: &ClientId, issuer: &Issuer, now: u64) -> Result<Once, Rejected> {
    let is_client = |name| claims.text(name) == Some(client.as_str());
    if !is_client("iss") || !is_client("sub") {
        return Err(Rejected::Claim("`iss` and `sub` of the assertion are not the client's identifier"));
    }
    if claims.audience()? != [issuer.as_str()] {
        return Err(Rejected::Claim("`aud` of the assertion is not the issuer of this server, and that alone"));
    }
    let expires_at = claims.check_times(Times { now, leeway: LEEWAY, longest: Some(LONGEST) })?;
    match claims.text("jti") {
        Some(id) if !id.is_empty() && id.len() <= LONGEST_ID => {
            Ok(Once { id: id.to_owned(), until: expires_at.saturating_add(LEEWAY) })
        }
        _ => Err(Rejected::Claim("the assertion has no identifier (`jti`), or one that is too long")),
    }
}

/// The error for a client whose assertion is not believed.
pub fn refused(why: Rejected) -> Error {
    // What is wrong with the keys or the signature is told to nobody: it would say which clients there are.
    match why {
        Rejected::Malformed(_) => Error::new(crate::ErrorCode::InvalidClient, "The client assertion is malformed"),
        _ => Error::invalid_client(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::PrivateKey;
    use serde_json::{Value, json};
    use std::slice::from_ref;

    const NOW: u64 = 1_000;

    fn issuer() -> Issuer {
        Issuer::parse("https://login.example.com").expect("an issuer")
    }

    fn good() -> Value {
        json!({ "iss": "app", "sub": "app", "aud": "https://login.example.com", "exp": NOW + 60, "jti": "1" })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = good();
        match value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
            value => claims[name] = value,
        }
        claims
    }

    fn proved(claims: &Value) -> Claims {
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let token = key.sign("k", TYPED, claims).expect("signed");
        let keys = KeySet::new(vec![key.public("k")]);
        Jws::parse(&token).and_then(|jws| jws.verify(&keys, &[Algorithm::Es256])).expect("proved")
    }

    fn checked(claims: Value) -> Result<Once, Rejected> {
        check(&proved(&claims), &ClientId::new("app"), &issuer(), NOW)
    }

    #[test]
    fn rfc7523_3_an_assertion_proves_its_client() {
        assert_eq!(checked(good()), Ok(Once { id: "1".into(), until: NOW + 70 }));
    }

    /// D73: the issuer's identifier and nothing else: not the endpoint's URL, not one of several.
    #[test]
    fn rfc10070_the_audience_is_the_issuer_alone() {
        assert!(checked(with("aud", json!(["https://login.example.com"]))).is_ok());
        for aud in [
            json!("https://login.example.com/"),
            json!("https://login.example.com/api/oauth/token"),
            json!(["https://login.example.com", "https://other.example.com"]),
            json!(["https://login.example.com", "https://login.example.com/api/oauth/token"]),
            json!(["https://login.example.com", "https://login.example.com"]),
            json!([]),
            json!("https://other.example.com"),
            json!(1),
            Value::Null,
        ] {
            assert!(matches!(checked(with("aud", aud.clone())), Err(Rejected::Claim(_))), "{aud}");
        }
    }

    /// D74: iss = sub = client_id.
    #[test]
    fn rfc7523_3_issuer_and_subject_are_the_client() {
        for (name, value) in [
            ("iss", json!("other")),
            ("sub", json!("other")),
            ("iss", Value::Null),
            ("sub", Value::Null),
            ("sub", json!(["app"])),
        ] {
            assert!(checked(with(name, value.clone())).is_err(), "{name} {value}");
        }
    }

    /// D74: exp is required and soon; jti is required.
    #[test]
    fn rfc7523_3_it_expires_soon_and_has_an_identifier() {
        for (name, value, good) in [
            ("exp", json!(NOW + 310), true),
            ("exp", json!(NOW + 311), false),
            ("exp", json!(NOW - 9), true),
            ("exp", json!(NOW - 10), false),
            ("exp", Value::Null, false),
            ("nbf", json!(NOW + 10), true),
            ("nbf", json!(NOW + 11), false),
            ("iat", json!(NOW + 11), false),
            ("jti", Value::Null, false),
            ("jti", json!(""), false),
            ("jti", json!(1), false),
            ("jti", json!("x".repeat(1025)), false),
        ] {
            assert_eq!(checked(with(name, value.clone())).is_ok(), good, "{name} {value}");
        }
    }

    #[test]
    fn rfc7523_2_2_only_a_registered_key_proves() {
        let (key, other) = (
            PrivateKey::generate(Algorithm::Es256).expect("a key"),
            PrivateKey::generate(Algorithm::EdDsa).expect("a key"),
        );
        let by = |key: &PrivateKey, typ| key.sign("k", typ, &good()).expect("signed");
        let proved = |token: &str, keys: &[&PrivateKey], pinned: &[Algorithm]| {
            let keys = KeySet::new(keys.iter().map(|key| key.public("k")).collect());
            prove(token, Against::Keys(&keys), pinned, &ClientId::new("app"), &issuer(), NOW).map(drop)
        };
        let all = &Algorithm::PUBLIC[..];
        assert_eq!(proved(&by(&key, TYPED), &[&key], all), Ok(()));
        assert_eq!(proved(&by(&key, TYPED), &[&other, &key], all), Ok(()));
        assert_eq!(proved(&by(&key, TYPED), &[], all), Err(Rejected::UnknownKey));
        assert_eq!(proved(&by(&other, TYPED), &[&key], all), Err(Rejected::UnknownKey));
        assert_eq!(proved(&by(&key, TYPED), &[&key], &[Algorithm::EdDsa]), Err(Rejected::Algorithm));
        assert!(matches!(proved(&by(&key, "at+jwt"), &[&key], all), Err(Rejected::Malformed(_))));
        let another = PrivateKey::generate(Algorithm::Es256).expect("a key");
        assert_eq!(proved(&by(&another, TYPED), &[&key], all), Err(Rejected::Signature));
    }

    fn by_secret(secret: &str, alg: &str, typ: &str) -> String {
        use aws_lc_rs::hmac;
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let encode = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", encode(json!({ "alg": alg, "typ": typ })), encode(good()));
        let hash = match alg {
            "HS384" => hmac::HMAC_SHA384,
            "HS512" => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        let made = hmac::sign(&hmac::Key::new(hash, secret.as_bytes()), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(made))
    }

    #[test]
    fn rfc7523_2_2_only_the_clients_secret_proves() {
        let (right, wrong) = ("r".repeat(64), Secret::new("w".repeat(64)));
        let proved = |token: &str, secrets: &[Secret], pinned: &[Algorithm]| {
            prove(token, Against::Secrets(secrets), pinned, &ClientId::new("app"), &issuer(), NOW).map(drop)
        };
        let all = &Algorithm::SECRET[..];
        for alg in ["HS256", "HS384", "HS512"] {
            let token = by_secret(&right, alg, TYPED);
            let own = Secret::new(right.clone());
            assert_eq!(proved(&token, &[wrong.clone(), own.clone()], all), Ok(()), "{alg}");
            assert_eq!(proved(&token, from_ref(&wrong), all), Err(Rejected::Signature), "{alg}");
            assert_eq!(proved(&token, &[], all), Err(Rejected::Signature), "{alg}");
            assert_eq!(proved(&token, from_ref(&own), &Algorithm::PUBLIC), Err(Rejected::Algorithm), "{alg}");
            assert!(matches!(
                proved(&by_secret(&right, alg, "at+jwt"), from_ref(&own), all),
                Err(Rejected::Malformed(_))
            ));
            // What a secret signed proves nobody who has keys, and the other way round.
            let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
            let keys = KeySet::new(vec![key.public("k")]);
            let both = Algorithm::ALL;
            let app = ClientId::new("app");
            let by_keys = prove(&token, Against::Keys(&keys), &both, &app, &issuer(), NOW);
            assert_eq!(by_keys, Err(Rejected::Algorithm), "{alg}");
            let signed = key.sign("k", TYPED, &good()).expect("signed");
            assert_eq!(proved(&signed, &[own], &both), Err(Rejected::Algorithm), "{alg}");
        }
    }

    /// D75: the type of its own is accepted, absence tolerated; a token that is for something else is none.
    #[test]
    fn rfc10070_its_type() {
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        for (typ, is) in [
            ("client-authentication+jwt", true),
            ("application/Client-Authentication+JWT", true),
            ("JWT", true),
            ("at+jwt", false),
            ("dpop+jwt", false),
            ("", false),
        ] {
            let token = key.sign("k", typ, &good()).expect("signed");
            assert_eq!(check_type(&Jws::parse(&token).expect("a token")).is_ok(), is, "{typ}");
        }
        // {"alg":"ES256"}
        let untyped = Jws::parse("eyJhbGciOiJFUzI1NiJ9.e30.AA").expect("a token");
        assert!(check_type(&untyped).is_ok());
    }
}
