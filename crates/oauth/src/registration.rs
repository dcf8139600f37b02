//! What a client may be registered as (RFC 7591, section 2), however that is done: by a command, in a file, or by the client itself.

pub mod dynamic;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client_auth::Method;
use crate::error::{Error, ErrorCode};
use crate::keys_uri::{self, KeysUri};
use crate::redirect_uri;
use crate::scope::Scopes;
use crate::token_endpoint::CLIENT_CREDENTIALS;

/// The grants that a client can be registered for (RFC 7591, section 2), those that later versions serve included: a client
/// registered for one gets it as soon as a policy gives it.
pub const GRANT_TYPES: [&str; 8] = [
    "client_credentials",
    "authorization_code",
    "refresh_token",
    "password",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:token-exchange",
];

/// The grant whose answers go to a redirect URI (RFC 6749, section 4.1).
const AUTHORIZATION_CODE: &str = "authorization_code";

/// The response type that goes with it; there is no other one here.
const CODE: &str = "code";

/// Bytes of a URI, as of a redirect URI.
const LONGEST_URI: usize = 2_048;
/// Characters of a name, a contact, a version.
const LONGEST_TEXT: usize = 256;
/// Entries of a list.
const MOST: usize = 32;
/// Bytes of a set of keys, written as JSON.
const LARGEST_JWKS: usize = 16 * 1024;

/// Members of a key that only its owner may have (RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// What a client tells of itself (RFC 7591, section 2; OpenID Connect Dynamic Client Registration, section 2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientMetadata {
    /// Where answers of the authorization endpoint may go; each is compared as it stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// Where a browser may go after it was logged out (OpenID Connect RP-Initiated Logout, section 3.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<String>,
    /// Its home page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// Its logo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// Its terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// How it treats what it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// Whom to ask, mostly e-mail addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// Where its public keys are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Its public keys (RFC 7517); not together with `jwks_uri`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// `web` or `native`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_type: Option<String>,
    /// Which software it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// Which version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
}

/// A client as it is to be registered.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// Grants it may use.
    pub grant_types: &'a [String],
    /// How it must authenticate; none = as the policy lists.
    pub auth_method: Option<&'a str>,
    /// Whether it has a secret.
    pub has_secret: bool,
    /// Whether of a secret of it only a hash is kept.
    pub only_hash: bool,
    /// Its name, for people.
    pub name: Option<&'a str>,
    /// Scopes it may ask for.
    pub scope: &'a Scopes,
    /// Scopes it gets where it asks for none, if those are others.
    pub default_scope: Option<&'a Scopes>,
    /// What it tells of itself.
    pub metadata: &'a ClientMetadata,
}

/// Why a client cannot be registered so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// `invalid_redirect_uri` or `invalid_client_metadata` (RFC 7591, section 3.2.2).
    pub code: ErrorCode,
    /// What it is about, by its name in RFC 7591.
    pub field: &'static str,
    /// One sentence.
    pub message: String,
    /// What would be right.
    pub help: &'static str,
}

impl From<Unfit> for Error {
    fn from(unfit: Unfit) -> Self {
        Error::new(unfit.code, format!("{}; {}", unfit.message, unfit.help))
    }
}

/// Whether a client that is held to this method has a secret; one that is held to none has.
pub fn keeps_secret(auth_method: Option<&str>) -> bool {
    match auth_method.and_then(Method::parse) {
        None | Some(Method::ClientSecretBasic | Method::ClientSecretPost | Method::ClientSecretJwt) => true,
        Some(Method::PrivateKeyJwt | Method::TlsClientAuth | Method::SelfSignedTlsClientAuth | Method::None) => false,
    }
}

/// Whether a client that is held to this method signs by its secret, which must therefore be kept so that it can be read.
pub fn signs_by_secret(auth_method: Option<&str>) -> bool {
    auth_method.and_then(Method::parse) == Some(Method::ClientSecretJwt)
}

/// The response types that go with these grants (RFC 7591, section 2.1).
pub fn response_types(grant_types: &[String]) -> &'static [&'static str] {
    if has(grant_types, AUTHORIZATION_CODE) { &[CODE] } else { &[] }
}

