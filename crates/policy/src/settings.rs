//! Types for settings: what stands in a file, checked and with its place.


use std::time::Duration as StdDuration;

use crate::diagnostic::Span;

/// A value with the place it stands at in its file.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    /// Where.
    pub span: Span,
    /// What.
    pub value: T,
}

/// A value of a file, of any type, with places: what a [`Dynamic`](crate::Dynamic) is compiled from.
#[derive(Clone, Debug)]
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

/// A duration written `"500ms"`, `"1s"`, `"12h"`, `"30d"`; more than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub StdDuration);

/// A size written `"64KiB"`, `"1MiB"`, or a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A rate written `"100/1s"`: so many within that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// Within what time.
    pub per: StdDuration,
}

