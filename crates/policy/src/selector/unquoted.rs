//! Text of other grammars (CEL, JSONPath), looked at before their parsers see it.

/// The characters that stand outside of quotes, each with its place; the quotes are none of them. A `\` in quotes takes the next
/// character's meaning away. A quote that is not closed lasts to the end.
pub(super) fn unquoted(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut quote, mut escaped) = (None, false);
    text.char_indices().filter(move |(_, c)| {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if open == *c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(*c),
            (None, _) => return true,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::unquoted;

    #[test]
    fn what_stands_in_quotes_is_left_out() {
        for (text, left) in [
            ("", ""),
            ("a[0]", "a[0]"),
            ("a '(' b", "a  b"),
            ("\"it's\" x", " x"),
            ("'a\\'b' c", " c"),
            ("'\\\\' c", " c"),
            ("a\\'b' c", "a\\ c"),
            ("ü 'ä' \"", "ü  "),
        ] {
            assert_eq!(unquoted(text).map(|(_, c)| c).collect::<String>(), left, "{text}");
            assert!(unquoted(text).all(|(at, c)| text[at..].starts_with(c)), "{text}");
        }
    }
}
