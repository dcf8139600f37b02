//! Diagnostics as SARIF 2.1.0 (OASIS): what code hosts and build servers show beside the lines of a change.
//!
//! Written by hand, of the few objects that there are here. No line of a file is copied into it, so that a secret in one cannot be.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde_json::{Value as Json, json};

use super::{Code, Diagnostic, Diagnostics, Place, Severity, codes};
use crate::lint;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What relative paths are relative to; the name that code hosts know for the root of the sources.
const ROOT: &str = "%SRCROOT%";

/// All but RFC 3986's unreserved characters.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// As a SARIF log of one run. `version` is the program's; `locate` makes of a file's path in the configuration folder the one that
/// the log is to have: relative to the root of the sources, or absolute where it lies outside.
///
/// ```
/// use policy::diagnostic::{Diagnostics, to_sarif};
/// let log = to_sarif(&Diagnostics::new(), "1.0.0", |path| path.into());
/// assert_eq!((&log["version"], &log["runs"][0]["results"]), (&"2.1.0".into(), &serde_json::json!([])));
/// ```
pub fn to_sarif(diagnostics: &Diagnostics, version: &str, locate: impl Fn(&str) -> PathBuf) -> Json {
    let found: BTreeSet<Code> = diagnostics.iter().map(|d| d.problem.code).collect();
    let found: Vec<Code> = found.into_iter().collect();
    let writer = Writer { rules: &found, locate: &locate };
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "portcullis",
                "semanticVersion": version,
                "rules": found.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": { ROOT: { "description": { "text": "the folder in which portcullis was run" } } },
            "results": diagnostics.iter().map(|diagnostic| writer.result(diagnostic)).collect::<Vec<_>>(),
        }],
    })
}

/// A code, with what its page says.
fn rule(code: Code) -> Json {
    let meaning = codes::ALL.iter().find(|(known, _)| *known == code).map_or("", |(_, meaning)| meaning.trim());
    let page = codes::explanation(code.as_str()).unwrap_or(meaning);
    let first = page.split("\n\n").nth(1).unwrap_or(meaning).replace('\n', " ");
    let mut rule = json!({
        "id": code.as_str(),
        "shortDescription": { "text": escaped(meaning) },
        "fullDescription": { "text": escaped(&first) },
        "help": { "text": escaped(page), "markdown": escaped(page) },
    });
    if let Some(lint) = lint::name(code) {
        rule["name"] = json!(lint);
    }
    rule
}

struct Writer<'a> {
    /// In the order of the log's rules.
    rules: &'a [Code],
    locate: &'a dyn Fn(&str) -> PathBuf,
}

impl Writer<'_> {
    fn result(&self, diagnostic: &Diagnostic) -> Json {
        let problem = &diagnostic.problem;
        let mut text = problem.message.clone();
        for note in &diagnostic.notes {
            text.push_str(&format!("\nnote: {note}"));
        }
        if let Some(help) = &problem.help {
            text.push_str(&format!("\nhelp: {help}"));
        }
        let mut result = json!({
            "ruleId": problem.code.as_str(),
            "ruleIndex": self.rules.iter().position(|code| *code == problem.code),
            "level": match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            "message": { "text": escaped(&text) },
        });
        if let Some(place) = &diagnostic.place {
            result["locations"] = json!([self.location(place, diagnostic.label.as_deref())]);
        }
        if !diagnostic.related.is_empty() {
            let related = diagnostic.related.iter().map(|(place, word)| self.location(place, Some(word)));
            result["relatedLocations"] = related.collect();
        }
        result
    }

    fn location(&self, place: &Place, word: Option<&str>) -> Json {
        let (line, column) = place.line_column();
        let (end_line, end_column) = place.file.line_column(place.span.end.max(place.span.start));
        let mut location = json!({ "physicalLocation": {
            "artifactLocation": artifact(&(self.locate)(&place.file.path)),
            "region": { "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column },
        } });
        if let Some(word) = word {
            location["message"] = json!({ "text": escaped(word) });
        }
        location
    }
}

