//! The one style of the files, as edits: only what differs is written, so that an editor's cursor stays where it is.

use std::time::Duration;

use gen_lsp_types::TextEdit;
use policy::diagnostic::Span;
use similar::{DiffOp, TextDiff};

use super::ground::Ground;

/// After so long the rest of a file counts as different.
const LONGEST: Duration = Duration::from_millis(200);

/// The edits that bring a file into its form; none where it is no TOML yet.
pub(super) fn format(ground: &Ground<'_>) -> Option<Vec<TextEdit>> {
    let formatted = policy::reader::format(&ground.file).ok()?;
    let text = &ground.file.text;
    let diff = TextDiff::configure().timeout(LONGEST).diff_lines(text.as_str(), formatted.as_str());
    let (old, new) = (starts(diff.iter_old_slices()), starts(diff.iter_new_slices()));
    let lines = ground.lines(&ground.file);
    let edit = |op: &DiffOp| {
        let span = Span { start: old[op.old_range().start], end: old[op.old_range().end] };
        let new_text = formatted[new[op.new_range().start]..new[op.new_range().end]].to_owned();
        TextEdit { range: lines.range(span), new_text }
    };
    Some(diff.ops().iter().filter(|op| !matches!(op, DiffOp::Equal { .. })).map(edit).collect())
}

/// Where each line begins, and the last one ends.
fn starts<'l>(lines: impl Iterator<Item = &'l str>) -> Vec<usize> {
    let ends = lines.scan(0, |end, line| {
        *end += line.len();
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}
