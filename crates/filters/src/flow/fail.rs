//! `fail`: ends in a failure, always. In Oracle API Gateway: the False filter, and Generic Error.
//!
//! ```toml
//! [[filter]]
//! use     = "fail"
//! reason  = "plan-expired"
//! status  = 402
//! message = "the plan of ${request.query.plan ?? nobody} has expired"
//! detail  = "Renew the plan to go on."
//! ```

use policy::filter::Judges;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome};

use crate::refusal::{Refusal, settings_of_refusal};

settings_of_refusal! {
    /// `use = "fail"`
    "failed"
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "fail";
    type Filter = Fail;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<Fail, Diagnostics> {
        cx.shapes_nothing();
        cx.always_fails();
        cx.judges(Judges::Alike);
        cx.aside(|cx| Refusal::compile(&self.wording(), "the policy says no", cx)).map(Fail)
    }
}

/// The compiled filter.
pub(crate) struct Fail(Refusal);

impl Filter for Fail {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        Ok(Outcome::Failure(self.0.reason(exchange)))
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::{get, policy, told};

    #[test]
    fn it_fails_as_the_author_says_and_tells_the_client_only_the_detail() {
        let ran = policy(
            "[[filter]]\nuse = 'fail'\nreason = 'plan-expired'\nstatus = 402\nmessage = 'of ${request.path}'\ndetail = 'Renew.'",
        )
        .run(get("/x", &[]));
        assert_eq!(told(&ran), "402 plan-expired");
        assert_eq!(ran.header("content-type"), "application/problem+json");
        assert_eq!(
            ran.json(),
            serde_json::json!({ "type": "about:blank", "title": "Payment Required", "status": 402, "detail": "Renew." })
        );
    }

    #[test]
    fn without_settings_it_is_a_403() {
        assert_eq!(told(&policy("[[filter]]\nuse = 'fail'").run(get("/x", &[]))), "403 failed");
    }

    #[test]
    fn a_401_has_a_challenge() {
        let ran = policy("[[filter]]\nuse = 'fail'\nstatus = 401\nchallenge = 'Basic realm=\"a\"'").run(get("/x", &[]));
        assert_eq!((told(&ran).as_str(), ran.header("www-authenticate")), ("401 failed", "Basic realm=\"a\""));
    }

    #[test]
    fn what_is_no_refusal_is_refused_at_load() {
        for (setting, said) in [
            ("status = 200", "200 is no status of a refusal"),
            ("status = 401", "401 needs a `challenge`"),
            ("reason = 'Not Good'", "`Not Good` is no reason code"),
            ("reason = ''", "`` is no reason code"),
            ("status = 401\nchallenge = \"a\\nb\"", "this cannot be a header's value"),
        ] {
            let problems = policy(&format!("[[filter]]\nuse = 'fail'\n{setting}")).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{setting}: {problems:#?}");
        }
    }
}
