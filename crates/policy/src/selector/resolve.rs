//! From a name to what it reads: once, when a policy is loaded.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use super::access::{Accessor, Inner, JsonQuery, Lacks, Parameter, Tail};
use super::{Dynamic, JsonPath};
use crate::attribute::Slot;
use crate::diagnostic::{Code, Diagnostics, Problem, Span, codes};
use crate::exchange::ClientCertificate;
use crate::filter::{BuildContext, LookUp};
use crate::outcome::MISSING_VALUE;
use crate::ports::VALUE;
use crate::reader::did_you_mean;
use crate::settings::{Literal, Spanned};
use crate::value::{Type, Value};

/// The roots that the engine itself knows; the filter library's attributes are more.
const ROOTS: &[&str] = &["request", "response", "path", "vars", "input", "failure", "values", "node", "now", "kps"];

const REQUEST: &[&str] = &[
    "method",
    "path",
    "uri",
    "url",
    "query_string",
    "host",
    "scheme",
    "id",
    "content_type",
    "header",
    "query",
    "form",
    "cookie",
    "body",
    "json",
    "client_ip",
    "client_network",
    "cert",
];

const RESPONSE: &[&str] = &["status", "header", "body", "json"];

const FAILURE: &[&str] = &["reason", "message", "filter", "status"];

