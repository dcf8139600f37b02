//! A policy file's tables become a [`Policy`]: parsing and linking in one pass, since all names are known beforehand.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::{Chain, ChainId, Policy, PolicyId};
use super::step::read_step;
use super::table::{Reporter, did_you_mean, list};
use crate::diagnostic::{Diagnostics, Place, Span, codes};
use crate::filter::Library;
use crate::reader::{Document, Entry, NodeKind, Table};
use crate::route::RouteSpec;
use crate::settings::Spanned;
use crate::value::Type;

/// What may stand at the top of a policy file.
pub(crate) const KEYS: &[&str] = &[
    "description",
    "route",
    "routes",
    "listener",
    "before",
    "input",
    "filter",
    "chain",
    "on_failure",
    "on_abort",
    "on_error",
    "response",
    "test",
    "mutants",
    crate::lint::ALLOW,
];

/// The chains that the engine enters by itself, as they are written.
pub(crate) const ENTERED: &[&str] = &["filter", "on_failure", "on_abort", "on_error", "response"];

/// Words that stand where a chain's name may stand.
pub(crate) const WORDS: &[&str] = &["continue", "fail"];

/// All policies' names.
pub(crate) type Names = BTreeMap<String, PolicyId>;

/// What linking needs to know while a policy is read.
pub(crate) struct Linker<'a> {
    pub(crate) library: Library,
    pub(crate) policies: &'a Names,
    /// The named chains of this policy.
    pub(crate) chains: BTreeMap<String, ChainId>,
}

impl Linker<'_> {
    /// The chain of this name, or a problem.
    pub(crate) fn chain(&self, r: &mut Reporter<'_>, name: &Spanned<String>) -> Option<ChainId> {
        let found = self.chains.get(&name.value).copied();
        if found.is_none() {
            let known = self.chains.keys().map(String::as_str);
            let help = did_you_mean(&name.value, known.clone()).unwrap_or_else(|| match self.chains.is_empty() {
                true => format!("write its filters as [[chain.{}]]; this policy has no chain yet", name.value),
                false => format!("write its filters as [[chain.{}]]; chains here: {}", name.value, list(known)),
            });
            r.error(
                codes::UNKNOWN_CHAIN,
                name.span,
                format!("there is no chain `{}` in this policy", name.value),
                help,
            );
        }
        found
    }

    /// The policy of this name, or a problem.
    pub(crate) fn policy(&self, r: &mut Reporter<'_>, name: &Spanned<String>) -> Option<PolicyId> {
        let found = self.policies.get(&name.value).copied();
        if found.is_none() {
            let help = did_you_mean(&name.value, self.policies.keys().map(String::as_str))
                .unwrap_or_else(|| format!("a policy's name is its path: this would be policies/{}.toml", name.value));
            r.error(codes::UNKNOWN_POLICY, name.span, format!("there is no policy `{}`", name.value), help);
        }
        found
    }
}

/// Reads one policy.
pub(crate) fn read_policy(
    name: &str,
    document: &Document,
    library: Library,
    names: &Names,
    problems: &mut Diagnostics,
) -> Policy {
    let r = &mut Reporter { file: &document.file, problems };
    let root = &document.root;
    r.unknown_keys(root, KEYS, "a policy");
    if let Some(entry) = root.entry("description") {
        r.text(entry);
    }
    if let Some(mutants) = root.entry("mutants") {
        check_mutants(r, mutants);
    }
    let mut reader =
        PolicyReader { root, linker: Linker { library, policies: names, chains: BTreeMap::new() }, tables: Vec::new() };
    let handlers = reader.collect_chains(r);
    let chains = reader.read_chains(r);
    if reader.has_no_filter() {
        let help = "a policy is a list of [[filter]]s; an unused file is to be removed";
        r.error(codes::EMPTY_POLICY, Span { start: 0, end: 0 }, format!("the policy `{name}` has no filter"), help);
    }
    Policy {
        name: name.to_owned(),
        file: document.file.clone(),
        broken: false,
        routes: reader.routes(r),
        has_route: root.entry("route").is_some() || root.entry("routes").is_some(),
        listener: root.entry("listener").and_then(|entry| r.text(entry)),
        before: reader.before(r),
        before_span: root.entry("before").map_or(root.span, |entry| entry.name_span),
        inputs: reader.inputs(r),
        chains,
        on_failure: handlers.on_failure,
        on_abort: handlers.on_abort,
        response: handlers.response,
    }
}

/// `[mutants]`: which mutants no test can notice, and why. Whether they exist, `portcullis test --mutants` sees.
fn check_mutants(r: &mut Reporter<'_>, entry: &Entry) {
    for mutant in r.table(entry).iter().flat_map(|table| &table.entries) {
        let Some(reason) = r.text(mutant) else { continue };
        if reason.value.trim().is_empty() {
            let message = format!("no reason is given for the mutant `{}`", mutant.name);
            r.error(codes::BAD_VALUE, reason.span, message, "say why no test can notice it");
        }
    }
}

/// The chains that the engine enters by itself.
struct Handlers {
    on_failure: Option<ChainId>,
    on_abort: Option<ChainId>,
    response: Option<ChainId>,
}

struct PolicyReader<'a> {
    root: &'a Table,
    linker: Linker<'a>,
    /// What will be the chains: title, path, and the entry that holds the filters.
    tables: Vec<(String, String, Option<&'a Entry>)>,
}

