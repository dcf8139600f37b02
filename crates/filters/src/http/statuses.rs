//! Statuses of an answer as settings name them: `404`, or all of a class: `"2xx"`.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// One status, or a class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statuses {
    One(u16),
    /// The hundreds.
    Class(u16),
}

impl Statuses {
    pub(crate) fn has(self, status: StatusCode) -> bool {
        match self {
            Statuses::One(one) => status.as_u16() == one,
            Statuses::Class(class) => status.as_u16() / 100 == class,
        }
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = Statuses;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"a status from 200 to 599, or a class of them such as "2xx""#)
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Statuses, E> {
                let status = u16::try_from(number).ok().filter(|status| (200..=599).contains(status));
                status.map(Statuses::One).ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Statuses, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Statuses, E> {
                match text {
                    "2xx" => Ok(Statuses::Class(2)),
                    "3xx" => Ok(Statuses::Class(3)),
                    "4xx" => Ok(Statuses::Class(4)),
                    "5xx" => Ok(Statuses::Class(5)),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Word)
    }
}

impl JsonSchema for Statuses {
    fn schema_name() -> Cow<'static, str> {
        "Statuses".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 200, "maximum": 599 },
            { "enum": ["2xx", "3xx", "4xx", "5xx"] },
        ] })
    }
}
