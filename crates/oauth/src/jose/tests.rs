use base64::Engine;
use serde_json::{Value, json};

use super::nobody::{NOBODY, ec, ed, p384, rsa};
use super::{Algorithm, BASE64URL, Claims, Jwk, Jws, KeySet, PrivateKey, Rejected, Times};
use crate::secret::Secret;

/// The examples of RFC 7515, appendices A.2 and A.3, and of RFC 8037, appendix A.4; their keys are in `nobody`.
const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const RSA_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdb\
     F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC\
     -eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const EC_SIGNATURE: &str = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const ED_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
     hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn token(header: &Value, payload: &str, signature: &str) -> String {
    format!("{}.{payload}.{signature}", BASE64URL.encode(header.to_string()))
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(&json!({ "keys": keys })).expect("a set")
}

fn with(mut json: Value, name: &str, value: impl Into<Value>) -> Value {
    json[name] = value.into();
    json
}

fn verified(token: &str, keys: &KeySet, pinned: &[Algorithm]) -> Result<Claims, Rejected> {
    Jws::parse(token)?.verify(keys, pinned)
}

/// A key of each algorithm that we sign with. RSA takes its time: once for all tests.
fn key(algorithm: Algorithm) -> PrivateKey {
    static RSA: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    match algorithm {
        Algorithm::Rs256 => {
            let made =
                || PrivateKey::generate(Algorithm::Rs256).and_then(|key| key.to_pkcs8()).expect("a key").to_vec();
            PrivateKey::from_pkcs8(algorithm, RSA.get_or_init(made)).expect("its form")
        }
        other => PrivateKey::generate(other).expect("a key"),
    }
}

#[test]
fn rfc7515_a_2_and_a_3_the_examples_are_verified() {
    let (rs, es) =
        (token(&json!({"alg": "RS256"}), CLAIMS, RSA_SIGNATURE), token(&json!({"alg": "ES256"}), CLAIMS, EC_SIGNATURE));
    let keys = set(&[rsa(), ec(), ed()]);
    for token in [rs, es] {
        let claims = verified(&token, &keys, &Algorithm::PUBLIC).expect(&token);
        assert_eq!((claims.text("iss"), claims.time("exp")), (Some("joe"), Ok(Some(1_300_819_380))));
    }
}

#[test]
fn rfc8037_a_4_the_example_is_verified() {
    // What it signs is no JSON: that is looked at only once the signature is right.
    let no_claims = Rejected::Malformed("the claims of the token are no JSON object");
    assert_eq!(verified(ED_TOKEN, &set(&[ed()]), &[Algorithm::EdDsa]), Err(no_claims));
    let other = ED_TOKEN.replace("RXhh", "RXhi");
    assert_eq!(verified(&other, &set(&[ed()]), &[Algorithm::EdDsa]), Err(Rejected::Signature));
}

#[test]
fn rfc7515_7_1_what_is_signed_is_verified_and_nothing_else() {
    for algorithm in Algorithm::SIGNING {
        let (key, other) = (key(algorithm), PrivateKey::generate(Algorithm::Es256).expect("a key"));
        let token = key.sign("k1", "JWT", &json!({ "iss": "a", "n": 1 })).expect("signed");
        let keys = KeySet::new(vec![key.public("k1"), other.public("k2")]);
        let claims = verified(&token, &keys, &[algorithm]).expect("verified");
        assert_eq!(Value::Object(claims.all().clone()), json!({ "iss": "a", "n": 1 }));

        let parsed = Jws::parse(&token).expect("a token");
        assert_eq!((parsed.algorithm(), parsed.kid()), (algorithm, Some("k1")));

        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(verified(&changed, &keys, &Algorithm::PUBLIC).is_err(), "{algorithm}, character {at}: {changed}");
        }
    }
}

#[test]
fn rfc5208_a_key_survives_its_form() {
    for algorithm in Algorithm::SIGNING {
        let made = key(algorithm);
        let bytes = made.to_pkcs8().expect("bytes");
        let read = PrivateKey::from_pkcs8(algorithm, &bytes).expect("the same key");
        assert_eq!(read.public("k"), made.public("k"));
        assert_eq!(format!("{read:?}"), format!("PrivateKey({algorithm})"));
        let others = Algorithm::ALL.into_iter().filter(|other| *other != algorithm);
        assert!(others.into_iter().all(|other| PrivateKey::from_pkcs8(other, &bytes).is_err()), "{algorithm}");
    }
    for algorithm in [Algorithm::Hs256, Algorithm::Hs512, Algorithm::Es384, Algorithm::Ps256] {
        assert!(PrivateKey::generate(algorithm).is_err(), "{algorithm}");
    }
}

