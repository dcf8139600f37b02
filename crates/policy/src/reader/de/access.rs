//! Tables, lists, places and variants for serde.

use std::slice;

use serde::de::value::{StrDeserializer, U64Deserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::Cx;
use super::fault::{Fault, unknown_key};
use super::node::{KeyDeserializer, NodeDeserializer};
use crate::diagnostic::Span;
use crate::reader::{Entry, Node, Table};

/// A table, without the keys that the caller has read already.
#[derive(Clone, Copy)]
pub(super) struct Entries<'a> {
    cx: &'a Cx<'a>,
    table: &'a Table,
    skip: &'a [&'a str],
}

impl<'a> Entries<'a> {
    pub(super) fn of(cx: &'a Cx<'a>, table: &'a Table, skip: &'a [&'a str]) -> Self {
        Entries { cx, table, skip }
    }

    fn shown(self) -> impl Iterator<Item = &'a Entry> {
        self.table.entries.iter().filter(move |e| !self.skip.contains(&e.name.as_str()))
    }

    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let walk = Walk { cx: self.cx, entries: self.table.entries.iter(), skip: self.skip, value: None };
        let is_hidden = |name: &str| self.table.entry(name).is_some_and(|e| self.cx.is_hidden(e.name_span));
        visitor.visit_map(walk).map_err(|fault| fault.unless_hidden(is_hidden).at(self.table.span))
    }
}

impl<'de> Deserializer<'de> for Entries<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit(visitor)
    }

    /// All unknown keys are told here, at once, and then passed over.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        // Whoever misspells a key that the caller reads is helped too.
        let known: Vec<&str> = fields.iter().chain(self.skip).copied().collect();
        for entry in self.shown().filter(|e| !fields.contains(&e.name.as_str())) {
            if self.cx.hide(entry.name_span) {
                self.cx.push(unknown_key(&entry.name, &known).at(self.cx.place(entry.name_span)));
            }
        }
        self.visit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map enum identifier
    }
}

struct Walk<'a> {
    cx: &'a Cx<'a>,
    entries: slice::Iter<'a, Entry>,
    skip: &'a [&'a str],
    value: Option<&'a Entry>,
}

impl<'de> MapAccess<'de> for Walk<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let (cx, skip) = (self.cx, self.skip);
        let next = self.entries.find(|e| !skip.contains(&e.name.as_str()) && !cx.is_hidden(e.name_span));
        let Some(entry) = next else { return Ok(None) };
        self.value = Some(entry);
        seed.deserialize(KeyDeserializer { name: &entry.name, span: entry.name_span })
            .map(Some)
            .map_err(|fault| fault.at(entry.name_span).within(entry.name_span))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let Some(entry) = self.value.take() else { return Err(Fault::wrong("a name before its value")) };
        seed.deserialize(NodeDeserializer { cx: self.cx, node: &entry.value })
            .map_err(|fault| fault.at_node(&entry.value).within(entry.name_span))
    }
}

/// A list.
pub(super) struct Items<'a> {
    pub(super) cx: &'a Cx<'a>,
    pub(super) items: slice::Iter<'a, Node>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let cx = self.cx;
        let Some(node) = self.items.find(|item| !cx.is_hidden(item.span)) else { return Ok(None) };
        seed.deserialize(NodeDeserializer { cx, node }).map(Some).map_err(|fault| fault.at_node(node).within(node.span))
    }
}

/// The three parts of a [`Spanned`](crate::settings::Spanned): start, end, value.
pub(super) struct Place<D> {
    span: Span,
    value: Option<D>,
    given: u8,
}

impl<D> Place<D> {
    pub(super) fn new(span: Span, value: D) -> Self {
        Place { span, value: Some(value), given: 0 }
    }
}

impl<'de, D: Deserializer<'de, Error = Fault>> SeqAccess<'de> for Place<D> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        self.given += 1;
        let number = |n: usize| -> U64Deserializer<Fault> { (n as u64).into_deserializer() };
        match (self.given, self.value.take()) {
            (1, value) => {
                self.value = value;
                seed.deserialize(number(self.span.start)).map(Some)
            }
            (2, value) => {
                self.value = value;
                seed.deserialize(number(self.span.end)).map(Some)
            }
            (_, Some(value)) => seed.deserialize(value).map(Some),
            (_, None) => Ok(None),
        }
    }
}

/// A variant of an enum: a word, or a table of one entry.
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) span: Span,
    pub(super) value: Option<NodeDeserializer<'a>>,
}

impl<'a, 'de> EnumAccess<'de> for Word<'a> {
    type Error = Fault;
    type Variant = Content<'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Content<'a>), Fault> {
        let text: StrDeserializer<'_, Fault> = self.text.into_deserializer();
        let variant = seed.deserialize(text).map_err(|fault| fault.at(self.span))?;
        Ok((variant, Content { text: self.text, value: self.value }))
    }
}

pub(super) struct Content<'a> {
    text: &'a str,
    value: Option<NodeDeserializer<'a>>,
}

impl<'a> Content<'a> {
    fn needed(self) -> Result<NodeDeserializer<'a>, Fault> {
        self.value.ok_or_else(|| Fault::wrong(format!("`{{ {} = ... }}`", self.text)))
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.value {
            None => Ok(()),
            Some(_) => Err(Fault::wrong(format!("the word \"{}\" alone", self.text))),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(self.needed()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.needed()?.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        self.needed()?.deserialize_struct("", fields, visitor)
    }
}
