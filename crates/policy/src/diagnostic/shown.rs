//! Words of a file, or of whoever wrote to us, inside a message: they may be a megabyte long, move a terminal's cursor, or turn the
//! reading direction.

use std::borrow::Cow;

/// A longer message is cut.
const LONGEST: usize = 2_000;

/// The text as it may be shown: what no person can see is written out (`\u{202e}`). Line breaks stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        match is_invisible(c) {
            true => visible.extend(c.escape_default()),
            false => visible.push(c),
        }
    }
    Cow::Owned(visible)
}

/// [`visible`], and cut where it is very long.
pub(super) fn readable(text: &str) -> String {
    let end = text.floor_char_boundary(LONGEST);
    let mut readable = visible(&text[..end]).into_owned();
    if end < text.len() {
        readable.push_str("...");
    }
    readable
}

/// Control characters, those that change the direction of what follows, those without a width, and those of private use, which
/// each font shows otherwise. The joiners that scripts and emoji need are none of them. A line break is a line's end.
pub fn is_invisible(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{e000}'..='\u{f8ff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_can_see_is_written_out() {
        assert_eq!(readable("a\u{1b}[31m\nb\u{202e}ü"), "a\\u{1b}[31m\nb\\u{202e}ü");
        assert_eq!(readable(&"ü".repeat(3_000)), format!("{}...", "ü".repeat(1_000)));
        assert_eq!(visible("a\tb\u{9b}\u{200b}\u{e000}"), "a\\tb\\u{9b}\\u{200b}\\u{e000}");
        for text in ["plain", "Größe", "注文", "طلبات", "می\u{200c}خواهم", "👩\u{200d}🚀", "e\u{301}"]
        {
            assert_eq!(visible(text), text);
        }
    }
}
