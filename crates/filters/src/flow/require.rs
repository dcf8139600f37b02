//! `require`: fails unless a condition (CEL) holds. In Oracle API Gateway: Compare Attribute.
//!
//! ```toml
//! [[filter]]
//! use    = "require"
//! that   = 'request.query.version == "2" && request.scheme in ["http", "https"]'
//! reason = "old-version"
//! status = 400
//! ```

use schemars::JsonSchema;
use serde::Deserialize;

use policy::selector::Condition;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Dynamic, Exchange, Filter, FilterConfig, Outcome, ReasonCode};

use crate::refusal::{Refusal, Wording};

/// The reason code where the policy names none.
const NOT_MET: ReasonCode = ReasonCode::new("condition-not-met");

/// `use = "require"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The condition, in CEL over attributes. A value that is absent makes the filter fail with `missing-value`; ask with
    /// `has(...)` where it may be.
    that: Spanned<String>,
    /// The reason code of the failure. Default: `condition-not-met`.
    reason: Option<Spanned<String>>,
    /// The status of the built-in answer, 400 to 599. Default: 403.
    status: Option<Spanned<u16>>,
    /// For the log and `${failure.message}`; the client does not see it.
    message: Option<Dynamic<String>>,
    /// Shown to the client: the `detail` of the problem details (RFC 9457). Default: none.
    detail: Option<Dynamic<String>>,
    /// `WWW-Authenticate` of the answer; required with status 401.
    challenge: Option<Spanned<String>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "require";
    type Filter = Require;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Require, Diagnostics> {
        let wording = Wording {
            reason: &self.reason,
            status: &self.status,
            message: &self.message,
            detail: &self.detail,
            challenge: &self.challenge,
        };
        let otherwise = format!("`{}` does not hold", self.that.value);
        Ok(Require {
            that: Condition::compile(&self.that, cx)?,
            refusal: Refusal::compile(&wording, NOT_MET, otherwise, cx)?,
        })
    }
}

/// The compiled filter.
pub(crate) struct Require {
    that: Condition,
    refusal: Refusal,
}

impl Filter for Require {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        Ok(match self.that.holds(exchange) {
            Ok(true) => Outcome::Success,
            Ok(false) => Outcome::Failure(self.refusal.reason(exchange)),
            Err(reason) => Outcome::Failure(reason),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{get, policy, told};

    #[test]
    fn the_condition_decides() {
        let tested = policy(
            "[[filter]]\nuse = 'require'\nthat = 'request.query.version == \"2\"'\nreason = 'old-version'\nstatus = 400\n\n[[filter]]\nuse = 'respond'",
        );
        for (path, answer) in
            [("/x?version=2", "200"), ("/x?version=1", "400 old-version"), ("/x", "400 missing-value")]
        {
            assert_eq!(told(&tested.run(get(path, &[]))), answer, "{path}");
        }
    }

    #[test]
    fn without_settings_it_is_a_403() {
        let tested =
            policy("[[filter]]\nuse = 'require'\nthat = 'request.path == \"/a\"'\n\n[[filter]]\nuse = 'respond'");
        assert_eq!(told(&tested.run(get("/b", &[]))), "403 condition-not-met");
    }
}
