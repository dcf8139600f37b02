//! Lints: what can be loaded and is hardly meant. They are warnings, each with a name by which a file allows it, with a reason:
//!
//! ```toml
//! [allow]
//! route-without-authorization = "the status page is public"
//! ```
//!
//! What a lint looks at is known only once everything else is right, so none is told of files that have errors. The engine has
//! those of routes; a filter warns of its own settings while it is built ([`BuildContext::lint`](crate::BuildContext::lint)); what
//! needs to see several filters, and is the library's own affair, is one of its [`RouteLint`]s.

use std::borrow::Cow;
use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::json;

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place, Problem, Span, codes};
use crate::filter::Effects;
use crate::reader::{Document, did_you_mean};

/// Each lint's code, and the name by which it is allowed.
pub const LINTS: &[(Code, &str)] = &[
    (codes::UNUSED_STORE, "unused-store"),
    (codes::UNUSED_UPSTREAM, "unused-upstream"),
    (codes::UNUSED_VALUE, "unused-value"),
    (codes::ROUTE_WITHOUT_AUTHORIZATION, "route-without-authorization"),
    (codes::ROUTE_WITHOUT_TEST, "route-without-test"),
    (codes::TOKEN_ROUTE_WITHOUT_CLIENT, "token-route-without-client"),
    (codes::UNDECLARED_SCOPE, "undeclared-scope"),
    (codes::UNUSED_SCOPE, "unused-scope"),
    (codes::CREDENTIALS_IN_QUERY, "credentials-in-query"),
    (codes::MISSING_TIMEOUTS, "missing-timeouts"),
    (codes::LIFETIME, "lifetime"),
    (codes::EXPIRES_SOON, "expires-soon"),
    (codes::OPEN_ADMIN, "open-admin"),
    (codes::NEEDLESS_ALLOW, "needless-allow"),
    (codes::WITHOUT_PKCE, "without-pkce"),
    (codes::REFUSAL_AFTER_CACHE, "refusal-after-cache"),
    (codes::ANSWER_OF_ANOTHER, "answer-of-another"),
    (codes::OWN_LISTENER, "own-listener"),
];

/// The key of the table in which a file allows lints.
pub const ALLOW: &str = "allow";

/// `[allow]`, for schemas: the lints' names, each with a reason. [`Lints::allow`] reads it, and no settings type does.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct AllowTable {}

impl JsonSchema for AllowTable {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Allow")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let lint = |(code, name): &(Code, &str)| {
            let meaning = codes::ALL.iter().find(|(known, _)| known == code).map_or("", |(_, meaning)| meaning.trim());
            let says = format!("{meaning} Say why it is meant.");
            ((*name).to_owned(), json!({ "type": "string", "minLength": 1, "description": says }))
        };
        let lints: serde_json::Map<String, serde_json::Value> = LINTS.iter().map(lint).collect();
        json_schema!({ "type": "object", "properties": lints, "additionalProperties": false })
    }
}

/// The name of a lint; none where the code is an error's or another warning's.
pub fn name(code: Code) -> Option<&'static str> {
    LINTS.iter().find(|(lint, _)| *lint == code).map(|(_, name)| *name)
}

/// A route, and everything that a request on it may come through.
pub struct Routed<'a> {
    /// The policy.
    pub policy: &'a str,
    /// Where its first route stands.
    pub place: Place,
    /// The steps of the policy, of those that it runs, and of those that its listeners run before it.
    pub steps: Vec<RoutedStep<'a>>,
}

/// One step of [`Routed`].
pub struct RoutedStep<'a> {
    /// What stands behind `use`.
    pub uses: &'a str,
    /// Where.
    pub place: Place,
    /// What it said of itself.
    pub effects: &'a Effects,
}

