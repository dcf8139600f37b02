//! A selector: what it reads, of which type, and what happens where that is missing.

use ::policy::diagnostic::codes;
use ::policy::selector::vocabulary::ROOTS;
use ::policy::value::Type;
use filters::LIBRARY;

use super::{Explained, filter};
use crate::output::Failure;

/// Whether a word is to be taken for a selector.
pub(super) fn is_one(word: &str) -> bool {
    word.starts_with("${")
}

pub(super) fn explained(word: &str) -> Result<Explained, Failure> {
    let inner = word.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let Some(inner) = inner else {
        return Err(Failure::wrong(format!("`{word}` is no selector")).with_help("one selector, from `${` to its `}`"));
    };
    if let Some(problem) = problem(word) {
        return Err(problem);
    }
    let text = format!("# {word}\n\n{}", paragraphs(inner).join("\n\n")) + "\n";
    Ok(Explained { kind: "selector", name: word.to_owned(), text })
}

/// What the compiler says against it. That nothing sets an attribute is no fault of the selector.
fn problem(word: &str) -> Option<Failure> {
    let quoted = serde_json::Value::from(word);
    let text = format!(
        "route = \"/{{id}}\"\n[[filter]]\nuse = \"set\"\nvars = {{ x = {quoted} }}\n[[filter]]\nuse = \"respond\"\n"
    );
    let about_it = [codes::SELECTOR, codes::UNKNOWN_ATTRIBUTE];
    let problems = filter::problems(&text);
    let found = problems.iter().find(|problem| about_it.contains(&problem.problem.code))?;
    let failure = Failure::wrong(format!("{} ({})", found.problem.message, found.problem.code));
    Some(match &found.problem.help {
        Some(help) => failure.with_help(help.clone()),
        None => failure,
    })
}

/// What is between `${` and `}`.
fn paragraphs(inner: &str) -> Vec<String> {
    let (path, default) = match inner.split_once("??") {
        Some((path, default)) => (path.trim(), Some(default.trim())),
        None => (inner.trim(), None),
    };
    let mut said = vec![reads(path), of(path)];
    said.push(match default {
        None => String::from(
            "Where there is no value, the filter fails: `missing-value`, or `invalid_request` at OAuth endpoints. `${x ?? text}` would give it a default.",
        ),
        Some("") => String::from("Where there is no value, it stays absent: for settings that may be left out."),
        Some(default) if default.starts_with("${") => format!("Where there is no value, `{default}` stands in."),
        Some(default) => format!("Where there is no value, it is the text `{default}`."),
    });
    if let Some(inner) = default.and_then(|default| default.strip_prefix("${")?.strip_suffix('}')) {
        said.extend(paragraphs(inner));
    }
    said
}

fn root(path: &str) -> (&str, &str) {
    let end = path.find(['.', ':', '[']).unwrap_or(path.len());
    let field = path[end..].trim_start_matches(['.', ':']);
    let field_end = field.find(['.', ':', '[']).unwrap_or(field.len());
    (&path[..end], &field[..field_end])
}

fn reads(path: &str) -> String {
    let (root, field) = root(path);
    if let Some((_, attribute)) = LIBRARY.attribute(root) {
        let fields = attribute.fields();
        let doc = fields.iter().find(|(name, ..)| *name == field).map_or("", |(_, doc, _)| *doc);
        return format!("It reads `{path}`: {doc} The attribute `{root}` must have been set by a filter before it.");
    }
    let known = ROOTS.iter().find(|known| known.name == root);
    let doc = known
        .map_or("", |known| known.fields.iter().find(|(name, _)| *name == field).map_or(known.doc, |(_, doc)| *doc));
    format!("It reads `{path}`: {doc}")
}

fn of(path: &str) -> String {
    let (root, field) = root(path);
    let of = match (root, field) {
        (_, "json") | ("vars" | "input" | "values" | "kps", _) => Type::Any,
        ("response" | "failure", "status") | ("now", _) => Type::Int,
        _ => LIBRARY
            .attribute(root)
            .and_then(|(_, attribute)| attribute.fields().into_iter().find(|(name, ..)| *name == field))
            .map_or(Type::Text, |(_, _, of)| of),
    };
    format!("Type: {of}. A setting that is this selector alone keeps the type; within text it becomes text.")
}
