//! What may stand behind the keys of a test.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use crate::settings::Spanned;

/// A text that a case stands in for.
const CASE: &str = r"^\$\{case\.[A-Za-z0-9_-]+\}$";

/// A table whose names are the author's own, in the order of the file, with places.
#[derive(Clone, Debug)]
pub struct Named<T>(pub(in crate::testing) Vec<(Spanned<String>, Spanned<T>)>);

impl<T> Named<T> {
    /// The names and what stands behind each.
    pub fn into_entries(self) -> Vec<(Spanned<String>, Spanned<T>)> {
        self.0
    }

    /// The names and what stands behind each, to look at.
    pub fn entries(&self) -> &[(Spanned<String>, Spanned<T>)] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Named(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Named<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Named(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        Cow::Owned(format!("Named{}", T::schema_name()))
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() });
        json_schema!({ "anyOf": [table, { "type": "string", "pattern": CASE }] })
    }
}

/// What a visitor makes of text, and of a number that stands where text may.
macro_rules! written_like_text {
    ($value:ty, $of:expr) => {
        fn visit_str<E: Error>(self, text: &str) -> Result<$value, E> {
            Ok($of(text.to_owned()))
        }
        fn visit_i64<E: Error>(self, value: i64) -> Result<$value, E> {
            Ok($of(value.to_string()))
        }
        fn visit_f64<E: Error>(self, value: f64) -> Result<$value, E> {
            Ok($of(value.to_string()))
        }
    };
}

/// Text, or a number, true or false that is written like it: what a case has under a name need not be text for that.
#[derive(Clone, Debug)]
pub struct Scalar(pub(in crate::testing) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyScalar;
        impl Visitor<'_> for AnyScalar {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            written_like_text!(Scalar, Scalar);
            fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
        }
        deserializer.deserialize_any(AnyScalar)
    }
}

impl JsonSchema for Scalar {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("TestText")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// Text, or a number, true or false that is written like it; or a list of them, which repeats its name.
#[derive(Clone, Debug)]
pub struct Texts(pub(in crate::testing) Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or a list of texts")
            }
            written_like_text!(Texts, |text| Texts(vec![text]));
            fn visit_bool<E: Error>(self, value: bool) -> Result<Texts, E> {
                Ok(Texts(vec![value.to_string()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(Texts(more)) = seq.next_element()? {
                    texts.extend(more);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

impl JsonSchema for Texts {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("TestTexts")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = json_schema!({ "type": ["string", "number", "boolean"] });
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// A header that is expected: its text, or false where it is to be absent.
#[derive(Clone, Debug)]
pub struct ExpectedHeader(pub(in crate::testing) Option<String>);

impl<'de> Deserialize<'de> for ExpectedHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrFalse;
        impl Visitor<'_> for TextOrFalse {
            type Value = ExpectedHeader;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or false where the header is to be absent")
            }
            written_like_text!(ExpectedHeader, |text| ExpectedHeader(Some(text)));
            fn visit_bool<E: Error>(self, value: bool) -> Result<ExpectedHeader, E> {
                Ok(ExpectedHeader(value.then(|| value.to_string())))
            }
        }
        deserializer.deserialize_any(TextOrFalse)
    }
}

impl JsonSchema for ExpectedHeader {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("ExpectedHeader")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "The header's text; false where it is to be absent.", "anyOf": [{ "type": ["string", "number"] }, { "const": false }] })
    }
}

/// A value that is expected; `{ absent = true }` where there is to be none.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Expected(pub(in crate::testing) Json);

impl Expected {
    /// The value; `None` where there is to be none.
    pub(in crate::testing) fn value(&self) -> Option<&Json> {
        match &self.0 {
            Json::Object(entries) if entries.len() == 1 && entries.get("absent") == Some(&Json::Bool(true)) => None,
            value => Some(value),
        }
    }
}

impl JsonSchema for Expected {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("ExpectedValue")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "Any value; `{ absent = true }` where there is to be none." })
    }
}

/// The records that a store is to hold at the end.
#[derive(Clone, Debug)]
pub enum ExpectedRecords {
    /// So many.
    Count(u64),
    /// One for each of these, with these fields, and no others.
    Records(Vec<serde_json::Map<String, Json>>),
}

impl<'de> Deserialize<'de> for ExpectedRecords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountOrRecords;
        impl<'de> Visitor<'de> for CountOrRecords {
            type Value = ExpectedRecords;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("how many records there are, or a list of tables with some of their fields")
            }
            fn visit_i64<E: Error>(self, count: i64) -> Result<ExpectedRecords, E> {
                u64::try_from(count).map(ExpectedRecords::Count).map_err(|_| E::custom("a count, 0 or more"))
            }
            fn visit_u64<E: Error>(self, count: u64) -> Result<ExpectedRecords, E> {
                Ok(ExpectedRecords::Count(count))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ExpectedRecords, A::Error> {
                let mut records = Vec::new();
                while let Some(record) = seq.next_element()? {
                    records.push(record);
                }
                Ok(ExpectedRecords::Records(records))
            }
        }
        deserializer.deserialize_any(CountOrRecords)
    }
}

impl JsonSchema for ExpectedRecords {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("ExpectedRecords")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "How many records there are; or a list of tables, one a record, with some of its fields.",
            "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "array", "items": { "type": "object" } }],
        })
    }
}

/// A table that somebody else reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Elsewhere;

impl<'de> Deserialize<'de> for Elsewhere {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Elsewhere)
    }
}

impl JsonSchema for Elsewhere {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Given")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

/// A value that may come from a case: `"${case.NAME}"` alone keeps the type of what the case has, and stands wherever that may.
/// It is put in before the value is read; what is said here is said to editors.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub struct OrCase<T>(
    /// The value.
    pub T,
);

impl<T: JsonSchema> JsonSchema for OrCase<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        Cow::Owned(format!("{}OrCase", T::schema_name()))
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [generator.subschema_for::<T>(), { "type": "string", "pattern": CASE }] })
    }
}
