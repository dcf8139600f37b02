//! Settings that may stand outside the files.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// The name of the newtype that the reader resolves.
pub(crate) const FROM_OUTSIDE: &str = "$portcullis::FromOutside";

/// Text that may come from outside: `"text"`, or `{ env = "NAME" }`, perhaps with `default = "text"`. For what differs
/// between environments and is no secret: secrets have a type of their own, without a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromOutside(pub String);

impl<'de> Deserialize<'de> for FromOutside {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Resolved;
        impl<'de> Visitor<'de> for Resolved {
            type Value = FromOutside;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"text, or { env = "NAME", default = "text" }"#)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<FromOutside, E> {
                Ok(FromOutside(text.to_owned()))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<FromOutside, D::Error> {
                String::deserialize(deserializer).map(FromOutside)
            }
        }
        deserializer.deserialize_newtype_struct(FROM_OUTSIDE, Resolved)
    }
}

impl JsonSchema for FromOutside {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("FromOutside")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Text, or the value of an environment variable.",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": {
                        "env": { "type": "string", "description": "The environment variable's name." },
                        "default": { "type": "string", "description": "The text where the variable is not set." },
                    },
                    "required": ["env"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}
