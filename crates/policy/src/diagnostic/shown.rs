//! Words of a file inside a message: they may be a megabyte long, move a terminal's cursor, or turn the reading direction.

/// A longer message is cut.
const LONGEST: usize = 2_000;

/// The text as it may be shown: cut where it is very long, and what no person can see written out. Line breaks stay.
pub(super) fn readable(text: String) -> String {
    if text.len() <= LONGEST && !text.contains(unreadable) {
        return text;
    }
    let end = text.floor_char_boundary(LONGEST);
    let mut readable = String::with_capacity(end + 3);
    for c in text[..end].chars() {
        match unreadable(c) {
            true => readable.extend(c.escape_unicode()),
            false => readable.push(c),
        }
    }
    if end < text.len() {
        readable.push_str("...");
    }
    readable
}

/// Control characters, and those that change the direction of what follows.
fn unreadable(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_can_see_is_written_out() {
        assert_eq!(readable("a\u{1b}[31m\nb\u{202e}ü".into()), "a\\u{1b}[31m\nb\\u{202e}ü");
        assert_eq!(readable("ü".repeat(3_000)), format!("{}...", "ü".repeat(1_000)));
        assert_eq!(readable("plain".into()), "plain");
    }
}
