//! The authorization request (RFC 6749, section 4.1.1; OpenID Connect Core, section 3.1.2.1) and the answer to it (RFC 9207).
//!
//! It is read in two steps. What is wrong before the client and its redirect URI are proven is told to the user, on a page: an answer that
//! went where the request says would make us an open redirector (RFC 6749, section 4.1.2.1). Everything after that goes to the redirect URI.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::claims_request;
use crate::code::AUTHORIZATION_CODE;
use crate::error::{Error, ErrorCode};
use crate::metadata::Issuer;
use crate::pkce::Challenge;
use crate::redirect_uri;
use crate::refresh::OPENID;
use crate::scope::Scopes;
use crate::token_endpoint::may_use_grant;

/// The longest `state` and `nonce` that are carried.
const LONGEST: usize = 2_048;

/// The parameters of a request, as they came. An empty value is an absent parameter (section 3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

/// Where the answer to a request goes: a redirect URI that is proven to be the client's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The redirect URI.
    pub redirect_uri: String,
    /// Whether it stood in the request: then it must stand in the token request too.
    pub was_named: bool,
    /// `state`, byte for byte.
    pub state: Option<String>,
}

/// What `prompt` asks for (OpenID Connect Core, section 3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Nobody is to be asked anything.
    pub none: bool,
    /// The user is to log in, whoever is logged in.
    pub login: bool,
    /// The user is to be asked for consent, whatever was granted before.
    pub consent: bool,
}

/// What a request asks for, once it is known where answers go.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The scopes; those of the client where none are asked for.
    pub scope: Scopes,
    /// The challenge (RFC 7636).
    pub challenge: Option<Challenge>,
    /// For the ID token.
    pub nonce: Option<String>,
    /// Whom to ask what.
    pub prompt: Prompt,
    /// How old the user's log-in may be, in seconds.
    pub max_age: Option<u64>,
    /// Who the client thinks it is.
    pub login_hint: Option<String>,
    /// Who it must be, by `id_token_hint` or by `claims`. No signature is looked at: what they say is only ever used to refuse.
    pub hinted_subject: Option<String>,
    /// Authentication context classes, the most wanted first.
    pub acr_values: Vec<String>,
    /// Those of which one must be reached; empty where none must.
    pub essential_acr: Vec<String>,
    /// `claims`, as it was sent (OpenID Connect Core, section 5.5).
    pub claims: Option<Value>,
}

/// What is known of the client that a request names.
#[derive(Clone, Copy, Debug)]
pub struct Registered<'a> {
    /// The grants that it may use.
    pub grant_types: &'a [String],
    /// The redirect URIs that it may name.
    pub redirect_uris: &'a [String],
    /// The scopes that it may ask for.
    pub scope: &'a Scopes,
    /// Those that it gets where it asks for none.
    pub default_scope: &'a Scopes,
}

/// What the policy decides.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether a challenge is needed.
    pub needs_challenge: bool,
    /// Whether a plain one will do.
    pub plain: bool,
}

