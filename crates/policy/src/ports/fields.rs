//! What a gateway says about a request that it passes on.

use std::fmt;
use std::ops::Range;

use http::{HeaderName, HeaderValue};

/// Header fields, written one behind the other as HTTP/1.1 has them. They are the gateway's own words, so a connection that
/// speaks HTTP/1.1 need not make values of them and put these into a map, which is a good part of what a proxied request costs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(String);

impl Fields {
    /// With room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Fields(String::with_capacity(bytes))
    }

    /// One more, with the value that is written here, and where in the text it stands. What is no value of a field (RFC 9110, section 5.5) is left
    /// out, the field with it, and stands nowhere.
    pub fn put(&mut self, name: &HeaderName, write: impl FnOnce(&mut String)) -> Range<usize> {
        let Fields(text) = self;
        let start = text.len();
        for piece in ["\r\n", name.as_str(), ": "] {
            text.push_str(piece);
        }
        let value = text.len();
        write(text);
        if !text.as_bytes().get(value..).is_some_and(is_value) {
            text.truncate(start);
        }
        value.min(text.len())..text.len()
    }

    /// As they stand behind the line of a request: each with a line's end before it, and none behind the last.
    pub fn as_lines(&self) -> &str {
        &self.0
    }

    /// Each by itself.
    pub fn iter(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.0.split("\r\n").filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
        })
    }
}

/// All of it is looked at, whatever is found on the way: so the processor does many bytes at once.
fn is_value(bytes: &[u8]) -> bool {
    let is_bad = |byte: u8| (byte < b' ' && byte != b'\t') | (byte == 0x7f);
    !bytes.iter().fold(false, |bad, byte| bad | is_bad(*byte))
}

/// Their names alone: a value may be a person's address.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn put(fields: &mut Fields, name: &HeaderName, value: &str) {
        let at = fields.put(name, |to| to.push_str(value));
        assert!(at.is_empty() || fields.as_lines().get(at) == Some(value));
    }

    #[test]
    fn they_stand_in_their_order() {
        let mut fields = Fields::with_capacity(8);
        assert_eq!((fields.as_lines(), fields.iter().count()), ("", 0));
        put(&mut fields, &header::VIA, "1.1 portcullis");
        put(&mut fields, &header::FORWARDED, "for=\"[::1]\"; a: b");
        put(&mut fields, &header::VIA, "");
        assert_eq!(fields.as_lines(), "\r\nvia: 1.1 portcullis\r\nforwarded: for=\"[::1]\"; a: b\r\nvia: ");
        let each: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        assert_eq!(each, ["via=\"1.1 portcullis\"", "forwarded=\"for=\\\"[::1]\\\"; a: b\"", "via=\"\""]);
        assert_eq!(format!("{fields:?}"), "[\"via\", \"forwarded\", \"via\"]");
    }

    #[test]
    fn what_is_no_value_is_left_out_with_its_field() {
        let mut fields = Fields::default();
        put(&mut fields, &header::VIA, "a");
        for wrong in ["a\r\nx: y", "a\nb", "\0", "a\u{7f}", "\r"] {
            put(&mut fields, &header::FORWARDED, wrong);
        }
        put(&mut fields, &header::VIA, "\tb \u{e4}");
        assert_eq!(fields.as_lines(), "\r\nvia: a\r\nvia: \tb \u{e4}");
        assert_eq!(fields.iter().count(), 2);
    }
}
