//! How the answer of a token endpoint is taken (RFC 6749, sections 5.1, 5.2 and 7.1).

use std::fmt;

use serde_json::{Map, Value};

use super::Provider;
use crate::scope::Scopes;
use crate::secret::Secret;

/// No access token is believed to live longer: ten years.
const LONGEST: u64 = 10 * 365 * 86_400;

/// What a provider gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// The access token.
    pub access: Secret,
    /// The refresh token, where it gave one.
    pub refresh: Option<Secret>,
    /// The ID token, where it gave one (OpenID Connect Core, section 3.1.3.3). Nothing in it is proved yet.
    pub id_token: Option<Secret>,
    /// What was granted.
    pub granted: Scopes,
    /// Unix seconds.
    pub obtained_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
    /// Until when the refresh token is kept, Unix seconds.
    pub refresh_until: Option<u64>,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `invalid_grant`: the code or refresh token is no good, another may be.
    Grant,
    /// The provider refuses the gateway, or what it asks for: somebody has to mend it. The error is one of RFC 6749, section 5.2.
    Client(String),
    /// It cannot do it now.
    Unavailable(String),
    /// What it answered is no answer of a token endpoint.
    Malformed(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Grant => f.write_str("it refuses the code or refresh token (`invalid_grant`)"),
            Refusal::Client(error) => write!(f, "it refuses the gateway: `{error}`"),
            Refusal::Unavailable(why) => write!(f, "it cannot do it now: {why}"),
            Refusal::Malformed(why) => write!(f, "its answer is malformed: {why}"),
        }
    }
}

/// Reads an answer to a token request that asked for `asked`, at `now`. A refresh token stays the one that was used, unless there is a
/// new one (section 6); that is for the caller.
pub fn read(provider: &Provider, asked: &Scopes, status: u16, body: &[u8], now: u64) -> Result<Tokens, Refusal> {
    let json: Option<Map<String, Value>> = serde_json::from_slice(body).ok();
    if status != 200 {
        return Err(refusal(status, json.as_ref()));
    }
    let malformed = |why: &str| Refusal::Malformed(why.to_owned());
    let json = json.ok_or_else(|| malformed("it is no JSON object"))?;
    let access = text(&json, "access_token")?.ok_or_else(|| malformed("it has no `access_token`"))?;
    // RFC 6750, section 2.1: what stands behind `Bearer` is visible ASCII; anything else would be another header, or none.
    if !access.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed("its `access_token` cannot stand in a header"));
    }
    let kind = text(&json, "token_type")?.ok_or_else(|| malformed("it has no `token_type`"))?;
    // Section 7.1: a client must not use a token whose type it does not understand.
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(malformed("its `token_type` is not `Bearer`"));
    }
    let lifetime = lifetime(&json)?.unwrap_or(provider.token_lifetime);
    let granted = match text(&json, "scope")? {
        Some(scope) => Scopes::parse(scope).ok_or_else(|| malformed("its `scope` is no list of scopes"))?,
        // Section 5.1: left out where it is what was asked.
        None => asked.clone(),
    };
    let secret = |name| Ok(text(&json, name)?.map(|text| Secret::new(text.to_owned())));
    let refresh = secret("refresh_token")?;
    Ok(Tokens {
        access: Secret::new(access.to_owned()),
        refresh_until: refresh.as_ref().map(|_| now.saturating_add(provider.refresh_lifetime)),
        refresh,
        id_token: secret("id_token")?,
        granted,
        obtained_at: now,
        expires_at: now.saturating_add(lifetime.min(LONGEST)),
    })
}

/// A text that is there and not empty; null counts as absent.
fn text<'a>(json: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Refusal> {
    match json.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(Refusal::Malformed(format!("its `{name}` is no text"))),
    }
}

/// Seconds. Some servers write the number as a text.
fn lifetime(json: &Map<String, Value>) -> Result<Option<u64>, Refusal> {
    let number = match json.get("expires_in") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    number.map(Some).ok_or_else(|| Refusal::Malformed("its `expires_in` is no number of seconds".into()))
}

