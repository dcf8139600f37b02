//! The targets: functions from any bytes to nothing, that panic where a promise is broken. `tests/fuzz/run` lets libFuzzer look for such
//! bytes; `cargo test` in this folder replays what was found, and tries a fixed number of random changes.

mod evaluate;
mod files;
pub mod seeds;

use std::sync::Arc;

use policy::diagnostic::{SourceFile, render, to_json};
use policy::{Diagnostics, reader};

/// A target: its name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("toml", files::toml),
    ("format", files::format),
    ("folder", files::folder),
    ("tests", files::tests),
    ("selector", evaluate::selector),
    ("condition", evaluate::condition),
    ("route", evaluate::route),
    ("json-path", evaluate::json_path),
];

/// The target of this name.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, run)| *run)
}

/// More is refused by the reader before anything else sees it, and would only make the search slow.
const LONGEST: usize = 16 * 1024;

/// The bytes as text, where they are some.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| text.len() <= LONGEST)
}

/// Whatever is wrong is told at places that are in their files, and can be shown.
fn told(diagnostics: &Diagnostics) {
    for diagnostic in diagnostics.iter() {
        let places = diagnostic.place.iter().chain(diagnostic.related.iter().map(|(place, _)| place));
        for place in places {
            let (span, text) = (place.span, &place.file.text);
            assert!(span.start <= span.end && span.end <= text.len(), "{place}: {span:?} of {}", text.len());
        }
        assert!(!diagnostic.problem.message.is_empty());
    }
    let text = render(diagnostics, false);
    assert!(!text.contains('\u{1b}'), "{text}");
    to_json(diagnostics);
}

fn source(path: &str, text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile::new(path, text))
}

fn parsed(text: &str) -> Result<reader::Document, Diagnostics> {
    reader::parse(&source("policies/a.toml", text))
}

/// A text as TOML writes it, whatever is in it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
