//! Attributes: those that filters set, and what the engine knows of every request.

use std::fmt::Write as _;

use ::policy::attribute::Attribute;
use ::policy::selector::vocabulary::{ROOTS, Root};
use filters::LIBRARY;

use super::{Explained, and, capital, code, filter};

/// `token`, `token.scopes`, `request`, `request.header`.
pub(super) fn explained(word: &str) -> Option<Explained> {
    let (root, field) = word.split_once('.').map_or((word, None), |(root, field)| (root, Some(field)));
    let text = match (LIBRARY.attribute(root), ROOTS.iter().find(|known| known.name == root)) {
        (Some((_, attribute)), _) => of_library(attribute, field)?,
        (None, Some(known)) => of_engine(known, field)?,
        (None, None) => return None,
    };
    Some(Explained { kind: "attribute", name: word.to_owned(), text })
}

/// All roots, each with a line.
pub(super) fn lines() -> Vec<(String, String)> {
    let own = LIBRARY.attributes.iter().map(|attribute| (attribute.name().to_owned(), set_by(*attribute)));
    ROOTS.iter().map(|root| (root.name.to_owned(), root.doc.to_owned())).chain(own).collect()
}

fn of_library(attribute: &dyn Attribute, field: Option<&str>) -> Option<String> {
    let name = attribute.name();
    let fields = attribute.fields();
    let may_be_absent = |index: usize| if attribute.is_optional(index) { "; may be absent" } else { "" };
    if let Some(field) = field {
        let (index, (_, doc, of)) = fields.iter().enumerate().find(|(_, (known, ..))| *known == field)?;
        return Some(format!(
            "# {name}.{field}\n\n{doc}\n\nType: {of}{}. {}\n",
            may_be_absent(index),
            set_by(attribute)
        ));
    }
    let mut text = format!("# {name}\n\n{}\n\n| | type | |\n|---|---|---|\n", set_by(attribute));
    for (index, (field, doc, of)) in fields.iter().enumerate() {
        let _ = writeln!(text, "| `{name}.{field}` | {of}{} | {doc} |", may_be_absent(index));
    }
    Some(text)
}

fn of_engine(root: &Root, field: Option<&str>) -> Option<String> {
    if let Some(field) = field {
        let field = field.split(['.', '[', ':']).next().unwrap_or_default();
        let known = root.fields.iter().find(|(known, _)| *known == field);
        return match known {
            Some((_, doc)) => Some(format!("# {}.{field}\n\n{doc}\n", root.name)),
            None if root.fields.is_empty() => Some(format!("# {}.{field}\n\n{}\n", root.name, root.doc)),
            None => None,
        };
    }
    let mut text = format!("# {}\n\n{}\n", root.name, root.doc);
    if !root.fields.is_empty() {
        text.push_str("\n| | |\n|---|---|\n");
        for (field, doc) in root.fields {
            let _ = writeln!(text, "| `{}.{field}` | {doc} |", root.name);
        }
    }
    Some(text)
}

/// Which filters set it, as they said when their examples were compiled.
fn set_by(attribute: &dyn Attribute) -> String {
    let sets =
        |kind: &&::policy::filter::FilterKind| filter::said(kind).writes.iter().any(|name| name == attribute.name());
    let filters: Vec<_> = LIBRARY.there().filter(sets).map(|kind| code(kind.name)).collect();
    match filters.is_empty() {
        true => String::from("No filter of this version sets it."),
        false => capital(&format!("set by {}.", and(&filters))),
    }
}