impl Parameters {
    /// The parameters of a query or form.
    pub fn of<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Parameters {
        let filled = pairs.filter(|(_, value)| !value.is_empty());
        Parameters(filled.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The only value of this name: none where it is absent, an error where there are several (section 3.1).
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Error> {
        let mut values = self.iter().filter(|(found, _)| *found == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Error::invalid_request(format!("`{name}` is repeated"))),
        }
    }

    /// The client that the request names. An error is for the user: there is nobody else to tell (D1).
    pub fn client_id(&self) -> Result<&str, Error> {
        self.one("client_id")?.ok_or_else(|| Error::invalid_request("`client_id` is missing"))
    }

    /// Where answers go. An error is for the user.
    pub fn target(&self, registered: &[String]) -> Result<Target, Error> {
        let named = self.one("redirect_uri")?;
        let redirect_uri = match (named, registered) {
            (Some(named), _) => registered.iter().find(|uri| redirect_uri::matches(uri, named)).map(|_| named),
            (None, [only]) => Some(only.as_str()),
            (None, _) => return Err(Error::invalid_request("`redirect_uri` is missing")),
        };
        let redirect_uri = redirect_uri.ok_or_else(|| {
            Error::invalid_request("`redirect_uri` is not one of those that are registered for this client")
        })?;
        // Of several none is the one to echo, and one that is too long is none for a header of ours; `asked` tells of both.
        let state = self.short("state").ok().flatten().map(str::to_owned);
        Ok(Target { redirect_uri: redirect_uri.to_owned(), was_named: named.is_some(), state })
    }

    /// What is asked for. An error goes to the redirect URI.
    pub fn asked(&self, client: Registered<'_>, rules: Rules) -> Result<Asked, Error> {
        self.refuse_what_is_not_supported()?;
        let mut names: Vec<&str> = self.iter().map(|(name, _)| name).filter(|name| *name != "resource").collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::invalid_request("A parameter is repeated"));
        }
        match self.one("response_type")? {
            Some("code") => {}
            Some(_) => return Err(Error::new(ErrorCode::UnsupportedResponseType, "`response_type` must be `code`")),
            None => return Err(Error::invalid_request("`response_type` is missing")),
        }
        may_use_grant(client.grant_types, AUTHORIZATION_CODE)?;
        let scope = self.scope(&client)?;
        if scope.contains(OPENID) && self.one("redirect_uri")?.is_none() {
            return Err(Error::invalid_request("With `openid`, `redirect_uri` must be named"));
        }
        let challenge = Challenge::read(self.one("code_challenge")?, self.one("code_challenge_method")?, rules.plain)?;
        if challenge.is_none() && rules.needs_challenge {
            return Err(Error::invalid_request("`code_challenge` is missing: PKCE with S256 is needed (RFC 7636)"));
        }
        let claims = self.claims()?;
        Ok(Asked {
            scope,
            challenge,
            nonce: self.short("nonce")?.map(str::to_owned),
            prompt: self.prompt()?,
            max_age: self.max_age()?,
            login_hint: self.one("login_hint")?.filter(|hint| hint.len() <= 256).map(str::to_owned),
            hinted_subject: self.hinted_subject(claims.as_ref())?,
            acr_values: match self.one("acr_values")? {
                Some(all) => all.split(' ').map(str::to_owned).collect(),
                None => claims.as_ref().map(claims_request::wished_acr).unwrap_or_default(),
            },
            essential_acr: claims.as_ref().map(claims_request::essential_acr).unwrap_or_default(),
            claims,
        })
    }

    fn refuse_what_is_not_supported(&self) -> Result<(), Error> {
        for (name, code) in [
            ("request", ErrorCode::RequestNotSupported),
            ("request_uri", ErrorCode::RequestUriNotSupported),
            ("registration", ErrorCode::RegistrationNotSupported),
        ] {
            if self.iter().any(|(found, _)| found == name) {
                return Err(Error::new(code, format!("`{name}` is not supported")));
            }
        }
        if self.one("response_mode")?.is_some_and(|mode| mode != "query") {
            return Err(Error::invalid_request("`response_mode` must be `query`"));
        }
        self.short("state").map(drop)
    }

    /// The only value of this name, where it is short enough to be kept or sent on.
    pub(crate) fn short(&self, name: &str) -> Result<Option<&str>, Error> {
        match self.one(name)? {
            Some(value) if value.len() > LONGEST => Err(Error::invalid_request(format!("`{name}` is too long"))),
            value => Ok(value),
        }
    }

    fn scope(&self, client: &Registered<'_>) -> Result<Scopes, Error> {
        let Some(text) = self.one("scope")? else { return Ok(client.default_scope.clone()) };
        let refused = |why: &'static str| Error::new(ErrorCode::InvalidScope, why);
        let scope = Scopes::parse(text).ok_or_else(|| refused("`scope` is no list of scopes"))?;
        match scope.within(client.scope) {
            true if !scope.is_empty() => Ok(scope),
            true => Ok(client.default_scope.clone()),
            false => Err(refused("The client is not registered for one of these scopes")),
        }
    }

    fn prompt(&self) -> Result<Prompt, Error> {
        let mut prompt = Prompt::default();
        let words: Vec<&str> =
            self.one("prompt")?.unwrap_or_default().split(' ').filter(|word| !word.is_empty()).collect();
        for word in &words {
            match *word {
                "none" => prompt.none = true,
                // Whoever wants to choose logs in anew, under any name.
                "login" | "select_account" => prompt.login = true,
                "consent" => prompt.consent = true,
                // An unknown value is none of ours to refuse for (OpenID Connect's Initiating User Registration adds `create`).
                _ => {}
            }
        }
        if prompt.none && words.len() > 1 {
            return Err(Error::invalid_request("`prompt` has `none` and something else"));
        }
        Ok(prompt)
    }

    fn hinted_subject(&self, claims: Option<&Value>) -> Result<Option<String>, Error> {
        let subject = |token: &str| -> Option<String> {
            let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
            Some(serde_json::from_slice::<Value>(&payload).ok()?.get("sub")?.as_str()?.to_owned())
        };
        let refused = || Error::invalid_request("`id_token_hint` is no ID token");
        let hinted = self.one("id_token_hint")?.map(|token| subject(token).ok_or_else(refused)).transpose()?;
        let claimed = claims.map(claims_request::subject).transpose()?.flatten();
        match (hinted, claimed) {
            (Some(hinted), Some(claimed)) if hinted != claimed => {
                Err(Error::invalid_request("`id_token_hint` and `claims` name different users"))
            }
            (hinted, claimed) => Ok(hinted.or_else(|| claimed.map(str::to_owned))),
        }
    }

    fn max_age(&self) -> Result<Option<u64>, Error> {
        let seconds =
            |text: &str| text.parse().map_err(|_| Error::invalid_request("`max_age` is no number of seconds"));
        self.one("max_age")?.map(seconds).transpose()
    }

    fn claims(&self) -> Result<Option<Value>, Error> {
        self.short("claims")?.map(claims_request::parse).transpose()
    }
}

