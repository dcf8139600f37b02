//! `oauth.fail`: ends in an OAuth failure, always. The built-in answer writes it (RFC 6749, section 5.2).
//!
//! ```toml
//! [[filter]]
//! use         = "oauth.fail"
//! error       = "unsupported_grant_type"
//! description = "Only client_credentials is offered"
//! ```

use http::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;

use ::oauth::bearer::Challenge;
use ::oauth::{Error, ErrorCode};
use policy::filter::Role;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Getter, Outcome};

use super::answers::ENDPOINT;
use super::authenticate_client::basic_challenge;
use super::stop::{refused, refuses};

const DEFAULT_REALM: &str = "oauth";

/// `use = "oauth.fail"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The error code: `invalid_request`, `invalid_client`, `invalid_grant`, `unauthorized_client`,
    /// `unsupported_grant_type`, `invalid_scope`, `access_denied`, `server_error`, `temporarily_unavailable`,
    /// `invalid_token`, `insufficient_scope` ... The status follows from it.
    error: Spanned<String>,
    /// `error_description`, for the client's developer; characters that it may not have are replaced. Default: none.
    description: Option<Dynamic<String>>,
    /// The realm of the challenge that goes with 401. Default: `oauth`.
    realm: Option<String>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "oauth.fail";
    const ROLE: Role = Role::Endpoint(&ENDPOINT);
    type Filter = Fail;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Fail, Diagnostics> {
        cx.always_fails();
        let code = ErrorCode::parse(&self.error.value).ok_or_else(|| {
            let codes = ErrorCode::ALL.map(ErrorCode::as_str).join("`, `");
            cx.error(
                self.error.span,
                format!("`{}` is no OAuth error", self.error.value),
                format!("use one of `{codes}`"),
            )
        })?;
        refuses(cx, &[code]);
        let description = self.description.as_ref().map(|text| cx.dynamic(text)).transpose()?;
        Ok(Fail { code, description, realm: self.realm.clone().unwrap_or_else(|| DEFAULT_REALM.to_owned()) })
    }
}

/// The compiled filter.
pub(crate) struct Fail {
    code: ErrorCode,
    description: Option<Getter<String>>,
    realm: String,
}

impl Filter for Fail {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        // A description whose value is missing is left out: the failure stays the one that was written.
        let text = self.description.as_ref().and_then(|text| text.get_optional(exchange).ok().flatten());
        let error = text.map_or_else(|| Error::from(self.code), |text| Error::new(self.code, text));
        let challenge = self.challenge(&error);
        let mut reason = refused(error);
        reason.challenges.extend(challenge);
        Ok(Outcome::Failure(reason))
    }
}

impl Fail {
    fn challenge(&self, error: &Error) -> Option<HeaderValue> {
        match error.code {
            ErrorCode::InvalidClient => Some(basic_challenge(&self.realm)),
            ErrorCode::InvalidToken | ErrorCode::InsufficientScope => {
                let challenge = Challenge { realm: Some(&self.realm), error: Some(error), scope: None };
                HeaderValue::from_str(&challenge.to_string()).ok()
            }
            _ => None,
        }
    }
}
