//! Path patterns: `/orders/{id}`, `/files/{*rest}`, `/a/**`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

/// So many segments may a pattern have: whoever walks the tree of routes may recurse.
const MOST_SEGMENTS: usize = 256;

/// A parsed path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) segments: Vec<Segment>,
    pub(crate) tail: Tail,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// This text, decoded.
    Literal(String),
    /// Any one segment that is not empty.
    Name(Arc<str>),
}

/// How a pattern ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// With its last segment.
    None,
    /// `{*rest}`: one character or more.
    Rest(Arc<str>),
    /// `/**`: this path and all below.
    All,
}

impl Pattern {
    /// Parses a pattern; the error says what is wrong and what would be right.
    pub(crate) fn parse(text: &str) -> Result<Pattern, (String, String)> {
        let Some(path) = text.strip_prefix('/') else {
            return Err((format!("the path `{text}` does not begin with `/`"), instead_of(text)));
        };
        if let Some(bad) = text.chars().find(|c| "?# \t".contains(*c) || c.is_control()) {
            let help = "a path has no query and no spaces; the long form has `query = { name = \"value\" }`";
            return Err((format!("the path `{text}` contains `{}`", bad.escape_default()), help.into()));
        }
        if path.split('/').nth(MOST_SEGMENTS).is_some() {
            let message = format!("the path has more than {MOST_SEGMENTS} segments");
            return Err((message, "`/**` takes all paths below one, `{*rest}` what follows".into()));
        }
        let mut pattern = Pattern { segments: Vec::new(), tail: Tail::None };
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            match pattern.parse_segment(part, parts.peek().is_none())? {
                Some(tail) => pattern.tail = tail,
                None if part.is_empty() && parts.peek().is_some() => {
                    return Err((
                        format!("the path `{text}` has an empty segment"),
                        "requests never have `//` in the middle".into(),
                    ));
                }
                None => {}
            }
        }
        pattern.check_names()?;
        Ok(pattern)
    }

    fn parse_segment(&mut self, part: &str, last: bool) -> Result<Option<Tail>, (String, String)> {
        if part == "**" || part.starts_with("{*") {
            if !last {
                return Err((
                    format!("`{part}` stands before the end of the path"),
                    "it takes all that follows: it is the last segment".into(),
                ));
            }
            return match part {
                "**" => Ok(Some(Tail::All)),
                _ => Ok(Some(Tail::Rest(name(part, "{*")?))),
            };
        }
        let segment = if part.starts_with('{') {
            Segment::Name(name(part, "{")?)
        } else if part.contains(['{', '}', '*']) {
            let help = "`{name}` stands for a whole segment, `{*rest}` and `**` for all that follows";
            return Err((format!("the segment `{part}` mixes text and a name"), help.into()));
        } else if part == "." || part == ".." {
            return Err((format!("the path has a segment `{part}`"), "requests are normalised: none has it".into()));
        } else {
            Segment::Literal(
                decode(part)
                    .ok_or_else(|| {
                        (
                            format!("the segment `{part}` is no UTF-8 when decoded"),
                            String::from("write it in UTF-8, or encode that"),
                        )
                    })?
                    .into_owned(),
            )
        };
        self.segments.push(segment);
        Ok(None)
    }

    fn check_names(&self) -> Result<(), (String, String)> {
        let mut seen = BTreeSet::new();
        match self.names().find(|name| !seen.insert(name.to_string())) {
            Some(twice) => {
                Err((format!("the name `{twice}` stands in the path twice"), "give them different names".into()))
            }
            None => Ok(()),
        }
    }

    /// The names in it, in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let segments = self.segments.iter().filter_map(|segment| match segment {
            Segment::Name(name) => Some(name),
            Segment::Literal(_) => None,
        });
        segments.chain(match &self.tail {
            Tail::Rest(name) => Some(name),
            _ => None,
        })
    }
}

/// What to write in the place of a path that begins with something else: a URL, say, as a browser shows it.
fn instead_of(text: &str) -> String {
    let Some((_, rest)) = text.split_once("://") else { return format!("write `/{text}`") };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.split_once(':').map_or(host, |(name, _)| name);
    format!("a path has no scheme and no host, which has a key of its own: {{ path = \"/{path}\", host = \"{host}\" }}")
}

fn name(part: &str, open: &str) -> Result<Arc<str>, (String, String)> {
    let inner = part.strip_prefix(open).and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if inner.is_empty() || !inner.chars().all(letter) {
        return Err((
            format!("the segment `{part}` cannot be read"),
            "a name has letters, digits, `_` and `-`: `{order_id}`, `{*rest}`".into(),
        ));
    }
    Ok(Arc::from(inner))
}

/// Percent-decodes; `None` where that is no UTF-8. Borrows where nothing is encoded, which is nearly always.
pub(crate) fn decode(part: &str) -> Option<Cow<'_, str>> {
    if !part.as_bytes().contains(&b'%') {
        return Some(Cow::Borrowed(part));
    }
    percent_decode_str(part).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_cannot_be_are_refused() {
        for (text, word) in [
            ("orders", "does not begin"),
            ("/a//b", "empty segment"),
            ("/a/{x}.json", "cannot be read"),
            ("/a/x{y}", "mixes"),
            ("/a/{*rest}/b", "before the end"),
            ("/a/**/b", "before the end"),
            ("/a/{}", "cannot be read"),
            ("/{x}/{x}", "twice"),
            ("/a/../b", "`..`"),
            ("/a?b=c", "contains `?`"),
            (&"/a".repeat(257), "more than 256 segments"),
            ("/a/%ff", "UTF-8"),
        ] {
            let (message, _) = Pattern::parse(text).expect_err(text);
            assert!(message.contains(word), "{text}: {message}");
        }
    }

    #[test]
    fn the_help_for_what_is_no_path_can_be_written() {
        for (text, expected) in [
            ("orders", "write `/orders`"),
            ("http://x/a/{id}", "{ path = \"/a/{id}\", host = \"x\" }"),
            ("https://api.example.com:8443", "{ path = \"/\", host = \"api.example.com\" }"),
        ] {
            let (_, help) = Pattern::parse(text).expect_err(text);
            assert!(help.ends_with(expected), "{text}: {help}");
        }
    }

    #[test]
    fn a_literal_segment_is_compared_decoded() {
        assert_eq!(Pattern::parse("/caf%C3%A9").unwrap(), Pattern::parse("/café").unwrap());
    }
}