/// Whether the response types that a client asks for are those of its grants (D90). The order and repetitions do not matter.
pub fn check_response_types(asked: &[String], grant_types: &[String]) -> Result<(), Unfit> {
    let asked: BTreeSet<&str> = asked.iter().map(String::as_str).collect();
    if let Some(unknown) = asked.iter().find(|asked| **asked != CODE) {
        return Err(metadata(
            "response_types",
            format!("the response type `{unknown}` is not offered"),
            "leave it out",
        ));
    }
    match (asked.contains(CODE), has(grant_types, AUTHORIZATION_CODE)) {
        (true, false) => Err(metadata(
            "response_types",
            "the response type `code` is for clients with the grant authorization_code",
            "ask for that grant, or leave the response type out",
        )),
        (false, true) => Err(metadata(
            "response_types",
            "the grant authorization_code goes with the response type `code`",
            "ask for that response type, or leave the grant out",
        )),
        _ => Ok(()),
    }
}

/// Whether a client may be registered so; the first thing that is wrong.
pub fn check(client: &Registration<'_>) -> Result<(), Unfit> {
    check_redirect_uris(client)?;
    check_kind(client)?;
    check_keys(client)?;
    check_scope(client)?;
    check_texts(client)
}

/// D42, D43, D40: what redirect URIs there must be, and what they may be.
fn check_redirect_uris(client: &Registration<'_>) -> Result<(), Unfit> {
    let uris = &client.metadata.redirect_uris;
    let web = client.metadata.application_type.as_deref() == Some("web");
    for uri in uris {
        redirect_uri::check(uri).map_err(|why| redirect("redirect_uris", uri, &why.to_string()))?;
        if web && !uri.starts_with("https:") {
            return Err(redirect("redirect_uris", uri, "a client of the type `web` has `https` ones alone"));
        }
    }
    for uri in &client.metadata.post_logout_redirect_uris {
        let checked = match uri == redirect_uri::OUT_OF_BAND {
            true => Err(redirect_uri::Unfit::Scheme),
            false => redirect_uri::check(uri),
        };
        checked.map_err(|why| redirect("post_logout_redirect_uris", uri, &why.to_string()))?;
    }
    if uris.is_empty() && has(client.grant_types, AUTHORIZATION_CODE) {
        return Err(Unfit {
            code: ErrorCode::InvalidRedirectUri,
            field: "redirect_uris",
            message: String::from("a client with the grant authorization_code has a redirect URI"),
            help: "say where its codes may go; answers go nowhere else (RFC 6749, section 3.1.2.2)",
        });
    }
    bounded("redirect_uris", uris.len())?;
    bounded("post_logout_redirect_uris", client.metadata.post_logout_redirect_uris.len())
}

/// Public or confidential, and native or not.
fn check_kind(client: &Registration<'_>) -> Result<(), Unfit> {
    let method = client.auth_method.and_then(Method::parse);
    if method == Some(Method::None) {
        if client.has_secret {
            return Err(metadata(
                "token_endpoint_auth_method",
                "a public client has no secret",
                "leave out the secret, or `none`",
            ));
        }
        if has(client.grant_types, CLIENT_CREDENTIALS) {
            return Err(metadata(
                "grant_types",
                "a public client cannot have the grant client_credentials",
                "client credentials are for clients that can keep a secret (RFC 6749, section 4.4)",
            ));
        }
    }
    if signs_by_secret(client.auth_method) && client.only_hash {
        return Err(metadata(
            "token_endpoint_auth_method",
            "of a secret of this client only a hash is kept: no signature can be held against that",
            "give it a new secret together with the method: `portcullis client rotate ID --auth-method client_secret_jwt`",
        ));
    }
    match client.metadata.application_type.as_deref() {
        None | Some("web") => {}
        Some("native") => {
            let by_itself =
                matches!(method, Some(Method::None | Method::PrivateKeyJwt | Method::SelfSignedTlsClientAuth));
            if !by_itself {
                return Err(metadata(
                    "token_endpoint_auth_method",
                    "a native application keeps no secret: what is in it is in everybody's hands",
                    "`none`: it proves itself by PKCE (RFC 8252, sections 8.4 and 8.5)",
                ));
            }
        }
        Some(other) => {
            return Err(metadata(
                "application_type",
                format!("`{other}` is no type of application"),
                "`web` or `native`",
            ));
        }
    }
    Ok(())
}

