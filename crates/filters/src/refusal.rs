//! How `require` and `fail` say no: the reason, its status, and what the log and the client are told.

use http::{HeaderValue, StatusCode};

use policy::settings::Spanned;
use policy::{BuildContext, Diagnostics, Dynamic, Exchange, Getter, Reason, ReasonCode};

use crate::answer::Detail;

/// Declares the settings of a filter that says no: what is its own, and what its author may say of the refusal. (serde's
/// `flatten` would lose the places of the values, and with them where a problem is shown.)
macro_rules! settings_of_refusal {
    ($(#[$docs:meta])* $code:literal $({ $($own:tt)* })?) => {
        $(#[$docs])*
        #[derive(serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct Settings {
            $($($own)*)?
            #[doc = concat!("The reason code, shown in decision records, logs, metrics and tests. Default: `", $code, "`.")]
            reason: Option<policy::settings::Spanned<String>>,
            /// The status of the built-in answer, 400 to 599. Default: 403.
            #[schemars(range(min = 400, max = 599))]
            status: Option<policy::settings::Spanned<u16>>,
            /// For the log and `${failure.message}`; the client does not see it.
            message: Option<policy::Dynamic<String>>,
            /// Shown to the client: the `detail` of the problem details (RFC 9457). Default: none.
            detail: Option<policy::Dynamic<String>>,
            /// `WWW-Authenticate` of the answer; required with status 401.
            challenge: Option<policy::settings::Spanned<String>>,
        }

        impl Settings {
            fn wording(&self) -> $crate::refusal::Wording<'_> {
                $crate::refusal::Wording {
                    code: policy::ReasonCode::new($code),
                    reason: &self.reason,
                    status: &self.status,
                    message: &self.message,
                    detail: &self.detail,
                    challenge: &self.challenge,
                }
            }
        }
    };
}

pub(crate) use settings_of_refusal;

/// What a policy's author may say of a refusal, as it stands in the file.
pub(crate) struct Wording<'a> {
    /// Holds where the file names none.
    pub(crate) code: ReasonCode,
    pub(crate) reason: &'a Option<Spanned<String>>,
    pub(crate) status: &'a Option<Spanned<u16>>,
    pub(crate) message: &'a Option<Dynamic<String>>,
    pub(crate) detail: &'a Option<Dynamic<String>>,
    pub(crate) challenge: &'a Option<Spanned<String>>,
}

/// A refusal, compiled.
pub(crate) struct Refusal {
    code: ReasonCode,
    status: StatusCode,
    message: Option<Getter<String>>,
    otherwise: String,
    detail: Option<Getter<String>>,
    challenge: Option<HeaderValue>,
}

impl Refusal {
    /// Compiles it; `otherwise` is the message where the author says nothing.
    pub(crate) fn compile(
        wording: &Wording<'_>,
        otherwise: impl Into<String>,
        cx: &mut BuildContext<'_>,
    ) -> Result<Self, Diagnostics> {
        let status = match wording.status {
            Some(status) => checked_status(status, cx)?,
            None => StatusCode::FORBIDDEN,
        };
        let challenge = match wording.challenge {
            Some(challenge) => Some(HeaderValue::from_str(&challenge.value).map_err(|_| {
                cx.error(
                    challenge.span,
                    "this cannot be a header's value",
                    "write a challenge in plain ASCII: `Basic realm=\"orders\"`",
                )
            })?),
            None => None,
        };
        // RFC 9110, section 15.5.2: a 401 must carry at least one challenge.
        if let (StatusCode::UNAUTHORIZED, None, Some(at)) = (status, &challenge, wording.status) {
            let help = "add `challenge = \"Basic realm=\\\"orders\\\"\"` or the scheme that clients should use; use 403 where no credential would help";
            return Err(cx.error(at.span, "401 needs a `challenge` (RFC 9110, section 15.5.2)", help).into());
        }
        let code = match wording.reason {
            Some(reason) => checked_reason(reason, cx)?,
            None => wording.code,
        };
        cx.fails(&[code]);
        Ok(Refusal {
            code,
            status,
            message: wording.message.as_ref().map(|m| cx.dynamic(m)).transpose()?,
            otherwise: otherwise.into(),
            detail: wording.detail.as_ref().map(|d| cx.dynamic(d)).transpose()?,
            challenge,
        })
    }

    /// Whether it tells the client how to prove itself.
    pub(crate) fn has_challenge(&self) -> bool {
        self.challenge.is_some()
    }

    /// The reason, for this exchange. A message or detail whose value is missing is told by the one reason that matters: a
    /// refusal stays the refusal that the author wrote.
    pub(crate) fn reason(&self, exchange: &Exchange) -> Reason {
        let text =
            |getter: &Option<Getter<String>>| getter.as_ref().and_then(|g| g.get_optional(exchange).ok().flatten());
        let message = text(&self.message).unwrap_or_else(|| self.otherwise.clone());
        let mut reason = Reason::new(self.code, message).with_status(self.status);
        reason.challenges.extend(self.challenge.clone());
        match text(&self.detail) {
            Some(detail) => reason.with_detail(Detail(detail)),
            None => reason,
        }
    }
}

fn checked_status(status: &Spanned<u16>, cx: &BuildContext<'_>) -> Result<StatusCode, Diagnostics> {
    match StatusCode::from_u16(status.value) {
        Ok(code) if code.is_client_error() || code.is_server_error() => Ok(code),
        _ => {
            let help = "a failure is answered with 400 to 599; use `respond` for an answer that is no refusal";
            Err(cx.error(status.span, format!("{} is no status of a refusal", status.value), help).into())
        }
    }
}

fn checked_reason(reason: &Spanned<String>, cx: &BuildContext<'_>) -> Result<ReasonCode, Diagnostics> {
    let text = &reason.value;
    let good = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        && text.len() <= 64;
    if good {
        return Ok(ReasonCode::named(text));
    }
    let help = "a reason is a word for logs, metrics and tests: lower case, digits, `-` and `_`, at most 64; sentences go into `message`";
    Err(cx.error(reason.span, format!("`{text}` is no reason code"), help).into())
}
