//! What `oauth.register-client` and `oauth.manage-client` share: what is open to clients that register themselves
//! (`[registration]` of `oauth/server.toml`), and what they are told (RFC 7591, section 3.2.1; RFC 7592, section 3).

use std::sync::Arc;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use ::oauth::client_auth::Method;
use ::oauth::credential::{client_secret, hash_generated, signing_secret};
use ::oauth::registration::dynamic::{Effective, Offer};
use ::oauth::registration::{GRANT_TYPES, response_types};
use ::oauth::{ClientId, Issuer, Scopes, Secret};
use policy::diagnostic::{Place, Problem, Span, codes};
use policy::engine::Program;
use policy::settings::{Duration, Spanned};
use policy::{BuildContext, Diagnostics, Exchange, Reason, Response, Value};
use store::record::ClientSecret;
use store::{Client, Clients, StoreError};

use super::answers::{json, no_store};
use super::authenticate_client::is_offered;
use super::live::unix_seconds;
use super::request::one_content_type;
use super::server::Server;
use super::stop::refused;
use crate::StoreExt;
use crate::stores::SEALS;

/// The fact that a policy lets clients manage their registration.
pub(super) const MANAGES: &str = "manages_clients";

/// What there is without a word (RFC 7591, section 2: the first one is what a client asks for without a word of its own).
const DEFAULT_GRANTS: [&str; 2] = ["authorization_code", "refresh_token"];
const DEFAULT_METHODS: [Method; 3] = [Method::ClientSecretBasic, Method::ClientSecretPost, Method::None];

/// `[registration]`
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrationSettings {
    /// Grants that such a client may ask for. Default: `["authorization_code", "refresh_token"]`.
    grant_types: Option<Vec<Spanned<String>>>,
    /// Scopes that it may ask for, and that it has where it asks for none. Default: none.
    #[serde(default)]
    scopes: Vec<Spanned<String>>,
    /// How it may authenticate. Default: `["client_secret_basic", "client_secret_post", "none"]`.
    auth_methods: Option<Vec<Spanned<String>>>,
    /// How long its secret is good, at least `1h`. Default: until the client is deleted.
    secret_lifetime: Option<Spanned<Duration>>,
}

impl RegistrationSettings {
    /// All that is wrong in it.
    pub(super) fn problems(&self, place: impl Fn(Span) -> Place) -> Diagnostics {
        let mut problems = Diagnostics::new();
        let mut wrong = |span, message: String, help: &str| {
            problems.push(Problem::error(codes::BAD_VALUE, message).with_help(help).at(place(span)));
        };
        for grant in self.grant_types.iter().flatten() {
            if !GRANT_TYPES.contains(&grant.value.as_str()) {
                wrong(grant.span, format!("`{}` is no grant type", grant.value), "such as `authorization_code`");
            }
        }
        for scope in &self.scopes {
            if Scopes::of([Arc::from(scope.value.as_str())]).is_none() {
                wrong(scope.span, format!("`{}` is no scope", scope.value), "one name an entry");
            }
        }
        for method in self.auth_methods.iter().flatten() {
            if !Method::parse(&method.value).is_some_and(is_offered) {
                let message = format!("`{}` is no way to authenticate a client that is there yet", method.value);
                wrong(
                    method.span,
                    message,
                    "use `client_secret_basic`, `client_secret_post`, `client_secret_jwt`, `private_key_jwt` or `none`",
                );
            }
        }
        if let Some(lifetime) = self.secret_lifetime.as_ref().filter(|lifetime| lifetime.value.0.as_secs() < 3_600) {
            wrong(lifetime.span, String::from("a secret that lives for less than an hour is of no use"), "`90d`");
        }
        problems
    }

    fn offer(&self, key_origins: Vec<String>) -> Offer {
        let texts = |list: &[Spanned<String>]| list.iter().map(|text| text.value.clone()).collect::<Vec<_>>();
        let methods = |list: &[Spanned<String>]| list.iter().filter_map(|text| Method::parse(&text.value)).collect();
        Offer {
            grant_types: self.grant_types.as_deref().map_or_else(|| DEFAULT_GRANTS.map(String::from).into(), texts),
            auth_methods: self.auth_methods.as_deref().map_or_else(|| DEFAULT_METHODS.into(), methods),
            key_origins,
            // What is none is told.
            scopes: Scopes::of(self.scopes.iter().map(|scope| Arc::from(scope.value.as_str()))).unwrap_or_default(),
        }
    }
}

/// Where clients register themselves.
pub(super) struct Desk {
    pub(super) offer: Offer,
    /// Seconds.
    secret_lifetime: Option<u64>,
    issuer: Issuer,
    pub(super) clients: Arc<Clients>,
}

