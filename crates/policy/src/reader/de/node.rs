//! One value for serde.

use serde::Deserializer;
use serde::de::value::StrDeserializer;
use serde::de::{Error, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::access::{Entries, Items, Place, Word};
use super::fault::Fault;
use super::{Cx, resolve};
use crate::reader::{Node, NodeKind};
use crate::settings::{FROM_OUTSIDE, SPANNED};

#[derive(Clone, Copy)]
pub(super) struct NodeDeserializer<'a> {
    pub(super) cx: &'a Cx<'a>,
    pub(super) node: &'a Node,
}

impl<'a> NodeDeserializer<'a> {
    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.kind {
            NodeKind::Text(text) => visitor.visit_str(text),
            NodeKind::Int(number) => visitor.visit_i64(*number),
            NodeKind::Float(number) => visitor.visit_f64(*number),
            NodeKind::Bool(value) => visitor.visit_bool(*value),
            NodeKind::Datetime(_) => Err(Fault::invalid_type(Unexpected::Other("date"), &visitor)),
            NodeKind::List(items) => visitor.visit_seq(Items { cx: self.cx, items: items.iter() }),
            NodeKind::Table(table) => Entries::of(self.cx, table, &[]).deserialize_map(visitor),
        }
    }
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit(visitor).map_err(|fault| fault.at_node(self.node))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.node.kind {
            NodeKind::Table(table) => Entries::of(self.cx, table, &[]).deserialize_struct(name, fields, visitor),
            _ => Err(Fault::wrong("a table").at_node(self.node)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        match name {
            SPANNED => visitor.visit_seq(Place::new(self.node.span, self)),
            resolve::SECRET => resolve::secret(self.cx, self.node, visitor),
            FROM_OUTSIDE => resolve::text(self.cx, self.node, visitor),
            _ => visitor.visit_newtype_struct(self).map_err(|fault| fault.at_node(self.node)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let read = match &self.node.kind {
            NodeKind::Text(text) => visitor.visit_enum(Word { text, span: self.node.span, value: None }),
            NodeKind::Table(table) if table.entries.len() == 1 => {
                let entry = &table.entries[0];
                let value = Some(NodeDeserializer { cx: self.cx, node: &entry.value });
                visitor.visit_enum(Word { text: &entry.name, span: entry.name_span, value })
            }
            _ => {
                let words: Vec<String> = variants.iter().map(|v| format!("`{v}`")).collect();
                Err(Fault::wrong(format!("one of {}", words.join(", "))))
            }
        };
        read.map_err(|fault| fault.at_node(self.node))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier
    }
}

/// A key for serde: text, or a newtype of one, with its place where it is wanted.
#[derive(Clone, Copy)]
pub(super) struct KeyDeserializer<'a> {
    pub(super) name: &'a str,
    pub(super) span: crate::diagnostic::Span,
}

impl<'de> Deserializer<'de> for KeyDeserializer<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(self.name)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        match name {
            SPANNED => visitor.visit_seq(Place::new(self.span, self)),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let text: StrDeserializer<'_, Fault> = self.name.into_deserializer();
        visitor.visit_enum(text)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}
