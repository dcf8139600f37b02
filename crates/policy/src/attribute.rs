//! Attributes: named, typed values on the exchange, compiled to slots.
//!
//! A filter library declares its attributes as constants:
//!
//! ```
//! use policy::{Field, Key, Value, value::Type};
//! pub struct Client { id: String }
//! pub static CLIENT: Key<Client> = Key::new("client", &[
//!     Field { name: "id", doc: "The client's identifier.", of: Type::Text, optional: false, get: |c| Some(Value::text(c.id.as_str())) },
//! ]);
//! ```
//!
//! A filter asks for a [`Slot`] while it is built (`cx.writes(&CLIENT)`), and uses the slot while it runs: no name is
//! hashed or compared per request. A selector `${client.id}` is compiled to the slot and the field's function.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::value::{Type, Value};

/// An attribute: a root name of selectors (`client`), with the fields that selectors may read (`client.id`).
pub struct Key<T: 'static> {
    name: &'static str,
    fields: &'static [Field<T>],
}

/// One field of an attribute, as selectors and CEL read it.
pub struct Field<T: 'static> {
    /// Its name after the dot.
    pub name: &'static str,
    /// One line for the reference.
    pub doc: &'static str,
    /// The type of its value.
    pub of: Type,
    /// It may be absent though the attribute is set. A filter that reads it then fails with `missing-value`, unless there is a
    /// default.
    pub optional: bool,
    /// Reads it; `None` is absent.
    pub get: fn(&T) -> Option<Value>,
}

impl<T: Send + Sync + 'static> Key<T> {
    /// An attribute with this root name and these fields.
    pub const fn new(name: &'static str, fields: &'static [Field<T>]) -> Self {
        Key { name, fields }
    }

    /// Its root name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// An attribute without its type: what the engine needs to know of a [`Key`].
pub trait Attribute: Send + Sync + 'static {
    /// The root name.
    fn name(&self) -> &'static str;
    /// Name, documentation and type of each field.
    fn fields(&self) -> Vec<(&'static str, &'static str, Type)>;
    /// Whether the field with this index may be absent though the attribute is set.
    fn is_optional(&self, field: usize) -> bool;
    /// Reads the field with this index out of what a slot holds.
    fn read(&self, held: &(dyn Any + Send + Sync), field: usize) -> Option<Value>;
}

impl<T: Send + Sync + 'static> Attribute for Key<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn fields(&self) -> Vec<(&'static str, &'static str, Type)> {
        self.fields.iter().map(|f| (f.name, f.doc, f.of)).collect()
    }

    fn is_optional(&self, field: usize) -> bool {
        self.fields[field].optional
    }

    fn read(&self, held: &(dyn Any + Send + Sync), field: usize) -> Option<Value> {
        (self.fields[field].get)(held.downcast_ref::<T>()?)
    }
}

/// Where an attribute lies on the exchange, in one generation.
pub struct Slot<T> {
    pub(crate) index: usize,
    /// The attribute's, for a reason that says what is absent.
    pub(crate) name: &'static str,
    _type: PhantomData<fn() -> T>,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Slot<T> {}

impl<T> Slot<T> {
    pub(crate) fn new(index: usize, name: &'static str) -> Self {
        Slot { index, name, _type: PhantomData }
    }
}

/// What the slots of one exchange hold.
#[derive(Clone, Default)]
pub struct Slots(Vec<Option<Arc<dyn Any + Send + Sync>>>);

impl Slots {
    pub(crate) fn with_len(len: usize) -> Self {
        Slots(vec![None; len])
    }

    pub(crate) fn get<T: Send + Sync + 'static>(&self, slot: Slot<T>) -> Option<&T> {
        self.0.get(slot.index)?.as_deref()?.downcast_ref()
    }

    pub(crate) fn raw(&self, index: usize) -> Option<&(dyn Any + Send + Sync)> {
        self.0.get(index)?.as_deref()
    }

    pub(crate) fn arc<T: Send + Sync + 'static>(&self, slot: Slot<T>) -> Option<Arc<T>> {
        self.0.get(slot.index)?.clone()?.downcast().ok()
    }

    pub(crate) fn set<T: Send + Sync + 'static>(&mut self, slot: Slot<T>, value: Arc<T>) {
        if self.0.len() <= slot.index {
            self.0.resize(slot.index + 1, None);
        }
        self.0[slot.index] = Some(value);
    }

    pub(crate) fn clear(&mut self, index: usize) {
        if let Some(held) = self.0.get_mut(index) {
            *held = None;
        }
    }
}
