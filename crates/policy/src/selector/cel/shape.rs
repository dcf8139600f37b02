//! The size and nesting of an expression, before any parser sees it.

use super::{DEEPEST, LONGEST, Range};
use crate::selector::unquoted::unquoted;

/// So many operators, dots and commas may an expression have: chains of them make the tree as deep as they are long.
const MOST_OPERATORS: usize = 512;

/// How deep it is nested. Refuses what would be too large or too deep for whoever walks it.
pub(super) fn check(text: &str) -> Result<usize, (Range, String)> {
    if text.len() > LONGEST {
        return Err((0..0, format!("this expression is longer than {LONGEST} characters")));
    }
    let (mut depth, mut deepest, mut operators) = (0usize, 0usize, 0usize);
    for (at, c) in unquoted(text) {
        match c {
            '(' | '[' | '{' => {
                depth += 1;
                operators += 1;
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '?' => {
                // `a ? b : c ? d : e` nests to the right.
                depth += 1;
                operators += 1;
            }
            _ if c.is_ascii_punctuation() && c != '_' => operators += 1,
            _ => {}
        }
        deepest = deepest.max(depth);
        if depth > DEEPEST {
            return Err((at..at + c.len_utf8(), String::from("this expression is nested too deeply")));
        }
        if operators > MOST_OPERATORS {
            return Err((at..at + c.len_utf8(), format!("this expression has more than {MOST_OPERATORS} operators")));
        }
    }
    Ok(deepest)
}
