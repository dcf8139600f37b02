//! `oauth.introspect`: tells a resource server what a token is (RFC 7662). A client sees its own tokens, and those that
//! it was given to see when it was registered (`client add --introspect`); of all else it is told exactly `{"active":
//! false}`.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.authenticate-client"
//!
//! [[filter]]
//! use = "oauth.introspect"
//! ```

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::ErrorCode;
use ::oauth::introspection::{Active, Caller, Sees, answer};
use policy::attribute::Slot;
use policy::filter::{Answers, Role};
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Response, Value};
use store::{AccessToken, Client, Introspects};

use super::answers::{ENDPOINT, json};
use super::attributes::CLIENT;
use super::live::{Live, unix_seconds};
use super::metadata::ENDPOINT_FACT;
use super::request::{endpoint_form, required};
use super::stop::{Stop, refuses, settle};

/// `use = "oauth.introspect"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The store of the kind `access-token`. Default: the one of that name.
    store: Option<Spanned<String>>,
    /// The store of the kind `clients`. Default: the one of that name.
    clients: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.introspect";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = Introspect;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Introspect, Diagnostics> {
        cx.reads_request_body();
        cx.answers(Answers::Always);
        refuses(cx, &[ErrorCode::InvalidRequest]);
        cx.publish(ENDPOINT_FACT, Value::text("introspection_endpoint"));
        Ok(Introspect { live: Live::build(&self.store, &self.clients, cx)?, client: cx.reads(&CLIENT) })
    }
}

/// The compiled filter.
pub(crate) struct Introspect {
    live: Live,
    client: Slot<Client>,
}

impl Filter for Introspect {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        match self.look_up(exchange).await {
            Ok(answer) => exchange.answer(answer),
            Err(stop) => settle(Err(stop)),
        }
    }
}

impl Introspect {
    async fn look_up(&self, exchange: &Exchange) -> Result<Response, Stop> {
        let client = exchange.needs(self.client)?;
        let form = endpoint_form(&exchange.request)?;
        let token = required(form, "token")?;
        let found = self.live.find(token, unix_seconds(exchange)).await?;
        let told = answer(&caller(client), found.as_ref().map(|(token, _)| active(token)));
        Ok(json(StatusCode::OK, &told))
    }
}

fn caller(client: &Client) -> Caller<'_> {
    Caller {
        client_id: &client.client_id,
        proved: !client.is_public(),
        sees: match &client.introspect {
            Introspects::Own => Sees::Own,
            Introspects::Any => Sees::Any,
            Introspects::Audiences(audiences) => Sees::Audiences(audiences),
        },
    }
}

fn active(token: &AccessToken) -> Active<'_> {
    Active {
        client_id: &token.client_id,
        subject: token.subject.as_deref().unwrap_or(token.client_id.as_str()),
        scope: &token.scope,
        audience: &token.audience,
        issued_at: token.issued_at,
        expires_at: token.expires_at,
        confirmation: None,
    }
}
