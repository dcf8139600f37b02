//! `query-rules`: which parameters a query may have, and what their values may be. In Oracle API Gateway: Query String Attributes, Validate
//! Query String.
//!
//! An allow list: whatever is not in it is refused (400), or taken off before the request goes upstream. A pattern is matched with
//! the whole of the decoded value, in linear time. A parameter that stands there twice is refused unless it is among `repeated`:
//! whoever reads the query next may take the other one. The rest of the query goes upstream as it came.
//!
//! ```toml
//! [[filter]]
//! use      = "query-rules"
//! allow    = { page = "[0-9]{1,4}", sort = "name|date", tag = "[a-z]{1,20}" }
//! required = ["page"]
//! repeated = ["tag"]
//! ```

use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use policy::settings::Spanned;
use policy::{Abort, BuildContext, Diagnostics, Exchange, Filter, FilterConfig, Outcome, Reason, ReasonCode, Request};

use super::rules::{self, Rule, Unknown};
use crate::answer::Detail;
use crate::entries::Entries;

/// The query is not what the policy allows.
const QUERY_RULES: ReasonCode = ReasonCode::new("query-rules");

/// `use = "query-rules"`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Name, and the regular expression that the whole of its decoded value must match (`.*` takes any). Default: none, so that there may be no
    /// query at all.
    #[serde(default)]
    allow: Entries<Spanned<String>>,
    /// Those of them that must be there. Default: none.
    #[serde(default)]
    required: Vec<Spanned<String>>,
    /// Those of them that may be there more than once. Default: none.
    #[serde(default)]
    repeated: Vec<Spanned<String>>,
    /// What comes of others: `refuse` (default), `remove` or `keep`.
    #[serde(default = "refuse")]
    unknown: Unknown,
}

fn refuse() -> Unknown {
    Unknown::Refuse
}

impl FilterConfig for Settings {
    const TYPE: &'static str = "query-rules";
    type Filter = QueryRules;

    fn build(&self, cx: &mut BuildContext<'_>) -> Result<QueryRules, Diagnostics> {
        cx.fails(&[QUERY_RULES]);
        cx.fails_rarely(&[policy::outcome::BAD_REQUEST]);
        let name = |written: &Spanned<String>, _: &BuildContext<'_>| Ok(written.value.clone());
        let rules = rules::compile(&self.allow, &self.required, &self.repeated, cx, name)?;
        Ok(QueryRules { rules, unknown: self.unknown })
    }
}

/// The compiled filter.
pub(crate) struct QueryRules {
    rules: Vec<Rule<String>>,
    unknown: Unknown,
}

impl Filter for QueryRules {
    async fn run(&self, exchange: &mut Exchange) -> Result<Outcome, Abort> {
        match self.kept(&exchange.request) {
            Err(reason) => return Ok(Outcome::Failure(reason)),
            Ok(None) => {}
            Ok(Some(query)) => exchange.request.set_query(Some(query).filter(|query| !query.is_empty())),
        }
        Ok(Outcome::Success)
    }
}

impl QueryRules {
    /// What is left of the query; `None` where that is all of it.
    fn kept(&self, request: &Request) -> Result<Option<String>, Reason> {
        let form = request.query_form()?;
        let raw = request.query.as_deref().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let mut kept = Vec::new();
        let mut removed = false;
        for ((name, value), pair) in form.iter().zip(raw) {
            match self.rules.iter().find(|rule| rule.name == name) {
                Some(rule) if !rule.takes(value) => {
                    return Err(refused(format!("the parameter `{}` has a value that is not allowed", rule.name)));
                }
                Some(rule) if !rule.repeated && form.repeated(name) => {
                    return Err(refused(format!("the parameter `{}` stands there more than once", rule.name)));
                }
                Some(_) => kept.push(pair),
                None => match self.unknown {
                    Unknown::Refuse => return Err(refused("there is a parameter that is not known".into())),
                    Unknown::Remove => removed = true,
                    Unknown::Keep => kept.push(pair),
                },
            }
        }
        let missing = self.rules.iter().find(|rule| rule.required && !form.iter().any(|(name, _)| name == rule.name));
        match missing {
            Some(rule) => Err(refused(format!("the parameter `{}` is missing", rule.name))),
            None => Ok(removed.then(|| kept.join("&"))),
        }
    }
}

