//! What may stand at a place. The text around it is unfinished most of the time, so what it is comes from a sketch of the
//! text, and what there is to be named from the last check.

mod keys;
mod selectors;
mod values;

use gen_lsp_types::{
    CompletionItem, CompletionItemKind, CompletionItemTextEdit, CompletionList, Documentation, MarkupContent,
    MarkupKind, TextEdit,
};
use policy::diagnostic::Span;
use policy::reader::Sketch;

pub(super) use self::selectors::{expression, is_name, set_at};
use super::ground::Ground;
use super::spot::{Place, Written, spot};

/// Something to offer.
#[derive(Debug, Default)]
struct Offer {
    label: String,
    /// What is written for it, where that is not the label.
    text: Option<String>,
    kind: Option<CompletionItemKind>,
    detail: Option<String>,
    doc: String,
    /// What is offered first has the least.
    rank: u8,
}

/// What may stand at this byte of the file.
pub(super) fn complete(ground: &Ground<'_>, at: usize) -> CompletionList {
    let text = &ground.file.text;
    let sketch = Sketch::of(text);
    let (span, offers) = match spot(text, &sketch, at) {
        None => (Span { start: at, end: at }, Vec::new()),
        Some(spot) => match &spot.place {
            Place::Header(whole) => (*whole, keys::headers(ground, &sketch)),
            Place::Key { word, beside, assigned } => {
                let begins = Span { start: word.start, end: if *assigned { word.end } else { at } };
                (begins, keys::keys(ground, &sketch, &spot, beside, *assigned))
            }
            Place::Value(Written::Text(inner)) => match selectors::open_at(ground, &spot, *inner, at) {
                Some((word, offers)) => (word, offers),
                None => (*inner, values::values(ground, &spot, at, false)),
            },
            Place::Value(Written::Plain(word)) => (*word, values::values(ground, &spot, at, true)),
            Place::Value(Written::Nothing) => (Span { start: at, end: at }, values::values(ground, &spot, at, true)),
        },
    };
    let items = offers.into_iter().map(|offer| item(ground, span, offer)).collect();
    CompletionList { is_incomplete: false, items, ..CompletionList::default() }
}

fn item(ground: &Ground<'_>, span: Span, offer: Offer) -> CompletionItem {
    let new_text = offer.text.unwrap_or_else(|| offer.label.clone());
    let kind = if ground.client.markdown { MarkupKind::Markdown } else { MarkupKind::PlainText };
    let doc = (!offer.doc.is_empty()).then_some(Documentation::MarkupContent(MarkupContent { kind, value: offer.doc }));
    CompletionItem {
        sort_text: Some(format!("{}{}", offer.rank, offer.label)),
        // What is compared is what stands in the place that is written over.
        filter_text: (new_text != offer.label).then(|| new_text.clone()),
        label: offer.label,
        kind: offer.kind,
        detail: offer.detail,
        documentation: doc,
        text_edit: Some(CompletionItemTextEdit::TextEdit(TextEdit { range: ground.range(span), new_text })),
        ..CompletionItem::default()
    }
}
