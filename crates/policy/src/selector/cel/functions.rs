//! The functions that expressions may use, and what they give.

use crate::value::Type;

/// A function: `size(x)`, `x.startsWith(y)`.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// Called on a value.
    pub(super) member: bool,
    /// How many arguments it takes, the value that it is called on not counted.
    pub(super) arguments: std::ops::RangeInclusive<usize>,
    /// What it is called on, or its first argument.
    pub(super) on: Type,
    pub(super) gives: Type,
}

const fn global(name: &'static str, on: Type, gives: Type) -> Function {
    Function { name, member: false, arguments: 1..=1, on, gives }
}

const fn member(name: &'static str, arguments: std::ops::RangeInclusive<usize>, on: Type, gives: Type) -> Function {
    Function { name, member: true, arguments, on, gives }
}

/// The loops over a list or the keys of a table.
pub(super) const LOOPS: &[&str] = &["all", "exists", "exists_one", "existsOne", "filter", "map"];

/// All others.
pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "has", member: false, arguments: 1..=1, on: Type::Any, gives: Type::Bool },
    global("size", Type::Any, Type::Int),
    global("string", Type::Any, Type::Text),
    global("int", Type::Any, Type::Int),
    global("uint", Type::Any, Type::Int),
    global("double", Type::Any, Type::Float),
    global("bool", Type::Any, Type::Bool),
    global("timestamp", Type::Any, Type::Any),
    global("duration", Type::Text, Type::Any),
    Function { name: "matches", member: false, arguments: 2..=2, on: Type::Text, gives: Type::Bool },
    member("size", 0..=0, Type::Any, Type::Int),
    member("contains", 1..=1, Type::Text, Type::Bool),
    member("startsWith", 1..=1, Type::Text, Type::Bool),
    member("endsWith", 1..=1, Type::Text, Type::Bool),
    member("matches", 1..=1, Type::Text, Type::Bool),
    member("charAt", 1..=1, Type::Text, Type::Text),
    member("indexOf", 1..=2, Type::Text, Type::Int),
    member("lastIndexOf", 1..=2, Type::Text, Type::Int),
    member("lowerAscii", 0..=0, Type::Text, Type::Text),
    member("upperAscii", 0..=0, Type::Text, Type::Text),
    member("split", 1..=2, Type::Text, Type::List),
    member("substring", 1..=2, Type::Text, Type::Text),
    member("trim", 0..=0, Type::Text, Type::Text),
    member("getDate", 0..=1, Type::Any, Type::Int),
    member("getDayOfMonth", 0..=1, Type::Any, Type::Int),
    member("getDayOfWeek", 0..=1, Type::Any, Type::Int),
    member("getDayOfYear", 0..=1, Type::Any, Type::Int),
    member("getFullYear", 0..=1, Type::Any, Type::Int),
    member("getHours", 0..=1, Type::Any, Type::Int),
    member("getMilliseconds", 0..=1, Type::Any, Type::Int),
    member("getMinutes", 0..=1, Type::Any, Type::Int),
    member("getMonth", 0..=1, Type::Any, Type::Int),
    member("getSeconds", 0..=1, Type::Any, Type::Int),
];

/// The function that is called so.
pub(super) fn find(name: &str, member: bool) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|f| f.name == name && f.member == member)
}

/// All names that may be called so, loops included.
pub(super) fn names(member: bool) -> impl Iterator<Item = &'static str> {
    let loops = if member { LOOPS } else { &[] };
    FUNCTIONS.iter().filter(move |f| f.member == member).map(|f| f.name).chain(loops.iter().copied())
}