/// The client is told which parameter: of those that the policy names, never what came.
fn refused(what: String) -> Reason {
    Reason::new(QUERY_RULES, what.clone()).with_status(StatusCode::BAD_REQUEST).with_detail(Detail(what))
}

#[cfg(test)]
mod tests {
    use crate::fixture::{get, policy, sent, told};

    const PROXY: &str = "[[filter]]\nuse = 'proxy'\nupstream = 'orders'\n";

    fn tested(settings: &str) -> policy::testing::Fixture {
        policy(&format!("[[filter]]\nuse = 'query-rules'\n{settings}\n{PROXY}"))
    }

    const RULES: &str =
        "allow = { page = '[0-9]{1,4}', tag = '[a-zß]+', any = '.*' }\nrequired = ['page']\nrepeated = ['tag']";

    #[test]
    fn what_a_query_may_be() {
        let refused = "400 query-rules";
        for (path, expected) in [
            ("/x?page=12", "200"),
            ("/x?tag=a&page=1&tag=b", "200"),
            ("/x?page=1&tag=%C3%9f", "200"),
            ("/x?page=1&any=", "200"),
            ("/x?page=1&any=a%26b%3Dc", "200"),
            ("/x", refused),
            ("/x?page=", refused),
            ("/x?page=12345", refused),
            ("/x?page=1%0a", refused),
            ("/x?page=1;admin=1", refused),
            ("/x?page=1&page=2", refused),
            ("/x?page=1&%70age=2", refused),
            ("/x?page=1&admin=1", refused),
            ("/x?page=1&PAGE=1", refused),
            ("/x?page=1&any=a%0ab", refused),
            ("/x?page=%zz", "400 bad-request"),
            ("/x?page=%ff", "400 bad-request"),
        ] {
            assert_eq!(told(&tested(RULES).run(get(path, &[]))), expected, "{path}");
        }
    }

    #[test]
    fn others_are_taken_off_or_stay() {
        for (unknown, query, left) in [
            ("remove", "?a=1&page=%31&b=2", "/x?page=%31"),
            ("remove", "?page=1", "/x?page=1"),
            ("keep", "?a=1&page=1", "/x?a=1&page=1"),
        ] {
            let fixture = tested(&format!("{RULES}\nunknown = '{unknown}'"));
            assert_eq!(sent(&fixture.run(get(&format!("/x{query}"), &[])))["uri"], left, "{unknown} {query}");
        }
        let none = tested("unknown = 'remove'");
        assert_eq!(sent(&none.run(get("/x?a=1&b=2", &[])))["uri"], "/x");
        let later = policy(
            "[[filter]]\nuse = 'query-rules'\nunknown = 'remove'\n[[filter]]\nuse = 'respond'\ntext = '${request.query.a ?? gone}'\n",
        );
        assert_eq!(later.run(get("/x?a=1", &[])).text(), "gone");
    }

    #[test]
    fn the_client_is_told_what_the_policy_names() {
        let ran = tested(RULES).run(get("/x?page=geheim", &[]));
        assert_eq!(ran.json()["detail"], "the parameter `page` has a value that is not allowed");
        let ran = tested(RULES).run(get("/x?geheim=1", &[]));
        assert_eq!(ran.json()["detail"], "there is a parameter that is not known");
    }

    #[test]
    fn what_is_no_rule_is_refused_at_load() {
        for (settings, said) in [
            ("allow = { a = '(' }", "this is no pattern"),
            ("allow = { a = '(?=b)' }", "this is no pattern"),
            ("required = ['a']", "`a` is not allowed"),
            ("allow = { b = '.*' }\nrepeated = ['a']", "`a` is not allowed"),
        ] {
            let problems = tested(settings).problems();
            assert!(problems.len() == 1 && problems[0].contains(said), "{settings}: {problems:#?}");
        }
    }
}