fn refusal(status: u16, json: Option<&Map<String, Value>>) -> Refusal {
    let error = json.and_then(|json| json.get("error")?.as_str());
    // Its words may quote what was sent: only a code that looks like one is passed on.
    let plain = |error: &&str| error.len() <= 64 && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    match (status, error.filter(plain)) {
        (400..=499, Some("invalid_grant")) => Refusal::Grant,
        (_, Some(error @ ("temporarily_unavailable" | "server_error"))) => Refusal::Unavailable(format!("`{error}`")),
        (408 | 429 | 500..=599, _) => Refusal::Unavailable(format!("status {status}")),
        (400..=499, Some(error)) => Refusal::Client(error.to_owned()),
        _ => Refusal::Malformed(format!("status {status} without an error of RFC 6749")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_auth::Method;
    use crate::provider::example;

    fn answered(status: u16, body: &str) -> Result<Tokens, Refusal> {
        let provider = example(Method::ClientSecretBasic, "app", "s");
        read(&provider, &Scopes::parse("a b").unwrap(), status, body.as_bytes(), 1_000)
    }

    #[test]
    fn rfc6749_5_1_what_is_left_out_is_what_was_asked() {
        let full = answered(
            200,
            r#"{"access_token":"t","token_type":"bearer","expires_in":60,"refresh_token":"r","scope":"a","id_token":"i","x":1}"#,
        )
        .unwrap();
        assert_eq!(
            (full.access.expose(), full.refresh.unwrap().expose(), full.id_token.unwrap().expose()),
            ("t", "r", "i")
        );
        assert_eq!((full.expires_at, full.refresh_until, full.obtained_at), (1_060, Some(87_400), 1_000));
        assert_eq!(full.granted, Scopes::parse("a").unwrap());
        let bare = answered(200, r#"{"access_token":"t","token_type":"Bearer"}"#).unwrap();
        assert_eq!((bare.refresh, bare.expires_at, bare.refresh_until), (None, 4_600, None));
        assert_eq!(bare.granted, Scopes::parse("a b").unwrap());
        // As Oracle API Gateway writes it.
        let text =
            answered(200, r#"{"access_token":"t","token_type":"Bearer","expires_in":"60","scope":null}"#).unwrap();
        assert_eq!(text.expires_at, 1_060);
        let long =
            answered(200, r#"{"access_token":"t","token_type":"Bearer","expires_in":18446744073709551615}"#).unwrap();
        assert_eq!(long.expires_at, 1_000 + LONGEST);
    }

    /// OAG RDAPI-14544: a malformed token was stored as null.
    #[test]
    fn rfc6749_5_1_an_answer_without_a_usable_token_is_none() {
        for (body, told) in [
            ("", "no JSON object"),
            ("<html>", "no JSON object"),
            ("[]", "no JSON object"),
            ("{}", "no `access_token`"),
            (r#"{"access_token":null,"token_type":"Bearer"}"#, "no `access_token`"),
            (r#"{"access_token":"","token_type":"Bearer"}"#, "no `access_token`"),
            (r#"{"access_token":7,"token_type":"Bearer"}"#, "`access_token` is no text"),
            (r#"{"access_token":"a b","token_type":"Bearer"}"#, "cannot stand in a header"),
            (r#"{"access_token":"a\r\nx: y","token_type":"Bearer"}"#, "cannot stand in a header"),
            (r#"{"access_token":"ä","token_type":"Bearer"}"#, "cannot stand in a header"),
            (r#"{"access_token":"t"}"#, "no `token_type`"),
            (r#"{"access_token":"t","token_type":"DPoP"}"#, "not `Bearer`"),
            (r#"{"access_token":"t","token_type":"Bearer","expires_in":-1}"#, "`expires_in`"),
            (r#"{"access_token":"t","token_type":"Bearer","expires_in":"soon"}"#, "`expires_in`"),
            (r#"{"access_token":"t","token_type":"Bearer","expires_in":1.5}"#, "`expires_in`"),
            (r#"{"access_token":"t","token_type":"Bearer","refresh_token":{}}"#, "`refresh_token` is no text"),
            (r#"{"access_token":"t","token_type":"Bearer","scope":"a\tb"}"#, "`scope`"),
        ] {
            match answered(200, body) {
                Err(Refusal::Malformed(why)) => assert!(why.contains(told), "{body}: {why}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn rfc6749_5_2_who_has_to_mend_it() {
        let error = |status, body: &str| answered(status, body).unwrap_err();
        assert_eq!(error(400, r#"{"error":"invalid_grant","error_description":"secret"}"#), Refusal::Grant);
        for code in ["invalid_client", "invalid_scope", "unauthorized_client"] {
            assert_eq!(error(401, &format!(r#"{{"error":"{code}"}}"#)), Refusal::Client(code.into()));
        }
        for (status, body) in [
            (503, ""),
            (500, r#"{"error":"invalid_grant"}"#),
            (429, "slow down"),
            (400, r#"{"error":"temporarily_unavailable"}"#),
            (400, r#"{"error":"server_error"}"#),
        ] {
            assert!(matches!(error(status, body), Refusal::Unavailable(_)), "{status} {body}");
        }
        for (status, body) in [(404, ""), (302, ""), (201, r#"{"access_token":"t"}"#), (400, r#"{"error":"Geheim 1"}"#)]
        {
            let Refusal::Malformed(why) = error(status, body) else { panic!("{status} {body}") };
            assert!(!why.contains("Geheim"), "{why}");
        }
    }
}
