//! What something is.

use gen_lsp_types::{Contents, Hover, MarkupContent, MarkupKind};
use policy::diagnostic::{Span, codes};
use policy::filter::FilterKind;
use policy::outline::{Thing, steps, text};
use policy::reader::Sketch;
use policy::selector::vocabulary::ROOTS;
use serde_json::Value;

use super::completion::{expression, is_name, set_at};
use super::definition::{Named, named_at, places};
use super::ground::Ground;
use super::schema::{Shape, doc_of};
use super::spot::{Place, Spot, Way, Written, spot};
use super::words::FLOW_WORDS;
use super::{shapes, words};

/// So many lines of a declaration are shown.
const MOST_LINES: usize = 12;

/// What stands at this byte of the file, explained.
pub(super) fn hover(ground: &Ground<'_>, at: usize) -> Option<Hover> {
    let sketch = Sketch::of(&ground.file.text);
    let spot = spot(&ground.file.text, &sketch, at);
    let said = named(ground, at)
        .or_else(|| in_selector(ground, spot.as_ref()?, at))
        .or_else(|| key_or_filter(ground, &sketch, spot.as_ref()?));
    let problems = problems(ground, at);
    let (span, text) = match (said, problems.is_empty()) {
        (Some((span, text)), true) => (span, text),
        (Some((span, text)), false) => (span, format!("{text}\n\n{}", problems.join("\n\n"))),
        (None, false) => (Span { start: at, end: at }, problems.join("\n\n")),
        (None, true) => return None,
    };
    let kind = if ground.client.markdown { MarkupKind::Markdown } else { MarkupKind::PlainText };
    let contents = Contents::MarkupContent(MarkupContent { kind, value: text });
    Some(Hover { contents, range: Some(ground.range(span)) })
}

/// What the codes of the diagnostics at this place mean.
fn problems(ground: &Ground<'_>, at: usize) -> Vec<String> {
    let Some(told) = ground.folder.published.get(&ground.path) else { return Vec::new() };
    let lines = ground.lines(&ground.file);
    let here = told.diagnostics.iter().filter(|told| {
        let span = lines.span(told.range);
        span.start <= at && at <= span.end
    });
    let code = |told: &gen_lsp_types::Diagnostic| match &told.code {
        Some(gen_lsp_types::Code::String(code)) => Some(code.clone()),
        _ => None,
    };
    // The page's title and what stands before its examples.
    let meaning = |code: String| {
        let page = codes::explanation(&code)?;
        let said = page.split("\n## ").next().unwrap_or_default();
        Some(said.trim_start_matches("# ").trim_end().to_owned())
    };
    let mut found: Vec<String> = here.filter_map(code).filter_map(meaning).collect();
    found.dedup();
    found
}

/// A name of something.
fn named(ground: &Ground<'_>, at: usize) -> Option<(Span, String)> {
    let named = named_at(ground, at)?;
    let look = &ground.look;
    let text = match named.thing {
        Thing::Chain => chain(ground, &named)?,
        Thing::Policy => policy(ground, &named.name)?,
        Thing::Store => {
            let kind = look.stores.get(&named.name)?;
            declared(ground, &named, &format!("store `{}` of the kind `{kind}`", named.name))
        }
        Thing::Source => declared(ground, &named, &format!("data source `{}`", named.name)),
        Thing::Upstream => declared(ground, &named, &format!("upstream `{}`", named.name)),
        Thing::Provider => declared(ground, &named, &format!("provider `{}`", named.name)),
        Thing::Listener => declared(ground, &named, &format!("listener `{}`", named.name)),
        // As it is written: what a variable holds is nobody's to see.
        Thing::Value => declared(ground, &named, &format!("value `{}`", named.name)),
        Thing::Input => {
            let of = ground.folder.policy(&ground.path)?.inputs.get(&named.name)?;
            format!("input `{}`, {of}", named.name)
        }
        Thing::Variable => {
            let places: usize = places(ground, &named).iter().map(|(_, mentions)| mentions.len()).sum();
            format!("variable `vars.{}`, named in {places} places", named.name)
        }
    };
    Some((named.span, text))
}

/// With the lines that declare it, if there are any.
fn declared(ground: &Ground<'_>, named: &Named, title: &str) -> String {
    let places = places(ground, named);
    let declaration = places.iter().find_map(|(path, mentions)| Some((path, mentions.iter().find(|m| m.declares)?)));
    let Some((path, mention)) = declaration else { return title.to_owned() };
    let Some(file) = ground.files.get(path) else { return title.to_owned() };
    let sketch = Sketch::of(&file.text);
    let section = &sketch.sections[sketch.section(mention.span.start)];
    let entry = section.entries.iter().find(|entry| {
        entry.key.iter().any(|word| word.span.start <= mention.span.start && mention.span.end <= word.span.end)
    });
    let span = match entry {
        Some(entry) => entry.span,
        None => Span { start: section.span.start, end: section.end },
    };
    let lines: Vec<&str> = file.text[span.start..span.end].trim_end().lines().take(MOST_LINES).collect();
    format!("{title}\n\n```toml\n{}\n```", lines.join("\n"))
}

