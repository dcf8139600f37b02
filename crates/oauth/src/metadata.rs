//! The issuer, and the server's metadata (RFC 8414).

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What an issuer must be like, for messages.
pub const ISSUER_RULE: &str = "an issuer is an https URL without user, query and fragment (http only for localhost, \
     127.0.0.1 and [::1]), as \"https://login.example.com\"";

/// Where RFC 8414 puts the metadata, before the issuer's path.
const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

/// What OpenID Connect calls its document.
const OPENID: &str = "/.well-known/openid-configuration";

/// The authorization server's identifier: compared byte for byte by everybody, and so kept as it was written (section
/// 2).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Issuer(String);

impl Issuer {
    /// Checks an issuer: `https`, or `http` on a loopback host; no user, query or fragment.
    pub fn parse(text: &str) -> Option<Issuer> {
        let (secure, rest) = match text.split_once("://")? {
            ("https", rest) => (true, rest),
            ("http", rest) => (false, rest),
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = host(authority)?;
        let path_ok = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:@".contains(&b));
        (path_ok && (secure || is_loopback(host))).then(|| Issuer(text.to_owned()))
    }

    /// The issuer, as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.0[..self.path_start()]
    }

    /// The path without a slash at its end; empty where there is none.
    pub fn path(&self) -> &str {
        self.0[self.path_start()..].trim_end_matches('/')
    }

    /// The path of the metadata: the well-known part stands between host and path (section 3.1).
    pub fn metadata_path(&self) -> String {
        format!("{WELL_KNOWN}{}", self.path())
    }

    /// The paths of OpenID Connect's document: after the issuer's path (OpenID Connect Discovery, section 4), and, as RFC 8414, section 5
    /// would have it, before.
    pub fn openid_paths(&self) -> [String; 2] {
        [format!("{}{OPENID}", self.path()), format!("{OPENID}{}", self.path())]
    }

    fn path_start(&self) -> usize {
        let authority = self.0.find("://").map_or(0, |at| at + 3);
        self.0[authority..].find('/').map_or(self.0.len(), |at| authority + at)
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Issuer {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(d)?;
        Issuer::parse(&text).ok_or_else(|| serde::de::Error::custom(ISSUER_RULE))
    }
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`, checked; no user before it.
fn host(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port.strip_prefix(':').or(port.is_empty().then_some("0"))?)
        }
        None => {
            let (host, port) = authority.split_once(':').unwrap_or((authority, "0"));
            let named = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
            (named && !host.is_empty()).then_some((host, port))?
        }
    };
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    (digits && port.parse::<u16>().is_ok()).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The document, built up from what is really there.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Metadata(serde_json::Map<String, serde_json::Value>);

impl Metadata {
    /// That of this issuer, with nothing else yet.
    pub fn new(issuer: &Issuer) -> Metadata {
        let mut map = serde_json::Map::new();
        map.insert("issuer".into(), issuer.as_str().into());
        Metadata(map)
    }

    /// States an endpoint: its URL is the issuer's host with this path. The first one of a name stands.
    pub fn endpoint(&mut self, issuer: &Issuer, name: &str, path: &str) {
        self.0.entry(name).or_insert_with(|| format!("{}{path}", issuer.origin()).into());
    }

    /// States a list, each value once and sorted; an empty one is left out (section 3.2).
    pub fn list<'a>(&mut self, name: &str, values: impl IntoIterator<Item = &'a str>) {
        let values: std::collections::BTreeSet<&str> = values.into_iter().collect();
        if !values.is_empty() {
            self.0.insert(name.to_owned(), values.into_iter().collect());
        }
    }

    /// States that something is so, or not, where leaving it out would say the other.
    pub fn flag(&mut self, name: &str, is_so: bool) {
        self.0.insert(name.to_owned(), is_so.into());
    }

    /// Whether something of this name is stated.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(text: &str) -> Issuer {
        Issuer::parse(text).expect(text)
    }

    /// D36: https, or loopback http; no user, query or fragment; kept byte for byte.
    #[test]
    fn rfc8414_2_issuers() {
        for good in [
            "https://login.example.com",
            "https://login.example.com/",
            "https://login.example.com:8443/tenant/one",
            "https://[2001:db8::1]:443",
            "http://localhost:8080",
            "http://127.0.0.1:8080",
            "http://[::1]",
        ] {
            assert_eq!(issuer(good).as_str(), good);
        }
        for bad in [
            "",
            "https://",
            "https:///tenant",
            "login.example.com",
            "HTTPS://login.example.com",
            "http://login.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "https://login.example.com?tenant=1",
            "https://login.example.com/?tenant=1",
            "https://login.example.com/#x",
            "https://user@login.example.com",
            "https://user:pw@login.example.com",
            "https://login.example.com:",
            "https://login.example.com:x",
            "https://login.example.com:65536",
            "https://login.example.com/a b",
            "https://login.example.com\\evil",
            "https://[::1",
            "https://[localhost]",
            "ftp://localhost",
        ] {
            assert_eq!(Issuer::parse(bad), None, "{bad}");
        }
        assert!(serde_json::from_str::<Issuer>("\"http://example.com\"").is_err());
    }

    /// D35: the well-known part stands between host and path.
    #[test]
    fn rfc8414_3_1_well_known_before_the_path() {
        for (of, path) in [
            ("https://a.example", "/.well-known/oauth-authorization-server"),
            ("https://a.example/", "/.well-known/oauth-authorization-server"),
            ("https://a.example/tenant", "/.well-known/oauth-authorization-server/tenant"),
            ("https://a.example:1/tenant/one/", "/.well-known/oauth-authorization-server/tenant/one"),
        ] {
            assert_eq!(issuer(of).metadata_path(), path);
        }
        for (of, paths) in [
            ("https://a.example/", ["/.well-known/openid-configuration", "/.well-known/openid-configuration"]),
            (
                "https://a.example/tenant/",
                ["/tenant/.well-known/openid-configuration", "/.well-known/openid-configuration/tenant"],
            ),
        ] {
            assert_eq!(issuer(of).openid_paths(), paths);
        }
        assert_eq!(issuer("https://a.example:1/tenant").origin(), "https://a.example:1");
        assert_eq!(issuer("http://[::1]:80").origin(), "http://[::1]:80");
    }

    /// D37: empty lists are left out; D36: the issuer is the configured one.
    #[test]
    fn rfc8414_3_2_only_what_there_is() {
        let issuer = issuer("https://a.example/tenant");
        let mut metadata = Metadata::new(&issuer);
        metadata.endpoint(&issuer, "token_endpoint", "/api/oauth/token");
        metadata.endpoint(&issuer, "token_endpoint", "/another");
        metadata.list("grant_types_supported", ["client_credentials", "client_credentials"]);
        metadata.list("response_types_supported", []);
        assert_eq!(
            serde_json::to_value(&metadata).expect("json"),
            serde_json::json!({
                "issuer": "https://a.example/tenant",
                "token_endpoint": "https://a.example/api/oauth/token",
                "grant_types_supported": ["client_credentials"],
            })
        );
        assert!(metadata.has("token_endpoint") && !metadata.has("response_types_supported"));
    }
}
