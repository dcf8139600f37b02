//! The grammar of texts with selectors.
//!
//! ```text
//! text     = { plain | "$${" | selector }
//! selector = "${" path [ "??" default ] "}"
//! path     = name { "." name | "[" quoted "]" | "[" number "]" | "[" key "]" } [ ":" JSONPath ]
//! key      = a path without keys and JSONPath; after `kps.NAME` only
//! default  = text, without the spaces around it, up to "}"; nothing at all = absent
//! ```

use std::ops::Range;

use super::unquoted::unquoted;

/// A selector is no longer than this, its default not counted.
const LONGEST: usize = 1024;

/// So deep may defaults be nested.
const DEEPEST: usize = 8;

/// A text taken apart.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Template {
    pub(crate) pieces: Vec<Piece>,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    Selector(Selector),
}

/// `${path ?? default}`.
#[derive(Debug, PartialEq)]
pub(crate) struct Selector {
    pub(crate) path: Path,
    pub(crate) default: Option<Template>,
}

/// `request.header["x"]`, `request.json:$.a`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path {
    pub(crate) root: Word,
    pub(crate) steps: Vec<Step>,
    pub(crate) json: Option<Word>,
    /// All of it.
    pub(crate) range: Range<usize>,
}

/// A word, and where it stands in the text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) range: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Name(Word),
    Index(usize, Range<usize>),
    /// A name that gives the key, as it stands in the text.
    Key(Word),
}

/// What is wrong, and where in the text.
#[derive(Debug, PartialEq)]
pub(crate) struct Malformed {
    pub(crate) range: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: &'static str,
}

/// Takes a text apart.
pub(crate) fn parse(text: &str) -> Result<Template, Malformed> {
    Parser { text, at: 0 }.template(0)
}

