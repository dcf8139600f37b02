//! What is wrong with a value, in plain words.

use std::fmt;

use serde::de::{Expected, Unexpected};

use super::Cx;
use crate::diagnostic::{Diagnostics, Problem, Span, codes};
use crate::reader::{Node, did_you_mean};

/// So much of a text is shown in a message.
const SHOWN: usize = 40;

/// An error on its way up, until somebody knows its place.
#[derive(Debug)]
pub(super) struct Fault {
    what: Box<What>,
    place: Option<Span>,
    /// The innermost entry or item that it is in: what to pass over next time.
    pub(super) entry: Option<Span>,
}

#[derive(Debug)]
enum What {
    /// Expected, and found where that says more than the value's type.
    Wrong {
        expected: String,
        found: Option<String>,
    },
    UnknownKey {
        name: String,
        known: &'static [&'static str],
    },
    UnknownWord {
        word: String,
        known: &'static [&'static str],
    },
    Missing(&'static str),
    /// A key that is missing only because it was passed over: told already.
    Told,
    Problem(Problem),
    Many(Diagnostics),
}

impl Fault {
    fn of(what: What) -> Self {
        Fault { what: Box::new(what), place: None, entry: None }
    }

    pub(super) fn problem(problem: Problem) -> Self {
        Fault::of(What::Problem(problem))
    }

    pub(super) fn many(diagnostics: Diagnostics) -> Self {
        Fault::of(What::Many(diagnostics))
    }

    pub(super) fn wrong(expected: impl Into<String>) -> Self {
        Fault::of(What::Wrong { expected: expected.into(), found: None })
    }

    /// Says where it is, if nobody further in knew.
    pub(super) fn at(mut self, span: Span) -> Self {
        self.place.get_or_insert(span);
        self
    }

    /// The same for a value, whose type is what was found.
    pub(super) fn at_node(mut self, node: &Node) -> Self {
        if let What::Wrong { found: found @ None, .. } = &mut *self.what {
            *found = Some(node.describe().to_owned());
        }
        self.at(node.span)
    }

    /// Says in which entry or item it is, if nobody further in did.
    pub(super) fn within(mut self, entry: Span) -> Self {
        self.entry.get_or_insert(entry);
        self
    }

    /// A key is missing only because it was passed over.
    pub(super) fn unless_hidden(mut self, is_hidden: impl Fn(&str) -> bool) -> Self {
        if let What::Missing(name) = &*self.what
            && is_hidden(name)
        {
            *self.what = What::Told;
        }
        self
    }

    /// Becomes a diagnostic.
    pub(super) fn tell(self, cx: &Cx<'_>, whole: Span) {
        let place = cx.place(self.place.unwrap_or(whole));
        let problem = match *self.what {
            What::Told => return,
            What::Many(diagnostics) => return cx.found.borrow_mut().extend(diagnostics),
            What::Problem(problem) => problem,
            What::Wrong { expected, found: Some(found) } => {
                Problem::error(codes::BAD_VALUE, format!("expected {expected}, found {found}"))
            }
            What::Wrong { expected, found: None } => Problem::error(codes::BAD_VALUE, format!("expected {expected}")),
            What::UnknownKey { name, known } => unknown_key(&name, known),
            What::UnknownWord { word, known } => {
                let problem =
                    Problem::error(codes::BAD_VALUE, format!("`{}` is none of the words known here", shown(&word)));
                problem.with_help(suggestion(&word, known))
            }
            What::Missing(name) => Problem::error(codes::MISSING_KEY, format!("`{name}` is missing"))
                .with_help(format!("this table needs `{name} = ...`")),
        };
        cx.push(problem.at(place));
    }
}

/// A key that a table may not have.
pub(in crate::reader) fn unknown_key(name: &str, known: &[&str]) -> Problem {
    Problem::error(codes::UNKNOWN_KEY, format!("`{}` is not known here", shown(name)))
        .with_help(suggestion(name, known))
}

fn suggestion(word: &str, known: &[&str]) -> String {
    if let Some(near) = did_you_mean(word, known.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    match known {
        [] => String::from("nothing may stand here"),
        known => format!("known here: {}", list(known)),
    }
}

fn list(words: &[&str]) -> String {
    const MOST: usize = 24;
    let mut text = words.iter().take(MOST).map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
    if words.len() > MOST {
        text.push_str(" ...");
    }
    text
}

/// A text of the file, shortened and without line breaks.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

/// Serde's words for what it expects, in ours.
fn plain(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    let plain = match text.as_str() {
        "a string" | "a borrowed string" | "string" | "str" | "a character" => "text",
        "a boolean" | "bool" => "true or false",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a nonzero u8" => "a whole number from 1 to 255",
        "a nonzero u16" => "a whole number from 1 to 65535",
        "a nonzero u32" => "a whole number from 1 to 4294967295",
        "a nonzero u64" | "a nonzero usize" => "a whole number, 1 or more",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    plain.to_owned()
}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Fault::problem(Problem::error(codes::BAD_VALUE, message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Fault::wrong(plain(expected))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match unexpected {
            Unexpected::Str(text) => format!("\"{}\"", shown(text)),
            Unexpected::Bool(value) => value.to_string(),
            Unexpected::Signed(number) => number.to_string(),
            Unexpected::Unsigned(number) => number.to_string(),
            Unexpected::Float(number) => number.to_string(),
            other => other.to_string(),
        };
        Fault::of(What::Wrong { expected: plain(expected), found: Some(found) })
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let found = if length == 1 { String::from("one entry") } else { format!("{length} entries") };
        Fault::of(What::Wrong { expected: plain(expected), found: Some(found) })
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Fault::of(What::UnknownWord { word: word.to_owned(), known })
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Fault::of(What::UnknownKey { name: name.to_owned(), known })
    }

    fn missing_field(name: &'static str) -> Self {
        Fault::of(What::Missing(name))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.what)
    }
}

impl std::error::Error for Fault {}