/// A lint of the filter library: looks at all routes, and finds what it does not like about them.
pub type RouteLint = fn(&RouteSubject<'_>) -> Diagnostics;

/// What a [`RouteLint`] looks at.
pub struct RouteSubject<'a> {
    /// All policies with a route, in the order of their names.
    pub routes: &'a [Routed<'a>],
    /// What all filters share: the library's own settings files.
    pub shared: &'a crate::compile::Shared<'a>,
}

/// What lints found, and what the files allow.
#[derive(Clone, Debug, Default)]
pub struct Lints {
    found: Diagnostics,
    allows: Vec<Allow>,
}

#[derive(Clone, Debug)]
struct Allow {
    code: Code,
    name: String,
    place: Place,
}

impl Lints {
    /// Adds what was found.
    pub fn extend(&mut self, found: Diagnostics) {
        self.found.extend(found);
    }

    /// Adds all of another collection.
    pub fn join(&mut self, other: Lints) {
        self.found.extend(other.found);
        self.allows.extend(other.allows);
    }

    /// Reads `[allow]` of a file. A name that is no lint's, and one without a reason, are errors.
    pub fn allow(&mut self, document: &Document) -> Diagnostics {
        let mut problems = Diagnostics::new();
        let Some(entry) = document.root.entry(ALLOW) else { return problems };
        let Some(table) = entry.value.as_table() else {
            let problem = Problem::error(codes::BAD_VALUE, format!("`allow` is {}", entry.value.describe()));
            problems.push(
                problem
                    .with_help("write `[allow]`, and below it `NAME = \"reason\"`")
                    .at(document.place(entry.value.span)),
            );
            return problems;
        };
        for entry in &table.entries {
            let Some((code, _)) = LINTS.iter().find(|(_, name)| *name == entry.name) else {
                problems.push(unknown(&entry.name).at(document.place(entry.name_span)));
                continue;
            };
            if entry.value.as_text().is_none_or(|reason| reason.trim().is_empty()) {
                let problem = Problem::error(codes::BAD_VALUE, format!("`{}` is allowed without a reason", entry.name));
                let help = "write down why, for whoever reads this next: text that is not empty";
                problems.push(problem.with_help(help).at(document.place(entry.value.span)));
            }
            self.allows.push(Allow { code: *code, name: entry.name.clone(), place: document.place(entry.name_span) });
        }
        problems
    }

    /// What no file allows, each with how it would be allowed; and what is allowed without need.
    pub fn told(self) -> Diagnostics {
        let allowed: BTreeSet<(Code, &str)> =
            self.allows.iter().map(|allow| (allow.code, allow.place.file.path.as_str())).collect();
        let (needed, told): (Vec<&Diagnostic>, Vec<&Diagnostic>) =
            self.found.iter().partition(|lint| subject(lint).is_some_and(|subject| allowed.contains(&subject)));
        let needed: BTreeSet<(Code, &str)> = needed.into_iter().filter_map(subject).collect();
        let needless = self.allows.iter().filter(|allow| {
            let path = allow.place.file.path.as_str();
            allow.code != codes::NEEDLESS_ALLOW
                && !allowed.contains(&(codes::NEEDLESS_ALLOW, path))
                && !needed.contains(&(allow.code, path))
        });
        let needless = needless.map(|allow| {
            let message = format!("`{}` is allowed here, and nothing in this file needs it", allow.name);
            Problem::warning(codes::NEEDLESS_ALLOW, message).with_help("take it out").at(allow.place.clone())
        });
        told.into_iter().cloned().map(with_way_out).chain(needless).collect()
    }
}

/// What a file would allow so that this is not told.
fn subject(lint: &Diagnostic) -> Option<(Code, &str)> {
    lint.place.as_ref().map(|place| (lint.problem.code, place.file.path.as_str()))
}

fn with_way_out(mut lint: Diagnostic) -> Diagnostic {
    if let (Some(name), true) = (name(lint.problem.code), lint.place.is_some()) {
        let way_out = format!("where it is meant: `[allow]` with `{name} = \"why\"` in this file");
        lint.problem.help = Some(match lint.problem.help {
            Some(help) => format!("{help}; {way_out}"),
            None => way_out,
        });
    }
    lint
}