/// Its public keys: in one way, and nothing in them that is not public.
fn check_keys(client: &Registration<'_>) -> Result<(), Unfit> {
    let ClientMetadata { jwks, jwks_uri, .. } = client.metadata;
    if jwks.is_some() && jwks_uri.is_some() {
        return Err(metadata(
            "jwks",
            "`jwks` and `jwks_uri` are not given together",
            "one of them (RFC 7591, section 2)",
        ));
    }
    let by_key = matches!(
        client.auth_method.and_then(Method::parse),
        Some(Method::PrivateKeyJwt | Method::SelfSignedTlsClientAuth)
    );
    if by_key && jwks.is_none() && jwks_uri.is_none() {
        return Err(metadata(
            "jwks",
            "a client that proves itself with a key has `jwks`, or `jwks_uri`",
            "give its public keys, or where they are",
        ));
    }
    if let Some(uri) = jwks_uri
        && KeysUri::parse(uri).is_none()
    {
        return Err(metadata("jwks_uri", format!("`{}` is no place of keys", start(uri)), keys_uri::RULE));
    }
    jwks.as_ref().map_or(Ok(()), check_jwks)
}

fn check_jwks(jwks: &Value) -> Result<(), Unfit> {
    let bad = |message: &str| metadata("jwks", message, "`{\"keys\": [...]}` with public keys (RFC 7517, section 5)");
    if jwks.to_string().len() > LARGEST_JWKS {
        return Err(bad("the set of keys is larger than 16 KiB"));
    }
    let keys = jwks.get("keys").and_then(Value::as_array).ok_or_else(|| bad("this is no set of keys"))?;
    bounded("jwks", keys.len())?;
    for key in keys {
        if key.get("kty").and_then(Value::as_str).is_none() {
            return Err(bad("a key without `kty` is none"));
        }
        if PRIVATE.iter().any(|member| key.get(member).is_some()) {
            return Err(bad("a private or symmetric key stands there: it is known to others now, make another one"));
        }
    }
    Ok(())
}

fn check_scope(client: &Registration<'_>) -> Result<(), Unfit> {
    match client.default_scope {
        Some(default) if !default.within(client.scope) => Err(metadata(
            "default_scope",
            "a scope that is given where none is asked for is one that the client may ask for",
            "list it in `scope` too",
        )),
        _ => Ok(()),
    }
}

/// Links that people are shown, and texts. None of these is ever fetched (D92).
fn check_texts(client: &Registration<'_>) -> Result<(), Unfit> {
    let told = client.metadata;
    let links = [
        ("client_uri", &told.client_uri),
        ("logo_uri", &told.logo_uri),
        ("tos_uri", &told.tos_uri),
        ("policy_uri", &told.policy_uri),
    ];
    for (field, uri) in links {
        let Some(uri) = uri else { continue };
        if !uri.starts_with("https://") || uri.len() > LONGEST_URI || redirect_uri::check(uri).is_err() {
            return Err(metadata(
                field,
                format!("`{}` is no https URL", start(uri)),
                "`https://HOST/PATH`, without a fragment",
            ));
        }
    }
    bounded("contacts", told.contacts.len())?;
    let texts = [
        ("client_name", client.name),
        ("software_id", told.software_id.as_deref()),
        ("software_version", told.software_version.as_deref()),
    ];
    let texts = texts.into_iter().filter_map(|(field, text)| Some((field, text?)));
    for (field, text) in texts.chain(told.contacts.iter().map(|text| ("contacts", text.as_str()))) {
        if text.is_empty() || text.chars().count() > LONGEST_TEXT {
            return Err(metadata(field, "this is empty or too long", "1 to 256 characters of text"));
        }
    }
    Ok(())
}

fn has(grant_types: &[String], grant: &str) -> bool {
    grant_types.iter().any(|has| has == grant)
}

fn bounded(field: &'static str, entries: usize) -> Result<(), Unfit> {
    match entries <= MOST {
        true => Ok(()),
        false => Err(metadata(field, format!("there are {entries} entries"), "at most 32")),
    }
}

fn metadata(field: &'static str, message: impl Into<String>, help: &'static str) -> Unfit {
    Unfit { code: ErrorCode::InvalidClientMetadata, field, message: message.into(), help }
}

fn redirect(field: &'static str, uri: &str, why: &str) -> Unfit {
    Unfit {
        code: ErrorCode::InvalidRedirectUri,
        field,
        message: format!("`{}` cannot be registered: {why}", start(uri)),
        help: "RFC 6749, section 3.1.2; RFC 8252; RFC 9700, section 2.1",
    }
}

