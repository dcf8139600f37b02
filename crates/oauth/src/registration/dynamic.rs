//! What a client that registers itself asks for, and what it gets (RFC 7591, sections 2 and 3; RFC 7592, section 2.2).

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    AUTHORIZATION_CODE, ClientMetadata, Registration, Unfit, check, check_response_types, keeps_secret, metadata,
};
use crate::client_auth::Method;
use crate::error::{Error, ErrorCode};
use crate::keys_uri::KeysUri;
use crate::scope::Scopes;

/// Bytes of a request.
const LARGEST: usize = 32 * 1024;

/// What only the server says of a client: an update does not have it (RFC 7592, section 2.2).
const SERVERS_OWN: [&str; 4] =
    ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"];

/// What a client asks for. Members that are not known here are ignored (RFC 7591, section 2), and null is as absent.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    /// Which client this is, in an update.
    pub client_id: Option<String>,
    /// Its secret, in an update that says it.
    pub client_secret: Option<String>,
    client_name: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
    scope: Option<String>,
    #[serde(flatten)]
    metadata: ClientMetadata,
}

/// What is open to clients that register themselves.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Grants.
    pub grant_types: Vec<String>,
    /// Ways to authenticate; the first one is that of a client that asks for none and may not have `client_secret_basic`.
    pub auth_methods: Vec<Method>,
    /// Scopes; all of them for a client that asks for none.
    pub scopes: Scopes,
    /// From where keys are fetched (`jwks_uri`): scheme, host and port of each place.
    pub key_origins: Vec<String>,
}

/// What a client gets: all that counts, what it did not ask for included (D88).
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// For people.
    pub client_name: Option<String>,
    /// Grants it may use.
    pub grant_types: Vec<String>,
    /// How it must authenticate.
    pub auth_method: Method,
    /// Scopes it may ask for.
    pub scope: Scopes,
    /// What it tells of itself.
    pub metadata: ClientMetadata,
}

impl Effective {
    /// Whether it proves itself with a secret.
    pub fn has_secret(&self) -> bool {
        keeps_secret(Some(self.auth_method.as_str()))
    }
}

/// Reads a request to register or, with `update`, to change a registration.
pub fn read(body: &[u8], update: bool) -> Result<Asked, Error> {
    if body.len() > LARGEST {
        return Err(malformed("The metadata is larger than 32 KiB"));
    }
    let mut members: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| malformed("The body is no JSON object"))?;
    members.retain(|_, value| !value.is_null());
    if update && let Some(own) = SERVERS_OWN.iter().find(|own| members.contains_key(**own)) {
        return Err(Error::invalid_request(format!("`{own}` is not the client's to say: leave it out")));
    }
    let texts = |uris: &Value| uris.as_array().is_some_and(|uris| uris.iter().all(Value::is_string));
    if members.get("redirect_uris").is_some_and(|uris| !texts(uris)) {
        return Err(Error::new(ErrorCode::InvalidRedirectUri, "`redirect_uris` is no list of texts"));
    }
    // What it says of the value is not told: that may be long, or a secret in the wrong place.
    serde_json::from_value(Value::Object(members))
        .map_err(|_| malformed("A member has a value of another type than RFC 7591 gives it"))
}

/// What the client gets, within what is on offer; or why it gets nothing.
pub fn settle(asked: Asked, offer: &Offer) -> Result<Effective, Unfit> {
    let Asked { client_name, grant_types, response_types, token_endpoint_auth_method, scope, metadata, .. } = asked;
    let grant_types = granted(grant_types, offer)?;
    if let Some(asked) = &response_types {
        check_response_types(asked, &grant_types)?;
    }
    let native = metadata.application_type.as_deref() == Some("native");
    let auth_method = method(token_endpoint_auth_method.as_deref(), native, offer)?;
    let scope = scopes(scope.as_deref(), offer)?;
    if client_name.as_deref().is_some_and(|name| name.chars().any(char::is_control)) {
        return Err(self::metadata("client_name", "the name has control characters", "text for people"));
    }
    // D92: this server is not led anywhere by whoever registers.
    if let Some(uri) = &metadata.jwks_uri {
        let known = KeysUri::parse(uri).is_some_and(|uri| offer.key_origins.iter().any(|known| *known == uri.origin));
        if !known {
            return Err(self::metadata("jwks_uri", "nothing is fetched from there", "give `jwks`"));
        }
    }
    check(&Registration {
        grant_types: &grant_types,
        auth_method: Some(auth_method.as_str()),
        has_secret: keeps_secret(Some(auth_method.as_str())),
        // It gets another one where it needs that.
        only_hash: false,
        name: client_name.as_deref(),
        scope: &scope,
        default_scope: None,
        metadata: &metadata,
    })?;
    Ok(Effective { client_name, grant_types, auth_method, scope, metadata })
}