impl Desk {
    pub(super) fn build(store: &Option<Spanned<String>>, cx: &mut BuildContext<'_>) -> Result<Desk, Diagnostics> {
        cx.reads_request_body();
        let server = Server::read(cx)?;
        let none = RegistrationSettings::default();
        let settings = server.registration().unwrap_or(&none);
        let offer = settings.offer(server.key_origins());
        if offer.auth_methods.contains(&Method::ClientSecretJwt) {
            cx.publish(SEALS, Value::Bool(true));
        }
        Ok(Desk {
            offer,
            secret_lifetime: settings.secret_lifetime.as_ref().map(|lifetime| lifetime.value.0.as_secs()),
            issuer: server.issuer(cx)?,
            clients: cx.store(store)?,
        })
    }

    /// A secret for a client, and what is kept of it: a hash, and where the method signs by it, the secret itself, sealed.
    pub(super) fn secret(
        &self,
        exchange: &Exchange,
        id: &ClientId,
        method: Method,
    ) -> Result<(Secret, ClientSecret), StoreError> {
        let (secret, sealed) = match method {
            Method::ClientSecretJwt => {
                let secret = signing_secret(exchange.random());
                let sealed = self.clients.seal(id, &secret)?;
                (secret, Some(sealed))
            }
            _ => (client_secret(exchange.random()), None),
        };
        let expires_at = self.secret_lifetime.map(|lifetime| unix_seconds(exchange).saturating_add(lifetime));
        let kept = ClientSecret { hash: hash_generated(&secret), sealed, expires_at };
        Ok((secret, kept))
    }

    /// Where the client manages its registration; `None` where no loaded policy lets it.
    pub(super) fn manages_at(&self, exchange: &Exchange, client: &Client) -> Option<String> {
        let path = managing_path(exchange.program(), &exchange.request.path, client.client_id.as_str())?;
        Some(format!("{}{path}", self.issuer.origin()))
    }

    /// The client information response (RFC 7591, section 3.2.1): all that counts (D88). A secret is told this once, and
    /// so is the token, but to whoever presents it.
    pub(super) fn information(
        &self,
        status: StatusCode,
        client: &Client,
        secret: Option<&Secret>,
        managed: Option<(&str, &str)>,
    ) -> Response {
        let mut told = serde_json::to_value(&client.metadata).unwrap_or_default();
        let mut tell = |name: &str, value: Json| told[name] = value;
        tell("client_id", json!(client.client_id.as_str()));
        tell("client_id_issued_at", json!(client.created_at));
        tell("grant_types", json!(client.grant_types));
        tell("response_types", json!(response_types(&client.grant_types)));
        tell("scope", json!(client.scope.to_string()));
        if let Some(name) = &client.client_name {
            tell("client_name", json!(name));
        }
        if let Some(method) = &client.token_endpoint_auth_method {
            tell("token_endpoint_auth_method", json!(method));
        }
        if let Some(kept) = client.secrets.first() {
            tell("client_secret_expires_at", json!(kept.expires_at.unwrap_or(0)));
        }
        if let Some(secret) = secret {
            tell("client_secret", json!(secret.expose()));
        }
        if let Some((token, uri)) = managed {
            tell("registration_access_token", json!(token));
            tell("registration_client_uri", json!(uri));
        }
        no_store(json(status, &told))
    }
}

/// The path of the policy by which this client is managed. One that is loaded without a route stands behind this one's, as in tests.
fn managing_path(program: &Program, own: &str, id: &str) -> Option<String> {
    let facts = program.facts(MANAGES);
    let routed = facts.iter().flat_map(|(_, paths, _)| paths.iter()).find_map(|path| {
        let (before, name) = path.rsplit_once('/')?;
        name.starts_with('{').then(|| format!("{before}/{id}"))
    });
    let here = own.strip_suffix(id).unwrap_or(own).trim_end_matches('/');
    routed.or_else(|| (!facts.is_empty()).then(|| format!("{here}/{id}")))
}

/// States that a policy lets clients manage their registration.
pub(super) fn publish_managing(cx: &mut BuildContext<'_>) {
    cx.publish(MANAGES, Value::text("true"));
}

/// What the client is from now on.
pub(super) fn apply(effective: Effective, client: &mut Client) {
    client.client_name = effective.client_name;
    client.grant_types = effective.grant_types;
    client.scope = effective.scope;
    client.default_scope = None;
    client.authenticate_by(Some(effective.auth_method.as_str().to_owned()));
    client.metadata = effective.metadata;
}

/// The body, which is JSON.
pub(super) fn json_body(exchange: &Exchange) -> Result<&[u8], Reason> {
    let content_type = one_content_type(&exchange.request).map_err(refused)?;
    if content_type.as_deref() != Some("application/json") {
        return Err(refused(::oauth::Error::invalid_request("The body must be JSON: application/json")));
    }
    Ok(exchange.request.body_bytes().map_or(&[][..], |body| body))
}
