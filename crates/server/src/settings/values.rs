//! `[values]`: what differs between environments, and the file that `--values` lays over it.

use std::collections::BTreeMap;

use policy::reader::{Document, Node, NodeKind, Outside, Table, deserialize_node};
use policy::settings::FromOutside;
use policy::{Diagnostics, Value};

use super::Within;

pub(super) fn read(within: Within<'_>, values: &mut BTreeMap<String, Value>, diagnostics: &mut Diagnostics) {
    for entry in &within.table.entries {
        if let Some(value) = value(within, &entry.value, diagnostics) {
            values.insert(entry.name.clone(), value);
        }
    }
}

/// Lays the values of another file over those that there are: its `[values]`, or all of it where it has no such table.
pub(super) fn overlay(
    document: &Document,
    values: &mut BTreeMap<String, Value>,
    outside: &dyn Outside,
    diagnostics: &mut Diagnostics,
) {
    let table = only_values(&document.root).unwrap_or(&document.root);
    read(Within { file: &document.file, table, outside }, values, diagnostics);
}

fn only_values(root: &Table) -> Option<&Table> {
    match root.entries.as_slice() {
        [only] if only.name == "values" => only.value.as_table(),
        _ => None,
    }
}

fn value(within: Within<'_>, node: &Node, diagnostics: &mut Diagnostics) -> Option<Value> {
    Some(match &node.kind {
        NodeKind::Text(text) | NodeKind::Datetime(text) => Value::text(text.as_str()),
        NodeKind::Int(int) => Value::Int(*int),
        NodeKind::Float(float) => Value::Float(*float),
        NodeKind::Bool(bool) => Value::Bool(*bool),
        NodeKind::List(items) => {
            Value::List(items.iter().filter_map(|item| value(within, item, diagnostics)).collect())
        }
        NodeKind::Table(_) => match deserialize_node::<FromOutside>(within.file, node, within.outside) {
            Ok((text, warnings)) => {
                diagnostics.extend(warnings);
                Value::text(text.0)
            }
            Err(problems) => {
                diagnostics.extend(problems);
                return None;
            }
        },
    })
}
