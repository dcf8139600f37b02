//! `remove-header`: removes headers of the request that goes to the upstream, or of the answer. In Oracle API Gateway:
//! Remove HTTP Header.
//!
//! Of a request, a header goes in every spelling with `_` for `-`: many upstreams cannot tell `X_Api_Key` from `X-Api-Key`.
//!
//! ```toml
//! [[filter]]
//! use   = "remove-header"
//! names = ["cookie", "x-debug"]
//!
//! [[filter]]
//! use   = "remove-header"
//! of    = "response"
//! names = ["server"]
//! ```

use http::{HeaderName, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use policy::exchange::{HeaderEdit, remove_alike};
use policy::outcome::MISSING_VALUE;
use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason};

use super::fields::{self, Side};

/// `use = "remove-header"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Which message: `request` (default) or `response`. From a response that is not there yet they are removed when it is.
    #[serde(default)]
    of: Side,
    /// The headers.
    names: Spanned<Vec<Spanned<String>>>,
    /// Whether the filter fails where the request lacks one of them. Default: `false`. Only for `of = "request"`.
    #[serde(default)]
    required: Option<Spanned<bool>>,
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "remove-header";
    type Filter = RemoveHeader;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<RemoveHeader, Diagnostics> {
        if self.of == Side::Response {
            cx.edits_headers();
        }
        let mut problems = Diagnostics::new();
        let mut names = Vec::new();
        for written in &self.names.value {
            match fields::name(written, self.of, cx) {
                Ok(name) => names.push(name),
                Err(more) => problems.extend(more),
            }
        }
        if self.names.value.is_empty() {
            problems.push(cx.error(
                self.names.span,
                "`remove-header` removes nothing",
                "name a header, or take the filter out",
            ));
        }
        if let (Side::Response, Some(required)) = (self.of, &self.required) {
            let help = "take it out: a response's headers are removed where they are";
            problems.push(cx.error(required.span, "`required` is for `of = \"request\"`", help));
        }
        if problems.has_errors() {
            return Err(problems);
        }
        if self.required.as_ref().is_some_and(|required| required.value) {
            cx.fails(&[MISSING_VALUE]);
        }
        Ok(RemoveHeader { of: self.of, names, required: self.required.as_ref().is_some_and(|r| r.value) })
    }
}

/// The compiled filter.
pub(crate) struct RemoveHeader {
    of: Side,
    names: Vec<HeaderName>,
    required: bool,
}

impl Filter for RemoveHeader {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        if self.of == Side::Response {
            for name in &self.names {
                exchange.edit_response_header(HeaderEdit::Remove(name.clone()));
            }
            return Ok(Outcome::Success);
        }
        let headers = &mut exchange.request.headers;
        if self.required
            && let Some(absent) = self.names.iter().find(|name| !headers.contains_key(*name))
        {
            let message = format!("the request has no header `{absent}`");
            return Ok(Outcome::Failure(Reason::new(MISSING_VALUE, message).with_status(StatusCode::BAD_REQUEST)));
        }
        remove_alike(headers, &self.names);
        Ok(Outcome::Success)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixture::{get, policy, sent, told};

    #[test]
    fn from_the_request_and_from_the_answer() {
        let tested = policy(
            "[[filter]]\nuse = 'remove-header'\nnames = ['Cookie']\n\n[[filter]]\nuse = 'remove-header'\nof = 'response'\nnames = ['server']\n\n[[filter]]\nuse = 'proxy'\nupstream = 'orders'",
        );
        let ran = tested.run(get("/x", &[("cookie", "a=b"), ("cookie", "c=d"), ("accept", "*/*")]));
        let seen = sent(&ran);
        assert_eq!((&seen["headers"]["cookie"], &seen["headers"]["accept"]), (&json!(null), &json!("*/*")));
        assert!(!ran.headers.contains_key("server"));
    }

    #[test]
    fn a_header_goes_in_every_spelling_that_upstreams_take_for_it() {
        let tested = policy(
            "[[filter]]\nuse = 'remove-header'\nnames = ['x-api-key', 'x_debug']\n\n[[filter]]\nuse = 'proxy'\nupstream = 'orders'",
        );
        let spelled = ["x-api-key", "X_Api_Key", "x-api_key", "x_api-key", "x-debug", "x_debug"];
        let kept = ["x-api-keys", "xapi-key", "x_api"];
        let headers: Vec<(&str, &str)> = spelled.iter().chain(&kept).map(|name| (*name, "1")).collect();
        let seen = sent(&tested.run(get("/x", &headers)));
        for name in spelled {
            assert_eq!(seen["headers"][name.to_ascii_lowercase()], json!(null), "{name}");
        }
        for name in kept {
            assert_eq!(seen["headers"][name], json!("1"), "{name}");
        }
    }

    #[test]
    fn a_required_header_that_is_absent_is_a_failure() {
        let tested = policy(
            "[[filter]]\nuse = 'remove-header'\nnames = ['x-a']\nrequired = true\n\n[[filter]]\nuse = 'respond'",
        );
        assert_eq!(told(&tested.run(get("/x", &[]))), "400 missing-value");
        assert_eq!(told(&tested.run(get("/x", &[("x-a", "")]))), "200");
    }

    #[test]
    fn what_does_nothing_is_refused_at_load() {
        for (settings, said) in [
            ("names = []", "`remove-header` removes nothing"),
            ("names = ['a']\nof = 'response'\nrequired = true", "`required` is for `of = \"request\"`"),
            ("names = ['transfer-encoding']", "is not for a policy to write"),
        ] {
            let problems =
                policy(&format!("[[filter]]\nuse = 'remove-header'\n{settings}\n\n[[filter]]\nuse = 'respond'"))
                    .problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
