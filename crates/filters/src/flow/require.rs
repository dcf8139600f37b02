//! `require`: fails unless a condition (CEL) holds. In Oracle API Gateway: Compare Attribute.
//!
//! ```toml
//! [[filter]]
//! use    = "require"
//! that   = 'request.query.version == "2" && request.scheme in ["http", "https"]'
//! reason = "old-version"
//! status = 400
//! ```

use policy::filter::Judges;
use policy::outcome::MISSING_VALUE;
use policy::selector::Condition;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason};

use crate::refusal::{Refusal, settings_of_refusal};

settings_of_refusal! {
    /// `use = "require"`
    "condition-not-met" {
        /// The condition, in CEL over attributes. A value that is absent makes the filter fail with `missing-value`; ask
        /// with `has(...)` where it may be. Where the condition is about the request alone, `any` takes that for a credential
        /// that is absent, and goes on; with a `challenge`, the refusal is the one that is written here.
        that: Spanned<String>,
    }
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "require";
    type Filter = Require;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Require, Diagnostics> {
        cx.shapes_nothing();
        cx.judges(Judges::Alike);
        let otherwise = format!("`{}` does not hold", self.that.value);
        Ok(Require {
            that: Condition::compile(&self.that, cx)?,
            refusal: cx.aside(|cx| Refusal::compile(&self.wording(), otherwise, cx))?,
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
            Err(reason) => Outcome::Failure(self.missing(reason, exchange)),
        })
    }
}

impl Require {
    /// The client did not send what the condition asks for: that is an absent credential, as it is for the filters that are
    /// made for one, and not a bad one; `any` can have a `require` in it for nothing else. Not so where the condition asks for
    /// what a filter found out: a token without a subject is no token that is absent. A `challenge` says that it is about a
    /// credential; a client without one must then be told of it (RFC 9110, section 15.5.2).
    fn missing(&self, reason: Reason, exchange: &Exchange) -> Reason {
        if reason.code != MISSING_VALUE || !self.that.is_about_the_request() {
            return reason;
        }
        let reason = if self.refusal.has_challenge() { self.refusal.reason(exchange) } else { reason };
        reason.with_absent()
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

    /// Two ways in: a key, or the address.
    fn two_ways(require: &str) -> String {
        format!(
            "[[filter]]\nuse = 'any'\nof = ['key', 'open']\n\n[[filter]]\nuse = 'respond'\n\n[[chain.key]]\nuse = 'require'\n{require}\n\n[[chain.open]]\nuse = 'require'\nthat = 'request.path == \"/open\"'"
        )
    }

    #[test]
    fn what_the_client_did_not_send_is_an_absent_credential() {
        for (require, header, path, answer) in [
            ("that = 'request.header[\"x-key\"] == \"k\"'", None, "/open", "200"),
            ("that = 'request.header[\"x-key\"] == \"k\"'", None, "/x", "403 condition-not-met"),
            ("that = 'request.header[\"x-key\"] == \"k\"'", Some("k"), "/x", "200"),
            // One that is there and bad ends the search.
            ("that = 'request.header[\"x-key\"] == \"k\"'\nreason = 'bad-key'", Some("no"), "/open", "403 bad-key"),
            // What the policy or the node knows is no credential.
            ("that = 'vars.key == \"k\"'\nname = 'v'", None, "/open", "400 missing-value"),
            ("that = 'request.header[\"x-key\"] == vars.key'", None, "/open", "400 missing-value"),
        ] {
            let set = if require.contains("vars.key") {
                "[[filter]]\nuse = 'set'\nvars = { key = '${request.query.never ??}' }\n\n"
            } else {
                ""
            };
            let headers: Vec<(&str, &str)> = header.iter().map(|value| ("x-key", *value)).collect();
            let tested = policy(&format!("{set}{}", two_ways(require)));
            assert_eq!(told(&tested.run(get(path, &headers))), answer, "{require} {header:?} {path}");
        }
    }

    #[test]
    fn with_a_challenge_a_credential_that_is_absent_gets_it() {
        let settings =
            "that = 'request.header[\"x-key\"] == \"k\"'\nreason = 'no-key'\nstatus = 401\nchallenge = 'ApiKey'";
        let alone = policy(&format!("[[filter]]\nuse = 'require'\n{settings}\n\n[[filter]]\nuse = 'respond'"));
        for ran in [alone.run(get("/x", &[])), alone.run(get("/x", &[("x-key", "no")]))] {
            assert_eq!(told(&ran), "401 no-key");
            assert_eq!(ran.headers["www-authenticate"], "ApiKey");
        }
        assert_eq!(told(&policy(&two_ways(settings)).run(get("/open", &[]))), "200");
    }

    #[test]
    fn without_settings_it_is_a_403() {
        let tested =
            policy("[[filter]]\nuse = 'require'\nthat = 'request.path == \"/a\"'\n\n[[filter]]\nuse = 'respond'");
        assert_eq!(told(&tested.run(get("/b", &[]))), "403 condition-not-met");
    }
}
