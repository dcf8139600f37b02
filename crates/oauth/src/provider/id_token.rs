//! What a relying party believes of an ID token (OpenID Connect Core, section 3.1.3.7).

use super::Provider;
use crate::jose::{Algorithm, Claims, Jws, KeySet, Rejected, Times};
use crate::secret::Secret;

/// Seconds by which the provider's clock may differ.
const LEEWAY: u64 = 60;

/// Checks an ID token that came for the journey with this `nonce`. Who the user is stands in `sub`.
pub fn check(
    provider: &Provider,
    keys: &KeySet,
    token: &Secret,
    nonce: Option<&str>,
    now: u64,
) -> Result<Claims, Rejected> {
    let Some(issuer) = &provider.issuer else {
        return Err(Rejected::Claim("the provider has no `issuer` here, so nobody can say whose token it is"));
    };
    let claims = Jws::parse(token.expose())?.verify(keys, &Algorithm::PUBLIC)?;
    claims.check_issuer(issuer.as_str())?;
    let client_id = provider.client_id.as_str();
    claims.check_audience(&[client_id])?;
    // Steps 4 and 5: a token for several is for us where it says so.
    match claims.text("azp") {
        Some(azp) if azp != client_id => return Err(Rejected::Claim("the token was given to somebody else (`azp`)")),
        None if claims.audience()?.len() > 1 => {
            return Err(Rejected::Claim("the token is for several, and does not say whom it was given to (`azp`)"));
        }
        _ => {}
    }
    claims.check_times(Times { now, leeway: LEEWAY, longest: None })?;
    claims.time("iat")?.ok_or(Rejected::Claim("the token does not say when it was issued (`iat`)"))?;
    // Step 11: a token of another journey is no answer to this one.
    if nonce.is_some_and(|nonce| claims.text("nonce") != Some(nonce)) {
        return Err(Rejected::Claim("the token is of another log-in (`nonce`)"));
    }
    match claims.text("sub") {
        Some(subject) if !subject.is_empty() => Ok(claims),
        _ => Err(Rejected::Claim("the token does not say who the user is (`sub`)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_auth::Method;
    use crate::jose::PrivateKey;
    use crate::provider::example;
    use serde_json::{Value, json};

    #[test]
    fn openid_core_3_1_3_7_what_an_id_token_must_say() {
        let provider = example(Method::ClientSecretBasic, "gateway", "s");
        let key = PrivateKey::generate(Algorithm::Es256).unwrap();
        let other = PrivateKey::generate(Algorithm::Es256).unwrap();
        let keys = KeySet::new(vec![key.public("1")]);
        let good = json!({
            "iss": "https://login.example.com/tenant", "aud": "gateway", "sub": "alice", "nonce": "n", "iat": 1_000, "exp": 1_300,
        });
        let checked = |key: &PrivateKey, claims: &Value, nonce, now| {
            let token = Secret::new(key.sign("1", "JWT", claims).unwrap());
            check(&provider, &keys, &token, nonce, now).map(|claims| claims.text("sub").unwrap().to_owned())
        };
        assert_eq!(checked(&key, &good, Some("n"), 1_000), Ok("alice".into()));
        assert_eq!(checked(&key, &good, None, 1_359), Ok("alice".into()));
        assert_eq!(checked(&other, &good, Some("n"), 1_000), Err(Rejected::Signature));
        assert!(checked(&key, &good, Some("n"), 1_360).is_err(), "it has expired");
        assert!(checked(&key, &good, Some("N"), 1_000).is_err(), "another journey");
        for (name, value) in [
            ("iss", json!("https://login.example.com/tenant/")),
            ("iss", json!(null)),
            ("aud", json!("other")),
            ("aud", json!(["gateway", "other"])),
            ("aud", json!([])),
            ("azp", json!("other")),
            ("nonce", json!(null)),
            ("exp", json!(null)),
            ("iat", json!(null)),
            ("iat", json!(2_000)),
            ("sub", json!("")),
            ("sub", json!(7)),
        ] {
            let mut claims = good.clone();
            claims[name] = value.clone();
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            }
            assert!(checked(&key, &claims, Some("n"), 1_000).is_err(), "{name}: {value}");
        }
        let mut several = good.clone();
        several["aud"] = json!(["other", "gateway"]);
        several["azp"] = json!("gateway");
        assert!(checked(&key, &several, Some("n"), 1_000).is_ok());
        let mut unnamed = provider.clone();
        unnamed.issuer = None;
        let token = Secret::new(key.sign("1", "JWT", &good).unwrap());
        assert!(check(&unnamed, &keys, &token, Some("n"), 1_000).is_err());
    }
}
