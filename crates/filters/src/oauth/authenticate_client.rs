//! `oauth.authenticate-client`: finds the client and proves who it is (RFC 6749, section 2.3). In Oracle API Gateway
//! this is a part of each "Access Token using ..." filter.
//!
//! A request that uses more than one method is refused. An unknown client, a disabled one, a wrong secret and a method
//! that the client may not use are the same `invalid_client`, in the same time: it is sent after two milliseconds, or four, and so on.
//!
//! With `private_key_jwt` (RFC 7523, RFC 10070) a client signs an assertion with a key whose public half it registered (`jwks`): it is from
//! the client and about it (`iss`, `sub`), for the issuer of this server and nobody else (`aud`), has a `jti` that is used once in the
//! cluster, and expires within five minutes.
//!
//! ```toml
//! [[filter]]
//! use     = "oauth.authenticate-client"
//! methods = ["client_secret_basic", "client_secret_post"]
//! ```

use std::sync::Arc;

use http::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::client_auth::{self, Attempt, Method, Presented};
use ::oauth::jose::{Algorithm, KeySet};
use ::oauth::{ClientId, Error, ErrorCode, Issuer, Secret, client_assertion};
use policy::attribute::Slot;
use policy::diagnostic::{Problem, codes};
use policy::filter::Role;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Value};
use store::{Client, Clients, Replay};

use super::answers::ENDPOINT;
use super::attributes::CLIENT;
use super::live::unix_seconds;
use super::request::{authorization, endpoint_form};
use super::server::Server;
use super::signing::public_algorithms;
use super::stop::{Stop, refused, refuses, settle};
use crate::StoreExt;

/// The fact that a policy takes this client authentication method.
pub(super) const AUTH_METHOD: &str = "auth_method";
/// The fact that a policy takes assertions signed with this algorithm.
pub(super) const AUTH_ALGORITHM: &str = "auth_algorithm";
const DEFAULT_METHODS: [Method; 2] = [Method::ClientSecretBasic, Method::ClientSecretPost];
const DEFAULT_REALM: &str = "oauth";

/// `use = "oauth.authenticate-client"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The methods that are taken: `client_secret_basic`, `client_secret_post`, `private_key_jwt`, and `none` for public clients; who uses
    /// one of the last two must be registered with it. Default: the first two.
    #[schemars(extend("items" = { "type": "string", "enum": ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"] }))]
    methods: Option<Vec<Spanned<String>>>,
    /// The realm of the `WWW-Authenticate: Basic` challenge. Default: `oauth`.
    realm: Option<Spanned<String>>,
    /// The algorithms that an assertion may be signed with. Default: `ES256`, `ES384`, `EdDSA`, `PS256` and `RS256`.
    #[schemars(extend("items" = { "type": "string", "enum": ["ES256", "ES384", "EdDSA", "PS256", "RS256"] }))]
    algorithms: Option<Vec<Spanned<String>>>,
    /// The store of the kind `clients`. Default: the one of that name.
    store: Option<Spanned<String>>,
    /// The store of the kind `replay`, for `private_key_jwt`. Default: the one of that name.
    replay: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.authenticate-client";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = AuthenticateClient;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<AuthenticateClient, Diagnostics> {
        cx.reads_request_body();
        cx.authorizes();
        refuses(cx, &[ErrorCode::InvalidClient, ErrorCode::InvalidRequest]);
        let methods = match &self.methods {
            Some(listed) => listed.iter().map(|method| known(method, cx)).collect::<Result<_, _>>()?,
            None => DEFAULT_METHODS.to_vec(),
        };
        for method in &methods {
            cx.publish(AUTH_METHOD, Value::text(method.as_str()));
        }
        let assertions = match methods.contains(&Method::PrivateKeyJwt) {
            true => Some(self.assertions(cx)?),
            false => None,
        };
        Ok(AuthenticateClient {
            methods,
            assertions,
            challenge: basic_challenge(self.realm.as_ref().map_or(DEFAULT_REALM, |realm| &realm.value)),
            clients: cx.store(&self.store)?,
            client: cx.writes(&CLIENT),
        })
    }
}

impl Settings {
    fn assertions(&self, cx: &mut BuildContext<'_>) -> Result<Assertions, Diagnostics> {
        let algorithms = public_algorithms(&self.algorithms, cx)?;
        for algorithm in &algorithms {
            cx.publish(AUTH_ALGORITHM, Value::text(algorithm.as_str()));
        }
        Ok(Assertions { algorithms, issuer: Server::read(cx)?.issuer(cx)?, replay: cx.store(&self.replay)? })
    }
}

/// The compiled filter.
pub(crate) struct AuthenticateClient {
    methods: Vec<Method>,
    assertions: Option<Assertions>,
    challenge: HeaderValue,
    clients: Arc<Clients>,
    client: Slot<Client>,
}

