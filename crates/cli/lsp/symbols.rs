//! What a file has, as an outline: chains with their filters, tests, and the tables of the other files.

use gen_lsp_types::{DocumentSymbol, SymbolKind};
use policy::diagnostic::Span;
use policy::outline::{steps, text};
use policy::reader::{Section, Sketch};

use super::folders::FileKind;
use super::ground::Ground;
use super::positions::Lines;

/// The outline of a file.
pub(super) fn symbols(ground: &Ground<'_>) -> Vec<DocumentSymbol> {
    let sketch = Sketch::of(&ground.file.text);
    let lines = ground.lines(&ground.file);
    match ground.kind {
        FileKind::Policy | FileKind::Tests => of_policy(&sketch, &lines),
        FileKind::Node | FileKind::Stores | FileKind::Server => of_tables(&sketch, &lines),
    }
}

fn of_policy(sketch: &Sketch, lines: &Lines<'_>) -> Vec<DocumentSymbol> {
    let mut chains: Vec<(String, Span, Vec<DocumentSymbol>)> = Vec::new();
    for step in steps(sketch) {
        let uses = step.uses.map(|uses| uses.value);
        let name = step.name.map(|name| name.value).or_else(|| uses.clone());
        let name = name.unwrap_or_else(|| String::from("a filter"));
        let symbol = symbol(lines, name, uses, SymbolKind::Function, step.whole, step.header);
        match chains.iter_mut().find(|(chain, ..)| *chain == step.chain) {
            Some((_, _, filters)) => filters.push(symbol),
            None => chains.push((step.chain, step.header, vec![symbol])),
        }
    }
    let chain = |(name, header, filters): (String, Span, Vec<DocumentSymbol>)| {
        let own = name.strip_prefix("chain.").map_or_else(|| format!("[[{name}]]"), str::to_owned);
        let mut symbol = symbol(lines, own, None, SymbolKind::Namespace, header, header);
        symbol.range.end = filters.last().map_or(symbol.range.end, |last| last.range.end);
        symbol.children = Some(filters);
        symbol
    };
    let mut all: Vec<DocumentSymbol> = chains.into_iter().map(chain).collect();
    let tests = sketch.sections.iter().enumerate().filter(|(_, section)| header(section) == "test");
    all.extend(tests.map(|(number, section)| {
        let name = text(&section.entries, "name").map_or_else(|| String::from("a test"), |name| name.value);
        // Its own tables (`[test.expect]`) and steps stand below it.
        let own = sketch.sections[number + 1..].iter().take_while(|below| header(below).starts_with("test."));
        let whole = Span { start: section.span.start, end: own.last().unwrap_or(section).end };
        symbol(lines, name, Some(String::from("test")), SymbolKind::Event, whole, section.span)
    }));
    all
}

fn of_tables(sketch: &Sketch, lines: &Lines<'_>) -> Vec<DocumentSymbol> {
    let named = sketch.sections.iter().filter(|section| !section.header.is_empty());
    let table = |section: &Section| {
        let own = text(&section.entries, "name").map(|name| name.value);
        symbol(lines, header(section), own, SymbolKind::Object, whole(section), section.span)
    };
    named.map(table).collect()
}

fn header(section: &Section) -> String {
    let words: Vec<&str> = section.header.iter().map(|word| word.value.as_str()).collect();
    words.join(".")
}

fn whole(section: &Section) -> Span {
    Span { start: section.span.start, end: section.end }
}

fn symbol(
    lines: &Lines<'_>,
    name: String,
    detail: Option<String>,
    kind: SymbolKind,
    whole: Span,
    header: Span,
) -> DocumentSymbol {
    // A symbol without a name is refused by clients.
    let name = if name.trim().is_empty() { String::from("?") } else { name };
    #[allow(deprecated, reason = "the protocol's struct has a field of its past")]
    DocumentSymbol {
        name,
        detail,
        kind,
        tags: None,
        deprecated: None,
        range: lines.range(whole),
        selection_range: lines.range(header),
        children: None,
    }
}
