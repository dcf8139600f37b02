//! Access tokens that are signed (RFC 9068), and other issuers' plainer ones, as a resource server checks them.

use crate::jose::{Algorithm, Claims, Jws, KeySet, Rejected, Times};
use crate::scope::Scopes;

/// The type that says that a token is an access token (RFC 9068, section 2.1).
pub const TYPE: &str = "at+jwt";

/// What a token of RFC 9068 must have, section 2.2, beside what is checked anyway.
const REQUIRED: [&str; 4] = ["client_id", "iat", "jti", "sub"];

/// What a token must be like.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// Who issued it.
    pub issuer: &'a str,
    /// It is for one of these.
    pub audience: &'a [String],
    /// The algorithms that count.
    pub algorithms: &'a [Algorithm],
    /// Whether it may be one that does not follow RFC 9068: of the type `JWT`, or of none.
    pub plain: bool,
    /// Claims that must be there.
    pub required: &'a [String],
    /// How many seconds clocks may differ.
    pub leeway: u64,
}

/// A token that is good.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// Whom it stands for.
    pub subject: String,
    /// The client it was issued to, where it says so.
    pub client_id: Option<String>,
    /// What it grants.
    pub scope: Scopes,
    /// Its identifier.
    pub id: Option<String>,
    /// Unix seconds.
    pub issued_at: Option<u64>,
    /// Unix seconds.
    pub expires_at: u64,
    /// Whom it is for.
    pub audience: Vec<String>,
    /// All that it claims.
    pub claims: Claims,
}

/// Whether the token says, though nobody has proved it, that another issuer made it.
pub fn is_of_another(token: &str, issuer: &str) -> bool {
    let claimed = Jws::parse(token).ok().and_then(|token| token.unproved_text("iss"));
    claimed.is_some_and(|claimed| claimed != issuer)
}

/// Whether the token is good at `now`, Unix seconds (RFC 9068, section 4). [`Rejected::UnknownKey`] says that the issuer may have a newer
/// key.
pub fn check(token: &str, keys: &KeySet, expected: &Expected<'_>, now: u64) -> Result<Accepted, Rejected> {
    let token = Jws::parse(token)?;
    let is_plain = !token.has_type() || token.is_typed("JWT");
    let counts = token.is_typed(TYPE) || (expected.plain && is_plain);
    if !counts {
        return Err(Rejected::Malformed("the token is of another type (`typ`)"));
    }
    let claims = token.verify(keys, expected.algorithms)?;
    claims.check_issuer(expected.issuer)?;
    claims.check_audience(expected.audience)?;
    let expires_at = claims.check_times(Times { now, leeway: expected.leeway, longest: None })?;
    let required = REQUIRED.into_iter().filter(|_| !expected.plain);
    let mut required = required.chain(expected.required.iter().map(String::as_str));
    if required.any(|name| claims.all().get(name).is_none_or(serde_json::Value::is_null)) {
        return Err(Rejected::Claim("a claim is missing that the token must have"));
    }
    let text = |name| match claims.all().get(name) {
        None => Ok(None),
        Some(serde_json::Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Rejected::Claim("a claim of the token that must be text is something else")),
    };
    let client_id = match text("client_id")? {
        None if expected.plain => text("azp")?,
        client_id => client_id,
    };
    Ok(Accepted {
        subject: text("sub")?.ok_or(Rejected::Claim("the token has no subject (`sub`)"))?,
        client_id,
        scope: scope(&claims)?,
        id: text("jti")?,
        issued_at: claims.time("iat")?,
        expires_at,
        audience: claims.audience()?.into_iter().map(str::to_owned).collect(),
        claims,
    })
}

