//! A route as it stands in a policy: `"POST /path"` or `{ path, methods, host, headers, query }`.

use http::{HeaderName, Method};

use super::pattern::Pattern;
use crate::compile::table::Reporter;
use crate::diagnostic::{Span, codes};
use crate::reader::{Entry, Node, NodeKind, Table};
use crate::settings::Spanned;

/// One route of a policy.
#[derive(Clone, Debug)]
pub(crate) struct RouteSpec {
    pub(crate) span: Span,
    /// The path as it was written.
    pub(crate) path: String,
    pub(crate) pattern: Pattern,
    /// Without methods: all of them.
    pub(crate) methods: Vec<Method>,
    /// Lower case, without a port.
    pub(crate) host: Option<String>,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) query: Vec<(String, String)>,
}

pub(crate) const KEYS: &[&str] = &["path", "methods", "host", "headers", "query"];

impl RouteSpec {
    /// Reads a route; problems are reported.
    pub(crate) fn read(r: &mut Reporter<'_>, node: &Node) -> Option<RouteSpec> {
        match &node.kind {
            NodeKind::Text(text) => RouteSpec::short(r, node.span, text),
            NodeKind::Table(table) => RouteSpec::long(r, node.span, table),
            _ => {
                r.wrong_type("route", node, "\"METHOD /path\", \"/path\" or a table with `path`");
                None
            }
        }
    }

    fn short(r: &mut Reporter<'_>, span: Span, text: &str) -> Option<RouteSpec> {
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) => (Some(Spanned { span, value: method.to_owned() }), path.trim_start()),
            None => (None, text),
        };
        let methods = match method {
            Some(method) => read_method(r, &method).map(|method| vec![method]),
            None => Some(Vec::new()),
        };
        let pattern = read_pattern(r, span, path)?;
        Some(RouteSpec {
            span,
            path: path.to_owned(),
            pattern,
            methods: methods?,
            host: None,
            headers: Vec::new(),
            query: Vec::new(),
        })
    }

    fn long(r: &mut Reporter<'_>, span: Span, table: &Table) -> Option<RouteSpec> {
        r.unknown_keys(table, KEYS, "a route");
        let methods = table.entry("methods").map_or(Some(Vec::new()), |entry| read_methods(r, entry));
        let host = table.entry("host").and_then(|entry| read_host(r, entry));
        let mut headers = Vec::new();
        for (name, name_span, value) in read_pairs(r, table.entry("headers")) {
            match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => headers.push((name, value)),
                Err(_) => r.error(
                    codes::BAD_ROUTE,
                    name_span,
                    format!("`{name}` is no header name"),
                    "letters, digits and `-`",
                ),
            }
        }
        let query = read_pairs(r, table.entry("query")).into_iter().map(|(name, _, value)| (name, value)).collect();
        let Some(entry) = table.entry("path") else {
            r.missing_key(span, "path", "the route", "`path = \"/path\"`");
            return None;
        };
        let path = r.text(entry)?;
        let pattern = read_pattern(r, path.span, &path.value)?;
        Some(RouteSpec { span, path: path.value, pattern, methods: methods?, host, headers, query })
    }

    /// The methods that `Allow` names: HEAD goes with GET.
    pub(crate) fn allowed(&self) -> impl Iterator<Item = Method> {
        let head = self.methods.contains(&Method::GET).then_some(Method::HEAD);
        self.methods.iter().cloned().chain(head)
    }
}

fn read_pattern(r: &mut Reporter<'_>, span: Span, path: &str) -> Option<Pattern> {
    Pattern::parse(path).map_err(|(message, help)| r.error(codes::BAD_ROUTE, span, message, help)).ok()
}

/// Nothing where one is wrong: a route without it would be for others, and collide with theirs.
fn read_methods(r: &mut Reporter<'_>, entry: &Entry) -> Option<Vec<Method>> {
    let names = r.texts(entry)?;
    if entry.value.as_list().is_some_and(<[Node]>::is_empty) {
        r.error(codes::BAD_ROUTE, entry.value.span, "`methods` is empty", "leave it out for all methods");
    }
    // All of them are told.
    let read: Vec<_> = names.iter().map(|name| read_method(r, name)).collect();
    read.into_iter().collect()
}

fn read_method(r: &mut Reporter<'_>, name: &Spanned<String>) -> Option<Method> {
    let text = name.value.as_str();
    if text.is_empty() || text.bytes().any(|b| !(b.is_ascii_uppercase() || b.is_ascii_digit() || b"-_".contains(&b))) {
        let message = format!("`{text}` is no method");
        r.error(
            codes::BAD_ROUTE,
            name.span,
            message,
            "methods are written in upper case, one a route: \"POST /path\"; for several: methods = [...]",
        );
        return None;
    }
    if matches!(text, "CONNECT" | "TRACE") {
        let message = format!("`{text}` is answered with 501 before any policy");
        r.error(codes::BAD_ROUTE, name.span, message, "take it out of the route");
        return None;
    }
    Method::from_bytes(text.as_bytes()).ok()
}

fn read_host(r: &mut Reporter<'_>, entry: &Entry) -> Option<String> {
    let host = r.text(entry)?;
    let bad = host.value.is_empty() || host.value.contains(['/', '*', ' ', '@']) || has_port(&host.value);
    if bad {
        let message = format!("`{}` is no host", host.value);
        r.error(
            codes::BAD_ROUTE,
            host.span,
            message,
            "a host's name alone, without scheme, port or `*`: \"api.example.com\"",
        );
        return None;
    }
    Some(host.value.to_ascii_lowercase())
}

fn has_port(host: &str) -> bool {
    !host.ends_with(']') && host.contains(':')
}

fn read_pairs(r: &mut Reporter<'_>, entry: Option<&Entry>) -> Vec<(String, Span, String)> {
    let Some(entry) = entry else { return Vec::new() };
    let table = r.table(entry);
    let entries = table.iter().flat_map(|table| &table.entries);
    entries.filter_map(|pair| Some((pair.name.clone(), pair.name_span, r.text(pair)?.value))).collect()
}
