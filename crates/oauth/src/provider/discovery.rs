//! Where a provider's endpoints are: its own metadata (RFC 8414; OpenID Connect Discovery).

use serde_json::{Map, Value};

use super::{Endpoints, Provider};
use crate::metadata::Issuer;

/// Where the metadata may be, in the order in which it is looked for: RFC 8414, section 3.1, and OpenID Connect Discovery, section 4, which
/// puts its own behind the path.
pub fn locations(issuer: &Issuer) -> [String; 2] {
    let behind = format!("{}{}/.well-known/openid-configuration", issuer.origin(), issuer.path());
    [format!("{}{}", issuer.origin(), issuer.metadata_path()), behind]
}

/// Reads the metadata of this provider's issuer.
pub fn read(issuer: &Issuer, body: &[u8]) -> Result<Endpoints, String> {
    let json: Map<String, Value> = serde_json::from_slice(body).map_err(|_| String::from("it is no JSON object"))?;
    // RFC 8414, section 3.3: metadata that names another issuer must not be used. Compared byte for byte.
    if json.get("issuer").and_then(Value::as_str) != Some(issuer.as_str()) {
        return Err(String::from("its `issuer` is not the one that it was asked for"));
    }
    let url = |name: &str| match json.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(url)) if is_endpoint(url) => Ok(Some(url.clone())),
        Some(_) => Err(format!("its `{name}` is no https URL")),
    };
    Ok(Endpoints {
        authorization: url("authorization_endpoint")?,
        token: url("token_endpoint")?,
        revocation: url("revocation_endpoint")?,
        jwks: url("jwks_uri")?,
        says_iss: json.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
    })
}

/// Whether this can be an endpoint: an https URL (http on loopback) without user and fragment; it may have a query (RFC 6749, sections 3.1
/// and 3.2).
pub fn is_endpoint(url: &str) -> bool {
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    Issuer::parse(before).is_some() && query.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

/// The origin of an URL: scheme, host and port.
pub fn origin(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
    &url[..end]
}

impl Provider {
    /// What the gateway itself calls of these, one after the other: each with its name in metadata.
    pub fn called<'a>(&'a self, endpoints: &'a Endpoints) -> impl Iterator<Item = (&'static str, &'a str)> {
        [
            ("issuer", self.issuer.as_ref().map(Issuer::as_str)),
            ("token_endpoint", endpoints.token.as_deref()),
            ("revocation_endpoint", endpoints.revocation.as_deref()),
            ("jwks_uri", endpoints.jwks.as_deref()),
        ]
        .into_iter()
        .filter_map(|(name, url)| Some((name, url?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tenant() -> Issuer {
        Issuer::parse("https://login.example.com/tenant").unwrap()
    }

    /// D35: the well-known part stands between host and path; OpenID puts it behind.
    #[test]
    fn rfc8414_3_1_where_metadata_is() {
        assert_eq!(
            locations(&tenant()),
            [
                "https://login.example.com/.well-known/oauth-authorization-server/tenant",
                "https://login.example.com/tenant/.well-known/openid-configuration",
            ]
        );
        let root = Issuer::parse("http://127.0.0.1:9/").unwrap();
        assert_eq!(locations(&root)[1], "http://127.0.0.1:9/.well-known/openid-configuration");
    }

    /// D36: an issuer is compared byte for byte.
    #[test]
    fn rfc8414_3_3_metadata_of_another_issuer_is_refused() {
        let found = json!({
            "issuer": "https://login.example.com/tenant",
            "token_endpoint": "https://login.example.com/t?x=1",
            "jwks_uri": null,
            "authorization_response_iss_parameter_supported": true,
        });
        let endpoints = read(&tenant(), found.to_string().as_bytes()).unwrap();
        assert_eq!(endpoints.token.as_deref(), Some("https://login.example.com/t?x=1"));
        assert!(endpoints.says_iss && endpoints.jwks.is_none());
        for issuer in
            ["https://login.example.com/tenant/", "https://login.example.com", "https://LOGIN.example.com/tenant"]
        {
            let mut other = found.clone();
            other["issuer"] = json!(issuer);
            assert!(read(&tenant(), other.to_string().as_bytes()).unwrap_err().contains("`issuer`"), "{issuer}");
        }
        assert!(read(&tenant(), b"{}").is_err() && read(&tenant(), b"<html>").is_err());
        for endpoint in
            ["http://login.example.com/t", "https://u@login.example.com/t", "https://l/t#x", "/t", "javascript:x"]
        {
            let mut other = found.clone();
            other["token_endpoint"] = json!(endpoint);
            assert!(
                read(&tenant(), other.to_string().as_bytes()).unwrap_err().contains("`token_endpoint`"),
                "{endpoint}"
            );
        }
    }

    #[test]
    fn origins_are_without_path_and_query() {
        for (url, of) in
            [("https://a:1/b?c", "https://a:1"), ("https://a?c", "https://a"), ("http://[::1]:9", "http://[::1]:9")]
        {
            assert_eq!(origin(url), of);
        }
    }
}
