//! OpenID Connect Core as the provider: what an ID token says, and what a client is told of a user.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256, Sha512};

use crate::id::ClientId;
use crate::jose::Algorithm;
use crate::metadata::Issuer;
use crate::scope::Scopes;

pub use crate::refresh::OPENID;

/// The type of an ID token. There is no other registered: RFC 7519, section 5.1.
pub const TYPE: &str = "JWT";

/// Which claims a scope stands for (section 5.4).
const CLAIMS: [(&str, &[&str]); 4] = [
    (
        "profile",
        &[
            "name",
            "family_name",
            "given_name",
            "middle_name",
            "nickname",
            "preferred_username",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
        ],
    ),
    ("email", &["email", "email_verified"]),
    ("address", &["address"]),
    ("phone", &["phone_number", "phone_number_verified"]),
];

/// What an ID token is made from (section 2).
#[derive(Clone, Debug)]
pub struct IdToken<'a> {
    /// Who issues it.
    pub issuer: &'a Issuer,
    /// Who logged in.
    pub subject: &'a str,
    /// The client that it is for.
    pub client: &'a ClientId,
    /// That of the authorization request, where it had one.
    pub nonce: Option<&'a str>,
    /// When the user proved who they are, Unix seconds, where that is known.
    pub authenticated_at: Option<u64>,
    /// How (RFC 8176).
    pub methods: &'a [String],
    /// The authentication context class that was reached.
    pub acr: Option<&'a str>,
    /// The access token beside it.
    pub access_token: &'a str,
    /// Further claims: of the user.
    pub more: Map<String, Value>,
    /// Unix seconds.
    pub issued_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
}

impl IdToken<'_> {
    /// Its claims, to be signed by this algorithm. What further claims say never stands over what we say. No `azp`: it is for extensions (section 2).
    pub fn claims(self, algorithm: Algorithm) -> Value {
        let mut claims = self.more;
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        put("iss", self.issuer.as_str().into());
        put("sub", self.subject.into());
        put("aud", self.client.as_str().into());
        put("iat", self.issued_at.into());
        put("exp", self.expires_at.into());
        put("at_hash", at_hash(self.access_token, algorithm).into());
        for (name, value) in [("nonce", self.nonce), ("acr", self.acr)] {
            if let Some(value) = value {
                put(name, value.into());
            }
        }
        if let Some(at) = self.authenticated_at {
            put("auth_time", at.into());
        }
        if !self.methods.is_empty() {
            put("amr", json!(self.methods));
        }
        Value::Object(claims)
    }
}

/// What binds an access token to the ID token beside it (section 3.1.3.6): the left half of a hash, the one that the algorithm of the ID
/// token uses; Ed25519 uses SHA-512.
fn at_hash(access_token: &str, algorithm: Algorithm) -> String {
    match algorithm {
        Algorithm::EdDsa => URL_SAFE_NO_PAD.encode(&Sha512::digest(access_token.as_bytes())[..32]),
        _ => URL_SAFE_NO_PAD.encode(&Sha256::digest(access_token.as_bytes())[..16]),
    }
}

/// What a client is told of a user with these scopes (section 5.4): of what is known, what the scopes stand for. Nothing of it is `sub`.
pub fn told(granted: &Scopes, known: &Map<String, Value>) -> Map<String, Value> {
    let names = CLAIMS.iter().filter(|(scope, _)| granted.contains(scope)).flat_map(|(_, names)| names.iter());
    let of = |name: &&str| Some(((*name).to_owned(), known.get(*name).filter(|value| !value.is_null())?.clone()));
    names.filter_map(of).collect()
}

/// Of what a client may be told, what it asked to stand in the ID token by name: the member `id_token` of the parameter `claims`
/// (section 5.5). Scopes decide what it may be told: nobody was asked about more.
pub fn told_in_id_token(asked: Option<&Value>, granted: &Scopes, known: &Map<String, Value>) -> Map<String, Value> {
    let Some(asked) = asked.and_then(|asked| asked.get("id_token")?.as_object()) else { return Map::new() };
    told(granted, known).into_iter().filter(|(name, _)| asked.contains_key(name)).collect()
}

/// The claims that clients may be told, for metadata; `acr` where log-ins are of classes.
pub fn claims_supported(acr: bool) -> impl Iterator<Item = &'static str> {
    let ours = ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "amr", "at_hash"];
    let acr = acr.then_some("acr");
    ours.into_iter().chain(acr).chain(CLAIMS.iter().flat_map(|(_, names)| names.iter().copied()))
}