/// Where a file is, as a URI.
fn artifact(path: &Path) -> Json {
    let names = path.components().filter_map(|component| match component {
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        name => Some(percent_encode(name.as_os_str().as_encoded_bytes(), ESCAPED).to_string()),
    });
    let names = names.collect::<Vec<_>>().join("/");
    if path.is_absolute() {
        json!({ "uri": format!("file:///{names}") })
    } else {
        json!({ "uri": names, "uriBaseId": ROOT })
    }
}

/// Braces stand twice in every message of SARIF (section 3.11.5): a single one begins a placeholder.
fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostic::{Problem, SourceFile, Span};

    fn result_of(diagnostic: Diagnostic) -> Json {
        to_sarif(&Diagnostics::from(diagnostic), "1.2.3", |path| Path::new("gateway").join(path))["runs"][0]["results"]
            [0]
        .take()
    }

    #[test]
    fn a_place_is_a_region_in_characters() {
        let file = Arc::new(SourceFile::new("policies/a b/ü#.toml", "x = 1\nü = \"secret\"\n"));
        let place = |start, end| Place { file: file.clone(), span: Span { start, end } };
        let problem = Problem::warning(codes::NAME_COLLISION, "two of `{x}`").with_help("write one");
        let result = result_of(problem.at(place(6, 8)).with_label("here").with_related(place(0, 6), "the other"));
        let location = |region: Json, word: &str| {
            json!({
                "physicalLocation": {
                    "artifactLocation": { "uri": "gateway/policies/a%20b/%C3%BC%23.toml", "uriBaseId": "%SRCROOT%" },
                    "region": region,
                },
                "message": { "text": word },
            })
        };
        let expected = json!({
            "ruleId": "P0113",
            "ruleIndex": 0,
            "level": "warning",
            "message": { "text": "two of `{{x}}`\nhelp: write one" },
            "locations": [location(json!({ "startLine": 2, "startColumn": 1, "endLine": 2, "endColumn": 2 }), "here")],
            "relatedLocations":
                [location(json!({ "startLine": 1, "startColumn": 1, "endLine": 2, "endColumn": 1 }), "the other")],
        });
        assert_eq!(result, expected);
    }

    #[test]
    fn without_a_place_there_is_no_location() {
        let result = result_of(Problem::error(codes::UNREADABLE, "cannot be read").nowhere().with_note("why"));
        assert_eq!(result["message"]["text"], "cannot be read\nnote: why");
        assert_eq!((result.get("locations"), result.get("relatedLocations")), (None, None));
    }

    #[test]
    fn a_file_elsewhere_has_its_whole_path() {
        assert_eq!(artifact(Path::new("/etc/a b.toml")), json!({ "uri": "file:///etc/a%20b.toml" }));
        assert_eq!(artifact(Path::new("./a/b:c.toml")), json!({ "uri": "a/b%3Ac.toml", "uriBaseId": "%SRCROOT%" }));
    }

    #[test]
    fn each_code_is_one_rule_in_order_with_its_page() {
        // Two of one code say different things: the same one would be told once.
        let found: Diagnostics = [(codes::LIFETIME, "x"), (codes::SYNTAX, "x"), (codes::LIFETIME, "y")]
            .map(|(code, message)| Problem::error(code, message).nowhere())
            .into_iter()
            .collect();
        let log = to_sarif(&found, "1.2.3", |path| PathBuf::from(path));
        let run = &log["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        assert_eq!(rules.iter().map(|r| r["id"].as_str().unwrap()).collect::<Vec<_>>(), ["P0002", "P0711"]);
        assert_eq!((rules[0].get("name"), &rules[1]["name"]), (None, &json!("lifetime")));
        assert_eq!(rules[0]["shortDescription"]["text"], "A file is no TOML.");
        assert!(rules[0]["help"]["markdown"].as_str().unwrap().contains("## The cure"), "{}", rules[0]);
        let indices: Vec<_> = run["results"].as_array().unwrap().iter().map(|r| r["ruleIndex"].as_u64()).collect();
        assert_eq!(indices, [Some(1), Some(0), Some(1)]);
    }
}
