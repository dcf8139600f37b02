//! Values that know where they stand.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::diagnostic::Span;

/// The name under which the reader knows that a place is wanted; no other deserializer minds it.
pub(crate) const SPANNED: &str = "$portcullis::Spanned";

/// A value with the place it stands at in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// Where.
    pub span: Span,
    /// What.
    pub value: T,
}

impl<T> Spanned<T> {
    /// A value at a place.
    pub fn new(span: Span, value: T) -> Self {
        Spanned { span, value }
    }

    /// The same place, with what `f` makes of the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { span: self.span, value: f(self.value) }
    }
}

/// So that settings may have defaults: a value that stands nowhere.
impl<T> From<T> for Spanned<T> {
    fn from(value: T) -> Self {
        Spanned { span: Span::default(), value }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpannedVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for SpannedVisitor<T> {
            type Value = Spanned<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            // The reader: start, end, value.
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let missing = || A::Error::custom("a place without its value");
                let start = seq.next_element()?.ok_or_else(missing)?;
                let end = seq.next_element()?.ok_or_else(missing)?;
                let value = seq.next_element()?.ok_or_else(missing)?;
                Ok(Spanned { span: Span { start, end }, value })
            }
            // Any other deserializer.
            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                T::deserialize(deserializer).map(Spanned::from)
            }
        }
        deserializer.deserialize_newtype_struct(SPANNED, SpannedVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A value of a file, of any type, with places: what a [`Dynamic`](crate::Dynamic) is compiled from.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Text, perhaps with selectors in it.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A list.
    List(Vec<Spanned<Literal>>),
    /// A table: name, the name's place, value.
    Table(Vec<(String, Span, Spanned<Literal>)>),
}

impl Literal {
    /// What it is, for messages: "text", "a table".
    pub fn describe(&self) -> &'static str {
        match self {
            Literal::Text(_) => "text",
            Literal::Int(_) => "a whole number",
            Literal::Float(_) => "a number with a fraction",
            Literal::Bool(_) => "true or false",
            Literal::List(_) => "a list",
            Literal::Table(_) => "a table",
        }
    }
}

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LiteralVisitor;
        impl<'de> Visitor<'de> for LiteralVisitor {
            type Value = Literal;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number, true or false, a list or a table")
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<Literal, E> {
                Ok(Literal::Bool(value))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Literal, E> {
                Ok(Literal::Int(value))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Literal, E> {
                i64::try_from(value).map(Literal::Int).map_err(|_| E::custom("the number is too large"))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Literal, E> {
                Ok(Literal::Float(value))
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Literal, E> {
                Ok(Literal::Text(value.to_owned()))
            }
            fn visit_string<E: Error>(self, value: String) -> Result<Literal, E> {
                Ok(Literal::Text(value))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Literal, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Literal::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Literal, A::Error> {
                let mut entries = Vec::new();
                while let Some((name, value)) = map.next_entry::<Spanned<String>, Spanned<Literal>>()? {
                    entries.push((name.value, name.span, value));
                }
                Ok(Literal::Table(entries))
            }
        }
        deserializer.deserialize_any(LiteralVisitor)
    }
}

impl JsonSchema for Literal {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Literal")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Text, a number, true or false, a list or a table; text in it may have selectors (`${...}`).",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_places_under_another_deserializer() {
        let read: Spanned<Literal> = serde_json::from_str(r#"{"a": [1, "x", true, 1.5]}"#).unwrap();
        let Literal::Table(entries) = read.value else { panic!("a table") };
        let (name, _, list) = &entries[0];
        let Literal::List(items) = &list.value else { panic!("a list") };
        let items: Vec<_> = items.iter().map(|i| i.value.clone()).collect();
        assert_eq!(name, "a");
        assert_eq!(items, [Literal::Int(1), Literal::Text("x".into()), Literal::Bool(true), Literal::Float(1.5)]);
    }
}