/// `sub` with what the client is told: the answer of the UserInfo endpoint (section 5.3.2).
pub fn user_info(subject: &str, granted: &Scopes, known: &Map<String, Value>) -> Value {
    let mut claims = told(granted, known);
    claims.insert("sub".to_owned(), subject.into());
    Value::Object(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Scopes {
        Scopes::parse(text).expect(text)
    }

    fn known() -> Map<String, Value> {
        let known = json!({
            "name": "Ann Example", "given_name": "Ann", "email": "ann@example.com", "email_verified": true,
            "address": { "country": "NL" }, "phone_number": "+31 20 1234567", "birthdate": null,
            "salary": 1, "sub": "other", "iss": "https://evil.example",
        });
        known.as_object().expect("an object").clone()
    }

    fn token(change: impl FnOnce(&mut IdToken<'_>)) -> Value {
        let (issuer, client) = (Issuer::parse("https://login.example.com").expect("an issuer"), ClientId::new("app"));
        let methods = ["pwd".to_owned()];
        let mut token = IdToken {
            issuer: &issuer,
            subject: "ann",
            client: &client,
            nonce: Some("n-1"),
            authenticated_at: Some(900),
            methods: &methods,
            acr: None,
            access_token: "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
            more: Map::new(),
            issued_at: 1_000,
            expires_at: 1_300,
        };
        change(&mut token);
        token.claims(Algorithm::Es256)
    }

    #[test]
    fn openid_core_2_an_id_token() {
        assert_eq!(
            token(|_| {}),
            json!({
                "iss": "https://login.example.com", "sub": "ann", "aud": "app", "iat": 1_000, "exp": 1_300,
                "nonce": "n-1", "auth_time": 900, "amr": ["pwd"], "at_hash": "77QmUPtjPfzWtF2AnpK9RQ",
            })
        );
        let bare = token(|token| {
            (token.nonce, token.authenticated_at, token.methods, token.acr) = (None, None, &[], Some("silver"));
        });
        assert_eq!(bare["acr"], "silver");
        for name in ["nonce", "auth_time", "amr"] {
            assert_eq!(bare.get(name), None, "{name}");
        }
    }

    /// Section 3.1.3.6; the value for SHA-256 is that of the specification's own example (appendix A.3).
    #[test]
    fn openid_core_3_1_3_6_at_hash() {
        let access = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
            assert_eq!(at_hash(access, algorithm), "77QmUPtjPfzWtF2AnpK9RQ");
        }
        let long = at_hash(access, Algorithm::EdDsa);
        assert_eq!(URL_SAFE_NO_PAD.decode(&long).expect("base64url").len(), 32, "half of SHA-512");
    }

    /// What a user's record says never stands over who issued the token to whom.
    #[test]
    fn openid_core_2_claims_of_users_are_beside_ours() {
        let forged = token(|token| token.more = known());
        assert_eq!((&forged["sub"], &forged["iss"]), (&json!("ann"), &json!("https://login.example.com")));
    }

    #[test]
    fn openid_core_5_4_scopes_stand_for_claims() {
        for (granted, names) in [
            ("openid", &["sub"][..]),
            ("openid email", &["email", "email_verified", "sub"]),
            ("openid profile", &["given_name", "name", "sub"]),
            ("openid address phone", &["address", "phone_number", "sub"]),
            ("openid Email salary", &["sub"]),
        ] {
            let told = user_info("ann", &scopes(granted), &known());
            assert_eq!(told.as_object().expect("an object").keys().collect::<Vec<_>>(), names, "{granted}");
            assert_eq!(told["sub"], "ann");
        }
    }

    /// What is asked for by name is told where a scope covers it, and nothing else.
    #[test]
    fn openid_core_5_5_claims_by_name() {
        let asked = json!({ "id_token": { "email": { "essential": true }, "name": null, "salary": null, "sub": null }, "userinfo": {} });
        let told = |granted| told_in_id_token(Some(&asked), &scopes(granted), &known());
        assert_eq!(told("openid").len(), 0);
        assert_eq!(told("openid email").keys().collect::<Vec<_>>(), ["email"]);
        assert_eq!(told("openid email profile").keys().collect::<Vec<_>>(), ["email", "name"]);
        for none in [None, Some(json!({})), Some(json!({ "id_token": null })), Some(json!([]))] {
            assert_eq!(told_in_id_token(none.as_ref(), &scopes("email"), &known()).len(), 0);
        }
    }
}
