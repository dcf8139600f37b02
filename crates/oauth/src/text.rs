//! Reading text that becomes something else, without a copy of it between: records are read with every request.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{Error, Visitor};

/// What `make` makes of the text, or why it cannot be.
pub(crate) fn deserialize<'de, D, T, F>(deserializer: D, make: F) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    F: FnOnce(&str) -> Result<T, &'static str>,
{
    deserializer.deserialize_str(Text(make, PhantomData))
}

struct Text<T, F>(F, PhantomData<T>);

impl<T, F: FnOnce(&str) -> Result<T, &'static str>> Visitor<'_> for Text<T, F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use crate::{ClientId, Scopes};

    #[test]
    fn text_is_read_with_escapes_and_without_and_nothing_else_is() {
        for (json, id) in [(r#""a""#, "a"), (r#""\u0061\n""#, "a\n"), (r#""""#, "")] {
            let read: ClientId = serde_json::from_str(json).expect(json);
            assert_eq!(read.as_str(), id);
            assert_eq!(serde_json::from_slice::<ClientId>(json.as_bytes()).expect(json), read);
            assert_eq!(serde_json::from_value::<ClientId>(id.into()).expect(json), read);
        }
        assert_eq!(serde_json::from_str::<Scopes>(r#""a b a""#).expect("scopes").to_string(), "a b");
        for json in ["1", "null", r#"["a"]"#] {
            assert!(serde_json::from_str::<ClientId>(json).is_err(), "{json}");
        }
        let refused = serde_json::from_str::<Scopes>(r#""a\\b""#).expect_err("a backslash");
        assert!(refused.to_string().starts_with("a scope has a character that is not allowed"), "{refused}");
    }
}
