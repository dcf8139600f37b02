//! `oauth.authorize`: reads and checks an authorization request (RFC 6749, section 4.1.1; OpenID Connect Core, section 3.1.2.1) and sets
//! `client.*` and `authorization.*`. It asks nobody anything: log-in, consent and the code are the filters' after it. In Oracle API Gateway:
//! the first part of Authorization Code Flow.
//!
//! What is wrong before the client and its redirect URI are proven is told to the user, on a page. Everything after that, of this filter and
//! of those after it, goes to the redirect URI, with `state` and `iss` (RFC 9207). PKCE with S256 is needed (RFC 7636); `without_pkce` names
//! the clients that cannot, and `check` tells of each.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.authorize"
//!
//! [[filter]]                     # who is there? whoever has a session, or logs in now
//! use = "any"
//! of  = ["session", "log-in"]
//!
//! [[filter]]
//! use = "oauth.consent"
//!
//! [[filter]]
//! use = "oauth.issue-code"
//!
//! [[chain.session]]
//! use = "auth.session"
//!
//! [[chain.session]]
//! use = "oauth.check-login"
//!
//! [[chain.log-in]]
//! use        = "auth.password"
//! on_failure = "page"
//!
//! [[chain.log-in]]
//! use = "session.start"
//!
//! [[chain.page]]
//! use = "oauth.login"
//! ```

use std::sync::Arc;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::authorization::{Asked, Parameters, Registered, Rules, Target};
use ::oauth::redirect_uri::OUT_OF_BAND;
use ::oauth::{ClientId, Error, ErrorCode, Issuer};
use policy::attribute::Slot;
use policy::diagnostic::codes;
use policy::filter::Role;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode, Value};
use store::seal::Sealer;
use store::{Client, Clients};

use super::answers::AUTHORIZATION;
use super::attributes::{AUTHORIZE, Authorization, CLIENT, VISIT, Visit};
use super::live::unix_seconds;
use super::metadata::ENDPOINT_FACT;
use super::resume::{self, FORM_EXPIRED};
use super::server::Server;
use super::stop::{Redirected, Stop, refused, settle};
use crate::StoreExt;

/// `use = "oauth.authorize"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The clients that may come without PKCE, by their ids: a code of theirs that leaks is whoever's finds it. Nobody may with the
    /// profile `oauth-2.1`. Default: none.
    #[serde(default)]
    without_pkce: Vec<Spanned<String>>,
    /// The store of the kind `clients`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.authorize";
    const ROLE: Role = Role::Endpoint(&AUTHORIZATION);
    type Filter = Authorize;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Authorize, Diagnostics> {
        cx.reads_request_body();
        cx.fails(&[FORM_EXPIRED, ReasonCode::new(ErrorCode::InvalidRequest.as_str())]);
        let others = [
            ErrorCode::UnsupportedResponseType,
            ErrorCode::UnauthorizedClient,
            ErrorCode::InvalidScope,
            ErrorCode::RequestNotSupported,
            ErrorCode::RequestUriNotSupported,
            ErrorCode::RegistrationNotSupported,
        ];
        others.iter().for_each(|code| cx.fails_rarely(&[ReasonCode::new(code.as_str())]));
        let server = Server::read(cx)?;
        let excepted = |client: &Spanned<String>| format!("client `{}` may come without PKCE", client.value);
        server.refuse_lax(self.without_pkce.iter().map(|client| (client, excepted(client))), cx)?;
        for client in &self.without_pkce {
            let help = "a code of it that leaks (a log, a history, another application) is good for whoever finds it: have it send \
                        `code_challenge` (RFC 7636), and take it off this list";
            cx.lint(codes::WITHOUT_PKCE, client.span, excepted(client), help);
        }
        cx.publish(ENDPOINT_FACT, Value::text("authorization_endpoint"));
        Ok(Authorize {
            without_pkce: self.without_pkce.iter().map(|client| client.value.clone()).collect(),
            issuer: Arc::new(server.issuer(cx)?),
            clients: cx.store(&self.store)?,
            sealer: cx.sealer()?,
            client: cx.writes(&CLIENT),
            authorization: cx.writes(&AUTHORIZE),
            visit: cx.writes(&VISIT),
        })
    }
}

/// The compiled filter.
pub(crate) struct Authorize {
    without_pkce: Vec<String>,
    issuer: Arc<Issuer>,
    clients: Arc<Clients>,
    sealer: Arc<Sealer>,
    client: Slot<Client>,
    authorization: Slot<Authorization>,
    visit: Slot<Visit>,
}

impl Filter for Authorize {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.read(exchange).await)
    }
}

impl Authorize {
    async fn read(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let now = unix_seconds(exchange);
        let visit = resume::visit(exchange, &self.sealer, now)?;
        let parameters = &visit.parameters;
        let id = ClientId::new(parameters.client_id()?);
        let known = self.clients.get(&id).await?.filter(|client| client.enabled);
        // Unknown and disabled look alike.
        let client =
            known.ok_or_else(|| Error::invalid_request("`client_id` is none of a client that is registered here"))?;
        let target = parameters.target(&client.metadata.redirect_uris)?;
        let asked = self.asked(parameters, &client).map_err(|error| redirected(&target, error, &self.issuer))?;
        let issuer = self.issuer.clone();
        exchange.set(self.client, client);
        exchange.set(self.authorization, Authorization { target, asked, issuer });
        exchange.set(self.visit, visit);
        Ok(Outcome::Success)
    }

    fn asked(&self, parameters: &Parameters, client: &Client) -> Result<Asked, Error> {
        // A public client has nothing else that proves it is the one (RFC 9700, section 2.1.1).
        let excepted = !client.is_public() && self.without_pkce.iter().any(|id| id == client.client_id.as_str());
        let registered = Registered {
            grant_types: &client.grant_types,
            redirect_uris: &client.metadata.redirect_uris,
            scope: &client.scope,
            default_scope: client.default_scopes(),
        };
        parameters.asked(registered, Rules { needs_challenge: !excepted, plain: false })
    }
}

/// The failure that an error is once it is proven where it goes: the browser is sent there.
pub(super) fn redirected(target: &Target, error: Error, issuer: &Issuer) -> Reason {
    if target.redirect_uri == OUT_OF_BAND {
        return refused(error);
    }
    let location = target.with_error(&error, issuer);
    let redirected = Redirected { location, error: error.clone() };
    refused(error).with_status(StatusCode::SEE_OTHER).with_detail(redirected)
}
