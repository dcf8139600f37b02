//! Words of HTTP in settings: methods, header names, statuses.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// An HTTP method, in capitals: `GET`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Method(pub http::Method);

/// By name, so that it may be the key of a map.
impl Ord for Method {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}
impl PartialOrd for Method {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The name of an HTTP header; case does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderName(pub http::HeaderName);

/// The status of an answer, from 200 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusCode(pub http::StatusCode);

impl Method {
    /// Reads a method. Small letters are refused: methods are case-sensitive, and a `get` would match no request.
    pub fn parse(text: &str) -> Option<Method> {
        let capitals =
            !text.is_empty() && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        if !capitals {
            return None;
        }
        http::Method::from_bytes(text.as_bytes()).ok().map(Method)
    }
}

struct Word<T>(&'static str, fn(&str) -> Option<T>);

impl<T> Visitor<'_> for Word<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.1)(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Word(r#"an HTTP method in capitals, such as "GET""#, Method::parse))
    }
}

impl<'de> Deserialize<'de> for HeaderName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Word("the name of a header", |text| {
            http::HeaderName::from_bytes(text.as_bytes()).ok().map(HeaderName)
        }))
    }
}

impl<'de> Deserialize<'de> for StatusCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Status;
        impl Visitor<'_> for Status {
            type Value = StatusCode;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status from 200 to 599")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<StatusCode, E> {
                status(number).ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<StatusCode, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }
        deserializer.deserialize_i64(Status)
    }
}

/// The status with this number, where an answer may have it.
pub(crate) fn status(number: i64) -> Option<StatusCode> {
    let number = u16::try_from(number).ok().filter(|n| (200..600).contains(n))?;
    http::StatusCode::from_u16(number).ok().map(StatusCode)
}

macro_rules! schema {
    ($name:ident, $schema:tt) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

schema!(Method, {
    "description": "An HTTP method, in capitals.",
    "type": "string",
    "pattern": "^[A-Z-]+$",
    "examples": ["GET", "POST"],
});
schema!(HeaderName, {
    "description": "The name of an HTTP header; case does not matter.",
    "type": "string",
    "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
});
schema!(StatusCode, {
    "description": "The status of an answer.",
    "type": "integer",
    "minimum": 200,
    "maximum": 599,
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let method = |text: &str| serde_json::from_value::<Method>(text.into()).is_ok();
        for (text, expected) in
            [("GET", true), ("PURGE", true), ("M-SEARCH", true), ("get", false), ("", false), ("A B", false)]
        {
            assert_eq!(method(text), expected, "{text}");
        }
        let header = |text: &str| serde_json::from_value::<HeaderName>(text.into()).is_ok();
        for (text, expected) in
            [("X-Api-Key", true), ("x_y", true), ("a b", false), ("ü", false), ("", false), ("a:", false)]
        {
            assert_eq!(header(text), expected, "{text}");
        }
        let status = |number: i64| serde_json::from_value::<StatusCode>(number.into()).is_ok();
        for (number, expected) in
            [(200, true), (599, true), (100, false), (199, false), (600, false), (-1, false), (65_736, false)]
        {
            assert_eq!(status(number), expected, "{number}");
        }
    }
}
