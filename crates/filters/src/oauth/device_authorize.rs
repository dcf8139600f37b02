//! `oauth.device-authorize`: gives a device a code to ask with, and one that its user types elsewhere (RFC 8628, sections 3.1 and 3.2). Oracle
//! API Gateway has none.
//!
//! ```toml
//! [[filter]]
//! use = "oauth.authenticate-client"
//!
//! [[filter]]
//! use          = "oauth.device-authorize"
//! verification = "/api/oauth/device"
//! lifetime     = "10m"
//! ```

use std::sync::Arc;

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::device::{self, DEVICE_CODE, DeviceAuthorization, INTERVAL};
use ::oauth::redirect_uri::with_parameters;
use ::oauth::token::{Token, TokenKind};
use ::oauth::token_endpoint::may_use_grant;
use ::oauth::{Error, ErrorCode, Issuer, Scopes};
use policy::attribute::Slot;
use policy::filter::{Answers, Role};
use policy::settings::{Duration, Spanned};
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Response, Value};
use store::device_codes::{Decision, DeviceCode};
use store::{Client, DeviceCodes, StoreError};

use super::answers::{ENDPOINT, json};
use super::attributes::CLIENT;
use super::live::unix_seconds;
use super::metadata::ENDPOINT_FACT;
use super::request::endpoint_form;
use super::server::Server;
use super::stop::{Stop, refuses, settle};
use crate::StoreExt;

const DEFAULT_LIFETIME: u64 = 600;
const LONGEST: u64 = 3_600;
/// How often another code is made where somebody has it already.
const TRIES: usize = 8;

/// `use = "oauth.device-authorize"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The path at which users type their codes: that of the policy with `oauth.device-verify`.
    verification: Spanned<String>,
    /// How long the codes are good, from `1m` to `1h`. Default: `10m`.
    lifetime: Option<Spanned<Duration>>,
    /// The store of the kind `device-code`. Default: the one of that name.
    store: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.device-authorize";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = DeviceAuthorize;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<DeviceAuthorize, Diagnostics> {
        cx.reads_request_body();
        cx.answers(Answers::Always);
        refuses(cx, &[ErrorCode::UnauthorizedClient, ErrorCode::InvalidScope]);
        cx.publish(ENDPOINT_FACT, Value::text("device_authorization_endpoint"));
        let lifetime = self.lifetime.as_ref().map_or(DEFAULT_LIFETIME, |lifetime| lifetime.value.0.as_secs());
        if let Some(setting) = self.lifetime.as_ref().filter(|_| !(60..=LONGEST).contains(&lifetime)) {
            return Err(cx
                .error(setting.span, "a user does not need so long", "from `1m` to `1h`; `10m` suits most")
                .into());
        }
        if !self.verification.value.starts_with('/') {
            let help = "the path of the policy with `oauth.device-verify`, such as `/api/oauth/device`";
            return Err(cx.error(self.verification.span, "this is no path", help).into());
        }
        Ok(DeviceAuthorize {
            verification: self.verification.value.clone(),
            lifetime,
            issuer: Server::read(cx)?.issuer(cx)?,
            codes: cx.store(&self.store)?,
            client: cx.reads(&CLIENT),
        })
    }
}

/// The compiled filter.
pub(crate) struct DeviceAuthorize {
    verification: String,
    /// Seconds.
    lifetime: u64,
    issuer: Issuer,
    codes: Arc<DeviceCodes>,
    client: Slot<Client>,
}

impl Filter for DeviceAuthorize {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        match self.authorize(exchange).await {
            Ok(answer) => exchange.answer(answer),
            Err(stop) => settle(Err(stop)),
        }
    }
}

impl DeviceAuthorize {
    async fn authorize(&self, exchange: &Exchange) -> Result<Response, Stop> {
        let client = exchange.needs(self.client)?;
        may_use_grant(&client.grant_types, DEVICE_CODE)?;
        let scope = asked(endpoint_form(&exchange.request)?.get("scope"), &client.scope)?;
        let now = unix_seconds(exchange);
        for _ in 0..TRIES {
            let Some(user_code) = device::user_code(&exchange.random::<32>()) else { continue };
            let record = DeviceCode {
                client_id: client.client_id.clone(),
                scope: scope.clone(),
                user_code,
                issued_at: now,
                expires_at: now + self.lifetime,
                interval: INTERVAL,
                asked_at: None,
                decision: Decision::Pending,
            };
            let millis = exchange.now_millis();
            let code = Token::mint_in_order(TokenKind::Device, record.expires_at, millis, exchange.random());
            if self.codes.insert(&code, &record, now).await? {
                return Ok(self.answer(&code, &record));
            }
        }
        Err(StoreError::Unavailable("no code for a user is free: too many devices wait".into()).into())
    }

    fn answer(&self, code: &Token, record: &DeviceCode) -> Response {
        let (user_code, uri) =
            (device::shown(&record.user_code), format!("{}{}", self.issuer.origin(), self.verification));
        let complete = with_parameters(&uri, [("user_code", user_code.as_str())]);
        let body = DeviceAuthorization {
            device_code: code.expose(),
            user_code: &user_code,
            verification_uri: &uri,
            verification_uri_complete: &complete,
            expires_in: self.lifetime,
            interval: record.interval,
        };
        json(StatusCode::OK, &body)
    }
}

/// The scopes that a device asks for; those of its client where it asks for none.
fn asked(scope: Option<&str>, registered: &Scopes) -> Result<Scopes, Error> {
    let refused = || Error::new(ErrorCode::InvalidScope, "The client is not registered for one of these scopes");
    match scope {
        None => Ok(registered.clone()),
        Some(text) => Scopes::parse(text).filter(|scope| scope.within(registered)).ok_or_else(refused),
    }
}
