//! `oauth.client-credentials`: the client asks for itself (RFC 6749, section 4.4). It proves that the client may use
//! this grant, and sets `grant.*`; it makes no token. In Oracle API Gateway: Access Token using Client Credentials.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.authenticate-client"
//!
//! [[filter]]
//! use = "oauth.client-credentials"
//! ```

use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::ErrorCode;
use ::oauth::token_endpoint::{CLIENT_CREDENTIALS, may_use_client_credentials};
use policy::attribute::Slot;
use policy::filter::Role;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, Value};
use store::Client;

use super::answers::ENDPOINT;
use super::attributes::{CLIENT, GRANT, Grant, Proof};
use super::stop::{refused, refuses};

/// The fact that a policy offers this grant.
pub(super) const GRANT_TYPE: &str = "grant_type";

/// `use = "oauth.client-credentials"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.client-credentials";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = ClientCredentials;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<ClientCredentials, Diagnostics> {
        cx.authorizes();
        refuses(cx, &[ErrorCode::UnauthorizedClient]);
        cx.publish(GRANT_TYPE, Value::text(CLIENT_CREDENTIALS));
        Ok(ClientCredentials { client: cx.reads(&CLIENT), grant: cx.writes(&GRANT) })
    }
}

/// The compiled filter.
pub(crate) struct ClientCredentials {
    client: Slot<Client>,
    grant: Slot<Grant>,
}

impl Filter for ClientCredentials {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        let Some(client) = exchange.get(self.client) else {
            return Ok(Outcome::Failure(Reason::missing(CLIENT.name())));
        };
        // Whoever is registered with `none` came in with nothing but its name.
        let proved = !client.is_public();
        if let Err(error) = may_use_client_credentials(&client.grant_types, proved) {
            return Ok(Outcome::Failure(refused(error)));
        }
        let grant = Grant {
            kind: CLIENT_CREDENTIALS,
            subject: None,
            scopes: client.scope.clone(),
            default_scopes: client.default_scopes().clone(),
            offline: false,
            authentication: None,
            nonce: None,
            claims: None,
            proof: Proof::Client,
        };
        exchange.set(self.grant, grant);
        Ok(Outcome::Success)
    }
}
