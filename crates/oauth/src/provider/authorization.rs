//! How a person is sent to a provider, and what is believed when they come back (RFC 6749, section 4.1; RFC 7636; RFC 9207).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use form_urlencoded::Serializer;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Endpoints, Provider};
use crate::scope::Scopes;
use crate::secret::Secret;

/// What a person is sent to a provider with.
pub struct Request<'a> {
    /// Where they are to come back to.
    pub redirect_uri: &'a str,
    /// What for.
    pub scopes: &'a Scopes,
    /// What tells this journey from others.
    pub state: &'a str,
    /// What the challenge is made from.
    pub verifier: &'a Secret,
    /// For the ID token, where one is asked for.
    pub nonce: Option<&'a str>,
    /// More parameters, as `prompt`. They replace none of the others.
    pub more: &'a [(String, String)],
}

/// What a person comes back with.
#[derive(Clone, Copy, Default)]
pub struct Return<'a> {
    /// `state`
    pub state: Option<&'a str>,
    /// `iss`
    pub iss: Option<&'a str>,
    /// `code`
    pub code: Option<&'a str>,
    /// `error`
    pub error: Option<&'a str>,
}

/// Why a code is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is not what this browser was sent away with: somebody else's, or a forgery.
    State,
    /// Another server says so, or it does not say which (a mix-up attack).
    Issuer,
    /// The user, or the provider, said no; with the error, where it looks like one.
    Refused(Option<String>),
    /// There is neither a code nor an error.
    Empty,
}

/// The parameters that an author does not choose.
pub const OURS: [&str; 8] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "nonce",
];

/// Where the browser goes. The endpoint keeps the query that it has (RFC 6749, section 3.1).
pub fn url(provider: &Provider, endpoint: &str, request: &Request<'_>) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(request.verifier.expose()));
    let scope = request.scopes.iter().map(|name| &**name).collect::<Vec<_>>().join(" ");
    let mut query = Serializer::new(String::new());
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", provider.client_id.as_str())
        .append_pair("redirect_uri", request.redirect_uri);
    if !scope.is_empty() {
        query.append_pair("scope", &scope);
    }
    query
        .append_pair("state", request.state)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    if let Some(nonce) = request.nonce {
        query.append_pair("nonce", nonce);
    }
    let more = request.more.iter().filter(|(name, _)| !OURS.contains(&name.as_str()));
    query.extend_pairs(more);
    let joint = if endpoint.contains('?') { '&' } else { '?' };
    format!("{endpoint}{joint}{}", query.finish())
}