impl Target {
    /// Where the browser goes with a code. `iss` says who answers (RFC 9207).
    pub fn with_code(&self, code: &str, issuer: &Issuer) -> String {
        self.with([("code", code)], issuer)
    }

    /// Where the browser goes with an error.
    pub fn with_error(&self, error: &Error, issuer: &Issuer) -> String {
        let description = error.description.as_ref().map(|description| ("error_description", description.as_str()));
        self.with([("error", error.code.as_str())].into_iter().chain(description), issuer)
    }

    fn with<'a>(&'a self, answer: impl IntoIterator<Item = (&'a str, &'a str)>, issuer: &'a Issuer) -> String {
        let state = self.state.as_deref().map(|state| ("state", state));
        let all = answer.into_iter().chain(state).chain([("iss", issuer.as_str())]);
        redirect_uri::with_parameters(&self.redirect_uri, all)
    }
}

impl Asked {
    /// The classes of log-ins that are wanted: those that are demanded, where some are, else those that are wished for.
    pub fn wanted_acr(&self) -> &[String] {
        if self.essential_acr.is_empty() { &self.acr_values } else { &self.essential_acr }
    }

    /// Whether another log-in may prove more, as the request wishes, than this one of the class `acr` did, where log-ins can be of these
    /// classes.
    pub fn wishes_for_more<'a>(&self, acr: Option<&str>, mut reachable: impl Iterator<Item = &'a str>) -> bool {
        let essential = !self.essential_acr.is_empty();
        let among = |class: &str| self.wanted_acr().iter().any(|wanted| wanted == class);
        // What is only wished for is nothing to disturb a user for who may not be asked.
        !acr.is_some_and(among) && (essential || !self.prompt.none) && reachable.any(among)
    }

    /// Whether whoever logged in, with a log-in of the class `acr`, is whom the answer is to be about (OpenID Connect Core, sections 3.1.2.2
    /// and 5.5.1.1).
    pub fn is_met_by(&self, subject: &str, acr: Option<&str>) -> Result<(), Error> {
        if self.hinted_subject.as_deref().is_some_and(|hinted| hinted != subject) {
            return Err(Error::new(ErrorCode::LoginRequired, "Another user is logged in than the request names"));
        }
        if !self.essential_acr.is_empty() && !self.essential_acr.iter().any(|class| Some(class.as_str()) == acr) {
            let why = "Nobody can prove here who they are as the request demands (`acr`)";
            return Err(Error::new(ErrorCode::UnmetAuthenticationRequirements, why));
        }
        Ok(())
    }
}