/// So much of a text that nobody's log is filled with it.
fn start(text: &str) -> String {
    text.chars().take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const REDIRECT: Option<(ErrorCode, &str)> = Some((ErrorCode::InvalidRedirectUri, "redirect_uris"));
    const LOGOUT: Option<(ErrorCode, &str)> = Some((ErrorCode::InvalidRedirectUri, "post_logout_redirect_uris"));

    const fn wrong(field: &str) -> Option<(ErrorCode, &str)> {
        Some((ErrorCode::InvalidClientMetadata, field))
    }

    /// What is wrong with a client: its grants, method (`+` before it: it has a secret) and metadata.
    fn found(grants: &[&str], method: &str, told: Value) -> Option<(ErrorCode, &'static str)> {
        let grants: Vec<String> = grants.iter().map(|grant| grant.to_string()).collect();
        let metadata: ClientMetadata = serde_json::from_value(told.clone()).expect("metadata");
        let scope = Scopes::parse(told["scope"].as_str().unwrap_or_default()).expect("scope");
        let default_scope = told["default_scope"].as_str().map(|scope| Scopes::parse(scope).expect("scope"));
        let auth_method = Some(method.trim_start_matches('+')).filter(|method| !method.is_empty());
        let checked = check(&Registration {
            grant_types: &grants,
            auth_method,
            has_secret: method.starts_with('+'),
            only_hash: method.starts_with('+') && told["only_hash"] == true,
            name: told["client_name"].as_str(),
            scope: &scope,
            default_scope: default_scope.as_ref(),
            metadata: &metadata,
        });
        checked.err().map(|unfit| (unfit.code, unfit.field))
    }

    const CODE_GRANT: &[&str] = &[AUTHORIZATION_CODE, "refresh_token"];

    /// D89: which of the two errors it is. D42, D43: which redirect URIs there may be.
    #[test]
    fn rfc7591_2_redirect_uris() {
        let many: Vec<String> = (0..33).map(|n| format!("https://a.example/{n}")).collect();
        for (grants, told, expected) in [
            (CODE_GRANT, json!({ "redirect_uris": ["https://a.example/cb", "com.example.app:/done"] }), None),
            (CODE_GRANT, json!({ "redirect_uris": ["http://127.0.0.1/cb"] }), None),
            (CODE_GRANT, json!({ "redirect_uris": ["urn:ietf:wg:oauth:2.0:oob"] }), None),
            (CODE_GRANT, json!({}), REDIRECT),
            (&["client_credentials"], json!({}), None),
            (CODE_GRANT, json!({ "redirect_uris": ["https://a.example/cb", "http://a.example/cb"] }), REDIRECT),
            (&[], json!({ "redirect_uris": ["https://a.example/#x"] }), REDIRECT),
            (CODE_GRANT, json!({ "redirect_uris": [""] }), REDIRECT),
            (CODE_GRANT, json!({ "redirect_uris": many }), wrong("redirect_uris")),
            (&[], json!({ "post_logout_redirect_uris": ["https://a.example/bye"] }), None),
            (&[], json!({ "post_logout_redirect_uris": ["javascript:alert(1)"] }), LOGOUT),
            (&[], json!({ "post_logout_redirect_uris": ["urn:ietf:wg:oauth:2.0:oob"] }), LOGOUT),
            (&[], json!({ "post_logout_redirect_uris": many }), wrong("post_logout_redirect_uris")),
            (CODE_GRANT, json!({ "application_type": "web", "redirect_uris": ["https://a.example/cb"] }), None),
            (CODE_GRANT, json!({ "application_type": "web", "redirect_uris": ["http://127.0.0.1/cb"] }), REDIRECT),
            (CODE_GRANT, json!({ "application_type": "web", "redirect_uris": ["com.example.app:/done"] }), REDIRECT),
        ] {
            assert_eq!(found(grants, "", told.clone()), expected, "{told}");
        }
    }

    /// RFC 6749, section 4.4: client credentials are for confidential clients. D40: a secret in an application is none.
    #[test]
    fn rfc6749_2_1_public_clients_and_rfc8252_8_4_native_ones() {
        let native = json!({ "application_type": "native", "redirect_uris": ["com.example.app:/done"] });
        let web = json!({ "application_type": "web", "redirect_uris": ["https://a.example/cb"] });
        let keys =
            json!({ "application_type": "native", "redirect_uris": ["com.example.app:/done"], "jwks": { "keys": [] } });
        for (grants, method, told, expected) in [
            (CODE_GRANT, "none", &native, None),
            (CODE_GRANT, "+none", &native, wrong("token_endpoint_auth_method")),
            (CODE_GRANT, "+", &native, wrong("token_endpoint_auth_method")),
            (CODE_GRANT, "", &native, wrong("token_endpoint_auth_method")),
            (CODE_GRANT, "+client_secret_basic", &native, wrong("token_endpoint_auth_method")),
            (CODE_GRANT, "private_key_jwt", &keys, None),
            (CODE_GRANT, "self_signed_tls_client_auth", &keys, None),
            (CODE_GRANT, "+client_secret_basic", &web, None),
            (CODE_GRANT, "none", &web, None),
            (&["client_credentials"], "none", &json!({}), wrong("grant_types")),
            (&["client_credentials"], "+client_secret_post", &json!({}), None),
            (&["client_credentials"], "+none", &json!({}), wrong("token_endpoint_auth_method")),
            (&[], "", &json!({ "application_type": "desktop" }), wrong("application_type")),
        ] {
            assert_eq!(found(grants, method, told.clone()), expected, "{method} {told}");
        }
    }

    #[test]
    fn rfc7591_2_keys_are_given_once_and_are_public() {
        let ec = json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" });
        let with = |member: &str| {
            let mut key = ec.clone();
            key[member] = json!("AA");
            json!({ "jwks": { "keys": [ec, key] } })
        };
        for (method, told, expected) in [
            ("", json!({ "jwks": { "keys": [ec] } }), None),
            ("", json!({ "jwks_uri": "https://a.example/keys" }), None),
            ("", json!({ "jwks": { "keys": [] }, "jwks_uri": "https://a.example/keys" }), wrong("jwks")),
            ("", json!({ "jwks": [ec] }), wrong("jwks")),
            ("", json!({ "jwks": { "keys": [{ "x": "AA" }] } }), wrong("jwks")),
            ("", json!({ "jwks": { "keys": ["AA"] } }), wrong("jwks")),
            ("", json!({ "jwks": { "keys": vec![&ec; 33] } }), wrong("jwks")),
            ("", json!({ "jwks": { "keys": [{ "kty": "RSA", "n": "A".repeat(LARGEST_JWKS) }] } }), wrong("jwks")),
            ("private_key_jwt", json!({}), wrong("jwks")),
            ("self_signed_tls_client_auth", json!({}), wrong("jwks")),
            ("private_key_jwt", json!({ "jwks": { "keys": [ec] } }), None),
            ("private_key_jwt", json!({ "jwks_uri": "https://a.example/keys" }), None),
            ("private_key_jwt", json!({ "jwks_uri": "http://127.0.0.1:9001/keys" }), None),
            ("private_key_jwt", json!({ "jwks_uri": "http://a.example/keys" }), wrong("jwks_uri")),
            ("", json!({ "jwks_uri": "https://user@a.example/keys" }), wrong("jwks_uri")),
            ("tls_client_auth", json!({}), None),
        ] {
            assert_eq!(found(&[], method, told.clone()), expected, "{method} {told}");
        }
        for member in PRIVATE {
            assert_eq!(found(&[], "", with(member)), wrong("jwks"), "{member}");
        }
        assert_eq!(found(&[], "", with("kid")), None);
    }

    /// D92: nothing is fetched, and what a person may follow is https.
    #[test]
    fn rfc7591_2_links_and_texts() {
        for field in ["client_uri", "logo_uri", "tos_uri", "policy_uri"] {
            for (uri, good) in [
                ("https://a.example/", true),
                ("https://a.example/logo.png?x=1", true),
                ("http://a.example/", false),
                ("http://127.0.0.1/", false),
                ("javascript:alert(1)", false),
                ("com.example.app:/x", false),
                ("https:a.example", false),
                ("https://user@a.example/", false),
                ("https://a.example/#x", false),
                ("", false),
            ] {
                assert_eq!(found(&[], "", json!({ field: uri })).is_none(), good, "{field} {uri}");
            }
            assert_eq!(
                found(&[], "", json!({ field: format!("https://a.example/{}", "x".repeat(2_048)) })),
                wrong(field)
            );
        }
        for field in ["client_name", "software_id", "software_version"] {
            for (text, good) in
                [("Grüße", true), (&"é".repeat(256), true), ("", false), (&"x".repeat(257), false), ("a\nb", true)]
            {
                assert_eq!(found(&[], "", json!({ field: text })).is_none(), good, "{field} {text}");
            }
        }
        assert_eq!(found(&[], "", json!({ "contacts": ["ops@a.example"] })), None);
        assert_eq!(found(&[], "", json!({ "contacts": ["ops@a.example", ""] })), wrong("contacts"));
        assert_eq!(found(&[], "", json!({ "contacts": vec!["x"; 33] })), wrong("contacts"));
    }

    #[test]
    fn rfc7591_2_default_scopes_are_among_those_that_are_allowed() {
        for (scope, default, good) in [("a b", "a", true), ("a b", "", true), ("a", "a b", false), ("", "a", false)] {
            let told = json!({ "scope": scope, "default_scope": default });
            assert_eq!(found(&[], "", told), if good { None } else { wrong("default_scope") }, "{scope} {default}");
        }
    }

    #[test]
    fn rfc7591_2_who_has_a_secret() {
        for method in Method::ALL {
            let with = ["client_secret_basic", "client_secret_post", "client_secret_jwt"].contains(&method.as_str());
            assert_eq!(keeps_secret(Some(method.as_str())), with, "{}", method.as_str());
        }
        assert!(keeps_secret(None), "as the policy lists");
    }

    /// OpenID Connect Core, section 9: whoever signs by a secret has one that can be read here.
    #[test]
    fn rfc7591_2_a_hash_signs_nothing() {
        for (method, only_hash, good) in [
            ("+client_secret_jwt", true, false),
            ("+client_secret_jwt", false, true),
            ("client_secret_jwt", false, true),
            ("+client_secret_basic", true, true),
            ("+", true, true),
        ] {
            let got = found(&["client_credentials"], method, json!({ "only_hash": only_hash }));
            assert_eq!(got, if good { None } else { wrong("token_endpoint_auth_method") }, "{method} {only_hash}");
        }
        for method in Method::ALL {
            assert_eq!(signs_by_secret(Some(method.as_str())), method == Method::ClientSecretJwt);
        }
        assert!(!signs_by_secret(None), "as the policy lists");
    }

    /// D90
    #[test]
    fn rfc7591_2_1_response_types_go_with_grants() {
        let texts = |list: &[&str]| list.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        for (asked, grants, good) in [
            (&["code"][..], CODE_GRANT, true),
            (&["code", "code"], CODE_GRANT, true),
            (&[], &["client_credentials"], true),
            (&[], CODE_GRANT, false),
            (&["code"], &["client_credentials"], false),
            (&["token"], CODE_GRANT, false),
            (&["code", "id_token"], CODE_GRANT, false),
            (&["code id_token"], CODE_GRANT, false),
        ] {
            let checked = check_response_types(&texts(asked), &texts(grants));
            let error = checked.err().map(|unfit| (unfit.code, unfit.field));
            assert_eq!(error, if good { None } else { wrong("response_types") }, "{asked:?} {grants:?}");
        }
        assert_eq!(response_types(&texts(CODE_GRANT)), ["code"]);
        assert!(response_types(&texts(&["client_credentials"])).is_empty());
    }

    /// What is told a client has only the characters that it may have, and no more of what it sent than needed.
    #[test]
    fn rfc7591_3_2_2_the_error() {
        let metadata =
            ClientMetadata { redirect_uris: vec![format!("http://\"é{}", "x".repeat(4_000))], ..Default::default() };
        let scope = Scopes::default();
        let client = Registration {
            grant_types: &[],
            auth_method: None,
            has_secret: false,
            only_hash: false,
            name: None,
            scope: &scope,
            default_scope: None,
            metadata: &metadata,
        };
        let error = Error::from(check(&client).expect_err("it is none"));
        let told = serde_json::to_value(&error).expect("json");
        assert_eq!(told["error"], "invalid_redirect_uri");
        let text = told["error_description"].as_str().expect("text");
        assert!(text.starts_with("`http://'?x") && text.len() < 512, "{text}");
    }
}