/// RFC 7591, section 2: without a word, authorization_code.
fn granted(asked: Option<Vec<String>>, offer: &Offer) -> Result<Vec<String>, Unfit> {
    let mut granted: Vec<String> = Vec::new();
    for grant in asked.unwrap_or_else(|| vec![String::from(AUTHORIZATION_CODE)]) {
        if !offer.grant_types.contains(&grant) {
            return Err(metadata(
                "grant_types",
                format!("the grant `{}` is not offered", super::start(&grant)),
                "one that is offered",
            ));
        }
        if !granted.contains(&grant) {
            granted.push(grant);
        }
    }
    Ok(granted)
}

/// RFC 7591, section 2: without a word, client_secret_basic; but a native application keeps no secret (D40).
fn method(asked: Option<&str>, native: bool, offer: &Offer) -> Result<Method, Unfit> {
    let refused = |asked: &str| {
        let message = format!("the method `{}` is not offered", super::start(asked));
        metadata("token_endpoint_auth_method", message, "one that is offered")
    };
    let Some(asked) = asked else {
        let usual = if native { Method::None } else { Method::ClientSecretBasic };
        let method = offer.auth_methods.iter().find(|method| **method == usual).or(offer.auth_methods.first());
        return method.copied().ok_or_else(|| refused(usual.as_str()));
    };
    Method::parse(asked).filter(|method| offer.auth_methods.contains(method)).ok_or_else(|| refused(asked))
}

fn scopes(asked: Option<&str>, offer: &Offer) -> Result<Scopes, Unfit> {
    let Some(asked) = asked else { return Ok(offer.scopes.clone()) };
    let scopes =
        Scopes::parse(asked).ok_or_else(|| metadata("scope", "this is no list of scopes", "names with a space"))?;
    if let Some(other) = scopes.iter().find(|scope| !offer.scopes.contains(scope)) {
        return Err(metadata(
            "scope",
            format!("the scope `{}` is not offered", super::start(other)),
            "one that is offered",
        ));
    }
    Ok(scopes)
}