fn chain(ground: &Ground<'_>, named: &Named) -> Option<String> {
    let sketch = Sketch::of(&ground.file.text);
    let own = format!("chain.{}", named.name);
    let steps: Vec<String> = steps(&sketch)
        .into_iter()
        .filter(|step| step.chain == own)
        .filter_map(|step| Some(format!("- `{}`", step.name.or(step.uses)?.value)))
        .collect();
    (!steps.is_empty()).then(|| format!("chain `{}`\n\n{}", named.name, steps.join("\n")))
}

fn policy(ground: &Ground<'_>, name: &str) -> Option<String> {
    let (_, path) = ground.policies().find(|(known, _)| *known == name)?;
    let sketch = Sketch::of(&ground.files.get(path)?.text);
    let entries = &sketch.sections.first()?.entries;
    let mut said = format!("policy `{name}`");
    for key in ["route", "description"] {
        if let Some(text) = text(entries, key) {
            said.extend(["\n\n", &if key == "route" { format!("`{}`", text.value) } else { text.value }]);
        }
    }
    Some(said)
}

/// An attribute or another word of a selector or condition.
fn in_selector(ground: &Ground<'_>, spot: &Spot, at: usize) -> Option<(Span, String)> {
    let Place::Value(Written::Text(inner)) = &spot.place else { return None };
    // Elsewhere a word is a word.
    expression(ground, spot, *inner, at)?;
    let text = &ground.file.text[inner.start..inner.end];
    let at = at - inner.start;
    let start = text[..at].trim_end_matches(is_name).len();
    let end = at + text[at..].find(|c: char| !is_name(c) || c == '.').unwrap_or(text.len() - at);
    let name = text.get(start..end)?;
    let span = Span { start: inner.start + start, end: inner.start + end };
    let mut words = name.split('.');
    let (root, field) = (words.next()?, words.next());
    if let Some(known) = ROOTS.iter().find(|known| known.name == root) {
        let doc = match field {
            None => known.doc,
            Some(field) => known.fields.iter().find(|(name, _)| *name == field).map(|(_, doc)| *doc)?,
        };
        return Some((span, format!("`{name}`: {doc}")));
    }
    let (_, attribute) = ground.library.attribute(root)?;
    let set = match set_at(ground, spot) {
        None => "",
        Some(set) => match set.get(root) {
            Some(true) => "\n\nset here on every way",
            Some(false) => "\n\nset here on some ways only",
            None => "\n\nnot set here",
        },
    };
    let fields = attribute.fields();
    let said = match field {
        Some(field) => {
            let (_, doc, of) = fields.into_iter().find(|(name, ..)| *name == field)?;
            format!("`{name}` ({of}): {doc}")
        }
        None => {
            let fields = fields.into_iter().map(|(name, doc, _)| format!("- `{name}`: {doc}"));
            format!("attribute `{root}`\n\n{}", fields.collect::<Vec<_>>().join("\n"))
        }
    };
    Some((span, format!("{said}{set}")))
}

/// A key, or the filter behind `use`.
fn key_or_filter(ground: &Ground<'_>, sketch: &Sketch, spot: &Spot) -> Option<(Span, String)> {
    match &spot.place {
        Place::Value(Written::Text(inner)) if spot.step.is_some() && spot.way == [Way::Key(String::from("use"))] => {
            let name = &ground.file.text[inner.start..inner.end];
            Some((*inner, filter(name)?))
        }
        Place::Key { word, .. } => {
            let schema = shapes::schema(ground, sketch, spot);
            let key = ground.file.text.get(word.start..word.end)?.trim_matches(['"', '\'']);
            let doc = doc_of(&shapes::follow(&schema, spot), key)?;
            Some((*word, format!("`{key}`: {doc}")))
        }
        _ => None,
    }
}

/// A filter, or a flow word.
fn filter(name: &str) -> Option<String> {
    if let Some((_, doc)) = FLOW_WORDS.iter().find(|(word, _)| *word == name) {
        return Some(format!("`{name}`: {doc}\n\n{}", settings(&words::filter(Some(name)))));
    }
    filters::there().find(|kind| kind.name == name).map(filter_doc)
}

/// A filter and its settings.
pub(super) fn filter_doc(kind: &FilterKind) -> String {
    format!(
        "`{}`\n\n{}",
        kind.name,
        settings(&policy::schema::settings(filters::LIBRARY, kind.name).unwrap_or_default())
    )
}

fn settings(schema: &Value) -> String {
    let keys = Shape::of(schema).keys();
    let common = ["use", "name", "when", "on_failure", "on_abort", "on_success"];
    let own = keys.into_iter().filter(|key| !common.contains(&key.name.as_str()));
    let line = own.map(|key| {
        let required = if key.required { " (required)" } else { "" };
        format!("- `{}`{required}: {}", key.name, key.doc.replace('\n', " "))
    });
    line.collect::<Vec<_>>().join("\n")
}
