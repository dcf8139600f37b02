//! Keys of a table, and headers.

use std::collections::BTreeSet;

use gen_lsp_types::CompletionItemKind;
use policy::diagnostic::{Code, codes};
use policy::lint::LINTS;
use policy::outline::Thing;
use policy::reader::Sketch;

use super::Offer;
use crate::lsp::folders::FileKind;
use crate::lsp::ground::{Ground, mentions};
use crate::lsp::shapes;
use crate::lsp::spot::Spot;
use crate::lsp::words;

/// The keys that may stand at a place, without those that are there.
pub(super) fn keys(ground: &Ground<'_>, sketch: &Sketch, spot: &Spot, beside: &[String], assigned: bool) -> Vec<Offer> {
    let schema = shapes::schema(ground, sketch, spot);
    let shape = shapes::follow(&schema, spot);
    let mut offers: Vec<Offer> = shape
        .keys()
        .into_iter()
        .filter(|key| !beside.contains(&key.name))
        .map(|key| Offer {
            text: Some(if assigned { key.name.clone() } else { format!("{} = ", key.name) }),
            label: key.name,
            kind: Some(CompletionItemKind::Property),
            detail: key.required.then(|| String::from("required")),
            doc: key.doc,
            rank: if key.required { 0 } else { 1 },
        })
        .collect();
    offers.extend(names(ground, spot, beside));
    // At the start of a line a header may stand too.
    if spot.way.is_empty() && !assigned {
        offers.extend(headers(ground, sketch).into_iter().map(|offer| Offer { rank: 2, ..offer }));
    }
    offers
}

/// Keys that are names: the stores and upstreams of a test's world, the inputs of a called policy, lints.
fn names(ground: &Ground<'_>, spot: &Spot, beside: &[String]) -> Vec<Offer> {
    let path = shapes::path(spot);
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let named: Vec<(String, String)> = match words.as_slice() {
        ["test", "given" | "expect", "stores"] => {
            ground.look.stores.iter().map(|(name, kind)| (name.clone(), format!("store of the kind {kind}"))).collect()
        }
        ["test", "given" | "expect", "upstreams"] => {
            ground.look.upstreams.iter().map(|name| (name.clone(), String::from("upstream"))).collect()
        }
        ["allow"] => return lints(beside),
        [.., "with"] => called(ground, spot),
        _ => Vec::new(),
    };
    let offer = |(name, detail): (String, String)| Offer {
        text: Some(format!("{name} = ")),
        label: name,
        kind: Some(CompletionItemKind::Property),
        detail: Some(detail),
        ..Offer::default()
    };
    named.into_iter().filter(|(name, _)| !beside.contains(name)).map(offer).collect()
}

/// Lints, each with what it warns of. The reason is for a person to write: without one it is an error.
fn lints(beside: &[String]) -> Vec<Offer> {
    let lints = LINTS.iter().filter(|(_, name)| !beside.iter().any(|own| own == name));
    let offer = |(code, name): &(Code, &str)| Offer {
        label: (*name).to_owned(),
        text: Some(format!("{name} = \"\"")),
        kind: Some(CompletionItemKind::Property),
        detail: Some(code.to_string()),
        doc: codes::explanation(code.as_str()).and_then(|page| page.lines().next()).unwrap_or_default().to_owned(),
        ..Offer::default()
    };
    lints.map(offer).collect()
}

/// The inputs of the policy that a `call` names.
fn called(ground: &Ground<'_>, spot: &Spot) -> Vec<(String, String)> {
    let Some(step) = &spot.step else { return Vec::new() };
    let text = &ground.file.text[step.whole.start..step.whole.end];
    let called = mentions(FileKind::Policy, text).into_iter().find(|mention| mention.thing == Thing::Policy);
    let survey = called.and_then(|called| ground.look.survey.policy(&called.name));
    let inputs = survey.into_iter().flat_map(|policy| &policy.inputs);
    inputs.map(|(name, of)| (name.clone(), of.to_string())).collect()
}

/// The headers that may stand in the file.
pub(super) fn headers(ground: &Ground<'_>, sketch: &Sketch) -> Vec<Offer> {
    let there: BTreeSet<String> = sketch
        .sections
        .iter()
        .filter(|section| !section.list)
        .map(|section| section.header.iter().map(|word| word.value.as_str()).collect::<Vec<_>>().join("."))
        .collect();
    let known = words::headers(ground.kind).iter();
    let mut offers: Vec<Offer> = known
        .filter(|(name, list, _)| *list || !there.contains(*name))
        .map(|(name, list, doc)| header(name, *list, doc))
        .collect();
    match ground.kind {
        FileKind::Policy => offers.extend(chains(ground)),
        FileKind::Stores => {
            for (kind, name) in ground.look.stores.iter().map(|(name, kind)| (kind, name)) {
                if !there.contains(&format!("store.{name}")) {
                    offers.push(header(
                        &format!("store.{name}"),
                        false,
                        &format!("Where the store `{kind}` keeps its records."),
                    ));
                }
            }
        }
        _ => {}
    }
    offers
}

/// Chains that the policy names: first those that it does not have yet.
fn chains(ground: &Ground<'_>) -> Vec<Offer> {
    let mentions = ground.mentions(&ground.path);
    let chains = mentions.iter().filter(|mention| mention.thing == Thing::Chain);
    let names: BTreeSet<&str> = chains.map(|mention| mention.name.as_str()).collect();
    let offer = |name: &str| header(&format!("chain.{name}"), true, &format!("A filter of the chain `{name}`."));
    names.into_iter().map(offer).collect()
}

fn header(name: &str, list: bool, doc: &str) -> Offer {
    let text = if list { format!("[[{name}]]") } else { format!("[{name}]") };
    Offer { label: text, kind: Some(CompletionItemKind::Module), doc: doc.to_owned(), ..Offer::default() }
}
