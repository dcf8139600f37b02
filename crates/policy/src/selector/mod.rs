//! Selectors (`${...}`), text with selectors in it, and CEL: parsed and resolved when a policy is loaded, evaluated
//! without any look-up by name.
//!
//! A filter's settings hold a [`Dynamic<T>`]; `cx.dynamic(&settings.field)` compiles it to a [`Getter<T>`].

mod cel;
mod getter;

pub use cel::Condition;
pub use getter::Getter;
pub(crate) use getter::compile;

use std::marker::PhantomData;

use crate::settings::{Literal, Spanned};

/// A setting that may be a constant, a selector, text with selectors in it, or `{ cel = "..." }`; of type `T` once evaluated.
pub struct Dynamic<T> {
    pub(crate) literal: Spanned<Literal>,
    pub(crate) of: PhantomData<fn() -> T>,
}
