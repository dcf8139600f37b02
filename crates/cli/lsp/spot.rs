//! Where in a file a place is: which table, which key, in which text. By the sketch of the text, which may be unfinished.

use policy::diagnostic::Span;
use policy::outline::{Step, step_at, steps};
use policy::reader::{Section, Sketch, SketchEntry, SketchKind, SketchValue};

/// One step of the way to a place.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Way {
    Key(String),
    Item,
}

/// A place.
#[derive(Debug, PartialEq)]
pub(super) struct Spot {
    /// The words of the header above.
    pub(super) header: Vec<String>,
    /// The filter it stands in.
    pub(super) step: Option<Step>,
    /// The keys that lead from the header to the place. For a value the last is its own key.
    pub(super) way: Vec<Way>,
    pub(super) place: Place,
}

/// What stands at a place.
#[derive(Debug, PartialEq)]
pub(super) enum Place {
    /// Within the brackets of a header: the whole of it.
    Header(Span),
    /// A key, or the beginning of one; and the keys that its table has beside it.
    Key { word: Span, beside: Vec<String>, assigned: bool },
    /// A value, or where one is to come.
    Value(Written),
}

/// How much of a value is there.
#[derive(Debug, PartialEq)]
pub(super) enum Written {
    /// Nothing.
    Nothing,
    /// A word without quotes, or a number.
    Plain(Span),
    /// Text: what stands within its quotes.
    Text(Span),
}

/// What stands at this byte; none between values, and in comments.
pub(super) fn spot(text: &str, sketch: &Sketch, at: usize) -> Option<Spot> {
    if in_comment(text, sketch, at) {
        return None;
    }
    let section = &sketch.sections[sketch.section(at)];
    let header: Vec<String> = section.header.iter().map(|word| word.value.clone()).collect();
    let step = step_at(&steps(sketch), at).cloned();
    let is_header = section.span != Span::default() && section.span.start < at && at <= section.span.end;
    if is_header {
        let closed = text[section.span.start..section.span.end].ends_with(']') && at == section.span.end;
        return (!closed).then_some(Spot { header, step, way: Vec::new(), place: Place::Header(section.span) });
    }
    let mut way = Vec::new();
    let place = in_entries(text, &section.entries, at, &mut way).or_else(|| below(text, section, at))?;
    Some(Spot { header, step, way, place })
}

/// A new line below a header: a key is to come, where nothing else stands before it on the line.
fn below(text: &str, section: &Section, at: usize) -> Option<Place> {
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let before = &text[line..at];
    let word = before.len() - before.trim_start().len();
    before.trim_start().is_empty().then(|| Place::Key {
        word: Span { start: line + word, end: at },
        beside: names(&section.entries, at),
        assigned: false,
    })
}

fn in_entries(text: &str, entries: &[SketchEntry], at: usize, way: &mut Vec<Way>) -> Option<Place> {
    let entry = entries.iter().rev().find(|entry| entry.span.start <= at)?;
    let same_line = |from: usize| text.get(from..at).is_some_and(|between| !between.contains('\n'));
    let Some(equals) = entry.equals.filter(|equals| *equals < at) else {
        // In the key, the last word of which is being written.
        let last = entry.key.last()?;
        if at > last.span.end {
            return None;
        }
        let current = entry.key.iter().position(|word| at <= word.span.end)?;
        way.extend(entry.key[..current].iter().map(|word| Way::Key(word.value.clone())));
        let beside = if current == 0 { names(entries, at) } else { Vec::new() };
        return Some(Place::Key { word: entry.key[current].span, beside, assigned: entry.equals.is_some() });
    };
    let before = way.len();
    way.extend(entry.key.iter().map(|word| Way::Key(word.value.clone())));
    let found = match &entry.value {
        None => same_line(equals).then_some(Place::Value(Written::Nothing)),
        Some(value) => in_value(text, value, at, way),
    };
    if found.is_none() {
        way.truncate(before);
    }
    found
}

fn in_value(text: &str, value: &SketchValue, at: usize, way: &mut Vec<Way>) -> Option<Place> {
    if at < value.span.start || at > value.span.end && !unfinished(text, value, at) {
        return None;
    }
    match &value.kind {
        SketchKind::Text(_, inner) => {
            (inner.start <= at && at <= inner.end).then_some(Place::Value(Written::Text(*inner)))
        }
        SketchKind::Plain(_) => Some(Place::Value(Written::Plain(value.span))),
        SketchKind::List(items) => {
            if at == value.span.start || closed(text, value, at, ']') {
                return None;
            }
            way.push(Way::Item);
            match items.iter().find(|item| item.span.start <= at && at <= item.span.end) {
                Some(item) => in_value(text, item, at, way),
                None => Some(Place::Value(Written::Nothing)),
            }
        }
        SketchKind::Table(entries) => {
            if at == value.span.start || closed(text, value, at, '}') {
                return None;
            }
            in_entries(text, entries, at, way).or_else(|| {
                Some(Place::Key { word: Span { start: at, end: at }, beside: names(entries, at), assigned: false })
            })
        }
    }
}

