//! Filters that the design names and that a later version brings: known words, refused with what to do until then. They
//! are never "unknown", and never ignored.

use schemars::json_schema;
use serde::de::{Deserialize, Deserializer, IgnoredAny};

use policy::diagnostic::{Problem, Span, codes};
use policy::filter::{ErasedFilter, FilterKind, Role};
use policy::reader::{Outside, Table};
use policy::settings::Spanned;
use policy::{BuildContext, Diagnostics};

/// Name, and what does until then.
const LATER: &[(&str, &str)] = &[
    ("replace", "use `set` with `{ cel = \"...\" }`"),
    ("fetch", "let the upstream that `proxy` calls do it, or make the call in a service of your own"),
    ("cache", "let the upstream set `cache-control`, and a cache before the gateway honour it"),
    ("json-schema", "check single members with `json-path` and `require`"),
    ("json-edit", "let the upstream edit the document"),
    ("template", "use `respond` with `text` or `json`, which take selectors"),
    ("body-limit", "bodies that filters read are limited already (1 MiB); let the upstream limit streamed ones"),
    ("threat-patterns", "check single values with `require` and `matches(...)`"),
    ("json-limits", "bodies that filters read are limited already (1 MiB)"),
    ("content-type", "use `require` with `request.content_type == \"...\"`"),
    ("query-rules", "use `require` over `request.query`"),
    ("header-rules", "use `require` over `request.header`"),
    ("xml-to-json", "let the upstream convert the document"),
    ("json-to-xml", "let the upstream convert the document"),
    ("quota", "use `rate-limit` with a long window: `limit = \"1000/1d\"`"),
    ("concurrency-limit", "use `rate-limit`, and a limit of connections before the gateway"),
    ("circuit-breaker", "set short `timeouts` on the upstream in `node.toml`"),
    ("delay", "use `rate-limit`"),
    ("log", "every request is in the access log and has a decision record already"),
    ("audit", "every request is in the access log and has a decision record already"),
    ("metric", "the metrics by policy and outcome at `/metrics` need no filter"),
    ("trace-point", "the decision record shows every filter that ran"),
    ("webhook", "put the decision into the policy with `require`, or into the upstream"),
    ("alert", "watch the metrics at `/metrics`"),
    ("users.get", "have the upstream look the user up"),
    ("ldap.search", "have the upstream look the user up"),
    ("auth.ip-address", "use `require` over `request.client_ip`"),
    ("auth.hmac", "use `oauth.validate-token`"),
    ("oauth.verify-assertion", "use `oauth.client-credentials`: it is the only grant of this version"),
    ("oauth.verify-saml", "use `oauth.client-credentials`: it is the only grant of this version"),
    ("oauth.exchange-token", "use `oauth.client-credentials`: it is the only grant of this version"),
    ("oauth.resource-owner", "use `oauth.client-credentials`: it is the only grant of this version"),
    ("oauth.verify-id-token", "use the client credentials grant: users do not log in at this version"),
    ("oauth.resource-metadata", "tell clients the scopes in the API's documentation"),
];

/// The table of them, as filters whose build says no.
pub(crate) const FILTERS: &[FilterKind] = &{
    let mut kinds = [later("", ""); LATER.len()];
    let mut index = 0;
    while index < LATER.len() {
        kinds[index] = later(LATER[index].0, LATER[index].1);
        index += 1;
    }
    kinds
};

/// What it says of itself is what does its work until then.
const fn later(name: &'static str, docs: &'static str) -> FilterKind {
    FilterKind {
        name,
        role: Role::Plain,
        docs,
        later: true,
        schema: |_| json_schema!({ "type": "object" }),
        build: refuse,
    }
}

/// One function for all of them: the table's own `use` says which it is.
fn refuse(
    table: &Table,
    _skip: &[&str],
    _outside: &dyn Outside,
    cx: &mut BuildContext<'_>,
) -> Result<Box<dyn ErasedFilter>, Diagnostics> {
    let node = table.get("use");
    let name = node.and_then(|n| n.as_text()).unwrap_or_default();
    let instead = LATER.iter().find(|(known, _)| *known == name).map_or("", |(_, instead)| *instead);
    let span = node.map_or(cx.own_place().span, |n| n.span);
    Err(problem(format!("the filter `{name}` is not there yet: a later version brings it"), instead)
        .at(cx.place(span))
        .into())
}

fn problem(message: String, instead: &str) -> Problem {
    Problem::error(codes::NOT_YET, message).with_help(format!("until then: {instead}"))
}

/// A setting of a filter that a later version brings: any value, refused at its place.
pub(crate) struct NotYet(Span);

impl NotYet {
    /// Refuses the setting where it is written.
    pub(crate) fn refuse(
        setting: &Option<NotYet>,
        name: &str,
        instead: &str,
        cx: &BuildContext<'_>,
    ) -> Result<(), Diagnostics> {
        match setting {
            None => Ok(()),
            Some(NotYet(span)) => {
                Err(problem(format!("the setting `{name}` is not there yet: a later version brings it"), instead)
                    .at(cx.place(*span))
                    .into())
            }
        }
    }
}

impl<'de> Deserialize<'de> for NotYet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::<IgnoredAny>::deserialize(deserializer).map(|any| NotYet(any.span))
    }
}

#[cfg(test)]
mod tests {
    use crate::LIBRARY;

    #[test]
    fn no_filter_is_both_there_and_not_there_yet() {
        let mut names: Vec<_> = LIBRARY.kinds().map(|kind| kind.name).collect();
        names.sort_unstable();
        let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        assert_eq!(twice, Vec::<&str>::new());
    }
}