/// D56: `none` is no algorithm, however it is written.
#[test]
fn rfc8725_3_2_none_is_refused() {
    for alg in ["none", "None", "NONE", "nOnE", "", "HS1", "hs256", "es256", "ES256K"] {
        for signature in ["", EC_SIGNATURE] {
            let token = token(&json!({ "alg": alg }), CLAIMS, signature);
            assert_eq!(Jws::parse(&token).map(drop), Err(Rejected::Algorithm), "{alg}");
        }
    }
    for header in [json!({}), json!({ "alg": 1 }), json!({ "alg": null }), json!([]), json!("ES256")] {
        assert!(matches!(Jws::parse(&token(&header, CLAIMS, "")), Err(Rejected::Malformed(_))), "{header}");
    }
}

/// D56: a public key is no secret, whatever the header says.
#[test]
fn rfc8725_3_1_no_confusion_of_keys_and_secrets() {
    use aws_lc_rs::hmac;
    let n = BASE64URL.decode(rsa()["n"].as_str().expect("text")).expect("base64");
    for secret in [&n[..], rsa()["n"].to_string().as_bytes(), rsa().to_string().as_bytes(), b""] {
        let signed = format!("{}.{CLAIMS}", BASE64URL.encode(r#"{"alg":"HS256"}"#));
        let made = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        let forged = format!("{signed}.{}", BASE64URL.encode(made));
        for pinned in [&Algorithm::PUBLIC[..], &Algorithm::ALL] {
            assert_eq!(verified(&forged, &set(&[rsa(), ec()]), pinned), Err(Rejected::Algorithm));
        }
    }
    // And no public key in a set is a symmetric one.
    let symmetric = json!({ "kty": "oct", "k": "AAAA", "alg": "HS256" });
    assert_eq!(set(&[symmetric.clone(), with(ec(), "alg", "HS256")]).keys(), &[]);
    assert!(KeySet::parse_strictly(&json!({ "keys": [symmetric] })).is_err());
}

#[test]
fn rfc8725_3_1_only_pinned_algorithms_count() {
    let rs = token(&json!({ "alg": "RS256" }), CLAIMS, RSA_SIGNATURE);
    let keys = set(&[rsa()]);
    assert!(verified(&rs, &keys, &[Algorithm::Es256, Algorithm::Rs256]).is_ok());
    for pinned in [&[][..], &[Algorithm::Es256], &[Algorithm::Ps256, Algorithm::EdDsa]] {
        assert_eq!(verified(&rs, &keys, pinned), Err(Rejected::Algorithm), "{pinned:?}");
    }
    // The same key, the same signature, another algorithm's name.
    let ps = token(&json!({ "alg": "PS256" }), CLAIMS, RSA_SIGNATURE);
    assert_eq!(verified(&ps, &keys, &Algorithm::PUBLIC), Err(Rejected::Signature));
}

/// D94: the key is that of the issuer's table with this kid, for this algorithm.
#[test]
fn rfc8725_3_8_the_key_is_chosen_by_the_table() {
    let (one, two) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let keys = KeySet::new(vec![one.public("1"), two.public("2")]);
    let by = |key: &PrivateKey, kid| key.sign(kid, "JWT", &json!({})).expect("signed");
    assert!(verified(&by(&one, "1"), &keys, &[Algorithm::Es256]).is_ok());
    assert_eq!(verified(&by(&one, "2"), &keys, &[Algorithm::Es256]), Err(Rejected::Signature));
    assert_eq!(verified(&by(&one, "3"), &keys, &[Algorithm::Es256]), Err(Rejected::UnknownKey));

    // A key that says for what it is, is for nothing else; one of another type is none for it.
    let rs = token(&json!({ "alg": "RS256", "kid": "r" }), CLAIMS, RSA_SIGNATURE);
    let named = with(rsa(), "kid", "r");
    for (key, expected) in [
        (with(named.clone(), "alg", "RS256"), None),
        (with(named, "alg", "PS256"), Some(Rejected::UnknownKey)),
        (with(ec(), "kid", "r"), Some(Rejected::UnknownKey)),
        (with(rsa(), "kid", "other"), Some(Rejected::UnknownKey)),
        (rsa(), Some(Rejected::UnknownKey)),
    ] {
        // The header is another one than in the example, so a key that is tried is wrong.
        let outcome = verified(&rs, &set(std::slice::from_ref(&key)), &Algorithm::PUBLIC);
        assert_eq!(outcome, Err(expected.unwrap_or(Rejected::Signature)), "{key}");
    }
    // A token that names none may be of any.
    let nameless = token(&json!({ "alg": "ES256" }), CLAIMS, EC_SIGNATURE);
    assert!(verified(&nameless, &set(&[with(p384(), "kid", "0"), with(ec(), "kid", "1")]), &Algorithm::PUBLIC).is_ok());
}

/// D56: what is critical must be understood; no extension is.
#[test]
fn rfc7515_4_1_11_crit_is_refused() {
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!("b64")] {
        let token = token(&json!({ "alg": "ES256", "crit": crit, "b64": false, "exp": 1 }), CLAIMS, EC_SIGNATURE);
        assert!(matches!(Jws::parse(&token), Err(Rejected::Malformed(why)) if why.contains("crit")), "{crit}");
    }
}

/// D56: a token that brings its own key is checked by the issuer's all the same.
#[test]
fn rfc8725_3_10_keys_that_a_header_brings_are_ignored() {
    let (ours, theirs) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let header = |kid: &str| {
        json!({
            "alg": "ES256", "kid": kid, "jwk": theirs.public(kid).to_json(),
            "jku": "https://evil.example/jwks", "x5u": "https://evil.example/x5u", "x5c": ["MIIB"],
        })
    };
    let sign = |header: &Value, by: &PrivateKey| {
        // By hand: our own signing writes no such header.
        let plain = by.sign("x", "JWT", &json!({ "iss": "a" })).expect("signed");
        let payload = plain.split('.').nth(1).expect("a payload").to_owned();
        let signed = format!("{}.{payload}", BASE64URL.encode(header.to_string()));
        format!("{signed}.{}", BASE64URL.encode(by.signature(signed.as_bytes()).expect("signed")))
    };
    let keys = KeySet::new(vec![ours.public("k")]);
    assert_eq!(verified(&sign(&header("k"), &theirs), &keys, &[Algorithm::Es256]), Err(Rejected::Signature));
    assert_eq!(verified(&sign(&header("j"), &theirs), &keys, &[Algorithm::Es256]), Err(Rejected::UnknownKey));
    assert!(verified(&sign(&header("k"), &ours), &keys, &[Algorithm::Es256]).is_ok(), "they are ignored, not refused");
}

#[test]
fn rfc7515_7_1_malformed_tokens() {
    let good = key(Algorithm::Es256).sign("k", "JWT", &json!({})).expect("signed");
    let twice = format!("{}.{CLAIMS}.{EC_SIGNATURE}", BASE64URL.encode(r#"{"alg":"ES256","alg":"none"}"#));
    for bad in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d.e",
        &good.replacen('.', "", 1),
        &format!("{good}="),
        &format!(" {good}"),
        &format!("{good}."),
        &good.replacen('.', "=.", 1),
        &good.replacen('.', "+.", 1),
        &format!("{}.{CLAIMS}.AA", BASE64URL.encode("not json")),
        &format!("{}.{CLAIMS}.AA", BASE64URL.encode([0xff, 0xfe])),
        &twice,
        &"a".repeat(16 * 1024 + 1),
    ] {
        assert!(matches!(Jws::parse(bad), Err(Rejected::Malformed(_))), "{bad}");
    }
}

#[test]
fn rfc7515_4_1_9_types_are_media_types() {
    let typed = |typ: Value| {
        let token = token(&json!({ "alg": "ES256", "typ": typ }), CLAIMS, "");
        let jws = Jws::parse(&token).expect("a token");
        (jws.is_typed("at+jwt"), jws.has_type())
    };
    for (typ, is) in [
        (json!("at+jwt"), true),
        (json!("AT+JWT"), true),
        (json!("application/at+jwt"), true),
        (json!("Application/at+jwt"), true),
        (json!("application/at+jwt/x"), false),
        (json!("at+jwtx"), false),
        (json!("JWT"), false),
        (json!("text/at+jwt"), false),
    ] {
        assert_eq!(typed(typ.clone()), (is, true), "{typ}");
    }
    assert_eq!(typed(Value::Null), (false, false));
}

#[test]
fn rfc7517_4_private_keys_and_other_uses_are_refused() {
    for (key, word) in [
        (with(ec(), "d", "AAAA"), "private"),
        (with(rsa(), "p", "AAAA"), "private"),
        (with(ed(), "d", "AAAA"), "private"),
        (with(ec(), "use", "enc"), "`use`"),
        (with(ec(), "key_ops", json!(["sign"])), "`key_ops`"),
        (with(ec(), "alg", "RS256"), "another type"),
        (with(ec(), "alg", "ECDH-ES"), "not supported"),
        (with(ec(), "alg", 1), "must be text"),
        (with(ec(), "crv", "P-521"), "not supported"),
        (with(ec(), "y", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4"), "no public key"),
        (with(ec(), "x", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVA"), "malformed"),
        (with(rsa(), "e", "AQ"), "no public key"),
        (with(rsa(), "e", "AQAC"), "no public key"),
        (with(rsa(), "n", &rsa()["n"].as_str().expect("text")[..168]), "2048"),
        (json!({ "kty": "RSA", "e": "AQAB" }), "malformed"),
        (json!({ "kty": "oct" }), "not supported"),
        (json!("key"), "object"),
    ] {
        let why = Jwk::parse(&key).expect_err(&key.to_string());
        assert!(why.contains(word), "{key}: {why}");
        assert!(KeySet::parse_strictly(&json!({ "keys": [ec(), key] })).is_err());
        // Others' sets may hold what we cannot use.
        assert_eq!(set(&[key, ec()]).keys(), set(&[ec()]).keys());
    }
    assert_eq!(KeySet::parse(&json!({})), None);
    assert_eq!(KeySet::parse(&json!({ "keys": {} })), None);
    assert_eq!(set(&vec![ec(); 65]).keys().len(), 64);
    assert!(KeySet::parse_strictly(&json!({ "keys": vec![ec(); 65] })).is_err());
}

/// What is published reads back, and has public members only.
#[test]
fn rfc7517_5_a_set_is_printed() {
    for algorithm in Algorithm::SIGNING {
        let public = key(algorithm).public("k-1");
        let printed = KeySet::new(vec![public.clone()]).to_json();
        assert_eq!(KeySet::parse(&printed), Some(KeySet::new(vec![public])));
        let key = printed["keys"][0].as_object().expect("a key");
        assert_eq!((&key["kid"], &key["alg"], &key["use"]), (&json!("k-1"), &json!(algorithm.as_str()), &json!("sig")));
        let public = ["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"];
        assert!(key.keys().all(|member| public.contains(&member.as_str())), "{printed}");
    }
    for given in
        [with(ec(), "use", "sig"), with(p384(), "use", "sig"), with(ed(), "use", "sig"), with(rsa(), "use", "sig")]
    {
        assert_eq!(Jwk::parse(&given).expect("a key").to_json(), given);
    }
}

/// A secret has at least the length of the hash.
#[test]
fn rfc7518_3_2_secrets_of_two_parties() {
    use aws_lc_rs::hmac;
    let secret = |text: &str| Secret::new(text.to_owned());
    for (algorithm, hash, length) in [
        (Algorithm::Hs256, hmac::HMAC_SHA256, 32),
        (Algorithm::Hs384, hmac::HMAC_SHA384, 48),
        (Algorithm::Hs512, hmac::HMAC_SHA512, 64),
    ] {
        let by = |signer: &str, secrets: &[Secret], pinned: &[Algorithm]| {
            let signed = format!("{}.{CLAIMS}", BASE64URL.encode(json!({ "alg": algorithm.as_str() }).to_string()));
            let made = hmac::sign(&hmac::Key::new(hash, signer.as_bytes()), signed.as_bytes());
            let token = format!("{signed}.{}", BASE64URL.encode(made));
            Jws::parse(&token).expect("a token").verify_by_secret(secrets, pinned).map(drop)
        };
        let (right, short) = ("r".repeat(length), "r".repeat(length - 1));
        let wrong = secret(&"w".repeat(length));
        assert_eq!(by(&right, &[secret(&right)], &[algorithm]), Ok(()), "{algorithm}");
        assert_eq!(by(&right, &[wrong.clone(), secret(&right)], &Algorithm::SECRET), Ok(()), "{algorithm}");
        for (signer, secrets) in
            [(&right, vec![]), (&right, vec![wrong]), (&short, vec![secret(&short)]), (&"\0".repeat(64), vec![])]
        {
            assert_eq!(by(signer, &secrets, &[algorithm]), Err(Rejected::Signature), "{algorithm} {}", signer.len());
        }
        let others: Vec<Algorithm> = Algorithm::ALL.into_iter().filter(|other| *other != algorithm).collect();
        assert_eq!(by(&right, &[secret(&right)], &others), Err(Rejected::Algorithm), "{algorithm}");
    }
    let es = format!("{}.{CLAIMS}.{EC_SIGNATURE}", BASE64URL.encode(r#"{"alg":"ES256"}"#));
    let by_secret = Jws::parse(&es).expect("a token").verify_by_secret(&[secret(&"r".repeat(64))], &Algorithm::ALL);
    assert_eq!(by_secret.map(drop), Err(Rejected::Algorithm));
}

fn claims(json: Value) -> Claims {
    Claims::new(json.as_object().expect("an object").clone())
}

#[test]
fn rfc7519_4_1_times_with_leeway() {
    let times = Times { now: 1_000, leeway: 10, longest: Some(300) };
    for (json, expected) in [
        (json!({ "exp": 1_001 }), Ok(1_001)),
        (json!({ "exp": 991 }), Ok(991)),
        (json!({ "exp": 990 }), Err("expired")),
        (json!({ "exp": 1_310 }), Ok(1_310)),
        (json!({ "exp": 1_311 }), Err("too far")),
        (json!({}), Err("no expiry")),
        (json!({ "exp": 1_100.9 }), Ok(1_100)),
        (json!({ "exp": "1100" }), Err("no number")),
        (json!({ "exp": -1 }), Err("no number")),
        (json!({ "exp": 1e300 }), Err("no number")),
        (json!({ "exp": null }), Err("no number")),
        (json!({ "exp": 1_100, "nbf": 1_010, "iat": 1_010 }), Ok(1_100)),
        (json!({ "exp": 1_100, "nbf": 1_011 }), Err("not valid yet")),
        (json!({ "exp": 1_100, "iat": 1_011 }), Err("in the future")),
        (json!({ "exp": 1_100, "nbf": "soon" }), Err("no number")),
    ] {
        match (claims(json.clone()).check_times(times), expected) {
            (Ok(got), Ok(wanted)) => assert_eq!(got, wanted, "{json}"),
            (Err(Rejected::Claim(why)), Err(word)) => assert!(why.contains(word), "{json}: {why}"),
            (got, _) => panic!("{json}: {got:?}"),
        }
    }
    let far = Times { longest: None, ..times };
    assert_eq!(claims(json!({ "exp": u64::MAX })).check_times(far), Ok(u64::MAX));
}

#[test]
fn rfc7519_4_1_3_audiences() {
    for (aud, good) in [
        (json!("a"), true),
        (json!(["x", "a"]), true),
        (json!(["a", 1]), false),
        (json!("b"), false),
        (json!("A"), false),
        (json!([]), false),
        (json!({ "a": 1 }), false),
    ] {
        assert_eq!(claims(json!({ "aud": aud })).check_audience(&["a", "c"]).is_ok(), good, "{aud}");
    }
    assert!(claims(json!({})).check_audience(&["a"]).is_err());
    assert!(claims(json!({ "iss": "https://a" })).check_issuer("https://a").is_ok());
    for other in [json!({}), json!({ "iss": "https://a/" }), json!({ "iss": ["https://a"] })] {
        assert!(claims(other.clone()).check_issuer("https://a").is_err(), "{other}");
    }
}

/// Whoever is unknown is refused after the work of one check.
#[test]
fn nobody_has_a_key_for_each_algorithm() {
    for algorithm in Algorithm::PUBLIC {
        assert_eq!(NOBODY.candidates(None, algorithm).count(), 1, "{algorithm}");
    }
}