/// Whether a bracket is open, and the place is on the line on which it would be closed.
fn unfinished(text: &str, value: &SketchValue, at: usize) -> bool {
    let whole = &text[value.span.start..value.span.end];
    let open = match value.kind {
        SketchKind::List(_) => !whole.ends_with(']'),
        SketchKind::Table(_) => !whole.ends_with('}'),
        _ => false,
    };
    open && text.get(value.span.end..at).is_some_and(|between| !between.contains('\n'))
}

/// Whether the place is behind the closing bracket.
fn closed(text: &str, value: &SketchValue, at: usize, bracket: char) -> bool {
    at >= value.span.end && text[value.span.start..value.span.end].ends_with(bracket)
}

/// The first words of the keys, but for the one at the place itself.
fn names(entries: &[SketchEntry], at: usize) -> Vec<String> {
    let others =
        entries.iter().filter(|entry| !(entry.span.start <= at && at <= entry.key.last().map_or(0, |k| k.span.end)));
    others.filter_map(|entry| entry.key.first()).map(|word| word.value.clone()).collect()
}

/// Whether a `#` before the place, on its line, stands outside of any value.
fn in_comment(text: &str, sketch: &Sketch, at: usize) -> bool {
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let section = &sketch.sections[sketch.section(at)];
    text[line..at].match_indices('#').any(|(hash, _)| {
        let hash = line + hash;
        !section.entries.iter().any(|entry| {
            in_text(entry.value.as_ref(), hash) || entry.key.iter().any(|k| k.span.start <= hash && hash < k.span.end)
        })
    })
}

fn in_text(value: Option<&SketchValue>, at: usize) -> bool {
    value.is_some_and(|value| match &value.kind {
        SketchKind::Text(..) | SketchKind::Plain(_) => value.span.start <= at && at < value.span.end,
        SketchKind::List(items) => items.iter().any(|item| in_text(Some(item), at)),
        SketchKind::Table(entries) => entries.iter().any(|entry| in_text(entry.value.as_ref(), at)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands at the `|` of a text.
    fn shown(text: &str) -> String {
        let at = text.find('|').unwrap();
        let text = text.replacen('|', "", 1);
        let sketch = Sketch::of(&text);
        let Some(spot) = spot(&text, &sketch, at) else { return String::from("nothing") };
        let way: Vec<&str> = spot
            .way
            .iter()
            .map(|way| match way {
                Way::Key(key) => key.as_str(),
                Way::Item => "[]",
            })
            .collect();
        let word = |span: &Span| text[span.start..span.end].to_owned();
        let place = match &spot.place {
            Place::Header(whole) => format!("header {}", word(whole)),
            Place::Key { word: span, beside, .. } => format!("key {}, beside {}", word(span), beside.join(" ")),
            Place::Value(Written::Nothing) => String::from("value"),
            Place::Value(Written::Plain(span)) => format!("value {}", word(span)),
            Place::Value(Written::Text(span)) => format!("text {}", word(span)),
        };
        format!("{}({}) {place}", spot.header.join("."), way.join("."))
    }

    #[test]
    fn places() {
        for (text, expected) in [
            ("|", "() key , beside "),
            ("ro|", "() key ro, beside "),
            ("a = 1\n|\nb = 2", "() key , beside a b"),
            ("a = 1\nro|ute = 2\n", "() key route, beside a"),
            ("a = |", "(a) value"),
            ("a =|\n[b]", "(a) value"),
            ("a = tr|", "(a) value tr"),
            ("a = \"x|y\"", "(a) text xy"),
            ("a = \"|", "(a) text "),
            ("a = \"x\" |", "nothing"),
            ("# a = |", "nothing"),
            ("a = 1 # |", "nothing"),
            ("a = \"#|\"", "(a) text #"),
            ("a.b = |", "(a.b) value"),
            ("a.b| = 1", "(a) key b, beside "),
            ("[[fil|", "fil() header [[fil"),
            ("[[filter]]|", "nothing"),
            ("[[|]]", "() header [[]]"),
            ("[x]\nuse = \"p|\nb = 1", "x(use) text p"),
            ("a = [|]", "(a.[]) value"),
            ("a = [\"x\", |", "(a.[]) value"),
            ("a = [\"x\", \"y|\"]", "(a.[]) text y"),
            ("a = { | }", "(a) key , beside "),
            ("a = { b = 1, c| }", "(a) key c, beside b"),
            ("a = { b = 1, |", "(a) key , beside b"),
            ("a = { b = | }", "(a.b) value"),
            ("a = [{ b = \"|\" }]", "(a.[].b) text "),
            ("a = { b = 1 }|", "nothing"),
            ("[filter.case]\nx = \"|\"", "filter.case(x) text "),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn any_place_of_any_text() {
        let text = "a = { b = [1, \"ü\n[[c]]\nx = 'y' # z\n\"q\".r = [{ s = ";
        let sketch = Sketch::of(text);
        for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            let _ = spot(text, &sketch, at);
        }
    }
}
