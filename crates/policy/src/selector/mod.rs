//! Selectors (`${...}`), text with selectors in it, and CEL: parsed and resolved when a policy is loaded, evaluated
//! without any look-up by name.
//!
//! A filter's settings hold a [`Dynamic<T>`]; `cx.dynamic(&settings.field)` compiles it to a [`Getter<T>`].

mod access;
mod cel;
mod dynamic;
mod getter;
mod grammar;
mod json_path;
mod plan;
mod resolve;
mod source;
#[cfg(test)]
mod tests;
mod unquoted;
pub mod vocabulary;

pub use cel::{Condition, ParsedConditions};
pub use dynamic::Dynamic;
pub use getter::Getter;
pub(crate) use getter::{compile, compile_path};
pub use json_path::{JsonPath, Token};
pub(crate) use source::Source;
