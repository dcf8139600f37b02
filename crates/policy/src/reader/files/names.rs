//! Names of files that some systems, or some people, could take for one another.

use std::collections::BTreeMap;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization as _;

use super::Files;
use crate::diagnostic::{Place, Problem, SourceFile, Span, codes, is_invisible};

impl Files {
    /// Two names that differ only in case, or in how their letters are composed (`é` as one character or as two), are one name on
    /// some file systems: a configuration must mean the same everywhere.
    pub(super) fn report_collisions(&mut self) {
        let mut folded: BTreeMap<String, &Arc<SourceFile>> = BTreeMap::new();
        for (path, file) in &self.files {
            let Some(first) = folded.insert(fold(path), file) else { continue };
            let start = |file: &Arc<SourceFile>| Place { file: file.clone(), span: Span::default() };
            let how = match path.to_lowercase() == first.path.to_lowercase() {
                true => "in case",
                false => "in how their letters are composed (Unicode normal forms)",
            };
            let message = format!("`{path}` and `{}` differ only {how}", first.path);
            let problem = Problem::error(codes::NAME_COLLISION, message).with_help("give one of them another name");
            self.diagnostics.push(problem.at(start(file)).with_related(start(first), "the other file"));
        }
    }
}

/// Equal for names that a file system may take for one.
fn fold(path: &str) -> String {
    match path.is_ascii() {
        true => path.to_ascii_lowercase(),
        false => path.to_lowercase().nfc().collect(),
    }
}

/// Whether a name may stand in messages, logs and metrics as it is.
pub(super) fn is_clean(name: &str) -> bool {
    !name.contains(|c| c == '\n' || is_invisible(c))
}