/// Whether a log-in at `authenticated_at` was before a request that began at `began` (Unix seconds). One that has only begun (`resumed` by no
/// form after a log-in yet) has had no log-in of its own, in whatever second another one was.
pub fn login_is_earlier(authenticated_at: u64, began: u64, resumed: bool) -> bool {
    !resumed || authenticated_at < began
}

/// Whether a log-in at `authenticated_at` does for a request that began at `began` ([`login_is_earlier`]), at `now` (Unix seconds).
pub fn login_is_fresh(asked: &Asked, authenticated_at: u64, began: u64, resumed: bool, now: u64) -> bool {
    let earlier = login_is_earlier(authenticated_at, began, resumed);
    let age = now.saturating_sub(authenticated_at);
    let old = asked.max_age.is_some_and(|max_age| max_age == 0 || age > max_age);
    !(earlier && (old || asked.prompt.login))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const CALLBACK: &str = "https://app.example/cb";

    fn parameters(query: &str) -> Parameters {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        Parameters::of(pairs.iter().map(|(name, value)| (&**name, &**value)))
    }

    fn asked_by(query: &str, grants: &[&str], rules: Rules) -> Result<Asked, Error> {
        let (scope, grant_types) =
            (Scopes::parse("openid a b").expect("scopes"), grants.iter().map(|g| g.to_string()).collect::<Vec<_>>());
        let default_scope = Scopes::parse("openid a").expect("scopes");
        let registered = Registered {
            grant_types: &grant_types,
            redirect_uris: &[CALLBACK.to_owned()],
            scope: &scope,
            default_scope: &default_scope,
        };
        parameters(query).asked(registered, rules)
    }

    const STRICT: Rules = Rules { needs_challenge: true, plain: false };

    fn asked(query: &str) -> Result<Asked, Error> {
        let whole = format!(
            "response_type=code&redirect_uri={CALLBACK}&code_challenge={CHALLENGE}&code_challenge_method=S256&{query}"
        );
        asked_by(&whole, &["authorization_code"], STRICT)
    }

    #[track_caller]
    fn is(code: ErrorCode, outcome: Result<impl std::fmt::Debug, Error>) {
        assert_eq!(outcome.expect_err("refused").code, code);
    }

    /// D1: what is wrong before the redirect URI is proven is told to nobody but the user.
    #[test]
    fn rfc6749_4_1_2_1_client_and_redirect_uri_come_first() {
        assert_eq!(parameters("client_id=app").client_id(), Ok("app"));
        is(ErrorCode::InvalidRequest, parameters("client_id=").client_id());
        is(ErrorCode::InvalidRequest, parameters("client_id=app&client_id=app").client_id());
        let one = [CALLBACK.to_owned()];
        let two = [CALLBACK.to_owned(), "http://127.0.0.1/cb".to_owned()];
        let target =
            parameters("state=x%20y%00&redirect_uri=https%3A%2F%2Fapp.example%2Fcb").target(&one).expect("a target");
        assert_eq!(
            (target.redirect_uri.as_str(), target.was_named, target.state.as_deref()),
            (CALLBACK, true, Some("x y\0"))
        );
        assert!(!parameters("").target(&one).expect("the only one").was_named);
        let long = parameters(&format!("state={}", "x".repeat(LONGEST + 1))).target(&one).expect("a target");
        assert_eq!(long.state, None, "what is too long is not sent on");
        // D39: the port of a loopback address is the application's.
        let native = parameters("redirect_uri=http://127.0.0.1:4711/cb").target(&two).expect("any port");
        assert_eq!(native.redirect_uri, "http://127.0.0.1:4711/cb");
        for (query, registered) in [
            ("", &two[..]),
            ("", &[]),
            ("redirect_uri=https://evil.example/cb", &one),
            ("redirect_uri=https://app.example/cb?x", &one),
            ("redirect_uri=https://app.example/cb&redirect_uri=https://app.example/cb", &one),
        ] {
            is(ErrorCode::InvalidRequest, parameters(query).target(registered));
        }
    }

    /// D31: PKCE is needed. D32: a plain challenge is refused where it is not allowed.
    #[test]
    fn rfc7636_4_4_1_a_challenge_is_needed() {
        let grants = ["authorization_code"];
        let bare = format!("response_type=code&redirect_uri={CALLBACK}");
        is(ErrorCode::InvalidRequest, asked_by(&bare, &grants, STRICT));
        assert!(asked_by(&bare, &grants, Rules { needs_challenge: false, plain: false }).is_ok());
        let plain = format!("{bare}&code_challenge={CHALLENGE}");
        is(ErrorCode::InvalidRequest, asked_by(&plain, &grants, STRICT));
        assert!(asked_by(&plain, &grants, Rules { needs_challenge: true, plain: true }).is_ok());
    }

    #[test]
    fn rfc6749_4_1_2_1_what_is_wrong_with_a_request() {
        assert_eq!(
            asked("").expect("fine").scope.to_string(),
            "openid a",
            "those that are given where none is asked for"
        );
        assert_eq!(asked("scope=a").expect("fine").scope.to_string(), "a");
        let empty = asked("scope=&nonce=&foo=&foo=").expect("an empty one is absent");
        assert_eq!((empty.scope.to_string().as_str(), empty.nonce), ("openid a", None));
        for (query, code) in [
            ("scope=a+c", ErrorCode::InvalidScope),
            ("scope=%22", ErrorCode::InvalidScope),
            ("scope=a&scope=b", ErrorCode::InvalidRequest),
            ("foo=1&foo=2", ErrorCode::InvalidRequest),
            ("state=1&state=2", ErrorCode::InvalidRequest),
            ("request=x", ErrorCode::RequestNotSupported),
            ("request_uri=https://a/", ErrorCode::RequestUriNotSupported),
            ("registration=x", ErrorCode::RegistrationNotSupported),
            ("response_mode=fragment", ErrorCode::InvalidRequest),
            ("prompt=none+login", ErrorCode::InvalidRequest),
            ("max_age=soon", ErrorCode::InvalidRequest),
            ("max_age=-1", ErrorCode::InvalidRequest),
            ("id_token_hint=garbage", ErrorCode::InvalidRequest),
            ("id_token_hint=e30.e30.", ErrorCode::InvalidRequest),
            ("claims=1", ErrorCode::InvalidRequest),
            ("claims={", ErrorCode::InvalidRequest),
            (
                "id_token_hint=e30.eyJzdWIiOiJhbm4ifQ.x&claims={\"id_token\":{\"sub\":{\"value\":\"bob\"}}}",
                ErrorCode::InvalidRequest,
            ),
        ] {
            is(code, asked(query));
        }
        is(ErrorCode::InvalidRequest, asked(&format!("state={}", "x".repeat(LONGEST + 1))));
        let bare = format!("redirect_uri={CALLBACK}&code_challenge={CHALLENGE}&code_challenge_method=S256");
        let grants = ["authorization_code"];
        is(ErrorCode::InvalidRequest, asked_by(&bare, &grants, STRICT));
        is(ErrorCode::UnsupportedResponseType, asked_by(&format!("{bare}&response_type=token"), &grants, STRICT));
        is(
            ErrorCode::UnauthorizedClient,
            asked_by(&format!("{bare}&response_type=code"), &["client_credentials"], STRICT),
        );
    }

    #[test]
    fn openid_core_3_1_2_1_whom_to_ask_what() {
        let of = |query: &str| asked(query).expect(query);
        assert_eq!(of("").prompt, Prompt::default());
        assert!(of("prompt=none").prompt.none);
        assert!(of("prompt=login+consent").prompt.login && of("prompt=login+consent").prompt.consent);
        assert!(of("prompt=select_account").prompt.login);
        assert_eq!(of("prompt=create").prompt, Prompt::default());
        // {"sub":"ann"}
        assert_eq!(of("id_token_hint=e30.eyJzdWIiOiJhbm4ifQ.x").hinted_subject.as_deref(), Some("ann"));
        let request = of("max_age=60&nonce=n&login_hint=ann&acr_values=a+b&claims=%7B%7D");
        assert_eq!(
            (request.max_age, request.nonce.as_deref(), request.login_hint.as_deref()),
            (Some(60), Some("n"), Some("ann"))
        );
        assert_eq!(
            (request.acr_values, request.claims),
            (vec!["a".to_owned(), "b".to_owned()], Some(Value::Object(Default::default())))
        );
        // A request that began at 1000.
        for (query, authenticated_at, resumed, now, fresh) in [
            ("", 1, false, 1_000, true),
            ("max_age=60", 940, false, 1_000, true),
            ("max_age=60", 939, false, 1_000, false),
            ("max_age=0", 999, false, 1_000, false),
            ("max_age=0", 1_000, false, 1_000, false),
            ("max_age=0", 1_000, true, 1_005, true),
            ("prompt=login", 999, true, 1_000, false),
            ("prompt=login", 1_000, false, 1_000, false),
            ("prompt=login", 1_002, true, 1_003, true),
        ] {
            assert_eq!(
                login_is_fresh(&of(query), authenticated_at, 1_000, resumed, now),
                fresh,
                "{query} {authenticated_at}"
            );
        }
    }

    #[test]
    fn openid_core_3_1_2_2_an_answer_is_about_whom_the_request_names() {
        let login_required = Err(ErrorCode::LoginRequired);
        let met = |query: &str, subject: &str| {
            asked(query).expect(query).is_met_by(subject, None).map_err(|error| error.code)
        };
        assert_eq!(met("", "bob"), Ok(()));
        for query in ["id_token_hint=e30.eyJzdWIiOiJhbm4ifQ.x", r#"claims={"id_token":{"sub":{"value":"ann"}}}"#] {
            assert_eq!((met(query, "ann"), met(query, "bob")), (Ok(()), login_required), "{query}");
        }
    }

    #[test]
    fn openid_core_5_5_1_1_an_acr_that_is_demanded_is_reached_or_refused() {
        const ESSENTIAL: &str = r#"claims={"id_token":{"acr":{"essential":true,"values":["gold","silver"]}}}"#;
        let unmet = Err(ErrorCode::UnmetAuthenticationRequirements);
        let met = |query: &str, acr| asked(query).expect(query).is_met_by("ann", acr).map_err(|error| error.code);
        assert_eq!(
            (met(ESSENTIAL, Some("silver")), met(ESSENTIAL, Some("bronze")), met(ESSENTIAL, None)),
            (Ok(()), unmet, unmet)
        );
        assert_eq!(met("acr_values=gold", None), Ok(()), "what is wished for is no demand");
        let more = |query: &str, acr, reachable: &[&str]| {
            asked(query).expect(query).wishes_for_more(acr, reachable.iter().copied())
        };
        for (query, acr, reachable, expected) in [
            ("", None, &["gold"][..], false),
            ("acr_values=gold+silver", None, &["silver"], true),
            ("acr_values=gold+silver", Some("bronze"), &["bronze", "silver"], true),
            ("acr_values=gold+silver", Some("silver"), &["gold"], false),
            ("acr_values=gold", None, &["silver"], false),
            ("acr_values=gold&prompt=none", None, &["gold"], false),
            (ESSENTIAL, None, &["gold"], true),
            (ESSENTIAL, Some("gold"), &["gold"], false),
        ] {
            assert_eq!(more(query, acr, reachable), expected, "{query} {acr:?} {reachable:?}");
        }
        assert!(more(&format!("{ESSENTIAL}&prompt=none"), None, &["gold"]), "the log-in page refuses it");
    }

    /// D13: `state` comes back byte for byte, with a code and with an error. D41: `iss` in both.
    #[test]
    fn rfc9207_2_the_answer_says_who_gives_it() {
        let issuer = Issuer::parse("https://login.example").expect("an issuer");
        let target = parameters("state=a%26b%20%C3%A9%2B").target(&[format!("{CALLBACK}?x=1")]).expect("a target");
        assert_eq!(
            target.with_code("c0de", &issuer),
            "https://app.example/cb?x=1&code=c0de&state=a%26b+%C3%A9%2B&iss=https%3A%2F%2Flogin.example"
        );
        let denied = target.with_error(&ErrorCode::AccessDenied.into(), &issuer);
        assert_eq!(
            denied,
            "https://app.example/cb?x=1&error=access_denied&state=a%26b+%C3%A9%2B&iss=https%3A%2F%2Flogin.example"
        );
    }
}
