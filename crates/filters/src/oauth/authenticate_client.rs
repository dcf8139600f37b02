//! `oauth.authenticate-client`: finds the client and proves who it is (RFC 6749, section 2.3). In Oracle API Gateway
//! this is a part of each "Access Token using ..." filter.
//!
//! A request that uses more than one method is refused. An unknown client, a disabled one, a wrong secret and a method
//! that the client may not use are the same `invalid_client`, in the same time: it is sent after two milliseconds, or four, and so on.
//!
//! With `private_key_jwt` (RFC 7523, RFC 10070) a client signs an assertion with a key whose public half it registered (`jwks`), or
//! published where the operator lets keys be fetched from (`jwks_uri`, `[client_keys]` in `policies/oauth/server.toml`): it is from
//! the client and about it (`iss`, `sub`), for the issuer of this server and nobody else (`aud`), has a `jti` that is used once in the
//! cluster, and expires within five minutes. With `client_secret_jwt` it is the same assertion, with an HMAC under the client's secret
//! (OpenID Connect Core, section 9), which is therefore kept sealed and not as a hash only.
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

use ::oauth::client_assertion::Against;
use ::oauth::client_auth::{self, Attempt, Method, Presented};
use ::oauth::jose::{Algorithm, KeySet, Rejected};
use ::oauth::{ClientId, Error, ErrorCode, Issuer, Secret, client_assertion};
use policy::attribute::Slot;
use policy::diagnostic::{Problem, codes};
use policy::filter::Role;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Value};
use store::{Client, Clients, Replay};