impl<'a> PolicyReader<'a> {
    /// Numbers all chains, so that filters can be linked to chains that stand below them.
    fn collect_chains(&mut self, r: &mut Reporter<'_>) -> Handlers {
        let root = self.root;
        self.tables.push(("the main chain".into(), "filter".into(), root.entry("filter")));
        let named = root.entry("chain").and_then(|entry| r.table(entry));
        for entry in named.iter().flat_map(|table| &table.entries) {
            if WORDS.contains(&entry.name.as_str()) {
                let message = format!("a chain cannot be called `{}`", entry.name);
                r.error(
                    codes::NAME_COLLISION,
                    entry.name_span,
                    message,
                    "this word means something where chains are named",
                );
            }
            self.linker.chains.insert(entry.name.clone(), self.tables.len());
            self.tables.push((format!("chain `{}`", entry.name), format!("chain.{}", entry.name), Some(entry)));
        }
        let mut own = |key: &str| {
            let entry = root.entry(key)?;
            self.tables.push((format!("[[{key}]]"), key.to_owned(), Some(entry)));
            Some(self.tables.len() - 1)
        };
        let (on_failure, on_abort, on_error) = (own("on_failure"), own("on_abort"), own("on_error"));
        let response = own("response");
        if let (Some(entry), true) = (root.entry("on_error"), on_failure.is_some() || on_abort.is_some()) {
            let message = "[[on_error]] stands beside [[on_failure]] or [[on_abort]]";
            r.error(
                codes::BAD_MOVE,
                entry.name_span,
                message,
                "[[on_error]] takes failures and faults: write it alone, or the other two",
            );
        }
        Handlers { on_failure: on_failure.or(on_error), on_abort: on_abort.or(on_error), response }
    }

    /// No chain has anything in it, not even something that cannot be read.
    fn has_no_filter(&self) -> bool {
        let filled = |entry: &&Entry| entry.value.as_list().is_none_or(|list| !list.is_empty());
        self.tables.iter().filter_map(|(_, _, entry)| *entry).find(filled).is_none()
    }

    fn read_chains(&self, r: &mut Reporter<'_>) -> Vec<Chain> {
        self.tables.iter().map(|(title, path, entry)| self.read_chain(r, title, path, *entry)).collect()
    }

    fn read_chain(&self, r: &mut Reporter<'_>, title: &str, path: &str, entry: Option<&Entry>) -> Chain {
        let mut steps = Vec::new();
        let span = entry.map_or(self.root.span, |entry| entry.name_span);
        if let Some(entry) = entry {
            match entry.value.as_list() {
                Some(list) => {
                    steps.reserve_exact(list.len());
                    for (i, node) in list.iter().enumerate() {
                        match &node.kind {
                            NodeKind::Table(table) => {
                                steps.extend(read_step(r, &self.linker, table, i + 1 == list.len()))
                            }
                            _ => r.wrong_type(&entry.name, node, &format!("a filter: write it as [[{path}]]")),
                        }
                    }
                }
                None => {
                    r.wrong_type(&entry.name, &entry.value, &format!("a list of filters: write each as [[{path}]]"))
                }
            }
        }
        Chain { title: title.to_owned(), path: path.to_owned(), span, steps }
    }

    fn routes(&self, r: &mut Reporter<'_>) -> Vec<Arc<RouteSpec>> {
        let (one, many) = (self.root.entry("route"), self.root.entry("routes"));
        if let (Some(_), Some(many)) = (one, many) {
            r.error(codes::BAD_ROUTE, many.name_span, "both `route` and `routes`", "write all of them in `routes`");
        }
        let mut routes = Vec::new();
        if let Some(entry) = one {
            routes.extend(RouteSpec::read(r, &entry.value).map(Arc::new));
        }
        if let Some(entry) = many {
            match entry.value.as_list() {
                Some(list) => {
                    routes.extend(list.iter().filter_map(|node| RouteSpec::read(r, node)).map(Arc::new));
                }
                None => r.wrong_type("routes", &entry.value, "a list of routes"),
            }
        }
        routes
    }

    fn before(&self, r: &mut Reporter<'_>) -> Option<Vec<(PolicyId, Place)>> {
        let entry = self.root.entry("before")?;
        let names = r.texts(entry)?;
        Some(names.iter().filter_map(|name| Some((self.linker.policy(r, name)?, r.place(name.span)))).collect())
    }

    fn inputs(&self, r: &mut Reporter<'_>) -> BTreeMap<String, Type> {
        let table = self.root.entry("input").and_then(|entry| r.table(entry));
        let mut inputs = BTreeMap::new();
        for entry in table.iter().flat_map(|table| &table.entries) {
            let Some(text) = r.text(entry) else { continue };
            let found = TYPES.iter().find(|(name, _)| *name == text.value);
            if found.is_none() {
                let message = format!("there is no type `{}`", text.value);
                r.error(
                    codes::BAD_VALUE,
                    text.span,
                    message,
                    format!("types: {}", list(TYPES.iter().map(|(name, _)| *name))),
                );
            }
            // An input of a type that is not known stays declared: its uses are no problems of their own.
            inputs.insert(entry.name.clone(), found.map_or(Type::Any, |(_, of)| *of));
        }
        inputs
    }
}

/// The names of the types of `[input]`.
pub(crate) fn input_types() -> Vec<&'static str> {
    TYPES.iter().map(|(name, _)| *name).collect()
}

/// The types of `[input]`.
pub(crate) const TYPES: &[(&str, Type)] = &[
    ("string", Type::Text),
    ("integer", Type::Int),
    ("float", Type::Float),
    ("boolean", Type::Bool),
    ("list", Type::List),
    ("table", Type::Map),
    ("any", Type::Any),
];
