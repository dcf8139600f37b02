//! Values: filters, names of things, words of a schema.

use gen_lsp_types::CompletionItemKind;
use policy::diagnostic::Span;
use policy::outline::Thing;
use policy::reader::Sketch;
use serde_json::Value;

use super::Offer;
use crate::lsp::ground::{Ground, mentions};
use crate::lsp::hover::filter_doc;
use crate::lsp::shapes;
use crate::lsp::spot::{Place, Spot, Way, Written};
use crate::lsp::words::FLOW_WORDS;

/// What may stand at a place. `bare`: there are no quotes around it yet.
pub(super) fn values(ground: &Ground<'_>, spot: &Spot, at: usize, bare: bool) -> Vec<Offer> {
    let text = |word: &str| if bare { format!("\"{word}\"") } else { word.to_owned() };
    if spot.step.is_some() && spot.way == [Way::Key(String::from("use"))] {
        return filters(&text);
    }
    let word = match spot.place {
        Place::Value(Written::Plain(word)) => word,
        _ => Span { start: at, end: at },
    };
    if let Some(thing) = thing_at(ground, at, bare.then_some(word)) {
        return names(ground, spot, thing, &text);
    }
    let sketch = Sketch::of(&ground.file.text);
    let schema = shapes::schema(ground, &sketch, spot);
    let words = shapes::follow(&schema, spot).values();
    let word = |(value, doc): (Value, String)| {
        let (label, written) = match &value {
            Value::String(word) => (word.clone(), text(word)),
            other if bare => (other.to_string(), other.to_string()),
            _ => return None,
        };
        Some(Offer { label, text: Some(written), kind: Some(CompletionItemKind::EnumMember), doc, ..Offer::default() })
    };
    words.into_iter().filter_map(word).collect()
}

fn filters(text: &dyn Fn(&str) -> String) -> Vec<Offer> {
    let words = FLOW_WORDS.iter().map(|(name, doc)| (*name, (*doc).to_owned(), CompletionItemKind::Keyword));
    let kinds = filters::there().map(|kind| (kind.name, filter_doc(kind), CompletionItemKind::Class));
    let offer = |(name, doc, kind): (&str, String, CompletionItemKind)| Offer {
        label: name.to_owned(),
        text: Some(text(name)),
        kind: Some(kind),
        doc,
        ..Offer::default()
    };
    words.chain(kinds).map(offer).collect()
}

/// What a name at this place stands for. Where nothing is written yet, or a word without quotes, it is asked what a name there
/// would stand for.
fn thing_at(ground: &Ground<'_>, at: usize, bare: Option<Span>) -> Option<Thing> {
    let text = &ground.file.text;
    let (text, at) = match bare {
        Some(word) => (format!("{}\"?\"{}", &text[..word.start], &text[word.end..]), word.start + 1),
        None if name_is_empty(text, at) => (format!("{}?{}", &text[..at], &text[at..]), at),
        None => (text.clone(), at),
    };
    let found = mentions(ground.kind, &text);
    found.into_iter().find(|mention| mention.span.start <= at && at <= mention.span.end).map(|mention| mention.thing)
}

fn name_is_empty(text: &str, at: usize) -> bool {
    text[..at].ends_with(['"', '\'']) && text[at..].starts_with(['"', '\'', '\n', '\r'])
}

fn names(ground: &Ground<'_>, spot: &Spot, thing: Thing, text: &dyn Fn(&str) -> String) -> Vec<Offer> {
    let look = &ground.look;
    let mut words: Vec<(String, String, u8)> = Vec::new();
    match thing {
        Thing::Chain => {
            let mentions = ground.mentions(&ground.path);
            let mut chains: Vec<String> = mentions
                .into_iter()
                .filter(|mention| mention.thing == Thing::Chain && mention.declares)
                .map(|mention| mention.name)
                .collect();
            chains.dedup();
            words.extend(chains.into_iter().map(|name| (name, String::from("chain"), 0)));
            let key = spot.way.last();
            let moves = ["on_failure", "on_abort", "else", "missing"];
            if let Some(Way::Key(key)) = key
                && moves.contains(&key.as_str())
            {
                words.push((String::from("continue"), String::from("go on with the next filter"), 1));
                if !key.starts_with("on_") {
                    words.push((String::from("fail"), String::from("fail"), 1));
                }
            }
        }
        Thing::Policy => {
            let own = policy::compile::policy_name(&ground.path);
            let others = ground.policies().filter(|(name, _)| Some(*name) != own);
            words.extend(others.map(|(name, path)| (name.to_owned(), path.to_owned(), 0)));
        }
        Thing::Store => words.extend(stores(ground, spot)),
        Thing::Source => {
            words.extend(look.sources.iter().map(|(name, of)| (name.clone(), format!("data source, {of}"), 0)));
        }
        Thing::Upstream => {
            words.extend(look.upstreams.iter().map(|name| (name.clone(), String::from("upstream of node.toml"), 0)));
        }
        Thing::Provider => {
            words.extend(look.providers.iter().map(|name| (name.clone(), String::from("provider of node.toml"), 0)));
        }
        Thing::Listener => {
            words.extend(look.listeners.iter().map(|name| (name.clone(), String::from("listener of node.toml"), 0)));
        }
        Thing::Value | Thing::Input | Thing::Variable => {}
    }
    let offer = |(name, detail, rank): (String, String, u8)| Offer {
        text: Some(text(&name)),
        label: name,
        kind: Some(CompletionItemKind::Reference),
        detail: Some(detail),
        rank,
        ..Offer::default()
    };
    words.into_iter().map(offer).collect()
}

/// The stores of the kind that the key is named after (`clients`); else of the kind that the filter asks for first, where that is
/// known from the last check; else all.
fn stores(ground: &Ground<'_>, spot: &Spot) -> Vec<(String, String, u8)> {
    let own = spot.way.last().and_then(|way| match way {
        Way::Key(key) => ground.look.stores.values().copied().find(|kind| kind == key),
        Way::Item => None,
    });
    let asked = || {
        spot.step.as_ref().and_then(|step| {
            let chain = ground.folder.policy(&ground.path)?.chains.get(&step.chain)?;
            let uses = step.uses.as_ref()?;
            // The filter at this place, or another of the same type: all of a type take the same kind.
            let known = chain.steps.get(step.index).into_iter().chain(&chain.steps);
            let known = known.filter(|known| known.uses == uses.value);
            let mut things = known.flat_map(|known| &known.things).filter(|(kind, _)| kind == "store");
            // A key property store is asked for by its whole name, and written by its own.
            things.find_map(|(_, name)| ground.look.stores.get(name.strip_prefix("kps.").unwrap_or(name)).copied())
        })
    };
    let kind = own.or_else(asked);
    let all = ground.look.stores.iter().filter(|(_, of)| kind.is_none_or(|kind| kind == **of));
    all.map(|(name, of)| (name.clone(), format!("store of the kind {of}"), 0)).collect()
}
