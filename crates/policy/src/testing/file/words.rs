//! `${case.NAME}` and `${kept.NAME}` in the texts of a test.
//!
//! Any other `${` is plain text, since a test may well send one; `$${case.` and `$${kept.` are plain `${case.` and `${kept.`.

use std::ops::Range;

/// Whose names they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::testing) enum Group {
    /// Of a case: known before anything runs.
    Case,
    /// Kept from the answer of an earlier step.
    Kept,
}

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::testing) enum Piece<'a> {
    /// As it is.
    Plain(&'a str),
    /// A name, and where it stands in the text.
    Word(Group, &'a str, Range<usize>),
    /// What was meant to be one and is not, and where it stands.
    Malformed(&'a str, Range<usize>),
}

/// How they begin; the last ones are slips.
const BEGINNINGS: [(&str, Option<Group>); 4] =
    [("${case.", Some(Group::Case)), ("${kept.", Some(Group::Kept)), ("${cases.", None), ("${keep.", None)];

/// Takes a text apart.
pub(in crate::testing) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find("${").map(|found| at + found) {
        let beginning = BEGINNINGS.iter().find(|(beginning, _)| text[found..].starts_with(beginning));
        let Some((beginning, group)) = beginning else {
            at = found + 2;
            continue;
        };
        if text[..found].ends_with('$') {
            // `$${case.`: one of the two is left out.
            pieces.push(Piece::Plain(&text[rest..found - 1]));
            (rest, at) = (found, found + beginning.len());
            continue;
        }
        pieces.push(Piece::Plain(&text[rest..found]));
        let from = found + beginning.len();
        let end = text[from..].find('}').map(|end| from + end);
        let name = end.map(|end| &text[from..end]).filter(|name| is_name(name));
        let to = end.map_or(text.len(), |end| end + 1);
        pieces.push(match (name, group) {
            (Some(name), Some(group)) => Piece::Word(*group, name, found..to),
            _ => Piece::Malformed(&text[found..to], found..to),
        });
        (rest, at) = (to, to);
    }
    pieces.push(Piece::Plain(&text[rest..]));
    pieces.retain(|piece| *piece != Piece::Plain(""));
    pieces
}

/// What a name after `case.` and `kept.` looks like.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The text with every word of this group replaced, and what no word stands for left as it is. Plain `$${` is resolved with
/// the words of the last group, [`Group::Kept`].
pub(in crate::testing) fn filled(text: &str, group: Group, value: impl Fn(&str) -> Option<String>) -> String {
    if !text.contains("${") {
        return text.to_owned();
    }
    let mut filled = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Plain(plain) => {
                // Cases come first: what they leave is looked at once more, and must still be escaped then.
                if group == Group::Case && BEGINNINGS.iter().any(|(beginning, _)| plain.starts_with(beginning)) {
                    filled.push('$');
                }
                filled.push_str(plain);
            }
            Piece::Word(of, name, range) => match Some(name).filter(|_| of == group).and_then(&value) {
                Some(value) => filled.push_str(&value),
                None => filled.push_str(&text[range]),
            },
            Piece::Malformed(whole, _) => filled.push_str(whole),
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_and_nothing_else() {
        for (text, expected) in [
            ("", ""),
            ("a", "a"),
            ("${case.x}", "<case x>"),
            ("a ${kept.a-b_1} b", "a |<kept a-b_1>| b"),
            ("${case.a}${kept.b}", "<case a>|<kept b>"),
            ("${request.path} $ {x} ${", "${request.path} $ {x} ${"),
            ("a$${case.x}b", "a|${case.x}b"),
            ("$${kept.x}${kept.x}", "${kept.x}|<kept x>"),
            ("${case.}", "!${case.}!"),
            ("${case.a b}", "!${case.a b}!"),
            ("x ${kept.a", "x |!${kept.a!"),
            ("${cases.a} ${keep.b}", "!${cases.a}!| |!${keep.b}!"),
        ] {
            let shown: Vec<String> = pieces(text)
                .into_iter()
                .map(|piece| match piece {
                    Piece::Plain(plain) => plain.to_owned(),
                    Piece::Word(group, name, range) => {
                        assert!(text[range].starts_with("${") && !name.is_empty());
                        format!("<{} {name}>", if group == Group::Case { "case" } else { "kept" })
                    }
                    Piece::Malformed(whole, _) => format!("!{whole}!"),
                })
                .collect();
            assert_eq!(shown.join("|"), expected, "{text}");
        }
    }

    #[test]
    fn one_group_is_filled_after_the_other() {
        let text = "${case.a} ${kept.a} $${case.a} $${kept.a} $${x}";
        let first = filled(text, Group::Case, |name| Some(format!("[{name}]")));
        assert_eq!(first, "[a] ${kept.a} $${case.a} $${kept.a} $${x}");
        assert_eq!(filled(&first, Group::Kept, |_| Some("K".into())), "[a] K ${case.a} ${kept.a} $${x}");
    }
}