/// What an assertion is held against.
struct Assertions {
    algorithms: Vec<Algorithm>,
    issuer: Issuer,
    replay: Arc<Replay>,
}

impl Filter for AuthenticateClient {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.authenticate(exchange).await)
    }
}

impl AuthenticateClient {
    async fn authenticate(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let presented = self.presented(exchange)?;
        let began = exchange.environment().clock.monotonic_nanos();
        let client = self.prove(&presented, unix_seconds(exchange)).await?;
        let registered = client.as_ref().and_then(|client| client.token_endpoint_auth_method.as_deref());
        let has_secret = client.as_ref().is_some_and(|client| !client.secrets.is_empty());
        match client {
            Some(client) if client_auth::may_use(presented.method, &self.methods, registered, has_secret) => {
                exchange.set(self.client, client.clone());
                Ok(Outcome::Success)
            }
            _ => {
                exchange.hold_since(began);
                Err(self.refuse(Error::invalid_client(), false))
            }
        }
    }

    /// Who the request says it is from, by a method that this policy takes.
    fn presented(&self, exchange: &Exchange) -> Result<Presented, Stop> {
        let form = endpoint_form(&exchange.request)?;
        let mut room = [&[][..]; 2];
        let attempt = Attempt {
            authorization: authorization(&exchange.request.headers, &mut room),
            client_id: form.get("client_id"),
            client_secret: form.get("client_secret"),
            client_assertion: form.get("client_assertion"),
            client_assertion_type: form.get("client_assertion_type"),
        };
        let absent =
            attempt.authorization.is_empty() && attempt.client_secret.is_none() && attempt.client_assertion.is_none();
        let presented = client_auth::read(attempt).map_err(|error| self.refuse(error, absent))?;
        if !self.methods.contains(&presented.method) {
            let error = Error::new(ErrorCode::InvalidClient, "The client authentication method is not supported here");
            return Err(self.refuse(error, absent));
        }
        Ok(presented)
    }

    async fn prove(&self, presented: &Presented, now: u64) -> Result<Option<Arc<Client>>, Stop> {
        let id = &presented.client_id;
        if let Some(secret) = &presented.secret {
            return Ok(self.clients.authenticate(id, secret, now).await?);
        }
        let client = self.clients.get(id).await?.filter(|client| client.enabled);
        match (&presented.assertion, &self.assertions) {
            (Some(assertion), Some(assertions)) => {
                let proved = assertions.prove(id, client.as_deref(), assertion, now).await?;
                Ok(client.filter(|_| proved))
            }
            // A public client only says its name.
            _ => Ok(client),
        }
    }

    /// The refusal; `absent` where nothing was there that could be proved. A 401 carries the challenge (RFC 6749,
    /// section 5.2, after `Authorization`; RFC 9110, section 15.5.2, always).
    fn refuse(&self, error: Error, absent: bool) -> Stop {
        let challenge = (error.code == ErrorCode::InvalidClient).then(|| self.challenge.clone());
        let mut reason = refused(error);
        reason.absent = absent;
        reason.challenges.extend(challenge);
        Stop::Refused(reason)
    }
}

impl Assertions {
    /// Whether the assertion is the client's, and is used for the first time.
    async fn prove(&self, id: &ClientId, client: Option<&Client>, assertion: &Secret, now: u64) -> Result<bool, Stop> {
        // A client that is unknown has no keys: it is refused after the same work.
        let keys = client.and_then(|client| KeySet::parse(client.metadata.jwks.as_ref()?)).unwrap_or_default();
        match client_assertion::prove(assertion.expose(), &keys, &self.algorithms, id, &self.issuer, now) {
            Ok(once) => Ok(self.replay.is_first(id.as_str(), &once.id, once.until).await?),
            Err(_) => Ok(false),
        }
    }
}

/// The challenge of a realm.
pub(super) fn basic_challenge(realm: &str) -> HeaderValue {
    // Quoting leaves only what a header may hold.
    HeaderValue::from_str(&client_auth::challenge(realm)).unwrap_or_else(|_| HeaderValue::from_static("Basic"))
}

/// Whether this version has the method.
pub(super) fn is_offered(method: Method) -> bool {
    matches!(method, Method::ClientSecretBasic | Method::ClientSecretPost | Method::PrivateKeyJwt | Method::None)
}

fn known(method: &Spanned<String>, cx: &BuildContext<'_>) -> Result<Method, Diagnostics> {
    match Method::parse(&method.value) {
        Some(method) if is_offered(method) => Ok(method),
        Some(later) => Err(Problem::error(codes::NOT_YET, format!("the method `{}` is not there yet", later.as_str()))
            .with_help("until then: use `client_secret_basic`")
            .at(cx.place(method.span))
            .into()),
        None => {
            let help = "use `client_secret_basic`, `client_secret_post`, `private_key_jwt` or `none`";
            Err(cx.error(method.span, format!("`{}` is no client authentication method", method.value), help).into())
        }
    }
}
