//! Log-out that a client begins (OpenID Connect RP-Initiated Logout 1.0, sections 2 and 3).

use crate::authorization::Parameters;
use crate::error::Error;
use crate::id::ClientId;
use crate::jose::{Algorithm, Jws, KeySet};
use crate::metadata::Issuer;
use crate::openid;
use crate::redirect_uri;

/// What a log-out request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// An ID token of the user's, from the client.
    pub id_token_hint: Option<&'a str>,
    client_id: Option<&'a str>,
    post_logout_redirect_uri: Option<&'a str>,
    state: Option<&'a str>,
}

/// What an ID token that we issued says of a log-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Who logged in.
    pub subject: String,
    /// The client that was told so.
    pub client_id: ClientId,
}

impl<'a> Asked<'a> {
    /// Reads a request. An error is for the user: there is nobody else to tell.
    pub fn read(parameters: &'a Parameters) -> Result<Asked<'a>, Error> {
        Ok(Asked {
            id_token_hint: parameters.one("id_token_hint")?,
            client_id: parameters.one("client_id")?,
            post_logout_redirect_uri: parameters.one("post_logout_redirect_uri")?,
            state: parameters.short("state")?,
        })
    }

    /// The client that asks, where it says so or the hint does; both must say the same (section 2). A hint that is not believed, since its key
    /// is published no more say, names the client as anybody may by `client_id`.
    pub fn client_id(&self, hint: Option<&Hint>) -> Result<Option<ClientId>, Error> {
        match (self.client_id, hint) {
            (Some(named), Some(hint)) if named != hint.client_id.as_str() => {
                Err(Error::invalid_request("`client_id` is another client than `id_token_hint` was issued to"))
            }
            (Some(named), _) => Ok(Some(ClientId::new(named))),
            (None, Some(hint)) => Ok(Some(hint.client_id.clone())),
            (None, None) => Ok(self.id_token_hint.and_then(unproved_audience)),
        }
    }

    /// Where the browser is to go afterwards: only to what is registered for the client, character for character (section 3), with the state.
    pub fn target(&self, registered: &[String]) -> Result<Option<String>, Error> {
        let Some(named) = self.post_logout_redirect_uri else { return Ok(None) };
        if !registered.iter().any(|uri| uri == named) {
            let why = "`post_logout_redirect_uri` is not one of those that are registered for the client, which `id_token_hint` or `client_id` \
                       must name";
            return Err(Error::invalid_request(why));
        }
        Ok(Some(redirect_uri::with_parameters(named, self.state.map(|state| ("state", state)))))
    }
}

/// What an ID token says that we issued; none where one of these keys did not sign it. It may have expired: it only says for whom it was
/// (section 2).
pub fn hint(token: &str, issuer: &Issuer, keys: &KeySet) -> Option<Hint> {
    let parsed = Jws::parse(token).ok().filter(|parsed| parsed.is_typed(openid::TYPE))?;
    let claims = parsed.verify(keys, &Algorithm::PUBLIC).ok()?;
    claims.check_issuer(issuer.as_str()).ok()?;
    let audience = claims.audience().ok()?;
    let [client] = audience.as_slice() else { return None };
    Some(Hint { subject: claims.text("sub")?.to_owned(), client_id: ClientId::new(*client) })
}

fn unproved_audience(token: &str) -> Option<ClientId> {
    Jws::parse(token).ok()?.unproved_text("aud").map(ClientId::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::PrivateKey;
    use serde_json::json;

    const BYE: &str = "https://app.example/bye?x=1";

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        Parameters::of(pairs.iter().copied())
    }

    #[test]
    fn rp_initiated_logout_2_only_a_token_of_ours_is_a_hint() {
        let issuer = Issuer::parse("https://login.example").expect("an issuer");
        let (ours, theirs) = (PrivateKey::generate(Algorithm::Es256), PrivateKey::generate(Algorithm::Es256));
        let (ours, theirs) = (ours.expect("a key"), theirs.expect("a key"));
        let keys = KeySet::new(vec![ours.public("1")]);
        let good = json!({ "iss": "https://login.example", "sub": "ann", "aud": "app", "exp": 1 });
        let of = |key: &PrivateKey, typ: &str, claims: &serde_json::Value| {
            hint(&key.sign("1", typ, claims).expect("signed"), &issuer, &keys)
        };
        let expected = Hint { subject: "ann".into(), client_id: ClientId::new("app") };
        assert_eq!(of(&ours, "JWT", &good), Some(expected), "though it has expired");
        assert_eq!(of(&theirs, "JWT", &good), None);
        assert_eq!(of(&ours, "at+jwt", &good), None, "an access token is none");
        for (name, value) in [
            ("iss", json!("https://other.example")),
            ("sub", json!(7)),
            ("aud", json!(["app", "other"])),
            ("aud", json!(null)),
        ] {
            let mut claims = good.clone();
            claims[name] = value;
            assert_eq!(of(&ours, "JWT", &claims), None, "{name}");
        }
        assert_eq!(hint("garbage", &issuer, &keys), None);
    }

    /// D52: a log-out leads nowhere but to what is registered.
    #[test]
    fn rp_initiated_logout_3_only_to_what_is_registered() {
        let registered = [BYE.to_owned()];
        let of = |pairs: &[(&str, &str)]| Asked::read(&parameters(pairs)).and_then(|asked| asked.target(&registered));
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[("state", "s")]), Ok(None));
        assert_eq!(of(&[("post_logout_redirect_uri", BYE)]), Ok(Some(BYE.to_owned())));
        let with_state = of(&[("post_logout_redirect_uri", BYE), ("state", "a&b")]);
        assert_eq!(with_state, Ok(Some("https://app.example/bye?x=1&state=a%26b".to_owned())));
        for uri in [
            "https://app.example/bye",
            "https://app.example/bye?x=1&y",
            "https://evil.example/bye?x=1",
            "HTTPS://app.example/bye?x=1",
        ] {
            assert!(of(&[("post_logout_redirect_uri", uri)]).is_err(), "{uri}");
        }
        for name in ["post_logout_redirect_uri", "state", "client_id", "id_token_hint"] {
            assert!(of(&[(name, BYE), (name, BYE)]).is_err(), "{name}");
        }
        assert!(of(&[("state", &"x".repeat(2_049))]).is_err(), "it would stand in a header of ours");
    }

    #[test]
    fn rp_initiated_logout_2_who_asks() {
        let hint = Hint { subject: "ann".into(), client_id: ClientId::new("app") };
        let of = |pairs: &[(&str, &str)], hint: Option<&Hint>| {
            let parameters = parameters(pairs);
            let asked = Asked::read(&parameters).expect("once each");
            asked.client_id(hint).map(|found| found.map(|id| id.as_str().to_owned()))
        };
        assert_eq!(of(&[], None), Ok(None));
        assert_eq!(of(&[], Some(&hint)), Ok(Some("app".into())));
        assert_eq!(of(&[("client_id", "app")], Some(&hint)), Ok(Some("app".into())));
        assert_eq!(of(&[("client_id", "other")], None), Ok(Some("other".into())));
        assert!(of(&[("client_id", "other")], Some(&hint)).is_err());
        // The key that signed it is published no more: only the client's name is taken from it, which `client_id` would say as well.
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let old = key.sign("1", "JWT", &json!({ "sub": "ann", "aud": "app" })).expect("signed");
        assert_eq!(of(&[("id_token_hint", &old)], None), Ok(Some("app".into())));
        assert_eq!(of(&[("id_token_hint", &old), ("client_id", "other")], None), Ok(Some("other".into())));
        assert_eq!(of(&[("id_token_hint", "garbage")], None), Ok(None));
    }
}