/// Whether a name may stand without quotes.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_name_byte)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    /// An error at the next character.
    fn unexpected(&self, expected: &str, help: &'static str) -> Malformed {
        let next = self.rest().chars().next();
        let found = match next {
            Some(c) => format!("`{}`", c.escape_debug()),
            None => String::from("the end of the text"),
        };
        let range = self.at..self.at + next.map_or(0, char::len_utf8);
        Malformed { range, message: format!("expected {expected}, found {found}"), help }
    }

    /// Text up to the end, or, inside of a default, to its `}`.
    fn template(&mut self, depth: usize) -> Result<Template, Malformed> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        loop {
            let rest = self.rest();
            let stop = match depth {
                0 => rest.find('$'),
                _ => rest.find(['$', '}']),
            };
            let stop = stop.unwrap_or(rest.len());
            plain.push_str(&rest[..stop]);
            self.at += stop;
            if self.take("$${") {
                plain.push_str("${");
            } else if self.rest().starts_with("${") {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Selector(self.selector(depth)?));
            } else if self.take("$") {
                plain.push('$');
            } else {
                break;
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Template { pieces })
    }

    fn selector(&mut self, depth: usize) -> Result<Selector, Malformed> {
        let start = self.at;
        if depth >= DEEPEST {
            let message = String::from("defaults are nested too deeply here");
            return Err(Malformed {
                range: start..start + 2,
                message,
                help: "use a `switch`, or `set` a value before",
            });
        }
        self.at += "${".len();
        self.spaces();
        let path = self.path(false)?;
        self.spaces();
        let default = if self.take("??") { Some(self.default(depth)?) } else { None };
        if !self.take("}") {
            let help =
                "a selector ends with `}`; names with other characters stand in quotes: `request.header[\"x y\"]`";
            return Err(match self.rest() {
                "" => Malformed {
                    range: start..self.at,
                    message: String::from("this selector has no end"),
                    help: "a selector ends with `}`; a plain `${` is written `$${`",
                },
                _ => self.unexpected("`}` or `??`", help),
            });
        }
        Ok(Selector { path, default })
    }

    fn default(&mut self, depth: usize) -> Result<Template, Malformed> {
        self.spaces();
        let mut template = self.template(depth + 1)?;
        if let Some(Piece::Text(last)) = template.pieces.last_mut() {
            last.truncate(last.trim_end_matches([' ', '\t', '\r', '\n']).len());
            if last.is_empty() {
                template.pieces.pop();
            }
        }
        Ok(template)
    }

    /// A path; one that gives a key has no keys itself, so that look-ups are not nested.
    fn path(&mut self, is_key: bool) -> Result<Path, Malformed> {
        let start = self.at;
        let root = self.name("a name, such as `request` or `vars`", "a plain `${` is written `$${`")?;
        let mut steps = Vec::new();
        let mut json = None;
        loop {
            if self.at - start > LONGEST {
                break;
            } else if self.take(".") {
                steps.push(Step::Name(self.name(
                    "a name after the dot",
                    "names with other characters stand in brackets and quotes: `header[\"x y\"]`",
                )?));
            } else if self.take("[") {
                steps.push(self.bracket(is_key)?);
            } else if !is_key && self.take(":") {
                json = Some(self.json_path()?);
                break;
            } else {
                break;
            }
        }
        if self.at - start > LONGEST {
            let message = format!("this selector is longer than {LONGEST} characters");
            return Err(Malformed { range: start..start + root.text.len(), message, help: "" });
        }
        Ok(Path { root, steps, json, range: start..self.at })
    }

    fn name(&mut self, expected: &str, help: &'static str) -> Result<Word, Malformed> {
        let start = self.at;
        let length = self.rest().bytes().take_while(|b| is_name_byte(*b)).count();
        if length == 0 {
            return Err(self.unexpected(expected, help));
        }
        self.at += length;
        Ok(Word { text: self.text[start..self.at].to_owned(), range: start..self.at })
    }

    /// After `[`: a quoted name, a number or a key, and `]`.
    fn bracket(&mut self, is_key: bool) -> Result<Step, Malformed> {
        const EXPECTED: &str = "a name in quotes, or a number";
        let start = self.at;
        let step = match self.rest().chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let inner = &self.rest()[1..];
                let Some(length) = inner.find(quote) else {
                    let message = String::from("this name has no closing quote");
                    return Err(Malformed { range: start..start + 1, message, help: "" });
                };
                self.at += length + 2;
                Step::Name(Word { text: inner[..length].to_owned(), range: start + 1..start + 1 + length })
            }
            Some('0'..='9') => {
                let length = self.rest().bytes().take_while(u8::is_ascii_digit).count();
                let number = self.rest()[..length].parse::<u32>();
                let Ok(number) = number else { return Err(self.unexpected(EXPECTED, "the number is too large")) };
                self.at += length;
                Step::Index(number as usize, start..self.at)
            }
            Some(next) if !is_key && next.is_ascii_alphabetic() => {
                let path = self.path(true)?;
                Step::Key(Word { text: self.text[path.range.clone()].to_owned(), range: path.range })
            }
            _ => return Err(self.unexpected(EXPECTED, "for example `request.header[\"x-api-key\"]`, `vars.list[0]`")),
        };
        if self.take("]") { Ok(step) } else { Err(self.unexpected("`]`", "")) }
    }

    /// After `:`, up to `??` or `}` outside of quotes and brackets.
    fn json_path(&mut self) -> Result<Word, Malformed> {
        let start = self.at;
        let mut depth = 0usize;
        for (at, c) in unquoted(self.rest()) {
            match c {
                '[' | '(' => depth += 1,
                ']' | ')' => depth = depth.saturating_sub(1),
                '}' => return self.json_word(start, start + at),
                '?' if depth == 0 && self.text[start + at..].starts_with("??") => {
                    return self.json_word(start, start + at);
                }
                _ => {}
            }
        }
        self.at = self.text.len();
        let message = String::from("this JSONPath has no end");
        Err(Malformed { range: start..self.text.len(), message, help: "a selector ends with `}`" })
    }

    fn json_word(&mut self, start: usize, end: usize) -> Result<Word, Malformed> {
        let text = self.text[start..end].trim_end();
        self.at = end;
        let range = start..start + text.len();
        if text.len() > LONGEST {
            let message = format!("this JSONPath is longer than {LONGEST} characters");
            return Err(Malformed { range, message, help: "" });
        }
        Ok(Word { text: text.to_owned(), range })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A template as it would be written in full, to compare with.
    fn shown(template: &Template) -> String {
        template
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => format!("<{text}>"),
                Piece::Selector(selector) => {
                    let path = &selector.path;
                    let steps: String = path
                        .steps
                        .iter()
                        .map(|step| match step {
                            Step::Name(word) => format!("/{}", word.text),
                            Step::Index(number, _) => format!("#{number}"),
                            Step::Key(word) => format!("@{}", word.text),
                        })
                        .collect();
                    let json = path.json.as_ref().map(|j| format!(" json {}", j.text)).unwrap_or_default();
                    let default = selector.default.as_ref().map(|d| format!(" else {}", shown(d))).unwrap_or_default();
                    format!("({}{steps}{json}{default})", path.root.text)
                }
            })
            .collect()
    }

    #[test]
    fn texts() {
        for (text, expected) in [
            ("", ""),
            ("plain", "<plain>"),
            ("a$b {c} $", "<a$b {c} $>"),
            ("$${x}", "<${x}>"),
            ("$$${x}", "<$${x}>"),
            ("${now}", "(now)"),
            ("${ request.method }", "(request/method)"),
            ("a${request.header.X-Api-Key}b", "<a>(request/header/X-Api-Key)<b>"),
            ("${request.header[\"x y\"]}", "(request/header/x y)"),
            ("${vars['a}b'][0].c}", "(vars/a}b#0/c)"),
            ("${a.b}${c.d}", "(a/b)(c/d)"),
            ("${kps.a[b.c].d ?? e}", "(kps/a@b.c/d else <e>)"),
            ("${kps.a[b.c[\"d e\"][0]]}", "(kps/a@b.c[\"d e\"][0])"),
            ("${x ??}", "(x else )"),
            ("${x?? }", "(x else )"),
            ("${x ?? text here }", "(x else <text here>)"),
            ("${x ?? ${y}}", "(x else (y))"),
            ("${x ?? ${y ?? ${z ??}}}!", "(x else (y else (z else )))<!>"),
            ("${x ?? a ${y} b}", "(x else <a >(y)< b>)"),
            ("${x ?? $${y}", "(x else <${y>)"),
            ("${request.json:$.a.b}", "(request/json json $.a.b)"),
            (
                "${request.json:$.a[?(@.b == '}' || @.c == \"??\")] ?? d}",
                "(request/json json $.a[?(@.b == '}' || @.c == \"??\")] else <d>)",
            ),
            ("${request.json:$['a\\'}b']}", "(request/json json $['a\\'}b'])"),
            ("${a:$..*}", "(a json $..*)"),
        ] {
            assert_eq!(shown(&parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"))), expected, "{text}");
        }
    }

    #[test]
    fn malformed_texts() {
        for (text, range, message) in [
            ("${", 2..2, "expected a name, such as `request` or `vars`, found the end of the text"),
            ("${}", 2..3, "expected a name, such as `request` or `vars`, found `}`"),
            ("ab${ü}", 4..6, "expected a name, such as `request` or `vars`, found `ü`"),
            ("${a", 0..3, "this selector has no end"),
            ("${a.}", 4..5, "expected a name after the dot, found `}`"),
            ("${a b}", 4..5, "expected `}` or `??`, found `b`"),
            ("${a ? b}", 4..5, "expected `}` or `??`, found `?`"),
            ("${a[}", 4..5, "expected a name in quotes, or a number, found `}`"),
            ("${a[\"b]}", 4..5, "this name has no closing quote"),
            ("${a[\"b\"}", 7..8, "expected `]`, found `}`"),
            ("${a[b", 5..5, "expected `]`, found the end of the text"),
            ("${a[b[c]]}", 6..7, "expected a name in quotes, or a number, found `c`"),
            ("${a[b:$.c]}", 5..6, "expected `]`, found `:`"),
            ("${a[99999999999]}", 4..5, "expected a name in quotes, or a number, found `9`"),
            ("${a:$.b", 4..7, "this JSONPath has no end"),
            ("${a ?? b", 0..8, "this selector has no end"),
            ("${a ?? ${b}", 0..11, "this selector has no end"),
        ] {
            let malformed = parse(text).expect_err(text);
            assert_eq!((malformed.range, malformed.message.as_str()), (range, message), "{text}");
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let long = "a.".repeat(1 << 19);
        for (text, message) in [
            (format!("${{{long}a}}"), "this selector is longer than 1024 characters"),
            (format!("${{a[\"{long}\"]}}"), "this selector is longer than 1024 characters"),
            (format!("${{a:$.{long}a}}"), "this JSONPath is longer than 1024 characters"),
            ("${a ?? ".repeat(100_000), "defaults are nested too deeply here"),
            ("${".repeat(1 << 19), "expected a name, such as `request` or `vars`, found `$`"),
        ] {
            assert_eq!(parse(&text).unwrap_err().message, message);
        }
        assert!(parse(&"$".repeat(1 << 20)).is_ok());
        assert!(parse(&"${a}".repeat(1 << 16)).is_ok());
    }
}
