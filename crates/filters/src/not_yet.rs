//! Filters that the design names and that a later version brings: known words, refused with what to do until then. They
//! are never "unknown", and never ignored.

use schemars::json_schema;

use policy::diagnostic::{Problem, codes};
use policy::filter::{ErasedFilter, FilterKind, Role};
use policy::reader::{Outside, Table};
use policy::{BuildContext, Diagnostics};

/// Name, and what does until then.
const LATER: &[(&str, &str)] = &[
    ("replace", "use `set` with `{ cel = \"...\" }`"),
    ("xml-to-json", "let the upstream convert the document"),
    ("json-to-xml", "let the upstream convert the document"),
    ("alert", "watch the metrics at `/metrics`"),
    ("users.get", "have the upstream look the user up"),
    ("ldap.search", "have the upstream look the user up"),
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
