//! What steps keep, and whether what later ones use is kept.

use std::collections::BTreeSet;

use super::Reader;
use crate::reader::{Node, NodeKind, Table, did_you_mean};
use crate::selector::Source;
use crate::settings::Spanned;
use crate::testing::file::values::Named;
use crate::testing::file::words::{Group, Piece, is_name, pieces};
use crate::testing::model::Keep;

impl Reader<'_> {
    pub(super) fn keep(&mut self, table: Named<String>) -> Vec<(String, Keep)> {
        let mut keep = Vec::new();
        for (name, from) in table.0 {
            if !is_name(&name.value) {
                self.error(name.span, format!("`{}` is no name", name.value), "letters, digits, `_` and `-`");
            }
            let text = Spanned::new(from.span, from.value);
            let source = match text.value.split_once('.') {
                _ if text.value.starts_with('$') => self.json_path(&text).map(Keep::Json),
                Some(("header", header)) => {
                    self.header_name(&Spanned::new(text.span, header.to_owned())).map(Keep::Header)
                }
                Some(("cookie", cookie)) if !cookie.is_empty() => Some(Keep::Cookie(cookie.to_owned())),
                Some(("field", name)) if !name.is_empty() => Some(Keep::Field(name.to_owned())),
                Some(("location", name)) if !name.is_empty() => Some(Keep::Location(name.to_owned())),
                None if text.value == "text" => Some(Keep::Text),
                _ => {
                    let help = "a JSONPath (`$.access_token`), `header.NAME`, `cookie.NAME`, `location.NAME`, `field.NAME` or `text`";
                    self.error(text.span, format!("`{}` is nothing that can be kept", text.value), help);
                    None
                }
            };
            keep.extend(source.map(|source| (name.value, source)));
        }
        keep
    }

    /// Every `${kept.NAME}` is kept by an earlier step.
    pub(super) fn check_kept(&mut self, table: &Table) {
        let mut kept: BTreeSet<&str> = BTreeSet::new();
        for entry in table.entries.iter().filter(|entry| entry.name != "step") {
            self.check_kept_in(&entry.value, &kept);
        }
        for step in table.get("step").and_then(Node::as_list).unwrap_or_default() {
            self.check_kept_in(step, &kept);
            let keep = step.as_table().and_then(|step| step.get("keep")).and_then(Node::as_table);
            kept.extend(keep.iter().flat_map(|keep| keep.entries.iter().map(|entry| entry.name.as_str())));
        }
    }

    fn check_kept_in(&mut self, node: &Node, kept: &BTreeSet<&str>) {
        match &node.kind {
            NodeKind::Text(text) => {
                let source = Source::new(&self.document.file, node.span, text);
                let unknown = pieces(text).into_iter().filter_map(|piece| match piece {
                    Piece::Word(Group::Kept, name, range) if !kept.contains(name) => Some((name, source.span(range))),
                    _ => None,
                });
                for (name, span) in unknown.collect::<Vec<_>>() {
                    let help = match did_you_mean(name, kept.iter().copied()) {
                        Some(near) => format!("did you mean `kept.{near}`?"),
                        None => format!("an earlier step keeps it: keep = {{ {name} = \"$.{name}\" }}"),
                    };
                    self.error(span, format!("no step before this keeps `{name}`"), help);
                }
            }
            NodeKind::List(list) => list.iter().for_each(|item| self.check_kept_in(item, kept)),
            NodeKind::Table(table) => table.entries.iter().for_each(|entry| self.check_kept_in(&entry.value, kept)),
            _ => {}
        }
    }
}