/// RFC 9068, section 2.2.3. Some issuers write a list, or call it `scp`.
fn scope(claims: &Claims) -> Result<Scopes, Rejected> {
    use serde_json::Value;
    const WRONG: Rejected = Rejected::Claim("the scopes of the token are malformed (`scope`)");
    let listed = match claims.all().get("scope").or_else(|| claims.all().get("scp")) {
        None => return Ok(Scopes::default()),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(names)) => {
            names.iter().map(|name| name.as_str().ok_or(WRONG)).collect::<Result<Vec<_>, _>>()?.join(" ")
        }
        Some(_) => return Err(WRONG),
    };
    Scopes::parse(&listed).ok_or(WRONG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::PrivateKey;
    use serde_json::{Value, json};

    const NOW: u64 = 1_000;

    fn good() -> Value {
        json!({
            "iss": "https://as.example", "aud": "https://api.example", "exp": 1_100, "iat": 990, "jti": "1",
            "sub": "anna", "client_id": "app", "scope": "a b", "tenant": "one",
        })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = good();
        match value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
            value => claims[name] = value,
        }
        claims
    }

    fn checked(typ: &str, claims: &Value, change: impl FnOnce(&mut Expected<'_>)) -> Result<Accepted, Rejected> {
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let token = key.sign("k", typ, claims).expect("signed");
        let audience = ["https://other.example".to_owned(), "https://api.example".to_owned()];
        let mut expected = Expected {
            issuer: "https://as.example",
            audience: &audience,
            algorithms: &[Algorithm::Es256],
            plain: false,
            required: &[],
            leeway: 10,
        };
        change(&mut expected);
        check(&token, &KeySet::new(vec![key.public("k")]), &expected, NOW)
    }

    #[test]
    fn rfc9068_4_a_good_token() {
        let accepted = checked(TYPE, &good(), |_| {}).expect("good");
        assert_eq!((accepted.subject.as_str(), accepted.client_id.as_deref()), ("anna", Some("app")));
        assert_eq!(
            (accepted.scope.to_string(), accepted.expires_at, accepted.issued_at),
            ("a b".into(), 1_100, Some(990))
        );
        assert_eq!(accepted.audience, ["https://api.example"]);
        assert_eq!(accepted.claims.text("tenant"), Some("one"));
    }

    /// D53: the type is required, unless plainer tokens are taken; a token for something else never is.
    #[test]
    fn rfc9068_4_the_type() {
        for (typ, strict, plain) in [
            ("at+jwt", true, true),
            ("application/at+jwt", true, true),
            ("JWT", false, true),
            ("client-authentication+jwt", false, false),
            ("dpop+jwt", false, false),
        ] {
            assert_eq!(checked(typ, &good(), |_| {}).is_ok(), strict, "{typ}");
            assert_eq!(checked(typ, &good(), |expected| expected.plain = true).is_ok(), plain, "{typ}");
        }
    }

    /// D54: all that RFC 9068 requires is there.
    #[test]
    fn rfc9068_2_2_required_claims() {
        for name in ["iss", "aud", "exp", "iat", "jti", "sub", "client_id"] {
            assert!(matches!(checked(TYPE, &with(name, Value::Null), |_| {}), Err(Rejected::Claim(_))), "{name}");
        }
        let plain = |claims: &Value| checked("JWT", claims, |expected| expected.plain = true).is_ok();
        for (name, without) in [
            ("iat", true),
            ("jti", true),
            ("client_id", true),
            ("iss", false),
            ("aud", false),
            ("exp", false),
            ("sub", false),
        ] {
            assert_eq!(plain(&with(name, Value::Null)), without, "{name}");
        }
        let needs = |claims: &Value| {
            let required = ["tenant".to_owned()];
            let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
            let token = key.sign("k", TYPE, claims).expect("signed");
            let expected = Expected {
                issuer: "https://as.example",
                audience: &["https://api.example".to_owned()],
                algorithms: &[Algorithm::Es256],
                plain: false,
                required: &required,
                leeway: 0,
            };
            check(&token, &KeySet::new(vec![key.public("k")]), &expected, NOW).is_ok()
        };
        assert!(needs(&good()) && !needs(&with("tenant", Value::Null)));
        let mut null = good();
        null["tenant"] = Value::Null;
        assert!(!needs(&null));
    }

    /// D48, D55: for somebody else, of somebody else, of another time.
    #[test]
    fn rfc9068_4_what_is_not_for_us() {
        for (name, value, good) in [
            ("aud", json!(["x", "https://api.example"]), true),
            ("aud", json!("https://api.example/"), false),
            ("iss", json!("https://as.example/"), false),
            ("exp", json!(991), true),
            ("exp", json!(990), false),
            ("nbf", json!(1_011), false),
            ("iat", json!(1_011), false),
            ("sub", json!(1), false),
            ("client_id", json!(["app"]), false),
            ("scope", json!(["a", "b"]), true),
            ("scope", json!(1), false),
            ("scope", json!(["a", 1]), false),
            ("scope", json!("a \" b"), false),
        ] {
            assert_eq!(checked(TYPE, &with(name, value.clone()), |_| {}).is_ok(), good, "{name} {value}");
        }
        assert_eq!(
            checked(TYPE, &good(), |expected| expected.algorithms = &[Algorithm::EdDsa]),
            Err(Rejected::Algorithm)
        );
    }

    #[test]
    fn another_issuers_token_is_told_from_a_bad_one() {
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let token = key.sign("k", TYPE, &good()).expect("signed");
        assert!(is_of_another(&token, "https://other.example") && !is_of_another(&token, "https://as.example"));
        assert!(!is_of_another("pca_opaque", "https://as.example"));
    }
}
