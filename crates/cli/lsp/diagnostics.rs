//! The checker's diagnostics, as a client shows them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use gen_lsp_types::{
    Code, Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location, PublishDiagnosticsParams, Range, Uri,
};
use policy::diagnostic::{Place, Severity, SourceFile};
use serde_json::json;
use server::Look;

use super::positions::{Encoding, Lines};
use super::uri;

/// What a client was told of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Published {
    pub(super) version: Option<i32>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// What a check found, by file.
pub(super) struct Found {
    pub(super) files: BTreeMap<String, Vec<Diagnostic>>,
    /// What has no place in a file of the folder.
    pub(super) elsewhere: Vec<String>,
}

/// Sorts what was found by file.
pub(super) fn found(look: &Look, root: &Path, encoding: Encoding) -> Found {
    let mut places = Places { root, encoding, lines: HashMap::new() };
    let mut found = Found { files: BTreeMap::new(), elsewhere: Vec::new() };
    for diagnostic in look.diagnostics.iter() {
        let problem = &diagnostic.problem;
        let mut message = problem.message.clone();
        for more in [&diagnostic.label, &problem.help].into_iter().flatten().chain(&diagnostic.notes) {
            message.extend(["\n", more]);
        }
        // What is built in, or given on the command line, is no file of the folder.
        let Some(place) = diagnostic.place.as_ref().filter(|place| is_file(&place.file)) else {
            found.elsewhere.push(format!("{} {message}", problem.code));
            continue;
        };
        let related = diagnostic.related.iter().filter(|(place, _)| is_file(&place.file)).map(|(place, word)| {
            DiagnosticRelatedInformation { location: places.location(place), message: word.clone() }
        });
        let related: Vec<_> = related.collect();
        let range = places.range(place);
        found.files.entry(place.file.path.clone()).or_default().push(Diagnostic {
            range,
            severity: Some(match problem.severity {
                Severity::Error => DiagnosticSeverity::Error,
                Severity::Warning => DiagnosticSeverity::Warning,
            }),
            code: Some(Code::String(problem.code.to_string())),
            source: Some(String::from("portcullis")),
            message: message.into(),
            related_information: (!related.is_empty()).then_some(related),
            data: Some(json!({ "help": problem.help })),
            ..Diagnostic::default()
        });
    }
    found
}

/// What to tell the client: what differs from what it was told, and every open file of another version. Files that have
/// become clean get an empty list. Open files go by the client's own name for them.
pub(super) fn news(
    before: &mut BTreeMap<String, Published>,
    mut found: BTreeMap<String, Vec<Diagnostic>>,
    open: &BTreeMap<String, (i32, Uri)>,
    root: &Path,
) -> Vec<PublishDiagnosticsParams> {
    for path in before.keys().chain(open.keys()) {
        found.entry(path.clone()).or_default();
    }
    let mut news = Vec::new();
    for (path, diagnostics) in found {
        let now = Published { version: open.get(&path).map(|(version, _)| *version), diagnostics };
        let known = before.get(&path);
        if known == Some(&now) || (known.is_none() && now == Published::default()) {
            continue;
        }
        news.push(PublishDiagnosticsParams {
            uri: open.get(&path).map_or_else(|| uri::of(&root.join(&path)), |(_, uri)| uri.clone()),
            version: now.version,
            diagnostics: now.diagnostics.clone(),
        });
        match now == Published::default() {
            true => before.remove(&path),
            false => before.insert(path, now),
        };
    }
    news
}

fn is_file(file: &SourceFile) -> bool {
    file.path == "node.toml" || file.path.starts_with("policies/") || file.path.starts_with("stores/")
}

/// Places in files; the lines of each are looked for once.
struct Places<'a> {
    root: &'a Path,
    encoding: Encoding,
    lines: HashMap<&'a str, Lines<'a>>,
}

impl<'a> Places<'a> {
    fn range(&mut self, place: &'a Place) -> Range {
        let file = &*place.file;
        let lines = self.lines.entry(&file.path).or_insert_with(|| Lines::new(&file.text, self.encoding));
        lines.range(place.span)
    }

    fn location(&mut self, place: &'a Place) -> Location {
        Location { uri: uri::of(&self.root.join(&place.file.path)), range: self.range(place) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnostic(message: &str) -> Diagnostic {
        Diagnostic { message: message.into(), ..Diagnostic::default() }
    }

    #[test]
    fn only_news_are_told_and_clean_files_are_emptied() {
        let mut before = BTreeMap::new();
        let root = Path::new("/r");
        let mut tell = |files: &[(&str, &str)], open: &[(&str, i32)]| {
            let found = files.iter().map(|(path, message)| ((*path).to_owned(), vec![diagnostic(message)])).collect();
            let open =
                open.iter().map(|(path, version)| ((*path).to_owned(), (*version, Uri(format!("file:///r/{path}")))));
            let news = news(&mut before, found, &open.collect(), root);
            let short = |n: &PublishDiagnosticsParams| {
                let name = n.uri.0.trim_start_matches("file:///r/");
                format!("{name} {:?} {}", n.version, n.diagnostics.len())
            };
            news.iter().map(short).collect::<Vec<_>>()
        };
        assert_eq!(tell(&[("a", "x")], &[("b", 1)]), ["a None 1", "b Some(1) 0"]);
        assert_eq!(tell(&[("a", "x")], &[("b", 1)]), [""; 0]);
        assert_eq!(tell(&[("a", "y")], &[("b", 2)]), ["a None 1", "b Some(2) 0"]);
        assert_eq!(tell(&[], &[]), ["a None 0", "b None 0"]);
        assert_eq!(tell(&[], &[]), [""; 0]);
    }
}
