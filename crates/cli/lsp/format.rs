//! Formatting: not there yet.

use gen_lsp_types::TextEdit;

use super::ground::Ground;

/// Whether the server can format.
pub(super) const THERE: bool = false;

/// The edits that bring a file into its form.
pub(super) fn format(_: &Ground<'_>) -> Option<Vec<TextEdit>> {
    None
}
