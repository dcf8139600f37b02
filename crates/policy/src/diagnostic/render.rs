//! Diagnostics as a person reads them, with the source line and the word underlined.

use super::Diagnostics;

/// As text for a terminal (`color`) or a log; ends with a line that counts errors and warnings.
pub fn render(diagnostics: &Diagnostics, color: bool) -> String {
    let _ = (diagnostics, color);
    unimplemented!()
}

/// As JSON: a list of `{code, severity, message, help, file, line, column, end_line, end_column, label, related}`.
pub fn to_json(diagnostics: &Diagnostics) -> serde_json::Value {
    let _ = diagnostics;
    unimplemented!()
}
