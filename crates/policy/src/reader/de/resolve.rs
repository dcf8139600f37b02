//! Secrets, and texts that may come from outside.

use serde::de::Visitor;
use zeroize::Zeroizing;

use super::Cx;
use super::fault::{Fault, shown};
use crate::diagnostic::{Problem, Severity, Span, codes};
use crate::reader::{Keys, Node, NodeKind, SecretError, Table};

/// The name of the newtype of secrets: `oauth::Secret::NEWTYPE`, which this crate may not import.
pub(super) const SECRET: &str = "Secret";

const SECRET_FORMS: &str = r#"write `{ env = "NAME" }` or `{ file = "PATH" }`"#;

/// A secret: `{ env = "NAME" }` or `{ file = "PATH" }`. Its value is in no message.
pub(super) fn secret<'de, V: Visitor<'de>>(cx: &Cx<'_>, node: &Node, visitor: V) -> Result<V::Value, Fault> {
    let text = match &node.kind {
        NodeKind::Table(table) => outside_secret(cx, node.span, table)?,
        NodeKind::Text(text) if cx.outside.clear_secrets() => Zeroizing::new(text.clone()),
        NodeKind::Text(_) => {
            let problem =
                Problem::error(codes::CLEAR_SECRET, "a secret stands here in clear text").with_help(SECRET_FORMS);
            return Err(Fault::problem(problem).at(node.span));
        }
        _ => return Err(Fault::wrong(r#"a secret: { env = "NAME" } or { file = "PATH" }"#).at_node(node)),
    };
    visitor.visit_str(&text).map_err(|fault: Fault| fault.at_node(node))
}

/// A text, or `{ env = "NAME", default = "text" }`.
pub(super) fn text<'de, V: Visitor<'de>>(cx: &Cx<'_>, node: &Node, visitor: V) -> Result<V::Value, Fault> {
    let read = match &node.kind {
        NodeKind::Text(text) => visitor.visit_str(text),
        NodeKind::Table(table) => {
            let mut keys = Keys::new(cx.file, table);
            let name = keys.required_text("env");
            let default = keys.text("default");
            keys.finish().map_err(Fault::many)?;
            let Some(name) = name else { return Err(Fault::wrong("a name").at(node.span)) };
            let default = default.map(|d| d.value);
            let text =
                found(cx, name.span, "the environment variable", name.value, cx.outside.variable(name.value), default)?;
            visitor.visit_str(&text)
        }
        _ => Err(Fault::wrong(r#"text, or { env = "NAME", default = "text" }"#)),
    };
    read.map_err(|fault| fault.at_node(node))
}

fn outside_secret(cx: &Cx<'_>, span: Span, table: &Table) -> Result<Zeroizing<String>, Fault> {
    if let Some(default) = table.entry("default") {
        let problem = Problem::error(codes::CLEAR_SECRET, "a secret has no default")
            .with_help("take `default` away: whoever can read this file could read it");
        return Err(Fault::problem(problem).at(default.name_span));
    }
    let mut keys = Keys::new(cx.file, table);
    let env = keys.text("env");
    let file = keys.text("file");
    keys.finish().map_err(Fault::many)?;
    match (env, file) {
        (Some(name), None) => {
            found(cx, name.span, "the environment variable", name.value, cx.outside.variable(name.value), None)
        }
        (None, Some(path)) => found(cx, path.span, "the file", path.value, cx.outside.file(path.value), None),
        _ => {
            let problem = Problem::error(codes::BAD_VALUE, "a secret comes from one place").with_help(SECRET_FORMS);
            Err(Fault::problem(problem).at(span))
        }
    }
}

/// What was found outside, or a stand-in: the default, or nothing where what is missing is but a warning.
fn found(
    cx: &Cx<'_>,
    span: Span,
    what: &str,
    name: &str,
    value: Result<String, SecretError>,
    default: Option<&str>,
) -> Result<Zeroizing<String>, Fault> {
    let name = shown(name);
    let message = match (value.map(Zeroizing::new), default) {
        (Ok(text), _) if !text.is_empty() => return Ok(text),
        (Err(SecretError::Missing) | Ok(_), Some(default)) => return Ok(Zeroizing::new(default.to_owned())),
        (Ok(_), None) => format!("{what} `{name}` is empty"),
        (Err(SecretError::Missing), None) if what == "the file" => format!("{what} `{name}` does not exist"),
        (Err(SecretError::Missing), None) => format!("{what} `{name}` is not set"),
        (Err(SecretError::Unreadable(why)), _) => format!("{what} `{name}` cannot be read: {why}"),
    };
    let mut problem = Problem::error(codes::MISSING_OUTSIDE, message);
    if cx.outside.strict() {
        return Err(Fault::problem(problem).at(span));
    }
    problem.severity = Severity::Warning;
    cx.push(problem.with_help("`run` needs it").at(cx.place(span)));
    Ok(Zeroizing::default())
}