fn unknown(word: &str) -> Problem {
    let names = || LINTS.iter().map(|(_, name)| *name);
    let help = match did_you_mean(word, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("lints are {}; errors cannot be allowed", names().collect::<Vec<_>>().join(", ")),
    };
    Problem::error(codes::UNKNOWN_KEY, format!("there is no lint `{word}`")).with_help(help)
}

/// Takes the lints out of what was found.
pub(crate) fn split(found: Diagnostics) -> (Diagnostics, Diagnostics) {
    found.partition(|one| name(one.problem.code).is_some())
}

impl crate::BuildContext<'_> {
    /// Warns of a setting, by a lint that the file may allow.
    pub fn lint(&mut self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        let lint = Problem::warning(code, message).with_help(help).at(self.place(span));
        self.warn(lint);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostic::SourceFile;
    use crate::reader::parse;

    fn document(path: &str, text: &str) -> Document {
        parse(&Arc::new(SourceFile::new(path, text))).unwrap()
    }

    fn shown(found: &Diagnostics) -> Vec<String> {
        found.iter().map(|d| format!("{} {}", d.place.as_ref().unwrap(), d.problem.code)).collect()
    }

    #[test]
    fn a_file_allows_a_lint_for_itself_only() {
        let (a, b) =
            (document("a.toml", "x = 1\n[allow]\nlifetime = 'short on purpose'\n"), document("b.toml", "x = 1\n"));
        let lint = |of: &Document| Problem::warning(codes::LIFETIME, "short").at(of.place(Span { start: 0, end: 1 }));
        let mut lints = Lints::default();
        assert!(lints.allow(&a).is_empty() && lints.allow(&b).is_empty());
        lints.extend([lint(&a), lint(&b)].into_iter().collect());
        let told = lints.told();
        assert_eq!(shown(&told), ["b.toml:1:1 P0711"]);
        assert!(told.iter().next().unwrap().problem.help.as_ref().unwrap().contains("lifetime = \"why\""));
    }

    #[test]
    fn what_is_allowed_without_need_is_told() {
        let mut lints = Lints::default();
        assert!(lints.allow(&document("a.toml", "[allow]\nlifetime = 'long'\n")).is_empty());
        assert!(
            lints.allow(&document("b.toml", "[allow]\nlifetime = 'long'\nneedless-allow = 'generated'\n")).is_empty()
        );
        assert_eq!(shown(&lints.told()), ["a.toml:2:1 P0714"]);
    }

    #[test]
    fn however_many_files_allow_a_lint() {
        let mut lints = Lints::default();
        for number in 0..2_000 {
            let document = document(&format!("{number}.toml"), "x = 1\n[allow]\nlifetime = 'short on purpose'\n");
            assert!(lints.allow(&document).is_empty());
            let place = document.place(Span { start: 0, end: 1 });
            lints.extend(Problem::warning(codes::LIFETIME, "short").at(place).into());
        }
        assert_eq!(shown(&lints.told()), Vec::<String>::new());
    }

    #[test]
    fn a_reason_is_required_and_names_are_known() {
        let allow = |text: &str| shown(&Lints::default().allow(&document("a.toml", text)));
        assert_eq!(allow("[allow]\nlifetime = ''\n"), ["a.toml:2:12 P0103"]);
        assert_eq!(allow("[allow]\nlifetime = true\n"), ["a.toml:2:12 P0103"]);
        assert_eq!(allow("[allow]\nlifetme = 'x'\n"), ["a.toml:2:1 P0101"]);
        assert_eq!(allow("allow = ['lifetime']\n"), ["a.toml:1:9 P0103"]);
    }

    #[test]
    fn every_lint_has_a_name_and_no_other_code_has() {
        for (code, _) in codes::ALL {
            assert_eq!(name(*code).is_some(), code.as_str().starts_with("P07"), "{code}");
        }
    }
}
