//! Inside of `${...}` and of conditions: what is set at this filter, and what is always there.

use std::collections::BTreeMap;

use gen_lsp_types::CompletionItemKind;
use policy::diagnostic::Span;
use policy::selector::vocabulary::ROOTS;

use super::Offer;
use crate::lsp::ground::Ground;
use crate::lsp::spot::{Spot, Way};

/// Keys whose text is a condition.
const CONDITIONS: &[&str] = &["when", "that", "cel"];

/// What may stand at a place in a text, where a selector or a condition is open there, and the word it takes the place of.
pub(super) fn open_at(ground: &Ground<'_>, spot: &Spot, inner: Span, at: usize) -> Option<(Span, Vec<Offer>)> {
    let name = last_name(expression(ground, spot, inner, at)?);
    let (base, word) = name.rsplit_once('.').unwrap_or(("", name));
    let span = Span { start: at - word.len(), end: at };
    Some((span, offers(ground, spot, base)))
}

/// The selector or condition that is open at a place in a text, as far as it is written before that.
pub(in crate::lsp) fn expression<'t>(ground: &'t Ground<'_>, spot: &Spot, inner: Span, at: usize) -> Option<&'t str> {
    spot.step.as_ref()?;
    let before = &ground.file.text[inner.start..at];
    let condition = matches!(spot.way.last(), Some(Way::Key(key)) if CONDITIONS.contains(&key.as_str()));
    match before.rfind("${") {
        Some(open) if !before[..open].ends_with('$') && !before[open..].contains('}') => Some(&before[open + 2..]),
        _ => condition.then_some(before),
    }
}

/// The name that is being written: words with dots between.
fn last_name(expression: &str) -> &str {
    let rest = expression.trim_end_matches(is_name);
    &expression[rest.len()..]
}

/// Whether it may stand in a name with dots.
pub(in crate::lsp) fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// What may follow this name.
fn offers(ground: &Ground<'_>, spot: &Spot, base: &str) -> Vec<Offer> {
    let set = set_at(ground, spot);
    let words: Vec<&str> = base.split('.').filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        [] => roots(ground, set.as_ref()),
        ["values"] => {
            // Their names only: what a variable of the environment holds is nobody's to see.
            ground.look.values.iter().map(|name| offer(name, None, "A value of node.toml.", 0)).collect()
        }
        ["input"] => {
            let inputs = ground.folder.policy(&ground.path).into_iter().flat_map(|policy| &policy.inputs);
            inputs.map(|(name, of)| offer(name, Some(of.to_string()), "", 0)).collect()
        }
        ["kps"] => {
            let stores = ground.look.stores.iter().filter(|(_, kind)| **kind == "kps");
            stores.map(|(name, _)| offer(name, None, "A key property store: `kps.NAME[KEY].COLUMN`.", 0)).collect()
        }
        [root @ ("path" | "vars")] => named(set.as_ref(), root),
        [root] => {
            let own = ROOTS.iter().find(|known| known.name == *root).into_iter();
            let own = own.flat_map(|root| root.fields).map(|(name, doc)| offer(name, None, doc, 0));
            let attribute = ground.library.attribute(root).into_iter();
            let fields = attribute.flat_map(|(_, attribute)| attribute.fields());
            own.chain(fields.map(|(name, doc, of)| offer(name, Some(of.to_string()), doc, 0))).collect()
        }
        _ => Vec::new(),
    }
}

/// The roots that have something to give here. What is not set on any way to this filter is not offered.
fn roots(ground: &Ground<'_>, set: Option<&BTreeMap<String, bool>>) -> Vec<Offer> {
    let inputs = ground.folder.policy(&ground.path).is_some_and(|policy| !policy.inputs.is_empty());
    // Whether it is there, and that on every way.
    let is_set = |name: &str| match set {
        Some(set) => set.get(name).copied(),
        None => Some(false),
    };
    let below = |root: &str| set.is_none_or(|set| set.keys().any(|name| name.starts_with(&format!("{root}."))));
    let own = ROOTS.iter().filter_map(|root| {
        let sure = match root.name {
            "response" | "failure" => is_set(root.name)?,
            "path" | "vars" => below(root.name).then_some(true)?,
            "input" => inputs.then_some(true)?,
            "kps" => ground.look.stores.values().any(|kind| *kind == "kps").then_some(true)?,
            "values" => (!ground.look.values.is_empty()).then_some(true)?,
            _ => true,
        };
        Some((root.name, root.doc.to_owned(), sure, 1))
    });
    let attributes = ground.library.attributes.iter().filter_map(|attribute| {
        let fields: Vec<_> =
            attribute.fields().into_iter().map(|(name, doc, _)| format!("- `{name}`: {doc}")).collect();
        // One without fields is for filters only.
        (!fields.is_empty()).then_some(())?;
        Some((attribute.name(), fields.join("\n"), is_set(attribute.name())?, 0))
    });
    attributes
        .chain(own)
        .map(|(name, doc, sure, rank)| {
            let detail = match (sure, set) {
                (true, _) => None,
                (false, Some(_)) => Some(String::from("set on some of the ways to here only")),
                (false, None) => Some(String::from("whether it is set here is not known")),
            };
            Offer { rank: if sure { rank } else { 2 }, ..offer(name, detail, &doc, rank) }
        })
        .collect()
}

/// What is set below a root: `path.id`, `vars.x`.
fn named(set: Option<&BTreeMap<String, bool>>, root: &str) -> Vec<Offer> {
    let prefix = format!("{root}.");
    let names = set.into_iter().flatten().filter_map(|(name, sure)| Some((name.strip_prefix(&prefix)?, sure)));
    names
        .map(|(name, sure)| {
            let detail = (!sure).then(|| String::from("set on some of the ways to here only"));
            offer(name, detail, "", u8::from(!sure))
        })
        .collect()
}

fn offer(name: &str, detail: Option<String>, doc: &str, rank: u8) -> Offer {
    Offer {
        label: name.to_owned(),
        kind: Some(CompletionItemKind::Variable),
        detail,
        doc: doc.to_owned(),
        rank,
        ..Offer::default()
    }
}

/// What is set where this filter begins, as the last check that could read the policy knew it. A filter that is new takes the
/// place of the one that was there: what was set before that one is set before the new one.
pub(in crate::lsp) fn set_at(ground: &Ground<'_>, spot: &Spot) -> Option<BTreeMap<String, bool>> {
    let step = spot.step.as_ref()?;
    let chain = ground.folder.policy(&ground.path)?.chains.get(&step.chain)?;
    let last = chain.set.len().checked_sub(1)?;
    chain.set[step.index.min(last)].clone()
}
