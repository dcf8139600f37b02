//! `oauth.authenticate-client`: finds the client and proves who it is (RFC 6749, section 2.3). In Oracle API Gateway
//! this is a part of each "Access Token using ..." filter.
//!
//! A request that uses more than one method is refused. An unknown client, a disabled one, a wrong secret and a method
//! that the client may not use are the same `invalid_client`.
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
use ::oauth::{Error, ErrorCode};
use policy::attribute::Slot;
use policy::diagnostic::{Problem, codes};
use policy::filter::Role;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Value};
use store::{Client, Clients};

use super::answers::ENDPOINT;
use super::attributes::CLIENT;
use super::live::unix_seconds;
use super::request::{authorization, endpoint_form};
use super::stop::{Stop, refused, refuses, settle};
use crate::StoreExt;

/// The fact that a policy takes this client authentication method.
pub(super) const AUTH_METHOD: &str = "auth_method";
const DEFAULT_METHODS: [Method; 2] = [Method::ClientSecretBasic, Method::ClientSecretPost];
const DEFAULT_REALM: &str = "oauth";

/// `use = "oauth.authenticate-client"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The methods that are taken: `client_secret_basic`, `client_secret_post`, and `none` for public clients, which
    /// must be registered with it. Default: the first two.
    #[schemars(extend("items" = { "type": "string", "enum": ["client_secret_basic", "client_secret_post", "none"] }))]
    methods: Option<Vec<Spanned<String>>>,
    /// The realm of the `WWW-Authenticate: Basic` challenge. Default: `oauth`.
    realm: Option<Spanned<String>>,
    /// The store of the kind `clients`. Default: the one of that name.
    store: Option<Spanned<String>>,
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
        Ok(AuthenticateClient {
            methods,
            challenge: basic_challenge(self.realm.as_ref().map_or(DEFAULT_REALM, |realm| &realm.value)),
            clients: cx.clients(&self.store)?,
            client: cx.writes(&CLIENT),
        })
    }
}

/// The compiled filter.
pub(crate) struct AuthenticateClient {
    methods: Vec<Method>,
    challenge: HeaderValue,
    clients: Arc<Clients>,
    client: Slot<Client>,
}

impl Filter for AuthenticateClient {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.authenticate(exchange).await)
    }
}

impl AuthenticateClient {
    async fn authenticate(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let presented = self.presented(exchange)?;
        let client = self.prove(&presented, unix_seconds(exchange)).await?;
        let registered = client.as_ref().and_then(|client| client.token_endpoint_auth_method.as_deref());
        let has_secret = client.as_ref().is_some_and(|client| !client.secrets.is_empty());
        match client {
            Some(client) if client_auth::may_use(presented.method, &self.methods, registered, has_secret) => {
                exchange.set(self.client, client.clone());
                Ok(Outcome::Success)
            }
            _ => Err(self.refuse(Error::invalid_client(), false)),
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
            client_assertion: form.get("client_assertion").or(form.get("client_assertion_type")).is_some(),
        };
        let absent = attempt.authorization.is_empty() && attempt.client_secret.is_none() && !attempt.client_assertion;
        let presented = client_auth::read(attempt).map_err(|error| self.refuse(error, absent))?;
        if !self.methods.contains(&presented.method) {
            let error = Error::new(ErrorCode::InvalidClient, "The client authentication method is not supported here");
            return Err(self.refuse(error, absent));
        }
        Ok(presented)
    }

    async fn prove(&self, presented: &Presented, now: u64) -> Result<Option<Arc<Client>>, Stop> {
        Ok(match &presented.secret {
            Some(secret) => self.clients.authenticate(&presented.client_id, secret, now).await?,
            None => self.clients.get(&presented.client_id).await?.filter(|client| client.enabled),
        })
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

/// The challenge of a realm.
pub(super) fn basic_challenge(realm: &str) -> HeaderValue {
    // Quoting leaves only what a header may hold.
    HeaderValue::from_str(&client_auth::challenge(realm)).unwrap_or_else(|_| HeaderValue::from_static("Basic"))
}

/// Whether this version has the method.
pub(super) fn is_offered(method: Method) -> bool {
    matches!(method, Method::ClientSecretBasic | Method::ClientSecretPost | Method::None)
}

fn known(method: &Spanned<String>, cx: &BuildContext<'_>) -> Result<Method, Diagnostics> {
    match Method::parse(&method.value) {
        Some(method) if is_offered(method) => Ok(method),
        Some(later) => Err(Problem::error(codes::NOT_YET, format!("the method `{}` is not there yet", later.as_str()))
            .with_help("until then: use `client_secret_basic`")
            .at(cx.place(method.span))
            .into()),
        None => {
            let help = "use `client_secret_basic`, `client_secret_post` or `none`";
            Err(cx.error(method.span, format!("`{}` is no client authentication method", method.value), help).into())
        }
    }
}