/// A name as it was written, with places in the file.
pub(crate) struct Name<'a> {
    pub(crate) root: (&'a str, Span),
    pub(crate) steps: Vec<(NameStep<'a>, Span)>,
    pub(crate) json: Option<(&'a str, Span)>,
    pub(crate) span: Span,
    /// The value may be absent.
    pub(crate) optional: bool,
    /// What a JSONPath with several results gives is a list.
    pub(crate) lists: bool,
}

#[derive(Clone)]
pub(crate) enum NameStep<'a> {
    Name(&'a str),
    Index(usize),
    /// The name of what gives the key, as it is written.
    Key(Arc<str>),
}

/// What a name reads, and of which type that is, where it is known.
pub(crate) struct Resolved {
    pub(crate) accessor: Accessor,
    pub(crate) of: Type,
}

impl Resolved {
    fn new(accessor: Accessor, of: Type) -> Self {
        Resolved { accessor, of }
    }

    fn text(accessor: Accessor) -> Self {
        Resolved::new(accessor, Type::Text)
    }
}

/// Resolves a name; what it reads counts as a read of the filter.
pub(crate) fn resolve(name: &Name<'_>, cx: &mut BuildContext<'_>) -> Result<Resolved, Diagnostics> {
    if let (Some((_, span)), false) = (name.json, matches!(name.words().as_slice(), ["request" | "response", "json"])) {
        return Err(name.error(
            cx,
            span,
            codes::SELECTOR,
            "a JSONPath can stand after `request.json` and `response.json` only",
            "",
        ));
    }
    if let (Some((_, span)), false) = (name.key(), name.root.0 == "kps") {
        let help = "a value is kept in a variable first, or taken apart in CEL; names stand in quotes: `[\"name\"]`";
        return Err(name.error(cx, *span, codes::SELECTOR, "a key in brackets can stand after `kps.NAME` only", help));
    }
    let resolved = by_root(name, cx)?;
    let Lacks { absent, malformed } = resolved.accessor.lacks();
    if !name.optional {
        absent.iter().for_each(|rare| cx.effects.failures.add(MISSING_VALUE, *rare));
    }
    cx.fails_rarely(malformed.as_slice());
    let read = match &resolved.accessor {
        Accessor::Header(header) => format!("request.header.{header}"),
        _ => name.whole(),
    };
    cx.goes_by_at(read, name.span);
    Ok(resolved)
}

fn by_root(name: &Name<'_>, cx: &mut BuildContext<'_>) -> Result<Resolved, Diagnostics> {
    match name.root.0 {
        "request" => request(name, cx),
        "response" => response(name, cx),
        "path" => path(name, cx),
        "vars" => variable(name, cx),
        "input" => input(name, cx),
        "failure" => failure(name, cx),
        "values" => value(name, cx),
        "node" => node(name, cx),
        "now" => {
            name.tail(cx, 0, Type::Int)?;
            Ok(Resolved::new(Accessor::Now, Type::Int))
        }
        "kps" => row(name, cx),
        other => attribute(other, name, cx),
    }
}

fn request(name: &Name<'_>, cx: &mut BuildContext<'_>) -> Result<Resolved, Diagnostics> {
    let field = name.field(cx, 0, REQUEST)?;
    let accessor = match field {
        "method" => Accessor::Method,
        "path" => Accessor::Path,
        "uri" => Accessor::Uri,
        "url" => Accessor::Url,
        "query_string" => Accessor::QueryString,
        "host" => Accessor::Host,
        "scheme" => Accessor::Scheme,
        "id" => Accessor::Id,
        "content_type" => Accessor::ContentType,
        "client_ip" => Accessor::ClientIp,
        "client_network" => Accessor::ClientNetwork,
        "header" => return name.header(cx).map(|header| Resolved::text(Accessor::Header(header))),
        "cookie" => return name.parameter(cx, "cookie").map(|name| Resolved::text(Accessor::Cookie(name.into()))),
        "query" => {
            let name = name.parameter(cx, "query")?.into();
            return Ok(Resolved::text(Accessor::Query(Parameter { name, repeated_refused: cx.repeated_refused })));
        }
        "form" => {
            let name = name.parameter(cx, "form")?.into();
            cx.reads_request_body();
            return Ok(Resolved::text(Accessor::Form(Parameter { name, repeated_refused: cx.repeated_refused })));
        }
        "json" => {
            let query = name.json_query(cx)?;
            cx.reads_request_body();
            return Ok(Resolved::new(Accessor::Json(query.0), query.1));
        }
        "body" => {
            cx.reads_request_body();
            Accessor::Body
        }
        _ => return certificate(name, cx),
    };
    name.tail(cx, 1, Type::Text)?;
    Ok(Resolved::text(accessor))
}

/// A field of the client's certificate: `request.cert.subject`.
fn certificate(name: &Name<'_>, cx: &mut BuildContext<'_>) -> Result<Resolved, Diagnostics> {
    let fields = ClientCertificate::FIELDS;
    let names: Vec<&str> = fields.iter().map(|(field, ..)| *field).collect();
    let wanted = name.field(cx, 1, &names)?;
    let field = names.iter().position(|known| *known == wanted).unwrap_or_default();
    let of = fields[field].2;
    let tail = name.tail(cx, 2, of)?;
    let of = if tail.is_empty() { of } else { Type::Any };
    Ok(Resolved::new(Accessor::Certificate { field, tail }, of))
}

fn response(name: &Name<'_>, cx: &mut BuildContext<'_>) -> Result<Resolved, Diagnostics> {
    let field = name.field(cx, 0, RESPONSE)?;
    cx.read("response", name.span, name.optional);
    match field {
        "status" => {
            name.tail(cx, 1, Type::Int)?;
            Ok(Resolved::new(Accessor::ResponseStatus, Type::Int))
        }
        "header" => name.header(cx).map(|header| Resolved::text(Accessor::ResponseHeader(header))),
        "json" => {
            let (query, of) = name.json_query(cx)?;
            cx.holds_response_body();
            Ok(Resolved::new(Accessor::ResponseJson(query), of))
        }
        _ => {
            name.tail(cx, 1, Type::Text)?;
            cx.holds_response_body();
            Ok(Resolved::text(Accessor::ResponseBody))
        }
    }
}

/// A name of the route's path: which routes lead here, the flow check knows.
fn path(name: &Name<'_>, cx: &mut BuildContext<'_>) -> Result<Resolved, Diagnostics> {
    let field = name.only_field(cx, "`path.id`")?;
    cx.read(&format!("path.{field}"), name.span, name.optional);
    Ok(Resolved::text(Accessor::PathParameter(field.into())))
}

fn variable(name: &Name<'_>, cx: &mut BuildContext<'_>) -> Result<Resolved, Diagnostics> {
    let attribute = format!("vars.{}", name.any_field(cx, "`vars.subject`")?);
    cx.read(&attribute, name.span, name.optional);
    let slot = cx.layout.slot(&attribute);
    let tail = name.tail(cx, 1, Type::Any)?;
    Ok(Resolved::new(Accessor::Variable { slot, tail }, Type::Any))
}

fn input(name: &Name<'_>, cx: &mut BuildContext<'_>) -> Result<Resolved, Diagnostics> {
    let field = name.any_field(cx, "`input.message`")?;
    let inputs: &BTreeMap<String, Type> = cx.inputs;
    let Some(of) = inputs.get(field).copied() else {
        let span = name.steps[0].1;
        let help = match did_you_mean(field, inputs.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("declare it: `[input]` with `{field} = \"string\"`"),
        };
        return Err(name.error(cx, span, codes::INPUT, format!("this policy declares no input `{field}`"), help));
    };
    cx.read(&format!("input.{field}"), name.span, name.optional);
    let tail = name.tail(cx, 1, of)?;
    let of = if tail.is_empty() { of } else { Type::Any };
    Ok(Resolved::new(Accessor::Input { name: field.into(), tail }, of))
}

/// A column of a row of a key property store, or the whole row: a look-up that the step makes before it runs.
fn row(name: &Name<'_>, cx: &mut BuildContext<'_>) -> Result<Resolved, Diagnostics> {
    const EXAMPLE: &str = "`kps.partners[client.id].limit`, `kps.partners[\"acme\"].limit`";
    let store = Spanned::new(name.steps.first().map_or(name.span, |(_, span)| *span), name.any_field(cx, EXAMPLE)?);
    let Some((step, span)) = name.steps.get(1) else {
        let message = format!("`{}` needs a key", name.written(1));
        return Err(name.error(cx, name.span, codes::SELECTOR, message, format!("for example {EXAMPLE}")));
    };
    // Where there is a default, a key that is absent is a row that is absent.
    let default = if name.optional { " ??" } else { "" };
    let key = match step {
        NameStep::Name(text) => text.replace("${", "$${"),
        NameStep::Index(number) => number.to_string(),
        NameStep::Key(path) => format!("${{{path}{default}}}"),
    };
    let key = Dynamic { literal: Spanned::new(*span, Literal::Text(key)), of: PhantomData };
    let column = match name.steps.get(2) {
        Some((NameStep::Name(column), span)) => Some(Spanned::new(*span, *column)),
        Some((_, span)) => {
            let message = format!("`{}` needs the name of a column", name.written(2));
            return Err(name.error(cx, *span, codes::SELECTOR, message, format!("for example {EXAMPLE}")));
        }
        None => None,
    };
    let Some(look_up) = cx.shared.library.look_up else {
        return Err(name.error(cx, name.span, codes::SELECTOR, "nothing is looked up here", ""));
    };
    // The same row is read once, however many of its columns a step uses.
    let row = name.written(2);
    let slot = cx.layout.slot(&row);
    let wanted = LookUp { store, key, column, slot: Slot::new(slot, "kps") };
    let found = look_up(cx, &wanted)?;
    let of = found.of;
    if cx.look_ups.iter().all(|(known, _)| *known != row) {
        cx.look_ups.push((row, found.filter));
    }
    let tail = name.tail(cx, 2, Type::Map)?;
    name.tail(cx, 3, of)?;
    let of = if name.steps.len() > 3 { Type::Any } else { of };
    Ok(Resolved::new(Accessor::Row { slot, tail }, of))
}

fn failure(name: &Name<'_>, cx: &mut BuildContext<'_>) -> Result<Resolved, Diagnostics> {
    let (accessor, of) = match name.field(cx, 0, FAILURE)? {
        "reason" => (Accessor::FailureReason, Type::Text),
        "message" => (Accessor::FailureMessage, Type::Text),
        "filter" => (Accessor::FailureFilter, Type::Text),
        _ => (Accessor::FailureStatus, Type::Int),
    };
    name.tail(cx, 1, of)?;
    cx.read("failure", name.span, name.optional);
    Ok(Resolved::new(accessor, of))
}

fn value(name: &Name<'_>, cx: &mut BuildContext<'_>) -> Result<Resolved, Diagnostics> {
    let field = name.any_field(cx, "`values.partner_domain`")?;
    cx.effects.uses.push((VALUE.to_owned(), Spanned { span: name.span, value: field.to_owned() }));
    let values = &cx.shared.node.values;
    let Some(value) = values.get(field) else {
        let help = match did_you_mean(field, values.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("define it in node.toml: `[values]` with `{field} = \"...\"`"),
        };
        return Err(name.error(
            cx,
            name.steps[0].1,
            codes::UNKNOWN_VALUE,
            format!("there is no value `{field}`"),
            help,
        ));
    };
    let tail = name.tail(cx, 1, value.type_of())?;
    let Some(found) = super::access::walk(value, &tail) else {
        return Err(name.error(
            cx,
            name.span,
            codes::UNKNOWN_VALUE,
            format!("the value `{field}` has nothing of this name"),
            "",
        ));
    };
    let found = found.into_value();
    let of = found.type_of();
    Ok(Resolved::new(Accessor::Constant(found), of))
}

fn node(name: &Name<'_>, cx: &mut BuildContext<'_>) -> Result<Resolved, Diagnostics> {
    name.field(cx, 0, &["name"])?;
    name.tail(cx, 1, Type::Text)?;
    Ok(Resolved::text(Accessor::Constant(Value::text(cx.shared.node.name.as_str()))))
}

fn attribute(root: &str, name: &Name<'_>, cx: &mut BuildContext<'_>) -> Result<Resolved, Diagnostics> {
    let library = cx.shared.library;
    let Some((_, attribute)) = library.attribute(root) else {
        let known = ROOTS.iter().copied().chain(library.attributes.iter().map(|a| a.name()));
        let help = match did_you_mean(root, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
        };
        return Err(name.error(cx, name.root.1, codes::UNKNOWN_ATTRIBUTE, format!("`{root}` is not known here"), help));
    };
    let fields = attribute.fields();
    let names: Vec<&str> = fields.iter().map(|(field, _, _)| *field).collect();
    let field = name.field(cx, 0, &names)?;
    let index = names.iter().position(|n| *n == field).unwrap_or_default();
    let of = fields[index].2;
    let tail = name.tail(cx, 1, of)?;
    cx.read(root, name.span, name.optional);
    let slot = cx.layout.slot(root);
    let of = if tail.is_empty() { of } else { Type::Any };
    let optional = attribute.is_optional(index);
    Ok(Resolved::new(Accessor::Attribute { slot, attribute, field: index, optional, tail }, of))
}

impl<'a> Name<'a> {
    fn error(
        &self,
        cx: &BuildContext<'_>,
        span: Span,
        code: Code,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostics {
        let mut problem = Problem::error(code, message);
        let help = help.into();
        if !help.is_empty() {
            problem = problem.with_help(help);
        }
        problem.at(cx.place(span)).into()
    }

    /// The root and the names after it, up to the first index.
    pub(crate) fn words(&self) -> Vec<&'a str> {
        let steps = self.steps.iter().map_while(|(step, _)| match step {
            NameStep::Name(name) => Some(*name),
            NameStep::Index(_) | NameStep::Key(_) => None,
        });
        std::iter::once(self.root.0).chain(steps).collect()
    }

    /// The first key in brackets.
    fn key(&self) -> Option<&(NameStep<'a>, Span)> {
        self.steps.iter().find(|(step, _)| matches!(step, NameStep::Key(_)))
    }

    /// What was written up to this step, for messages.
    fn written(&self, steps: usize) -> String {
        let mut text = self.root.0.to_owned();
        for (step, _) in &self.steps[..steps] {
            match step {
                NameStep::Name(name) if super::grammar::is_plain_name(name) => text.extend([".", name]),
                NameStep::Name(name) => text.push_str(&format!("[\"{name}\"]")),
                NameStep::Index(index) => text.push_str(&format!("[{index}]")),
                NameStep::Key(path) => text.push_str(&format!("[{path}]")),
            }
        }
        text
    }

    /// All that was written, for messages.
    pub(crate) fn whole(&self) -> String {
        let mut text = self.written(self.steps.len());
        if let Some((path, _)) = self.json {
            text.extend([":", path]);
        }
        text
    }

    /// The name at this step: one of those that are known.
    fn field(&self, cx: &BuildContext<'_>, at: usize, known: &[&str]) -> Result<&'a str, Diagnostics> {
        let before = self.written(at);
        let list = || known.iter().map(|k| format!("`{before}.{k}`")).collect::<Vec<_>>().join(", ");
        match self.steps.get(at) {
            None => Err(self.error(
                cx,
                self.span,
                codes::SELECTOR,
                format!("`{before}` alone is no value"),
                format!("it has: {}", list()),
            )),
            Some((NameStep::Name(name), _)) if known.contains(name) => Ok(name),
            Some((step, span)) => {
                let name = match step {
                    NameStep::Name(name) => (*name).to_owned(),
                    NameStep::Index(index) => format!("[{index}]"),
                    NameStep::Key(path) => format!("[{path}]"),
                };
                let help = match did_you_mean(&name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{before}.{near}`?"),
                    None => format!("it has: {}", list()),
                };
                Err(self.error(cx, *span, codes::UNKNOWN_ATTRIBUTE, format!("`{before}` has no `{name}`"), help))
            }
        }
    }

    /// The first name after the root, whatever it is.
    fn any_field(&self, cx: &BuildContext<'_>, example: &str) -> Result<&'a str, Diagnostics> {
        self.named(cx, 0, example)
    }

    /// The same where nothing may follow.
    fn only_field(&self, cx: &BuildContext<'_>, example: &str) -> Result<&'a str, Diagnostics> {
        self.tail(cx, 1, Type::Text)?;
        self.any_field(cx, example)
    }

    fn named(&self, cx: &BuildContext<'_>, at: usize, example: &str) -> Result<&'a str, Diagnostics> {
        match self.steps.get(at) {
            Some((NameStep::Name(name), _)) => Ok(name),
            _ => {
                let message = format!("`{}` needs a name", self.written(at));
                Err(self.error(cx, self.span, codes::SELECTOR, message, format!("for example {example}")))
            }
        }
    }

    /// The name of a header, cookie or parameter; nothing may follow.
    fn parameter(&self, cx: &BuildContext<'_>, kind: &str) -> Result<&'a str, Diagnostics> {
        let name = self.named(cx, 1, &format!("`request.{kind}.name` or `request.{kind}[\"name\"]`"))?;
        self.tail(cx, 2, Type::Text)?;
        Ok(name)
    }

    fn header(&self, cx: &BuildContext<'_>) -> Result<http::HeaderName, Diagnostics> {
        let name = self.parameter(cx, "header")?;
        http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            let message = format!("`{}` cannot be the name of a header", crate::reader::shown(name));
            self.error(cx, self.steps[1].1, codes::SELECTOR, message, "")
        })
    }

    /// After `request.json` or `response.json`: a JSONPath, or names and indexes.
    fn json_query(&self, cx: &BuildContext<'_>) -> Result<(JsonQuery, Type), Diagnostics> {
        let (text, span) = match self.json {
            Some((text, span)) => (text.to_owned(), span),
            None => (self.steps_as_json_path(), self.span),
        };
        let path = JsonPath::parse(&text).map_err(|why| {
            let message = format!("this JSONPath cannot be read: {why}");
            self.error(cx, span, codes::SELECTOR, message, "for example `$.order.items[0].id` (RFC 9535)")
        })?;
        let list = self.lists && !path.is_single();
        Ok((JsonQuery { path, list }, if list { Type::List } else { Type::Any }))
    }

    fn steps_as_json_path(&self) -> String {
        let mut text = String::from("$");
        for (step, _) in self.steps.iter().skip(1) {
            match step {
                // JSON's escapes are those of JSONPath in double quotes.
                NameStep::Name(name) => text.push_str(&format!("[{}]", serde_json::Value::from(*name))),
                NameStep::Index(index) => text.push_str(&format!("[{index}]")),
                // Refused before.
                NameStep::Key(_) => {}
            }
        }
        text
    }

    /// The steps from here on, into a value of this type.
    fn tail(&self, cx: &BuildContext<'_>, from: usize, of: Type) -> Result<Tail, Diagnostics> {
        let rest = self.steps.get(from..).unwrap_or_default();
        if let (Some((_, span)), false) = (rest.first(), matches!(of, Type::Any | Type::Map | Type::List)) {
            let message = format!("`{}` is {of}: it has nothing inside", self.written(from));
            return Err(self.error(cx, *span, codes::UNKNOWN_ATTRIBUTE, message, ""));
        }
        Ok(rest
            .iter()
            .filter_map(|(step, _)| match step {
                NameStep::Name(name) => Some(Inner::from(*name)),
                NameStep::Index(index) => Some(Inner::Index(*index)),
                NameStep::Key(_) => None,
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::vocabulary;

    #[test]
    fn every_word_is_explained() {
        let explained = |root: &str| {
            let root = vocabulary::ROOTS.iter().find(|known| known.name == root).unwrap();
            root.fields.iter().map(|(name, _)| *name).collect::<Vec<_>>()
        };
        let roots: Vec<&str> = vocabulary::ROOTS.iter().map(|root| root.name).collect();
        assert_eq!(roots, ROOTS);
        for (root, words) in [("request", REQUEST), ("response", RESPONSE), ("failure", FAILURE)] {
            assert_eq!(explained(root), words, "{root}");
        }
    }
}