/// The code, where it is from this provider and for the journey with this `state`. Who says so is looked at before what they say, errors
/// included (RFC 9207, section 2.4).
pub fn check(provider: &Provider, endpoints: &Endpoints, state: &str, came: &Return<'_>) -> Result<Secret, Unfit> {
    let same = came.state.is_some_and(|came| came.as_bytes().ct_eq(state.as_bytes()).into());
    if !same {
        return Err(Unfit::State);
    }
    match (&provider.issuer, came.iss) {
        (Some(issuer), Some(iss)) if issuer.as_str() != iss => return Err(Unfit::Issuer),
        (Some(_), None) if endpoints.says_iss => return Err(Unfit::Issuer),
        _ => {}
    }
    if let Some(error) = came.error {
        let plain = error.len() <= 64 && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        return Err(Unfit::Refused(plain.then(|| error.to_owned())));
    }
    came.code.map(|code| Secret::new(code.to_owned())).ok_or(Unfit::Empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_auth::Method;
    use crate::pkce;
    use crate::provider::example;

    #[test]
    fn rfc6749_4_1_1_what_a_person_is_sent_with() {
        let provider = example(Method::ClientSecretBasic, "gate way", "geheim");
        let verifier = Secret::new("v".repeat(43));
        let more = [("prompt".to_owned(), "login".to_owned()), ("state".to_owned(), "forged".to_owned())];
        let request = Request {
            redirect_uri: "https://gw/cb?a=1",
            scopes: &Scopes::parse("openid a").unwrap(),
            state: "s&1",
            verifier: &verifier,
            nonce: Some("n"),
            more: &more,
        };
        let sent = url(&provider, "https://login.example.com/authorize?tenant=1", &request);
        let (endpoint, query) = sent.split_once("?tenant=1&").expect("the endpoint's own query stays");
        assert_eq!(endpoint, "https://login.example.com/authorize");
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let get =
            |name: &str| pairs.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect::<Vec<_>>().join("|");
        assert_eq!(
            (get("response_type"), get("client_id"), get("scope")),
            ("code".into(), "gate way".into(), "openid a".into())
        );
        assert_eq!(
            (get("redirect_uri"), get("state"), get("nonce")),
            ("https://gw/cb?a=1".into(), "s&1".into(), "n".into())
        );
        assert_eq!(get("prompt"), "login");
        // D30, D31: our own server takes the challenge, and the verifier for it.
        let method = get("code_challenge_method");
        let challenge = pkce::Challenge::read(Some(&get("code_challenge")), Some(&method), false).unwrap();
        assert!(pkce::verify(challenge.as_ref(), Some(verifier.expose())).is_ok());
        assert!(!sent.contains("geheim") && !sent.contains(verifier.expose()));
        let bare = Request { scopes: &Scopes::default(), nonce: None, more: &[], ..request };
        let sent = url(&provider, "https://l/a", &bare);
        assert!(
            sent.starts_with("https://l/a?response_type=code&") && !sent.contains("scope=") && !sent.contains("nonce=")
        );
    }

    /// D13, D41: state and issuer are looked at before anything else, in errors too.
    #[test]
    fn rfc9207_2_4_who_answers_is_checked_before_what_they_say() {
        let provider = example(Method::ClientSecretBasic, "app", "s");
        let says = Endpoints { says_iss: true, ..Endpoints::default() };
        let quiet = Endpoints::default();
        let issuer = "https://login.example.com/tenant";
        let good = Return { state: Some("s"), iss: Some(issuer), code: Some("c"), error: None };
        let code = |endpoints: &Endpoints, came: Return<'_>| {
            check(&provider, endpoints, "s", &came).map(|code| code.expose().to_owned())
        };
        assert_eq!(code(&says, good), Ok("c".into()));
        assert_eq!(code(&quiet, Return { iss: None, ..good }), Ok("c".into()));
        for endpoints in [&says, &quiet] {
            for iss in ["https://evil.example", "https://login.example.com/tenant/", ""] {
                assert_eq!(code(endpoints, Return { iss: Some(iss), ..good }), Err(Unfit::Issuer), "{iss}");
                let error = Return { iss: Some(iss), code: None, error: Some("access_denied"), ..good };
                assert_eq!(code(endpoints, error), Err(Unfit::Issuer));
            }
        }
        assert_eq!(code(&says, Return { iss: None, ..good }), Err(Unfit::Issuer));
        for state in [None, Some(""), Some("S"), Some("ss")] {
            assert_eq!(code(&quiet, Return { state, iss: Some("https://evil.example"), ..good }), Err(Unfit::State));
        }
        let refused = |error| code(&says, Return { error: Some(error), ..good });
        assert_eq!(
            refused("access_denied"),
            Err(Unfit::Refused(Some("access_denied".into()))),
            "an error beats a code"
        );
        assert_eq!(refused("<script>"), Err(Unfit::Refused(None)));
        assert_eq!(code(&says, Return { code: None, ..good }), Err(Unfit::Empty));
        // A provider whose issuer nobody named: there is nothing to compare with.
        let mut unnamed = example(Method::ClientSecretBasic, "app", "s");
        unnamed.issuer = None;
        assert!(check(&unnamed, &quiet, "s", &good).is_ok());
    }
}
