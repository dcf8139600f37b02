//! Diagnostics as a person reads them, with the source line and the word underlined.