use super::answers::ENDPOINT;
use super::attributes::CLIENT;
use super::client_keys::ClientKeys;
use super::live::unix_seconds;
use super::request::{authorization, endpoint_form};
use super::server::Server;
use super::signing::pinned;
use super::stop::{Stop, refused, refuses, settle};
use crate::StoreExt;
use crate::stores::SEALS;

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
    /// The methods that are taken: `client_secret_basic`, `client_secret_post`, `client_secret_jwt`, `private_key_jwt`, and `none` for
    /// public clients; who uses one of the last three must be registered with it. Default: the first two.
    #[schemars(extend("items" = {
        "type": "string",
        "enum": ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"]
    }))]
    methods: Option<Vec<Spanned<String>>>,
    /// The realm of the `WWW-Authenticate: Basic` challenge. Default: `oauth`.
    realm: Option<Spanned<String>>,
    /// The algorithms that an assertion may be signed with. Default: all that go with the methods: `ES256`, `ES384`, `EdDSA`, `PS256` and
    /// `RS256` with `private_key_jwt`, `HS256`, `HS384` and `HS512` with `client_secret_jwt`.
    #[schemars(extend("items" = {
        "type": "string",
        "enum": ["ES256", "ES384", "EdDSA", "PS256", "RS256", "HS256", "HS384", "HS512"]
    }))]
    algorithms: Option<Vec<Spanned<String>>>,
    /// The store of the kind `clients`. Default: the one of that name.
    store: Option<Spanned<String>>,
    /// The store of the kind `replay`, for assertions. Default: the one of that name.
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
        let assertions = match methods.iter().any(|method| !signed_with(*method).is_empty()) {
            true => Some(self.assertions(&methods, cx)?),
            false => None,
        };
        if methods.contains(&Method::ClientSecretJwt) {
            // Several nodes need a key in common to open what one of them sealed.
            cx.publish(SEALS, Value::Bool(true));
        }
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
    fn assertions(&self, methods: &[Method], cx: &mut BuildContext<'_>) -> Result<Assertions, Diagnostics> {
        let all: Vec<Algorithm> = methods.iter().flat_map(|method| signed_with(*method)).copied().collect();
        let algorithms = pinned(&self.algorithms, &all, cx)?;
        let left_out = |method: &&Method| {
            let own = signed_with(**method);
            !own.is_empty() && !own.iter().any(|algorithm| algorithms.contains(algorithm))
        };
        if let (Some(method), Some(first)) = (methods.iter().find(left_out), self.algorithms.iter().flatten().next()) {
            let message = format!("`{}` is taken, and no algorithm that it signs with", method.as_str());
            return Err(cx.error(first.span, message, "name one too, or take the method off").into());
        }
        for algorithm in &algorithms {
            cx.publish(AUTH_ALGORITHM, Value::text(algorithm.as_str()));
        }
        let server = Server::read(cx)?;
        Ok(Assertions {
            algorithms,
            issuer: server.issuer(cx)?,
            keys: ClientKeys::build(&server, cx)?,
            replay: cx.store(&self.replay)?,
        })
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
    keys: ClientKeys,
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
        let client = self.prove(&presented, exchange).await?;
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

    async fn prove(&self, presented: &Presented, exchange: &Exchange) -> Result<Option<Arc<Client>>, Stop> {
        let now = unix_seconds(exchange);
        let id = &presented.client_id;
        if let Some(secret) = &presented.secret {
            return Ok(self.clients.authenticate(id, secret, now).await?);
        }
        let client = self.clients.get(id).await?.filter(|client| client.enabled);
        let (Some(assertion), Some(assertions)) = (&presented.assertion, &self.assertions) else {
            // A public client only says its name.
            return Ok(client);
        };
        // One that is unknown, or held to another method, has nothing to prove it by: it is refused after the same work.
        let method = presented.method;
        let own = client.as_deref().filter(|own| own.token_endpoint_auth_method.as_deref() == Some(method.as_str()));
        let proved = if method == Method::ClientSecretJwt {
            let secrets = own.map(|own| self.clients.signing_secrets(own, now)).transpose()?.unwrap_or_default();
            assertions.check(id, Against::Secrets(&secrets), assertion, now)
        } else {
            assertions.check_by_key(id, own, assertion, exchange).await?
        };
        let is_first = match proved {
            Ok(once) => assertions.replay.is_first(id.as_str(), &once.id, once.until).await?,
            Err(_) => false,
        };
        Ok(client.filter(|_| is_first))
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
    fn check(
        &self,
        id: &ClientId,
        against: Against<'_>,
        assertion: &Secret,
        now: u64,
    ) -> Result<client_assertion::Once, Rejected> {
        client_assertion::prove(assertion.expose(), against, &self.algorithms, id, &self.issuer, now)
    }

    /// By the client's keys; by newer ones where the assertion names one that is not among them.
    async fn check_by_key(
        &self,
        id: &ClientId,
        client: Option<&Client>,
        assertion: &Secret,
        exchange: &Exchange,
    ) -> Result<Result<client_assertion::Once, Rejected>, Stop> {
        let (clock, now) = (&*exchange.environment().clock, unix_seconds(exchange));
        let by = |keys: &KeySet| self.check(id, Against::Keys(keys), assertion, now);
        let keys = match client {
            Some(client) => self.keys.of(client, clock).await.map_err(Stop::Broken)?,
            None => None,
        };
        let Some(keys) = keys else { return Ok(by(&KeySet::default())) };
        let checked = by(&keys.set);
        if !matches!(checked, Err(Rejected::UnknownKey)) {
            return Ok(checked);
        }
        Ok(keys.newer(clock).await.map_or(checked, |newer| by(&newer)))
    }
}

/// The challenge of a realm.
pub(super) fn basic_challenge(realm: &str) -> HeaderValue {
    // Quoting leaves only what a header may hold.
    HeaderValue::from_str(&client_auth::challenge(realm)).unwrap_or_else(|_| HeaderValue::from_static("Basic"))
}

/// Whether this version has the method.
pub(super) fn is_offered(method: Method) -> bool {
    !matches!(method, Method::TlsClientAuth | Method::SelfSignedTlsClientAuth)
}

/// What assertions of this method are signed with; nothing where it has none.
fn signed_with(method: Method) -> &'static [Algorithm] {
    match method {
        Method::ClientSecretJwt => &Algorithm::SECRET,
        Method::PrivateKeyJwt => &Algorithm::PUBLIC,
        _ => &[],
    }
}

fn known(method: &Spanned<String>, cx: &BuildContext<'_>) -> Result<Method, Diagnostics> {
    match Method::parse(&method.value) {
        Some(method) if is_offered(method) => Ok(method),
        Some(later) => Err(Problem::error(codes::NOT_YET, format!("the method `{}` is not there yet", later.as_str()))
            .with_help("until then: use `client_secret_basic`")
            .at(cx.place(method.span))
            .into()),
        None => {
            let help =
                "use `client_secret_basic`, `client_secret_post`, `client_secret_jwt`, `private_key_jwt` or `none`";
            Err(cx.error(method.span, format!("`{}` is no client authentication method", method.value), help).into())
        }
    }
}