fn malformed(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::InvalidClientMetadata, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn offer() -> Offer {
        Offer {
            grant_types: [AUTHORIZATION_CODE, "refresh_token", "client_credentials"].map(String::from).into(),
            auth_methods: vec![Method::ClientSecretPost, Method::ClientSecretBasic, Method::None],
            scopes: Scopes::parse("a b").expect("scopes"),
            key_origins: vec!["https://keys.example".into()],
        }
    }

    fn settled(asked: Value) -> Result<Effective, String> {
        let asked = read(asked.to_string().as_bytes(), false).map_err(|error| error.to_string())?;
        settle(asked, &offer()).map_err(|unfit| format!("{} {}", unfit.code, unfit.field))
    }

    const URI: &str = "https://a.example/cb";

    /// D88: what was not asked for is told too.
    #[test]
    fn rfc7591_2_defaults() {
        let got = settled(json!({ "redirect_uris": [URI] })).expect("registered");
        assert_eq!(
            (got.grant_types.as_slice(), got.auth_method),
            (&["authorization_code".into()][..], Method::ClientSecretBasic)
        );
        assert_eq!((got.scope.to_string().as_str(), got.client_name.as_deref(), got.has_secret()), ("a b", None, true));
        let got = settled(json!({ "redirect_uris": ["com.example.app:/cb"], "application_type": "native" }));
        let got = got.expect("registered");
        assert_eq!((got.auth_method, got.has_secret()), (Method::None, false));
        // What is not known is ignored, and null is as absent (RFC 7592, section 2.2).
        let got =
            settled(json!({ "redirect_uris": [URI], "scope": null, "x": { "y": [] }, "client_name#de": "Laden" }));
        assert_eq!(got.expect("registered").scope.to_string(), "a b");
        let got = settled(json!({ "grant_types": ["client_credentials", "client_credentials"], "scope": "b" }))
            .expect("registered");
        assert_eq!(
            (got.grant_types.as_slice(), got.scope.to_string().as_str()),
            (&["client_credentials".into()][..], "b")
        );
    }

    /// D89, D90, D92
    #[test]
    fn rfc7591_3_2_2_what_is_refused() {
        let uris = json!([URI]);
        for (asked, expected) in [
            (json!({}), "invalid_redirect_uri redirect_uris"),
            (json!({ "redirect_uris": [] }), "invalid_redirect_uri redirect_uris"),
            (json!({ "redirect_uris": ["http://a.example/"] }), "invalid_redirect_uri redirect_uris"),
            (json!({ "redirect_uris": uris, "grant_types": ["password"] }), "invalid_client_metadata grant_types"),
            (json!({ "redirect_uris": uris, "response_types": ["token"] }), "invalid_client_metadata response_types"),
            (
                json!({ "grant_types": ["client_credentials"], "response_types": ["code"] }),
                "invalid_client_metadata response_types",
            ),
            (
                json!({ "redirect_uris": uris, "token_endpoint_auth_method": "private_key_jwt" }),
                "invalid_client_metadata token_endpoint_auth_method",
            ),
            (
                json!({ "redirect_uris": uris, "token_endpoint_auth_method": "x" }),
                "invalid_client_metadata token_endpoint_auth_method",
            ),
            (
                json!({ "grant_types": ["client_credentials"], "token_endpoint_auth_method": "none" }),
                "invalid_client_metadata grant_types",
            ),
            (json!({ "redirect_uris": uris, "scope": "a c" }), "invalid_client_metadata scope"),
            (json!({ "redirect_uris": uris, "scope": "\"" }), "invalid_client_metadata scope"),
            (json!({ "redirect_uris": uris, "client_name": "a\u{1b}[31m" }), "invalid_client_metadata client_name"),
            (json!({ "redirect_uris": uris, "jwks_uri": "https://10.0.0.1/" }), "invalid_client_metadata jwks_uri"),
            (
                json!({ "redirect_uris": uris, "jwks_uri": "https://keys.example.evil.example/" }),
                "invalid_client_metadata jwks_uri",
            ),
            (
                json!({ "redirect_uris": uris, "jwks_uri": "https://keys.example@evil.example/" }),
                "invalid_client_metadata jwks_uri",
            ),
            (json!({ "redirect_uris": uris, "jwks_uri": "http://keys.example/" }), "invalid_client_metadata jwks_uri"),
            (json!({ "redirect_uris": uris, "logo_uri": "http://10.0.0.1/" }), "invalid_client_metadata logo_uri"),
        ] {
            assert_eq!(settled(asked.clone()), Err(String::from(expected)), "{asked}");
        }
    }

    #[test]
    fn rfc7591_3_1_bodies_that_are_none() {
        let large = json!({ "redirect_uris": [URI], "x": "x".repeat(LARGEST) }).to_string();
        for (body, error) in [
            (&b""[..], "invalid_client_metadata"),
            (b"[]", "invalid_client_metadata"),
            (b"{", "invalid_client_metadata"),
            (b"\xff", "invalid_client_metadata"),
            (large.as_bytes(), "invalid_client_metadata"),
            (br#"{"redirect_uris": "https://a.example/"}"#, "invalid_redirect_uri"),
            (br#"{"redirect_uris": [7]}"#, "invalid_redirect_uri"),
            (br#"{"grant_types": "authorization_code"}"#, "invalid_client_metadata"),
            (br#"{"client_name": 7}"#, "invalid_client_metadata"),
            (br#"{"contacts": {}}"#, "invalid_client_metadata"),
        ] {
            let read = read(body, false).map_err(|error| error.code.as_str());
            assert_eq!(read.err(), Some(error), "{}", body[..body.len().min(60)].escape_ascii());
        }
        assert!(read(br#"{"registration_access_token": "x"}"#, false).is_ok(), "ignored like any other");
    }

    #[test]
    fn rfc7592_2_2_an_update_says_nothing_that_is_the_servers() {
        for own in SERVERS_OWN {
            let error = read(json!({ "client_id": "app", own: "x" }).to_string().as_bytes(), true).expect_err(own);
            assert_eq!(error.code, ErrorCode::InvalidRequest);
        }
        let asked =
            read(br#"{"client_id": "app", "client_secret": "s", "client_name": null}"#, true).expect("an update");
        assert_eq!((asked.client_id.as_deref(), asked.client_secret.as_deref()), (Some("app"), Some("s")));
    }

    #[test]
    fn rfc7591_2_a_method_that_is_not_offered_is_not_the_default() {
        let offer = Offer { auth_methods: vec![Method::None], ..offer() };
        let asked = |asked: Value| read(asked.to_string().as_bytes(), false).expect("asked");
        let got = settle(asked(json!({ "redirect_uris": [URI] })), &offer).expect("registered");
        assert_eq!(got.auth_method, Method::None);
        let nothing = Offer { auth_methods: vec![], ..offer };
        assert!(settle(asked(json!({ "redirect_uris": [URI] })), &nothing).is_err());
    }
}
