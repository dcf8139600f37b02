//! `oauth.redeem-device`: a device asks whether its user has decided (RFC 8628, sections 3.4 and 3.5). It proves the grant and sets `grant.*`;
//! `oauth.issue-token` uses the code up. A device that asks too often waits five seconds longer from then on. Oracle API Gateway has none.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.authenticate-client"
//!
//! [[filter]]
//! use = "oauth.redeem-device"
//! ```

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::device::{self, DEVICE_CODE, State};
use ::oauth::token_endpoint::may_use_grant;
use ::oauth::{ErrorCode, refresh};
use policy::attribute::Slot;
use policy::filter::Role;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, ReasonCode, Value};
use store::device_codes::Decision;
use store::{Client, DeviceCodes};

use super::answers::ENDPOINT;
use super::attributes::{CLIENT, GRANT, Grant, Proof};
use super::client_credentials::GRANT_TYPE;
use super::live::unix_seconds;
use super::request::{endpoint_form, required};
use super::stop::{Stop, refuses, settle};
use crate::StoreExt;

/// `use = "oauth.redeem-device"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The store of the kind `device-code`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.redeem-device";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = RedeemDevice;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<RedeemDevice, Diagnostics> {
        cx.reads_request_body();
        cx.authorizes();
        refuses(cx, &[ErrorCode::UnauthorizedClient, ErrorCode::InvalidRequest, ErrorCode::InvalidGrant]);
        let states =
            [ErrorCode::AuthorizationPending, ErrorCode::SlowDown, ErrorCode::AccessDenied, ErrorCode::ExpiredToken];
        states.iter().for_each(|code| cx.fails(&[ReasonCode::new(code.as_str())]));
        cx.publish(GRANT_TYPE, Value::text(DEVICE_CODE));
        Ok(RedeemDevice { codes: cx.store(&self.store)?, client: cx.reads(&CLIENT), grant: cx.writes(&GRANT) })
    }
}

/// The compiled filter.
pub(crate) struct RedeemDevice {
    codes: Arc<DeviceCodes>,
    client: Slot<Client>,
    grant: Slot<Grant>,
}

impl Filter for RedeemDevice {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        settle(self.prove(exchange).await)
    }
}

impl RedeemDevice {
    async fn prove(&self, exchange: &mut Exchange) -> Result<Outcome, Stop> {
        let client = exchange.needs(self.client)?;
        may_use_grant(&client.grant_types, DEVICE_CODE)?;
        let code = required(endpoint_form(&exchange.request)?, "device_code")?;
        let asked = self.codes.ask(code, &client.client_id, unix_seconds(exchange)).await?;
        let found = asked.map_err(device::refused)?;
        let Decision::Allowed(allowed) = &found.record.decision else {
            return Err(device::refused(State::Unknown).into());
        };
        let grant = Grant {
            kind: DEVICE_CODE,
            subject: Some(allowed.subject.clone()),
            scopes: allowed.scope.clone(),
            default_scopes: allowed.scope.clone(),
            offline: refresh::is_offline(&client.grant_types, DEVICE_CODE, &allowed.scope),
            authentication: allowed.authentication.clone(),
            nonce: None,
            claims: None,
            proof: Proof::Device { codes: self.codes.clone(), found: Box::new(found) },
        };
        exchange.set(self.grant, grant);
        Ok(Outcome::Success)
    }
}
