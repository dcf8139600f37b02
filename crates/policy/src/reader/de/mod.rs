//! From a table of a file to a serde type, with the place of every error kept.
//!
//! Keys that a struct does not know are errors whether or not it says `deny_unknown_fields`. `flatten`, `untagged` and
//! internally tagged enums copy values into a buffer of serde's own, which knows no places: settings do without them.

mod access;
mod fault;
mod node;
mod resolve;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use self::access::Entries;
use self::fault::Fault;
use self::node::NodeDeserializer;
use super::{Node, Outside, Table};

pub(crate) use self::fault::shown;
pub(super) use self::fault::unknown_key;
use crate::diagnostic::{Diagnostic, Diagnostics, Place, SourceFile, Span};

/// So many problems of one table are looked for: each costs one more walk over it.
const MOST_PROBLEMS: usize = 50;

/// Takes a table apart into `T`. `skip` names the keys that the caller has read already (`use`, `name`, `when` ...).
/// Unknown keys, missing keys and wrong types are diagnostics at their place. Warnings (a variable that is not set, where
/// [`Outside::strict`] is off) are dropped: [`deserialize_with_warnings`] keeps them.
pub fn deserialize<T: DeserializeOwned>(
    file: &Arc<SourceFile>,
    table: &Table,
    skip: &[&str],
    outside: &dyn Outside,
) -> Result<T, Diagnostics> {
    deserialize_with_warnings(file, table, skip, outside).map(|(value, _)| value)
}

/// [`deserialize`] with the warnings beside the value.
pub fn deserialize_with_warnings<T: DeserializeOwned>(
    file: &Arc<SourceFile>,
    table: &Table,
    skip: &[&str],
    outside: &dyn Outside,
) -> Result<(T, Diagnostics), Diagnostics> {
    strictly(deserialize_known(file, table, skip, outside))
}

/// All problems and warnings, and the value even where there are unknown keys, as long as all others are right: what is
/// checked with it then finds its own problems in the same go.
pub(crate) fn deserialize_known<T: DeserializeOwned>(
    file: &Arc<SourceFile>,
    table: &Table,
    skip: &[&str],
    outside: &dyn Outside,
) -> (Option<T>, Diagnostics) {
    read_all(file, outside, table.span, |cx| T::deserialize(Entries::of(cx, table, skip)))
}

/// The same for a value that is no table, or not a whole one. Warnings are beside the value.
pub fn deserialize_node<T: DeserializeOwned>(
    file: &Arc<SourceFile>,
    node: &Node,
    outside: &dyn Outside,
) -> Result<(T, Diagnostics), Diagnostics> {
    strictly(read_all(file, outside, node.span, |cx| T::deserialize(NodeDeserializer { cx, node })))
}

/// No value beside an error.
fn strictly<T>((value, found): (Option<T>, Diagnostics)) -> Result<(T, Diagnostics), Diagnostics> {
    match value {
        Some(value) if !found.has_errors() => Ok((value, found)),
        _ => Err(found),
    }
}

/// What one reading shares.
struct Cx<'a> {
    file: &'a Arc<SourceFile>,
    outside: &'a dyn Outside,
    /// Entries that are known to be wrong, by their place: they are passed over, so that the next walk finds the next problem.
    hidden: RefCell<HashSet<Span>>,
    found: RefCell<Diagnostics>,
}

impl Cx<'_> {
    fn push(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().push(diagnostic);
    }

    fn place(&self, span: Span) -> Place {
        Place { file: self.file.clone(), span }
    }

    fn hide(&self, span: Span) -> bool {
        self.hidden.borrow_mut().insert(span)
    }

    fn is_hidden(&self, span: Span) -> bool {
        self.hidden.borrow().contains(&span)
    }
}

/// Serde stops at the first problem. So the same is read again without the entry that was wrong, until nothing new is
/// found: all wrong values of a table are told at once.
fn read_all<T>(
    file: &Arc<SourceFile>,
    outside: &dyn Outside,
    whole: Span,
    read: impl Fn(&Cx<'_>) -> Result<T, Fault>,
) -> (Option<T>, Diagnostics) {
    let cx = Cx { file, outside, hidden: RefCell::default(), found: RefCell::default() };
    for walk in 0..MOST_PROBLEMS {
        let fault = match read(&cx) {
            // What was read without its wrong entries is not what the file says.
            Ok(value) => return ((walk == 0).then_some(value), cx.found.into_inner().sorted()),
            Err(fault) => fault,
        };
        let wrong = fault.entry;
        fault.tell(&cx, whole);
        // Without an entry to pass over, the next walk would find the same.
        if !wrong.is_some_and(|entry| cx.hide(entry)) {
            break;
        }
    }
    let found = cx.found.into_inner().sorted();
    debug_assert!(found.has_errors());
    (None, found)
}
