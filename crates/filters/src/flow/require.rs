//! `require`: fails unless a condition (CEL) holds. In Oracle API Gateway: Compare Attribute.
//!
//! ```toml
//! [[filter]]
//! use    = "require"
//! that   = 'request.query.version == "2" && request.scheme in ["http", "https"]'
//! reason = "old-version"
//! status = 400
//! ```

use policy::selector::Condition;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome};

use crate::refusal::{Refusal, settings_of_refusal};

settings_of_refusal! {
    /// `use = "require"`
    "condition-not-met" {
        /// The condition, in CEL over attributes. A value that is absent makes the filter fail with `missing-value`; ask
        /// with `has(...)` where it may be.
        that: Spanned<String>,
    }
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "require";
    type Filter = Require;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Require, Diagnostics> {
        let otherwise = format!("`{}` does not hold", self.that.value);
        Ok(Require {
            that: Condition::compile(&self.that, cx)?,
            refusal: Refusal::compile(&self.wording(), otherwise, cx)?,
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
