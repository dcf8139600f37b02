//! A setting before it is compiled.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer};

use crate::diagnostic::Span;
use crate::settings::{Literal, Spanned};
use crate::value::{FromValue, Type};

/// A setting that may be a constant, a selector, text with selectors in it, or `{ cel = "..." }`; of type `T` once evaluated.
pub struct Dynamic<T> {
    pub(crate) literal: Spanned<Literal>,
    pub(crate) of: PhantomData<fn() -> T>,
}

impl<T> Dynamic<T> {
    /// From what stands in a file.
    pub fn new(literal: Spanned<Literal>) -> Self {
        Dynamic { literal, of: PhantomData }
    }

    /// From text, perhaps with selectors in it, that stands in no file: the default of a setting.
    pub fn text(text: &str) -> Self {
        Dynamic::new(Literal::Text(text.to_owned()).into())
    }

    /// Where it stands.
    pub fn span(&self) -> Span {
        self.literal.span
    }
}

impl<T> Clone for Dynamic<T> {
    fn clone(&self) -> Self {
        Dynamic::new(self.literal.clone())
    }
}

impl<T> fmt::Debug for Dynamic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.literal.value.fmt(f)
    }
}

impl<'de, T> Deserialize<'de> for Dynamic<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Dynamic::new)
    }
}

impl<T: FromValue> JsonSchema for Dynamic<T> {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed(match T::TYPE {
            Type::Any => "AnyOrSelector",
            Type::Bool => "BoolOrSelector",
            Type::Int => "IntOrSelector",
            Type::Float => "NumberOrSelector",
            Type::Text => "TextOrSelector",
            Type::List => "ListOrSelector",
            Type::Map => "TableOrSelector",
        })
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let constant = match T::TYPE {
            Type::Any => {
                return json_schema!({
                    "description": "A value; text in it may have selectors (`${...}`), and `{ cel = \"...\" }` is an expression.",
                });
            }
            Type::Bool => json_schema!({ "type": "boolean" }),
            Type::Int => json_schema!({ "type": "integer" }),
            Type::Float => json_schema!({ "type": "number" }),
            Type::Text => json_schema!({ "type": "string" }),
            Type::List => json_schema!({ "type": "array" }),
            Type::Map => json_schema!({ "type": "object" }),
        };
        json_schema!({
            "description": format!("{}, a selector (`${{...}}`), or `{{ cel = \"...\" }}`.", capital(&T::TYPE.to_string())),
            "anyOf": [
                constant,
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "cel": { "type": "string", "description": "A CEL expression." } },
                    "required": ["cel"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_of_a_setting_allows_what_may_stand_there() {
        #[derive(JsonSchema)]
        #[allow(dead_code)]
        struct Settings {
            /// How many.
            count: Dynamic<i64>,
            any: Option<Dynamic<crate::Value>>,
        }
        let schema = schemars::schema_for!(Settings).to_value();
        let count = &schema["$defs"]["IntOrSelector"];
        let types: Vec<_> = count["anyOf"].as_array().unwrap().iter().map(|of| of["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["integer", "string", "object"]);
        assert_eq!(count["description"], "A whole number, a selector (`${...}`), or `{ cel = \"...\" }`.");
        assert_eq!(schema["properties"]["count"]["description"], "How many.");
        assert_eq!(schema["required"], serde_json::json!(["count"]));
    }
}
